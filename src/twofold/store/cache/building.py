"""Building the cache of `approximate` from blocks of rows; only a sample and the codes are held in memory.

How far a search has to look is measured on the rows themselves and stored, so that the user need
not know.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from twofold.errors import StoreError
from twofold.files import explain_failure, new_folder
from twofold.store.cache.approximate import FORMAT, PLAIN, Approximate, Plan, Space
from twofold.store.cache.columns import MANIFEST, block_hashes, sealed
from twofold.store.cache.lists import (
    COPIES,
    SAMPLE,
    Lists,
    Trained,
    codes_of,
    level,
    lists_of,
    train,
)
from twofold.store.scan import block_rows, nearest, sides, widened

__all__ = ["Blocks", "Watch", "build"]

Blocks = Iterable[tuple[Int[np.ndarray, "b"], Float[np.ndarray, "b dim"]]]
"""Numbers of rows, ascending, and their vectors."""

Watch = Callable[[str, int, int], None]
"""Called with what is being done, how much is done, and of how much."""

PROMISED = 0.99
"""Recall that the rows must show with a margin of `SURE` standard errors."""

SURE = 1.64  # one-sided, 95 %
TRIALS = 1024
"""Queries that measure the recall of a plan: .99 is then known to .003."""

NEIGHBOURS = {10: TRIALS, 100: 128}
"""Number of neighbours of each plan -> trials that it is measured on."""

SHARES = (0.9915, 0.993, 0.9945, 0.996, 0.998)  # of the true neighbours whose lists are looked at
# candidates a wanted neighbour, a row up to three times
COUNTS = (6, 8, 11, 15, 20, 26, 34, 44, 58, 76, 100)
MOST_CANDIDATES = 3000
"""Candidates of a plan, at most."""

LARGEST = 60_000.0  # of float16
ROWS_AT_ONCE = 65_536
"""Rows that are widened to float32 at once: 64 MB of 256 numbers each."""

# cost of a candidate that is compared, in rows whose codes are scanned (measured)
COMPARING = 100.0


def silent(doing: str, done: int, total: int) -> None:
    """Nobody watches."""


def build(
    folder: Path,
    blocks: Blocks,
    *,
    distance: str,
    dim: int,
    about: dict[str, Any],
    watch: Watch = silent,
    seed: int = 0,
) -> Approximate:
    """Build a cache whole, or leave the folder as it was, and open it.

    Args:
        blocks: at least 64 rows.
        about: what it is made from, for the manifest.
        watch: is told how far it is.

    Raises:
        StoreError: rows too far apart for float16, or a distance that is not in `PLAIN`.
        CannotWrite: the disk is full or read-only.
    """
    if distance not in PLAIN:
        raise StoreError(
            f"{distance} is searched exactly only; approximately there are: {', '.join(PLAIN)}"
        )
    generator = np.random.default_rng(seed)
    with new_folder(folder, marker=MANIFEST, private=True) as spare, explain_failure(folder):
        total = about.get("items", 0)
        space, rows = _copied(spare, blocks, distance=distance, dim=dim, total=total, watch=watch)
        vectors = np.memmap(spare / "vectors", "<f2", "r", shape=(rows, dim))
        size = min(len(vectors), SAMPLE * lists_for(rows))
        drawn = np.sort(generator.choice(rows, size, replace=False))
        trained = train(vectors[drawn].astype(np.float32), lists_for(rows), generator=generator)
        lists = _coded(spare, vectors, trained, watch)
        watch("measuring recall", 0, TRIALS)
        plans = _plans(
            vectors, lists, np.fromfile(spare / "lists", "<i4").reshape(-1, COPIES), generator
        )
        for name, table in (
            ("centres", trained.centres),
            ("books", trained.books),
            ("centre", space.centre),
        ):
            np.ascontiguousarray(table, "<f4").tofile(spare / name)
        facts = {"format": FORMAT, "rows": rows, "dim": dim, "distance": distance, "about": about}
        facts |= {
            "parts": trained.books.shape[0],
            "width": trained.books.shape[2],
            "lists": len(trained.centres),
        }
        facts |= {"space": {"scale": space.scale, "error": space.error, "longest": space.longest}}
        facts |= {
            "plans": [asdict(plan) for plan in plans],
            "files": _hashes(spare, rows, dim, trained),
        }
        (spare / MANIFEST).write_bytes(sealed(facts))
    return Approximate(folder)


def lists_for(rows: int) -> int:
    """Number of lists: four times the root of the rows, as a power of two."""
    return max(1, min(2 ** round(np.log2(4 * rows**0.5)), rows // 16))


def _copied(
    spare: Path, blocks: Blocks, *, distance: str, dim: int, total: int, watch: Watch
) -> tuple[Space, int]:
    """Write the rows in float16, once through."""
    space: Space | None = None
    rows = 0
    with (
        (spare / "numbers").open("xb") as numbers,
        (spare / "vectors").open("xb") as vectors,
        (spare / "halves").open("xb") as halves,
    ):
        for own, block in blocks:
            space = space or _space(block, distance, dim)
            plain = space.plain(block)
            if np.abs(plain).max(initial=0.0) > LARGEST:
                raise StoreError("vectors lie too far apart for float16: they are searched exactly")
            small = plain.astype("<f2")
            held = widened(small)
            squares = np.einsum("ij,ij->i", held, held)
            plain -= held
            error = float(np.einsum("ij,ij->i", plain, plain).max()) ** 0.5
            space = replace(
                space,
                error=max(space.error, error * 1.001),
                longest=max(space.longest, float(squares.max()) ** 0.5 * 1.001),
            )
            numbers.write(own.astype("<i8").tobytes())
            vectors.write(small.tobytes())
            halves.write((squares / 2).astype("<f4").tobytes())
            rows += len(own)
            watch("reading rows", rows, total)
    if space is None:
        raise StoreError("there are no rows to build a cache of")
    return space, rows


def _space(block: np.ndarray, distance: str, dim: int) -> Space:
    """A space scaled so that the longest of the first rows has a length of about one."""
    if distance == "cosine":
        return Space(distance=distance, centre=np.zeros(dim, np.float32), scale=1.0)
    centre = block.mean(axis=0, dtype=np.float64).astype(np.float32)
    longest = float(np.linalg.norm((block - centre).astype(np.float64), axis=1).max())
    return Space(
        distance=distance,
        centre=centre,
        scale=float(2.0 ** -round(np.log2(longest))) if longest else 1.0,
    )


def _coded(spare: Path, vectors: np.ndarray, trained: Trained, watch: Watch) -> Lists:
    """Lists and codes of all rows, in files and in memory."""
    lists, codes = np.empty((len(vectors), COPIES), "<i4"), []
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        watch("sorting rows into lists", start, len(vectors))
        block = widened(vectors[start : start + ROWS_AT_ONCE])
        own = lists[start : start + len(block)]
        own[:] = lists_of(trained, block)
        codes.append(codes_of(trained, block, own))
    whole = np.concatenate(codes)
    lists.tofile(spare / "lists")
    whole.tofile(spare / "codes")
    return Lists(trained, lists, whole)


def _plans(
    vectors: np.ndarray, lists: Lists, own: np.ndarray, generator: np.random.Generator
) -> list[Plan]:
    """For each number of neighbours the cheapest search that finds enough of them, measured on some of the rows."""
    trials = np.sort(generator.choice(len(vectors), min(TRIALS, len(vectors) // 4), replace=False))
    queries = vectors[trials].astype(np.float32)
    plans = []
    for k, count in NEIGHBOURS.items():
        if k < len(vectors):
            some = queries[:count]
            true = _true(vectors, some, trials[:count], k)
            plans.append(_plan(lists, some, true, _gaps(lists, some, own[true])))
    return [plan for plan in plans if plan is not None]


def _gaps(
    lists: Lists, queries: Float[np.ndarray, "q dim"], own: Int[np.ndarray, "q k copies"]
) -> Float[np.ndarray, "q k"]:
    """Distance of the nearest list of each true neighbour below a query's level."""
    keys = lists.trained.keys(queries)
    there = np.take_along_axis(keys, own.reshape(len(keys), -1), axis=1).reshape(own.shape)
    return level(keys)[:, None] - there.max(axis=2)


def _true(
    vectors: np.ndarray, queries: np.ndarray, trials: np.ndarray, k: int
) -> Int[np.ndarray, "q k"]:
    """The `k` nearest of each trial without itself, nearest first."""

    def blocks():
        size = block_rows(len(queries))
        out = np.empty((size, vectors.shape[1] + 1), np.float32)
        for start in range(0, len(vectors), size):
            block = vectors[start : start + size]
            yield np.arange(start, start + len(block)), sides(block, out)

    found = np.empty((len(queries), k), np.int64)
    for row, (trial, places) in enumerate(
        zip(trials, nearest(queries, blocks(), k + 1), strict=True)
    ):
        others = places[places != trial]
        near = np.square(vectors[others].astype(np.float32) - queries[row]).sum(axis=1)
        found[row] = others[np.argsort(near, kind="stable")[:k]]
    return found


def _plan(lists: Lists, queries: np.ndarray, true: np.ndarray, gaps: np.ndarray) -> Plan | None:
    """The cheapest plan that keeps the promise; None: none does at less cost than comparing all rows."""
    k, rows = true.shape[1], int(lists.index.ntotal)
    counts = sorted({min(k * each, MOST_CANDIDATES, rows) for each in COUNTS})
    keys = lists.trained.keys(queries)
    enough = []
    for share in SHARES:
        reach = float(np.quantile(gaps, share))
        proposed = lists.candidates(queries, reach=reach, count=counts[-1])
        looked = (keys >= (level(keys) - reach)[:, None]).sum(axis=1).mean() * rows / keys.shape[1]
        ranks = _ranks(proposed, true)
        for count in counts:
            found = (ranks < count).mean(axis=1)
            cost, surely = (
                looked + COMPARING * count,
                found.mean() - SURE * found.std() / np.sqrt(len(found)),
            )
            if surely >= PROMISED and cost < rows / 4:
                enough.append(
                    (cost, Plan(k=k, reach=reach, count=count, recall=float(found.mean())))
                )
    return min(enough, key=lambda each: each[0])[1] if enough else None


def _ranks(
    proposed: Int[np.ndarray, "q count"], true: Int[np.ndarray, "q k"]
) -> Int[np.ndarray, "q k"]:
    """The rank of each true neighbour among the candidates; past the end if it is not one."""
    ranks = np.empty(true.shape, np.int64)
    for row, (own, near) in enumerate(zip(true, proposed, strict=True)):
        same = own[:, None] == near[None]
        ranks[row] = np.where(same.any(axis=1), same.argmax(axis=1), len(near))
    return ranks


def _hashes(spare: Path, rows: int, dim: int, trained: Trained) -> dict[str, list[str]]:
    """SHA-256 of the blocks of each file."""
    parts, width = trained.books.shape[0], trained.books.shape[2]
    shapes = {
        "numbers": (rows, 8),
        "vectors": (rows, 2 * dim),
        "halves": (rows, 4),
        "lists": (rows, 4 * COPIES),
    }
    shapes |= {"codes": (rows, COPIES * -(-parts // 2)), "centre": (dim, 4)}
    shapes |= {"centres": (len(trained.centres), 4 * parts * width), "books": (parts, 64 * width)}
    return {
        name: block_hashes(np.memmap(spare / name, np.uint8, "r", shape=shape))
        for name, shape in shapes.items()
    }

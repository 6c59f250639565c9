"""Approximate search among very many rows: inverted lists propose, a memory map in float16 decides; no SQLite inside.

It is derived from rows kept elsewhere, checked by SHA-256 (the lists when it is opened, the map
block by block on first reading), and rebuilt when damaged. A flipped bit is an error, never another
answer.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from twofold.errors import DamagedIndex
from twofold.store.cache.columns import Column, read_manifest
from twofold.store.cache.lists import COPIES, Lists, Trained
from twofold.store.scan import Blocks, block_rows, crowded, nearest, sides, slack, widened, within

__all__ = ["FORMAT", "PLAIN", "Approximate", "Plan", "Space"]

FORMAT = 2  # 1: two lists a row, and one code
PLAIN = ("cosine", "euclidean", "squared_euclidean")
"""Distances that are searched here; others (Manhattan, learned ones) are only searched exactly."""

CHUNK = 16  # queries whose candidates are compared at once, in the cache of the processor
# queries whose lists are looked at together: half as many take a third longer
QUERIES_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True)
class Space:
    """The space in which rows are compared: unit vectors for the cosine, else centred and scaled to fit float16.

    Attributes:
        error: the largest distance between a row and its copy in the map. longest: the largest
            length of a row.
    """

    distance: str
    centre: Float[np.ndarray, "dim"]
    scale: float
    error: float = 0.0
    longest: float = 0.0

    def plain(self, vectors: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n dim"]:
        """Vectors in this space."""
        if self.distance == "cosine":
            lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
            return vectors / lengths.astype(np.float32)[:, None]
        return (vectors - self.centre) * np.float32(self.scale)

    def reach(self, score: float) -> float:
        """The largest distance in this space of vectors that score at least `score`."""
        if self.distance == "cosine":
            return float(np.sqrt(max(2 - 2 * score, 0.0)))
        if score > 0:
            return -1.0
        return self.scale * float(
            np.sqrt(-score) if self.distance == "squared_euclidean" else -score
        )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How far to look for the `k` nearest, so that the recall measured on the rows themselves reaches its aim.

    Attributes:
        reach: how much farther than the nearest list a list may be. count: candidates, by their
            codes, that are compared.
        recall: as it was measured when the cache was built.
    """

    k: int
    reach: float
    count: int
    recall: float


class Approximate:
    """An open cache.

    Attributes:
        facts: the manifest. numbers: of the rows, ascending. space, plans: see there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts = facts = read_manifest(folder)
        if facts["format"] != FORMAT:
            raise DamagedIndex(f"{folder} has format {facts['format']}, not {FORMAT}")
        rows, dim = facts["rows"], facts["dim"]
        codes = (COPIES, -(-facts["parts"] // 2))
        shapes = {"numbers": ("<i8", ()), "vectors": ("<f2", (dim,)), "halves": ("<f4", ())}
        shapes |= {"lists": ("<i4", (COPIES,)), "codes": ("|u1", codes)}
        self.columns = {
            name: self._column(name, dtype, (rows, *more)) for name, (dtype, more) in shapes.items()
        }
        wide, width = facts["parts"] * facts["width"], facts["width"]
        centres = self._column("centres", "<f4", (facts["lists"], wide)).whole()
        books = self._column("books", "<f4", (facts["parts"], 16, width)).whole()
        centre = self._column("centre", "<f4", (dim,)).whole()
        self.space = Space(distance=facts["distance"], centre=centre, **facts["space"])
        self.plans = tuple(Plan(**plan) for plan in facts["plans"])
        self.numbers: Int[np.ndarray, "n"] = self.columns["numbers"].whole()
        self.halves: Float[np.ndarray, "n"] = self.columns["halves"].whole()
        self.lists = Lists(
            Trained(centres, books, dim),
            self.columns["lists"].whole(),
            self.columns["codes"].whole(),
        )

    def _column(self, name: str, dtype: str, shape: tuple[int, ...]) -> Column:
        return Column(self.folder / name, dtype, shape, self.facts["files"][name])

    def close(self) -> None:
        """Let go of the files."""
        self.columns.clear()

    def search(
        self,
        queries: Float[np.ndarray, "q dim"],
        k: int,
        *,
        allowed: Int[np.ndarray, "m"] | None = None,
        gone: Int[np.ndarray, "g"] | None = None,
        exact: bool = False,
    ) -> list[Int[np.ndarray, "_"]]:
        """Numbers of the rows that can be among the `k` nearest of each query; a few more than `k`, in no order.

        Args:
            allowed: numbers of the only rows that count; a few are all compared.
            gone: numbers of rows that do not count.
            exact: compare all rows, so that none is missed.
        """
        counting = self._counting(allowed, gone)
        number = len(self.numbers) if counting is None else int(counting.sum())
        if not number:
            return [np.empty(0, np.int64) for _ in queries]
        plan = self.plan(k * len(self.numbers) / number)
        found: list[np.ndarray] = []
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            plain = self.space.plain(queries[start : start + QUERIES_AT_ONCE])
            if exact or plan is None:
                near = nearest(plain, self._blocks(counting, len(plain)), k, error=self.space.error)
                found += [
                    self._all(own, query, counting, k)
                    for own, query in zip(near, plain, strict=True)
                ]
            else:
                found += self._proposed(plain, k, plan, counting)
        return [self.numbers[places] for places in found]

    def search_range(
        self,
        queries: Float[np.ndarray, "q dim"],
        score: float,
        *,
        allowed: Int[np.ndarray, "m"] | None = None,
        gone: Int[np.ndarray, "g"] | None = None,
    ) -> list[Int[np.ndarray, "_"]]:
        """Numbers of all rows that can have at least this score with a query, in no order; none is missed."""
        plain, reach = self.space.plain(queries), self.space.reach(score)
        blocks = self._blocks(self._counting(allowed, gone), len(plain))
        found = within(plain, blocks, reach, error=self.space.error)
        return [self.numbers[places] for places in found]

    def _all(
        self, near: np.ndarray, plain: np.ndarray, counting: np.ndarray | None, k: int
    ) -> np.ndarray:
        """Candidates for the `k` nearest; if `near` is crowded, with all that float32 cannot tell from them."""
        if not crowded(near, k):
            return near
        halves = self.halves[near]
        keys = widened(self.columns["vectors"].rows(near)) @ plain - halves
        kth = np.partition(keys, -k)[-k:][:1]
        floor = float(
            slack(plain[None], kth, longest=self.space.longest, error=self.space.error)[0]
        )
        distance = np.sqrt(max(float(np.square(plain, dtype=np.float64).sum()) - 2 * floor, 0.0))
        return within(plain[None], self._blocks(counting, 1), distance, error=self.space.error)[0]

    def plan(self, k: float) -> Plan | None:
        """The cheapest plan for so many neighbours; None: compare all rows."""
        return next((plan for plan in self.plans if k <= plan.k), None)

    def _counting(
        self, allowed: np.ndarray | None, gone: np.ndarray | None
    ) -> Bool[np.ndarray, "n"] | None:
        counting = None if allowed is None else np.isin(self.numbers, allowed, assume_unique=True)
        if gone is not None and len(gone):
            counting = np.ones(len(self.numbers), bool) if counting is None else counting
            counting[self.places(gone)] = False
        return counting

    def places(self, numbers: Int[np.ndarray, "m"]) -> Int[np.ndarray, "_"]:
        """Places of the rows that are in the cache."""
        places = np.minimum(np.searchsorted(self.numbers, numbers), len(self.numbers) - 1)
        return places[self.numbers[places] == numbers]

    def _blocks(self, counting: np.ndarray | None, queries: int) -> Blocks:
        size = block_rows(queries)
        out = np.empty((size, self.facts["dim"] + 1), np.float32)
        vectors = self.columns["vectors"]
        chosen = None if counting is None else np.flatnonzero(counting)
        for start in range(0, len(self.numbers) if chosen is None else len(chosen), size):
            if chosen is None:
                places = np.arange(start, min(start + size, len(self.numbers)))
                rows = vectors.block(start, start + len(places))
            else:
                places = chosen[start : start + size]
                rows = vectors.rows(places)
            yield places, sides(rows, out)

    def _proposed(
        self, plain: np.ndarray, k: int, plan: Plan, counting: np.ndarray | None
    ) -> list[np.ndarray]:
        """Candidates from the lists that the map does not rule out."""
        proposed = self.lists.candidates(
            plain, reach=plan.reach, count=plan.count, allowed=counting
        )
        found: list[np.ndarray] = []
        for start in range(0, len(plain), CHUNK):
            found += self._compared(
                plain[start : start + CHUNK], proposed[start : start + CHUNK], k
            )
        return found

    def _compared(self, plain: np.ndarray, proposed: np.ndarray, k: int) -> list[np.ndarray]:
        places = np.sort(proposed, axis=1)
        fresh = places >= 0
        fresh[:, 1:] &= places[:, 1:] != places[:, :-1]
        who, once = np.nonzero(fresh)[0], places[fresh]
        rows = widened(self.columns["vectors"].rows(once))
        keys = np.full(proposed.shape, -np.inf, np.float32)
        keys[fresh] = np.einsum("ij,ij->i", rows, plain[who]) - self.halves[once]
        last = -min(k, proposed.shape[1])
        kth = np.partition(keys, last, axis=1)[:, last]
        near = (
            keys >= slack(plain, kth, longest=self.space.longest, error=self.space.error)[:, None]
        )
        near &= fresh
        return [own[kept] for own, kept in zip(places, near, strict=True)]

    def check(self) -> None:
        """Read every byte.

        Raises:
            DamagedIndex: one is not what was written.
        """
        for column in self.columns.values():
            column.checked[:] = False
            column.check(np.arange(len(column.hashes)))

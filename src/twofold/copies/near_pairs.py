"""All pairs of nearly equal vectors among millions: found in cells, in bounded memory, with a measured recall."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from jaxtyping import Float, Int, Shaped

from twofold.copies.cells import Cells, Space, routed
from twofold.copies.crowds import without_crowds
from twofold.errors import UsageError
from twofold.metrics.intervals import normal_quantile
from twofold.results import Estimate

__all__ = ["NearPairs", "near_pairs"]

TILE = 256
"""Rows whose products with the rows before them are formed at once."""

ROUNDING = 1e-5
"""How far a float32 product may lie below the threshold; scores in float64 then decide."""

PAIRS = 1 << 23
"""Most pairs that are held; beyond it each row keeps fewer of its partners, and the result says
so."""

MOST_PARTNERS = 128
"""Earlier partners that a row keeps at first; halved while there are too many pairs."""

HUGE_CELL = 1 << 15
"""Rows of a cell above which it gets cells of its own."""

PIECE_ROWS = 1 << 13
"""Rows of a cell that one thread compares with those before them: bounds a piece of work."""

GROWN = 4
"""Known cells are planned anew once there are so many times the vectors that they were planned
for."""

SPOILT = 0.75
"""Share of the rows below which crowds have left so few that cells are planned anew."""

CHECKED = 512
"""Rows that measure the recall by exact search."""

ROWS_AT_ONCE = 1 << 16
"""Rows compared bit by bit at once."""

LEAVES_AT_ONCE = 16
"""Leaves handed to the threads at once: bounds the pairs that are waiting."""

STRIP = 512
"""Earlier rows in the first strip, then eight times as many: in a crowd the first strip is often
enough."""


@dataclass(frozen=True, kw_only=True)
class NearPairs:
    """Pairs of rows at or above a score.

    Attributes:
        first, second: rows that stand for themselves, first < second, sorted by (second, first).
        scores: float32, of the contract's kind: larger is more alike.
        same: the row that stands for each: the earliest with exactly the same vector; the centre of
            a crowd, 64 or more rows within half the threshold's distance of it, which are therefore
            near each other; or the row itself.
        most: partners before it that a row keeps, the earliest. capped: rows that had more.
        recall: share of the pairs that were found, measured by exact search for some rows; None:
            the search was exact, or was not checked.
        cells: pass them again with vectors appended, and only pairs with a new vector are looked
            for.
    """

    first: Int[np.ndarray, "pairs"]
    second: Int[np.ndarray, "pairs"]
    scores: Float[np.ndarray, "pairs"]
    same: Int[np.ndarray, "n"]
    most: int
    capped: int
    recall: Estimate | None
    cells: Cells


def near_pairs(
    vectors: Shaped[np.ndarray, "n dim"],
    score: float,
    *,
    distance: str = "cosine",
    crowd: float | None = None,
    known: Cells | None = None,
    check: bool = True,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> NearPairs:
    """All pairs of rows whose score is at least `score`.

    Exact up to 8,192 rows. Above, rows meet in cells (`copies.cells`), as many as it takes for 99.6
    % of trial pairs exactly at the threshold to meet. Memory: 2 bytes per row and cell, 12 per
    pair, 40 per row, and the vectors.

    Args:
        vectors: float32 or float16, or a memory map. Put preferred ones first: if there are too
            many pairs, those with earlier vectors are kept.
        score: cosine similarity, or minus a distance.
        distance: cosine, euclidean or squared_euclidean.
        crowd: score at which one row may stand for another; None: `score`.
        known: cells of the first rows, from an earlier result: pairs among those are not looked for
            again.
        check: measure the recall; costs 512 exact searches.
        progress: called with (done, total) of the rows that were compared, counted in every cell.

    Raises:
        UsageError: another distance, an impossible threshold, vectors that are not finite, or cells
            of more vectors.
    """
    space = Space.of(vectors, score, distance)
    since = 0 if known is None else len(known.assigned)
    if since > len(vectors):
        raise UsageError(
            f"cells of {since} vectors are given with {len(vectors)}: give all, the old ones first"
        )
    cells = _planned(space, known, space if crowd is None else space.at(crowd), seed=seed)
    rows, same = _alone(cells.same), cells.same
    search = _Search(space, since)
    search.run(list(_leaves(space, rows, cells, since=since, seed=seed)), progress)
    first, second = search.trimmed()
    scores = space.scores(first, second)
    first, second, scores = (ends[scores >= score] for ends in (first, second, scores))
    recall = _recall(search, rows, seed=seed) if check and len(cells.pivots) else None
    return NearPairs(
        first=first,
        second=second,
        scores=scores,
        same=same,
        most=search.most,
        capped=int(search.capped.sum()),
        recall=recall,
        cells=cells,
    )


def _planned(space: Space, known: Cells | None, tight: Space, *, seed: int) -> Cells:
    """The cells of all vectors, and what stands for each; known vectors keep theirs."""
    since, everything = 0 if known is None else len(known.assigned), np.arange(len(space.vectors))
    same = _earliest_equal(space.vectors)
    rows = _alone(same)
    old = (
        known
        if known is not None and len(known.pivots) and len(same) <= GROWN * known.planned
        else None
    )
    cells = old.extended(space) if old else routed(space, everything, rows, seed=seed)
    if known is not None:
        same[:since] = known.same
        same = same[same]
    same = without_crowds(tight, cells.members(_alone(same)), same, since=since, seed=seed)
    # most pivots lie in crowds, and are of no use outside
    if old is None and len(_alone(same)) < SPOILT * len(rows):
        cells = routed(space, everything, _alone(same), seed=seed)
    return replace(cells, same=same)


def _alone(same: Int[np.ndarray, "n"]) -> Int[np.ndarray, "_"]:
    """The rows that stand for themselves."""
    return np.flatnonzero(same == np.arange(len(same)))


def _earliest_equal(vectors: Shaped[np.ndarray, "n dim"]) -> Int[np.ndarray, "n"]:
    """For each row the first that equals it bit by bit: by a 64-bit hash, then by comparison."""
    codes = np.empty(len(vectors), np.uint64)
    factors = np.random.default_rng(0).integers(
        0, 2**63, vectors.shape[1], dtype=np.uint64
    ) * np.uint64(2) + np.uint64(1)
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        block = np.ascontiguousarray(vectors[start : start + ROWS_AT_ONCE], np.float32).view(
            np.uint32
        )
        codes[start : start + ROWS_AT_ONCE] = (block * factors).sum(axis=1)
    _, first, number = np.unique(codes, return_index=True, return_inverse=True)
    same = first[number.ravel()]
    twins = np.flatnonzero(same != np.arange(len(vectors)))
    for start in range(0, len(twins), ROWS_AT_ONCE):
        part = twins[start : start + ROWS_AT_ONCE]
        differ = (np.asarray(vectors[part]) != np.asarray(vectors[same[part]])).any(axis=1)
        same[part[differ]] = part[differ]
    return same


@dataclass(frozen=True, kw_only=True)
class _Leaf:
    """Ascending rows; each from place `start` on is compared with all before it."""

    rows: Int[np.ndarray, "m"]
    start: int


def _leaves(
    space: Space, rows: Int[np.ndarray, "n"], cells: Cells, *, since: int, seed: int
) -> Iterator[_Leaf]:
    """Every cell with a row from `since` on, in pieces of bounded work; a huge cell is divided into smaller cells."""
    for cell in cells.members(rows):
        if len(cell) < 2 or cell[-1] < since:
            continue
        if HUGE_CELL < len(cell) < 0.7 * len(rows):
            own = routed(space, cell, cell, seed=seed)
            inside = [cell[places] for places in own.members(np.arange(len(cell)))]
        else:
            inside = [cell]
        for part in inside:
            for start in range(int(np.searchsorted(part, since)), len(part), PIECE_ROWS):
                yield _Leaf(rows=part[: start + PIECE_ROWS], start=start)


Part = tuple[Int[np.ndarray, "pairs"], Int[np.ndarray, "pairs"]]


class _Search:
    """Pairs found so far: at most PAIRS plus those of the leaves in progress.

    Attributes:
        most: partners that a row keeps. capped: rows that had more.
    """

    def __init__(self, space: Space, since: int) -> None:
        self.space, self.since = space, since
        self.most = MOST_PARTNERS
        self.capped = np.zeros(len(space.vectors), bool)
        self.parts: list[Part] = [(np.zeros(0, np.int32), np.zeros(0, np.int32))]
        self.held = 0

    def run(self, leaves: list[_Leaf], progress: Callable[[int, int], None] | None) -> None:
        """Compare within all leaves, in threads, since arithmetic releases the interpreter."""
        total, done = sum(len(leaf.rows) for leaf in leaves), 0
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for start in range(0, len(leaves), LEAVES_AT_ONCE):
                batch = leaves[start : start + LEAVES_AT_ONCE]
                for leaf, part in zip(batch, pool.map(self.compare, batch), strict=True):
                    self.parts.append(part)
                    self.held += len(part[0])
                    done += len(leaf.rows)
                if self.held > PAIRS:
                    self.trimmed()
                if progress:
                    progress(done, total)

    def compare(self, leaf: _Leaf) -> Part:
        """The leaf's pairs at or above the score, up to rounding."""
        left, right = self.space.sides(self.space.plain(leaf.rows))
        found = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
        for low in range(leaf.start, len(leaf.rows), TILE):
            found += self.tile(left, right, np.arange(low, min(low + TILE, len(leaf.rows))))
        first, second = (leaf.rows[np.concatenate(ends)] for ends in zip(*found, strict=True))
        return first.astype(np.int32), second.astype(np.int32)

    def tile(
        self, left: np.ndarray, right: np.ndarray, places: Int[np.ndarray, "m"]
    ) -> Iterator[Part]:
        """Pairs of these places with those before each, in strips; a row with enough partners is dropped."""
        room = np.full(len(places), self.most)
        start, end, width = 0, int(places[-1]), STRIP
        while start < end and len(places):
            stop = min(start + width, end)
            near = left[places] @ right[start:stop].T >= self.space.bound - ROUNDING
            if stop > places[0]:
                near &= np.arange(start, stop) < places[:, None]
            later, earlier = np.divmod(np.flatnonzero(near), stop - start)
            kept = _rank(later) < room[later]
            yield earlier[kept] + start, places[later[kept]]
            room -= np.bincount(later, minlength=len(places))
            places, room = places[room >= 0], room[room >= 0]
            start, width = stop, 8 * STRIP

    def trimmed(self) -> Part:
        """All pairs, sorted; of too many the partners per row are halved until they fit."""
        keys = np.concatenate(
            [second.astype(np.int64) << 32 | first for first, second in self.parts]
        )
        keys = np.unique(keys)  # two rows may meet in several cells
        first, second = (keys & 0xFFFFFFFF).astype(np.int32), (keys >> 32).astype(np.int32)
        while True:
            rank = _rank(second)
            self.capped[second[rank >= self.most]] = True
            first, second = first[rank < self.most], second[rank < self.most]
            if len(first) <= PAIRS // 2 or self.most == 1:
                break
            self.most //= 2
        self.parts, self.held = [(first, second)], len(first)
        return self.parts[0]


def _rank(second: Int[np.ndarray, "pairs"]) -> Int[np.ndarray, "pairs"]:
    """The rank of each pair among those with the same second row; these are adjacent."""
    start = np.flatnonzero(np.diff(second, prepend=-1))
    return np.arange(len(second)) - np.repeat(start, np.diff(start, append=len(second)))


def _recall(search: _Search, rows: Int[np.ndarray, "n"], *, seed: int) -> Estimate | None:
    """Share of the exact pairs of sampled rows that were found; None if there are none."""
    space, (first, second) = search.space, search.parts[0]
    new = rows[rows >= search.since]
    asked = np.sort(
        np.random.default_rng(seed + 1).choice(new, min(CHECKED, len(new)), replace=False)
    )
    left = space.sides(space.plain(asked))[0]
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    for start in range(0, len(rows), TILE * 32):
        block = rows[start : start + TILE * 32]
        one, other = np.nonzero(left @ space.sides(space.plain(block))[1].T >= space.bound)
        one, other = asked[one], block[other]
        told = (one != other) & ~search.capped[np.maximum(one, other)]
        found.append((one[told], other[told]))
    one, other = (np.concatenate(ends) for ends in zip(*found, strict=True))
    counted = space.scores(one, other) >= space.score
    low, high = np.minimum(one, other)[counted], np.maximum(one, other)[counted]
    wanted = np.unique(high * len(search.capped) + low)
    if not len(wanted):
        return None
    keys = second.astype(np.int64) * len(search.capped) + first
    place = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    hits = int((keys[place] == wanted).sum()) if len(keys) else 0
    return _share("recall", hits, len(wanted))


def _share(name: str, hits: int, count: int, *, confidence: float = 0.95) -> Estimate:
    """A share with its interval (Wilson 1927)."""
    z, share = normal_quantile((1 + confidence) / 2), hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * sqrt(share * (1 - share) / count + z * z / (4 * count**2))
    return Estimate(
        name=name,
        value=share,
        low=max(middle - half, 0.0),
        high=min(middle + half, 1.0),
        confidence=confidence,
        unit="pair",
        resampled=count,
    )

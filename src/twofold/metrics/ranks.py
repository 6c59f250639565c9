"""Ranks of the genuine items of every query among all others, counted tile by tile instead of sorted.

Law 4 rules here: two items meet in one tile of scores, which serves both as queries, and only
counts are kept.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from twofold.metrics.glances import Glances, Span
from twofold.metrics.pairs import ScoreBlock, finite

__all__ = ["Ranks", "count_ranks"]

TILE = 512
"""Items per side of a tile: its float32 scores are 1 MB, which stay in a core's cache."""

ENTRIES = 1 << 23
"""Genuine items of all queries that are kept at once: 100 MB."""

CROWDED = 100
"""Sorting is cheaper once more than one item in so many is within the depth, since too many need a
second look."""

SCORES = 1 << 22
"""Scores sorted at once; entries take more memory, so a 32nd as many are handled at once."""

BEYOND = 1 << 30
"""A count larger than any real one: so many impostors rank above that it does not matter."""

Noted = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Query of the chunk, other position, look of their score."""


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """For some queries the impostors above each of their genuine items.

    The genuine items of query q are the entries starts[q] to starts[q + 1], best first.

    Attributes:
        queries: which items these queries are.
        scores: of the genuine items.
        above, level: impostors that score higher, and exactly the same; beyond the query's depth
            any number beyond it.
    """

    queries: Int[np.ndarray, "queries"]
    starts: Int[np.ndarray, "ends"]
    scores: Float[np.ndarray, "entries"]
    above: Int[np.ndarray, "entries"]
    level: Int[np.ndarray, "entries"]


def count_ranks(
    score: ScoreBlock,
    labels: Int[np.ndarray, "n"],
    *,
    depth: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Ranks]:
    """Count the impostors above every genuine item of every query that has one; each query comes in one `Ranks`.

    A query's depth is R, the number of its genuine items, or `depth` if that is more. Each score is
    compared with the lowest score still within the depth, so that few need a second look. For large
    classes (`CROWDED`) the scores of a query are sorted. Memory is linear in the items.

    Args:
        score: scores of items `rows` with items `cols`, the same both ways round. With `Glances`
            most pairs get a rough look only; the counts are exact all the same.
        progress: called with (done, total) scores.

    Raises:
        DataError: a score is not finite.
    """
    gallery = (
        _Glanced(score, labels, depth)
        if isinstance(score, Glances)
        else _Gallery(score, labels, depth)
    )
    if CROWDED * gallery.depth[: gallery.queries].max(initial=0) > len(labels):
        yield from _sorted(gallery, progress)
        return
    chunks = list(gallery.chunks())
    done, total = 0, sum(gallery.work(chunk) for chunk in chunks)
    for chunk in chunks:
        counts = _Counts(gallery, chunk)
        for rows in pairwise(chunk):
            spans = list(gallery.met_by(rows, chunk))
            for found in gallery.each(partial(counts.look, rows), spans):
                counts.note(*found)
            done += (rows[1] - rows[0]) * sum(stop - start for start, stop in spans)
            if progress:
                progress(done, total)
        yield from counts.ranks()


def _sorted(gallery: "_Gallery", progress: Callable[[int, int], None] | None) -> Iterator[Ranks]:
    """Ranks from the sorted scores of every query."""
    items, most = len(gallery.order), int(gallery.genuine.max(initial=1))
    step = max(SCORES // items, 1)
    for first in range(0, gallery.queries, step):
        rows = np.arange(first, min(first + step, gallery.queries))
        scores = gallery.tile((first, int(rows[-1]) + 1), (0, items)).copy()
        counts = gallery.genuine[rows]
        # its own class, adjacent, without the query itself
        col = np.arange(most)[None, :] + gallery.begin[rows][:, None]
        col += col >= rows[:, None]
        kept = np.arange(most)[None, :] < counts[:, None]
        found = scores[np.nonzero(kept)[0], col[kept]]
        scores[np.arange(len(rows)), rows] = -np.inf
        scores.sort(axis=1)
        yield _ranked(gallery.order[rows], counts, found, scores)
        if progress:
            progress((int(rows[-1]) + 1) * items, gallery.queries * items)


def _ranked(
    queries: np.ndarray, counts: np.ndarray, genuine: np.ndarray, scores: np.ndarray
) -> Ranks:
    """Ranks from the genuine scores of every query and its rising scores with all others."""
    starts = np.concatenate([[0], np.cumsum(counts)])
    above, level = (np.zeros(len(genuine), np.int64) for _ in range(2))
    for row, (start, stop) in enumerate(pairwise(starts)):
        own = np.sort(genuine[start:stop])
        higher, reached = (
            len(scores[row])
            - np.searchsorted(scores[row], own, side=side)
            - (len(own) - np.searchsorted(own, own, side=side))
            for side in ("right", "left")
        )
        genuine[start:stop], above[start:stop] = own[::-1], higher[::-1]
        level[start:stop] = (reached - higher)[::-1]
    return Ranks(queries=queries, starts=starts, scores=genuine, above=above, level=level)


class _Gallery:
    """All items, class by class. Items that are alone in their class are not queries and come last.

    Attributes:
        order: the item at each position. All other attributes are about positions.
        genuine: number of genuine items of each. begin, end: positions of its class.
        cuts: borders of tiles, between classes if these are smaller than a tile.
    """

    def __init__(self, score: ScoreBlock, labels: np.ndarray, depth: int) -> None:
        codes = np.unique(labels, return_inverse=True)[1]
        sizes = np.bincount(codes)
        self.order = np.argsort(codes + len(sizes) * (sizes[codes] < 2), kind="stable")
        self.genuine = sizes[codes[self.order]] - 1
        firsts = np.flatnonzero(np.diff(codes[self.order], prepend=-1))
        self.begin = np.repeat(firsts, self.genuine[firsts] + 1)
        self.end = self.begin + self.genuine + 1
        self.depth = np.maximum(self.genuine, depth)
        self.queries = int((self.genuine > 0).sum())
        self.cuts = self._cut(int(np.clip(ENTRIES // max(sizes.max() - 1, 1), 64, TILE)))
        self.score = score

    def _cut(self, size: int) -> list[int]:
        cuts = [0]
        for last in (self.queries, len(self.order)):
            while cuts[-1] < last:
                stop = min(cuts[-1] + size, last)
                border = last if stop == last else int(self.begin[stop])
                cuts.append(border if border > cuts[-1] else stop)
        return cuts

    def chunks(self) -> Iterator[list[int]]:
        """Borders of the tiles of queries whose genuine items fit into memory together."""
        chunk, entries = [0], 0
        for start, stop in pairwise(cut for cut in self.cuts if cut <= self.queries):
            more = int(self.genuine[start:stop].sum())
            if entries and entries + more > ENTRIES:
                yield chunk
                chunk, entries = [start], 0
            chunk.append(stop)
            entries += more
        if entries:
            yield chunk

    def met_by(self, rows: Span, chunk: list[int]) -> Iterator[Span]:
        """The tiles that `rows` have not met: earlier rows of their chunk have handled theirs."""
        return (cols for cols in pairwise(self.cuts) if not chunk[0] <= cols[0] < rows[0])

    def work(self, chunk: list[int]) -> int:
        """Scores that a chunk takes."""
        return sum(
            (stop - start) * (len(self.order) - start + chunk[0]) for start, stop in pairwise(chunk)
        )

    def tile(self, rows: Span, cols: Span) -> np.ndarray:
        scores = self.score(self.order[slice(*rows)], self.order[slice(*cols)])
        with np.errstate(all="ignore"):
            flat = scores.ravel()
            total = np.dot(flat, flat)  # one pass and no mask; finite only if every score is
        return scores if np.isfinite(total) else finite(scores)

    looks = tile
    """What is compared with the bars."""

    each = staticmethod(map)
    """Apply a function to things, in order."""

    def least(self, scores: np.ndarray) -> np.ndarray:
        """The least look of a score: the score itself."""
        return scores

    def surely(self, looks: np.ndarray) -> np.ndarray:
        """The least score of a look: the same number."""
        return looks

    def exact(self, one: np.ndarray, other: np.ndarray, looks: np.ndarray) -> np.ndarray:
        """Exact scores of listed pairs of positions, given their looks."""
        return looks


class _Glanced(_Gallery):
    """A gallery whose tiles are rough looks."""

    def __init__(self, score: Glances, labels: np.ndarray, depth: int) -> None:
        super().__init__(score, labels, depth)
        self.glances, self.look, self.each = score, score.arranged(self.order), score.each

    def looks(self, rows: Span, cols: Span) -> np.ndarray:
        return self.look(slice(*rows), slice(*cols))

    def least(self, scores: np.ndarray) -> np.ndarray:
        return self.glances.least(scores)

    def surely(self, looks: np.ndarray) -> np.ndarray:
        return self.glances.surely(looks)

    def exact(self, one: np.ndarray, other: np.ndarray, looks: np.ndarray) -> np.ndarray:
        return finite(self.glances.pairs(self.order[one], self.order[other]))


class _Counts:
    """Counts for the queries of a chunk, and the lowest score still within the depth of each."""

    def __init__(self, gallery: _Gallery, chunk: list[int]) -> None:
        self.gallery, self.first, self.last = gallery, chunk[0], chunk[-1]
        genuine = gallery.genuine[chunk[0] : chunk[-1]]
        self.starts = np.concatenate([[0], np.cumsum(genuine)])
        self.depth = gallery.depth[chunk[0] : chunk[-1]]
        pieces = [self._genuine(rows) for rows in pairwise(chunk)]
        self.scores = np.concatenate([scores for scores, _ in pieces])
        # counted at the first genuine item that they rank above, or that they do not rank below
        self.higher, self.not_below = (np.zeros(len(self.scores), np.int32) for _ in range(2))
        self._rule_out(np.concatenate([bound for _, bound in pieces]))
        self.waiting: list[Noted] = []
        # settling goes through all entries
        self.noted, self.patience = 0, max(1 << 13, len(self.scores) // 4)
        self.bar = gallery.least(np.full(len(genuine), np.inf, self.scores.dtype))
        self.settle()

    def _genuine(self, rows: Span) -> tuple[np.ndarray, np.ndarray]:
        """Scores of the genuine items of each row, best first; and a score that at least `depth` impostors reach."""
        gallery = self.gallery
        begin, counts = gallery.begin[slice(*rows)], gallery.genuine[slice(*rows)]
        own = np.arange(*rows)
        kin = int(begin[0]), int(gallery.end[rows[1] - 1])
        found, bounds = [], []
        for start in range(kin[0], kin[1], TILE):
            cols = start, min(start + TILE, kin[1])
            tile = gallery.looks(rows, cols)
            row, col = np.nonzero(begin[:, None] == gallery.begin[slice(*cols)][None, :])
            row, col = row[col + start != own[row]], col[col + start != own[row]]
            found.append((row, col + start, gallery.exact(own[row], col + start, tile[row, col])))
            bounds = bounds or [self._bound(tile, rows)]
        row, col, scores = (np.concatenate(each) for each in zip(*found, strict=True))
        table = np.full((len(own), int(counts.max())), -np.inf, scores.dtype)
        table[row, col - begin[row] - (col > own[row])] = scores
        table.sort(axis=1)
        return table[:, ::-1][np.arange(table.shape[1])[None, :] < counts[:, None]], bounds[0]

    def _bound(self, tile: np.ndarray, rows: Span) -> np.ndarray:
        """A score that at least `depth` impostors of each row reach, as this tile shows."""
        deepest = (self.gallery.depth + self.gallery.genuine)[slice(*rows)].max()
        first = tile.shape[1] - int(deepest) - 1
        if first < 0:
            return np.full(len(tile), -np.inf, np.float32)
        # a view would keep the tile
        return self.gallery.surely(np.partition(tile, first, axis=1)[:, first].copy())

    def _rule_out(self, bound: np.ndarray) -> None:
        """Mark genuine items as beyond the depth if `depth` impostors are known to score higher."""
        low, high = self.starts[:-1], self.starts[1:]
        entry = _first(low, high, lambda entry, query: self.scores[entry] < bound[query])
        entry = entry[entry < high]
        self.higher[entry] = self.not_below[entry] = BEYOND

    def look(self, rows: Span, cols: Span) -> Noted:
        """The scores of a tile that matter to its rows, and to its columns if these get no tile as rows."""
        tile = self.gallery.looks(rows, cols)
        row, col = _reaching(tile, self._bars(rows)[:, None])
        if not rows[1] <= cols[0] < self.last:
            return row + (rows[0] - self.first), col + cols[0], tile[row, col]
        below, beside = _reaching(tile, self._bars(cols)[None, :])
        return (
            np.concatenate([row + (rows[0] - self.first), beside + (cols[0] - self.first)]),
            np.concatenate([col + cols[0], below + rows[0]]),
            np.concatenate([tile[row, col], tile[below, beside]]),
        )

    def _bars(self, span: Span) -> np.ndarray:
        return self.bar[span[0] - self.first : span[1] - self.first]

    def note(self, query: np.ndarray, other: np.ndarray, scores: np.ndarray) -> None:
        """Keep the findings of a look until there are enough to count."""
        self.waiting.append((query, other, scores))
        self.noted += len(query)
        if self.noted > self.patience:
            self.settle()

    def settle(self) -> None:
        """Count what was noted, and raise the bars."""
        if self.waiting:
            query, other, scores = map(np.concatenate, zip(*self.waiting, strict=True))
            self.waiting, self.noted = [], 0
            position = query + self.first
            begin, end = self.gallery.begin[position], self.gallery.end[position]
            impostor = (other < begin) | (other >= end)
            query, other, scores = query[impostor], other[impostor], scores[impostor]
            self._count(query, self.gallery.exact(position[impostor], other, scores))
        for part in self._parts():
            starts = self.starts[part.start : part.stop]
            place, above = self._along(self.higher, part)
            counts = np.diff(self.starts[part.start : part.stop + 1])
            inside = place + above < np.repeat(self.depth[part], counts)
            # ranks only grow along a query's genuine items, so those inside the depth come first
            last = starts - 1 + np.add.reduceat(inside.astype(np.int64), starts - starts[0])
            self.bar[part] = self.gallery.least(np.where(last >= starts, self.scores[last], np.inf))

    def _parts(self) -> Iterator[slice]:
        """Queries of about `SCORES` / 32 entries at a time."""
        start = 0
        while start < len(self.starts) - 1:
            most = self.starts[start] + SCORES // 32
            stop = max(int(np.searchsorted(self.starts, most, side="right")) - 1, start + 1)
            yield slice(start, stop)
            start = stop

    def _count(self, query: np.ndarray, scores: np.ndarray) -> None:
        low, high = self.starts[query], self.starts[query + 1]
        beaten = _first(low, high, lambda entry, chosen: self.scores[entry] < scores[chosen])
        np.add.at(self.higher, beaten[beaten < high], 1)
        level = beaten > low
        level[level] = self.scores[beaten[level] - 1] == scores[level]
        equal = scores[level]
        beaten[level] = _first(
            low[level], high[level], lambda entry, chosen: self.scores[entry] <= equal[chosen]
        )
        np.add.at(self.not_below, beaten[beaten < high], 1)

    def _along(self, counts: np.ndarray, part: slice) -> tuple[np.ndarray, np.ndarray]:
        """For each entry of some queries: its place, and the sum of counts up to it."""
        starts = self.starts[part.start : part.stop + 1] - self.starts[part.start]
        mine = counts[self.starts[part.start] : self.starts[part.stop]].astype(np.int64)
        total = np.cumsum(mine)
        before = np.repeat((total - mine)[starts[:-1]], np.diff(starts))
        return np.arange(len(mine)) - np.repeat(starts[:-1], np.diff(starts)), total - before

    def ranks(self) -> Iterator[Ranks]:
        """What was counted."""
        self.settle()
        for part in self._parts():
            start, stop = self.starts[part.start], self.starts[part.stop]
            above = self._along(self.higher, part)[1]
            yield Ranks(
                queries=self.gallery.order[self.first + part.start : self.first + part.stop],
                starts=self.starts[part.start : part.stop + 1] - start,
                scores=self.scores[start:stop],
                above=above,
                level=self._along(self.not_below, part)[1] - above,
            )


def _reaching(tile: np.ndarray, bars: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns at which a tile reaches its bars."""
    return np.divmod(np.flatnonzero(tile >= bars), tile.shape[1])


def _first(
    low: np.ndarray, high: np.ndarray, passed: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """The first passing entry of each range, whose passing entries come last; `high` if none passes."""
    low, high = low.copy(), high.copy()
    while len(chosen := np.flatnonzero(low < high)):
        middle = (low[chosen] + high[chosen]) // 2
        passes = passed(middle, chosen)
        high[chosen] = np.where(passes, middle, high[chosen])
        low[chosen] = np.where(passes, low[chosen], middle + 1)
    return low

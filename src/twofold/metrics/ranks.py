"""Where the genuine items of every query stand among all others: counted tile by tile, so that nothing is ever sorted.

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
"""Items on a side of a tile: its float32 scores are 1 MB, so that both looks at them find them in a core's cache."""

ENTRIES = 1 << 23
"""Genuine items, over all queries, that are kept at a time: 100 MB."""

CROWDED = 100
"""Where one item in so many is within the depth, the few that need a second look are many, and sorting is cheaper."""

SCORES = 1 << 22
"""Scores that are sorted at a time; of entries, of which more is made, a 32nd of it."""

BEYOND = 1 << 30
"""More impostors than there are: it is known that so many stand above that their number does not matter."""

Noted = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Which query of the chunk, which other position, and what its score looks like."""


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """For some queries, what stands above each of their genuine items.

    The genuine items of query q are the entries starts[q] to starts[q + 1], best first.

    Attributes:
        queries: which items these queries are.
        scores: of the genuine items.
        above: impostors that score higher; where that is beyond the query's depth, a number beyond
            it.
        level: impostors of exactly the same score; likewise.
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
    compared with what the last place within the depth takes so far, so that few need a second look;
    where classes are large (`CROWDED`) the scores of a query are sorted instead. Memory is linear
    in the items: never all pairs, nor all genuine pairs.

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
        # own class side by side, the query itself left out
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
    """From the genuine scores of every query, and its scores with all others in rising order."""
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
        genuine[start:stop], above[start:stop], level[start:stop] = (
            own[::-1],
            higher[::-1],
            (reached - higher)[::-1],
        )
    return Ranks(queries=queries, starts=starts, scores=genuine, above=above, level=level)


class _Gallery:
    """All items, class by class. Those that are alone in their class are no queries and stand last.

    Attributes:
        order: which item stands at each position. All other attributes speak of positions.
        genuine: how many genuine items each has. begin, end: where its class stands.
        cuts: borders of tiles, between classes where these are smaller than a tile.
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
        """The tiles that `rows` have not met: of their own chunk those that come before them have seen to it."""
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
    """What the bars are compared with."""

    each = staticmethod(map)
    """A function of each of some things, in their order."""

    def least(self, scores: np.ndarray) -> np.ndarray:
        """What such a score looks like at least: itself."""
        return scores

    def surely(self, looks: np.ndarray) -> np.ndarray:
        """The score that what looks so has at least: the same."""
        return looks

    def exact(self, one: np.ndarray, other: np.ndarray, looks: np.ndarray) -> np.ndarray:
        """Scores of listed pairs of positions that looked so."""
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
    """What has been counted for the queries of a chunk, and the score that the last place of each takes so far."""

    def __init__(self, gallery: _Gallery, chunk: list[int]) -> None:
        self.gallery, self.first, self.last = gallery, chunk[0], chunk[-1]
        genuine = gallery.genuine[chunk[0] : chunk[-1]]
        self.starts = np.concatenate([[0], np.cumsum(genuine)])
        self.depth = gallery.depth[chunk[0] : chunk[-1]]
        pieces = [self._genuine(rows) for rows in pairwise(chunk)]
        self.scores = np.concatenate([scores for scores, _ in pieces])
        # counted at the first genuine item that they stand above, or that they do not stand below
        self.higher, self.not_below = (np.zeros(len(self.scores), np.int32) for _ in range(2))
        self._rule_out(np.concatenate([bound for _, bound in pieces]))
        self.waiting: list[Noted] = []
        # settling goes through all entries
        self.noted, self.patience = 0, max(1 << 13, len(self.scores) // 4)
        self.bar = gallery.least(np.full(len(genuine), np.inf, self.scores.dtype))
        self.settle()

    def _genuine(self, rows: Span) -> tuple[np.ndarray, np.ndarray]:
        """Scores of the genuine items of each row, best first, and a score that as many impostors reach as matter."""
        gallery = self.gallery
        begin, counts, own = (
            gallery.begin[slice(*rows)],
            gallery.genuine[slice(*rows)],
            np.arange(*rows),
        )
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
        first = (
            tile.shape[1] - int((self.gallery.depth + self.gallery.genuine)[slice(*rows)].max()) - 1
        )
        if first < 0:
            return np.full(len(tile), -np.inf, np.float32)
        # a view would keep the tile
        return self.gallery.surely(np.partition(tile, first, axis=1)[:, first].copy())

    def _rule_out(self, bound: np.ndarray) -> None:
        """Genuine items below a score that `depth` impostors reach stand beyond the depth."""
        entry = _first(
            self.starts[:-1],
            self.starts[1:],
            lambda entry, query: self.scores[entry] < bound[query],
        )
        entry = entry[entry < self.starts[1:]]
        self.higher[entry] = self.not_below[entry] = BEYOND

    def look(self, rows: Span, cols: Span) -> Noted:
        """The scores of a tile that matter to its rows, and to those of its columns that do not get a tile as rows."""
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
        """Keep what a look has found, to be counted when there is enough of it."""
        self.waiting.append((query, other, scores))
        self.noted += len(query)
        if self.noted > self.patience:
            self.settle()

    def settle(self) -> None:
        """Count what was noted, and raise the bars."""
        if self.waiting:
            query, other, scores = (
                np.concatenate(each) for each in zip(*self.waiting, strict=True)
            )
            self.waiting, self.noted = [], 0
            position = query + self.first
            impostor = (other < self.gallery.begin[position]) | (
                other >= self.gallery.end[position]
            )
            query, other, scores = query[impostor], other[impostor], scores[impostor]
            self._count(query, self.gallery.exact(position[impostor], other, scores))
        for part in self._parts():
            starts = self.starts[part.start : part.stop]
            place, above = self._along(self.higher, part)
            inside = place + above < np.repeat(
                self.depth[part], np.diff(self.starts[part.start : part.stop + 1])
            )
            # ranks only grow along a query's genuine items, so those inside the depth come first
            last = starts - 1 + np.add.reduceat(inside.astype(np.int64), starts - starts[0])
            self.bar[part] = self.gallery.least(np.where(last >= starts, self.scores[last], np.inf))

    def _parts(self) -> Iterator[slice]:
        """Queries of about `SCORES` / 32 entries at a time."""
        start = 0
        while start < len(self.starts) - 1:
            stop = (
                int(np.searchsorted(self.starts, self.starts[start] + SCORES // 32, side="right"))
                - 1
            )
            yield slice(start, max(stop, start + 1))
            start = max(stop, start + 1)

    def _count(self, query: np.ndarray, scores: np.ndarray) -> None:
        low, high = self.starts[query], self.starts[query + 1]
        beaten = _first(low, high, lambda entry, chosen: self.scores[entry] < scores[chosen])
        np.add.at(self.higher, beaten[beaten < high], 1)
        level = beaten > low
        level[level] = self.scores[beaten[level] - 1] == scores[level]
        beaten[level] = _first(
            low[level],
            high[level],
            lambda entry, chosen: self.scores[entry] <= scores[level][chosen],
        )
        np.add.at(self.not_below, beaten[beaten < high], 1)

    def _along(self, counts: np.ndarray, part: slice) -> tuple[np.ndarray, np.ndarray]:
        """For each entry of some queries: its place in its query, and the sum of counts up to it."""
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
    """Where a tile is not below its bars: rows and columns."""
    return np.divmod(np.flatnonzero(tile >= bars), tile.shape[1])


def _first(
    low: np.ndarray, high: np.ndarray, passed: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """The first entry of each range that passes, where those that pass are its last ones; `high` if none does."""
    low, high = low.copy(), high.copy()
    while len(chosen := np.flatnonzero(low < high)):
        middle = (low[chosen] + high[chosen]) // 2
        passes = passed(middle, chosen)
        high[chosen] = np.where(passes, middle, high[chosen])
        low[chosen] = np.where(passes, low[chosen], middle + 1)
    return low

"""Regions of changed pixels that touch by their sides, found a band of rows at a time.

Kept in memory are the regions that reach the last row so far, and nothing of those that are finished.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

from twofold.metrics.regions import labelled, runs_of, touching

__all__ = ["SUMS", "Finished", "Regions"]

SUMS = np.dtype(
    [
        ("pixels", np.int64),
        ("levels", np.int64),
        ("rows", np.float64),
        ("columns", np.float64),
        ("area", np.float64),
        ("top", np.int64),
        ("left", np.int64),
        ("bottom", np.int64),
        ("right", np.int64),
    ]
)
"""Of a region: its pixels, the sum of their levels, of the rows and columns of their middles, of their areas,
and its box (the last two one beyond)."""

ADDED = ("pixels", "levels", "rows", "columns", "area")


@dataclass(frozen=True, kw_only=True)
class Finished:
    """Regions that no later row can add to.

    Attributes:
        runs: of each region, (row, first column, one more than the last), in order; None where
            outlines were not asked for.
    """

    sums: Shaped[np.ndarray, "regions"]
    runs: list[Int64[np.ndarray, "runs 3"]] | None


class Regions:
    """Takes a map from its first row to its last, and gives regions as they end.

    Args:
        areas: of one pixel, for given rows.
        outlines: whether to keep the runs that outlines are made of.
    """

    def __init__(
        self,
        areas: Callable[[Int64[np.ndarray, "rows"]], Float64[np.ndarray, "rows"]],
        *,
        outlines: bool,
    ) -> None:
        self._areas, self._outlines = areas, outlines
        self._open = np.zeros(0, SUMS)
        # the runs of the last row so far, and the open region of each
        self._edge = np.zeros((0, 3), np.int64), np.zeros(0, np.int64)
        self._held = np.zeros((0, 3), np.int64), np.zeros(0, np.int64)

    def add(
        self,
        top: int,
        levels: Shaped[np.ndarray, "rows columns"],
        changed: Bool[np.ndarray, "rows columns"],
    ) -> Finished:
        """The next rows, from row `top` on; returns the regions that end in or before them."""
        runs = runs_of(changed)
        runs[:, 0] += top
        fresh = self._sums_of(runs, levels, top)
        edge, edge_owner = self._edge
        every = np.concatenate([edge, runs])
        # open regions and new runs are what is linked: an open region counts as one thing
        things = len(self._open) + len(runs)
        owner = np.concatenate([edge_owner, np.arange(len(self._open), things)])
        first, second = touching(every)
        label = labelled(things, owner[first], owner[second])
        merged = _added(np.concatenate([self._open, fresh]), label)
        last = top + len(changed) - 1
        at_end = runs[:, 0] == last
        open_labels = np.unique(label[len(self._open) :][at_end])
        number = np.full(len(merged), -1)
        number[open_labels] = np.arange(len(open_labels))
        finished = self._finish(runs, label, number, merged)
        self._edge = runs[at_end], number[label[len(self._open) :][at_end]]
        self._open = merged[open_labels]
        return finished

    def end(self) -> Finished:
        """The regions that reach the last row."""
        finished = Finished(
            sums=self._open,
            runs=_grouped(*self._held, len(self._open)) if self._outlines else None,
        )
        self._open = self._open[:0]
        return finished

    def _finish(
        self,
        runs: Int64[np.ndarray, "runs 3"],
        label: Int64[np.ndarray, "things"],
        number: Int64[np.ndarray, "labels"],
        merged: Shaped[np.ndarray, "labels"],
    ) -> Finished:
        """The regions without a number are done; the runs of the others are held on."""
        done = np.flatnonzero(number < 0)
        if not self._outlines:
            return Finished(sums=merged[done], runs=None)
        held, held_owner = self._held
        count = len(self._open)
        every = np.concatenate([held, runs])
        owner = np.concatenate([label[:count][held_owner], label[count:]])
        ends = number[owner] < 0
        place = np.full(len(merged), -1)
        place[done] = np.arange(len(done))
        self._held = every[~ends], number[owner[~ends]]
        return Finished(
            sums=merged[done], runs=_grouped(every[ends], place[owner[ends]], len(done))
        )

    def _sums_of(
        self,
        runs: Int64[np.ndarray, "runs 3"],
        levels: Shaped[np.ndarray, "rows columns"],
        top: int,
    ) -> Shaped[np.ndarray, "runs"]:
        found = np.zeros(len(runs), SUMS)
        row, start, end = runs.T
        length = end - start
        found["pixels"] = length
        found["rows"] = (row + 0.5) * length
        found["columns"] = (start + end) / 2 * length
        found["area"] = self._areas(row) * length
        found["top"], found["bottom"] = row, row + 1
        found["left"], found["right"] = start, end
        if len(runs):
            total = np.zeros((levels.shape[0], levels.shape[1] + 1), np.int64)
            np.cumsum(levels, axis=1, dtype=np.int64, out=total[:, 1:])
            found["levels"] = total[row - top, end] - total[row - top, start]
        return found


def _added(
    sums: Shaped[np.ndarray, "things"], label: Int64[np.ndarray, "things"]
) -> Shaped[np.ndarray, "labels"]:
    count = int(label.max()) + 1 if len(label) else 0
    found = np.zeros(count, SUMS)
    for name in ADDED:
        np.add.at(found[name], label, sums[name])
    for name, fold, start in (
        ("top", np.minimum, np.iinfo(np.int64).max),
        ("left", np.minimum, np.iinfo(np.int64).max),
        ("bottom", np.maximum, 0),
        ("right", np.maximum, 0),
    ):
        found[name] = start
        fold.at(found[name], label, sums[name])
    return found


def _grouped(
    runs: Int64[np.ndarray, "runs 3"], owner: Int64[np.ndarray, "runs"], count: int
) -> list[Int64[np.ndarray, "of_one 3"]]:
    """The runs of each owner, in their order."""
    order = np.argsort(owner, kind="stable")
    ends = np.searchsorted(owner[order], np.arange(count + 1))
    return [runs[order[low:high]] for low, high in pairwise(ends)]

"""Between which thresholds scores lie: what millions of pairs are counted by."""

import numpy as np
from jaxtyping import Float, Int

__all__ = ["reached"]

FEW = 32
"""Thresholds up to which numpy's binary search is as fast as a table of cells."""

CELLS = 1 << 16
"""Cells between the lowest and the highest threshold: 512 kB of table, which a cache holds."""

CROWD = 2
"""Thresholds of a cell that scores are compared with; of fuller cells scores are searched for."""


def reached(
    thresholds: Float[np.ndarray, "thresholds"], scores: Float[np.ndarray, "n"]
) -> Int[np.ndarray, "n"]:
    """How many thresholds each score reaches: as `searchsorted(..., side="right")`, but faster.

    A score's cell is a rising function of the score, of thresholds as of scores. Thresholds of
    lower cells are thus reached, those of higher cells are not, and the few of its own cell are
    compared: the answer is exact, whatever the rounding.

    Args:
        thresholds: ascending; the first may be minus infinity.
        scores: finite.
    """
    finite = thresholds[np.isfinite(thresholds)]
    if len(thresholds) <= FEW or len(scores) < CELLS or finite[0] == finite[-1]:
        return np.searchsorted(thresholds, scores, side="right")
    low, rate = finite[0], CELLS / (finite[-1] - finite[0])
    of_thresholds = _cells(thresholds, low, rate)
    count = np.bincount(of_thresholds, minlength=CELLS)
    before = np.cumsum(count) - count
    cells = _cells(scores, low, rate)
    found = before[cells]
    if count.max() <= CROWD:
        following = np.append(thresholds, [np.inf] * CROWD)
        for _ in range(int(count.max())):
            found += following[found] <= scores
        return found
    shared = np.flatnonzero(count[cells])
    found[shared] = np.searchsorted(thresholds, scores[shared], side="right")
    return found


def _cells(values: np.ndarray, low: float, rate: float) -> np.ndarray:
    places = (values - low) * rate
    return np.clip(places, 0, CELLS - 1, out=places).astype(np.int64)

"""Connected regions of a mask, from the runs of its rows: pixels that touch by their sides belong together."""

import numpy as np
from jaxtyping import Bool, Int64

__all__ = ["labelled", "regions", "runs_of", "touching"]


def regions(mask: Bool[np.ndarray, "height width"]) -> Int64[np.ndarray, "height width"]:
    """Regions numbered from 1 in the order of their first pixels, row by row; 0 is background."""
    runs = runs_of(mask)
    number = labelled(len(runs), *touching(runs)) + 1
    row, start, end = runs.T
    width = mask.shape[1]
    # every run adds its number at its start and takes it away at its end
    steps = np.zeros(mask.shape[0] * width + 1, np.int64)
    np.add.at(steps, row * width + start, number)
    np.add.at(steps, row * width + end, -number)
    return np.cumsum(steps[:-1]).reshape(mask.shape)


def runs_of(changed: Bool[np.ndarray, "rows columns"]) -> Int64[np.ndarray, "runs 3"]:
    """(row, first column, one more than the last) of the runs of changed pixels, row by row."""
    padded = np.zeros((changed.shape[0], changed.shape[1] + 2), np.int8)
    padded[:, 1:-1] = changed
    steps = np.diff(padded, axis=1)
    row, start = np.nonzero(steps > 0)
    _, end = np.nonzero(steps < 0)
    return np.stack([row, start, end], axis=1).astype(np.int64)


def touching(
    runs: Int64[np.ndarray, "runs 3"],
) -> tuple[Int64[np.ndarray, "links"], Int64[np.ndarray, "links"]]:
    """Pairs of runs in rows that follow each other which share a column; runs are in order."""
    if not len(runs):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    row, start, end = runs.T
    line = int(end.max()) + 1
    above = (row - 1) * line
    low = np.searchsorted(row * line + end, above + start, side="right")
    high = np.searchsorted(row * line + start, above + end, side="left")
    count = np.maximum(high - low, 0)
    second = np.repeat(np.arange(len(runs)), count)
    before = np.cumsum(count) - count
    first = np.arange(count.sum()) - np.repeat(before, count) + np.repeat(low, count)
    return first, second


def labelled(
    count: int, first: Int64[np.ndarray, "links"], second: Int64[np.ndarray, "links"]
) -> Int64[np.ndarray, "count"]:
    """The component of each of `count` things, numbered from 0 in order of their first members.

    The smallest label spreads over links while chains are cut short (Shiloach & Vishkin 1982): no
    loop over things, of which a noisy map has millions.
    """
    root = np.arange(count)
    while len(first):
        one, other = root[first], root[second]
        apart = one != other
        if not apart.any():
            break
        first, second, one, other = first[apart], second[apart], one[apart], other[apart]
        np.minimum.at(root, np.maximum(one, other), np.minimum(one, other))
        while True:
            shorter = root[root]
            if (shorter == root).all():
                break
            root = shorter
    return np.unique(root, return_inverse=True)[1].astype(np.int64).reshape(count)

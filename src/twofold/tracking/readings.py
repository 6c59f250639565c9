"""What the maps of a search window say: the place of the object, its box, and what tells whether it is the object."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Reading", "Smoothing", "look", "read"]

POINTS = 5
"""Points of a box on each side at which it is compared with the example."""


@dataclass(frozen=True, kw_only=True)
class Smoothing:
    """How much a place may differ from the last one. Chosen on synthetic films.

    Attributes:
        window: share of the cosine window in the score of a cell (Li et al. 2018, section 4.3).
        change: how much a change of size and shape costs.
        rate: how far the size moves towards the new one, at most.
        pull: how far it then goes back to the first one, in logarithms: sizes that are read a
            little too large in each frame would add up.
    """

    window: float = 0.3
    change: float = 0.08
    rate: float = 0.5
    pull: float = 0.1


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The best place of one window.

    Attributes:
        box: (centre x, centre y, width, height) in pixels of the crop.
        logit: of the best cell. margin: how far the best one elsewhere lies below it.
        size: how little width and height differ from what was expected, in (0, 1].
        spread: how much the boxes of the cells about it differ, in shares of its size.
        score: of the cell, with every penalty, in (0, 1).
    """

    box: Float[np.ndarray, "4"]
    logit: float
    margin: float
    size: float
    spread: float
    score: float


def read(
    scores: Float[np.ndarray, "rows columns"],
    sides: Float[np.ndarray, "4 rows columns"],
    *,
    stride: int,
    expected: tuple[float, float],
    smoothing: Smoothing,
    windowed: bool,
) -> Reading:
    """The best place of a window.

    Args:
        scores, sides: as in `TrackMaps`, of one window.
        expected: width and height in pixels of the crop.
        windowed: whether the middle is preferred; not while the object is looked for everywhere.
    """
    rows, columns = scores.shape
    widths, heights = sides[0] + sides[2], sides[1] + sides[3]
    alike = _alike(widths, heights, expected)
    worth = _sigmoid(scores) * np.exp((1 - 1 / alike) * smoothing.change)
    if windowed:
        worth = worth * (1 - smoothing.window) + _hann(rows, columns) * smoothing.window
    row, column = divmod(int(worth.argmax()), columns)
    near = slice(max(row - 1, 0), row + 2), slice(max(column - 1, 0), column + 2)
    boxes = _boxes(sides, near, stride)
    weights = _sigmoid(scores[near]).ravel()
    weights = weights / weights.sum()
    box = weights @ boxes
    apart = np.abs(boxes - box) @ np.array([1.0, 1.0, 0.5, 0.5])
    return Reading(
        box=box,
        logit=float(scores[row, column]),
        margin=float(scores[row, column]) - _elsewhere(scores, (row, column), box, stride),
        size=float(_alike(box[2:3], box[3:4], expected)[0]),
        spread=float(weights @ apart / math.sqrt(box[2] * box[3])),
        score=float(worth[row, column]),
    )


def look(
    features: Sequence[Float[Tensor, "windows channels rows columns"]],
    box: Float[np.ndarray, "4"],
    pixels: int,
    place: int,
) -> list[Float[Tensor, "values"]]:
    """What the maps of one window hold at 5 x 5 points of a box, level by level, each of length 1.

    Args:
        box: in pixels of the crop. pixels: the crop's side. place: which of the windows.
    """
    line = (np.arange(POINTS) + 0.5) / POINTS - 0.5
    across, down = box[0] + line * box[2], box[1] + line * box[3]
    points = np.stack(np.meshgrid(across, down), axis=-1) * (2 / pixels) - 1
    grid = torch.from_numpy(points.astype(np.float32))[None]
    found = []
    for level in features:
        if level.ndim == 4 and level.shape[2] > 1:
            values = F.grid_sample(
                level[place : place + 1].float(),
                grid.to(level.device),
                padding_mode="border",
                align_corners=False,
            )
            found.append(F.normalize(values.flatten(), dim=0))
    return found


def _alike(
    widths: Float[np.ndarray, "..."],
    heights: Float[np.ndarray, "..."],
    expected: tuple[float, float],
) -> Float[np.ndarray, "..."]:
    """How little size and shape differ from what was expected, in (0, 1] (Li et al. 2018, eq. 13)."""
    around = (widths + heights) / 2
    sizes = np.sqrt((widths + around) * (heights + around))
    mean = sum(expected) / 2
    size = math.sqrt((expected[0] + mean) * (expected[1] + mean))
    shapes = (widths / heights) * (expected[1] / expected[0])
    return np.minimum(sizes / size, size / sizes) * np.minimum(shapes, 1 / shapes)


def _boxes(
    sides: Float[np.ndarray, "4 rows columns"], near: tuple[slice, slice], stride: int
) -> Float[np.ndarray, "cells 4"]:
    """(centre x, centre y, width, height) of some cells."""
    left, top, right, bottom = sides[:, near[0], near[1]]
    down = (np.arange(near[0].start, near[0].start + left.shape[0])[:, None] + 0.5) * stride
    across = (np.arange(near[1].start, near[1].start + left.shape[1])[None] + 0.5) * stride
    middle = across + (right - left) / 2, down + (bottom - top) / 2
    found = np.stack([*middle, left + right, top + bottom], axis=-1)
    return found.reshape(-1, 4).astype(np.float64)


def _elsewhere(
    scores: Float[np.ndarray, "rows columns"],
    cell: tuple[int, int],
    box: Float[np.ndarray, "4"],
    stride: int,
) -> float:
    """The best logit outside half a box around the peak."""
    reach = [max(2, round(float(side) / 2 / stride)) for side in (box[3], box[2])]
    others = scores.copy()
    rows, columns = (
        slice(max(place - far, 0), place + far + 1) for place, far in zip(cell, reach, strict=True)
    )
    others[rows, columns] = -np.inf
    best = float(others.max())
    return best if math.isfinite(best) else float(scores.min())


def _sigmoid(values: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    return 1 / (1 + np.exp(-np.clip(values, -30, 30)))


def _hann(rows: int, columns: int) -> Float[np.ndarray, "rows columns"]:
    return np.outer(np.hanning(rows + 2)[1:-1], np.hanning(columns + 2)[1:-1])

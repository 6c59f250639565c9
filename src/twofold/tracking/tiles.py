"""Windows that cover a whole frame, in the order in which a lost object is looked for."""

import math
from collections.abc import Sequence

import numpy as np

from twofold.tracking.windows import Window

__all__ = ["tiles"]

FACTORS = (1.0, 1.5, 1.0, 1.0, 0.75)
"""Sides of the windows over that of a search window: the size that the object had comes most often."""

STEP = 0.65
"""Between two windows, in sides: the object takes a quarter of a side, and is whole in one of them at least."""

MOST = 24
"""Windows of one pass over the frame: small objects are looked for in larger windows."""


def tiles(size: tuple[int, int], side: float, pixels: int) -> Sequence[Window]:
    """The windows of one round: the whole frame, several times, at several sizes.

    Args:
        size: height and width of the frame. side: of a search window, in pixels of the frame.
    """
    found: list[Window] = []
    for factor in FACTORS:
        found += _spread(_pass(size, _enlarged(size, side * factor), pixels))
    return found


def _enlarged(size: tuple[int, int], side: float) -> float:
    """The side at which one pass takes `MOST` windows at most."""
    while math.prod(_count(length, side) for length in size) > MOST:
        side *= 1.1
    return side


def _count(length: int, side: float) -> int:
    return 1 + max(0, math.ceil((length - side) / (side * STEP)))


def _pass(size: tuple[int, int], side: float, pixels: int) -> list[Window]:
    whole = max(round(side), 1)
    tops, lefts = (_starts(length, whole) for length in size)
    return [Window(left, top, whole, pixels) for top in tops for left in lefts]


def _starts(length: int, side: int) -> list[int]:
    """Evenly spread; a window larger than the frame lies about its middle."""
    count = _count(length, side)
    if count == 1:
        return [(length - side) // 2]
    return np.linspace(0, length - side, count).round().astype(int).tolist()


def _spread(windows: list[Window]) -> list[Window]:
    """Windows that follow each other lie apart, so that half a pass has looked everywhere a little."""
    return windows[::2] + windows[1::2]

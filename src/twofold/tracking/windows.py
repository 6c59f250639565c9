"""Square windows of a frame, resampled to what a twin reads.

The geometry is that of SiamFC (Bertinetto et al. 2016, section 2): around a box of width w and height
h lies an exemplar of the side sqrt((w + p)(h + p)), p = (w + h) / 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Window", "around", "context_side", "crops", "mean_colour"]

Frame = UInt8[np.ndarray, "height width 3"]

EVERY = 16
"""Pixels between those of which a frame's mean colour is taken: it fills what lies outside, nothing more."""

FINE = 4
"""Pixels of the frame per pixel of the crop, each way, that are averaged at most; of more, some are skipped."""


@dataclass(frozen=True)
class Window:
    """A square of whole pixels of the frame; it may reach beyond it.

    Attributes:
        left, top, side: in pixels of the frame.
        pixels: the side of what it is resampled to.
    """

    left: int
    top: int
    side: int
    pixels: int

    @property
    def scale(self) -> float:
        """Pixels of the crop per pixel of the frame."""
        return self.pixels / self.side

    def to_frame(self, box: Float[np.ndarray, "4"]) -> Float[np.ndarray, "4"]:
        """(centre x, centre y, width, height) in the crop -> the same in the frame."""
        return box / self.scale + np.array([self.left, self.top, 0.0, 0.0])

    def to_crop(self, box: Float[np.ndarray, "4"]) -> Float[np.ndarray, "4"]:
        """(centre x, centre y, width, height) in the frame -> the same in the crop."""
        return (box - np.array([self.left, self.top, 0.0, 0.0])) * self.scale


def context_side(width: float, height: float) -> float:
    """The side of the exemplar around a box."""
    around = (width + height) / 2
    return ((width + around) * (height + around)) ** 0.5


def around(x: float, y: float, side: float, pixels: int) -> Window:
    """The window about a point, of about this side."""
    whole = max(round(side), 1)
    return Window(round(x - whole / 2), round(y - whole / 2), whole, pixels)


def mean_colour(frame: Frame) -> UInt8[Tensor, "3"]:
    """What the twin sees outside the frame."""
    return torch.from_numpy(frame[::EVERY, ::EVERY].mean((0, 1)).astype(np.uint8))


def crops(
    frame: Frame, windows: Sequence[Window], fill: UInt8[Tensor, "3"]
) -> UInt8[Tensor, "windows 3 pixels pixels"]:
    """The windows of a frame, resampled bilinearly with antialiasing; all have the same `pixels`."""
    pixels = windows[0].pixels
    shape = (len(windows), 3, pixels, pixels)
    found = torch.empty(shape, dtype=torch.uint8, memory_format=torch.channels_last)
    for place, window in enumerate(windows):
        _fill(found[place], frame, window, fill)
    return found


def _fill(
    crop: UInt8[Tensor, "3 pixels pixels"],
    frame: Frame,
    window: Window,
    fill: UInt8[Tensor, "3"],
) -> None:
    """The part that lies in the frame is resampled to its part of the crop."""
    rows = _shared(window.top, window, frame.shape[0])
    columns = _shared(window.left, window, frame.shape[1])
    (top, bottom, first, last), (left, right, start, end) = rows, columns
    if last - first < window.pixels or end - start < window.pixels:
        crop[:] = fill[:, None, None]
    if last <= first or end <= start:
        return
    # on whole pixels, so that one quick kernel for bytes does it all
    step = max(1, window.side // (FINE * window.pixels))
    part = torch.from_numpy(frame[top:bottom:step, left:right:step].copy()).permute(2, 0, 1)
    crop[:, first:last, start:end] = F.interpolate(
        part[None], size=(last - first, end - start), mode="bilinear", antialias=True
    )[0]


def _shared(begin: int, window: Window, length: int) -> tuple[int, int, int, int]:
    """First and last pixel of the frame in the window, and which of the crop they become."""
    low, high = max(begin, 0), min(begin + window.side, length)
    return low, high, round((low - begin) * window.scale), round((high - begin) * window.scale)

"""Where two pictures differ: the one laid over the other, and the difference between them."""

from typing import Any

import numpy as np
import PIL.Image
from jaxtyping import UInt8

from twofold.copies.comparing import Judge, detail_pixels, matrix_of, reduced
from twofold.copies.reading import Collection, picture_seen
from twofold.copies.registration import Apart, lay_over
from twofold.errors import UnreadableInput
from twofold.inputs.image import Image

__all__ = ["differing"]

SIDE = 320
"""Pixels of the longer side that a page shows."""

LOUDER = 4.0
"""Amplification of differences: a good JPEG shows nothing, a changed digit everything."""

Shown = UInt8[np.ndarray, "height width 3"]


def differing(kept: Any, copy: Any) -> tuple[Shown, Shown, Shown] | None:
    """The kept picture, the copy in its frame, and where they differ, in red; None where they cannot be laid over."""
    try:
        seen = tuple(
            picture_seen(value, str(place), Image(size=128))
            for place, value in enumerate((kept, copy))
        )
        details = [reduced(detail_pixels(value), SIDE) for value in (kept, copy)]
    except UnreadableInput:
        return None
    known = Collection(ids=("kept", "copy"), values=(kept, copy), seen=seen)
    placed = Judge(collection=known).place([(0, 1)])[0]
    matrix = matrix_of(placed, details[placed.way.one].shape, details[placed.way.other].shape)
    if placed.way.one == 1:
        turned = np.linalg.inv(np.vstack([matrix, [0.0, 0.0, 1.0]]))
        matrix = turned[:2]
    laid = lay_over(details[0], details[1], matrix)
    if isinstance(laid, Apart):
        return None
    apart = np.abs(laid.one - laid.other).max(axis=2) * LOUDER * laid.inside
    grey = 96 + 0.4 * laid.one[:, :, 0]
    shown = np.stack([np.maximum(grey, apart), grey - apart / 2, grey - apart / 2], axis=2)
    return (
        _rgb(laid.one),
        _rgb(laid.other * laid.inside[:, :, None] + 128 * ~laid.inside[:, :, None]),
        _bytes(shown),
    )


def _rgb(image: np.ndarray) -> Shown:
    return np.asarray(PIL.Image.fromarray(_bytes(image), mode="YCbCr").convert("RGB"))


def _bytes(image: np.ndarray) -> Shown:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)

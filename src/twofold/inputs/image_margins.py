"""Plain margins of pictures: those of a product on white, or of a drawing on a page."""

import numpy as np
import PIL.Image
from jaxtyping import Bool, UInt8

__all__ = ["trimmed"]

LIKE = 12
"""Levels of 255 by which a margin differs from its own colour at most: JPEG does not reach it on a plain surface."""

PLAIN = 0.95
"""Share of the picture's border that has one colour, if there is a margin."""

BORDER = 2
"""Pixels of the border that are looked at."""


def trimmed(
    picture: PIL.Image.Image,
    shape: tuple[int, int],
    *,
    proportions: float = 1.0,
    background: int = 255,
) -> PIL.Image.Image:
    """The smallest frame of that shape (height, width) around all that is not margin.

    The frame is filled up with the margin's colour where it reaches beyond the picture. A picture
    without a margin stays as it is, unless its proportions are evened: then it is framed as what
    somebody else has cut out.

    Args:
        proportions: the shorter side of what is framed, as a share of the frame's, is raised to
            this power: 1 keeps it, 0 stretches it over the frame.
        background: grey value of the frame around what somebody else has cut out.
    """
    pixels = np.asarray(picture)
    levels = pixels.reshape(*pixels.shape[:2], -1)
    border = np.concatenate(
        [
            levels[:BORDER].reshape(-1, levels.shape[2]),
            levels[-BORDER:].reshape(-1, levels.shape[2]),
            levels[:, :BORDER].reshape(-1, levels.shape[2]),
            levels[:, -BORDER:].reshape(-1, levels.shape[2]),
        ]
    )
    colour = np.median(border, axis=0).astype(np.uint8)
    seen, spoiled = _apart(levels, colour), _apart(border, colour)
    # what lies mostly at the border is what a thick stroke leaves free of the box around it
    if spoiled.mean() <= 1 - PLAIN and seen.sum() > 2 * spoiled.sum():
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        box = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
        picture = picture.crop(box)
    elif proportions == 1:
        return picture
    else:
        colour = np.full_like(colour, background)
    return _framed(_widened(picture, shape, proportions), shape, tuple(colour.tolist()))


def _apart(
    levels: UInt8[np.ndarray, "*places channels"], colour: UInt8[np.ndarray, "channels"]
) -> Bool[np.ndarray, "*places"]:
    """Which pixels are of another colour than the margin."""
    return np.any(np.abs(levels.astype(np.int16) - colour) > LIKE, axis=-1)


def _widened(
    inside: PIL.Image.Image, shape: tuple[int, int], proportions: float
) -> PIL.Image.Image:
    """The picture with its shorter side stretched; shorter and longer are meant in shares of `shape`."""
    if proportions == 1:
        return inside
    scale = max(inside.height / shape[0], inside.width / shape[1])
    sides = [
        max(round(scale * whole * (side / (scale * whole)) ** proportions), 1)
        for side, whole in ((inside.width, shape[1]), (inside.height, shape[0]))
    ]
    return inside.resize((sides[0], sides[1]), PIL.Image.Resampling.BILINEAR)


def _framed(
    inside: PIL.Image.Image, shape: tuple[int, int], colour: tuple[int, ...]
) -> PIL.Image.Image:
    """In the middle of a plain frame that has the proportions of `shape`."""
    scale = max(inside.height / shape[0], inside.width / shape[1])
    width, height = max(round(scale * shape[1]), 1), max(round(scale * shape[0]), 1)
    page = PIL.Image.new(inside.mode, (width, height), colour)
    page.paste(inside, ((width - inside.width) // 2, (height - inside.height) // 2))
    return page

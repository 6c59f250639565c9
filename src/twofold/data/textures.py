"""Surfaces that are drawn, or cut from pictures: for synthetic films."""

from collections.abc import Sequence

import numpy as np
import PIL.Image
import PIL.ImageDraw
from jaxtyping import UInt8

__all__ = ["clutter", "texture"]

Picture = UInt8[np.ndarray, "... 3"]

OCTAVES = (4, 8, 16, 32, 64)
"""Cells on a side of the noises that are added up, coarse to fine."""

SHAPES = 25, 60
"""Things that lie about on a backdrop."""


def texture(
    draw: np.random.Generator, size: tuple[int, int], pictures: Sequence[Picture] = ()
) -> Picture:
    """A surface: cut from a picture, if there are any; else noise between two colours, or stripes.

    Args:
        size: height and width.
    """
    if pictures:
        return _cut(draw, size, pictures[int(draw.integers(len(pictures)))])
    values = _noise(draw, size)
    if draw.random() < 0.3:
        values = 0.3 * values + 0.7 * _stripes(draw, size)
    dark, light = draw.integers(0, 256, (2, 3))
    return (dark + values[:, :, None] * (light - dark)).clip(0, 255).astype(np.uint8)


def clutter(
    draw: np.random.Generator, size: tuple[int, int], pictures: Sequence[Picture] = ()
) -> Picture:
    """A backdrop: a surface, and many things on it."""
    found = PIL.Image.fromarray(texture(draw, size, pictures))
    pen = PIL.ImageDraw.Draw(found)
    for _ in range(0 if pictures else int(draw.integers(*SHAPES))):
        x, y = draw.uniform(0, 1, 2) * (size[1], size[0])
        reach = np.exp(draw.uniform(np.log(6), np.log(70), 2))
        colours = tuple(map(int, draw.integers(0, 256, 3)))
        box = [x - reach[0], y - reach[1], x + reach[0], y + reach[1]]
        if draw.random() < 0.4:
            patch = texture(draw, (round(2 * reach[1]) + 1, round(2 * reach[0]) + 1))
            found.paste(PIL.Image.fromarray(patch), (round(box[0]), round(box[1])))
        else:
            (pen.ellipse, pen.rectangle)[int(draw.integers(2))](box, fill=colours)
    return np.asarray(found)


def _cut(draw: np.random.Generator, size: tuple[int, int], picture: Picture) -> Picture:
    """A part of a picture, of the same shape, resampled."""
    rows, columns = picture.shape[:2]
    largest = min(rows / size[0], columns / size[1])
    factor = largest * draw.uniform(0.4, 1.0)
    height, width = max(1, int(size[0] * factor)), max(1, int(size[1] * factor))
    top, left = (
        int(draw.integers(0, total - part + 1))
        for total, part in ((rows, height), (columns, width))
    )
    part = PIL.Image.fromarray(
        np.ascontiguousarray(picture[top : top + height, left : left + width])
    )
    if draw.random() < 0.5:
        part = part.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(part.resize((size[1], size[0]), PIL.Image.Resampling.BICUBIC))


def _noise(draw: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Noise of several octaves, in [0, 1]."""
    total = np.zeros(size)
    fall = draw.uniform(0.5, 1.0)
    for number, cells in enumerate(OCTAVES):
        grid = PIL.Image.fromarray(draw.random((cells, cells)).astype(np.float32))
        wide = grid.resize((size[1], size[0]), PIL.Image.Resampling.BICUBIC)
        total += fall**number * np.asarray(wide)
    low, high = total.min(), total.max()
    return (total - low) / max(high - low, 1e-9)


def _stripes(draw: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Parallel bands of a random direction and width, 0 and 1."""
    angle, period = draw.uniform(0, np.pi), draw.uniform(6, 40)
    down, across = np.mgrid[: size[0], : size[1]]
    return ((across * np.cos(angle) + down * np.sin(angle)) // period % 2).astype(float)

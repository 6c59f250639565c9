"""A scene or a part of it as a small picture of 8 bits, for a page; never more than a band of rows in memory."""

import numpy as np
from jaxtyping import Float, UInt8

from twofold.inputs.raster_source import Source

__all__ = ["overview", "stretch", "stretched"]

BAND_VALUES = 16_777_216
"""Values of a window that is read at once, 64 MB in 32 bits."""

DARK, LIGHT = 2.0, 98.0
"""Percentiles that become black and white where values are not 8 bits already."""


def overview(
    source: Source, factor: int, box: tuple[int, int, int, int] | None = None
) -> Float[np.ndarray, "rows columns colours"]:
    """Means over squares of `factor` pixels, NaN where no pixel holds a value.

    Args:
        box: first row and column, and one more than the last; None: the whole scene.
    """
    first_row, first_column, end_row, end_column = box or (0, 0, source.height, source.width)
    bands, width = list(source.colours()), end_column - first_column
    rows, columns = -(-(end_row - first_row) // factor), -(-width // factor)
    found = np.full((rows, columns, len(bands)), np.nan, np.float32)
    lines = max(1, BAND_VALUES // (width * source.bands * factor))
    across = np.arange(0, width, factor)
    for first in range(0, rows, lines):
        top = first_row + first * factor
        height = min(lines * factor, end_row - top)
        area = (top, first_column, height, width)
        valid = source.valid(*area)
        values = source.window(*area)[bands].astype(np.float64)
        down = np.arange(0, height, factor)
        counts = _sums(valid.astype(np.float64)[None], down, across)
        sums = _sums(np.where(valid, values, 0), down, across)
        part = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
        found[first : first + len(down)] = part.transpose(1, 2, 0)
    return found


def _sums(
    values: Float[np.ndarray, "bands rows columns"], down: np.ndarray, across: np.ndarray
) -> Float[np.ndarray, "bands small_rows small_columns"]:
    return np.add.reduceat(np.add.reduceat(values, across, axis=2), down, axis=1)


def stretch(
    picture: Float[np.ndarray, "rows columns colours"], dtype: str
) -> Float[np.ndarray, "2 colours"]:
    """The values that are shown black and white, for each colour; 8 bits are shown as they are."""
    colours = picture.shape[2]
    if dtype == "uint8" or not np.isfinite(picture).any():
        return np.array([[0.0] * colours, [255.0] * colours])
    return np.nanpercentile(picture.reshape(-1, colours), [DARK, LIGHT], axis=0)


def stretched(
    picture: Float[np.ndarray, "rows columns colours"], bounds: Float[np.ndarray, "2 colours"]
) -> UInt8[np.ndarray, "rows columns 3"]:
    """8 bits, RGB; black where there is no value."""
    span = np.maximum(bounds[1] - bounds[0], 1e-12)
    known = np.where(np.isfinite(picture), picture, bounds[0])
    found = np.rint(np.clip((known - bounds[0]) / span, 0, 1) * 255).astype(np.uint8)
    return found if found.shape[2] == 3 else np.repeat(found[:, :, :1], 3, axis=2)

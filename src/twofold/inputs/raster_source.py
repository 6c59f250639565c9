"""Where the pixels of a raster come from: a window at a time, values as stored; and what a few windows say of all.

Memory does not depend on the size of the scene.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Shaped

from twofold.errors import NotEnoughData, UnreadableInput

__all__ = ["ArraySource", "ColourSource", "Place", "Source", "Statistics", "checked", "statistics"]

Place = tuple[float, float, float, float, float, float]
"""x = a column + b row + c, y = d column + e row + f, as (a, b, c, d, e, f): corners of pixels on the map."""

SAMPLE_PIXELS = 4_194_304
"""Pixels that statistics are taken from: a mean of so many is known to a thousandth of a deviation, and both
dates of 13 bands in 16 bits take 100 MB, a window at a time."""

SAMPLE_WINDOW = 256
"""Pixels a side of the windows of the sample: the usual size of a tile in a file."""


@runtime_checkable
class Source(Protocol):
    """An open raster; a context manager that closes its file.

    Attributes:
        path: of the file; None for an array.
        bands: without those that say which pixels are valid (alpha).
        dtype: of the stored values, a name of numpy.
        nodata: the value of pixels that hold none, if the file declares one.
        crs: the coordinate reference system, "EPSG:32633" or WKT; None where the file has none.
        transform: from pixels to coordinates; None where the file has none.
    """

    @property
    def path(self) -> Path | None: ...

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def bands(self) -> int: ...

    @property
    def dtype(self) -> str: ...

    @property
    def nodata(self) -> float | None: ...

    @property
    def crs(self) -> str | None: ...

    @property
    def transform(self) -> Place | None: ...

    def window(
        self, row: int, column: int, height: int, width: int
    ) -> Shaped[np.ndarray, "bands height width"]:
        """The values of a window that lies inside, as stored."""
        ...

    def valid(
        self, row: int, column: int, height: int, width: int
    ) -> Bool[np.ndarray, "height width"]:
        """Which pixels of a window hold a value: by nodata, mask, alpha; NaN never does."""
        ...

    def colours(self) -> tuple[int, ...]:
        """The bands to show, 0-based: red, green, blue, or one."""
        ...

    def __enter__(self) -> "Source": ...

    def __exit__(self, *_: object) -> None: ...


@dataclass(kw_only=True)
class ArraySource:
    """A raster that is in memory: an array, or a picture file of ordinary size."""

    array: Shaped[np.ndarray, "bands height width"]
    mask: Bool[np.ndarray, "height width"] | None = None
    path: Path | None = None
    nodata: float | None = None
    crs: str | None = None
    transform: Place | None = None

    @property
    def height(self) -> int:
        return self.array.shape[1]

    @property
    def width(self) -> int:
        return self.array.shape[2]

    @property
    def bands(self) -> int:
        return self.array.shape[0]

    @property
    def dtype(self) -> str:
        return str(self.array.dtype)

    def window(
        self, row: int, column: int, height: int, width: int
    ) -> Shaped[np.ndarray, "bands height width"]:
        checked(self, (row, column, height, width))
        return self.array[:, row : row + height, column : column + width]

    def valid(
        self, row: int, column: int, height: int, width: int
    ) -> Bool[np.ndarray, "height width"]:
        checked(self, (row, column, height, width))
        part = self.array[:, row : row + height, column : column + width]
        found = np.asarray(np.isfinite(part).all(axis=0))
        if self.nodata is not None:
            found &= (part != self.nodata).any(axis=0)
        if self.mask is not None:
            found &= self.mask[row : row + height, column : column + width]
        return found

    def colours(self) -> tuple[int, ...]:
        return usual_colours(self.bands)

    def __enter__(self) -> "ArraySource":
        return self

    def __exit__(self, *_: object) -> None:
        pass


class ColourSource:
    """The three bands of a raster that are shown; a grey one thrice."""

    bands = 3

    def __init__(self, source: Source) -> None:
        self.source = source
        self.path, self.crs, self.transform = source.path, source.crs, source.transform
        self.height, self.width = source.height, source.width
        self.dtype, self.nodata = source.dtype, source.nodata
        self._kept = [*source.colours()] if len(source.colours()) == 3 else [0, 0, 0]

    def window(
        self, row: int, column: int, height: int, width: int
    ) -> Shaped[np.ndarray, "3 height width"]:
        return self.source.window(row, column, height, width)[self._kept]

    def valid(
        self, row: int, column: int, height: int, width: int
    ) -> Bool[np.ndarray, "height width"]:
        return self.source.valid(row, column, height, width)

    def colours(self) -> tuple[int, ...]:
        return 0, 1, 2

    def __enter__(self) -> "ColourSource":
        self.source.__enter__()
        return self

    def __exit__(self, *given: object) -> None:
        self.source.__exit__(*given)


def usual_colours(bands: int) -> tuple[int, ...]:
    """The bands to show where a file does not say: of Sentinel-2's 13 or 12 the fourth, third and second."""
    if bands < 3:
        return (0,)
    return (3, 2, 1) if bands >= 12 else (0, 1, 2)


def checked(source: Source, area: tuple[int, int, int, int]) -> None:
    """Refuse a window (row, column, height, width) that does not lie inside: cut in silence it would be smaller."""
    row, column, height, width = area
    inside = (
        min(row, column) >= 0 and row + height <= source.height and column + width <= source.width
    )
    if not inside or height < 1 or width < 1:
        raise UnreadableInput(
            f"a window of {height} x {width} at row {row}, column {column} does not lie in a raster "
            f"of {source.height} x {source.width}"
        )


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Mean and standard deviation of each band, and the share of pixels that hold a value, in a sample."""

    mean: Float[np.ndarray, "bands"]
    std: Float[np.ndarray, "bands"]
    valid: float


def statistics(source: Source) -> Statistics:
    """Of a deterministic sample of windows: of all pixels where there are at most 4 million.

    Returns:
        Means and standard deviations in float64; the deviation of a band that is constant is 1.

    Raises:
        NotEnoughData: no pixel of the sample holds a value.
    """
    count, total, square, seen = 0, 0.0, 0.0, 0
    shift = None
    for row, column, height, width in _sample(source.height, source.width):
        valid = source.valid(row, column, height, width)
        seen += valid.size
        if not valid.any():
            continue
        values = source.window(row, column, height, width)[:, valid].astype(np.float64)
        if shift is None:  # sums of squares about a first guess of the mean lose no digits
            shift = values.mean(axis=1)
        values -= shift[:, None]
        count += values.shape[1]
        total = total + values.sum(axis=1)
        square = square + (values**2).sum(axis=1)
    if shift is None:
        raise NotEnoughData(
            f"{source.path or 'the array'} holds no valid pixel: all are nodata or masked; check "
            f"its nodata value ({source.nodata})"
        )
    mean = total / count
    variance = np.maximum(square / count - mean**2, 0.0)
    std = np.where(variance > 0, np.sqrt(variance), 1.0)
    return Statistics(mean=shift + mean, std=std, valid=count / seen)


def _sample(height: int, width: int) -> Iterator[tuple[int, int, int, int]]:
    """Windows on a regular grid, (row, column, height, width), with at most SAMPLE_PIXELS in all."""
    down, across = -(-height // SAMPLE_WINDOW), -(-width // SAMPLE_WINDOW)
    step = 1
    while -(-down // step) * -(-across // step) * SAMPLE_WINDOW**2 > SAMPLE_PIXELS:
        step += 1
    first_row, first_column = ((min(step, count) - 1) // 2 for count in (down, across))
    for row in range(first_row, down, step):
        for column in range(first_column, across, step):
            top, left = row * SAMPLE_WINDOW, column * SAMPLE_WINDOW
            yield top, left, min(SAMPLE_WINDOW, height - top), min(SAMPLE_WINDOW, width - left)

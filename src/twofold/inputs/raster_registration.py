"""By how many pixels one raster is shifted against another, and the second one laid on the first.

Phase correlation (Kuglin & Hines 1975) of the directions of edges: light, season and even a reversal
of contrast move them little.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Complex, Float, Shaped

from twofold.inputs.raster_source import Place, Source, checked
from twofold.results import Shift

__all__ = ["ShiftedSource", "registration"]

LARGEST_WINDOW = 512
"""Pixels a side: shifts of up to a quarter of it are found."""

SMALLEST_WINDOW = 64
"""Pixels a side: in less, the edges of a few objects decide."""

WINDOWS_PER_SIDE = 4
"""Up to sixteen windows measure a scene: a median of them bears with five that changed altogether."""

MOST_MISSING = 0.2
"""Share of a window's pixels without a value; a window with more measures the border of nodata."""

SMOOTH = 0.15
"""Deviation of the Gaussian, in cycles per pixel, that the spectrum is weighted with: detail finer than
three pixels is noise and aliasing between two dates."""

CLEAR_PEAK = 7.0
"""Height of a peak in deviations of the surface: noise of 512 x 512 places reaches five or six."""

NEAR = 0.75
"""Pixels from the median within which a window agrees."""


def registration(before: Source, after: Source) -> Shift | None:
    """How far things in `after` lie below and to the right of where they are in `before`.

    The median over windows, measured twice: around zero, and around the whole pixels found at first.

    Returns:
        None where nothing can be measured: too small, too empty, or no window shows a clear peak.
    """
    rough = _measured(before, after, (0, 0))
    if rough is None:
        return None
    whole = (round(rough.rows), round(rough.columns))
    return (_measured(before, after, whole) if any(whole) else None) or rough


def _measured(before: Source, after: Source, offset: tuple[int, int]) -> Shift | None:
    """The shift from windows of `after` that are taken `offset` pixels further."""
    found = []
    for row, column, side in _windows(before, offset):
        area = (row, column, side, side)
        moved = (row + offset[0], column + offset[1], side, side)
        if (peak := _peak(_edges(before, area), _edges(after, moved))) is not None:
            found.append((offset[0] + peak[0], offset[1] + peak[1]))
    if not found:
        return None
    shifts = np.array(found)
    median = np.median(shifts, axis=0)
    agree = np.hypot(*(shifts - median).T) <= NEAR
    return Shift(
        rows=float(median[0]),
        columns=float(median[1]),
        windows=len(found),
        agreement=float(agree.mean()),
    )


def _windows(source: Source, offset: tuple[int, int]) -> Iterator[tuple[int, int, int]]:
    """(row, column, side) of windows evenly spread, such that those at the offset lie inside too."""
    tops = max(0, -offset[0]), source.height - max(0, offset[0])
    lefts = max(0, -offset[1]), source.width - max(0, offset[1])
    room = min(tops[1] - tops[0], lefts[1] - lefts[0])
    if room < SMALLEST_WINDOW:
        return
    side = min(LARGEST_WINDOW, 2 ** int(np.log2(room)))
    if room < WINDOWS_PER_SIDE * side // 2 and side > 2 * SMALLEST_WINDOW:
        side //= 2  # a few windows that can outvote each other, rather than one
    for row in _spread(tops, side):
        for column in _spread(lefts, side):
            yield row, column, side


def _spread(bounds: tuple[int, int], side: int) -> list[int]:
    start, end = bounds
    count = min(WINDOWS_PER_SIDE, max(1, (end - start) // side))
    return [int(place) for place in np.linspace(start, end - side, count)]


def _edges(
    source: Source, area: tuple[int, int, int, int]
) -> Complex[np.ndarray, "side side"] | None:
    """Edges as complex numbers: strength, and the doubled angle, which is the same for dark on light."""
    valid = source.valid(*area)
    if 1 - valid.mean() > MOST_MISSING:
        return None
    values = source.window(*area).astype(np.float32)
    values = np.where(valid, values, 0)
    count = valid.sum()
    mean = values.sum(axis=(1, 2)) / count
    centred = np.where(valid, values - mean[:, None, None], 0)
    deviation = np.sqrt((centred**2).sum(axis=(1, 2)) / count)
    if not (deviation > 0).any():
        return None
    kept = deviation > 0
    grey = (centred[kept] / deviation[kept, None, None]).mean(axis=0)
    down, right = np.gradient(grey)
    inner = _inner(valid)
    gradient = np.where(inner, right + 1j * down, 0)
    strength = np.abs(gradient)
    # squared and divided by its strength the angle doubles; the root of the strength keeps one
    # bright roof from deciding alone
    doubled = gradient**2 / np.maximum(strength, 1e-12) ** 1.5
    taper = np.hanning(len(grey))
    return (doubled - doubled.mean()) * taper[:, None] * taper


def _inner(valid: Bool[np.ndarray, "rows columns"]) -> Bool[np.ndarray, "rows columns"]:
    """Where both neighbours along each side hold values as well."""
    padded = np.pad(valid, 1, mode="edge")
    return valid & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]


def _peak(
    one: Complex[np.ndarray, "side side"] | None, other: Complex[np.ndarray, "side side"] | None
) -> tuple[float, float] | None:
    """Where the phase correlation of two windows peaks, in rows and columns; None without a clear peak."""
    if one is None or other is None:
        return None
    side = len(one)
    cross = np.fft.fft2(other) * np.fft.fft2(one).conj()
    phases = cross / np.maximum(np.abs(cross), 1e-12)
    cycles = np.fft.fftfreq(side)
    weight = np.exp(-(cycles**2) / (2 * SMOOTH**2))
    surface = np.fft.ifft2(phases * weight[:, None] * weight).real
    row, column = np.unravel_index(int(surface.argmax()), surface.shape)
    if surface[row, column] < CLEAR_PEAK * surface.std():
        return None
    rows = row + _vertex(surface[[(row - 1) % side, row, (row + 1) % side], column])
    columns = column + _vertex(surface[row, [(column - 1) % side, column, (column + 1) % side]])
    return _signed(rows, side), _signed(columns, side)


def _vertex(three: Float[np.ndarray, "3"]) -> float:
    """Where a Gaussian through three neighbouring values has its top, from the middle one."""
    left, middle, right = np.log(np.maximum(three, 1e-6 * three.max()))
    curve = left - 2 * middle + right
    return 0.0 if curve >= 0 else float(np.clip((left - right) / (2 * curve), -0.5, 0.5))


def _signed(place: float, side: int) -> float:
    return place - side if place > side / 2 else place


class ShiftedSource:
    """A raster laid on another's grid: its pixel (row, column) is `source` at (row + rows, column + columns).

    Between pixels by cubic convolution (Keys 1981, a = -1/2), in float32. Pixels that would need a
    value from outside, or one that is not valid, are not valid.
    """

    def __init__(self, source: Source, *, rows: float, columns: float) -> None:
        self.source, self.rows, self.columns = source, rows, columns
        self.path = source.path
        self.height, self.width, self.bands = source.height, source.width, source.bands
        self.dtype, self.nodata = source.dtype, source.nodata
        self.crs: str | None = source.crs
        self.transform: Place | None = source.transform

    def window(
        self, row: int, column: int, height: int, width: int
    ) -> Shaped[np.ndarray, "bands height width"]:
        checked(self, (row, column, height, width))
        values, _ = self._around(row, column, height, width)
        along = _convolved(values, _weights(self.rows), height, axis=1)
        return _convolved(along, _weights(self.columns), width, axis=2)

    def valid(
        self, row: int, column: int, height: int, width: int
    ) -> Bool[np.ndarray, "height width"]:
        checked(self, (row, column, height, width))
        _, valid = self._around(row, column, height, width)
        missing = (~valid).astype(np.float32)[None]
        used = [(_weights(shift) != 0).astype(np.float32) for shift in (self.rows, self.columns)]
        along = _convolved(missing, used[0], height, axis=1)
        return _convolved(along, used[1], width, axis=2)[0] == 0

    def colours(self) -> tuple[int, ...]:
        return self.source.colours()

    def _around(
        self, row: int, column: int, height: int, width: int
    ) -> tuple[Float[np.ndarray, "bands rows columns"], Bool[np.ndarray, "rows columns"]]:
        """Values and validity of a window with one more pixel before it and two after it."""
        top, left = row + int(np.floor(self.rows)) - 1, column + int(np.floor(self.columns)) - 1
        rows = (max(top, 0), min(top + height + 3, self.height))
        columns = (max(left, 0), min(left + width + 3, self.width))
        values = np.zeros((self.bands, height + 3, width + 3), np.float32)
        valid = np.zeros((height + 3, width + 3), bool)
        if rows[0] < rows[1] and columns[0] < columns[1]:
            area = (rows[0], columns[0], rows[1] - rows[0], columns[1] - columns[0])
            inside = (
                slice(rows[0] - top, rows[1] - top),
                slice(columns[0] - left, columns[1] - left),
            )
            valid[inside] = self.source.valid(*area)
            values[:, inside[0], inside[1]] = np.where(valid[inside], self.source.window(*area), 0)
        return values, valid

    def __enter__(self) -> "ShiftedSource":
        self.source.__enter__()
        return self

    def __exit__(self, *given: object) -> None:
        self.source.__exit__(*given)


def _weights(shift: float) -> Float[np.ndarray, "4"]:
    """Of the four pixels around a place between the second and the third (Keys 1981, a = -1/2)."""
    t = shift - np.floor(shift)
    return np.array(
        [
            -0.5 * t**3 + t**2 - 0.5 * t,
            1.5 * t**3 - 2.5 * t**2 + 1,
            -1.5 * t**3 + 2 * t**2 + 0.5 * t,
            0.5 * t**3 - 0.5 * t**2,
        ]
    )


def _convolved(
    values: Float[np.ndarray, "bands rows columns"],
    weights: Float[np.ndarray, "4"],
    length: int,
    *,
    axis: int,
) -> Float[np.ndarray, "bands ..."]:
    parts = (
        np.float32(weight) * np.take(values, range(start, start + length), axis=axis)
        for start, weight in enumerate(weights)
        if weight
    )
    return sum(parts, start=np.float32(0))  # pyright: ignore[reportReturnType, reportCallIssue, reportArgumentType]

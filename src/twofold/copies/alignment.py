"""Whether one picture is another one cut, turned, squeezed, blurred or written on, told by laying one over the other.

Pictures are 64 x 64 grey planes here. All places, sizes and turns are tried coarsely at 16 x 16, as
one matrix product per size; the best is refined at 32 x 32 to fractions of a pixel.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt8

__all__ = ["SIDE", "TURNS", "matrices", "placements", "pooled", "turned"]

SIDE = 64
"""Pixels per side of the planes that are laid over each other."""

COARSE = 16
"""Pixels per side of the planes on which every place, size and turn is tried."""

FINE = 32
"""Pixels per side of the planes on which a placement is refined."""

GRID = ((np.arange(FINE) + 0.5) / FINE - 0.5).astype(np.float32)
"""Pixel centres of a 32 x 32 square, as shares of its side, relative to its centre."""

SMALLEST = 7
"""The smallest cut-out looked for: 7/16 of a side, a fifth of the area."""

TURNS = (0.0, 90.0, 180.0, 270.0, -4.0, 4.0, -8.0, 8.0, -12.0, 12.0, -16.0, 16.0)
"""Degrees counter-clockwise by which the cut-out is turned back."""


PAIRS_AT_ONCE = 128
"""Pairs placed at once: the windows of all places take a few megabytes."""

PLAIN, PROMISING, RIVAL = 0.9, 0.8, 0.3
"""Fit, in each of the three, at which a picture counts as unmoved; sum of the fits above which a
way is refined; and how far it may lie behind the best way of its pair. Set by hand."""

STEPS = (1 / 32, 1 / 64, 1 / 128)
"""Steps of the refinement: shares of the side by which a cut-out is moved and resized; times 64,
degrees of its turn."""


def pooled(
    planes: UInt8[np.ndarray, "n side side"], side: int
) -> Float[np.ndarray, "n small small"]:
    step = planes.shape[1] // side
    parts = planes.reshape(len(planes), side, step, side, step)
    return parts.mean(axis=(2, 4), dtype=np.float32)


def placements(
    cut: UInt8[np.ndarray, "m 64 64"],
    whole: UInt8[np.ndarray, "m 64 64"],
    pairs: Int[np.ndarray, "m"] | None = None,
) -> tuple[Float[np.ndarray, "m 3"], Float[np.ndarray, "m 4"], Float[np.ndarray, "m"]]:
    """Where each picture fits best into another one, and how well.

    Args:
        pairs: the pair that each row belongs to; only the best rows of a pair are refined. None:
            every row is.

    Returns:
        (m, 3): correlation of the pixels, of their gradients (flat pictures agree in pixels by
        chance, not in edges), and the mean over the better half of 16 squares (the other half may
        be covered by letters), at the best place, size and turn; 1 for copies, brightness and
        contrast set aside. (m, 4): top, left and side of that place as shares of the whole picture,
        and the degrees by which the cut one is turned counter-clockwise. (m,): the mean over the
        better half of the squares with one laid over the other unmoved.
    """
    fits, places = np.zeros((len(cut), 3), np.float32), np.zeros((len(cut), 4))
    unmoved = np.zeros(len(cut), np.float32)
    pairs = np.arange(len(cut)) if pairs is None else pairs
    for start in range(0, len(cut), PAIRS_AT_ONCE):
        part = slice(start, start + PAIRS_AT_ONCE)
        found = _block(np.asarray(cut[part]), np.asarray(whole[part]), pairs[part])
        fits[part], places[part], unmoved[part] = found
    return fits, places, unmoved


def matrices(
    places: Float[np.ndarray, "m 4"],
    cut: Shaped[np.ndarray, "m 2"],
    whole: Shaped[np.ndarray, "m 2"],
) -> Float[np.ndarray, "m 2 3"]:
    """The placements as matrices from pixels (x, y, 1) of the cut picture to those of the whole one.

    Args:
        cut, whole: width and height of each.
    """
    top, left, side, degrees = places.T
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle) * side, np.sin(angle) * side
    turn = np.stack(
        [np.stack([cos, -sin], axis=1), np.stack([sin, cos], axis=1)], axis=1
    ).transpose(0, 2, 1)
    middle = np.stack([left + side / 2, top + side / 2], axis=1)
    linear = whole[:, :, None] * turn / cut[:, None, :]
    shift = whole * middle - np.einsum("mij,mj->mi", linear, cut / 2)
    return np.concatenate([linear, shift[:, :, None]], axis=2)


def _block(
    cut: UInt8[np.ndarray, "m 64 64"],
    whole: UInt8[np.ndarray, "m 64 64"],
    pairs: Int[np.ndarray, "m"],
) -> tuple[Float[np.ndarray, "m 3"], Float[np.ndarray, "m 4"], Float[np.ndarray, "m"]]:
    """The placements of one block: no search if a picture fits unmoved, no refinement if nothing fits coarsely."""
    place = np.tile([0.0, 0.0, 1.0, 0.0], (len(cut), 1))
    best = _fit(_turned_back(cut, place), whole, place)
    still = best[:, 2].copy()
    moved = np.flatnonzero(best.min(axis=1) < PLAIN)
    if not len(moved):
        return best, place, still
    place[moved] = _coarse(cut[moved], whole[moved])
    fit = _fit(_turned_back(cut[moved], place[moved]), whole[moved], place[moved])
    unmoved = fit.sum(axis=1) < best[moved].sum(axis=1)
    place[moved[unmoved]] = (0.0, 0.0, 1.0, 0.0)
    best[moved[~unmoved]] = fit[~unmoved]
    promising = moved[_promising(best.sum(axis=1), pairs)[moved]]
    best[promising], place[promising] = _refined(
        cut[promising], whole[promising], place[promising], best[promising]
    )
    return best, place, still


def _promising(fit: Float[np.ndarray, "m"], pairs: Int[np.ndarray, "m"]) -> Bool[np.ndarray, "m"]:
    """Rows that fit at all, and nearly as well as the best row of their pair."""
    best = np.full(int(pairs.max()) + 1, -np.inf)
    np.maximum.at(best, pairs, fit)
    return (fit > PROMISING) & (fit > best[pairs] - RIVAL)


def _refined(
    cut: UInt8[np.ndarray, "m 64 64"],
    whole: UInt8[np.ndarray, "m 64 64"],
    place: Float[np.ndarray, "m 4"],
    best: Float[np.ndarray, "m 3"],
) -> tuple[Float[np.ndarray, "m 3"], Float[np.ndarray, "m 4"]]:
    for step in STEPS if len(cut) else ():
        old, still = place.copy(), _turned_back(cut, place)
        for change in _changes(step):
            tried = _inside(old + change)
            value = _fit(_turned_back(cut, tried) if change[3] else still, whole, tried)
            better = value.sum(axis=1) > best.sum(axis=1)
            best[better], place[better] = value[better], tried[better]
    return best, place


def _changes(step: float) -> Iterator[Float[np.ndarray, "4"]]:
    for axis in range(4):
        for sign in (-1.0, 1.0):
            change = np.zeros(4)
            change[axis] = sign * step * (64 if axis == 3 else 1)
            if axis == 2:  # about the middle of the cut-out
                change[:2] = -change[2] / 2
            yield change


def _inside(place: Float[np.ndarray, "m 4"]) -> Float[np.ndarray, "m 4"]:
    place = place.copy()
    place[:, 2] = np.clip(place[:, 2], 0.35, 1.0)
    place[:, :2] = np.clip(place[:, :2], 0.0, 1.0 - place[:, 2:3])
    return place


def _coarse(
    cut: UInt8[np.ndarray, "m 64 64"], whole: UInt8[np.ndarray, "m 64 64"]
) -> Float[np.ndarray, "m 4"]:
    """(top, left, side, degrees) of the best fit on a grid of 16 x 16, for each pair."""
    ground, small = pooled(whole, COARSE), pooled(cut, FINE)
    best, place = np.full(len(cut), -2.0, np.float32), np.zeros((len(cut), 4))
    upright = np.stack([turned(small, degrees) for degrees in TURNS], axis=1)
    for size in range(SMALLEST, COARSE + 1):
        windows = np.lib.stride_tricks.sliding_window_view(ground, (size, size), axis=(1, 2))
        across = windows.shape[1]
        windows = _standard(windows.reshape(len(cut), -1, size * size))
        views = _resized(upright, size).reshape(len(cut), len(TURNS), -1)
        fits = (windows @ _standard(views).transpose(0, 2, 1)) / size**2
        flat = fits.reshape(len(cut), -1)
        first = flat.argmax(axis=1)
        # smaller cut-outs fit by chance more often: Fisher's z, in standard deviations
        value = np.arctanh(np.clip(flat[np.arange(len(cut)), first], -1, 0.999)) * size
        where, turn = np.divmod(first, len(TURNS))
        top, left = np.divmod(where, across)
        here = np.stack(
            [top / COARSE, left / COARSE, np.full(len(cut), size / COARSE), np.array(TURNS)[turn]],
            axis=1,
        )
        better = value > best
        best, place[better] = np.where(better, value, best), here[better]
    return place


def turned(
    planes: Shaped[np.ndarray, "m side side"], degrees: float
) -> Float[np.ndarray, "m side side"]:
    """Each plane turned about its centre, counter-clockwise; the corners are filled with its mean grey."""
    if degrees % 90 == 0:
        return np.rot90(planes, round(degrees / 90), axes=(1, 2)).astype(np.float32)
    pixels = planes.reshape(len(planes), -1)
    corners, weights, outside = _turn(degrees, planes.shape[1])
    found = sum(
        np.take(pixels, corner, axis=1) * weight
        for corner, weight in zip(corners, weights, strict=True)
    )
    return np.where(outside, pixels.mean(axis=1, keepdims=True, dtype=np.float32), found).reshape(
        planes.shape
    )


@cache
def _turn(degrees: float, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each pixel of a turned plane its four neighbours, their weights, and whether it lies outside."""
    angle, middle = np.deg2rad(degrees), (side - 1) / 2
    down, right = np.meshgrid(np.arange(side) - middle, np.arange(side) - middle, indexing="ij")
    y = (np.sin(angle) * right + np.cos(angle) * down + middle).ravel()
    x = (np.cos(angle) * right - np.sin(angle) * down + middle).ravel()
    outside = (np.minimum(y, x) < -0.5) | (np.maximum(y, x) > side - 0.5)
    (row, y), (column, x) = _between(y, side), _between(x, side)
    corners = np.stack([(row + i) * side + column + j for i in (0, 1) for j in (0, 1)])
    return corners, np.stack([(1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x]), outside


def _resized(
    planes: Float[np.ndarray, "m turns 32 32"], size: int
) -> Float[np.ndarray, "m turns size size"]:
    rows = _rows(size)
    return rows @ planes @ rows.T


@cache
def _rows(size: int) -> Float[np.ndarray, "size 32"]:
    edges = np.linspace(0, FINE, size + 1)
    start = np.arange(FINE)
    shared = np.minimum(edges[1:, None], start + 1) - np.maximum(edges[:-1, None], start)
    return (np.clip(shared, 0, None) * size / FINE).astype(np.float32)


def _standard(values: Float[np.ndarray, "... pixels"]) -> Float[np.ndarray, "... pixels"]:
    centred = values - values.mean(axis=-1, keepdims=True)
    spread = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True))
    return np.where(spread > 1.0, centred / np.maximum(spread, 1.0), 0.0).astype(np.float32)


Upright = tuple[Float[np.ndarray, "m 32 32"], Float[np.ndarray, "m 32 32"]]
"""Pictures turned back, at 32 x 32; and a mask that is 1 inside them."""


def _turned_back(cut: UInt8[np.ndarray, "m 64 64"], place: Float[np.ndarray, "m 4"]) -> Upright:
    angle = np.deg2rad(place[:, 3])[:, None, None]
    cos, sin = np.cos(angle), np.sin(angle)
    down, right = GRID[:, None], GRID
    seen_down, seen_right = cos * down + sin * right, cos * right - sin * down
    inside = np.maximum(np.abs(seen_down), np.abs(seen_right)) < 0.5 - 0.5 / SIDE
    one = _sampled(cut, (seen_down + 0.5) * SIDE - 0.5, (seen_right + 0.5) * SIDE - 0.5)
    return one, inside.astype(np.float32)


def _fit(
    upright: Upright, whole: UInt8[np.ndarray, "m 64 64"], place: Float[np.ndarray, "m 4"]
) -> Float[np.ndarray, "m 3"]:
    """Correlations at 32 x 32, inside the turned square."""
    one, inside = upright
    other = _cut_out(whole, place)
    pixels = _correlation(one, other, inside)
    edges = inside[:, 1:, 1:] * inside[:, :-1, 1:] * inside[:, 1:, :-1]
    here, there = (each[:, 1:, 1:] for each in (one, other))
    down_edges = _correlation(here - one[:, :-1, 1:], there - other[:, :-1, 1:], edges)
    right_edges = _correlation(here - one[:, 1:, :-1], there - other[:, 1:, :-1], edges)
    parts = _correlation(*(_parts(each) for each in (one, other, inside))).reshape(len(one), -1)
    half = np.sort(parts, axis=1)[:, parts.shape[1] // 2 :].mean(axis=1)
    return np.stack([pixels, (down_edges + right_edges) / 2, half], axis=1)


def _parts(planes: Shaped[np.ndarray, "m 32 32"]) -> Shaped[np.ndarray, "parts 8 8"]:
    """4 x 4 squares of each plane."""
    return planes.reshape(-1, 4, 8, 4, 8).transpose(0, 1, 3, 2, 4).reshape(-1, 8, 8)


def _cut_out(
    whole: UInt8[np.ndarray, "m 64 64"], place: Float[np.ndarray, "m 4"]
) -> Float[np.ndarray, "m 32 32"]:
    """The upright square of each picture, interpolated linearly: rows first, then columns."""
    top, left, side = place.T[:3, :, None]
    row, y = _between((top + (GRID + 0.5) * side) * SIDE - 0.5)
    column, x = _between((left + (GRID + 0.5) * side) * SIDE - 0.5)
    number = np.arange(len(whole))[:, None]
    rows = whole[number, row] * (1 - y)[:, :, None] + whole[number, row + 1] * y[:, :, None]
    column, x = column[:, None], x[:, None]
    return (
        np.take_along_axis(rows, column, axis=2) * (1 - x)
        + np.take_along_axis(rows, column + 1, axis=2) * x
    )


def _between(
    place: Float[np.ndarray, "..."], side: int = SIDE
) -> tuple[Int[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """The pixel before each place, and the distance from it."""
    place = np.clip(place, 0, side - 1.001)
    pixel = place.astype(np.int64)
    return pixel, (place - pixel).astype(np.float32)


def _sampled(
    planes: UInt8[np.ndarray, "m 64 64"],
    down: Float[np.ndarray, "m 32 32"],
    right: Float[np.ndarray, "m 32 32"],
) -> Float[np.ndarray, "m 32 32"]:
    """Planes sampled at fractional places, by linear interpolation."""
    (row, y), (column, x) = _between(down), _between(right)
    pixels = planes.reshape(-1)
    corner = (np.arange(len(planes))[:, None, None] * SIDE + row) * SIDE + column
    upper = np.take(pixels, corner) * (1 - x) + np.take(pixels, corner + 1) * x
    lower = np.take(pixels, corner + SIDE) * (1 - x) + np.take(pixels, corner + SIDE + 1) * x
    return upper * (1 - y) + lower * y


def _correlation(
    one: Float[np.ndarray, "m h w"],
    other: Float[np.ndarray, "m h w"],
    inside: Float[np.ndarray, "m h w"],
) -> Float[np.ndarray, "m"]:
    """Correlation of the pixels inside; 0 where they hardly differ."""
    count = np.maximum(inside.sum(axis=(1, 2)), 1)
    one, other = (
        (each - (_products(each, inside) / count)[:, None, None]) * inside for each in (one, other)
    )
    spread = np.sqrt(_products(one, one) * _products(other, other))
    return _products(one, other) / np.maximum(spread, count)


def _products(
    one: Float[np.ndarray, "m h w"], other: Float[np.ndarray, "m h w"]
) -> Float[np.ndarray, "m"]:
    return np.einsum("mij,mij->m", one, other)

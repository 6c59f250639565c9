"""Two pictures in one frame, band of detail by band (Burt and Adelson 1983), square by square.

Each square is taken apart into what its rows share, what its columns share, and the rest: lines of
text at the same places make rows agree, never the rest. A poor JPEG, a blur or a change of size
lowers all squares alike: that is measured on the pair itself and counts as noise.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

__all__ = ["PLENTY", "SQUARE", "Band", "bands_of", "cut", "largest", "smooth"]

BANDS = 4
"""Bands of detail, each half as fine as the one before."""

SQUARE = 8
"""Pixels per side of the squares that are judged: a letter of a page, five pixels high, fits into
one."""

FLOOR = (4.0, 3.0, 2.0, 1.5)
"""Variance in grey values squared that each band may differ by in good copies: rounding and
resampling."""

PLENTY = 6.0
"""Variance at which a square has detail; less is the grain of a flat wall."""

CLEAR = 4.0
"""A square is evidence if its variance is so many times the noise."""

STARK = 25.0
"""Times the noise at which a single bad square is a letter or a digit, not an accident."""

GOOD, BAD = 0.8, 0.4
"""Likeness at and above which a square speaks for copies, and below which against them. 1 is equal,
0 unrelated."""


@dataclass(frozen=True, kw_only=True)
class Band:
    """What one band of detail says; shares are of the squares that lie inside both pictures.

    Attributes:
        squares: how many. ratio: energy of the weaker picture to that of the stronger. energy:
            standard deviation.
        evidence, good, bad: shares of squares. worst: share of the largest connected set of bad
            ones.
        agreement: mean likeness, each square counted by its energy. noise: standard deviation.
        bad_energy: share of the evidence's energy in bad squares. stark: bad squares far above the
            noise.
        steady: what is left is as loud in busy squares as in quiet ones, as the grain of a sensor
            is.
    """

    squares: int
    ratio: float
    energy: float
    evidence: float
    good: float
    bad: float
    worst: float
    agreement: float
    noise: float
    bad_energy: float
    stark: int
    steady: bool


def bands_of(one: np.ndarray, other: np.ndarray, counted: np.ndarray) -> tuple[Band, ...]:
    found = []
    for floor in FLOOR[:BANDS]:
        if min(one.shape) < 2 * SQUARE:
            break
        finer = [each - smooth(smooth(each)) for each in (one, other)]
        found.append(_band(finer[0] * counted, finer[1] * counted, counted, floor))
        one, other, counted = smooth(one)[::2, ::2], smooth(other)[::2, ::2], counted[::2, ::2]
    return tuple(found)


def _band(one: np.ndarray, other: np.ndarray, counted: np.ndarray, floor: float) -> Band:
    """Likeness square by square: 2 cov / (var + var), the least of what rows, columns and the rest say."""
    inside = cut(counted.astype(np.float32)).mean(axis=(2, 3)) > 0.5
    squares = max(int(inside.sum()), 1)
    parts = [
        ((a * a).mean(axis=(2, 3)), (b * b).mean(axis=(2, 3)), (a * b).mean(axis=(2, 3)))
        for a, b in zip(_apart(cut(one)), _apart(cut(other)), strict=True)
    ]
    mine, theirs = (
        float(sum(part[which][inside].sum() for part in parts) / squares) for which in (0, 1)
    )
    weaker, stronger = sorted((mine, theirs))
    # the louder picture is turned down: a blur or a resize takes energy from all squares alike
    down = (
        ((theirs + 0.1) / (mine + 0.1), 1.0)
        if mine > theirs
        else (1.0, (mine + 0.1) / (theirs + 0.1))
    )
    parts = [(a * down[0], b * down[1], ab * np.sqrt(down[0] * down[1])) for a, b, ab in parts]
    energy = np.add.reduce([(a + b) / 2 for a, b, _ in parts])
    left = np.add.reduce([(a + b) / 2 - ab for a, b, ab in parts])
    likeness = np.minimum.reduce([(2 * ab + floor) / (a + b + floor) for a, b, ab in parts])
    detailed = inside & (energy > PLENTY)
    noise = max(floor, float(np.median(left[detailed]))) if detailed.any() else floor
    evidence = inside & (energy > max(PLENTY, CLEAR * noise))
    good, bad = evidence & (likeness > GOOD), evidence & (likeness < BAD)
    total = max(float(energy[detailed].sum()), 1e-9)
    return Band(
        squares=squares,
        ratio=weaker / max(stronger, 1e-9),
        energy=float(np.sqrt(stronger)),
        evidence=float(evidence.sum() / squares),
        good=float(good.sum() / squares),
        bad=float(bad.sum() / squares),
        worst=largest(bad) / squares,
        agreement=float((likeness * energy)[detailed].sum() / total),
        noise=float(np.sqrt(noise)),
        bad_energy=float(energy[bad].sum() / max(float(energy[evidence].sum()), 1e-9)),
        steady=_steady(left[inside], energy[inside]),
        stark=int((bad & (energy > STARK * noise)).sum()),
    )


def _steady(left: Float[np.ndarray, "squares"], energy: Float[np.ndarray, "squares"]) -> bool:
    """Whether the residual of the busiest third is hardly louder than that of the quietest."""
    if len(left) < 12:
        return False
    quiet, busy = (
        float(np.median(part)) for part in np.array_split(left[np.argsort(energy)], 3)[::2]
    )
    return quiet > PLENTY / 4 and busy < STEADY * quiet


STEADY = 2.0
"""Times by which the residual of the busiest third may exceed that of the quietest and still be
grain."""


def cut(values: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "rows columns 8 8"]:
    rows, columns = values.shape[0] // SQUARE, values.shape[1] // SQUARE
    cut = values[: rows * SQUARE, : columns * SQUARE].reshape(rows, SQUARE, columns, SQUARE)
    return cut.transpose(0, 2, 1, 3)


def _apart(
    squares: Float[np.ndarray, "rows columns 8 8"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is left beside rows and columns; the rows; the columns. Their energies add up."""
    squares = squares - squares.mean(axis=(2, 3), keepdims=True)
    rows, columns = squares.mean(axis=3, keepdims=True), squares.mean(axis=2, keepdims=True)
    return squares - rows - columns, rows, columns


def largest(mask: Bool[np.ndarray, "rows columns"]) -> int:
    """Squares of the largest connected set, corners included."""
    left = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    largest = 0
    while left:
        waiting, count = [left.pop()], 0
        while waiting:
            row, column = waiting.pop()
            count += 1
            around = {(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= around
            waiting += around
        largest = max(largest, count)
    return largest


def smooth(image: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """1 2 1 both ways; the pixels of the rim are repeated beyond it."""
    return _blended(_blended(image).T).T / 16


def _blended(image: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """1 2 1 down the columns."""
    found = 2 * image
    found[1:] += image[:-1]
    found[:-1] += image[1:]
    found[0] += image[0]
    found[-1] += image[-1]
    return found

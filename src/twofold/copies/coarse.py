"""Comparison of two pictures if one has no fine detail: both at the resolution of the softer one.

The sharper one is blurred until it is as soft as the other. Copies then agree in all that is left;
pages and forms of one layout agree in their broad shapes only.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import PIL.Image
from jaxtyping import Bool, Float, Shaped

from twofold.copies.bands import smooth
from twofold.copies.registration import inside_of, rescaled, same_resolution, shrunk, warped
from twofold.copies.tones import blocks_of

__all__ = ["Coarse", "coarsely", "tiny"]

SIDE, LEAST = 64, 16
"""Longer side, in pixels, of a coarse comparison; and the least, where JPEG left one brightness per
block."""

PASSES = (0, 1, 2, 4, 8, 16, 32)
"""Times that a picture is smoothed: a Gaussian of .7 to 4 pixels."""

AROUND = 8
"""Pixels over which light varies broadly: such changes are ignored."""

TINY = 40
"""Pixels of the longer side up to which a picture is too small to have fine detail."""

GONE = 0.2
"""Share of the other's fine detail, relative to all of its contrast, under which it was blurred
away in one picture."""

NOTHING = 4.0
"""Variance of fine detail under which there is none in either."""

BLOCKY = 4
"""Tenths at which a picture's fine detail is nothing but JPEG blocks: quality 15 or less."""


@dataclass(frozen=True, kw_only=True)
class Coarse:
    """How alike two pictures are at the resolution that both have.

    Attributes:
        left: share of the detail in which they still differ: 0 for equal ones, about 2 for
            strangers.
        side: pixels of the longer side at which they were compared.
        colour: the largest distance of their colours, broadly.
        passes: times that the sharper one was smoothed.
    """

    left: float
    side: int
    colour: float
    passes: int


def tiny(one: Shaped[np.ndarray, "h w 3"], other: Shaped[np.ndarray, "height width 3"]) -> bool:
    """Whether one of two pictures is too small to have fine detail."""
    return min(max(one.shape[:2]), max(other.shape[:2])) <= TINY


def coarsely(
    one: Float[np.ndarray, "h w 3"],
    other: Float[np.ndarray, "height width 3"],
    matrix: Float[np.ndarray, "2 3"],
) -> Coarse | None:
    """Two pictures of which one has no fine detail (tiny, blurred, a poor JPEG, or both flat); None where both have.

    Args:
        one, other: light and colour. matrix: roughly from pixels of the first to those of the
            second.
    """
    small = tiny(one, other)
    blocky = max(blocks_of(each[:, :, 0]) for each in (one, other)) >= BLOCKY
    native = max(one.shape[:2])
    one, other, matrix = same_resolution(one, other, matrix)
    if not (small or blocky or _soft(one[:, :, 0], other[:, :, 0])):
        return None
    side = min(max(native // 8, LEAST), SIDE) if blocky else SIDE
    one, other, matrix = _small(one, other, matrix, side)
    shape = one.shape[:2]
    inside = inside_of(matrix, shape, other.shape[:2])
    if inside.sum() < LEAST**2 / 4:
        return None
    laid = np.stack([warped(other[:, :, channel], matrix, shape) for channel in range(3)], axis=2)
    left, passes = _matched(one[:, :, 0], laid[:, :, 0], inside)
    return Coarse(left=left, passes=passes, side=max(shape), colour=_colour(one, laid, inside))


def _soft(one: Float[np.ndarray, "h w"], other: Float[np.ndarray, "height width"]) -> bool:
    fine = [float(np.square(each - smooth(smooth(each))).mean()) for each in (one, other)]
    shares = sorted(
        energy / max(float(each.var()), 1.0)
        for energy, each in zip(fine, (one, other), strict=True)
    )
    return max(fine) < NOTHING or shares[0] < GONE * shares[1]


def _small(
    one: np.ndarray, other: np.ndarray, matrix: np.ndarray, side: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    share = side / max(one.shape[:2])
    if share >= 1:
        return one, other, matrix
    small, below = shrunk(one, share), shrunk(other, share)
    here, there = (
        np.array(after.shape[1::-1]) / before.shape[1::-1]
        for after, before in ((small, one), (below, other))
    )
    return small, below, rescaled(matrix, here, there)


def _matched(
    one: Float[np.ndarray, "h w"], other: Float[np.ndarray, "h w"], inside: Bool[np.ndarray, "h w"]
) -> tuple[float, int]:
    """The difference left at the smoothing that fits best, and how often the sharper one was smoothed."""
    both = np.stack([_smoothed(one), _smoothed(other)])
    still = np.broadcast_to(np.stack([other, one])[:, None], both.shape)
    left = _left(*_levelled(both, still, inside), inside)
    place = divmod(int(left.argmin()), len(PASSES))
    return float(left[place]), PASSES[place[1]]


def _smoothed(plane: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "passes h w"]:
    """The plane after each number of passes."""
    return _smoothing(plane.shape[0]) @ plane @ _smoothing(plane.shape[1]).transpose(0, 2, 1)


@cache
def _smoothing(length: int) -> Float[np.ndarray, "passes length length"]:
    """1 2 1 as matrices, one for each number of passes; the first and the last pixel are repeated beyond the rim."""
    once = np.eye(length) / 2 + (np.eye(length, k=1) + np.eye(length, k=-1)) / 4
    once[0, 0] = once[-1, -1] = 0.75
    return np.stack([np.linalg.matrix_power(once, passes) for passes in PASSES]).astype(np.float32)


def _levelled(
    one: Float[np.ndarray, "... h w"],
    other: Float[np.ndarray, "... h w"],
    inside: Bool[np.ndarray, "h w"],
) -> tuple[Float[np.ndarray, "... h w"], Float[np.ndarray, "... h w"]]:
    """Detail without its broad surroundings, at the first picture's light and contrast."""
    level, second = _mean(one, inside), _mean(other, inside)
    a, b = one - level, other - second
    gain = np.clip(
        _mean(a * b, inside) / np.maximum(_mean(a * a, inside), 1e-6 / inside.sum()), 0.3, 3.0
    )
    other = np.where(inside, b / gain + level, one)
    around = _broad((one + other) / 2)
    return one - around, other - around


def _mean(
    values: Float[np.ndarray, "... h w"], inside: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, "... 1 1"]:
    """Over the pixels that both pictures have."""
    return (values * inside).sum(axis=(-2, -1), keepdims=True) / np.float32(inside.sum())


def _broad(plane: Float[np.ndarray, "... h w"]) -> Float[np.ndarray, "... h w"]:
    """Light and colour without what is smaller than AROUND pixels."""
    return _broadening(plane.shape[-2]) @ plane @ _broadening(plane.shape[-1]).T


@cache
def _broadening(length: int) -> Float[np.ndarray, "length length"]:
    """A matrix that shrinks by area means and enlarges again by linear interpolation."""
    unit = PIL.Image.fromarray(np.eye(length, dtype=np.float32))
    small = unit.resize((length, max(length // AROUND, 2)), PIL.Image.Resampling.BOX)
    return np.asarray(small.resize((length, length), PIL.Image.Resampling.BILINEAR))


def _left(
    one: Float[np.ndarray, "... h w"],
    other: Float[np.ndarray, "... h w"],
    inside: Bool[np.ndarray, "h w"],
) -> Float[np.ndarray, "..."]:
    energy = _mean((np.square(one) + np.square(other)) / 2, inside)
    return (_mean(np.square(one - other), inside) / np.maximum(energy, 1.0))[..., 0, 0]


def _colour(one: np.ndarray, other: np.ndarray, inside: Bool[np.ndarray, "h w"]) -> float:
    if min(float(np.abs(each[:, :, 1:][inside] - 128).mean()) for each in (one, other)) < GREY:
        return 0.0
    apart = []
    for channel in (1, 2):
        a, b = (np.where(inside, each[:, :, channel] - 128, 0) for each in (one, other))
        apart.append(_broad(a) - _broad(b))
    return float(np.hypot(*apart).max())


GREY = 1.0
"""Mean strength of colour under which a picture is grey."""

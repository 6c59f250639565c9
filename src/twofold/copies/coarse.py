"""What two pictures share where one of them has no fine detail: both at the resolution that both have.

The sharper one is blurred until it is as soft as the other. Copies then agree in all that is left; pages and forms of
one layout agree in their broad shapes only.
"""

from dataclasses import dataclass

import numpy as np
import PIL.Image
from jaxtyping import Bool, Float, Shaped

from twofold.copies.bands import smooth
from twofold.copies.registration import inside_of, same_resolution, shrunk, warped
from twofold.copies.tones import blocks_of

__all__ = ["Coarse", "coarsely", "tiny"]

SIDE, LEAST = 64, 16
"""Longer side, in pixels, at which what is coarse is compared; and at least, where JPEG left one light a block."""

PASSES = (0, 1, 2, 4, 8, 16, 32)
"""Times that a picture is smoothed: a Gaussian of .7 to 4 pixels."""

AROUND = 8
"""Pixels over which light is broad: what it does is set aside."""

TINY = 40
"""Pixels of the longer side up to which a picture is too small to have fine detail."""

GONE = 0.2
"""Share of the other's fine detail, relative to all of its contrast, under which it was blurred away in one picture."""

NOTHING = 4.0
"""Variance of fine detail under which there is none in either."""

BLOCKY = 4
"""Tenths from which on a picture's blocks are all that its fine detail shows: JPEG of quality 15 and less."""


@dataclass(frozen=True, kw_only=True)
class Coarse:
    """How alike two pictures are at the resolution that both have.

    Attributes:
        left: share of the detail in which they differ still: 0 for equal ones, about 2 for strangers.
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
    one: Float[np.ndarray, "h w 3"], other: Float[np.ndarray, "height width 3"], matrix: Float[np.ndarray, "2 3"]
) -> Coarse | None:
    """Two pictures of which one has no fine detail (tiny, blurred, a poor JPEG, or both flat); None where both have.

    Args:
        one, other: light and colour. matrix: roughly from pixels of the first to those of the second.
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
    shares = sorted(energy / max(float(each.var()), 1.0) for energy, each in zip(fine, (one, other), strict=True))
    return max(fine) < NOTHING or shares[0] < GONE * shares[1]


def _small(
    one: np.ndarray, other: np.ndarray, matrix: np.ndarray, side: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    share = side / max(one.shape[:2])
    if share >= 1:
        return one, other, matrix
    small, below = shrunk(one, share), shrunk(other, share)
    matrix = matrix.copy()
    here, there = (
        np.array(after.shape[1::-1]) / before.shape[1::-1] for after, before in ((small, one), (below, other))
    )
    matrix[:, :2] = there[:, None] * matrix[:, :2] / here[None, :]
    matrix[:, 2] = there * matrix[:, 2]
    return small, below, matrix


def _matched(one: np.ndarray, other: np.ndarray, inside: np.ndarray) -> tuple[float, int]:
    """What is left where both fit best, one of them smoothed; and how many times it was."""
    best = (_left(*_levelled(one, other, inside), inside), 0)
    for plane, second in ((one, other), (other, one)):
        done = 0
        for passes in PASSES[1:]:
            for _ in range(passes - done):
                plane = smooth(plane)
            done = passes
            best = min(best, (_left(*_levelled(plane, second, inside), inside), passes))
    return best


def _levelled(one: np.ndarray, other: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Detail beside its broad surroundings, the second's light and contrast those of the first."""
    a, b = one[inside] - one[inside].mean(), other[inside] - other[inside].mean()
    gain = float(np.clip((a * b).sum() / max(float((a * a).sum()), 1e-6), 0.3, 3.0))
    level = float(other[inside].mean() - gain * one[inside].mean())
    other = np.where(inside, (other - level) / gain, one)
    around = _broad((one + other) / 2)
    return one - around, other - around


def _broad(plane: np.ndarray) -> np.ndarray:
    size = (max(plane.shape[1] // AROUND, 2), max(plane.shape[0] // AROUND, 2))
    drawn = PIL.Image.fromarray(np.ascontiguousarray(plane, np.float32)).resize(size, PIL.Image.Resampling.BOX)
    return np.asarray(drawn.resize(plane.shape[::-1], PIL.Image.Resampling.BILINEAR))


def _left(one: np.ndarray, other: np.ndarray, inside: Bool[np.ndarray, "h w"]) -> float:
    energy = (np.square(one[inside]).mean() + np.square(other[inside]).mean()) / 2
    return float(np.square(one[inside] - other[inside]).mean() / max(float(energy), 1.0))


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

"""Colour, light and paper of two pictures in one frame, and the blocks of a poor JPEG."""

import numpy as np
from jaxtyping import Float

from twofold.copies.bands import cut, largest
from twofold.copies.registration import Laid

__all__ = ["blocks_of", "line_of", "other_colours", "other_light", "paper_of"]


def line_of(
    one: Float[np.ndarray, "pixels"], other: Float[np.ndarray, "pixels"]
) -> tuple[float, float, float]:
    """(gain, offset, spread of the rest): the second's light as a line of the first's, without outliers.

    The better of two starts is taken: all pixels; and those whose light is already the same, since
    loud letters over a flat picture would otherwise decide.
    """
    step = -(-len(one) // ENOUGH)
    one, other = one[::step], other[::step]
    same = np.abs(other - one - median_of(other - one))
    starts = (np.ones_like(one), 1 / (1 + (same / (1.5 * median_of(same) + 2)) ** 2))
    return min((_line(one, other, weight) for weight in starts), key=lambda each: each[2] / each[0])


ENOUGH = 8192
"""Pixels that are enough for the line."""


def _line(one: np.ndarray, other: np.ndarray, weight: np.ndarray) -> tuple[float, float, float]:
    gain, offset, spread = 1.0, 0.0, 1.0
    for _ in range(4):
        total = weight.sum()
        middle, level = (weight * one).sum() / total, (weight * other).sum() / total
        spread_of = max(float((weight * (one - middle) ** 2).sum()), 1e-6)
        gain = min(
            max(float((weight * (one - middle) * (other - level)).sum()) / spread_of, 0.3), 3.0
        )
        offset = float(level - gain * middle)
        left = np.abs(other - gain * one - offset)
        spread = 1.5 * median_of(left) + 2
        weight = 1 / (1 + (left / spread) ** 2)
    return gain, offset, spread


def median_of(values: Float[np.ndarray, "pixels"]) -> float:
    """The median; numpy's costs twice as much for a few thousand numbers."""
    half = len(values) // 2
    if len(values) % 2:
        return float(np.partition(values, half)[half])
    return float(np.partition(values, (half - 1, half))[half - 1 : half + 1].mean())


def other_colours(laid: Laid, gain: float, clear: np.ndarray) -> tuple[bool, float]:
    """Whether one of the two is grey; and the share of squares in which the colours differ."""
    one, other = laid.one[:, :, 1:] - 128, (laid.other[:, :, 1:] - 128) / gain
    if not clear.any():
        return False, 0.0
    strength = sorted(float(np.abs(each[clear]).mean()) for each in (one, other))
    if strength[0] < GREY and strength[1] > 2 * strength[0]:
        return True, 0.0
    counted = cut(clear.astype(np.float32)).mean(axis=(2, 3))
    apart = np.hypot(*(cut((one - other)[:, :, c] * clear).mean(axis=(2, 3)) for c in (0, 1)))
    apart = np.where(counted > 0.5, apart / np.maximum(counted, 0.5), 0)
    bound = HUE + 2 * float(np.median(apart[counted > 0.5])) if (counted > 0.5).any() else HUE
    return False, largest(apart > bound) / max(int((counted > 0.5).sum()), 1)


GREY, HUE = 1.0, 18.0
"""Mean strength of colour below which a picture is grey; and how far apart the colours of a square
may lie beyond twice the median square's (a poor JPEG has large steps of colour)."""


def other_light(one: np.ndarray, other: np.ndarray, inside: np.ndarray) -> float:
    """Share of the largest connected set of squares whose mean light differs, contrast and brightness aside."""
    counted = cut(inside.astype(np.float32)).mean(axis=(2, 3)) > 0.9
    apart = np.abs(cut(one).mean(axis=(2, 3)) - cut(other).mean(axis=(2, 3)))
    if not counted.any():
        return 0.0
    bound = DARKER + 3 * float(np.median(apart[counted]))
    return largest(counted & (apart > bound)) / int(counted.sum())


DARKER = 16.0
"""Grey values by which the mean of a square may differ beyond three times the median square's."""


def paper_of(light: np.ndarray, inside: np.ndarray) -> float:
    """Share of pixels within 4 grey values of the most common ones: paper has one light, grass has not."""
    counts = np.bincount(np.clip(light[inside], 0, 255).astype(np.int64) // 4, minlength=64)
    together = np.convolve(counts, np.ones(2), mode="same")
    return float(together.max() / max(counts.sum(), 1))


def blocks_of(light: Float[np.ndarray, "h w"]) -> int:
    """How much stronger steps between pixels are where JPEG's blocks meet than elsewhere, in tenths.

    In the median of all places where they meet: an edge of a drawing may lie at one of them.
    """
    found = 1.0
    for each in (light, light.T):
        if min(each.shape) < 32:
            continue
        steps = np.abs(np.diff(each, axis=1)).mean(axis=0)
        at = np.zeros(len(steps), bool)
        at[7::8] = True
        found = max(found, float(np.median(steps[at]) / max(float(np.median(steps[~at])), 0.25)))
    return int((found - 1) * 10)

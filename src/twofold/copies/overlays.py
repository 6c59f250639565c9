"""What was drawn over a picture: pixels that differ strongly, and whether they are letters or a mark."""

import numpy as np
from jaxtyping import Bool, Float

from twofold.copies.bands import smooth

__all__ = ["covering_of", "foreign", "lopsided"]

STRONG = 12.0
"""Grey values by which a pixel differs strongly if most pixels hardly differ."""

RIM = 3
"""Pixels about a strong difference that belong to it: rims and shadows of letters, and what JPEG
makes of them."""


def covering_of(
    light: Float[np.ndarray, "h w"], below: Float[np.ndarray, "h w"], spread: float
) -> Bool[np.ndarray, "h w"]:
    """Pixels that differ by far more than most of the two pictures do, and those beside them."""
    covering = np.abs(smooth(below - light)) > max(STRONG, 4 * spread)
    for _ in range(RIM):
        covering = _grown(covering)
    return covering


def _grown(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    wide = np.pad(mask, 1)
    return wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:] | mask


def foreign(one: np.ndarray, other: np.ndarray, covering: np.ndarray) -> bool:
    """Whether the covering pixels were drawn: flat ink of two colours over many, or something that shines through."""
    if not covering.any():
        return False
    inks = sorted(_inked(each[covering]) for each in (one, other))
    if inks[1] > INKED and inks[0] < INKED - 0.15:
        return True
    finer = [each - smooth(smooth(each)) for each in (one, other)]
    a, b = (each[covering] - each[covering].mean() for each in finer)
    return bool((a * b).mean() > SHINING * np.sqrt((a * a).mean() * (b * b).mean() + 1e-9))


def lopsided(one: np.ndarray, other: np.ndarray, covering: np.ndarray) -> float:
    """Finest detail of the covered pixels in the picture with less of it there, to that of the
    other: low for letters that only one has, about 1 for contents of the same kind in both."""
    if not covering.any():
        return 1.0
    energy = sorted(
        float(np.square((each - smooth(smooth(each)))[covering]).mean()) for each in (one, other)
    )
    return energy[0] / max(energy[1], 1e-9)


INKED, SHINING = 0.55, 0.6
"""Share of covered pixels that two lights take up, 24 grey values each; correlation of the detail
under a watermark."""


def _inked(values: np.ndarray) -> float:
    """Share of values in the two fullest ranges of 24."""
    counts = np.bincount(np.clip(values, -64, 319).astype(np.int64) // 8 + 8, minlength=48).astype(
        np.float64
    )
    taken = 0.0
    for _ in range(2):
        together = np.convolve(counts, np.ones(3), mode="same")
        middle = int(together.argmax())
        taken += together[middle]
        counts[max(middle - 1, 0) : middle + 2] = 0
    return float(taken / max(len(values), 1))

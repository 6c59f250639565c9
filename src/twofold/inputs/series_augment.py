"""Changes to series in training: noise, scale, time warps, window crops, channels that drop out."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int

from twofold.errors import RecipeError, nearest
from twofold.inputs.padded import Padded, changed_each

__all__ = ["SeriesAugment", "series_augmentation"]

KNOTS = 4
"""Stretches of a time warp: each has a speed of its own."""

SHARES = ("crop", "mask", "channels")
"""Settings between 0 and 1."""


@dataclass(frozen=True, kw_only=True)
class SeriesAugment:
    """How a series changes, in this order; it keeps at least two values.

    Attributes:
        crop: a series is cut down to a window of it, of a length that is drawn between this share
            and the whole; 0 leaves it whole.
        warp: time runs up to this much faster or slower: a series has four stretches, and the speed
            of each is drawn between 1 / (1 + warp) and 1 + warp.
        scale: a series is multiplied by a number between 1 / (1 + scale) and 1 + scale.
        jitter: normal noise of up to this many standard deviations of its channel; the amount is
            drawn evenly from 0 on.
        mask: a stretch of up to this share of the series is set to its mean.
        channels: probability that a channel is set to its mean; one of them always stays.
    """

    crop: float = 0.0
    warp: float = 0.0
    scale: float = 0.0
    jitter: float = 0.0
    mask: float = 0.0
    channels: float = 0.0

    variants: ClassVar[int] = 1

    def __call__(self, batch: Padded, keys: Int[np.ndarray, "batch 4"]) -> Padded:
        """The batch changed; what happens to an item depends on its key (seed, epoch, item, variant) alone."""
        return changed_each(batch, keys, self._changed)

    def _changed(
        self, values: Float[np.ndarray, "length channels"], random: np.random.Generator
    ) -> Float[np.ndarray, "changed channels"]:
        values = _cropped(values, random, self.crop) if self.crop else values
        values = _warped(values, random, self.warp) if self.warp else values
        spread, mean = values.std(axis=0), values.mean(axis=0)
        changed = values * np.exp(random.uniform(-1, 1) * np.log1p(self.scale))
        if self.jitter:
            noise = random.normal(size=values.shape) * spread
            changed = changed + random.uniform(0, self.jitter) * noise
        if self.mask:
            long = round(len(values) * random.uniform(0, self.mask))
            start = int(random.integers(len(values) - long + 1))
            changed[start : start + long] = mean
        if self.channels:
            dropped = random.random(values.shape[1]) < self.channels
            dropped[int(random.integers(len(dropped)))] = False
            changed = np.where(dropped, mean, changed)
        return np.ascontiguousarray(changed, np.float32)


def series_augmentation(settings: Mapping[str, Any]) -> SeriesAugment:
    """The augmentation of these settings.

    Raises:
        RecipeError: an unknown setting, or a value that does not fit.
    """
    known = [field.name for field in fields(SeriesAugment)]
    for name, value in settings.items():
        if name not in known:
            raise RecipeError(f"series have no augmentation {name!r}: {nearest(name, known)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise RecipeError(f"augment.{name} = {value!r} must be a number from 0 on")
        if name in SHARES and value > 1:
            raise RecipeError(f"augment.{name} = {value!r} must be from 0 to 1")
    return SeriesAugment(**settings)


def _cropped(
    values: Float[np.ndarray, "length channels"], random: np.random.Generator, share: float
) -> Float[np.ndarray, "kept channels"]:
    kept = min(max(round(len(values) * random.uniform(share, 1.0)), 2), len(values))
    start = int(random.integers(len(values) - kept + 1))
    return values[start : start + kept]


def _warped(
    values: Float[np.ndarray, "length channels"], random: np.random.Generator, most: float
) -> Float[np.ndarray, "length channels"]:
    """The series read at other times: ends stay, and in between stretches run faster or slower."""
    speeds = np.exp(random.uniform(-1, 1, KNOTS) * np.log1p(most))
    ends = np.concatenate([[0.0], np.cumsum(speeds)]) / speeds.sum()
    last = len(values) - 1
    at = np.interp(np.linspace(0, 1, len(values)), np.linspace(0, 1, KNOTS + 1), ends) * last
    below = np.minimum(at.astype(np.int64), max(last - 1, 0))
    share = (at - below)[:, None].astype(values.dtype)
    above = np.minimum(below + 1, last)
    return values[below] * (1 - share) + values[above] * share

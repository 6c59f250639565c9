"""Intervals by resampling identities: never rows, never pairs (law 2)."""

import numpy as np
from jaxtyping import Float, Int

from twofold.errors import NotEnoughData, UsageError
from twofold.results import Estimate

__all__ = ["estimate", "identity_weights", "weighted_means"]


def identity_weights(identities: int, replicates: int, *, seed: int) -> Float[np.ndarray, "replicates identities"]:
    """How often each identity is drawn in each bootstrap replicate, float32.

    Each row is a multinomial draw of `identities` out of `identities` with replacement (Efron 1979), so it sums to
    `identities`. The same seed gives the same rows.

    Raises:
        NotEnoughData: fewer than two identities, of which no resampling tells anything.
    """
    if identities < 2:
        raise NotEnoughData(f"{identities} identities: an interval resamples identities, so give at least 2")
    generator = np.random.default_rng(seed)
    draws = generator.multinomial(identities, np.full(identities, 1.0 / identities), size=replicates)
    return draws.astype(np.float32)


def estimate(
    name: str,
    value: float,
    *,
    replicates: Float[np.ndarray, "replicates"],
    resampled: int,
    confidence: float = 0.95,
    unit: str = "identity",
) -> Estimate:
    """A number with the percentile interval of its bootstrap replicates.

    Replicates that are NaN (a resample without any genuine pair, say) are left out. The interval always holds the
    value itself.

    Raises:
        UsageError: `confidence` is not inside (0, 1).
        NotEnoughData: every replicate is NaN.
    """
    if not 0.0 < confidence < 1.0:
        raise UsageError(f"confidence is {confidence}: it lies between 0 and 1, both excluded (usual: 0.95)")
    kept = replicates[np.isfinite(replicates)]
    if not len(kept) or not np.isfinite(value):
        raise NotEnoughData(f"{name} cannot be computed from {resampled} of unit {unit!r}: give more items of each")
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(kept, [tail, 1.0 - tail])
    return Estimate(
        name=name,
        value=float(value),
        low=float(min(low, value)),
        high=float(max(high, value)),
        confidence=confidence,
        unit=unit,
        resampled=resampled,
    )


def weighted_means(
    values: Float[np.ndarray, "n"],
    identity: Int[np.ndarray, "n"],
    weights: Float[np.ndarray, "replicates identities"],
) -> Float[np.ndarray, "replicates"]:
    """Mean of `values` in each replicate, when every value comes with its identity (a code below `identities`).

    NaN values are left out. A replicate that draws no identity with a value is NaN.
    """
    known = np.isfinite(values)
    identities = weights.shape[1]
    sums = np.bincount(identity[known], weights=values[known], minlength=identities)
    counts = np.bincount(identity[known], minlength=identities).astype(np.float64)
    drawn = weights.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (drawn @ sums) / (drawn @ counts)

"""Intervals by resampling identities: never rows, never pairs (law 2)."""

from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
from jaxtyping import Float, Int

from twofold.errors import NotEnoughData, UsageError
from twofold.results import Estimate

__all__ = [
    "agrees",
    "beta_quantile",
    "estimate",
    "identity_weights",
    "normal_quantile",
    "resampled_means",
    "share_interval",
    "student_quantile",
    "weighted_means",
]

WEIGHTS = 1 << 22
"""Weights held at once when the replicates themselves are not wanted."""

TELLING = 4.0
"""An interval that ends above this multiple of the promised rate also fits a rate far above it, so
it cannot tell whether the promise holds. At the promised rate an interval over fifty identities
ends at about four times of it."""


def agrees(measured: Estimate, promised: float) -> bool | None:
    """Whether a measured rate agrees with a promised upper bound; None: too little data to tell."""
    if measured.low > promised:
        return False
    return True if measured.high <= TELLING * promised else None


def identity_weights(
    identities: int, replicates: int, *, seed: int
) -> Float[np.ndarray, "replicates identities"]:
    """How often each identity is drawn in each bootstrap replicate, float32.

    Each row is a multinomial draw of `identities` out of `identities` with replacement (Efron
    1979), so it sums to `identities`. The same seed gives the same rows.

    Raises:
        NotEnoughData: fewer than two identities: resampling tells nothing.
    """
    if identities < 2:
        raise NotEnoughData(
            f"{identities} identities: an interval resamples identities, so give at least 2"
        )
    generator = np.random.default_rng(seed)
    draws = generator.multinomial(
        identities, np.full(identities, 1.0 / identities), size=replicates
    )
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

    Replicates that are NaN (a resample without any genuine pair, say) are left out. The interval
    always holds the value itself.

    Raises:
        UsageError: `confidence` is not inside (0, 1).
        NotEnoughData: every replicate is NaN.
    """
    if not 0.0 < confidence < 1.0:
        raise UsageError(
            f"confidence is {confidence}: it lies between 0 and 1, both excluded (usual: 0.95)"
        )
    kept = replicates[np.isfinite(replicates)]
    if not len(kept) or not np.isfinite(value):
        raise NotEnoughData(
            f"{name} cannot be computed from {resampled} of unit {unit!r}: give more items of each"
        )
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
    """Mean of `values` in each replicate; every value comes with its identity (a code below `identities`).

    NaN values are left out. A replicate that draws no identity with a value is NaN.
    """
    known = np.isfinite(values)
    identities = weights.shape[1]
    sums = np.bincount(identity[known], weights=values[known], minlength=identities)
    counts = np.bincount(identity[known], minlength=identities).astype(np.float64)
    drawn = weights.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (drawn @ sums) / (drawn @ counts)


def resampled_means(
    values: Mapping[str, Float[np.ndarray, "n"]],
    identity: Int[np.ndarray, "n"],
    *,
    identities: int,
    replicates: int,
    seed: int,
) -> dict[str, Float[np.ndarray, "replicates"]]:
    """`weighted_means` of each of `values` under `identity_weights`, a few rows of weights at a time."""
    if identities < 2:
        identity_weights(identities, replicates, seed=seed)  # raises if it is not valid
    generator, step = np.random.default_rng(seed), max(WEIGHTS // identities, 1)
    found: dict[str, list[np.ndarray]] = {name: [] for name in values}
    for start in range(0, replicates, step):
        size = min(step, replicates - start)
        weights = generator.multinomial(
            identities, np.full(identities, 1.0 / identities), size=size
        )
        for name, each in values.items():
            found[name].append(weighted_means(each, identity, weights.astype(np.float32)))
    return {name: np.concatenate(rows) for name, rows in found.items()}


def share_interval(hits: float, trials: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of a share of independent trials (Clopper & Pearson 1934)."""
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if hits <= 0 else beta_quantile(tail, max(hits, 0.5), trials - hits + 1)
    high = 1.0 if hits >= trials else beta_quantile(1 - tail, hits + 1, max(trials - hits, 0.5))
    return low, high


def normal_quantile(share: float) -> float:
    """The number below which a standard normal variable stays with probability `share`."""
    return NormalDist().inv_cdf(share)


def student_quantile(share: float, freedom: float) -> float:
    """The number below which Student's t with `freedom` degrees stays with probability `share` (at least 0.5).

    From Beta: `P(|T| > t) = P(B < freedom / (freedom + t^2))` for B ~ Beta(freedom / 2, 1 / 2).
    """
    small = beta_quantile(2.0 * (1.0 - share), freedom / 2.0, 0.5)
    return float(np.sqrt(freedom * (1.0 - small) / small))


def beta_quantile(share: float, a: float, b: float) -> float:
    """The number below which a Beta(a, b) variable stays with probability `share`; `a` and `b` from 0.5 on.

    The density is summed on the logit scale, where it is smooth and falls off exponentially on both
    sides, so that the trapezoid rule is exact to about 1e-6: a few lines where the core would else
    need scipy.
    """
    mode, width = np.log(a) - np.log(b), np.sqrt(1.0 / a + 1.0 / b)
    logit = np.linspace(mode - 40.0 / a - 12.0 * width, mode + 40.0 / b + 12.0 * width, 1 << 14)
    density = -a * np.logaddexp(0.0, -logit) - b * np.logaddexp(0.0, logit)
    density = np.exp(density - density.max())
    below = np.cumsum(density) - density / 2.0
    return float(1.0 / (1.0 + np.exp(-np.interp(share * density.sum(), below, logit))))

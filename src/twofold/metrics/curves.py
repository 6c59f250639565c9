"""Curves of a report: error rates with a band (DET, ROC), reliability of probabilities, rank-k rates (CMC).

Law 2 rules here too: bands and intervals leave identities out or resample them, never pairs.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from jaxtyping import Float, Int

from twofold.errors import NotEnoughData
from twofold.metrics.intervals import estimate, resampled_means
from twofold.metrics.jackknife import involved, rate_interval
from twofold.metrics.pairs import PairBlock, PairSource, ScoreBlock
from twofold.metrics.verification import Tally, around, deletions, tally
from twofold.results import Estimate

__all__ = [
    "Curve",
    "IdentityRates",
    "Reliability",
    "identity_rates",
    "rank_k",
    "reliability",
    "trade_off",
]

PROBES = 1 << 22
"""Scores of probes with a gallery that are held at once."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """False-non-match rate by false-match rate, both rising along the arrays' order of `false_match_rate`.

    Attributes:
        low, high: pointwise interval of the false-non-match rate at that false-match rate.
    """

    false_match_rate: Float[np.ndarray, "points"]
    false_non_match_rate: Float[np.ndarray, "points"]
    low: Float[np.ndarray, "points"]
    high: Float[np.ndarray, "points"]
    confidence: float


def trade_off(
    pairs: PairSource, *, points: int = 64, confidence: float = 0.95, seed: int = 0
) -> Curve:
    """The DET curve (ROC: one minus the rates) with a pointwise band that leaves identities out (`jackknife`).

    At each of `points` false-match rates, at even steps of the normal deviate from one impostor
    pair up to 99.9 %, the false-non-match rate at the lowest threshold that keeps to it.

    Raises:
        NotEnoughData: no genuine or no impostor pairs, or a single identity.
    """
    point = tally(pairs)
    normal = NormalDist()
    ends = [normal.inv_cdf(share) for share in (min(1.0 / float(point.impostor[0]), 0.4), 0.999)]
    fars = np.array([normal.cdf(at) for at in np.linspace(ends[0], ends[1], points)])
    counted = point.thresholds[around(point, None)]
    every, without, _ = deletions(involved(pairs, counted, seed=seed), counted)
    value, coarse, moved = _missed(point, fars), _missed(every, fars), _missed(without, fars)
    bands = []
    for column, rate in enumerate(value):
        # coarse thresholds change the number alike with and without an identity, as in
        # `verification.estimates`
        left_out = np.clip(moved[:, column] - coarse[column] + rate, 0.0, 1.0)
        bands.append(rate_interval(float(rate), left_out, confidence=confidence))
    low, high = np.array(bands).T
    return Curve(
        false_match_rate=fars,
        false_non_match_rate=value,
        # the rate only falls, so that a bound from above
        # holds further on, and one from below holds before
        low=np.maximum.accumulate(low[::-1])[::-1],
        high=np.minimum.accumulate(high),
        confidence=confidence,
    )


def _missed(counted: Tally, fars: np.ndarray) -> np.ndarray:
    """False-non-match rates at the lowest threshold whose false-match rate is at most each of `fars`."""
    match, missed = counted.false_match_rate, counted.false_non_match_rate
    index = np.stack([np.argmax(match <= far, axis=-1) for far in fars], axis=-1)
    return np.take_along_axis(missed, index, axis=-1)


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """Reliability: of the pairs with a probability of about `predicted` the share `observed` is genuine.

    Attributes:
        low, high: interval of `observed`. weight: share of all pairs that are in the bin, both
            kinds weighted by the prior.
    """

    predicted: Float[np.ndarray, "bins"]
    observed: Float[np.ndarray, "bins"]
    low: Float[np.ndarray, "bins"]
    high: Float[np.ndarray, "bins"]
    weight: Float[np.ndarray, "bins"]
    confidence: float

    @property
    def gap(self) -> float:
        """Expected calibration error: mean distance between predicted and observed (Naeini et al. 2015)."""
        return float((self.weight * np.abs(self.predicted - self.observed)).sum())


class _Mapped:
    """The same pairs with probabilities for scores."""

    def __init__(
        self, pairs: PairSource, probabilities: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        self._pairs, self._probabilities = pairs, probabilities

    @property
    def units(self) -> int:
        return self._pairs.units

    @property
    def crossed(self) -> int:
        return self._pairs.crossed

    def __iter__(self) -> Iterator[PairBlock]:
        for block in self._pairs:
            yield replace(block, scores=self._probabilities(block.scores))


def reliability(
    pairs: PairSource,
    probabilities: Callable[[Float[np.ndarray, "n"]], Float[np.ndarray, "n"]],
    *,
    prior: float,
    bins: int = 10,
    confidence: float = 0.95,
    seed: int = 0,
) -> Reliability:
    """Compare probabilities with outcomes, in equal bins of probability; empty bins are left out.

    Genuine pairs weigh `prior` in all and impostor pairs the rest, as the probabilities assume,
    however many there are.

    Raises:
        NotEnoughData: no pairs of one kind, or a single identity.
    """
    mapped, edges = _Mapped(pairs, probabilities), np.linspace(0.0, 1.0, bins + 1)[:-1]
    counted = involved(mapped, edges, seed=seed)
    sums = np.zeros((2, bins))
    for block in mapped:
        place = np.searchsorted(edges, block.scores, side="right") - 1
        for row, kind in enumerate((block.same, ~block.same)):
            weighed = block.scores[kind] * block.weights[kind]
            sums[row] += np.bincount(place[kind], weights=weighed, minlength=bins)
    totals = float(counted.genuine[0]), float(counted.impostor[0])
    if not all(totals):
        raise NotEnoughData(
            f"{totals[0]:g} genuine and {totals[1]:g} impostor pairs: both kinds are needed"
        )
    genuine, impostor = _parts(counted.genuine, prior), _parts(counted.impostor, 1.0 - prior)
    weight = genuine + impostor
    predicted = (sums[0] / totals[0] * prior + sums[1] / totals[1] * (1.0 - prior)) / np.where(
        weight > 0, weight, 1.0
    )
    without = _shares(
        counted.genuine - counted.genuine_with, counted.impostor - counted.impostor_with, prior
    )
    observed = _shares(counted.genuine, counted.impostor, prior)
    kept = [at for at in range(bins) if weight[at] > 0 and np.isfinite(without[:, at]).sum() > 1]
    bands = [
        rate_interval(float(observed[at]), without[:, at], confidence=confidence) for at in kept
    ]
    low, high = np.array(bands).reshape(-1, 2).T
    return Reliability(
        predicted=predicted[kept],
        observed=observed[kept],
        low=low,
        high=high,
        weight=weight[kept],
        confidence=confidence,
    )


def _parts(reached: np.ndarray, share: float) -> np.ndarray:
    """Share of the pairs in each bin, from how many reach its lower edge; all bins add up to `share`."""
    inside = reached - np.append(reached[..., 1:], np.zeros((*reached.shape[:-1], 1)), axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return share * inside / reached[..., :1]


def _shares(genuine: np.ndarray, impostor: np.ndarray, prior: float) -> np.ndarray:
    """Share of genuine pairs in each bin, NaN in empty ones."""
    same, different = _parts(genuine, prior), _parts(impostor, 1.0 - prior)
    with np.errstate(invalid="ignore", divide="ignore"):
        return same / (same + different)


def rank_k(
    score: ScoreBlock,
    labels: Int[np.ndarray, "n"],
    *,
    identity: Int[np.ndarray, "n"] | None = None,
    ks: Sequence[int] = (1, 2, 3, 5, 10, 20, 50),
    galleries: int = 5,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[Estimate, ...]:
    """CMC: share of probes whose class is among the k best of a gallery that holds one item of each class.

    All other items are probes. This is done with `galleries` draws of the enrolled items; each
    probe counts with its mean, and intervals resample identities. Equal scores count with the mean
    over their orders. A k that is not smaller than the number of classes is left out.

    Raises:
        NotEnoughData: no class has two items, or there is one class only.
    """
    codes = np.unique(labels, return_inverse=True)[1]
    classes = int(codes.max(initial=-1)) + 1
    ks = [k for k in ks if k < classes]
    if not ks or classes == len(codes):
        raise NotEnoughData(
            f"{classes} classes of {len(codes)} items: rank-k "
            "rates need two classes, one with two items"
        )
    hits, tries = np.zeros((len(ks), len(codes))), np.zeros(len(codes))
    generator = np.random.default_rng(seed)
    for _ in range(galleries):
        order = generator.permutation(len(codes))
        enrolled = order[np.unique(codes[order], return_index=True)[1]]
        probes = np.setdiff1d(np.arange(len(codes)), enrolled)
        tries[probes] += 1
        for part in np.array_split(probes, -(-len(probes) * classes // PROBES)):
            hits[:, part] += _within(score(part, enrolled), codes[part], ks)
    owners = codes if identity is None else np.unique(identity, return_inverse=True)[1]
    units = int(owners.max()) + 1
    with np.errstate(invalid="ignore"):
        values = {f"rank_{k}": row / tries for k, row in zip(ks, hits, strict=True)}
    drawn = resampled_means(values, owners, identities=units, replicates=1000, seed=seed)
    return tuple(
        estimate(
            name,
            float(np.nanmean(each)),
            replicates=drawn[name],
            resampled=units,
            confidence=confidence,
        )
        for name, each in values.items()
    )


def _within(scores: np.ndarray, own: np.ndarray, ks: Sequence[int]) -> np.ndarray:
    """Chance of each probe to have its class among the k best, a row each k."""
    right = np.take_along_axis(scores, own[:, None], axis=1)
    above, level = (scores > right).sum(axis=1), (scores == right).sum(axis=1)
    return np.stack([np.clip((k - above) / level, 0.0, 1.0) for k in ks])


@dataclass(frozen=True, kw_only=True)
class IdentityRates:
    """Pairs of each identity (by code), and how many of them are decided wrongly at a threshold."""

    genuine: Int[np.ndarray, "identities"]
    impostor: Int[np.ndarray, "identities"]
    rejected: Int[np.ndarray, "identities"]
    accepted: Int[np.ndarray, "identities"]


def identity_rates(pairs: PairSource, threshold: float) -> IdentityRates:
    """Count wrong decisions by identity; an impostor pair counts for both of its identities."""
    counts = np.zeros((4, pairs.units), np.int64)
    for block in pairs:
        reached = block.scores >= threshold
        for row, (kind, wrong) in enumerate(((block.same, ~reached), (~block.same, reached))):
            both = kind & (block.first != block.second)
            for owner, of in ((block.first, kind), (block.second, both)):
                counts[row] += np.bincount(owner[of], minlength=pairs.units)
                counts[row + 2] += np.bincount(owner[of & wrong], minlength=pairs.units)
    return IdentityRates(
        genuine=counts[0], impostor=counts[1], rejected=counts[2], accepted=counts[3]
    )

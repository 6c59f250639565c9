"""How well scores tell genuine from impostor pairs: counts at thresholds, and the numbers that follow from them.

A pair is accepted when its score is at least the threshold. Pairs come in blocks and only counts
are kept, so that memory never grows with the number of pairs. Law 2: what is resampled is the
identity, and every identity counts once (a pair counts by its weight, see `pairs.Weigh`).
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float, Int

from twofold.errors import NotEnoughData, UsageError
from twofold.metrics.bins import reached
from twofold.metrics.jackknife import GROUPS, Involved, combined, involved, rate_interval
from twofold.metrics.pairs import PairSource, of_kinds
from twofold.results import Estimate

__all__ = [
    "Tally",
    "accuracy",
    "around",
    "auc",
    "best_accuracy",
    "best_threshold",
    "deletions",
    "det_points",
    "eer",
    "estimates",
    "estimates_at",
    "rates_at",
    "spread",
    "tally",
    "tar_at_far",
    "threshold_at_far",
]

EXACT = 1 << 20
"""Most pairs of which every distinct score is a threshold; above, the grid is used."""

BINS = 1 << 16
"""Thresholds of the grid that takes over above `EXACT` pairs: a step is 1/65,536 of the range of
scores."""


BETTER_HIGH = ("auc", "best_accuracy", "tar_at_far")

Values = Float[np.ndarray, "*replicates"] | np.floating
"""A number for a tally, or one for each of its replicates."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How many pairs reach each threshold: all that the verification numbers need.

    Attributes:
        thresholds: ascending; the first is at most the lowest score, the last is above the highest.
        genuine, impostor: weight of the pairs with score >= threshold, one row a bootstrap
            replicate if resampled.
    """

    thresholds: Float[np.ndarray, "thresholds"]
    genuine: Float[np.ndarray, "*replicates thresholds"]
    impostor: Float[np.ndarray, "*replicates thresholds"]

    @property
    def false_match_rate(self) -> Float[np.ndarray, "*replicates thresholds"]:
        """Share of impostor pairs that are accepted at each threshold; falls from 1 to 0."""
        return _share(self.impostor)

    @property
    def false_non_match_rate(self) -> Float[np.ndarray, "*replicates thresholds"]:
        """Share of genuine pairs that are not accepted at each threshold; rises from 0 to 1."""
        return 1.0 - _share(self.genuine)


def _share(reached: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return reached / reached[..., :1]


def tally(pairs: PairSource) -> Tally:
    """Count genuine and impostor pairs at every threshold that matters.

    Up to 2^20 pairs each distinct score is a threshold, so that all numbers are exact; above,
    65,536 equal steps between the lowest and the highest score (every rate *at* a threshold is
    still exact).

    Raises:
        NotEnoughData: no genuine pair, or no impostor pair.
    """
    kept, low, high, genuine, impostor = [], np.inf, -np.inf, 0, 0
    for block in pairs:
        if not len(block.scores):
            continue
        low, high = min(low, float(block.scores.min())), max(high, float(block.scores.max()))
        alike = int(np.count_nonzero(block.same))
        genuine, impostor = genuine + alike, impostor + len(block.same) - alike
        kept = [*kept, np.unique(block.scores)] if genuine + impostor <= EXACT else []
    if not genuine or not impostor:
        raise NotEnoughData(
            f"{genuine} genuine and {impostor} impostor pairs: both kinds are needed, so give "
            "several items of each identity and several identities"
        )
    inside = (
        np.unique(np.concatenate(kept))
        if genuine + impostor <= EXACT
        else np.linspace(low, high, BINS)
    )
    return _counted(pairs, np.append(inside, np.nextafter(high, np.inf)))


def _counted(pairs: PairSource, thresholds: np.ndarray) -> Tally:
    size = len(thresholds)
    counts = {True: np.zeros(size), False: np.zeros(size)}
    for block in pairs:
        bins = reached(thresholds, block.scores) - 1
        for kind, weights in of_kinds(block):
            counts[kind] += np.bincount(bins, weights=weights, minlength=size)
    return Tally(
        thresholds=thresholds, genuine=_reached(counts[True]), impostor=_reached(counts[False])
    )


def _reached(counts: np.ndarray) -> np.ndarray:
    return np.cumsum(counts[..., ::-1], axis=-1)[..., ::-1]


def eer(tally: Tally) -> Values:
    """Equal error rate: where the false-match rate and the false-non-match rate cross, linear in between."""
    match, non_match = tally.false_match_rate, tally.false_non_match_rate
    gap = non_match - match
    # gap rises from -1 to 1 along the thresholds: the
    # first that is not negative ends the crossing step
    after = np.maximum(np.argmax(gap >= 0, axis=-1), 1)[..., None]
    take = [
        np.take_along_axis(array, index, axis=-1)[..., 0]
        for array in (gap, match)
        for index in (after - 1, after)
    ]
    gap_before, gap_after, match_before, match_after = take
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.where(gap_after > gap_before, -gap_before / (gap_after - gap_before), 0.5)
    return match_before + part * (match_after - match_before)


def auc(tally: Tally) -> Values:
    """Area under the ROC curve: P(genuine score > impostor score) + half of P(equal)."""
    accepted = 1.0 - tally.false_non_match_rate
    steps = tally.false_match_rate[..., :-1] - tally.false_match_rate[..., 1:]
    return (steps * (accepted[..., :-1] + accepted[..., 1:]) / 2.0).sum(axis=-1)


def tar_at_far(tally: Tally, far: float) -> Values:
    """True-accept rate at the lowest threshold whose false-match rate is at most `far`.

    Raises:
        UsageError: `far` is not inside (0, 1).
    """
    index = _first_within(tally, far)
    return 1.0 - np.take_along_axis(tally.false_non_match_rate, index[..., None], axis=-1)[..., 0]


def threshold_at_far(tally: Tally, far: float) -> Values:
    """The lowest threshold whose measured false-match rate is at most `far`: a plain quantile that certifies nothing.

    Raises:
        UsageError: `far` is not inside (0, 1).
    """
    return tally.thresholds[_first_within(tally, far)]


def _first_within(tally: Tally, far: float) -> np.ndarray:
    if not 0.0 < far < 1.0:
        raise UsageError(
            f"far is {far}: a false-accept rate lies between "
            "0 and 1, both excluded (usual: 1e-2, 1e-3)"
        )
    return np.asarray(np.argmax(tally.false_match_rate <= far, axis=-1))


def rates_at(tally: Tally, threshold: float) -> tuple[Values, Values]:
    """False-match and false-non-match rate at a threshold.

    A threshold between two of the tally's counts as the higher one; in an exact tally no score lies
    between.
    """
    index = min(int(np.searchsorted(tally.thresholds, threshold)), len(tally.thresholds) - 1)
    return tally.false_match_rate[..., index], tally.false_non_match_rate[..., index]


def accuracy(tally: Tally, threshold: float) -> Values:
    """Share of right decisions at a threshold; all pairs count the same."""
    index = min(int(np.searchsorted(tally.thresholds, threshold)), len(tally.thresholds) - 1)
    return _accuracies(tally)[..., index]


def best_accuracy(tally: Tally) -> Values:
    """Share of right decisions at the best threshold for these very pairs: an upper bound, not a forecast."""
    return _accuracies(tally).max(axis=-1)


def best_threshold(tally: Tally) -> Values:
    """The threshold of `best_accuracy`: find it on validation pairs, use it on others."""
    return tally.thresholds[_accuracies(tally).argmax(axis=-1)]


def _accuracies(tally: Tally) -> np.ndarray:
    genuine, impostor = tally.genuine[..., :1], tally.impostor[..., :1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return (tally.genuine + impostor - tally.impostor) / (genuine + impostor)


def det_points(tally: Tally, *, points: int = 256) -> tuple[Float[np.ndarray, "k"], ...]:
    """Thresholds, false-match and false-non-match rates for a DET or ROC curve; at most about `points` of them."""
    index = spread(tally, points)
    return tally.thresholds[index], tally.false_match_rate[index], tally.false_non_match_rate[index]


def spread(tally: Tally, points: int) -> Int[np.ndarray, "k"]:
    """Indices of about `points` thresholds at even steps of both rates and at even steps of their logarithm."""
    each = max(points // 4, 2)
    levels = np.unique(np.concatenate([np.linspace(0.0, 1.0, each), np.geomspace(1e-6, 1.0, each)]))
    falling = np.searchsorted(-tally.false_match_rate, -levels)
    rising = np.searchsorted(tally.false_non_match_rate, levels)
    last = len(tally.thresholds) - 1
    return np.unique(np.clip(np.concatenate([[0, last], falling, rising]), 0, last))


def estimates(
    pairs: PairSource,
    *,
    far: float | None = None,
    threshold: float | None = None,
    confidence: float = 0.95,
    unit: str = "identity",
    seed: int = 0,
) -> dict[str, Estimate]:
    """Equal error rate, AUC and best accuracy with intervals that leave identities out (see `jackknife`).

    With `far` the true-accept rate at it, with `threshold` the numbers of `estimates_at` too.
    Values are exact up to 2^20 pairs (see `tally`); with an identity left out they are counted at
    up to 800 thresholds.

    Args:
        unit: what an identity of `pairs` is ("identity", "writer", "alphabet").
        seed: deals identities to groups where there are more than 2,000.
    """
    point = tally(pairs)
    counted = point.thresholds[around(point, far)]
    one_by_one = deletions(involved(pairs, counted, seed=seed), counted)
    numbers = {"eer": (eer, False), "auc": (auc, False), "best_accuracy": (best_accuracy, True)}
    tallies = dict.fromkeys(numbers, one_by_one)
    if far is not None:
        numbers["tar_at_far"] = (partial(tar_at_far, far=far), False)
        tallies["tar_at_far"] = deletions(involved(pairs, counted, seed=seed, most=GROUPS), counted)
    found = {}
    for name, (number, careful) in numbers.items():
        every, without, twice = tallies[name]
        value, coarse = float(number(point)), float(number(every))
        # what the coarse thresholds change is the same with and without an identity
        moved = [np.asarray(number(each)) - coarse + value for each in (without, twice)]
        found[name] = _estimate(
            name, value, moved, careful=careful, units=pairs.units, confidence=confidence, unit=unit
        )
    if threshold is not None:
        found |= estimates_at(pairs, threshold, confidence=confidence, unit=unit, seed=seed)
    return found


def around(tally: Tally, far: float | None, *, points: int = 512) -> Int[np.ndarray, "k"]:
    """Indices of thresholds as `spread`, with fine steps about `far`, so that a left-out identity moves it smoothly."""
    index = spread(tally, points)
    if far is None:
        return index
    near = np.searchsorted(-tally.false_match_rate, -far * np.geomspace(2.0, 0.5, points // 2))
    return np.union1d(index, np.clip(near, 0, len(tally.thresholds) - 1))


def deletions(counted: Involved, thresholds: np.ndarray) -> tuple[Tally, Tally, Tally]:
    """All pairs; those without each identity, a row each; those with each identity twice."""
    without, twice = (
        Tally(
            thresholds=thresholds,
            genuine=counted.genuine + sign * counted.genuine_with,
            impostor=counted.impostor + sign * counted.impostor_with,
        )
        for sign in (-1.0, 1.0)
    )
    return (
        Tally(thresholds=thresholds, genuine=counted.genuine, impostor=counted.impostor),
        without,
        twice,
    )


def _estimate(
    name: str,
    value: float,
    moved: list[np.ndarray],
    *,
    careful: bool,
    units: int,
    confidence: float,
    unit: str,
) -> Estimate:
    """A number with its interval; `moved` holds it without each identity, and with each twice."""
    without, twice = moved
    turned = name in BETTER_HIGH
    if turned:
        value, without, twice = 1.0 - value, 1.0 - without, 1.0 - twice
    low, high = rate_interval(value, without, twice if careful else None, confidence=confidence)
    if turned:
        value, low, high = 1.0 - value, 1.0 - high, 1.0 - low
    return Estimate(
        name=name,
        value=value,
        low=low,
        high=high,
        confidence=confidence,
        unit=unit,
        resampled=units,
    )


def estimates_at(
    pairs: PairSource,
    threshold: float,
    *,
    confidence: float = 0.95,
    unit: str = "identity",
    seed: int = 0,
    counted: tuple[np.ndarray, Involved] | None = None,
) -> dict[str, Estimate]:
    """Accuracy and both error rates at a threshold, exact, with intervals as of `estimates`.

    Args:
        counted: thresholds, minus infinity and this one among them, and the pairs that take part at
            each, where they are counted already.
    """
    two = np.array([-np.inf, threshold])
    taking_part = involved(pairs, two, seed=seed) if counted is None else _at(*counted, two)
    every, without, twice = deletions(taking_part, two)
    rates = [
        [np.asarray(each[..., 1]) for each in _rates(which)] for which in (every, without, twice)
    ]
    match, non_match = (float(each) for each in rates[0])
    # few identities make most false matches, so their upper bound expects one more of the worst
    ends = (
        rate_interval(match, rates[1][0], rates[2][0], confidence=confidence),
        rate_interval(non_match, rates[1][1], confidence=confidence),
    )
    genuine = float(every.genuine[0] / (every.genuine[0] + every.impostor[0]))
    shares = (1.0 - genuine, genuine)
    wrong = combined((match, non_match), ends, shares, (rates[1][0], rates[1][1]))
    found = {
        "accuracy": (float(accuracy(every, threshold)), (1.0 - wrong[1], 1.0 - wrong[0])),
        "false_match_rate": (match, ends[0]),
        "false_non_match_rate": (non_match, ends[1]),
    }
    return {
        name: Estimate(
            name=name,
            value=value,
            low=min(low, value),
            high=max(high, value),
            confidence=confidence,
            unit=unit,
            resampled=pairs.units,
        )
        for name, (value, (low, high)) in found.items()
    }


def _at(known: np.ndarray, counted: Involved, thresholds: np.ndarray) -> Involved:
    """The counts at some of the thresholds."""
    places = np.searchsorted(known, thresholds)
    return Involved(**{name: each[..., places] for name, each in vars(counted).items()})


def _rates(tally: Tally) -> tuple[np.ndarray, np.ndarray]:
    return tally.false_match_rate, tally.false_non_match_rate

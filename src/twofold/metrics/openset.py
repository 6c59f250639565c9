"""Open-set identification: how often a stranger is matched to one of N enrolled, measured on many random galleries.

Law 2: every identity that is a probe counts once in a gallery, however many items it has. The rate
does not follow from the false-match rate of one comparison: `1 - (1 - FMR)^N` assumes that
comparisons with one probe are independent, which they are not (0.393 instead of the measured
0.096).
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from twofold.errors import CannotCertify, NotEnoughData, UsageError
from twofold.metrics.certification import clustered_bounds, fewest_for_rejection
from twofold.metrics.jackknife import rate_interval
from twofold.metrics.pairs import ScoreBlock, finite
from twofold.results import Estimate

__all__ = ["Galleries", "OpenSetRates", "galleries", "open_set"]

CANDIDATES = 64
"""Thresholds tried: even steps of the logarithm of the measured rate, from a twelfth of the asked
one up to it."""

SCORES_AT_ONCE = 1 << 22
"""Scores held at once: 32 MB in float64."""


@dataclass(frozen=True, kw_only=True)
class OpenSetRates:
    """A threshold for N enrolled, and what was measured at it.

    Attributes:
        upper_bound: the upper confidence bound of the false-positive identification rate.
        false_positive: strangers for whom somebody enrolled reaches the threshold (FPIR, ISO/IEC
            19795-1).
        false_negative: enrolled people who are not found (FNIR): somebody else is nearer, or nobody
            reaches the threshold.
        repeats: how many galleries were made.
    """

    threshold: float
    upper_bound: float
    false_positive: Estimate
    false_negative: Estimate
    identities: int
    repeats: int


@dataclass(frozen=True, kw_only=True)
class Galleries:
    """What happened to every probe in every gallery, one entry per trial.

    Attributes:
        best: score of the nearest enrolled item; `culprit`: whose it is; `probe`: whose the probe
            is (codes).
        mated: whether the probe's identity is enrolled; `right`: whether it is then the nearest.
        weights: make a probe's identity count once in each gallery; their mean is 1 among strangers
            and among the rest.
        enrolled: for every identity the number of strangers' trials in which it was in the gallery.
    """

    best: Float[np.ndarray, "trials"]
    culprit: Int[np.ndarray, "trials"]
    probe: Int[np.ndarray, "trials"]
    mated: Bool[np.ndarray, "trials"]
    right: Bool[np.ndarray, "trials"]
    weights: Float[np.ndarray, "trials"]
    enrolled: Float[np.ndarray, "identities"]
    size: int
    repeats: int


def open_set(
    found: Galleries, fpir: float, *, confidence: float = 0.95, estimate: bool = False
) -> OpenSetRates:
    """The lowest threshold at which at most the share `fpir` of strangers is matched to somebody.

    A stranger's trial involves two identities: the probe's and the nearest enrolled one's. The
    upper bound is that of decision 010, with trials in the place of pairs: identity i takes part in
    those where it is the probe, and in `1 / N` of those where it is enrolled; it has accepted those
    where it is probe or culprit.

    Args:
        estimate: take the threshold at which the measured rate is `fpir`; certifies nothing.

    Raises:
        CannotCertify: the data cannot show that rate; says how many identities it takes.
        UsageError: `fpir` or `confidence` is not inside (0, 1).
    """
    if not 0.0 < fpir < 1.0 or not 0.0 < confidence < 1.0:
        raise UsageError(
            f"fpir is {fpir} and confidence {confidence}: "
            "both lie between 0 and 1 (usual: 1e-2 and 0.95)"
        )
    strangers = ~found.mated
    best, weights = found.best[strangers], found.weights[strangers]
    sides, units, total = (
        (found.probe[strangers], found.culprit[strangers]),
        len(found.enrolled),
        float(weights.sum()),
    )
    thresholds = _candidates(best, weights, fpir)
    compared = np.bincount(sides[0], weights=weights, minlength=units) + found.enrolled / found.size
    accepted = [_taking_part(best >= each, weights, sides, units) for each in thresholds]
    if not len(thresholds):
        raise CannotCertify(_refusal(units, fpir, confidence))
    reached = [float(weights[best >= each].sum()) for each in thresholds]
    bounds, _ = clustered_bounds(
        np.array([[*each, among] for each, among in zip(accepted, reached, strict=True)]).T,
        np.append(compared, total),
        confidence,
    )
    within = np.flatnonzero(bounds <= fpir)
    if estimate:
        within = np.array([len(thresholds) - 1])
    elif units < fewest_for_rejection(fpir) or not len(within):
        raise CannotCertify(_refusal(units, fpir, confidence))
    chosen = int(within[-1])
    threshold, rate = float(thresholds[chosen]), reached[chosen] / total
    moved = (accepted[chosen] - rate * compared) / total
    ends = rate_interval(rate, rate - moved, rate + moved, confidence=confidence)
    return OpenSetRates(
        threshold=threshold,
        upper_bound=float(bounds[chosen]),
        false_positive=_estimate(
            "false_positive_identification_rate", rate, ends, units=units, confidence=confidence
        ),
        false_negative=_false_negative(found, threshold, confidence),
        identities=units,
        repeats=found.repeats,
    )


def _candidates(best: np.ndarray, weights: np.ndarray, fpir: float) -> np.ndarray:
    """Thresholds whose measured rates go from a twelfth of the asked one up to it, each just above a score."""
    order = np.argsort(-best, kind="stable")
    reached = np.cumsum(weights[order])
    # sums of weights are rounded; a rate of exactly the asked one is allowed
    allowed = reached[-1:] * fpir * np.geomspace(1.0 / 12.0, 1.0, CANDIDATES) * (1.0 + 1e-12)
    places = np.unique(np.searchsorted(reached, allowed, side="right"))
    return np.nextafter(best[order][places[(places > 0) & (places < len(best))]], np.inf)


def _taking_part(
    hit: np.ndarray, weights: np.ndarray, ends: tuple[np.ndarray, np.ndarray], units: int
) -> np.ndarray:
    """Weight of the accepted trials of each identity, as the probe or as the one that it is matched to."""
    probe, culprit = (np.bincount(end[hit], weights=weights[hit], minlength=units) for end in ends)
    return probe + culprit


def _false_negative(found: Galleries, threshold: float, confidence: float) -> Estimate:
    missed = ~(found.right & (found.best >= threshold))[found.mated]
    units, probe, weights = (
        len(found.enrolled),
        found.probe[found.mated],
        found.weights[found.mated],
    )
    if not len(missed):
        raise NotEnoughData(
            "no identity has an item beside those enrolled: give at least one item more of each"
        )
    trials = np.bincount(probe, weights=weights, minlength=units)
    misses = np.bincount(probe, weights=weights * missed, minlength=units)
    known, rate = trials > 0, float(misses.sum() / trials.sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        without = (misses.sum() - misses[known]) / (trials.sum() - trials[known])
    ends = rate_interval(rate, without, confidence=confidence)
    return _estimate(
        "false_negative_identification_rate",
        rate,
        ends,
        units=int(known.sum()),
        confidence=confidence,
    )


def _estimate(
    name: str, rate: float, ends: tuple[float, float], *, units: int, confidence: float
) -> Estimate:
    low, high = ends
    return Estimate(
        name=name,
        value=rate,
        low=low,
        high=high,
        confidence=confidence,
        unit="identity",
        resampled=units,
    )


def _refusal(units: int, fpir: float, confidence: float) -> str:
    needed = max(
        fewest_for_rejection(fpir),
        math.ceil(1.5 * units) if units >= fewest_for_rejection(fpir) else 0,
    )
    return (
        f"{units} identities cannot show a false-positive identification rate of {fpir:g} with "
        f"confidence {confidence:g}: it takes at least {needed}; give more identities"
    )


def galleries(
    score: ScoreBlock,
    labels: Int[np.ndarray, "n"],
    *,
    size: int,
    enrolled: int = 1,
    repeats: int | None = None,
    seed: int = 0,
) -> Galleries:
    """Enrol `size` identities by chance, with `enrolled` items each, and let all other items be the probes.

    Items of identities that are not enrolled are strangers (non-mated probes); the other items of
    enrolled ones are mated. By default each identity is a stranger about five times, in at least 10
    galleries.

    Raises:
        UsageError: `size`, `enrolled` or `repeats` is below 1.
        NotEnoughData: not more than `size` identities have `enrolled` items.
    """
    if min(size, enrolled, 1 if repeats is None else repeats) < 1:
        raise UsageError(
            f"gallery size {size}, {enrolled} enrolled items, repeats {repeats}: each is at least 1"
        )
    codes = np.unique(labels, return_inverse=True)[1]
    items = np.bincount(codes)
    enough = _enrollable(items, size, enrolled)
    if repeats is None:
        repeats = max(10, math.ceil(5 * len(items) / (len(items) - size)))
    generator = np.random.default_rng(seed)
    rounds = [
        _one(
            score,
            codes,
            generator.permutation(len(codes)),
            generator.choice(enough, size, replace=False),
            enrolled=enrolled,
        )
        for _ in range(repeats)
    ]
    best, culprit, probe, mated, right = (
        np.concatenate(each) for each in zip(*(r[:5] for r in rounds), strict=True)
    )
    weights = _once(probe, mated, items, enrolled)
    stood, start = np.zeros(len(items)), 0
    for each in rounds:
        stop = start + len(each[0])
        stood[each[5]] += weights[start:stop][~each[3]].sum()
        start = stop
    return Galleries(
        best=best,
        culprit=culprit,
        probe=probe,
        mated=mated,
        right=right,
        weights=weights,
        enrolled=stood,
        size=size,
        repeats=repeats,
    )


def _enrollable(items: np.ndarray, size: int, enrolled: int) -> np.ndarray:
    """The identities with enough items to be enrolled.

    Raises:
        NotEnoughData: too few of them, or no strangers beside them.
    """
    enough = np.flatnonzero(items >= enrolled)
    if len(enough) < size or len(items) <= size:
        raise NotEnoughData(
            f"a gallery of {size} needs {size} identities with {enrolled} items and strangers "
            f"beside them; there are {len(items)} identities, {len(enough)} of them with that "
            "many: give more, or ask for a smaller gallery"
        )
    return enough


def _once(probe: np.ndarray, mated: np.ndarray, items: np.ndarray, enrolled: int) -> np.ndarray:
    """Weights by which an identity's probes of one gallery count as one; mean 1 for strangers and for mates."""
    probes = np.where(mated, np.maximum(items[probe] - enrolled, 1), items[probe])
    weights = np.ones(len(probe))
    for kind in (mated, ~mated):
        if kind.any():
            # with equal numbers all weights are exactly 1
            weights[kind] = probes[kind].max() / probes[kind]
            weights[kind] /= weights[kind].mean()
    return weights


def _one(
    score: ScoreBlock, codes: np.ndarray, order: np.ndarray, members: np.ndarray, *, enrolled: int
) -> tuple:
    """One gallery: `enrolled` items of each member, the first in a shuffled order, against all other items."""
    inside = np.zeros(codes.max() + 1, dtype=bool)
    inside[members] = True
    shuffled = order[np.argsort(codes[order], kind="stable")]
    starts = np.searchsorted(codes[shuffled], np.arange(len(inside)))
    rank = np.arange(len(codes)) - starts[codes[shuffled]]
    stands = inside[codes[shuffled]] & (rank < enrolled)
    gallery, probes = shuffled[stands], shuffled[~stands]
    step = max(SCORES_AT_ONCE // len(gallery), 1)
    best, culprit = np.empty(len(probes)), np.empty(len(probes), dtype=np.int64)
    for start in range(0, len(probes), step):
        some = probes[start : start + step]
        scores = score(some, gallery)
        nearest = scores.argmax(axis=1)
        # argmax stops at the first NaN: looking at the best
        # alone finds it, in the precision that the scores have
        best[start : start + step] = finite(scores[np.arange(len(some)), nearest])
        culprit[start : start + step] = codes[gallery[nearest]]
    mated = inside[codes[probes]]
    return best, culprit, codes[probes], mated, mated & (culprit == codes[probes]), members

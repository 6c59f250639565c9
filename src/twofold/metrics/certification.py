"""From scores to a threshold whose error rate holds. Law 2: identities, never pairs."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from twofold.errors import CannotCertify, UsageError
from twofold.metrics.intervals import beta_quantile, normal_quantile, student_quantile
from twofold.metrics.pairs import PairBlock, PairSource
from twofold.metrics.sites import BySite
from twofold.metrics.verification import Tally, tally

__all__ = [
    "METHOD",
    "Certificate",
    "Mirrored",
    "certify",
    "certify_rejection",
    "clustered_bounds",
    "fewest_for_rejection",
    "fewest_identities",
    "upper_bounds",
]

METHOD = "identity jackknife, effective sample size, one more worst identity"

CANDIDATES = 64
"""Thresholds tried: even steps of the logarithm of the measured rate, from `far` down to a twelfth
of it."""

MET = 50.0
"""Pairs of identities times the asked rate, at least: 101 identities for 1e-2, 317 for 1e-3
(decision 010)."""

SITES = 60
"""Fewest sites, if sites are the independent units. Simulated with a site effect of a quarter of a
standard deviation, the promise of 5 % was broken in 13 to 22 % of calibrations at 8 sites, 10 to 15
at 12, 5 to 10 at 20, and 2 to 5 at 60 (decision 057)."""

MISSED = 5.0
"""Identities times the asked false-reject rate, at least: 100 identities for 5e-2, 500 for 1e-2
(decision 012)."""


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A threshold, the error rate measured at it, and an upper bound of the true rate."""

    threshold: float
    rate: float
    upper_bound: float


def certify(
    pairs: PairSource, far: float, *, confidence: float = 0.95, counted: Tally | None = None
) -> Certificate:
    """The lowest threshold whose false-match rate is at most `far` with the asked confidence.

    That is a statement on new identities: it exceeds `far` in at most `1 - confidence` of all
    calibrations, though pairs share identities (see `upper_bounds`). Of pairs `BySite` it is a
    statement on new sites.

    Args:
        counted: the tally of `pairs`, if it is known already.

    Raises:
        CannotCertify: the data cannot show that rate; the message names the number of identities
            that would.
        UsageError: `far` or `confidence` is not inside (0, 1).
        NotEnoughData: no genuine or no impostor pair.
    """
    if not 0.0 < far < 1.0 or not 0.0 < confidence < 1.0:
        raise UsageError(
            f"far is {far} and confidence {confidence}: "
            "both lie between 0 and 1 (usual: 1e-2 and 0.95)"
        )
    counted = tally(pairs) if counted is None else counted
    return _lowest(pairs, far, counted=counted, confidence=confidence, genuine=False)


def certify_rejection(pairs: PairSource, frr: float, *, confidence: float = 0.95) -> Certificate:
    """The highest threshold below which at most the share `frr` of genuine pairs scores, with the asked confidence.

    The mirror image of `certify`: a genuine pair below the threshold is a false reject, and what is
    resampled is the identity, which every genuine pair has one of.

    Returns:
        A certificate whose `rate` and `upper_bound` are those of false rejects: genuine pairs with
            score < threshold.

    Raises:
        CannotCertify: the data cannot show that rate; the message names the number of identities
            that would.
        UsageError: `frr` or `confidence` is not inside (0, 1).
        NotEnoughData: no genuine or no impostor pair.
    """
    if not 0.0 < frr < 1.0 or not 0.0 < confidence < 1.0:
        raise UsageError(
            f"frr is {frr} and confidence {confidence}: "
            "both lie between 0 and 1 (usual: 5e-2 and 0.95)"
        )
    turned = Mirrored(pairs)
    found = _lowest(turned, frr, counted=tally(turned), confidence=confidence, genuine=True)
    # -score >= t is score <= -t: the first score that is not rejected lies just above
    return replace(found, threshold=float(np.nextafter(-found.threshold, np.inf)))


def _lowest(
    pairs: PairSource, asked: float, *, counted: Tally, confidence: float, genuine: bool
) -> Certificate:
    rates = counted.false_match_rate
    first, last = (int(np.argmax(rates <= level)) for level in (asked, asked / 12.0))
    steps = np.searchsorted(-rates, -asked * np.geomspace(1.0, 1.0 / 12.0, CANDIDATES))
    chosen = np.unique(np.clip(steps, first, last))
    accepted, compared = _involved(pairs, counted.thresholds[chosen])
    units = int((compared[:-1] > 0).sum())
    fewest = fewest_for_rejection(asked) if genuine else fewest_identities(asked)
    by_site = sites_of(pairs)
    if by_site is not None:
        _refuse_few(by_site, units, fewest)
        fewest = SITES
    if units >= fewest and rates[first] == 0.0 and first > 0:
        raise CannotCertify(_too_coarse(counted, first, asked, genuine=genuine))
    if units >= fewest:
        known = np.append(compared[:-1] > 0, True)
        for place, at in enumerate(chosen):
            bound = _bound(accepted[known, place], compared[known], confidence, most=asked)[0]
            if bound <= asked and rates[at] > 0:
                rate = float(rates[at])
                return Certificate(
                    threshold=float(counted.thresholds[at]), rate=rate, upper_bound=bound
                )
    _, sizes = clustered_bounds(accepted, compared, confidence)
    seen = sizes[(sizes > 0) & (rates[chosen] > 0)]
    who = "sites" if by_site else "identities with two items or more" if genuine else "identities"
    raise CannotCertify(
        _refusal(units, asked, fewest, sizes=seen, confidence=confidence, who=who, genuine=genuine)
    )


class Mirrored:
    """The same pairs mirrored: genuine pairs become impostors, scores change sign."""

    def __init__(self, pairs: PairSource) -> None:
        self.pairs = pairs

    @property
    def units(self) -> int:
        """How many identities take part."""
        return self.pairs.units

    @property
    def crossed(self) -> int:
        """How many identities, if all of them were compared with each other; else 0."""
        return self.pairs.crossed

    def __iter__(self) -> Iterator[PairBlock]:
        for block in self.pairs:
            yield replace(block, scores=-block.scores, same=~block.same)


def fewest_identities(far: float) -> int:
    """Fewest identities with which a rate is certified, whatever the scores."""
    return math.ceil((1.0 + math.sqrt(1.0 + 8.0 * MET / far)) / 2.0)


def fewest_for_rejection(frr: float) -> int:
    """Fewest identities with two items with which a false-reject rate is certified."""
    return math.ceil(round(MISSED / frr, 9))


def upper_bounds(
    pairs: PairSource, thresholds: Float[np.ndarray, "thresholds"], *, confidence: float = 0.95
) -> tuple[Float[np.ndarray, "thresholds"], Float[np.ndarray, "thresholds"]]:
    """Upper confidence bound of the false-match rate at each threshold, and the effective number of impostor pairs.

    One identity more, as bad as the worst seen, is added to those seen. The rate p then has the
    variance `V = M / (M - 1) * sum_i (a_i - p n_i)^2 / N^2`, where identity i takes part in n_i
    impostor pairs of N, of which a_i are accepted (infinitesimal jackknife). `p (1 - p) / V` is the
    number of independent pairs that would tell the rate as well; it is reduced by `(z / t)^2` with
    Student's t at `2 M / (kurtosis - 1)` degrees, and Clopper and Pearson's bound is taken at it
    (Korn & Graubard 1998; Satterthwaite 1946 for the degrees).
    """
    return clustered_bounds(*_involved(pairs, thresholds), confidence)


def clustered_bounds(
    accepted: Float[np.ndarray, "rows thresholds"],
    impostors: Float[np.ndarray, "rows"],
    confidence: float,
) -> tuple[Float[np.ndarray, "thresholds"], Float[np.ndarray, "thresholds"]]:
    """`upper_bounds` of counts: row i those with identity i, the last row all of them."""
    known = np.append(impostors[:-1] > 0, True)
    bounds, sizes = np.ones(accepted.shape[1]), np.zeros(accepted.shape[1])
    for place in range(len(bounds)):
        bounds[place], sizes[place] = _bound(accepted[known, place], impostors[known], confidence)
    return bounds, sizes


def _involved(pairs: PairSource, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights of impostor pairs, accepted at each threshold and all: row i those with identity i, the last row all."""
    size, units = len(thresholds), pairs.units
    counts = np.zeros((units + 1, size + 1))
    for block in pairs:
        # few pairs reach a threshold: the others are counted together, which is much faster
        high = np.flatnonzero(block.scores >= thresholds[0])
        bins = np.searchsorted(thresholds, block.scores[high], side="right")
        weights = np.where(block.same, 0.0, block.weights)
        once = np.where(block.first == block.second, 0.0, weights)
        counts[units] += np.bincount(bins, weights[high], size + 1)
        for row, of in ((block.first, weights), (block.second, once)):
            place = row[high] * (size + 1) + bins
            counts[:-1] += np.bincount(place, of[high], units * (size + 1)).reshape(units, -1)
            of[high] = 0.0
            counts[:-1, 0] += np.bincount(row, of, units)
        counts[units, 0] += weights.sum()  # of those that reach none, by now
    reached = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]
    return reached[:, 1:], reached[:, 0]


def _bound(
    accepted: np.ndarray, impostors: np.ndarray, confidence: float, *, most: float = 1.0
) -> tuple[float, float]:
    """The bound and the effective number of pairs; 1 and 0 if the bound exceeds `most` for sure."""
    rate = accepted[-1] / impostors[-1]
    worst = np.argmax(accepted[:-1] - rate * impostors[:-1])
    total, size = impostors[-1] + impostors[worst], len(impostors)
    rate = (accepted[-1] + accepted[worst]) / total
    moved = (
        np.append(accepted[:-1], accepted[worst])
        - rate * np.append(impostors[:-1], impostors[worst])
    ) ** 2
    if not 0.0 < rate < min(most, 1.0) or not moved.sum():
        return 1.0, 0.0
    variance = size / (size - 1) * moved.sum() / total**2
    kurtosis = size * (moved**2).sum() / moved.sum() ** 2
    freedom = min(2.0 * size / max(kurtosis - 1.0, 1e-9), size - 1.0)
    lessened = (normal_quantile(confidence) / student_quantile(confidence, freedom)) ** 2
    pairs = min(rate * (1.0 - rate) / variance, total) * lessened
    return beta_quantile(confidence, rate * pairs + 1.0, max(pairs * (1.0 - rate), 0.5)), pairs


def sites_of(pairs: PairSource) -> BySite | None:
    """The pairs by site, if sites are their units; else None."""
    inner = pairs.pairs if isinstance(pairs, Mirrored) else pairs
    return inner if isinstance(inner, BySite) else None


def _refuse_few(by_site: BySite, sites: int, fewest: int) -> None:
    """Refuse too few sites, and too few identities at many sites.

    Raises:
        CannotCertify: too few of either.
    """
    if sites < SITES:
        raise CannotCertify(
            f"{sites} sites are too few to certify by site: identities "
            f"of one site are not independent, and it takes {SITES} "
            "sites and more to see how much sites differ; give more sites"
        )
    if by_site.identities < fewest:
        raise CannotCertify(
            f"{by_site.identities} identities at {sites} sites "
            f"are too few to certify: it takes at least {fewest}"
        )


def _refusal(
    units: int,
    asked: float,
    fewest: int,
    *,
    sizes: np.ndarray,
    confidence: float,
    who: str,
    genuine: bool,
) -> str:
    """The error: what cannot be shown, and how many identities or sites like these would."""
    needed = fewest
    if len(sizes):
        # certainty grows with the identities; at half the asked rate the bound has to reach it
        needed = max(needed, math.ceil(units * _pairs_for(asked, confidence) / sizes.max()))
    return (
        f"{units} {who} cannot show a {'false-reject' if genuine else 'false-accept'} rate of "
        f"{asked:g} with confidence {confidence:g}: it takes about {max(needed, units + 1)} like "
        f"these; give more {who.split(' ')[0]}"
    )


def _too_coarse(counted: Tally, first: int, asked: float, *, genuine: bool) -> str:
    """The error for coarse scores: no measured rate lies between the asked one and 0.

    Args:
        first: the first threshold that no pair in question reaches.
    """
    # rejects: negated scores
    sign, who, side = (-1.0, "genuine", "less") if genuine else (1.0, "impostor", "more")
    reached, beyond = (sign * float(counted.thresholds[place]) for place in (first - 1, first))
    rate = float(counted.false_match_rate[first - 1])
    last = first == len(counted.thresholds) - 1
    none = (
        f"nothing scores {side} than that"
        if last
        else f"none of them scores {beyond:.6g} or {side}"
    )
    return (
        f"the scores are too coarse to certify a rate of {asked:g}: {rate:.3g} of the {who} pairs "
        f"score {reached:.6g} or {side}, and {none}; a rate that was never seen above 0 has no "
        "bound. Give scores that are not rounded"
    )


def _pairs_for(far: float, confidence: float) -> float:
    """Independent pairs of which half of `far` accepted gives a bound of `far`."""
    size = 1.0 / far
    while beta_quantile(confidence, size * far / 2.0 + 1.0, size * (1.0 - far / 2.0)) > far:
        size *= 1.1
    return size

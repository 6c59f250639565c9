"""From scores to a threshold whose false-accept rate holds, and to a probability. Law 2: identities, never pairs."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from twofold.errors import CannotCertify, UsageError
from twofold.metrics.intervals import beta_quantile, normal_quantile, student_quantile
from twofold.metrics.pairs import PairSource
from twofold.metrics.verification import Tally, tally

__all__ = ["METHOD", "Certificate", "certify", "fewest_identities", "platt", "upper_bounds"]

METHOD = "identity jackknife, effective sample size, one more worst identity"

CANDIDATES = 64
"""Thresholds tried, at even steps of the logarithm of the measured rate, from `far` down to a twelfth of it."""

MET = 50.0
"""Pairs of identities times the asked rate, at least: 101 identities for 1e-2, 317 for 1e-3 (decision 010)."""


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A threshold, the false-match rate measured at it, and the upper confidence bound of the true rate."""

    threshold: float
    false_match_rate: float
    upper_bound: float


def certify(pairs: PairSource, far: float, *, confidence: float = 0.95, counted: Tally | None = None) -> Certificate:
    """The lowest threshold whose false-match rate is at most `far` with the asked confidence.

    That is a statement on new identities: it exceeds `far` in at most `1 - confidence` of all calibrations, though
    pairs share identities (see `upper_bounds`).

    Args:
        counted: the tally of `pairs`, if it is known already.

    Raises:
        CannotCertify: the data cannot show that rate; the message names the number of identities that would.
        UsageError: `far` or `confidence` is not inside (0, 1).
        NotEnoughData: no genuine or no impostor pair.
    """
    if not 0.0 < far < 1.0 or not 0.0 < confidence < 1.0:
        raise UsageError(f"far is {far} and confidence {confidence}: both lie between 0 and 1 (usual: 1e-2 and 0.95)")
    counted = tally(pairs) if counted is None else counted
    rates = counted.false_match_rate
    first, last = (int(np.argmax(rates <= level)) for level in (far, far / 12.0))
    steps = np.searchsorted(-rates, -far * np.geomspace(1.0, 1.0 / 12.0, CANDIDATES))
    chosen = np.unique(np.clip(steps, first, last))
    fewest = fewest_identities(far)
    bounds, sizes = upper_bounds(pairs, counted.thresholds[chosen], confidence=confidence)
    within = np.flatnonzero((bounds <= far) & (rates[chosen] > 0))
    if pairs.units < fewest or not len(within):
        raise CannotCertify(_refusal(pairs, far, rates=rates[chosen], sizes=sizes, confidence=confidence))
    best = within[0]
    return Certificate(
        threshold=float(counted.thresholds[chosen[best]]),
        false_match_rate=float(rates[chosen[best]]),
        upper_bound=float(bounds[best]),
    )


def fewest_identities(far: float) -> int:
    """Below so many identities a rate is never certified, whatever the scores say."""
    return math.ceil((1.0 + math.sqrt(1.0 + 8.0 * MET / far)) / 2.0)


def upper_bounds(
    pairs: PairSource, thresholds: Float[np.ndarray, "thresholds"], *, confidence: float = 0.95
) -> tuple[Float[np.ndarray, "thresholds"], Float[np.ndarray, "thresholds"]]:
    """Upper confidence bound of the false-match rate at each threshold, and the effective number of impostor pairs.

    One identity more, as bad as the worst seen, is added to those seen. The rate p then has the variance
    `V = M / (M - 1) * sum_i (a_i - p n_i)^2 / N^2`, where identity i takes part in n_i impostor pairs of N, of which
    a_i are accepted (infinitesimal jackknife). `p (1 - p) / V` is the number of independent pairs that would know the
    rate as well; it is lessened by `(z / t)^2` with Student's t at `2 M / (kurtosis - 1)` degrees, and Clopper and
    Pearson's bound is taken at it (Korn & Graubard 1998; Satterthwaite 1946 for the degrees).
    """
    accepted, impostors = _involved(pairs, thresholds)
    bounds, sizes = np.ones(len(thresholds)), np.zeros(len(thresholds))
    for place in range(len(thresholds)):
        bounds[place], sizes[place] = _bound(accepted[:, place], impostors, confidence)
    return bounds, sizes


def _involved(pairs: PairSource, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Impostor pairs accepted at each threshold, and all: row i those with identity i, the last row every one."""
    size, units = len(thresholds), pairs.units
    counts = np.zeros((units + 1, size + 1))
    for block in pairs:
        chosen = ~block.same
        bins = np.searchsorted(thresholds, block.scores[chosen], side="right")
        first, second = block.first[chosen], block.second[chosen]
        apart = first != second
        places = [first * (size + 1) + bins, second[apart] * (size + 1) + bins[apart], units * (size + 1) + bins]
        for each in places:
            counts += np.bincount(each, minlength=counts.size).reshape(counts.shape)
    reached = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]
    return reached[:, 1:], reached[:, 0]


def _bound(accepted: np.ndarray, impostors: np.ndarray, confidence: float) -> tuple[float, float]:
    rate = accepted[-1] / impostors[-1]
    worst = np.argmax(accepted[:-1] - rate * impostors[:-1])
    total, size = impostors[-1] + impostors[worst], len(impostors)
    rate = (accepted[-1] + accepted[worst]) / total
    moved = (np.append(accepted[:-1], accepted[worst]) - rate * np.append(impostors[:-1], impostors[worst])) ** 2
    if not 0.0 < rate < 1.0 or not moved.sum():
        return 1.0, 0.0
    variance = size / (size - 1) * moved.sum() / total**2
    kurtosis = size * (moved**2).sum() / moved.sum() ** 2
    freedom = min(2.0 * size / max(kurtosis - 1.0, 1e-9), size - 1.0)
    lessened = (normal_quantile(confidence) / student_quantile(confidence, freedom)) ** 2
    pairs = min(rate * (1.0 - rate) / variance, total) * lessened
    return beta_quantile(confidence, rate * pairs + 1.0, max(pairs * (1.0 - rate), 0.5)), pairs


def _refusal(pairs: PairSource, far: float, *, rates: np.ndarray, sizes: np.ndarray, confidence: float) -> str:
    """What is wrong, and how many identities like these would do."""
    needed = fewest_identities(far)
    seen = np.flatnonzero((sizes > 0) & (rates > 0))
    if len(seen):
        # what is known of the rate grows with the identities; at half the asked rate the bound has to reach it
        wanted = _pairs_for(far, confidence)
        needed = max(needed, math.ceil(pairs.units * wanted / sizes[seen].max()))
    return (
        f"{pairs.units} identities cannot show a false-accept rate of {far:g} with confidence {confidence:g}: it takes "
        f"about {max(needed, pairs.units + 1)} like these; give more identities, ask for a larger rate, or take an "
        "estimate (--estimate), which is certified for nothing"
    )


def _pairs_for(far: float, confidence: float) -> float:
    """Independent pairs of which half of `far` accepted gives a bound of `far`."""
    size = 1.0 / far
    while beta_quantile(confidence, size * far / 2.0 + 1.0, size * (1.0 - far / 2.0)) > far:
        size *= 1.1
    return size


def platt(counted: Tally, *, prior: float = 0.5, identities: int) -> tuple[float, float]:
    """Slope and intercept of `P(same | score) = 1 / (1 + exp(-(slope * score + intercept)))`, Platt 1999.

    Genuine pairs weigh `prior` in all, impostor pairs `1 - prior`, however many there are of each. Targets are
    `(m + 1) / (m + 2)` and `1 / (m + 2)` with m = identities, not pairs: m people cannot show a probability nearer
    to 1 than that. Newton's method; with these targets the minimum is unique and finite.

    Raises:
        UsageError: `prior` is not inside (0, 1).
        CannotCertify: genuine pairs do not score higher than impostor pairs.
    """
    if not 0.0 < prior < 1.0:
        raise UsageError(f"prior is {prior}: the share of genuine pairs lies between 0 and 1, both excluded")
    genuine, impostor = (
        share * -np.diff(counts, append=0.0) / counts[0]
        for share, counts in ((prior, counted.genuine), (1.0 - prior, counted.impostor))
    )
    weight, low = genuine + impostor, 1.0 / (identities + 2.0)
    target = (genuine * (1.0 - low) + impostor * low) / np.where(weight > 0, weight, 1.0)
    centre = np.average(counted.thresholds, weights=weight)
    scale = np.sqrt(np.average((counted.thresholds - centre) ** 2, weights=weight)) or 1.0
    slope, intercept = _logistic((counted.thresholds - centre) / scale, target, weight)
    if slope <= 0.0:
        raise CannotCertify(
            "genuine pairs do not score higher than impostor pairs, so no score can mean 'same': "
            "look at the labels, or train longer"
        )
    return float(slope / scale), float(intercept - slope * centre / scale)


def _logistic(x: np.ndarray, target: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Weighted logistic regression of one variable: Newton's steps, halved until the loss falls."""
    design = np.stack([x, np.ones_like(x)], axis=1)

    def loss(at: np.ndarray) -> float:
        logit = design @ at
        return float((weight * (np.logaddexp(0.0, logit) - target * logit)).sum())

    found = np.zeros(2)
    for _ in range(100):
        share = 0.5 * (1.0 + np.tanh(design @ found / 2.0))
        gradient = design.T @ (weight * (share - target))
        curvature = (design * (weight * share * (1.0 - share))[:, None]).T @ design + 1e-12 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        while loss(found - step) > loss(found) and np.abs(step).max() > 1e-12:
            step = step / 2.0
        found = found - step
        if np.abs(step).max() < 1e-10:
            break
    return float(found[0]), float(found[1])

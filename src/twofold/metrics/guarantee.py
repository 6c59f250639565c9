"""A threshold that holds for any population, however heavy its tails: a bound without assumptions (docs/standings.md).

A false-match rate over identities is a U-statistic: the mean over all couples of identities of a
number in [0, 1]. It is also a mean, over all ways to pair the identities off, of means of `floor(M
/ 2)` independent numbers (Hoeffding 1963, section 5). A false-non-match rate is a mean of M
independent numbers. Either way the observed rate is no less concentrated about the true rate, by
any convex function, than the share of successes in so many independent trials (Hoeffding 1956,
1963).
"""

import math

import numpy as np

from twofold.errors import CannotCertify, UsageError
from twofold.metrics.certification import Certificate, Mirrored
from twofold.metrics.pairs import PairSource
from twofold.metrics.verification import Tally, tally

__all__ = [
    "METHOD",
    "fewest_guaranteed",
    "guarantee",
    "guarantee_rejection",
    "largest_rate",
    "upper_bound",
]

METHOD = "Bentkus's bound of the U-statistic over identities, threshold by monotone risk control"

STEPS = 60
"""Halvings of an interval of rates: far below what a float64 can tell apart."""


def guarantee(
    pairs: PairSource, far: float, *, confidence: float = 0.95, counted: Tally | None = None
) -> Certificate:
    """The lowest threshold whose false-match rate is guaranteed to be at most `far`, whatever the population.

    The one assumption: the identities are independent draws from the population that the promise is
    about. In at most `1 - confidence` of all calibrations the true rate is above `far`. The rate
    falls as the threshold rises, so the first threshold that keeps the bound is safe as well (Bates
    et al. 2021, theorem 1): trying many thresholds costs nothing.

    Args:
        pairs: every two identities must have been compared (`AllPairs`).
        counted: the tally of `pairs`, if it is known already.

    Raises:
        CannotCertify: too few identities, or some couples of identities were not compared.
        UsageError: `far` or `confidence` is not inside (0, 1).
        NotEnoughData: no genuine or no impostor pair.
    """
    _refuse_odd(far, confidence)
    identities, needed = pairs.crossed, fewest_guaranteed(far, confidence=confidence)
    if not identities:
        raise CannotCertify(
            "not every two identities were compared, and a guarantee needs that: give labelled "
            "items or vectors in place of a list of pairs"
        )
    return _lowest(
        pairs,
        far,
        counted,
        trials=identities // 2,
        confidence=confidence,
        said=(identities, needed),
    )


def guarantee_rejection(pairs: PairSource, frr: float, *, confidence: float = 0.95) -> Certificate:
    """The highest threshold below which the share of genuine pairs is guaranteed to be at most `frr`.

    The mirror image of `guarantee`, with one trial for each identity that has genuine pairs.

    Raises:
        CannotCertify, UsageError, NotEnoughData: as `guarantee`.
    """
    _refuse_odd(frr, confidence)
    turned = Mirrored(pairs)
    identities = _with_genuine(pairs)
    needed = _fewest_trials(frr, confidence)
    found = _lowest(
        turned,
        frr,
        tally(turned),
        trials=identities,
        confidence=confidence,
        said=(identities, needed),
    )
    # -score >= t is score <= -t: the first score that is not rejected lies just above
    return Certificate(
        threshold=float(np.nextafter(-found.threshold, np.inf)),
        rate=found.rate,
        upper_bound=found.upper_bound,
    )


def fewest_guaranteed(far: float, *, confidence: float = 0.95) -> int:
    """Fewest identities with which a false-match rate of `far` can be guaranteed, if no impostor is accepted."""
    return 2 * _fewest_trials(far, confidence)


def upper_bound(rate: float, trials: int, *, confidence: float = 0.95) -> float:
    """Upper confidence bound of the true rate, if `rate` was observed in the equivalent of so many independent trials.

    `P(U <= u) <= inf_t E(t - B / m)+ / (t - u)` with B binomial(m, p): Markov's inequality for
    functions that convex order carries from B to U (Bentkus 2004, for sums; Hoeffding 1963, section
    5, for U-statistics). The bound is the smallest p for which this is at most `1 - confidence`.
    """
    low, high = rate, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2.0
        low, high = (
            (low, middle) if _chance(rate, trials, middle) <= 1.0 - confidence else (middle, high)
        )
    return high


def largest_rate(far: float, trials: int, *, confidence: float = 0.95) -> float | None:
    """The largest observed rate that guarantees `far`; None: not even 0 does."""
    if _chance(0.0, trials, far) > 1.0 - confidence:
        return None
    low, high = 0.0, far
    for _ in range(STEPS):
        middle = (low + high) / 2.0
        low, high = (
            (middle, high) if _chance(middle, trials, far) <= 1.0 - confidence else (low, middle)
        )
    return low


def _chance(rate: float, trials: int, true_rate: float) -> float:
    """Bound of the probability that a rate as small as `rate` is seen where the truth is `true_rate`."""
    if rate >= true_rate:
        return 1.0
    # the smallest quotient lies between what was seen and what was expected
    counts = np.arange(min(math.ceil(trials * true_rate) + 2, trials + 1), dtype=np.float64)
    logs = np.array(
        [math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1) for k in counts]
    )
    mass = np.exp(logs + counts * math.log(true_rate) + (trials - counts) * math.log1p(-true_rate))
    below, first_moment = np.cumsum(mass), np.cumsum(mass * counts)
    knots = counts[1:]  # the quotient is monotone between whole numbers
    seen = rate * trials
    beyond = knots > seen
    short = knots * below[:-1] - first_moment[:-1]
    return float(min((short[beyond] / (knots[beyond] - seen)).min(initial=1.0), 1.0))


def _fewest_trials(rate: float, confidence: float) -> int:
    """Trials without an error that show the rate: (1 - rate)^m <= 1 - confidence."""
    return math.ceil(math.log(1.0 - confidence) / math.log1p(-rate) - 1e-9)


def _refuse_odd(rate: float, confidence: float) -> None:
    if not 0.0 < rate < 1.0 or not 0.0 < confidence < 1.0:
        raise UsageError(
            f"rate is {rate} and confidence {confidence}: "
            "both lie between 0 and 1 (usual: 1e-2 and 0.95)"
        )


def _lowest(
    pairs: PairSource,
    asked: float,
    counted: Tally | None,
    *,
    trials: int,
    confidence: float,
    said: tuple[int, int],
) -> Certificate:
    allowed = largest_rate(asked, trials, confidence=confidence) if trials else None
    if allowed is None:
        raise CannotCertify(
            f"{said[0]} identities cannot guarantee a rate of {asked:g} with confidence "
            f"{confidence:g}: it takes at least {said[1]}, even if no pair is decided wrongly"
        )
    counted = tally(pairs) if counted is None else counted
    rates = counted.false_match_rate
    place = int(np.argmax(rates <= allowed))
    rate = float(rates[place])
    bound = min(upper_bound(rate, trials, confidence=confidence), asked)
    return Certificate(threshold=float(counted.thresholds[place]), rate=rate, upper_bound=bound)


def _with_genuine(pairs: PairSource) -> int:
    seen = np.zeros(pairs.units, dtype=bool)
    for block in pairs:
        seen[block.first[block.same]] = True
    return int(seen.sum())

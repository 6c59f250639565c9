"""Whether one of two models is better on the same data: paired differences, each identity left out of both at once."""

from collections.abc import Callable
from functools import partial

import numpy as np

from twofold.errors import DataError
from twofold.metrics.jackknife import GROUPS, difference, involved
from twofold.metrics.pairs import PairSource
from twofold.metrics.verification import (
    Tally,
    Values,
    around,
    auc,
    deletions,
    eer,
    rates_at,
    tally,
    tar_at_far,
)
from twofold.results import Difference

__all__ = ["differences"]

LOWER = ("eer", "false_match_rate", "false_non_match_rate")
"""Numbers of which smaller is better."""


def differences(
    a: PairSource,
    b: PairSource,
    *,
    far: float = 1e-2,
    thresholds: tuple[float, float] | None = None,
    confidence: float = 0.95,
    unit: str = "identity",
    seed: int = 0,
) -> dict[str, Difference]:
    """How much better B is than A, on the same identities: equal error rate, AUC, true-accept rate at `far`.

    Leaving an identity out changes both numbers, and what they share cancels: the interval is that
    of the difference (delete-one jackknife, Student's t), far narrower than two separate intervals.

    Args:
        a, b: the same pairs of the same identities, in any order, scored by two models (scores need
            no common scale).
        far: false-accept rate of the true-accept rate, at each model's own threshold.
        thresholds: the calibrated threshold of each: error rates at these are compared too.
        unit: what an identity is.
        seed: deals identities to groups if there are more than 2,000.

    Raises:
        DataError: the two are not of the same identities and pairs.
        NotEnoughData: fewer than two identities, no genuine or no impostor pair.
    """
    numbers: dict[str, Callable[[Tally], Values]] = {
        "eer": eer,
        "auc": auc,
        "tar_at_far": partial(tar_at_far, far=far),
    }
    sides = [_side(pairs, numbers, far=far, seed=seed) for pairs in (a, b)]
    if thresholds is not None:
        for side, pairs, threshold in zip(sides, (a, b), thresholds, strict=True):
            side |= _at(pairs, threshold, seed=seed)
    _same(a, b)
    return {
        name: _difference(
            name, sides[0][name], sides[1][name], units=a.units, confidence=confidence, unit=unit
        )
        for name in sides[0]
    }


Side = dict[str, tuple[float, np.ndarray]]


def _side(
    pairs: PairSource, numbers: dict[str, Callable[[Tally], Values]], *, far: float, seed: int
) -> Side:
    """Each number, and what it is without each identity."""
    point = tally(pairs)
    coarse = point.thresholds[around(point, far)]
    one_by_one = deletions(involved(pairs, coarse, seed=seed), coarse)
    grouped = deletions(involved(pairs, coarse, seed=seed, most=GROUPS), coarse)
    found = {}
    for name, number in numbers.items():
        every, without, _ = grouped if name == "tar_at_far" else one_by_one
        value = float(number(point))
        found[name] = (value, np.asarray(number(without)) - float(number(every)) + value)
    return found


def _at(pairs: PairSource, threshold: float, *, seed: int) -> Side:
    two = np.array([-np.inf, threshold])
    every, without, _ = deletions(involved(pairs, two, seed=seed), two)
    return {
        name: (
            float(rates_at(every, threshold)[place]),
            np.asarray(rates_at(without, threshold)[place]),
        )
        for place, name in enumerate(("false_match_rate", "false_non_match_rate"))
    }


def _same(a: PairSource, b: PairSource) -> None:
    """Refuse different data: each identity must have the same numbers of genuine and impostor pairs on both sides."""
    alike = a.units == b.units and np.array_equal(_made(a), _made(b))
    if not alike:
        raise DataError(
            f"the two were not scored on the same pairs: {a.units} and {b.units} identities, or "
            "other pairs of them; a paired comparison needs the same data on both sides"
        )


def _made(pairs: PairSource) -> np.ndarray:
    counts = np.zeros((2, pairs.units))
    for block in pairs:
        for kind in (0, 1):
            for end in (block.first, block.second):
                counts[kind] += np.bincount(end[block.same == kind], minlength=pairs.units)
    return counts


def _difference(
    name: str,
    a: tuple[float, np.ndarray],
    b: tuple[float, np.ndarray],
    *,
    units: int,
    confidence: float,
    unit: str,
) -> Difference:
    sign = -1.0 if name in LOWER else 1.0
    value, without = sign * (b[0] - a[0]), sign * (b[1] - a[1])
    # two rates differ by at most 1
    low, high = np.clip(difference(value, without, confidence=confidence), -1.0, 1.0).tolist()
    return Difference(
        name=name,
        a=a[0],
        b=b[0],
        gain=value,
        low=low,
        high=high,
        confidence=confidence,
        unit=unit,
        resampled=units,
    )

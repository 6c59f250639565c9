"""Unseen identities -> the threshold at which a bundle decides, and what it costs (laws 2, 5 and 6)."""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from twofold.bundle import Bundle
from twofold.contract import Calibration
from twofold.data.items import Items
from twofold.embedding import embed, scores
from twofold.errors import CannotCertify
from twofold.metrics.calibration import METHOD, Certificate, certify, platt, upper_bounds
from twofold.metrics.pairs import AllPairs, PairSource
from twofold.metrics.verification import Tally, estimates_at, rates_at, tally, threshold_at_far

__all__ = ["calibrate", "calibration"]


def calibrate(
    bundle: Bundle,
    items: Items,
    *,
    far: float,
    confidence: float = 0.95,
    seed: int = 0,
    estimate: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Bundle:
    """A copy of the bundle that decides: "same" from a threshold on whose false-accept rate holds.

    Of data that the bundle was trained from, the identities that training kept aside as "calibrate" are used.

    Args:
        far: false-accept rate asked for, of one comparison of two different identities.
        confidence: that the true rate is at most `far`; so in at most 5 % of calibrations it is larger.
        seed: of the intervals' bootstrap.
        estimate: take the threshold at which the measured rate is `far`, certified for nothing.
        progress: called with (done, total) items embedded.

    Raises:
        CannotCertify: the data cannot show that rate; says how many identities it takes.
        IdentityOverlap: identities were trained on.
        NotEnoughData: no genuine or no impostor pairs.
    """
    part = bundle.part(items, "calibrate")
    bundle.refuse_trained(part)
    vectors = embed(bundle, part, progress=progress).vectors

    def score(rows: Int[np.ndarray, "rows"], cols: Int[np.ndarray, "cols"]) -> Float[np.ndarray, "rows cols"]:
        return scores(bundle.twin, vectors[rows], vectors[cols])

    pairs = AllPairs(score, part.labels, identity=part.identity)
    return bundle.with_calibration(calibration(pairs, far=far, confidence=confidence, seed=seed, estimate=estimate))


def calibration(
    pairs: PairSource,
    *,
    far: float,
    confidence: float = 0.95,
    prior: float = 0.5,
    seed: int = 0,
    estimate: bool = False,
) -> Calibration:
    """The calibration that scored pairs of unseen identities give; works on the scores of any model.

    Args:
        prior: share of genuine pairs for which the probability holds; it can be changed at each decision.

    Raises:
        CannotCertify, NotEnoughData: as `calibrate`.
    """
    counted = tally(pairs)
    found = (
        _estimated(pairs, far, counted=counted, confidence=confidence)
        if estimate
        else certify(pairs, far, confidence=confidence, counted=counted)
    )
    slope, intercept = platt(counted, prior=prior, identities=pairs.units)
    measured = estimates_at(pairs, found.threshold, confidence=confidence, seed=seed)
    return Calibration(
        threshold=found.threshold,
        far=far,
        certified=not estimate,
        confidence=confidence,
        method="quantile" if estimate else METHOD,
        upper_bound=found.upper_bound,
        false_match=measured["false_match_rate"],
        false_non_match=measured["false_non_match_rate"],
        slope=slope,
        intercept=intercept,
        prior=prior,
        identities=pairs.units,
        genuine_pairs=int(counted.genuine[0]),
        impostor_pairs=int(counted.impostor[0]),
        seed=seed,
    )


def _estimated(pairs: PairSource, far: float, *, counted: Tally, confidence: float) -> Certificate:
    threshold = float(threshold_at_far(counted, far))
    if counted.impostor[0] * far < 1.0:
        raise CannotCertify(
            f"{int(counted.impostor[0])} impostor pairs cannot even estimate a false-accept rate of {far:g}: "
            f"it takes at least {math.ceil(1.0 / far)} of them; give more identities, or ask for a larger rate"
        )
    bounds, _ = upper_bounds(pairs, np.array([threshold]), confidence=confidence)
    return Certificate(
        threshold=threshold, false_match_rate=float(rates_at(counted, threshold)[0]), upper_bound=float(bounds[0])
    )

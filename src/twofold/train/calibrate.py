"""Unseen identities -> the threshold at which a bundle decides, and what it costs (laws 2, 5 and 6)."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from twofold.bundle import Bundle
from twofold.calibration import CROSSFITTED
from twofold.contract import Calibration, Contract, Isotonic, Rejection
from twofold.data.items import Items
from twofold.data.scores import NO_IDENTITIES, Scores
from twofold.embedding import deciding, embed
from twofold.errors import CannotCertify, IdentityOverlap
from twofold.metrics.calibration import (
    METHOD,
    Certificate,
    Mirrored,
    certify,
    certify_rejection,
    upper_bounds,
)
from twofold.metrics.drift import reference
from twofold.metrics.pairs import AllPairs, PairSource
from twofold.metrics.probability import ProbabilityMap, probability_map
from twofold.metrics.verification import Tally, estimates_at, rates_at, tally, threshold_at_far
from twofold.results import Estimate

__all__ = ["calibrate", "calibrate_scores", "calibration"]


def calibrate(
    bundle: Bundle,
    items: Items,
    *,
    far: float,
    frr: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    estimate: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Bundle:
    """A copy of the bundle that decides: "same" from a threshold on whose false-accept rate holds.

    Of data that the bundle was trained from, the identities that training kept aside as "calibrate" are used. Where
    training was cross-fitted instead, the scores that it wrote down are used, and the rates are always an estimate
    (decision 041).

    Args:
        far: false-accept rate asked for, of one comparison of two different identities.
        frr: false-reject rate of the answer "different". If given there are two thresholds, and between them the
            answer is "unsure"; None: one threshold, and genuine pairs below it are lost at whatever rate.
        confidence: that the true rate is at most `far`; so in at most 5 % of calibrations it is larger. That of
            false rejects is a promise of its own, broken in 5 % too.
        seed: of the intervals' bootstrap.
        estimate: take the thresholds at which the measured rates are those asked for, certified for nothing.
        progress: called with (done, total) items embedded.

    Raises:
        CannotCertify: the data cannot show a rate; says how many identities it takes.
        IdentityOverlap: identities were trained on.
        NotEnoughData: no genuine or no impostor pairs.
    """
    plain = bundle.with_calibration(None)
    asked = {"far": far, "frr": frr, "confidence": confidence, "seed": seed}
    try:
        part = bundle.part(items, "calibrate")
        bundle.refuse_trained(part)
    except IdentityOverlap:
        if (judged := bundle.crossfit_of(items)) is None:
            raise
        found = calibration(judged, estimate=True, **asked)
        return plain.with_calibration(replace(found, method=CROSSFITTED))
    pairs = AllPairs(
        deciding(plain, embed(plain, part, progress=progress).vectors), part.labels, identity=part.identity
    )
    try:
        found = calibration(pairs, estimate=estimate, **asked)
    except CannotCertify as error:
        raise CannotCertify(f"{error}{_more_aside(items, part)}") from None
    return plain.with_calibration(found).calibrated_on(part)


def _more_aside(items: Items, part: Items) -> str:
    """What else would help where only a part of the data was kept aside for this."""
    if len(part.identities) == len(items.identities):
        return ""
    return (
        f". Only {len(part.identities)} of the {len(items.identities)} identities were kept aside to calibrate: "
        "train with --set split.calibrate=0.4, say, to have more"
    )


def calibrate_scores(
    scores: Scores,
    *,
    far: float,
    frr: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    estimate: bool = False,
) -> Contract:
    """A contract that decides by scores of any model: `contract.decide(score)`.

    Args:
        scores: of identities that the model was not trained on; nothing here can check that.
        far, frr, confidence, seed, estimate: as in `twofold.calibrate`.

    Raises:
        CannotCertify: the data cannot show the rate, or does not say whose the pairs are (an estimate may still be had;
            its intervals resample pairs, and are too narrow where pairs share people).
        NotEnoughData: no genuine or no impostor pair.
    """
    if scores.unit == "pair" and not estimate:
        raise CannotCertify(
            f"{NO_IDENTITIES}, so that nothing can be certified; add the columns, or take an estimate (--estimate)"
        )
    found = calibration(
        scores.pairs, far=far, frr=frr, confidence=confidence, seed=seed, estimate=estimate, unit=scores.unit
    )
    return Contract(
        fingerprint="",
        dim=scores.dim,
        distance=scores.distance,
        calibration=replace(found, identities=scores.identities),
    )


def calibration(
    pairs: PairSource,
    *,
    far: float,
    frr: float | None = None,
    confidence: float = 0.95,
    prior: float = 0.5,
    seed: int = 0,
    estimate: bool = False,
    unit: str = "identity",
) -> Calibration:
    """The calibration that scored pairs of unseen identities give; works on the scores of any model.

    Args:
        far, frr, confidence, seed, estimate: as in `calibrate`.
        prior: share of genuine pairs for which the probability holds; it can be changed at each decision.
        unit: what an identity of `pairs` is.

    Raises:
        CannotCertify, NotEnoughData: as `calibrate`.
    """
    counted = tally(pairs)
    found = (
        _estimated(pairs, far, counted=counted, confidence=confidence)
        if estimate
        else certify(pairs, far, confidence=confidence, counted=counted)
    )
    curve = probability_map(pairs, counted, prior=prior, seed=seed)
    measured = estimates_at(pairs, found.threshold, confidence=confidence, unit=unit, seed=seed)
    low, rejection = None, None
    if frr is not None:
        below = _lower(pairs, frr, confidence=confidence, estimate=estimate)
        # where false rejects are rare enough up to the upper threshold, nothing is unsure
        low = min(below.threshold, found.threshold)
        rejected = estimates_at(pairs, low, confidence=confidence, unit=unit, seed=seed)
        rejection = _rejection(frr, below.upper_bound, accepted=measured, rejected=rejected)
    return Calibration(
        threshold=found.threshold,
        far=far,
        certified=not estimate,
        confidence=confidence,
        method="quantile" if estimate else METHOD,
        upper_bound=found.upper_bound,
        false_match=measured["false_match_rate"],
        false_non_match=measured["false_non_match_rate"],
        slope=curve.slope,
        intercept=curve.intercept,
        prior=prior,
        identities=pairs.units,
        genuine_pairs=int(counted.genuine[0]),
        impostor_pairs=int(counted.impostor[0]),
        seed=seed,
        reject_threshold=low,
        rejection=rejection,
        isotonic=_isotonic(curve),
        platt_log_loss=curve.platt_log_loss,
        isotonic_log_loss=curve.isotonic_log_loss,
        # without identities nobody knows how far chance takes a share
        reference=reference(pairs, counted, threshold=found.threshold, seed=seed) if unit != "pair" else None,
    )


def _isotonic(curve: ProbabilityMap) -> Isotonic | None:
    if curve.knots is None:
        return None
    scores, odds = (tuple(each.tolist()) for each in curve.knots)
    return Isotonic(scores=scores, log_odds=odds)


def _rejection(
    frr: float, upper_bound: float, *, accepted: dict[str, Estimate], rejected: dict[str, Estimate]
) -> Rejection:
    """From what was measured at the upper threshold (`accepted`) and at the lower one (`rejected`)."""
    return Rejection(
        frr=frr,
        upper_bound=upper_bound,
        false_reject=replace(rejected["false_non_match_rate"], name="false_reject_rate"),
        unsure_genuine=accepted["false_non_match_rate"].value - rejected["false_non_match_rate"].value,
        unsure_impostor=rejected["false_match_rate"].value - accepted["false_match_rate"].value,
    )


def _lower(pairs: PairSource, frr: float, *, confidence: float, estimate: bool) -> Certificate:
    """The lower threshold, certified or estimated."""
    if not estimate:
        return certify_rejection(pairs, frr, confidence=confidence)
    turned = Mirrored(pairs)
    counted = tally(turned)
    if counted.impostor[0] * frr < 1.0:
        raise CannotCertify(
            f"{int(counted.impostor[0])} genuine pairs cannot even estimate a false-reject rate of {frr:g}: it takes "
            f"at least {math.ceil(1.0 / frr)} of them; give more items of each identity, or ask for a larger rate"
        )
    highest = float(threshold_at_far(counted, frr))
    bounds, _ = upper_bounds(turned, np.array([highest]), confidence=confidence)
    rate = float(rates_at(counted, highest)[0])
    # -score >= t is score <= -t: the first score that is not rejected lies just above
    threshold = float(np.nextafter(-highest, np.inf))
    return Certificate(threshold=threshold, rate=rate, upper_bound=float(bounds[0]))


def _estimated(pairs: PairSource, far: float, *, counted: Tally, confidence: float) -> Certificate:
    threshold = float(threshold_at_far(counted, far))
    if counted.impostor[0] * far < 1.0:
        raise CannotCertify(
            f"{int(counted.impostor[0])} impostor pairs cannot even estimate a false-accept rate of {far:g}: "
            f"it takes at least {math.ceil(1.0 / far)} of them; give more identities, or ask for a larger rate"
        )
    bounds, _ = upper_bounds(pairs, np.array([threshold]), confidence=confidence)
    return Certificate(threshold=threshold, rate=float(rates_at(counted, threshold)[0]), upper_bound=float(bounds[0]))

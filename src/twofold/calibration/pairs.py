"""Unseen identities -> the threshold at which a bundle decides, and what it costs (laws 2, 5 and 6)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from twofold.bundle import Bundle
from twofold.calibration.remedies import more_aside, remedies
from twofold.calibration.standings import METHODS, Offer, affordable, offers, stricter
from twofold.contract import CROSSFITTED, Alternative, Calibration, Contract, Isotonic, Rejection
from twofold.data.items import Items
from twofold.data.scores import NO_IDENTITIES, Scores
from twofold.embedding import deciding, embed_readable
from twofold.errors import CannotCertify, IdentityOverlap, NoMeaning
from twofold.metrics.crossfit import CrossFit, spread_of_folds
from twofold.metrics.diagnostics import symptoms
from twofold.metrics.drift import reference, reference_scores
from twofold.metrics.guarantee import fewest_guaranteed
from twofold.metrics.jackknife import involved
from twofold.metrics.pairs import PairSource, ScoreBlock
from twofold.metrics.probability import ProbabilityMap, probability_map, refuse_distances
from twofold.metrics.sites import CHANCE, BySite
from twofold.metrics.skilled import may_be_skilled, of_kind
from twofold.metrics.verification import Tally, estimates_at, tally
from twofold.recruitment import pairs_of, site_dependence
from twofold.results import Estimate, Standing

__all__ = ["calibrate", "calibrate_scores", "calibration", "refuse_crossfitted"]

PRACTICAL = 2
"""Times the fewest identities that guarantee anything: a quarter of the asked rate may then be measured."""

EVEN = 0.5
"""Share of genuine pairs for which probabilities are fitted; `Calibration.with_prior` moves them."""

LONGER = 3
"""Times the epochs that were not enough: what is tried first. Errors fall slowly with the steps of a training."""


def calibrate(
    bundle: Bundle,
    items: Items,
    *,
    far: float,
    frr: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    standing: Standing | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Bundle:
    """A copy of the bundle that decides: "same" from a threshold on whose false-accept rate holds.

    Of data that the bundle was trained from, the identities that training kept aside as "calibrate"
    are used. Where training was cross-fitted instead, the scores that it wrote down are used, and
    the rates are always an estimate (decision 041).

    Args:
        far: false-accept rate asked for, of one comparison of two different identities.
        frr: false-reject rate of the answer "different". If given there are two thresholds, and
            between them the answer is "unsure"; None: one threshold, and genuine pairs below it are
            lost at whatever rate.
        confidence: that the true rate is at most `far`; so in at most 5 % of calibrations it is
            larger. That of false rejects is a promise of its own, broken in 5 % too.
        seed: of the intervals' bootstrap.
        standing: what the promise rests on (see `twofold.results.Standing`). None: a guarantee if
            the data carry one that costs few genuine pairs, else a certificate; an estimate has to
            be asked for.
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
        return plain.with_calibration(_crossfitted(plain, judged, **asked))
    part, vectors = embed_readable(plain, part, progress=progress)
    score = deciding(plain, vectors)
    try:
        found = calibration(pairs_of(part, score), standing=standing, **asked)
    except NoMeaning as error:
        raise NoMeaning(f"{error}{_longer(bundle)}") from None
    except CannotCertify as error:
        more = more_aside(
            far, len(part.identities), len(items.identities), estimate=standing == "estimate"
        )
        raise CannotCertify(f"{error}{more}") from None
    found = replace(found, warnings=(*found.warnings, *_of_groups(part, score, seed=seed)))
    return plain.with_calibration(found).calibrated_on(part)


def _of_groups(part: Items, score: ScoreBlock, *, seed: int) -> tuple[str, ...]:
    """A warning where identities of one group are alike and nothing says that they were recruited together."""
    found = None if part.site is not None else site_dependence(part, score, seed=seed)
    if found is None or found.p_value > CHANCE:
        return ()
    return (
        f"identities of one group score alike with strangers or with each other (p = "
        f"{found.p_value:.2g}): if they "
        "were recruited by group, the rate holds less well than it says; calibrate by group "
        "(--set site=group)",
    )


def _crossfitted(bundle: Bundle, judged: CrossFit, **asked: Any) -> Calibration:
    """The estimate that cross-fitted scores give, with a warning where its folds say different things."""
    try:
        found = calibration(judged, standing="estimate", **asked)
    except NoMeaning as error:
        raise NoMeaning(f"{error}{_longer(bundle)}") from None
    return replace(
        found, method=CROSSFITTED, warnings=(*found.warnings, *spread_of_folds(judged, found.far))
    )


def _longer(bundle: Bundle) -> str:
    """What training longer means for this bundle."""
    epochs, steps = bundle.training.get("epochs"), bundle.training.get("steps")
    if not epochs:
        return ""
    return f" (it was trained for {epochs} epochs, {steps} steps: train again with --set epochs={LONGER * epochs})"


def calibrate_scores(
    scores: Scores,
    *,
    far: float,
    frr: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    standing: Standing | None = None,
) -> Contract:
    """A contract that decides by scores of any model: `contract.decide(score)`.

    Args:
        scores: of identities that the model was not trained on; nothing here can check that.
        far, frr, confidence, seed, standing: as in `twofold.calibrate`.

    Raises:
        CannotCertify: the data cannot show the rate, or does not say whose the pairs are (an
            estimate may still be had; its intervals resample pairs, and are too narrow where pairs
            share people).
        NotEnoughData: no genuine or no impostor pair.
    """
    if scores.unit == "pair" and standing != "estimate":
        raise CannotCertify(
            f"{NO_IDENTITIES}, so nothing can be certified; add the columns, or take an estimate "
            f"(--estimate)"
        )
    found = calibration(
        scores.by_site,
        far=far,
        frr=frr,
        confidence=confidence,
        seed=seed,
        standing=standing,
        unit=scores.unit,
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
    seed: int = 0,
    standing: Standing | None = None,
    unit: str = "identity",
    worst: bool = False,
) -> Calibration:
    """The calibration that scored pairs of unseen identities give; works on the scores of any model.

    Where there are skilled forgeries the thresholds are those of random impostors; what the
    forgeries do at them is measured apart. The probability is for as many genuine pairs as impostors.

    Args:
        far, frr, confidence, seed, standing: as in `calibrate`.
        pairs: those `BySite` are certified by site, and their intervals leave sites out.
        unit: what an identity of `pairs` is.
        worst: where there are skilled forgeries, take thresholds that hold against them, too.

    Raises:
        CannotCertify, NotEnoughData: as `calibrate`.
    """
    skilled, identities = None, pairs.units
    if isinstance(pairs, BySite):
        unit, identities = "site", pairs.identities
    # without identities both sides of every pair have one code: no kind can be told
    if unit != "pair":
        skilled = of_kind(pairs, "skilled") if may_be_skilled(pairs) else None
        pairs = of_kind(pairs, "random")
    counted = tally(pairs)
    refuse_distances(counted)
    # before any rate: where a score means nothing, no other rate helps
    curve = probability_map(pairs, counted, prior=EVEN, seed=seed)
    asked = {"far": far, "frr": frr, "confidence": confidence, "standing": standing}
    found = _offers(pairs, counted, **asked)
    if worst and skilled is not None and _has_impostors(skilled):
        found = stricter(found, _offers(skilled, tally(skilled), **asked), counted)
    chosen = affordable(found)
    settings = {"confidence": confidence, "unit": unit, "seed": seed}
    at = np.append(-np.inf, reference_scores(counted, chosen.accept.threshold))
    taking_part = involved(pairs, at, seed=seed)
    measured = estimates_at(pairs, chosen.accept.threshold, counted=(at, taking_part), **settings)
    low, rejection = (
        (None, None)
        if frr is None
        else _rejection(pairs, chosen, frr, accepted=measured, **settings)
    )
    known = unit != "pair"  # without identities nobody knows how far chance takes a share
    return Calibration(
        threshold=chosen.accept.threshold,
        far=far,
        standing=chosen.standing,
        confidence=confidence,
        method=METHODS[chosen.standing],
        upper_bound=chosen.accept.upper_bound,
        false_match=measured["false_match_rate"],
        false_non_match=measured["false_non_match_rate"],
        slope=curve.slope,
        intercept=curve.intercept,
        prior=EVEN,
        identities=identities,
        genuine_pairs=round(float(counted.genuine[0])),
        impostor_pairs=round(float(counted.impostor[0])),
        seed=seed,
        reject_threshold=low,
        rejection=rejection,
        isotonic=_isotonic(curve),
        platt_log_loss=curve.platt_log_loss,
        isotonic_log_loss=curve.isotonic_log_loss,
        reference=reference(at[1:], taking_part) if known else None,
        skilled_false_match=None
        if skilled is None
        else _skilled(skilled, chosen.accept.threshold, **settings),
        alternatives=tuple(_alternative(each) for each in found if each is not chosen),
        warnings=_symptoms(pairs, chosen, far=far, confidence=confidence) if known else (),
    )


def _offers(pairs: PairSource, counted: Tally, **asked: Any) -> list[Offer]:
    """What thresholds of each standing the pairs carry; a refusal says what would help."""
    try:
        return offers(pairs, counted, **asked)
    except CannotCertify as error:
        raise CannotCertify(f"{error}{remedies(pairs, counted, **asked)}") from None


def _symptoms(
    pairs: PairSource, chosen: Offer, *, far: float, confidence: float
) -> tuple[str, ...]:
    """What about the data makes the promise doubtful; of an estimate, which promises nothing, only unequal numbers."""
    needed = PRACTICAL * fewest_guaranteed(far, confidence=confidence)
    found = symptoms(pairs.pairs if isinstance(pairs, BySite) else pairs, chosen.accept.threshold)
    return found.warnings(certified=chosen.standing == "certified", needed=needed)


def _skilled(
    pairs: PairSource, threshold: float, *, confidence: float, unit: str, seed: int
) -> Estimate | None:
    """Share of skilled forgeries accepted at a threshold; None where there are none."""
    if not _has_impostors(pairs):
        return None
    found = estimates_at(pairs, threshold, confidence=confidence, unit=unit, seed=seed)
    return replace(found["false_match_rate"], name="skilled_false_match_rate")


def _has_impostors(pairs: PairSource) -> bool:
    return not all(block.same.all() for block in pairs)


def _alternative(offer: Offer) -> Alternative:
    return Alternative(
        standing=offer.standing,
        threshold=offer.accept.threshold,
        upper_bound=offer.accept.upper_bound,
        false_non_match_rate=offer.false_non_match_rate,
    )


def _isotonic(curve: ProbabilityMap) -> Isotonic | None:
    if curve.knots is None:
        return None
    scores, odds = (tuple(each.tolist()) for each in curve.knots)
    return Isotonic(scores=scores, log_odds=odds)


def _rejection(
    pairs: PairSource, chosen: Offer, frr: float, *, accepted: dict[str, Estimate], **settings: Any
) -> tuple[float | None, Rejection | None]:
    """The lower threshold and what it promises, beside what was measured at the upper one (`accepted`)."""
    if chosen.reject is None:
        return None, None
    # where false rejects are rare enough up to the upper threshold, nothing is unsure
    low = min(chosen.reject.threshold, chosen.accept.threshold)
    rejected = estimates_at(pairs, low, **settings)
    return low, Rejection(
        frr=frr,
        upper_bound=chosen.reject.upper_bound,
        false_reject=replace(rejected["false_non_match_rate"], name="false_reject_rate"),
        unsure_genuine=accepted["false_non_match_rate"].value
        - rejected["false_non_match_rate"].value,
        unsure_impostor=rejected["false_match_rate"].value - accepted["false_match_rate"].value,
    )


def refuse_crossfitted(bundle: Bundle, items: Items, what: str) -> None:
    """Raise IdentityOverlap where these identities were cross-fitted, for what their scores alone do not give."""
    judged = bundle.crossfit_of(items)
    if judged is not None:
        raise IdentityOverlap(
            f"all {judged.units} identities were trained on and judged by cross-fitting, and "
            f"{what} takes the vectors "
            "of identities that the model has not seen: give DATA of others, or train again with "
            "--set split.folds=0 "
            "--set split.calibrate=0.4"
        )

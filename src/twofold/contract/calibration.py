"""What unseen identities taught about scores: thresholds, what they cost, and the probability of "same"; numpy alone.

Here everything is a score: larger is more alike (law 1).
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from twofold.errors import BundleError, UnknownName, UsageError
from twofold.fusion import Rule
from twofold.results import Decision, Estimate, Reference, Standing

__all__ = [
    "ANY",
    "CROSSFITTED",
    "Alternative",
    "Calibration",
    "GroupCalibration",
    "Isotonic",
    "Normalised",
    "OfReferences",
    "OpenSet",
    "Rejection",
    "check",
]

ANY = "any"
"""In the place of a group: the threshold for all pairs together."""

CROSSFITTED = "quantile of cross-fitted scores"
"""The method of a threshold that was estimated from the scores of other models, each new to those it judged."""


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """What the lower of two thresholds promises: the zone below it is "different", the one above it "unsure".

    Attributes:
        frr: false-reject rate that was asked for: genuine pairs below the lower threshold.
        upper_bound: the upper confidence bound of that rate; at most `frr` unless the standing is
            "estimate".
        false_reject: the rate measured on the calibration data, with its interval.
        unsure_genuine, unsure_impostor: measured shares of genuine and impostor pairs that stay
            undecided.
    """

    frr: float
    upper_bound: float
    false_reject: Estimate
    unsure_genuine: float
    unsure_impostor: float


@dataclass(frozen=True, kw_only=True)
class Isotonic:
    """A rising curve of log-odds by score: linear between its knots, level outside; ascending scores."""

    scores: tuple[float, ...]
    log_odds: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class OpenSet:
    """The threshold for naming one of those enrolled, and what was measured at it by enrolling again and again.

    Attributes:
        threshold: score from which on the best enrolled identity is named.
        fpir: false-positive identification rate asked for: strangers taken for somebody, at `size`
            identities enrolled with `enrolled` items each.
        standing, upper_bound: as in Calibration, of that rate.
        false_positive, false_negative: measured rates, with intervals.
        identities, repeats: how much data that was, and how many galleries were made.
    """

    threshold: float
    fpir: float
    standing: Standing
    upper_bound: float
    size: int
    enrolled: int
    false_positive: Estimate
    false_negative: Estimate
    identities: int
    repeats: int
    seed: int

    @property
    def certified(self) -> bool:
        """Whether a bound stands behind `fpir`."""
        return self.standing != "estimate"


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """What another standing would have cost on the same data: its threshold, bound and measured false rejects."""

    standing: Standing
    threshold: float
    upper_bound: float
    false_non_match_rate: float


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What unseen identities taught about a bundle's scores: a threshold, what it costs, and a probability map.

    `P(same | score) = 1 / (1 + exp(-(slope * score + intercept)))`, Platt 1999, for pairs of which
    the share `prior` is genuine; where `isotonic` is given, its log-odds take the place of the
    line.

    Attributes:
        threshold: score from which on two inputs count as the same.
        far: false-accept rate that was asked for.
        standing: what `far` rests on. "guaranteed" and "certified": an upper confidence bound of
            the false-accept rate at `threshold` is at most `far` (and one of the false-reject rate
            below `reject_threshold` at most `rejection.frr`); the bound of the first holds for any
            population. "estimate": the thresholds are plain quantiles of the data.
        confidence: of the bound, and of the two intervals below.
        method: how the bound was found.
        upper_bound: the upper confidence bound of the false-accept rate at the threshold; at most
            `far` unless the standing is "estimate".
        false_match, false_non_match: rates measured at the threshold on the calibration data, with
            intervals.
        identities, genuine_pairs, impostor_pairs: how much data that was.
        seed: of the bootstrap.
        reject_threshold: score below which the decision is "different" when there is an unsure zone
            between it and `threshold`; None: no such zone.
        rejection: what `reject_threshold` promises.
        isotonic: the curve of the probability, where it predicts unseen identities better than
            Platt's; else None.
        open_set: the threshold for naming one of many; None: that of one comparison is used.
        platt_log_loss, isotonic_log_loss: of both on identities that they were not fitted to; None:
            not known.
        groups: calibrations for pairs inside a group.
        normalised: the calibration of scores that a cohort normalises; verdicts then go by it, and
            this one is for plain scores (of an index, say).
        references: calibrations for several references of one identity and a probe, by their
            number; a threshold for one reference does not hold for them.
        reference: what `monitor` compares production with; None: not known.
        skilled_false_match: share of skilled forgeries accepted at `threshold`; None: there were
            none.
        alternatives: what the other standings that the data carry would have cost.
        warnings: what about the calibration data makes the promise doubtful, a sentence each.
    """

    threshold: float
    far: float
    standing: Standing
    confidence: float
    method: str
    upper_bound: float
    false_match: Estimate
    false_non_match: Estimate
    slope: float
    intercept: float
    prior: float
    identities: int
    genuine_pairs: int
    impostor_pairs: int
    seed: int
    reject_threshold: float | None = None
    rejection: Rejection | None = None
    isotonic: Isotonic | None = None
    platt_log_loss: float | None = None
    isotonic_log_loss: float | None = None
    open_set: OpenSet | None = None
    groups: "tuple[GroupCalibration, ...]" = ()
    normalised: "Normalised | None" = None
    reference: Reference | None = None
    skilled_false_match: Estimate | None = None
    alternatives: tuple[Alternative, ...] = ()
    warnings: tuple[str, ...] = ()
    references: "tuple[OfReferences, ...]" = ()

    @property
    def certified(self) -> bool:
        """Whether a bound stands behind `far`: it was certified or guaranteed."""
        return self.standing != "estimate"

    @property
    def deciding(self) -> "Calibration":
        """The calibration of the scores that verdicts go by: of normalised ones where there is a cohort."""
        return self if self.normalised is None else self.normalised.calibration

    def of_group(self, group: str | None) -> "Calibration":
        """The calibration that decides about a pair of a group; "any": the one for all pairs together.

        Raises:
            UnknownName: there are groups and none is given, or another one; or there are no groups
                and one is given.
        """
        deciding = self.deciding
        known = {each.name: each.calibration for each in deciding.groups}
        if group == ANY or (group is None and not known):
            return deciding
        if not known:
            raise UnknownName(
                f"group {group!r}: this calibration has one threshold for all; for one in each "
                f"group: "
                "twofold calibrate BUNDLE DATA --set groups=true"
            )
        if group not in known:
            said = "no group was given" if group is None else f"group {group!r} is not known"
            raise UnknownName(
                f"{said}, and each has a threshold of its own: {', '.join(sorted(known))}; or "
                f"{ANY!r}, "
                "the threshold for all pairs together"
            )
        return known[group]

    def of_references(self, count: int) -> "OfReferences":
        """What decides about a probe and so many references of one identity.

        Raises:
            UnknownName: there is no threshold for that number.
        """
        known = {each.count: each for each in self.deciding.references}
        if count not in known:
            numbers = ", ".join(str(each) for each in sorted(known))
            there = f"it has those for {numbers}" if known else "one for single items does not hold"
            raise UnknownName(
                f"this calibration has no threshold for {count} references ({there}): twofold "
                f"calibrate BUNDLE DATA --set references={count}"
            )
        return known[count]

    def probability(self, score: float, *, prior: float | None = None) -> float:
        """Calibrated probability of "same"; for pairs whose share of genuine ones is `prior`, if given."""
        return float(self.probabilities(np.asarray(score, dtype=np.float64), prior=prior))

    def probabilities(
        self, scores: Float[np.ndarray, "*shape"], *, prior: float | None = None
    ) -> Float[np.ndarray, "*shape"]:
        """Calibrated probabilities of "same" for an array of scores.

        Another prior moves the log-odds by `logit(prior) - logit(self.prior)` (Bayes).

        Raises:
            UsageError: `prior` is not inside (0, 1).
        """
        scores = np.asarray(scores, dtype=np.float64)
        if self.isotonic is None:
            logit = self.slope * scores + self.intercept
        else:
            logit = np.interp(scores, self.isotonic.scores, self.isotonic.log_odds)
        if prior is not None:
            logit = logit + self._moved(prior)
        # exp of the negative absolute value never overflows
        decayed = np.exp(-np.abs(logit))
        return np.asarray(np.where(logit >= 0, 1.0, decayed) / (1.0 + decayed))

    def with_prior(self, prior: float) -> "Calibration":
        """The same calibration, its probabilities for pairs of which the share `prior` is genuine.

        Raises:
            UsageError: `prior` is not inside (0, 1).
        """
        moved, curve = self._moved(prior), self.isotonic
        if curve is not None:
            curve = replace(curve, log_odds=tuple(each + moved for each in curve.log_odds))
        nested = self.normalised and replace(
            self.normalised, calibration=self.normalised.calibration.with_prior(prior)
        )
        groups, references = (
            tuple(replace(one, calibration=one.calibration.with_prior(prior)) for one in some)
            for some in (self.groups, self.references)
        )
        return replace(
            self,
            prior=prior,
            intercept=self.intercept + moved,
            isotonic=curve,
            groups=groups,
            normalised=nested,
            references=references,
        )

    def _moved(self, prior: float) -> float:
        """How far another prior moves the log-odds."""
        if not 0.0 < prior < 1.0:
            raise UsageError(
                f"prior is {prior}: the share of genuine pairs lies between 0 and 1, both excluded"
            )
        return math.log(prior / (1 - prior)) - math.log(self.prior / (1 - self.prior))

    def decide(self, score: float, *, threshold: float | None = None) -> Decision:
        """The decision for a score: "same" from `threshold` on, "unsure" between the thresholds, else "different".

        Args:
            threshold: another one in its place (that of the open set, say).
        """
        if score >= (self.threshold if threshold is None else threshold):
            return "same"
        if self.reject_threshold is not None and score >= self.reject_threshold:
            return "unsure"
        return "different"


@dataclass(frozen=True, kw_only=True)
class GroupCalibration:
    """What is decided by for pairs inside a group."""

    name: str
    calibration: Calibration


@dataclass(frozen=True, kw_only=True)
class Normalised:
    """What is decided by for scores that a cohort normalises (AS-norm); its vectors stand in the bundle.

    Attributes:
        cohort: how many vectors that are. top: how many of the nearest count.
        side: whose scores with the cohort count: those of "both" sides (AS-norm), or of the
            "weaker" one, which are then taken away and no unit.
    """

    cohort: int
    top: int
    calibration: Calibration
    side: Literal["both", "weaker"] = "both"


@dataclass(frozen=True, kw_only=True)
class OfReferences:
    """What is decided by for several references of one identity and a probe.

    Attributes:
        count: of the references. rule: how a probe is scored with them.
        calibration: of the fused scores; where the data had skilled forgeries, its thresholds hold
            against these and against random impostors.
    """

    count: int
    rule: Rule
    calibration: Calibration


def check(calibration: Calibration) -> None:
    """Raise BundleError if its numbers contradict each other."""
    for each in calibration.references:
        rule = each.rule
        if len(rule.weights) != (each.count if rule.fusion == "learned" else 0):
            raise BundleError(
                f"calibration: {len(rule.weights)} weights for {each.count} references "
                f"({rule.fusion}): calibrate again"
            )
    nested = (*calibration.groups, *calibration.references, *filter(None, [calibration.normalised]))
    for each in nested:
        check(each.calibration)
    low, high = calibration.reject_threshold, calibration.threshold
    if not 0.0 < calibration.prior < 1.0 or not 0.0 < calibration.far < 1.0:
        raise BundleError(
            f"calibration: prior {calibration.prior} and far {calibration.far} lie between 0 and "
            f"1: calibrate again"
        )
    if low is not None and low > high:
        raise BundleError(
            f"calibration: reject_threshold {low} is above threshold {high}: calibrate again"
        )
    if (curve := calibration.isotonic) is not None:
        rising = all(np.diff(curve.scores) > 0) and all(np.diff(curve.log_odds) >= 0)
        if not curve.scores or len(curve.scores) != len(curve.log_odds) or not rising:
            raise BundleError(
                "calibration: the isotonic curve does not rise, or its two lists differ: "
                "calibrate again"
            )

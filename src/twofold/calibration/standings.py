"""Thresholds by what their promise rests on: a guarantee, a certificate, or an estimate."""

import math
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from twofold.errors import CannotCertify
from twofold.metrics import certification, guarantee
from twofold.metrics.certification import (
    Certificate,
    Mirrored,
    certify,
    certify_rejection,
    upper_bounds,
)
from twofold.metrics.guarantee import guarantee_rejection
from twofold.metrics.pairs import PairSource
from twofold.metrics.sites import BySite
from twofold.metrics.verification import Tally, rates_at, tally, threshold_at_far
from twofold.results import Standing

__all__ = ["METHODS", "Offer", "affordable", "fewest_estimated", "offer", "offers", "stricter"]

METHODS = {
    "guaranteed": guarantee.METHOD,
    "certified": certification.METHOD,
    "estimate": "quantile",
}

PRICE = 0.05
"""Share of genuine pairs that a guarantee may reject beyond what a certificate rejects, and still be preferred: one
genuine user in twenty is what we would accept to lose for a promise without assumptions."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """The thresholds that a standing gives, and the share of genuine pairs below the upper one."""

    standing: Standing
    accept: Certificate
    reject: Certificate | None
    false_non_match_rate: float


def fewest_estimated(far: float) -> int:
    """Identities that make one false accept at this rate likely: fewer cannot even estimate it."""
    return math.ceil((1.0 + math.sqrt(1.0 + 8.0 / far)) / 2.0 - 1e-9)


def offers(
    pairs: PairSource,
    counted: Tally,
    *,
    far: float,
    frr: float | None,
    confidence: float,
    standing: Standing | None,
) -> list[Offer]:
    """What the data carry, the strongest first: `standing` alone if it is given, else a guarantee and a certificate.

    Raises:
        CannotCertify: the data carry nothing that was asked for.
    """
    if standing is not None:
        return [offer(standing, pairs, counted, far=far, frr=frr, confidence=confidence)]
    if isinstance(pairs, BySite):  # nothing guarantees a rate over sites
        return [offer("certified", pairs, counted, far=far, frr=frr, confidence=confidence)]
    found = []
    with suppress(CannotCertify):  # most data are too small for a guarantee
        found.append(offer("guaranteed", pairs, counted, far=far, frr=frr, confidence=confidence))
    try:
        found.append(offer("certified", pairs, counted, far=far, frr=frr, confidence=confidence))
    except CannotCertify:
        if not found:
            raise
    return found


def affordable(found: list[Offer]) -> Offer:
    """The strongest offer, unless it costs many more genuine pairs than the next one."""
    strongest, *others = found
    if others and strongest.false_non_match_rate > others[0].false_non_match_rate + PRICE:
        return others[0]
    return strongest


def stricter(found: list[Offer], others: list[Offer], counted: Tally) -> list[Offer]:
    """Offers that hold against two kinds of impostors: of each standing that both kinds carry, the higher threshold.

    Args:
        counted: the genuine pairs and the impostors of `found`.
    """
    strict = {each.standing: each.accept for each in others}
    both = []
    for each in found:
        if each.standing in strict:
            accept = max(each.accept, strict[each.standing], key=lambda one: one.threshold)
            missed = float(rates_at(counted, accept.threshold)[1])
            both.append(replace(each, accept=accept, false_non_match_rate=missed))
    if not both:
        raise CannotCertify(
            f"random impostors carry a {found[0].standing} rate and skilled forgeries a "
            f"{others[0].standing} one: ask for one of them (--standing)"
        )
    return both


def offer(
    standing: Standing,
    pairs: PairSource,
    counted: Tally,
    *,
    far: float,
    frr: float | None,
    confidence: float,
) -> Offer:
    """The thresholds of one standing.

    Raises:
        CannotCertify: the data do not carry it.
    """
    if standing == "guaranteed" and isinstance(pairs, BySite):
        raise CannotCertify(
            f"{pairs.identities} identities from {pairs.units} sites are not independent, and a "
            f"guarantee needs that: "
            "take a certificate by site (--standing certified), or say that sites do not matter "
            "(--set site=none)"
        )
    if standing == "guaranteed":
        accept = guarantee.guarantee(pairs, far, confidence=confidence, counted=counted)
        reject = None if frr is None else guarantee_rejection(pairs, frr, confidence=confidence)
    elif standing == "certified":
        accept = certify(pairs, far, confidence=confidence, counted=counted)
        reject = None if frr is None else certify_rejection(pairs, frr, confidence=confidence)
    else:
        accept = _estimated(pairs, far, counted=counted, confidence=confidence)
        reject = None if frr is None else _estimated_rejection(pairs, frr, confidence=confidence)
    missed = float(rates_at(counted, accept.threshold)[1])
    return Offer(standing=standing, accept=accept, reject=reject, false_non_match_rate=missed)


def _estimated(pairs: PairSource, far: float, *, counted: Tally, confidence: float) -> Certificate:
    threshold = float(threshold_at_far(counted, far))
    if counted.impostor[0] * far < 1.0:
        raise CannotCertify(
            f"{round(float(counted.impostor[0]))} impostor pairs cannot even estimate a "
            f"false-accept rate of {far:g}: "
            f"it takes at least {math.ceil(1.0 / far)} of them; give more identities"
        )
    bounds, _ = upper_bounds(pairs, np.array([threshold]), confidence=confidence)
    return Certificate(
        threshold=threshold,
        rate=float(rates_at(counted, threshold)[0]),
        upper_bound=float(bounds[0]),
    )


def _estimated_rejection(pairs: PairSource, frr: float, *, confidence: float) -> Certificate:
    turned = Mirrored(pairs)
    counted = tally(turned)
    if counted.impostor[0] * frr < 1.0:
        raise CannotCertify(
            f"{round(float(counted.impostor[0]))} genuine pairs cannot even estimate a "
            f"false-reject rate of {frr:g}: "
            f"it takes at least {math.ceil(1.0 / frr)} of them; give more items per identity"
        )
    highest = float(threshold_at_far(counted, frr))
    bounds, _ = upper_bounds(turned, np.array([highest]), confidence=confidence)
    rate = float(rates_at(counted, highest)[0])
    # -score >= t is score <= -t: the first score that is not rejected lies just above
    threshold = float(np.nextafter(-highest, np.inf))
    return Certificate(threshold=threshold, rate=rate, upper_bound=float(bounds[0]))

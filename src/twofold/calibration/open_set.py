"""Unseen identities -> the threshold at which a bundle names somebody out of N enrolled, or nobody (law 6)."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import numpy as np

from twofold.bundle import Bundle
from twofold.calibration.pairs import refuse_crossfitted
from twofold.calibration.remedies import larger
from twofold.contract import OpenSet
from twofold.data.items import Items
from twofold.embedding import deciding, embed_readable
from twofold.errors import CannotCertify, NotCalibrated
from twofold.metrics.openset import Galleries, OpenSetRates, galleries, open_set
from twofold.results import Standing

__all__ = ["calibrate_gallery"]


def calibrate_gallery(
    bundle: Bundle,
    items: Items,
    *,
    fpir: float,
    size: int,
    enrolled: int = 1,
    seed: int = 0,
    standing: Standing | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Bundle:
    """A copy of a calibrated bundle whose `identify` takes strangers for somebody at most at the rate `fpir`.

    The rate is measured: `size` identities are enrolled by chance, all others are strangers, again
    and again. It holds for galleries of that size with `enrolled` items each; `identify` warns when
    the gallery has grown past it.

    Args:
        fpir: false-positive identification rate asked for: strangers who are taken for one of those
            enrolled.
        size: how many identities are enrolled where the bundle is used.
        enrolled: how many items of each.
        seed: of the galleries.
        standing: "estimate" takes the threshold at which the measured rate is `fpir`, without a
            bound; everything else certifies it, which is the most that galleries drawn from the
            same identities can show.
        progress: called with (done, total) items embedded.

    Raises:
        NotCalibrated: `calibrate` comes first.
        CannotCertify: the data cannot show that rate; says how many identities it takes.
        NotEnoughData: not more than `size` identities, or no items beside those enrolled.
        IdentityOverlap: identities were trained on.
    """
    if bundle.calibration is None:
        raise NotCalibrated(
            "calibrate for one comparison first: `twofold calibrate BUNDLE DATA --far 1e-2`"
        )
    refuse_crossfitted(bundle, items, "a threshold for identify")
    part = bundle.outside_cohort(bundle.part(items, "calibrate"))
    bundle.refuse_trained(part)
    # a skilled forgery is nobody's probe: strangers are strangers
    part = part.take(np.flatnonzero(~part.forged))
    part, vectors = embed_readable(bundle, part, progress=progress)
    score = deciding(bundle, vectors)
    tried = galleries(score, part.identity, size=size, enrolled=enrolled, seed=seed)
    estimate = standing == "estimate"
    found = _found(tried, fpir, confidence=bundle.calibration.confidence, estimate=estimate)
    told = OpenSet(
        threshold=found.threshold,
        fpir=fpir,
        standing="estimate" if estimate else "certified",
        upper_bound=found.upper_bound,
        size=size,
        enrolled=enrolled,
        false_positive=found.false_positive,
        false_negative=found.false_negative,
        identities=found.identities,
        repeats=found.repeats,
        seed=seed,
    )
    return bundle.with_deciding(replace(bundle.calibration.deciding, open_set=told))


def _found(tried: Galleries, fpir: float, *, confidence: float, estimate: bool) -> OpenSetRates:
    """The threshold that the galleries show; a refusal names the rates that could be had."""
    try:
        return open_set(tried, fpir, confidence=confidence, estimate=estimate)
    except CannotCertify as error:
        raise CannotCertify(
            f"{error}{_remedies(tried, fpir, confidence=confidence, estimate=estimate)}"
        ) from None


def _remedies(tried: Galleries, fpir: float, *, confidence: float, estimate: bool) -> str:
    """The end of a refusal: the rates that these galleries show, as they were asked for and as an estimate."""
    found = []
    for instead in (False, True)[estimate:]:
        for rate in (fpir, *larger(fpir)):
            if (instead, rate) == (estimate, fpir):
                continue
            with suppress(CannotCertify):
                open_set(tried, rate, confidence=confidence, estimate=instead)
                found.append(f"--set fpir={rate:g}" + (" --estimate" if instead else ""))
                break
    return (
        f"; or calibrate with {', or with '.join(found)}"
        if found
        else "; no larger rate could be shown either"
    )

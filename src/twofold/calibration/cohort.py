"""A cohort of strangers kept in the bundle, so that verdicts go by normalised scores (AS-norm)."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from twofold.bundle import Bundle
from twofold.calibration.pairs import calibration, refuse_crossfitted
from twofold.contract import Normalised
from twofold.data.items import Items
from twofold.embedding import deciding, embed_readable
from twofold.errors import NotCalibrated, NotEnoughData, UsageError, nearest
from twofold.metrics.cohort import Side
from twofold.recruitment import pairs_of

__all__ = ["NEAREST", "calibrate_cohort"]

NEAREST: dict[Side, int] = {"both": 200, "weaker": 10}
"""How many of a cohort count. On fragments of butterflies' barcodes 2 to 10 were alike, 50 worse (docs/LOG.md)."""


def calibrate_cohort(
    bundle: Bundle,
    items: Items,
    *,
    identities: int,
    top: int | None = None,
    side: Side = "both",
    progress: Callable[[int, int], None] | None = None,
) -> Bundle:
    """A copy of a calibrated bundle that tells scores in units of what both sides score against a cohort.

    Some of the identities that calibrate are put aside by chance, and one vector of each goes into
    the bundle (vectors, not inputs); all others calibrate the normalised scores, at the rates that
    the bundle was calibrated for. `verify`, `identify` and `evaluate` then go by these; search and
    dedup stay with plain scores and their threshold.

    Args:
        identities: how many are the cohort; some hundreds are usual.
        top: how many of the nearest of them count; None: 200, or 10 for the weaker side.
        side: "both" for AS-norm; "weaker" where one of the two is often a part or noisy, such as
            fragments of DNA: only its scores with the cohort count, and are taken away.

    Raises:
        NotCalibrated: `calibrate` comes first.
        CannotCertify: what is left cannot show the rate; says how many identities it takes beside
            the cohort.
        NotEnoughData: no identities are left beside the cohort.
        UsageError: `identities` or `top` is below 2, or an unknown side.
        IdentityOverlap: identities were trained on.
    """
    known = bundle.calibration
    if known is None:
        raise NotCalibrated(
            "calibrate plain scores first: `twofold calibrate BUNDLE DATA --far 1e-2`"
        )
    if side not in NEAREST:
        raise UsageError(f"side = {side!r}: {nearest(str(side), NEAREST)}")
    top = NEAREST[side] if top is None else top
    if min(identities, top) < 2:
        raise UsageError(
            f"a cohort of {identities} identities, of which {top} count: both must be at least 2"
        )
    refuse_crossfitted(bundle, items, "a cohort")
    part = bundle.part(items, "calibrate")
    bundle.refuse_trained(part)
    strangers, rest, aside = _dealt(part, identities, seed=known.seed)
    _, cohort = embed_readable(bundle, strangers)
    plain = replace(known, normalised=None, groups=(), open_set=None)
    told = Normalised(cohort=len(cohort), top=top, calibration=plain, side=side)
    records = bundle.provenance.with_part("cohort", aside)
    fair = replace(
        bundle, calibration=replace(known, normalised=told), cohort=cohort, provenance=records
    )
    rest, vectors = embed_readable(fair, rest, progress=progress)
    score = deciding(fair, vectors)
    found = calibration(
        pairs_of(rest, score),
        far=known.far,
        frr=None if known.rejection is None else known.rejection.frr,
        confidence=known.confidence,
        seed=known.seed,
        standing="estimate" if known.standing == "estimate" else None,
    )
    return fair.with_deciding(found.with_prior(known.prior))


def _dealt(part: Items, identities: int, *, seed: int) -> tuple[Items, Items, Items]:
    """One item of each identity of the cohort, all items of the others, and all of the cohort's own."""
    codes, first = np.unique(part.identity[~part.forged], return_index=True)
    if len(codes) < identities + 2:
        raise NotEnoughData(
            f"{len(codes)} identities, of which {identities} were to be the cohort: others must "
            f"be left to calibrate; "
            "give more identities"
            + (f", or --set cohort={len(codes) - 2} or less" if len(codes) >= 4 else "")
        )
    chosen = np.random.default_rng(seed).permutation(len(codes))[:identities]
    places = np.flatnonzero(~part.forged)[first[np.sort(chosen)]]
    inside = np.isin(part.identity, codes[chosen])
    return part.take(places), part.take(np.flatnonzero(~inside)), part.take(np.flatnonzero(inside))

"""Unseen identities -> the thresholds for several references of one identity and a probe (laws 2, 5 and 6)."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from twofold.bundle import Bundle
from twofold.calibration.pairs import calibration, refuse_crossfitted
from twofold.contract import OfReferences
from twofold.data.items import Items
from twofold.data.splits import shuffled_names
from twofold.embedding import deciding, embed_readable
from twofold.errors import CannotCertify, NotCalibrated, UsageError
from twofold.fusion import Fusion, Rule, agreements, fit_weights, mean_embedding
from twofold.metrics.pairs import PairSource, ScoreBlock
from twofold.metrics.reference_pairs import ReferencePairs, reference_sets
from twofold.metrics.sites import BySite, sites_of_identities
from twofold.results import Standing

__all__ = ["MOST_REFERENCES", "calibrate_references", "reference_pairs", "set_scores"]

MOST_REFERENCES = 20
"""References that thresholds are made for: more hardly change a score, and few data sets have so many items."""

LEARNING = 1 / 3
"""Share of the identities from which the learned rule takes its weights; they calibrate nothing then."""

PAIRS_TO_LEARN = 200_000
"""Genuine pairs and impostors that the weights are learned from at most: they are a handful of numbers."""


def calibrate_references(
    bundle: Bundle,
    items: Items,
    *,
    count: int,
    fusion: Fusion = "mean",
    seed: int = 0,
    standing: Standing | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Bundle:
    """A copy of a calibrated bundle that also decides about a probe and 2 to `count` references of one identity.

    Each number of references gets a threshold of its own, at the rates that the bundle was
    calibrated for. Sets of references are drawn by chance from each identity, and compared with its
    other items and with those of all others. Where there are skilled forgeries the threshold is the
    higher of two: one holds against forgeries, the other against random impostors.

    Args:
        count: the largest number of references, at most 20.
        fusion: how several scores become one (`twofold.fusion.Fusion`). For "learned" a third of
            the identities is set aside, from which the weights are learned.
        seed: of the sets and of the intervals' bootstrap.
        standing: as in `calibrate`.
        progress: called with (done, total) items embedded.

    Raises:
        NotCalibrated: `calibrate` comes first.
        CannotCertify: the data cannot show the rate for some number of references; names it.
        NotEnoughData: no identity has more than `count` items.
        UsageError: `count` is below 2 or above 20.
        IdentityOverlap: identities were trained on.
    """
    if (known := bundle.calibration) is None:
        raise NotCalibrated(
            "calibrate for one comparison first: `twofold calibrate BUNDLE DATA --far 1e-2`"
        )
    if not 2 <= count <= MOST_REFERENCES:
        raise UsageError(f"references is {count}: give 2 to {MOST_REFERENCES}")
    refuse_crossfitted(bundle, items, "a threshold for several references")
    part = bundle.outside_cohort(bundle.part(items, "calibrate"))
    bundle.refuse_trained(part)
    part, vectors = embed_readable(bundle, part, progress=progress)
    judging, learning = _dealt(part, fusion, seed=seed)
    found = []
    for number in range(2, count + 1):
        rule = Rule(fusion=fusion)
        if fusion == "learned":
            some = part.take(learning), vectors[learning]
            rule = Rule(fusion=fusion, weights=_weights(bundle, *some, count=number, seed=seed))
        rest = part.take(judging), vectors[judging]
        pairs = reference_pairs(bundle, *rest, count=number, rule=rule, seed=seed)
        try:
            told = calibration(
                pairs,
                far=known.far,
                frr=None if known.rejection is None else known.rejection.frr,
                confidence=known.confidence,
                seed=seed,
                standing=standing,
                worst=True,
            )
        except CannotCertify as error:
            raise CannotCertify(f"{number} references: {error}") from None
        told = told.with_prior(known.prior)
        found.append(OfReferences(count=number, rule=rule, calibration=told))
    return bundle.with_deciding(replace(known.deciding, references=tuple(found)))


def reference_pairs(
    bundle: Bundle,
    part: Items,
    vectors: Float[np.ndarray, "n dim"],
    *,
    count: int,
    rule: Rule,
    seed: int = 0,
    most: int | None = None,
) -> PairSource:
    """Sets of `count` references beside single items, scored as `verify` does; by site where items have one.

    Args:
        most: pairs that are scored, about; of more, some of the sets are drawn by chance.

    Raises:
        NotEnoughData: no identity has more than `count` items.
    """
    sets = reference_sets(part.labels, count, usable=~part.forged, seed=seed)
    if most is not None and len(sets) * len(part) > most:
        drawn = np.random.default_rng(seed).permutation(len(sets))
        sets = sets[np.sort(drawn[: max(most // len(part), 1)])]
    pairs = ReferencePairs(
        set_scores(bundle, vectors, sets, rule),
        sets,
        part.labels,
        identity=part.identity,
        forged=part.forged,
        source=part.source,
    )
    if part.site is None:
        return pairs
    return BySite(pairs, sites_of_identities(part.identity, part.site, part.identities))


def set_scores(
    bundle: Bundle,
    vectors: Float[np.ndarray, "n dim"],
    sets: Int[np.ndarray, "sets references"],
    rule: Rule,
) -> ScoreBlock:
    """Scores of sets of references (rows) with single items (cols)."""
    if rule.fusion == "mean":
        distance = bundle.twin.comparison.name
        means = np.stack([mean_embedding(vectors[each], distance) for each in sets])
        score = deciding(bundle, np.concatenate([vectors, means]))
        return lambda rows, cols: score(rows + len(vectors), cols)
    single = deciding(bundle, vectors)
    if rule.fusion == "relative":
        agreed = agreements(np.stack([single(each, each) for each in sets]))
        return lambda rows, cols: rule.fused(
            _with_each(single, sets[rows], cols), agreed[rows][:, None]
        )
    return lambda rows, cols: rule.fused(_with_each(single, sets[rows], cols))


def _with_each(
    score: ScoreBlock, sets: Int[np.ndarray, "rows references"], cols: Int[np.ndarray, "cols"]
) -> Float[np.ndarray, "rows cols references"]:
    """Scores of the items `cols` with every reference of every set."""
    found = score(sets.reshape(-1), cols).reshape(*sets.shape, len(cols))
    return np.moveaxis(found, 1, -1)


def _dealt(
    part: Items, fusion: Fusion, *, seed: int
) -> tuple[Int[np.ndarray, "n"], Int[np.ndarray, "m"]]:
    """Items of the identities that calibrate, and of those that weights are learned from."""
    names = shuffled_names(part.identities, seed)
    aside = max(round(len(names) * LEARNING), 2) if fusion == "learned" else 0
    chosen = set(names[:aside])
    codes = [code for code, name in enumerate(part.identities) if name in chosen]
    learning = np.isin(part.identity, codes)
    return np.flatnonzero(~learning), np.flatnonzero(learning)


def _weights(
    bundle: Bundle, part: Items, vectors: Float[np.ndarray, "n dim"], *, count: int, seed: int
) -> tuple[float, ...]:
    """What the learned rule weighs each score by."""
    sets = reference_sets(part.labels, count, usable=~part.forged, seed=seed)
    probes = np.flatnonzero(~part.forged)
    sets = sets[np.random.default_rng(seed).permutation(len(sets))]
    sets = sets[: max(PAIRS_TO_LEARN // len(probes), 2)]
    scores = _with_each(deciding(bundle, vectors), sets, probes)
    same = part.labels[sets[:, 0]][:, None] == part.labels[probes][None]
    outside = ~(sets[:, :, None] == probes[None, None]).any(axis=1)
    return fit_weights(scores[outside], same[outside])

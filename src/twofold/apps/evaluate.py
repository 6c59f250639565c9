"""How well a bundle does on identities that it has never seen: every number with its interval."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from jaxtyping import Float

from twofold.bundle import Bundle
from twofold.calibration.references import reference_pairs
from twofold.data.items import Items
from twofold.embedding import deciding, embed_readable
from twofold.errors import IdentityOverlap, NotEnoughData, UsageError
from twofold.metrics import fewshot, retrieval, verification
from twofold.metrics.crossfit import CrossFit
from twofold.metrics.intervals import agrees
from twofold.metrics.pairs import AllPairs, OneKind, PairSource, ScoreBlock
from twofold.metrics.sampled_pairs import SampledPairs
from twofold.metrics.sites import BySite, sites_of_identities
from twofold.metrics.skilled import SKILLED, estimates_by_kind
from twofold.ranking import ranking
from twofold.results import Estimate, Evaluation

__all__ = [
    "asked_far",
    "by_group",
    "by_references",
    "evaluate",
    "evaluate_crossfitted",
    "evaluate_vectors",
    "evaluation",
    "refuse_calibrated",
    "stage",
    "verified",
]

EPISODES = 1000
"""Of one-shot trials: the share of right answers is then known to 1.6 points at worst."""

WITH_REFERENCES = (
    "eer",
    "false_match_rate",
    "false_non_match_rate",
    "skilled_eer",
    "skilled_false_match_rate",
)
"""Numbers that are told for every number of references that has a threshold."""

NOBODY = np.zeros(0, np.int64)

SAMPLED_FROM = 1 << 25
"""From so many pairs (8,192 items) error rates take all genuine pairs and a sample of the impostor pairs."""

SAMPLED_PAIRS = 1 << 24
"""Genuine and impostor pairs that are then taken, about."""

Watch = Callable[[str, int, int], None]
"""What is being done, how far it is, and how far it goes."""


def evaluate(
    bundle: Bundle,
    items: Items,
    *,
    far: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    watch: Watch | None = None,
) -> Evaluation:
    """Verification, search and one-shot numbers of a bundle on unseen identities.

    Of data that the bundle was trained from, the identities that training kept aside as "test" are
    used. Up to 8,192 items every pair is scored. Of more, search numbers still see every pair,
    while error rates take all genuine pairs and about 2^24 impostor pairs, drawn by chance. `notes`
    says so, and what was left out because the data cannot give it (20-way episodes of ten classes,
    say). Memory is linear in the items.

    Where training was cross-fitted and kept nothing aside, error rates are those of the
    cross-fitted scores. Rates at the threshold are then taken fold by fold, at a threshold from all
    other folds: no score judges a threshold that it made.

    Args:
        far: false-accept rate at which the true-accept rate is wanted; None: that of the
            calibration, else 1e-2.
        seed: of the intervals, of the one-shot episodes and of the pairs that are drawn.
        watch: called with what is being done, and how far it is: (text, done, total).

    Raises:
        IdentityOverlap: identities were trained on, or the threshold was found on them.
        NotEnoughData: no genuine or no impostor pairs, or a single identity.
    """
    try:
        part = bundle.part(items, "test")
    except IdentityOverlap:
        if (judged := bundle.crossfit_of(items)) is None:
            raise
        return evaluate_crossfitted(bundle, judged, far=far, confidence=confidence, seed=seed)
    refuse_calibrated(bundle, part)
    part, vectors = embed_readable(bundle, part, progress=stage(watch, "embedding"))
    found = _measured(bundle, part, vectors, far=far, confidence=confidence, seed=seed, watch=watch)
    return replace(found, notes=(*part.notes, *found.notes))


def evaluate_vectors(
    bundle: Bundle,
    items: Items,
    vectors: Float[np.ndarray, "n dim"],
    *,
    far: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    watch: Watch | None = None,
) -> Evaluation:
    """`evaluate` of vectors that `embed` has made of `items` before; float32, a memory map will do.

    All items are used; of data that the bundle was trained from, give `bundle.part(items, "test")`.

    Raises:
        UsageError: the vectors are not one of the bundle's dimension for each item.
        IdentityOverlap, NotEnoughData: as in `evaluate`.
    """
    if vectors.shape != (len(items), bundle.twin.dim):
        raise UsageError(
            f"vectors of shape {vectors.shape} for {len(items)} items "
            f"of a bundle whose vectors have {bundle.twin.dim} numbers: "
            "give one for each item, as `twofold embed` makes them"
        )
    bundle.refuse_trained(items)
    refuse_calibrated(bundle, items)
    return _measured(bundle, items, vectors, far=far, confidence=confidence, seed=seed, watch=watch)


def _measured(
    bundle: Bundle,
    part: Items,
    vectors: np.ndarray,
    *,
    far: float | None,
    confidence: float,
    seed: int,
    watch: Watch | None,
) -> Evaluation:
    score = deciding(bundle, vectors)
    pairs, unit = _pairs(score, part, seed=seed, watch=watch), "identity"
    if part.site is not None:
        pairs, unit = (
            BySite(pairs, sites_of_identities(part.identity, part.site, part.identities)),
            "site",
        )
    asked = asked_far(bundle, far)
    numbers = verified(bundle, pairs, far=asked, unit=unit, confidence=confidence, seed=seed)
    notes = [SKILLED] if part.forged.any() else []
    within, untold = by_group(bundle, part, vectors, confidence=confidence, seed=seed)
    notes += untold
    numbers |= retrieval.estimates(
        ranking(bundle.twin, vectors),
        part.labels,
        identity=part.identity if part.site is None else part.site,
        confidence=confidence,
        seed=seed,
        progress=stage(watch, "search"),
    )
    numbers |= within
    several, untold = by_references(bundle, part, vectors, confidence=confidence, seed=seed)
    numbers, notes = numbers | several, notes + untold
    for n_way in (5, 20):
        try:
            found = fewshot.n_way_accuracy(
                score, part.labels, n_way=n_way, episodes=EPISODES, confidence=confidence, seed=seed
            )
            numbers[found.name] = found
        except NotEnoughData as error:
            notes.append(str(error))
    return evaluation(
        bundle, pairs, numbers, unit=unit, far=asked, items=len(part), seed=seed, notes=notes
    )


def evaluate_crossfitted(
    bundle: Bundle,
    found: CrossFit,
    *,
    far: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> Evaluation:
    """Error rates of models that had not seen the identities that they judge; search numbers cannot be had.

    Args:
        found: the bundle's cross-fitted scores. far, confidence, seed: as in `evaluate`.

    Raises:
        NotEnoughData: no genuine or no impostor pairs.
    """
    asked, known = asked_far(bundle, far), bundle.calibration
    numbers = verification.estimates(found, far=asked, confidence=confidence, seed=seed)
    if known is not None:
        nested = found.beyond_thresholds(known.far)
        numbers |= verification.estimates_at(nested, 0.0, confidence=confidence, seed=seed)
    notes = [
        f"cross-fitted: the {found.units} identities are judged in {found.folds} folds by models "
        "that had not seen them; the final model has seen all, and is as good or a little better",
        "search and one-shot numbers need identities that "
        "the final model has not seen: evaluate on other data",
    ]
    if known is not None:
        notes.insert(1, "rates at the threshold: each fold at a threshold from all other folds")
    done = evaluation(
        bundle, found, numbers, unit="identity", far=asked, items=0, seed=seed, notes=notes
    )
    return replace(done, holds=None, crossfitted=True)


def by_group(
    bundle: Bundle,
    items: Items,
    vectors: Float[np.ndarray, "n dim"],
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[dict[str, Estimate], list[str]]:
    """Error rates inside each group at the group's own threshold, where there are such; and what could not be told."""
    if bundle.calibration is None or not (known := bundle.calibration.deciding.groups):
        return {}, []
    if items.group is None:
        return {}, [
            f"the items have no groups: nothing is told of the thresholds of "
            f"{', '.join(g.name for g in known)}"
        ]
    numbers: dict[str, Estimate] = {}
    notes = [
        f"group {name!r} has no threshold of its own"
        for name in sorted({*items.groups} - {g.name for g in known})
    ]
    for each in known:
        rows = (
            np.flatnonzero(items.group == items.groups.index(each.name))
            if each.name in items.groups
            else NOBODY
        )
        try:
            score, forged = deciding(bundle, vectors[rows]), items.forged[rows]
            pairs = AllPairs(
                score, items.labels[rows], identity=items.identity[rows], forged=forged
            )
            random = OneKind(pairs, "random")
            found = verification.estimates_at(
                random, each.calibration.threshold, confidence=confidence, seed=seed
            )
        except NotEnoughData as error:
            notes.append(f"group {each.name!r}: {error}")
            continue
        for name in ("false_match_rate", "false_non_match_rate"):
            told = replace(found[name], name=f"{name} ({each.name})")
            numbers[told.name] = told
    return numbers, notes


def by_references(
    bundle: Bundle,
    items: Items,
    vectors: Float[np.ndarray, "n dim"],
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[dict[str, Estimate], list[str]]:
    """Error rates with several references, where there are thresholds for them; and what could not be told."""
    numbers: dict[str, Estimate] = {}
    notes: list[str] = []
    known = () if bundle.calibration is None else bundle.calibration.deciding.references
    for each in known:
        asked = {"count": each.count, "rule": each.rule, "seed": seed, "most": SAMPLED_FROM}
        try:
            pairs = reference_pairs(bundle, items, vectors, **asked)
            found = estimates_by_kind(
                pairs,
                far=each.calibration.far,
                threshold=each.calibration.threshold,
                confidence=confidence,
                unit="identity" if items.site is None else "site",
                seed=seed,
            )
        except NotEnoughData as error:
            notes.append(str(error))
            continue
        for name in WITH_REFERENCES:
            if name in found:
                told = replace(found[name], name=f"{name} ({each.count} references)")
                numbers[told.name] = told
    return numbers, notes


def _pairs(
    score: ScoreBlock, part: Items, *, seed: int, watch: Watch | None
) -> AllPairs | SampledPairs:
    progress = stage(watch, "error rates")
    if len(part) * (len(part) - 1) // 2 <= SAMPLED_FROM:
        return AllPairs(
            score,
            part.labels,
            identity=part.identity,
            forged=part.forged,
            source=part.source,
            progress=progress,
        )
    return SampledPairs(
        score,
        part.labels,
        identity=part.identity,
        forged=part.forged,
        source=part.source,
        seed=seed,
        most=SAMPLED_PAIRS,
        progress=progress,
    )


def _drawn(pairs: PairSource, genuine: int, impostor: int, *, seed: int) -> tuple[str, ...]:
    pairs = pairs.pairs if isinstance(pairs, BySite) else pairs
    if not isinstance(pairs, SampledPairs):
        return ()
    share = "all" if genuine == pairs.genuine else f"{genuine} of"
    return (
        f"error rates are those of {share} {pairs.genuine} genuine pairs and of {impostor} of "
        f"{pairs.impostor} impostor pairs, drawn by chance (seed {seed})",
    )


def _counts(pairs: PairSource) -> tuple[int, int]:
    counts = np.zeros(2, np.int64)
    for block in pairs:
        counts += np.bincount(block.same, minlength=2)
    return int(counts[1]), int(counts[0])


def stage(watch: Watch | None, name: str) -> Callable[[int, int], None] | None:
    """What tells how far one thing is, by `watch`."""
    return None if watch is None else partial(watch, name)


def refuse_calibrated(bundle: Bundle, part: Items) -> None:
    """Raise IdentityOverlap where the threshold was found on identities of these items."""
    used = () if bundle.calibration is None else bundle.calibrated(part)
    if used:
        raise IdentityOverlap(
            f"the threshold was found on {len(used)} of {len(part.identities)} identities "
            f"({', '.join(used[:3])}...), so that error rates at it "
            "would look too good: evaluate on other identities"
        )


def asked_far(bundle: Bundle, far: float | None) -> float:
    """The false-accept rate that was asked for, else the calibrated one, else 1e-2."""
    if far is not None:
        return far
    return 1e-2 if bundle.calibration is None else bundle.calibration.far


def verified(
    bundle: Bundle, pairs: PairSource, *, far: float, unit: str, confidence: float, seed: int
) -> dict[str, Estimate]:
    """Every number, at the threshold too if there is one."""
    threshold = None if bundle.calibration is None else bundle.calibration.deciding.threshold
    return estimates_by_kind(
        pairs, far=far, threshold=threshold, confidence=confidence, unit=unit, seed=seed
    )


def evaluation(
    bundle: Bundle,
    pairs: PairSource,
    numbers: dict[str, Estimate],
    *,
    unit: str,
    far: float,
    items: int,
    seed: int,
    notes: list[str],
) -> Evaluation:
    """The numbers with what they were measured on, and whether the calibration's promise held."""
    calibration = bundle.calibration and bundle.calibration.deciding
    genuine, impostor = _counts(pairs)
    return Evaluation(
        estimates=tuple(numbers.values()),
        unit=unit,
        units=pairs.units,
        items=items,
        genuine_pairs=genuine,
        impostor_pairs=impostor,
        threshold=None if calibration is None else calibration.threshold,
        far=far,
        standing="estimate" if calibration is None else calibration.standing,
        holds=None if calibration is None else agrees(numbers["false_match_rate"], calibration.far),
        seed=seed,
        notes=(*_drawn(pairs, genuine, impostor, seed=seed), *notes),
    )

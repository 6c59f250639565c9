"""How well a bundle does on a table of pairs with answers: error rates, or correlations for graded answers."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from twofold.admission import judging_pairs
from twofold.apps.evaluate import Watch, asked_far, evaluation, refuse_calibrated, stage, verified
from twofold.bundle import Bundle
from twofold.data.pair_splits import pair_components
from twofold.data.pairs import Pairs, things_of
from twofold.embedding import embed_readable_pairs, pair_scores
from twofold.metrics.correlation import correlations
from twofold.metrics.pairs import PairList
from twofold.plurals import counted
from twofold.results import Evaluation

__all__ = ["evaluate_pair_vectors", "evaluate_pairs", "judged_pairs", "listed_pairs"]

FEWEST_GROUPS = 20
"""Fewest groups of pairs sharing things that are resampled: fewer tell nothing of their own spread."""


def evaluate_pairs(
    bundle: Bundle,
    pairs: Pairs,
    *,
    far: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    watch: Watch | None = None,
) -> Evaluation:
    """Verification numbers of a bundle on a list of pairs with answers, such as LFW's View 1.

    Every pair of the list counts once, as public protocols have it, while `evaluate` counts
    identities. Intervals resample the identities of the table (`identity_a`, `identity_b`). Without
    these they resample pairs, which is too narrow if pairs share people: `unit` and `notes` say so.
    Of the table that the bundle was trained from, the pairs that training kept aside as "test"
    are used. Of graded answers the numbers are correlations.

    Args:
        far: as in `evaluate`.
        watch: as in `evaluate`.

    Raises:
        DataError: the answers are missing.
        IdentityOverlap: identities or files were trained on, or the threshold was found on them.
        NotEnoughData: no genuine or no impostor pairs.
    """
    pairs, vectors, notes = judged_pairs(bundle, pairs, watch=watch)
    return evaluate_pair_vectors(
        bundle, pairs, vectors, far=far, confidence=confidence, seed=seed, notes=notes
    )


def judged_pairs(
    bundle: Bundle, pairs: Pairs, *, watch: Watch | None = None
) -> tuple[Pairs, Float[np.ndarray, "things dim"], tuple[str, ...]]:
    """The pairs that may judge the bundle, the vectors of their things, and what should be said of the choice.

    Raises:
        DataError, IdentityOverlap: as `evaluate_pairs`.
    """
    _ = pairs.targets  # answers are needed, before anything is embedded
    pairs, notes = judging_pairs(bundle.provenance, pairs, "test")
    refuse_calibrated(bundle, things_of(pairs))
    pairs, vectors = embed_readable_pairs(bundle, pairs, progress=stage(watch, "embedding"))
    return pairs, vectors, notes


def evaluate_pair_vectors(
    bundle: Bundle,
    pairs: Pairs,
    vectors: Float[np.ndarray, "things dim"],
    *,
    far: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    notes: Sequence[str] = (),
) -> Evaluation:
    """`evaluate_pairs` of the result of `judged_pairs`; nothing is embedded again."""
    if pairs.graded:
        return _graded(bundle, pairs, vectors, confidence=confidence, seed=seed, notes=notes)
    unit, listed = (
        "pair" if pairs.identity is None else "identity",
        listed_pairs(bundle, pairs, vectors),
    )
    asked = asked_far(bundle, far)
    numbers = verified(bundle, listed, far=asked, unit=unit, confidence=confidence, seed=seed)
    if unit == "pair":
        notes = (*notes, "no columns identity_a, identity_b: intervals resample pairs (too narrow)")
    return evaluation(
        bundle,
        listed,
        numbers,
        unit=unit,
        far=asked,
        items=len(pairs.ids),
        seed=seed,
        notes=list(notes),
    )


def _graded(
    bundle: Bundle,
    pairs: Pairs,
    vectors: Float[np.ndarray, "things dim"],
    *,
    confidence: float,
    seed: int,
    notes: Sequence[str],
) -> Evaluation:
    """How well the scores agree with graded answers; pairs that share a thing are resampled together."""
    units, unit = pair_components(pairs), "group of pairs that share things"
    said = [f"{len(pairs)} pairs are graded, so correlations replace error rates"]
    if (count := len(np.unique(units))) < FEWEST_GROUPS:
        said.append(
            f"the pairs share things, in {counted(count, 'group')}: "
            "intervals resample pairs (too narrow)"
        )
        units = np.arange(len(pairs))
    if (count := len(np.unique(units))) == len(pairs):
        unit = "pair"
    found = pair_scores(bundle, vectors[pairs.index_a], vectors[pairs.index_b])
    told = correlations(found, pairs.targets, units, unit=unit, confidence=confidence, seed=seed)
    return Evaluation(
        estimates=tuple(told.values()),
        unit=unit,
        units=count,
        items=len(pairs.ids),
        genuine_pairs=0,
        impostor_pairs=0,
        threshold=None,
        far=asked_far(bundle, None),
        standing="estimate",
        holds=None,
        seed=seed,
        notes=(*notes, *said),
    )


def listed_pairs(
    bundle: Bundle, pairs: Pairs, vectors: Float[np.ndarray, "things dim"]
) -> PairList:
    """The pairs with the scores that verdicts use; without identities each pair is a unit of its own."""
    each = np.arange(len(pairs))
    owners = [
        each if pairs.identity is None else pairs.identity[index]
        for index in (pairs.index_a, pairs.index_b)
    ]
    found = pair_scores(bundle, vectors[pairs.index_a], vectors[pairs.index_b])
    # a public protocol weighs every pair of its list alike
    return PairList(found, pairs.targets == 1.0, first=owners[0], second=owners[1], weigh="pairs")

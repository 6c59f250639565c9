"""How well a bundle does on identities that it has never seen: every number with its interval."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int

from twofold.bundle import Bundle
from twofold.data.items import Items
from twofold.data.pairs import Pairs
from twofold.embedding import embed, scores
from twofold.errors import DataError, IdentityOverlap, NotEnoughData
from twofold.metrics import fewshot, retrieval, verification
from twofold.metrics.pairs import AllPairs, PairList, PairSource
from twofold.results import Estimate, Evaluation

__all__ = ["evaluate", "evaluate_pairs"]

EPISODES = 1000


def evaluate(
    bundle: Bundle,
    items: Items,
    *,
    far: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Verification, search and one-shot numbers of a bundle on unseen identities.

    Of data that the bundle was trained from, the identities that training kept aside as "test" are used. Every pair
    of items is scored. Numbers that the data cannot give (20-way episodes of ten classes, say) are left out, and
    `notes` says so.

    Args:
        far: false-accept rate at which the true-accept rate is wanted; None: that of the calibration, else 1e-2.
        seed: of the bootstrap and of the one-shot episodes.
        progress: called with (done, total) items embedded.

    Raises:
        IdentityOverlap: identities were trained on, or the threshold was found on them.
        NotEnoughData: no genuine or no impostor pairs, or a single identity.
    """
    part = bundle.part(items, "test")
    _refuse_calibrated(bundle, part)
    vectors = embed(bundle, part, progress=progress).vectors

    def score(rows: Int[np.ndarray, "rows"], cols: Int[np.ndarray, "cols"]) -> Float[np.ndarray, "rows cols"]:
        return scores(bundle.twin, vectors[rows], vectors[cols])

    pairs = AllPairs(score, part.labels, identity=part.identity)
    asked = _far(bundle, far)
    numbers = _verification(bundle, pairs, far=asked, unit="identity", confidence=confidence, seed=seed)
    numbers |= retrieval.estimates(score, part.labels, identity=part.identity, confidence=confidence, seed=seed)
    notes = []
    for n_way in (5, 20):
        try:
            found = fewshot.n_way_accuracy(
                score, part.labels, n_way=n_way, episodes=EPISODES, confidence=confidence, seed=seed
            )
            numbers[found.name] = found
        except NotEnoughData as error:
            notes.append(str(error))
    return _evaluation(bundle, pairs, numbers, unit="identity", far=asked, items=len(part), seed=seed, notes=notes)


def evaluate_pairs(
    bundle: Bundle,
    pairs: Pairs,
    *,
    far: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Verification numbers of a bundle on a list of pairs with answers, such as LFW's View 1.

    Intervals resample the identities of the table (`identity_a`, `identity_b`). Without these they resample pairs,
    which is too narrow where pairs share people: `unit` and `notes` say so.

    Args:
        far: as in `evaluate`.
        progress: called with (done, total) things embedded.

    Raises:
        DataError: the answers are missing, or graded.
        IdentityOverlap: identities or files were trained on.
        NotEnoughData: no genuine or no impostor pairs.
    """
    if not np.isin(pairs.targets, (0.0, 1.0)).all():
        raise DataError("the pairs have graded scores: accuracy and error rates need a column same with 0 or 1")
    things = _things(pairs)
    bundle.refuse_trained(things)
    vectors = embed(bundle, things, progress=progress).vectors
    with torch.inference_mode():
        sides = [torch.from_numpy(vectors[index]).to(bundle.twin.device) for index in (pairs.index_a, pairs.index_b)]
        distance = bundle.twin.comparison.pairs(sides[0], sides[1]).cpu().numpy().astype(np.float64)
    unit = "pair" if pairs.identity is None else "identity"
    each = np.arange(len(pairs))
    owners = [each if pairs.identity is None else pairs.identity[index] for index in (pairs.index_a, pairs.index_b)]
    listed = PairList(bundle.contract.score(distance), pairs.targets == 1.0, first=owners[0], second=owners[1])
    asked = _far(bundle, far)
    numbers = _verification(bundle, listed, far=asked, unit=unit, confidence=confidence, seed=seed)
    notes = [] if unit == "identity" else ["no columns identity_a, identity_b: intervals resample pairs (too narrow)"]
    return _evaluation(bundle, listed, numbers, unit=unit, far=asked, items=len(pairs.ids), seed=seed, notes=notes)


def _things(pairs: Pairs) -> Items:
    """What stands in the pairs, each thing once; without identities each thing is its own."""
    identity = np.arange(len(pairs.ids)) if pairs.identity is None else pairs.identity
    names = pairs.ids if pairs.identity is None else pairs.identities
    return Items(
        values=pairs.values,
        ids=pairs.ids,
        labels=identity,
        names=names,
        identity=identity,
        identities=names,
        forged=np.zeros(len(pairs.ids), dtype=bool),
    )


def _refuse_calibrated(bundle: Bundle, part: Items) -> None:
    used = set(bundle.parts.get("calibrate", ())) & set(part.identities)
    if bundle.calibration is not None and used:
        raise IdentityOverlap(
            f"the threshold was found on {len(used)} of {len(part.identities)} identities "
            f"({', '.join(sorted(used)[:3])}...), so that error rates at it "
            "would look too good: evaluate on other identities"
        )


def _far(bundle: Bundle, far: float | None) -> float:
    if far is not None:
        return far
    return 1e-2 if bundle.calibration is None else bundle.calibration.far


def _verification(
    bundle: Bundle, pairs: PairSource, *, far: float, unit: str, confidence: float, seed: int
) -> dict[str, Estimate]:
    threshold = None if bundle.calibration is None else bundle.calibration.threshold
    return verification.estimates(pairs, far=far, threshold=threshold, confidence=confidence, unit=unit, seed=seed)


def _evaluation(
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
    calibration = bundle.calibration
    genuine = sum(int(block.same.sum()) for block in pairs)
    impostor = sum(int((~block.same).sum()) for block in pairs)
    return Evaluation(
        estimates=tuple(numbers.values()),
        unit=unit,
        units=pairs.units,
        items=items,
        genuine_pairs=genuine,
        impostor_pairs=impostor,
        threshold=None if calibration is None else calibration.threshold,
        far=far,
        certified=calibration is not None and calibration.certified,
        holds=None if calibration is None else numbers["false_match_rate"].low <= calibration.far,
        seed=seed,
        notes=tuple(notes),
    )

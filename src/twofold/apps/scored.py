"""Evaluation of any model's scores: no bundle, only scores and identities."""

import math

from twofold.contract import Calibration, Contract
from twofold.data.scores import NO_IDENTITIES, Scores
from twofold.errors import IdentityOverlap, NotCalibrated
from twofold.metrics import verification
from twofold.metrics.intervals import agrees
from twofold.metrics.skilled import SKILLED, estimates_by_kind, of_kind
from twofold.results import Evaluation

__all__ = ["evaluate_scores"]


def evaluate_scores(
    scores: Scores,
    *,
    contract: Contract | None = None,
    far: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> Evaluation:
    """Verification numbers of any model's scores; with a contract those at its threshold too.

    Args:
        scores: of other identities than those of the contract's calibration. The very scores that
            it was made from are refused; a partial overlap of identities cannot be seen here.
        contract: from `calibrate_scores`; None: no threshold is judged.
        far: false-accept rate at which the true-accept rate is wanted; None: the contract's, else
            1e-2.

    Raises:
        NotCalibrated: the contract has no calibration.
        IdentityOverlap: the contract was made from these scores.
        NotEnoughData: no genuine or no impostor pair.
    """
    if contract is not None and contract.calibration is None:
        raise NotCalibrated(
            "the contract has no calibration: `twofold "
            "calibrate SCORES.csv --far 1e-2 -o ...` makes one"
        )
    known = None if contract is None else contract.calibration
    if far is None:
        far = 1e-2 if known is None else known.far
    threshold = None if known is None else known.threshold
    if known is not None and _made_from(known, scores):
        raise IdentityOverlap(
            "these are the scores that the threshold was found on, so error rates at it would "
            "look too good: evaluate on scores of other identities"
        )
    pairs, unit = scores.by_site, scores.unit if scores.sites is None else "site"
    settings = {"confidence": confidence, "unit": unit, "seed": seed}
    numbers = estimates_by_kind(pairs, far=far, threshold=threshold, **settings)
    notes = () if unit != "pair" else (f"{NO_IDENTITIES}: intervals resample pairs (too narrow)",)
    if any(name.startswith("skilled_") for name in numbers):
        notes = (SKILLED,)
    genuine = sum(int(block.same.sum()) for block in scores.pairs)
    total = sum(len(block.same) for block in scores.pairs)
    return Evaluation(
        estimates=tuple(numbers.values()),
        unit=unit,
        units=pairs.units,
        items=0,
        genuine_pairs=genuine,
        impostor_pairs=total - genuine,
        threshold=threshold,
        far=far,
        standing="estimate" if known is None else known.standing,
        holds=None if known is None else agrees(numbers["false_match_rate"], known.far),
        seed=seed,
        notes=notes,
    )


def _made_from(known: Calibration, scores: Scores) -> bool:
    """Whether rates and intervals at the threshold equal those of the calibration's own scores to the last digits."""
    if (
        scores.identities != known.identities
        or not known.false_match.value + known.false_non_match.value
    ):
        return False
    random = scores.by_site if scores.unit == "pair" else of_kind(scores.by_site, "random")
    found = verification.estimates_at(
        random, known.threshold, confidence=known.confidence, unit=scores.unit, seed=known.seed
    )
    recorded = (
        ("false_match_rate", known.false_match),
        ("false_non_match_rate", known.false_non_match),
    )
    return all(
        math.isclose(
            getattr(found[name], part), getattr(earlier, part), rel_tol=1e-9, abs_tol=1e-12
        )
        for name, earlier in recorded
        for part in ("value", "low", "high")
    )

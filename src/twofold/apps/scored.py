"""How well the scores of any model do: no bundle, only scores and identities."""

from twofold.contract import Contract
from twofold.data.scores import NO_IDENTITIES, Scores
from twofold.errors import NotCalibrated
from twofold.metrics import verification
from twofold.metrics.intervals import agrees
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
        scores: of other identities than those of the contract's calibration; nothing here can check that.
        contract: from `calibrate_scores`; None: no threshold is judged.
        far: false-accept rate at which the true-accept rate is wanted; None: the contract's, else 1e-2.

    Raises:
        NotCalibrated: the contract has no calibration.
        NotEnoughData: no genuine or no impostor pair.
    """
    if contract is not None and contract.calibration is None:
        raise NotCalibrated(
            "the contract has no calibration: `twofold calibrate SCORES.csv --far 1e-2 -o ...` makes one"
        )
    known = None if contract is None else contract.calibration
    if far is None:
        far = 1e-2 if known is None else known.far
    threshold = None if known is None else known.threshold
    numbers = verification.estimates(
        scores.pairs, far=far, threshold=threshold, confidence=confidence, unit=scores.unit, seed=seed
    )
    genuine = sum(int(block.same.sum()) for block in scores.pairs)
    total = sum(len(block.same) for block in scores.pairs)
    return Evaluation(
        estimates=tuple(numbers.values()),
        unit=scores.unit,
        units=scores.pairs.units,
        items=0,
        genuine_pairs=genuine,
        impostor_pairs=total - genuine,
        threshold=threshold,
        far=far,
        standing="estimate" if known is None else known.standing,
        holds=None if known is None else agrees(numbers["false_match_rate"], known.far),
        seed=seed,
        notes=() if scores.unit == "identity" else (f"{NO_IDENTITIES}: intervals resample pairs (too narrow)",),
    )

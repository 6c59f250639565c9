"""What a search node must know of a bundle: distance -> score -> probability -> decision, in numpy alone."""

from twofold.contract.calibration import (
    ANY,
    CROSSFITTED,
    Alternative,
    Calibration,
    GroupCalibration,
    Isotonic,
    Normalised,
    OfReferences,
    OpenSet,
    Rejection,
)
from twofold.contract.contract import ZERO, Contract, score_from_distance, scores_block

__all__ = [
    "ANY",
    "CROSSFITTED",
    "ZERO",
    "Alternative",
    "Calibration",
    "Contract",
    "GroupCalibration",
    "Isotonic",
    "Normalised",
    "OfReferences",
    "OpenSet",
    "Rejection",
    "score_from_distance",
    "scores_block",
]

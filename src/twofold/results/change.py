"""What is measured of maps of change, and the threshold that a bundle of change decides by."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from twofold.results.measurements import Estimate, Standing

__all__ = ["ChangeEvaluation", "ChangeThreshold", "SceneScores"]


@dataclass(frozen=True, kw_only=True)
class ChangeThreshold:
    """Where a map of probabilities is cut into a mask, and what that did on the validation scenes.

    Attributes:
        probability: pixels from here on are changed.
        f1: of the pooled pixels of the validation scenes, with this threshold.
        false_change_rate: share of unchanged pixels that are called changed, the mean over scenes.
        scenes: how many scenes that is of.
        standing: always "estimate": so few scenes certify nothing.
        certificate_scenes: how many scenes would be needed to certify twice that rate.
    """

    probability: float
    f1: float
    false_change_rate: float
    scenes: int
    standing: Standing = "estimate"
    certificate_scenes: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> "ChangeThreshold":
        """What `to_dict` told.

        Raises:
            TypeError, ValueError: it is not a threshold.
        """
        found = cls(**told)
        if not 0 < found.probability < 1 or found.standing != "estimate":
            raise ValueError(f"a threshold of {found.probability!r}, {found.standing!r}")
        return found


@dataclass(frozen=True, kw_only=True)
class SceneScores:
    """One scene: shares in [0, 1], NaN where nothing can be said (no changed pixel, say).

    Attributes:
        false_change_rate: share of unchanged pixels that are called changed.
        object_recall: share of changed regions of which at least half was found.
        changed: share of changed pixels. pixels: how many were judged.
    """

    scene: str
    f1: float
    iou: float
    precision: float
    recall: float
    kappa: float
    object_recall: float
    false_change_rate: float
    changed: float
    pixels: int


@dataclass(frozen=True, kw_only=True)
class ChangeEvaluation:
    """Masks against the truth: all pixels pooled, with intervals by scene, and each scene by itself.

    Attributes:
        estimates: f1, iou, precision, recall, kappa, object_recall and false_change_rate; their
            unit is the scene.
        threshold: what the masks were cut at.
        notes: what should be said with the numbers.
    """

    estimates: Mapping[str, Estimate]
    scenes: tuple[SceneScores, ...]
    threshold: ChangeThreshold
    notes: tuple[str, ...] = ()

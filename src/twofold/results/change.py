"""What is measured of maps of change, and the threshold that a bundle of change decides by."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from twofold.results.measurements import Estimate, Standing

__all__ = ["ChangeEvaluation", "ChangeThreshold", "RelativeThreshold", "SceneScores"]


@dataclass(frozen=True, kw_only=True)
class RelativeThreshold:
    """A threshold that follows the scene: its own quantile of logits, and so much more.

    Attributes:
        quantile: share of the scene's pixels that lies below its background.
        above: logits from the background to the threshold.
        lowest, highest: logits that a scene's threshold is held between.
    """

    quantile: float
    above: float
    lowest: float
    highest: float

    def __post_init__(self) -> None:
        numbers = (self.above, self.lowest, self.highest)
        if not (0 < self.quantile < 1 and all(map(math.isfinite, numbers))):
            raise ValueError(f"a threshold {self.above!r} above the quantile {self.quantile!r}")
        if self.lowest > self.highest:
            raise ValueError(f"a threshold between {self.lowest!r} and {self.highest!r}")


@dataclass(frozen=True, kw_only=True)
class ChangeThreshold:
    """Where a map of probabilities is cut into a mask, and what that did on the validation scenes.

    Attributes:
        probability: pixels from here on are changed, where one threshold is for all scenes.
        relative: in place of it, a threshold for each scene (`metrics.scene_threshold`); None:
            `probability` is for all.
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
    relative: RelativeThreshold | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @property
    def said(self) -> str:
        """The threshold in a few words."""
        if self.relative is None:
            return f"{self.probability:.3f}"
        return f"{self.relative.above:.2f} logits above the {self.relative.quantile:.0%} quantile of a scene"

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> "ChangeThreshold":
        """What `to_dict` told.

        Raises:
            TypeError, ValueError: it is not a threshold.
        """
        relative = told.get("relative")  # bundles of before have none
        known = None if relative is None else RelativeThreshold(**relative)
        found = cls(**{**told, "relative": known})
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
        threshold: probability that its mask was cut at.
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
    threshold: float


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

"""TrackBundle: a trained twin of tracking."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from twofold import build
from twofold.config import Recipe
from twofold.errors import NotCalibrated
from twofold.network_bundle import NetworkBundle
from twofold.nn.builder import built_from
from twofold.plurals import counted
from twofold.results.track import TrackConfidence
from twofold.twin import TrackTwin

__all__ = ["TrackBundle"]

PRETRAINED = Path(__file__).parent / "pretrained" / "track"
"""Where the bundle lies that comes with twofold."""


@dataclass(frozen=True, kw_only=True, repr=False)
class TrackBundle(NetworkBundle[TrackTwin]):
    """A trained twin of tracking with all that is known of it.

    Attributes:
        confidence: what a score is worth, found on synthetic films of pictures that did not train;
            None: nobody has looked.
        provenance: keyed hashes of the pictures that trained it and of those kept aside.
    """

    confidence: TrackConfidence | None = None

    kind: ClassVar[str] = "track"

    @classmethod
    def pretrained(cls) -> "TrackBundle":
        """The bundle that comes with twofold, trained on synthetic motion (docs/track-training.md)."""
        return cls.load(PRETRAINED)

    def facts(self) -> dict[str, str]:
        """What a person wants to know of it first, in a few words each."""
        described = built_from(self.twin.network) or {"name": type(self.twin.network).__name__}
        return {
            "network": f"{described['name']}, follows one object through windows of "
            f"{self.twin.search_side} x {self.twin.search_side} pixels",
            "confidence": "calibrated on synthetic absences (estimate)"
            if self.confidence is not None
            else "none: not calibrated",
            "trained": f"{counted(self.training.get('epochs', 0), 'epoch')} in "
            f"{self.training.get('seconds', 0):,.0f} s on "
            f"{counted(self.provenance.counts.get('train', 0), 'picture')}",
            "fingerprint": self.fingerprint[:12],
        }

    def deciding(self) -> TrackConfidence:
        """What a score is worth.

        Raises:
            NotCalibrated: nobody has looked.
        """
        if self.confidence is None:
            raise NotCalibrated(
                "this bundle does not know what its scores are worth: train it with `twofold train "
                "track`, which calibrates them on synthetic absences"
            )
        return self.confidence

    @classmethod
    def _built(cls, recipe: Recipe) -> TrackTwin:
        return build.track_twin(recipe)

    def _promised(self) -> dict[str, Any]:
        return {"confidence": None if self.confidence is None else self.confidence.to_dict()}

    @classmethod
    def _promise_in(cls, description: Mapping[str, Any]) -> dict[str, Any]:
        confidence = description["confidence"]
        return {"confidence": None if confidence is None else TrackConfidence.from_dict(confidence)}

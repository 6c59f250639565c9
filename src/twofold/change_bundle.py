"""ChangeBundle: a trained twin of change."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from twofold import build
from twofold.config import Recipe
from twofold.errors import NotCalibrated
from twofold.network_bundle import NetworkBundle
from twofold.nn.builder import built_from
from twofold.plurals import counted
from twofold.results.change import ChangeThreshold
from twofold.twin import ChangeTwin

__all__ = ["ChangeBundle"]


@dataclass(frozen=True, kw_only=True, repr=False)
class ChangeBundle(NetworkBundle[ChangeTwin]):
    """A trained twin of change with all that is known of it.

    Attributes:
        threshold: where probabilities are cut, found on validation scenes; None: there were none.
        provenance: keyed hashes of the places and pictures that trained it, chose its threshold,
            and were kept aside.
    """

    threshold: ChangeThreshold | None = None

    kind: ClassVar[str] = "change"

    def facts(self) -> dict[str, str]:
        """What a person wants to know of it first, in a few words each."""
        described = built_from(self.twin.network) or {"name": type(self.twin.network).__name__}
        told = {
            "network": f"{described['name']}, change between two pictures of "
            f"{counted(self.twin.input.bands, 'band')}",
            "threshold": "none: there were no validation scenes",
            "trained": f"{counted(self.training.get('epochs', 0), 'epoch')} in "
            f"{self.training.get('seconds', 0):,.0f} s on "
            f"{counted(self.provenance.counts.get('train', 0), 'place')}",
            "fingerprint": self.fingerprint[:12],
        }
        if (known := self.threshold) is not None:
            told["threshold"] = (
                f"{known.said}, false change on {known.false_change_rate:.2%} of "
                f"unchanged pixels ({known.standing}, {counted(known.scenes, 'scene')}; a "
                f"certificate of twice that takes {known.certificate_scenes:,})"
            )
        return told

    def deciding(self) -> ChangeThreshold:
        """The threshold.

        Raises:
            NotCalibrated: there is none.
        """
        if self.threshold is None:
            raise NotCalibrated(
                "this bundle has no threshold: train with validation scenes (split.valid above "
                "0), or choose one with --threshold"
            )
        return self.threshold

    @classmethod
    def _built(cls, recipe: Recipe) -> ChangeTwin:
        return build.change_twin(recipe)

    def _promised(self) -> dict[str, Any]:
        return {"threshold": None if self.threshold is None else self.threshold.to_dict()}

    @classmethod
    def _promise_in(cls, description: Mapping[str, Any]) -> dict[str, Any]:
        threshold = description["threshold"]
        return {"threshold": None if threshold is None else ChangeThreshold.from_dict(threshold)}

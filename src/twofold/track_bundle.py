"""TrackBundle: a trained twin of tracking in a folder of safetensors + JSON + hashes (law 9)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import safetensors.numpy
import safetensors.torch

from twofold import build
from twofold.bundle_files import (
    DESCRIPTION,
    LONGEST_REASON,
    UNFIT,
    WEIGHTS,
    check_kind,
    fingerprint_of,
    manifest_of,
    records_in,
    weights_of,
    write_kind,
)
from twofold.config import Piece, Recipe
from twofold.errors import DamagedBundle, NotCalibrated
from twofold.nn.builder import built_from
from twofold.plurals import counted
from twofold.provenance import Provenance
from twofold.results.track import TrackConfidence
from twofold.strict_json import plain_object
from twofold.twin import TrackTwin

__all__ = ["TrackBundle"]

PRETRAINED = Path(__file__).parent / "pretrained" / "track"
"""Where the bundle lies that comes with twofold."""


@dataclass(frozen=True, kw_only=True, repr=False)
class TrackBundle:
    """A trained twin of tracking with all that is known of it.

    Attributes:
        confidence: what a score is worth, found on synthetic films of pictures that did not train;
            None: nobody has looked.
        provenance: keyed hashes of the pictures that trained it and of those kept aside.
        training: how it was trained: seed, steps, seconds, versions, history.
    """

    twin: TrackTwin
    recipe: Recipe
    confidence: TrackConfidence | None = None
    provenance: Provenance = field(default_factory=Provenance)
    training: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """One line: what it is, what it promises, what it was trained on."""
        return f"TrackBundle({'; '.join(self.facts().values())})"

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

    @cached_property
    def fingerprint(self) -> str:
        """64 hexadecimal digits that change with the weights or the preprocessing."""
        weights = hashlib.sha256(weights_of(self.twin)).hexdigest()
        return fingerprint_of(weights, self._described(), self.recipe, self.twin.input.version)

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

    def _described(self) -> dict[str, Any]:
        return {
            "input": {"name": self.twin.input.name, **self.twin.input.arguments()},
            "network": built_from(self.twin.network),
        }

    def save(self, path: str | Path) -> Path:
        """Write the bundle as a folder, whole or not at all; only its owner may read it.

        Raises:
            CannotWrite: something else stands at `path`, or the disk does not take it.
        """
        description = {
            "kind": "track",
            "twin": self._described(),
            "recipe": self.recipe.model_dump(mode="json"),
            "confidence": None if self.confidence is None else self.confidence.to_dict(),
            "training": dict(self.training),
        }
        return write_kind(
            path,
            self.twin,
            description,
            provenance=self.provenance,
            fingerprint=self.fingerprint,
        )

    @classmethod
    def load(cls, path: str | Path) -> "TrackBundle":
        """The bundle of tracking in a folder.

        Raises:
            BundleError: no bundle there. WrongKind: a bundle of another kind. DamagedBundle: a byte
                has changed. NewerFormat: a later version wrote it.
        """
        folder = Path(path)
        manifest = manifest_of(folder)
        try:
            return cls._read(folder, manifest)
        except UNFIT as error:
            raise DamagedBundle(
                f"{folder} does not describe a bundle that this twofold can rebuild "
                f"({type(error).__name__}: {' '.join(str(error).split())[:LONGEST_REASON]}): "
                f"restore it from a copy"
            ) from error

    @classmethod
    def pretrained(cls) -> "TrackBundle":
        """The bundle that comes with twofold, trained on synthetic motion (docs/track-training.md)."""
        return cls.load(PRETRAINED)

    @classmethod
    def _read(cls, folder: Path, manifest: dict[str, Any]) -> "TrackBundle":
        description = plain_object((folder / DESCRIPTION).read_bytes())
        check_kind(folder, description, "track")
        recipe = Recipe.model_validate(description["recipe"])
        described = description["twin"]
        pieces = {"input": Piece(**described["input"]), "encoder": Piece(**described["network"])}
        twin = build.track_twin(recipe.model_copy(update=pieces))
        twin.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
        confidence = description["confidence"]
        found = cls(
            twin=twin.eval(),
            recipe=recipe,
            confidence=None if confidence is None else TrackConfidence.from_dict(confidence),
            provenance=records_in(folder, description),
            training=description["training"],
        )
        # an older decoder may have been the current one then
        weights, versions = manifest["files"][WEIGHTS], range(1, twin.input.version + 1)
        if manifest["fingerprint"] not in {
            fingerprint_of(weights, described, recipe, version) for version in versions
        }:
            raise DamagedBundle(
                f"{folder} is put together from different bundles: restore it from a copy"
            )
        return found

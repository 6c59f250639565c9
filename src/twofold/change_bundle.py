"""ChangeBundle: a trained twin of change in a folder of safetensors + JSON + hashes (law 9)."""

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
from twofold.results.change import ChangeThreshold
from twofold.strict_json import plain_object
from twofold.twin import ChangeTwin

__all__ = ["ChangeBundle"]


@dataclass(frozen=True, kw_only=True, repr=False)
class ChangeBundle:
    """A trained twin of change with all that is known of it.

    Attributes:
        threshold: where probabilities are cut, found on validation scenes; None: there were none.
        provenance: keyed hashes of the places and pictures that trained it, chose its threshold,
            and were kept aside.
        training: how it was trained: seed, steps, seconds, versions, history.
    """

    twin: ChangeTwin
    recipe: Recipe
    threshold: ChangeThreshold | None = None
    provenance: Provenance = field(default_factory=Provenance)
    training: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """One line: what it is, what it promises, what it was trained on."""
        return f"ChangeBundle({'; '.join(self.facts().values())})"

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

    @cached_property
    def fingerprint(self) -> str:
        """64 hexadecimal digits that change with the weights or the preprocessing."""
        weights = hashlib.sha256(weights_of(self.twin)).hexdigest()
        return fingerprint_of(weights, self._described(), self.recipe, self.twin.input.version)

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
            "kind": "change",
            "twin": self._described(),
            "recipe": self.recipe.model_dump(mode="json"),
            "threshold": None if self.threshold is None else self.threshold.to_dict(),
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
    def load(cls, path: str | Path) -> "ChangeBundle":
        """The bundle of change in a folder.

        Raises:
            BundleError: no bundle there. WrongKind: a bundle of embeddings. DamagedBundle: a byte
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
    def _read(cls, folder: Path, manifest: dict[str, Any]) -> "ChangeBundle":
        description = plain_object((folder / DESCRIPTION).read_bytes())
        check_kind(folder, description, "change")
        recipe = Recipe.model_validate(description["recipe"])
        described = description["twin"]
        pieces = {"input": Piece(**described["input"]), "encoder": Piece(**described["network"])}
        twin = build.change_twin(recipe.model_copy(update=pieces))
        twin.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
        threshold = description["threshold"]
        found = cls(
            twin=twin.eval(),
            recipe=recipe,
            threshold=None if threshold is None else ChangeThreshold.from_dict(threshold),
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

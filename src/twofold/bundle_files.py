"""The files of a bundle: what describes a twin, what rebuilds it, and whether they are what was written (law 9)."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.numpy
import safetensors.torch
from safetensors import SafetensorError
from torch import nn

from twofold import __version__, build, inputs
from twofold.comparison import named
from twofold.config import Piece, Recipe
from twofold.errors import BundleError, DamagedBundle, NewerFormat, UsageError, WrongKind
from twofold.files import new_folder, sha256_file
from twofold.inputs import Input, vocabulary
from twofold.metrics.crossfit import CrossFit
from twofold.nn.builder import built_from
from twofold.places import file_at
from twofold.provenance import Provenance
from twofold.strict_json import plain_object
from twofold.twin import Twin

__all__ = [
    "COHORT",
    "CROSSFIT",
    "DESCRIPTION",
    "FORMAT",
    "LONGEST_REASON",
    "MANIFEST",
    "OUT_OF_THE_BOX",
    "RECORDS",
    "UNFIT",
    "WEIGHTS",
    "WITH_NAMES",
    "admit_vocabulary",
    "as_json",
    "check_kind",
    "check_parts",
    "crossfit_in",
    "description_of",
    "fingerprint_of",
    "kind_of",
    "manifest_of",
    "rebuilt",
    "records_in",
    "weights_of",
    "write_manifest",
]

UNFIT = (
    AttributeError,
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    RuntimeError,
    ArithmeticError,
    SafetensorError,
)
"""What rebuilding a twin from odd names, types and shapes can raise."""

LONGEST_REASON = 300
"""Characters of what went wrong: torch lists every tensor that does not fit."""

WITH_NAMES = ("look_alikes", "named")
"""What a training tells with names of identities: shown once, and kept in no bundle."""

FORMAT = 3
"""Since 3 a bundle says its kind; older ones are embeddings."""

USED_BY = {
    "embedding": ("compares embeddings", "`twofold verify` and `twofold search` use it"),
    "change": (
        "maps what changed between two pictures of a place",
        "`twofold change` and `twofold evaluate` use it",
    ),
    "track": ("follows an object through a film", "`twofold track` and `twofold evaluate` use it"),
}
"""What each kind of bundle does, and what it is used with."""

MADE_BY = {"embedding": "generic", "change": "change", "track": "track"}
"""A recipe that makes a bundle of each kind."""

MANIFEST, DESCRIPTION, WEIGHTS = "manifest.json", "bundle.json", "weights.safetensors"
COHORT, RECORDS, CROSSFIT = "cohort.safetensors", "provenance.safetensors", "crossfit.safetensors"
VOCABULARY = "vocabulary.json"

FOREIGN = (
    "this bundle was trained with an encoder of somebody's own ({name}), and a bundle never names "
    "code to run: name "
    "the code that makes it, --encoder MODULE:FUNCTION --trust-code (in Python: the argument "
    "`encoder` of Bundle.load)"
)

FOREIGN_INPUT = (
    "this bundle was trained with an input type of somebody's own ({name}), and a bundle never "
    "names code to run: give it to Bundle.load as the argument `input`"
)

OUT_OF_THE_BOX = {
    Path("pretrained"): "efficientnet_lite0",
    Path("minilm"): "minilm",
    Path("face"): "face",
    Path("speaker"): "speaker",
    Path("speech"): "speech",
}
"""Words that stand for a path to a bundle where nobody has trained one, and the network that each means."""


def records_in(folder: Path, description: dict[str, Any]) -> Provenance:
    """What the bundle knows of its data; bundles of format 1 held names and contents in plain text."""
    if (folder / RECORDS).is_file():
        return Provenance.from_arrays(safetensors.numpy.load_file(folder / RECORDS))
    return Provenance.of_format_1(description["parts"], description["trained"])


def kind_of(folder: str | Path) -> str:
    """What kind of twin a folder holds: "embedding", "change" or "track"; "embedding" where there is no bundle.

    Raises:
        DamagedBundle: the description cannot be read.
    """
    path = Path(folder) / DESCRIPTION
    if not path.is_file():
        return "embedding"
    try:
        return str(plain_object(path.read_bytes()).get("kind", "embedding"))
    except (OSError, ValueError) as error:
        raise DamagedBundle(
            f"{path} is damaged ({error}): restore the bundle from a copy"
        ) from None


def check_kind(folder: Path, description: Mapping[str, Any], wanted: str) -> None:
    """Refuse a bundle of another kind than what it was opened for.

    Raises:
        WrongKind: it is of another kind.
    """
    kind = str(description.get("kind", "embedding"))
    if kind == wanted:
        return
    if kind not in USED_BY:
        raise NewerFormat(f"{folder} is a bundle of kind {kind!r}: upgrade twofold")
    does, use = USED_BY[kind]
    raise WrongKind(
        f"{folder} is a bundle of kind {kind}, which {does}, and not of kind {wanted}: {use} (to make "
        f"one of kind {wanted}: twofold train {MADE_BY[wanted]})"
    )


def description_of(twin: Twin) -> dict[str, Any]:
    """What rebuilds a twin: names and flat arguments; of a foreign encoder only the structure's hash."""
    encoder = built_from(twin.encoder)
    return {
        "input": {"name": twin.input.name, **twin.input.arguments()},
        "encoder": encoder or {"structure": _structure(twin.encoder)},
        "comparison": {"name": twin.comparison.name, **twin.comparison.arguments()},
    }


def admit_vocabulary(folder: Path, described: Mapping[str, Any]) -> None:
    """Make the vocabulary that the bundle keeps known, so that its input can be rebuilt from the hash.

    Raises:
        DamagedBundle: the description is of another vocabulary, or of none.
    """
    path = folder / VOCABULARY
    if described.get("vocabulary") != (
        vocabulary.admit(path.read_bytes()) if path.is_file() else None
    ):
        raise DamagedBundle(
            f"{path} is not the vocabulary of this bundle: restore the bundle from a copy"
        )


def rebuilt(
    described: dict[str, Any],
    recipe: Recipe,
    encoder: nn.Module | None,
    given: Input | None = None,
) -> Twin:
    """The twin of a description, without its weights.

    Args:
        encoder, given: the encoder and the input type, where they are the user's own.

    Raises:
        UsageError: one of them is needed, or is not that of the bundle.
    """
    _check_input(described["input"], given)
    kind = getattr(inputs, str(described["input"]["name"]), None)
    older = getattr(kind, "left_out", {})  # fields that came later
    pieces = {
        "input": Piece(**older | described["input"]),
        "comparison": Piece(**described["comparison"]),
    }
    if "name" in described["encoder"]:
        with build.own_encoder(None):
            return build.twin(
                recipe.model_copy(update={**pieces, "encoder": Piece(**described["encoder"])}),
                given=given,
            )
    encoder = build.given_encoder() if encoder is None else encoder
    if encoder is None:
        raise UsageError(FOREIGN.format(name=recipe.encoder.name))
    if _structure(encoder) != described["encoder"]["structure"]:
        raise UsageError(
            "the given encoder's weights differ in name or shape from those of the bundle"
        )
    like = build.input(recipe.model_copy(update=pieces)) if given is None else given
    twin = Twin(like, encoder)
    twin.comparison = named(dim=twin.dim, **described["comparison"])
    return twin


def _check_input(described: dict[str, Any], given: Input | None) -> None:
    """Refuse an input of the user's own that is missing, or is not the one of the bundle."""
    name = described["name"]
    if given is None:
        if name not in inputs.__all__:
            raise UsageError(FOREIGN_INPUT.format(name=name))
        return
    told = json.loads(as_json({"name": given.name, **given.arguments()}))
    if told != getattr(given, "left_out", {}) | described:
        raise UsageError(
            f"the given input is {_said(told)}, and the bundle was trained with {_said(described)}"
        )


def _said(described: Mapping[str, Any]) -> str:
    rest = ", ".join(f"{key}={value!r}" for key, value in described.items() if key != "name")
    return f"{described['name']}({rest})"


def _structure(module: nn.Module) -> str:
    shapes = [
        f"{name} {tuple(tensor.shape)} {tensor.dtype}"
        for name, tensor in module.state_dict().items()
    ]
    return hashlib.sha256("\n".join(shapes).encode()).hexdigest()


def weights_of(twin: nn.Module) -> bytes:
    """The weights of a twin, as safetensors."""
    return safetensors.torch.save(
        {name: tensor.cpu().contiguous() for name, tensor in twin.state_dict().items()}
    )


def write_kind(
    path: str | Path,
    twin: nn.Module,
    description: Mapping[str, Any],
    *,
    provenance: Provenance,
    fingerprint: str,
) -> Path:
    """A bundle without calibration files (change, track) as a folder, whole or not at all; only its owner may read it.

    Raises:
        CannotWrite: something else stands at `path`, or the disk does not take it.
    """
    with new_folder(path, marker=MANIFEST, private=True) as folder:
        (folder / WEIGHTS).write_bytes(weights_of(twin))
        (folder / DESCRIPTION).write_text(as_json(description), encoding="utf-8")
        (folder / RECORDS).write_bytes(safetensors.numpy.save(provenance.arrays()))
        write_manifest(folder, fingerprint)
    return Path(path)


def write_manifest(folder: Path, fingerprint: str) -> None:
    """Write down what the files of a bundle are, when all of them are there."""
    files = {path.name: sha256_file(path) for path in sorted(folder.iterdir())}
    manifest = {
        "format": FORMAT,
        "twofold": __version__,
        "fingerprint": fingerprint,
        "files": files,
    }
    (folder / MANIFEST).write_text(as_json(manifest), encoding="utf-8")


def fingerprint_of(weights: str, twin: Mapping[str, Any], recipe: Recipe, decoder: int) -> str:
    """The fingerprint of a bundle, from the SHA-256 of its weights and the description of its twin."""
    described: dict[str, Any] = {"twin": twin, "copies": recipe.copies}
    described["decoder"] = f"{twin['input']['name']} {decoder}"
    if recipe.copies > 1:
        described |= {"augment": recipe.augment, "strength": recipe.copies_strength}
    return hashlib.sha256(f"{weights} {as_json(described)}".encode()).hexdigest()


def check_parts(
    folder: Path,
    manifest: Mapping[str, Any],
    description: Mapping[str, Any],
    recipe: Recipe,
    *,
    decoder: int,
) -> None:
    """Refuse weights, description and threshold that fit their hashes but come from different bundles.

    The fingerprint is computed from the files as they are, not from the rebuilt twin: code that has
    learned a new argument since may describe the same twin in other words. An older decoder may
    have been the current one then.

    Raises:
        DamagedBundle: the weights and the description do not give the fingerprint that was written
            beside them.
    """
    written = {
        "the manifest": manifest["fingerprint"],
        "the threshold": description["contract"]["fingerprint"],
    }
    weights = manifest["files"][WEIGHTS]
    known = {
        fingerprint_of(weights, description["twin"], recipe, version)
        for version in range(1, decoder + 1)
    }
    for name, fingerprint in written.items():
        if fingerprint not in known:
            raise DamagedBundle(
                f"{folder} is put together from different bundles: its weights and description "
                f"have the fingerprint "
                f"{max(known)[:12]}, and {name} is for {str(fingerprint)[:12]}: restore the "
                f"bundle from a copy"
            )


def manifest_of(folder: Path) -> dict[str, Any]:
    """The manifest of a bundle, whose files are as they were written.

    Raises:
        BundleError: no bundle is there. NewerFormat: a later version wrote it. DamagedBundle: a
            byte has changed.
    """
    if not file_at(folder / MANIFEST):
        raise BundleError(
            f"{folder} is not a bundle: it holds no {MANIFEST}; `twofold train` makes one, and "
            f"the words "
            f"{', '.join(map(str, OUT_OF_THE_BOX))} stand for ready ones (vectors:384 for "
            f"vectors, compared as they are)"
        )
    try:
        manifest = plain_object((folder / MANIFEST).read_bytes())
        number, files, fingerprint = (
            manifest["format"],
            dict(manifest["files"]),
            manifest["fingerprint"],
        )
        if type(number) is not int or type(fingerprint) is not str:
            raise TypeError(f"format {number!r}, fingerprint {fingerprint!r}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedBundle(
            f"{folder / MANIFEST} is damaged ({error}): restore the bundle from a copy"
        ) from None
    if number > FORMAT:
        raise NewerFormat(
            f"{folder} has format {number}, this twofold reads up to {FORMAT}: upgrade twofold"
        )
    beside = [
        name
        for name in (COHORT, RECORDS, CROSSFIT, VOCABULARY)
        if name in files or (folder / name).exists()
    ]
    if number >= 2 and RECORDS not in beside:
        beside.append(RECORDS)
    for name in (DESCRIPTION, WEIGHTS, *beside):
        if not (folder / name).is_file():
            raise DamagedBundle(f"{folder / name} is missing: restore the bundle from a copy")
        if sha256_file(folder / name) != files.get(name):
            raise DamagedBundle(
                f"{folder / name} is not what was written (SHA-256): restore the bundle from a copy"
            )
    return manifest


def crossfit_in(path: Path) -> CrossFit | None:
    """The cross-fitted scores of a bundle that has some."""
    if not path.is_file():
        return None
    try:
        return CrossFit(**safetensors.numpy.load_file(path))
    except TypeError:
        raise DamagedBundle(
            f"{path} does not hold cross-fitted scores: restore the bundle from a copy"
        ) from None


def as_json(value: Any) -> str:
    """JSON of plain values, the same bytes for the same values."""
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False)

"""Twins of embedders that others have made: weights of packages, vectors, ONNX files, Hugging Face, timm."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from twofold import build, recipes, sound_recipes
from twofold.bundle_files import description_of
from twofold.config import Recipe
from twofold.errors import RecipeError, UnknownName, nearest
from twofold.inputs import Input
from twofold.inputs.image import Image
from twofold.nn.hugging_face_pictures import hugging_face_pictures, preprocessing_of
from twofold.nn.onnx_model import onnx_model
from twofold.nn.timm_pictures import preprocessing_of_timm, timm
from twofold.twin import Twin

__all__ = [
    "Embedder",
    "from_hugging_face",
    "from_onnx",
    "from_timm",
    "named",
    "of_vectors",
    "pretrained",
]

PLAIN = re.compile(r"vectors:(\d{1,6})(?::(\w+))?")
"""In place of a path: vectors of so many numbers, compared as they are by a distance."""

OF_HUGGING_FACE = "hf:"
"""Before a folder of Hugging Face, in place of a path."""

OF_TIMM = "timm:"
"""Before a folder that timm wrote, in place of a path; or before NAME:FILE, a model's name and its weights."""


PRETRAINED = {
    "efficientnet_lite0": recipes.photo,
    "face": recipes.pretrained_face,
    "minilm": recipes.minilm,
    "speaker": sound_recipes.pretrained_speaker,
    "speech": sound_recipes.pretrained_speech,
}
"""Networks with weights that a package carries, and the recipe that each is of."""


@dataclass(frozen=True, kw_only=True)
class Embedder:
    """A twin that nobody trained here, the recipe that describes it, and what its weights are called."""

    twin: Twin
    recipe: Recipe
    weights: str | None = None

    @property
    def training(self) -> dict[str, Any]:
        """What a bundle tells of its training."""
        return {} if self.weights is None else {"weights": self.weights}


def pretrained(name: str) -> Embedder:
    """One of `PRETRAINED`, as it is.

    Raises:
        UnknownName: no such network. MissingExtra: its weights are not installed.
    """
    if name not in PRETRAINED:
        raise UnknownName(f"no pretrained network is called {name!r}: {nearest(name, PRETRAINED)}")
    recipe = PRETRAINED[name]()
    with build.own_encoder(None):
        twin = build.twin(recipe).eval()
    return Embedder(twin=twin, recipe=recipe, weights=recipe.encoder.arguments["weights"])


def named(word: str) -> Embedder | None:
    """What `vectors:384`, `vectors:384:euclidean`, `hf:FOLDER`, `timm:FOLDER` or `timm:NAME:FILE` stands for.

    None for any other word.
    """
    if (plain := PLAIN.fullmatch(word)) is not None:
        return of_vectors(int(plain[1]), plain[2] or "cosine")
    if word.startswith(OF_HUGGING_FACE):
        return from_hugging_face(word.removeprefix(OF_HUGGING_FACE))
    if word.startswith(OF_TIMM):
        return from_timm(word.removeprefix(OF_TIMM))
    return None


def of_vectors(size: int, distance: str) -> Embedder:
    """Vectors that are compared as they are."""
    recipe = recipes.as_they_are(size, distance)
    with build.own_encoder(None):
        return Embedder(twin=build.twin(recipe).eval(), recipe=recipe)


def from_onnx(path: str | Path, *, input: Input, distance: str, **asked: Any) -> Embedder:
    """The model in an ONNX file; see `Bundle.from_onnx`."""
    taken = {name: fact for name, fact in input.facts().items() if name in ("size", "channels")}
    encoder = onnx_model(weights=str(path), **taken, **asked)
    return _described(input, encoder, distance, Path(path).name)


def from_hugging_face(folder: str | Path, *, input: Input | None = None) -> Embedder:
    """The picture model in a folder; see `Bundle.from_hugging_face`."""
    encoder = hugging_face_pictures(weights=str(folder))
    reader = input or Image(**preprocessing_of(Path(folder)))
    return _described(reader, encoder, "cosine", Path(folder).name)


def from_timm(place: str | Path, *, input: Input | None = None) -> Embedder:
    """The picture model in a folder, or of a name with weights in a file; see `Bundle.from_timm`."""
    architecture, weights = name_and_weights(place)
    encoder = timm(architecture=architecture, weights=weights)
    reader = input or Image(**preprocessing_of_timm(architecture, weights))
    return _described(reader, encoder, "cosine", Path(weights).name)


def name_and_weights(place: str | Path) -> tuple[str, str]:
    """A model's name, which may be empty, and where its weights are, of `FOLDER` or `NAME:FILE`.

    Raises:
        RecipeError: a name alone.
    """
    name, sign, weights = str(place).partition(":")
    if Path(place).exists() or not MODEL_NAME.fullmatch(name):
        return "", str(place)
    if not sign:
        raise RecipeError(
            f"timm:{place}: nothing is downloaded, so give the weights too: timm:{place}:"
            f"model.safetensors, or timm:FOLDER with config.json and model.safetensors"
        )
    return name, weights


MODEL_NAME = re.compile(r"[a-z0-9_]{3,}(\.[a-z0-9_]+)?")
"""How timm calls models, resnet18 or resnet18.a1_in1k; a letter of a drive is shorter."""


def _described(input: Input, encoder: nn.Module, distance: str, weights: str) -> Embedder:
    twin = Twin(input, encoder, distance).eval()
    recipe = Recipe.model_validate(description_of(twin))
    return Embedder(twin=twin, recipe=recipe, weights=weights)

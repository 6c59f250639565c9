"""A picture model of timm, its weights from a safetensors file or a folder: nothing is downloaded."""

import importlib
import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from twofold.errors import MissingExtra, RecipeError, UsageError
from twofold.nn.builder import builder

__all__ = ["preprocessing_of_timm", "timm"]

CLASSIFIERS = ("head", "head_dist", "fc", "classifier", "last_linear")
"""What timm's models call the layer that is left away here, beside the name that their configuration gives."""


class TimmPictures(nn.Module):
    """Pictures -> embeddings: the model's pooled features, and a projection if asked.

    Attributes:
        dim: length of an embedding.
        learned: arguments of the builder that were found in the folder, and that rebuild the model
            without it.
    """

    on_features = False

    def __init__(
        self, model: nn.Module, *, config: str, width: int, dim: int | None, unit_norm: bool
    ) -> None:
        super().__init__()
        self.model, self.dim, self.unit_norm = model, dim or width, unit_norm
        self.project = nn.Identity() if self.dim == width else nn.Linear(width, self.dim)
        self.learned = {"config": config, "dim": self.dim}

    def forward(self, batch: object) -> Float[Tensor, "items dim"]:
        """Embeds pictures; float32 also under autocast, of length 1 where `unit_norm` is set.

        Raises:
            UsageError: not a batch of pictures, or of another size than the model takes.
        """
        features = batch if self.on_features else self.features(batch)
        embedding = self.project(features).float()
        return F.normalize(embedding, dim=-1) if self.unit_norm else embedding

    def features(self, batch: object) -> Float[Tensor, "items width"]:
        """The pooled features of each picture."""
        if not isinstance(batch, Tensor) or batch.ndim != 4:
            raise UsageError(
                f"this encoder takes pictures, and was given a {type(batch).__name__} of another "
                f"shape"
            )
        try:
            return self.model(batch).float()
        except (AssertionError, RuntimeError) as error:  # what timm and torch say of another size
            said = " ".join(str(error).split())
            raise UsageError(f"pictures of {tuple(batch.shape[1:])}: {said}") from None


@builder
def timm(
    *,
    architecture: str = "",
    weights: str | None = None,
    config: str = "",
    dim: int | None = None,
    unit_norm: bool = True,
) -> TimmPictures:
    """Any picture model of timm without its classifier (extra `timm`).

    Args:
        architecture: timm's name of the model, resnet18 say; a folder says it in its config.json.
        weights: a safetensors file, or a folder with config.json and one. None: weights drawn by
            chance. The input needs the model's own size, mean and std: `twofold import timm:FOLDER`
            takes them from config.json.
        config: the model as JSON, where a bundle rebuilds it.
        dim: length of an embedding; another number than the model's own adds a projection.
        unit_norm: whether embeddings have length 1.

    Raises:
        RecipeError: no such model, file or folder, weights other than safetensors, or those of
            another model.
        MissingExtra: without the extra `timm`.
    """
    told = json.loads(config) if config else _description(architecture, weights)
    model = _model(told)
    if weights:
        _load(model, _file(Path(weights)), told)
    said = json.dumps({name: told[name] for name in ("architecture", "model_args")}, sort_keys=True)
    return TimmPictures(
        model.float(), config=said, width=_width(model), dim=dim, unit_norm=unit_norm
    )


def preprocessing_of_timm(architecture: str, weights: str | None) -> dict[str, Any]:
    """The size, channels, mean and std that a model wants, as fields of the input type Image.

    Raises:
        RecipeError: neither config.json nor timm says them. As `timm` else.
    """
    told = _description(architecture, weights)
    wanted = _wanted(_model(told)) | dict(told.get("pretrained_cfg") or {})
    try:
        channels, height, width = wanted["input_size"]
        colours = {"mean": list(wanted["mean"]), "std": list(wanted["std"])}
    except (KeyError, TypeError, ValueError):
        raise RecipeError(
            f"timm does not say how pictures for {told['architecture']} are prepared (input_size, "
            f"mean and std): give --size, --set mean=... and --set std=..."
        ) from None
    return {"size": [height, width], "channels": channels, **colours}


def _description(architecture: str, weights: str | None) -> dict[str, Any]:
    """The architecture and its arguments, from a folder's config.json or as they were given."""
    folder = None if weights is None else Path(weights)
    told: dict[str, Any] = {}
    if folder is not None and folder.is_dir():
        try:
            told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            if not architecture:
                raise RecipeError(
                    f"{folder} is not a model of timm: config.json cannot be read ({error}); give "
                    f"the architecture, or a folder that timm wrote"
                ) from None
    name = architecture or told.get("architecture")
    if not name:
        raise RecipeError(
            "timm needs encoder.architecture, or encoder.weights: a folder with config.json and "
            "*.safetensors"
        )
    if ":" in name or "/" in name:
        raise RecipeError(
            f"architecture = {name!r} names a place to download from, and nothing is downloaded: "
            f"give timm's own name, and the weights as a safetensors file"
        )
    arguments = dict(told.get("model_args") or {})
    return {
        "architecture": name,
        "model_args": arguments,
        "pretrained_cfg": told.get("pretrained_cfg"),
    }


def _model(told: dict[str, Any]) -> nn.Module:
    """The model without its classifier, with weights drawn by chance."""
    try:
        library = importlib.import_module("timm")
    except ImportError as error:
        raise MissingExtra(
            f"a model of timm needs the package timm, which cannot be imported ({error}): pip "
            f"install 'twofold[timm]'"
        ) from None
    arguments = told["model_args"] | {"num_classes": 0, "pretrained": False}
    try:
        return library.create_model(told["architecture"], **arguments)
    except (RuntimeError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())
        raise RecipeError(
            f"timm does not make the model {told['architecture']!r}: {said}"
        ) from None


def _wanted(model: nn.Module) -> dict[str, Any]:
    """What timm says of a model's pictures and of its classifier."""
    return dict(getattr(model, "pretrained_cfg", None) or {})


def _file(weights: Path) -> Path:
    """The one safetensors file at a path."""
    if weights.is_file() and weights.suffix == ".safetensors":
        return weights
    found = sorted(weights.glob("*.safetensors")) if weights.is_dir() else []
    preferred = [file for file in found if file.name == "model.safetensors"]
    if not weights.exists():
        raise RecipeError(f"{weights} does not exist: give a safetensors file or its folder")
    if not found:
        raise RecipeError(
            f"{weights} holds no *.safetensors: other files of weights are not read (law 9)"
        )
    if len(found) > 1 and not preferred:
        raise RecipeError(f"{weights} holds {len(found)} safetensors files: name one of them")
    return (preferred or found)[0]


def _load(model: nn.Module, file: Path, told: dict[str, Any]) -> None:
    """Put a file's tensors into a model; those of the classifier are left away."""
    try:
        tensors = safetensors.torch.load_file(file)
    except (OSError, safetensors.SafetensorError) as error:
        raise RecipeError(f"{file} cannot be read as safetensors ({error})") from None
    named = (_wanted(model) | dict(told.get("pretrained_cfg") or {})).get("classifier") or ()
    left = {*CLASSIFIERS, *([named] if isinstance(named, str) else named)}
    wanted = model.state_dict()
    over = [
        name
        for name in tensors
        if name not in wanted and not any(name.startswith(f"{each}.") for each in left)
    ]
    missing = [name for name in wanted if name not in tensors]
    other = [
        name for name in wanted if name in tensors and tensors[name].shape != wanted[name].shape
    ]
    if wrong := missing or over or other:
        raise RecipeError(
            f"{file} holds weights of another model than {told['architecture']}: {len(missing)} "
            f"missing, {len(over)} unknown, {len(other)} of another shape, {wrong[0]!r} among them"
        )
    model.load_state_dict({name: tensors[name] for name in wanted})


def _width(model: nn.Module) -> int:
    """Numbers of the pooled features: of some models more than `num_features`, so a blank picture is sent through."""
    channels, height, width = _wanted(model).get("input_size") or (3, 224, 224)
    training = model.training
    model.eval()
    with torch.no_grad():
        features = model(torch.zeros(1, channels, height, width))
    model.train(training)
    if features.ndim != 2:
        raise RecipeError(
            f"this model of timm gives features of the shape {tuple(features.shape)}, and an "
            f"embedder (batch, dim): take one that pools"
        )
    return int(features.shape[1])

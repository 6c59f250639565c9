"""A picture model of Hugging Face from a folder: config.json + safetensors, read without a hub and without its code."""

import json
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from twofold.errors import RecipeError, UsageError, nearest
from twofold.nn.builder import builder
from twofold.nn.hugging_face import config_of, empty_model, loaded_model

__all__ = ["hugging_face_pictures", "preprocessing_of"]

STATES = ("first", "mean")
"""Which of a model's last states is the feature: the first (class token of ViT, DINOv2, CLIP), or their mean."""


class HuggingFacePictures(nn.Module):
    """Pictures -> embeddings: the model, its first state or their mean, and a projection if asked.

    Attributes:
        dim: length of an embedding.
        learned: arguments of the builder that were found in the folder, and that rebuild the model
            without it.
    """

    on_features = False

    def __init__(
        self, model: Any, *, config: str, width: int, dim: int | None, pool: str, unit_norm: bool
    ):
        super().__init__()
        self.model, self.dim, self.pool, self.unit_norm = model, dim or width, pool, unit_norm
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
        """The pooled states of each picture."""
        if not isinstance(batch, Tensor) or batch.ndim != 4:
            raise UsageError(
                f"this encoder takes pictures, and was given a {type(batch).__name__} of another "
                f"shape"
            )
        try:
            states = self.model(pixel_values=batch).last_hidden_state.float()
        except ValueError as error:  # what transformers says of another size
            raise UsageError(" ".join(str(error).split())) from None
        if states.ndim == 4:  # a map, as ResNet gives
            return states.mean(dim=(2, 3))
        return states[:, 0] if self.pool == "first" else states.mean(dim=1)


@builder
def hugging_face_pictures(
    *,
    weights: str | None = None,
    config: str = "",
    dim: int | None = None,
    pool: str = "first",
    unit_norm: bool = True,
) -> HuggingFacePictures:
    """Any picture model of Hugging Face with a state per patch, or a map (extra `hf`): ViT, DINOv2, CLIP, ResNet.

    Args:
        weights: a folder with config.json and *.safetensors. The input needs the model's own size,
            mean and std: `twofold import hf:FOLDER` takes them from preprocessor_config.json.
        config: the JSON of config.json, where a bundle rebuilds the model.
        dim: length of an embedding; another number than the model's own adds a projection.
        pool: "first" (the class token), or "mean" of all states; of a map always the mean.
        unit_norm: whether embeddings have length 1.

    Raises:
        RecipeError: no such folder, weights other than safetensors, a model that needs code of its
            own, or none of pictures.
        MissingExtra: without the extra `hf`.
    """
    if not weights and not config:
        raise RecipeError(
            "hugging_face_pictures needs encoder.weights: a folder with config.json and "
            "*.safetensors"
        )
    if pool not in STATES:
        raise RecipeError(f"pool = {pool!r} does not pool states: {nearest(pool, STATES)}")
    text = config_of(Path(weights)) if weights else config
    model = loaded_model(Path(weights)) if weights else empty_model(text)
    if getattr(model, "main_input_name", "") != "pixel_values":
        raise RecipeError(
            f"a {model.config.model_type} does not read pictures: for texts the encoder is "
            f"hugging_face"
        )
    if getattr(model, "pooler", None) is not None and any(True for _ in model.pooler.parameters()):
        model.pooler = None  # not used here, and in many folders without weights of its own
    width = _width(model)
    return HuggingFacePictures(
        model.float(), config=text, width=width, dim=dim, pool=pool, unit_norm=unit_norm
    )


def _width(model: Any) -> int:
    """Numbers of a state."""
    told = model.config
    widths = getattr(told, "hidden_sizes", None)
    width = getattr(told, "hidden_size", None) or (widths[-1] if widths else None)
    if width is None:
        raise RecipeError(f"a {told.model_type} does not say how long its states are")
    return int(width)


def preprocessing_of(folder: Path) -> dict[str, Any]:
    """The size, mean and std of a folder's pictures, as fields of the input type Image.

    Raises:
        RecipeError: the folder does not say them.
    """
    try:
        told = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        size = told.get("crop_size") or told["size"]
        if isinstance(size, dict):
            size = [size["height"], size["width"]] if "height" in size else size["shortest_edge"]
        found = {"size": size, "mean": told["image_mean"], "std": told["image_std"]}
    except (OSError, ValueError, KeyError, TypeError):
        raise RecipeError(
            f"{folder} does not say how its pictures are prepared (preprocessor_config.json with "
            f"size, image_mean and image_std): give --size, --set mean=... and --set std=..."
        ) from None
    if told.get("do_normalize") is False:
        found |= {"mean": 0.0, "std": 1.0}
    return found

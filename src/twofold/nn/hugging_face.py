"""A text model of Hugging Face from a folder: config.json + safetensors, read without a hub and without its code."""

import json
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from twofold.errors import MissingExtra, RecipeError, UsageError
from twofold.inputs.padded import Padded
from twofold.nn.builder import builder

__all__ = ["config_of", "empty_model", "hugging_face", "loaded_model"]


class HuggingFace(nn.Module):
    """Subwords of a text -> embedding: the model, the mean of its last states, and a projection if asked.

    Attributes:
        dim: length of an embedding.
        learned: arguments of the builder that were found in the folder, and that rebuild the model
            without it.
    """

    on_features = False

    def __init__(self, model: Any, *, config: str, dim: int | None, unit_norm: bool):
        super().__init__()
        width = int(model.config.hidden_size)
        self.model, self.dim, self.unit_norm = model, dim or width, unit_norm
        self.project = nn.Identity() if self.dim == width else nn.Linear(width, self.dim)
        self.learned = {"config": config, "dim": self.dim}

    def forward(self, batch: object) -> Float[Tensor, "items dim"]:
        """Embeds texts; float32 also under autocast, of length 1 where `unit_norm` is set.

        Raises:
            UsageError: the batch is not one of sequences.
        """
        features = batch if self.on_features else self.features(batch)
        embedding = self.project(features).float()
        return F.normalize(embedding, dim=-1) if self.unit_norm else embedding

    def features(self, batch: object) -> Float[Tensor, "items width"]:
        """The mean of the last states of each text."""
        if not isinstance(batch, Padded):
            raise UsageError(
                f"this encoder takes sequences (Padded), and was given a {type(batch).__name__}"
            )
        mask = batch.mask
        values = batch.values.masked_fill(~mask, 0)
        states = self.model(input_ids=values, attention_mask=mask.long()).last_hidden_state.float()
        return states.masked_fill(~mask[..., None], 0).sum(dim=1) / batch.lengths[:, None]


@builder(kinds=("symbols",))
def hugging_face(
    *,
    symbols: int | None = None,
    weights: str | None = None,
    config: str = "",
    dim: int | None = None,
    unit_norm: bool = True,
) -> HuggingFace:
    """Any text model of Hugging Face with a hidden state per subword (extra `hf`), pooled by the mean.

    Args:
        symbols: how many symbols the input has; the model must know as many.
        weights: a folder with config.json and *.safetensors. The input's vocabulary is its
            tokenizer.json.
        config: the JSON of config.json, where a bundle rebuilds the model; its weights are in the
            bundle.
        dim: length of an embedding; another number than the model's own adds a projection.
        unit_norm: whether embeddings have length 1.

    Raises:
        RecipeError: no such folder, a model that needs code of its own, or one that knows fewer
            symbols.
        MissingExtra: without the extra `hf`.
    """
    if not weights and not config:
        raise RecipeError(
            "hugging_face needs encoder.weights: a folder with config.json and *.safetensors"
        )
    text = config_of(Path(weights)) if weights else config
    model = _checked(loaded_model(Path(weights)) if weights else empty_model(text))
    known = getattr(model.config, "vocab_size", None)
    if symbols is not None and known is not None and symbols > known:
        raise RecipeError(
            f"the model knows {known} symbols, and the input has {symbols}: give the model's own "
            f"vocabulary, "
            "--set input.unit=subwords --set input.vocabulary=FOLDER/tokenizer.json"
        )
    return HuggingFace(model, config=text, dim=dim, unit_norm=unit_norm)


def config_of(folder: Path) -> str:
    """The JSON of the folder's model, without names that only its makers' code or machine needs."""
    try:
        told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"{folder} is not a model of Hugging Face: config.json cannot be read ({error})"
        ) from None
    if "auto_map" in told:
        raise RecipeError(
            f"{folder} needs code of its own (auto_map in config.json), which is never run: "
            f"convert it"
        )
    if not any(folder.glob("*.safetensors")):
        raise RecipeError(
            f"{folder} holds no *.safetensors: other files of weights are not read (law 9)"
        )
    return json.dumps(
        {name: value for name, value in told.items() if name != "_name_or_path"}, sort_keys=True
    )


def loaded_model(folder: Path) -> Any:
    """The model of a folder, from safetensors alone."""
    import torch

    options = {
        "local_files_only": True,
        "trust_remote_code": False,
        "use_safetensors": True,
        "dtype": torch.float32,
    }
    return _transformers().AutoModel.from_pretrained(folder, **options)


def empty_model(config: str) -> Any:
    """The model with weights drawn by chance: the bundle's own come next."""
    told = json.loads(config)
    transformers = _transformers()
    made = transformers.AutoConfig.for_model(told.pop("model_type"), **told)
    return transformers.AutoModel.from_config(made, trust_remote_code=False)


def _checked(model: Any) -> Any:
    if model.config.is_encoder_decoder or not hasattr(model.config, "hidden_size"):
        raise RecipeError(
            f"a {model.config.model_type} does not give one state per subword: take an encoder, "
            f"like BERT"
        )
    return model.float()


def _transformers() -> Any:
    try:
        import transformers  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise MissingExtra(
            "a model of Hugging Face needs the package transformers: pip install 'twofold[hf]'"
        ) from None
    return transformers

"""Encoders of voices: a time-delay network with attentive statistics, and the LSTM of GE2E with weights of others."""

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from twofold.errors import RecipeError, UsageError, nearest
from twofold.inputs.padded import Padded
from twofold.nn.builder import builder
from twofold.nn.sequence_pool import Found, Mask, SequencePool, States
from twofold.nn.sequences import SequenceEncoder
from twofold.nn.weight_files import tensors_of
from twofold.package_files import PackageFile

__all__ = ["ge2e", "tdnn"]

DILATIONS = (2, 3, 4)
"""Frames between the taps of each block of a time-delay network (Desplanques et al. 2020)."""

SQUEEZED = 4
"""By how much the gate of a block is narrower than the block."""

WEIGHTS = {
    "ge2e": PackageFile(
        package="Resemblyzer",
        file="resemblyzer/pretrained.pt",
        sha256="39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
        holds="the weights of the speaker network",
        remedy="pip install --no-deps resemblyzer",
    )
}

GE2E = {"channels": 40, "dim": 256, "width": 256, "layers": 3}
"""The network of those weights."""


class FrameNorm(nn.BatchNorm1d):
    """Batch normalisation over the frames that count, whatever the padding."""

    def forward(self, states: States, mask: Mask) -> States:  # pyright: ignore[reportIncompatibleMethodOverride]
        found = torch.zeros_like(states)
        found[mask] = super().forward(states[mask])
        return found


class DelayBlock(nn.Module):
    """A dilated convolution over time, gated by the item's mean (Hu et al. 2018) and added to what it got."""

    def __init__(self, width: int, dilation: int):
        super().__init__()
        self.convolve = nn.Conv1d(width, width, 3, dilation=dilation, padding=dilation)
        self.norm = FrameNorm(width)
        self.gate = nn.Sequential(
            nn.Linear(width, width // SQUEEZED),
            nn.ReLU(),
            nn.Linear(width // SQUEEZED, width),
            nn.Sigmoid(),
        )

    def forward(self, states: States, mask: Mask) -> States:
        found = self.norm(F.relu(self.convolve(states.mT).mT), mask)
        mean = found.sum(dim=1) / mask.sum(dim=1, keepdim=True)
        return states + found * self.gate(mean)[:, None]


class DelayLayers(nn.Module):
    """Blocks on each other; their results side by side."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = FrameNorm(width)
        self.layers = nn.ModuleList(DelayBlock(width, dilation) for dilation in DILATIONS)

    def forward(self, states: States, mask: Mask) -> Found:
        states = self.norm(F.relu(states), mask)
        found = []
        for layer in self.layers:
            states = layer(states, mask)
            found.append(states)
        return torch.cat(found, dim=2)


@builder(kinds=("series",))
def tdnn(
    *,
    channels: int,
    dim: int = 128,
    width: int = 128,
    pool: str = "statistics",
    dropout: float = 0.1,
    unit_norm: bool = True,
) -> SequenceEncoder:
    """A time-delay network with attentive statistics (x-vectors, Snyder et al. 2018; ECAPA, Desplanques et al. 2020).

    A small one: three blocks of dilated convolutions, whose results are pooled together.

    Args:
        channels: numbers at each place.
        dim: length of an embedding.
        width: channels of the blocks.
        pool: one of `sequence_pool.SEQUENCE_POOLS`.
        dropout: fraction of pooled features that is dropped in training.
        unit_norm: whether embeddings have length 1.
    """
    head = SequencePool(pool, width * len(DILATIONS), dim, dropout=dropout)
    first = nn.Linear(channels, width)
    return SequenceEncoder(first, DelayLayers(width), head, dim=dim, unit_norm=unit_norm)


class SpeakerLSTM(nn.Module):
    """The last state of an LSTM, projected, cut off below zero, of length 1 (Wan et al. 2018).

    A centred one takes away the mean of the training's vectors, and has length 1 again: strangers
    recorded like these then lie in all directions, not in one corner of the space.

    Attributes:
        dim: length of an embedding.
        on_features: `forward` is given what `features` returned.
    """

    on_features = False

    def __init__(self, channels: int, *, dim: int, width: int, layers: int, centred: bool):
        super().__init__()
        self.trunk = nn.LSTM(channels, width, layers, batch_first=True)
        self.head = nn.Linear(width, dim)
        self.centre = nn.Parameter(torch.zeros(dim)) if centred else None
        self.dim = dim

    def forward(self, batch: object) -> Float[Tensor, "items dim"]:
        """Embeds a `Padded` batch of series, each by its own length; in float32.

        Raises:
            UsageError: the batch is not one of series.
        """
        found = self._projected(batch)
        return found if self.centre is None else F.normalize(found - self.centre, dim=1)

    def _projected(self, batch: object) -> Float[Tensor, "items dim"]:
        features = batch if self.on_features else self.features(batch)
        assert isinstance(features, Tensor)
        with torch.autocast(features.device.type, enabled=False):
            return F.normalize(F.relu(self.head(features.float())), dim=1)

    def features(self, batch: object) -> Float[Tensor, "items width"]:
        """The last state of each series."""
        if not isinstance(batch, Padded):
            raise UsageError(
                f"this encoder takes series (Padded), and was given a {type(batch).__name__}"
            )
        with torch.autocast(batch.values.device.type, enabled=False):
            packed = nn.utils.rnn.pack_padded_sequence(
                batch.values.float(), batch.lengths.cpu(), batch_first=True, enforce_sorted=False
            )
            _, (last, _) = self.trunk(packed)
        return last[-1]

    def prepare(self, batches: Iterable[Any]) -> None:
        """Set the centre to the mean of some items' vectors; one that was learned already stays."""
        if self.centre is None or bool(self.centre.any()):
            return
        with torch.no_grad():
            vectors = [self._projected(_on(self.centre.device, batch)) for batch in batches]
            self.centre.copy_(torch.cat(vectors).mean(dim=0))


def _on(device: torch.device, batch: Any) -> Any:
    return batch.to(device)


@builder(kinds=("series",))
def ge2e(
    *,
    channels: int = 40,
    dim: int = 256,
    width: int = 256,
    layers: int = 3,
    weights: str | None = None,
    frozen: bool = False,
    centred: bool = False,
) -> SpeakerLSTM:
    """The speaker LSTM of GE2E (Wan et al. 2018), from scratch or with the weights of the package resemblyzer.

    Args:
        channels: numbers at each place; the weights are for the power of 40 mel bands at 16 kHz
            (`Bundle.pretrained("speaker")` has that input).
        dim: length of an embedding.
        width, layers: of the LSTM.
        weights: "ge2e" starts from weights that were trained on some thousand speakers (`pip install
            --no-deps resemblyzer`).
        frozen: neither the LSTM nor the projection learns: only the centre does.
        centred: the mean of the training's vectors is taken away.

    Raises:
        RecipeError: unknown weights, or weights for another shape.
        MissingExtra: weights are asked for and their package is not installed.
        DamagedBundle: the file of weights is not the known one.
    """
    encoder = SpeakerLSTM(channels, dim=dim, width=width, layers=layers, centred=centred)
    for part in (encoder.trunk, encoder.head):
        part.requires_grad_(not frozen)
    if weights is not None:
        _refuse_others(weights, channels=channels, dim=dim, width=width, layers=layers)
        _fill(encoder, tensors_of(WEIGHTS[weights], part="model_state"))
    return encoder


def _refuse_others(weights: str, **shape: int) -> None:
    if weights not in WEIGHTS:
        raise RecipeError(f"weights = {weights!r} are not known: {nearest(weights, WEIGHTS)}")
    for name, wanted in GE2E.items():
        if shape[name] != wanted:
            raise RecipeError(
                f"weights = {weights!r} are for {name} = {wanted}, not {shape[name]}: leave it out"
            )


def _fill(encoder: SpeakerLSTM, tensors: dict[str, Tensor]) -> None:
    """Put the tensors where they belong; those of the loss are left."""
    places = {"lstm": "trunk", "linear": "head"}
    found = {
        f"{places[name.partition('.')[0]]}.{name.partition('.')[2]}": tensor
        for name, tensor in tensors.items()
        if name.partition(".")[0] in places
    }
    encoder.load_state_dict(found, strict=encoder.centre is None)

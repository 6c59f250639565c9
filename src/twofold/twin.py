"""Twin: an input type, one encoder for both inputs, one comparison. ChangeTwin and TrackTwin: the same for maps."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped, UInt8
from torch import Tensor, nn

from twofold.comparison import Comparison, named
from twofold.errors import UsageError
from twofold.inputs import Image, Input, Raster
from twofold.inputs.raster_source import Statistics
from twofold.map_matching import OnMaps
from twofold.nn.dense import ChangeNetwork
from twofold.nn.folding import merge_norms
from twofold.nn.running import fuse_activations, pad_inside
from twofold.nn.tracking import TrackNetwork

__all__ = ["ChangeTwin", "TrackMaps", "TrackTwin", "Twin"]

LARGEST_VALUE = 5.0
"""Deviations from the mean at which a band is cut off: clouds and glints are a hundred of them away."""


class Twin(nn.Module):
    """Two inputs, one set of weights, two embeddings, one distance (Bromley et al. 1993).

    Args:
        input: how a raw thing becomes a tensor; its normalisation constants belong to the twin.
        encoder: any module that maps a normalised batch to float (batch, dim).
        comparison: the name of a distance, or a comparison (a learned head is an nn.Module and is
            trained along).

    Attributes:
        embedding_dim: length of an embedding.
    """

    def __init__(
        self, input: Input, encoder: nn.Module, comparison: str | Comparison = "cosine"
    ) -> None:
        super().__init__()
        self.input = input
        self.encoder = encoder
        self.embedding_dim = _dim(input, encoder)
        self.comparison = (
            named(comparison, dim=self.embedding_dim) if isinstance(comparison, str) else comparison
        )

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        parameter = next(self.encoder.parameters(), None)
        return torch.device("cpu") if parameter is None else parameter.device

    @property
    def dim(self) -> int:
        """Numbers of what is compared: of an embedding, and of its map behind it where maps are compared."""
        compared = self.comparison
        return compared.dim if isinstance(compared, OnMaps) else self.embedding_dim

    def embed(self, batch: Any) -> Float[Tensor, "batch dim"]:
        """What is compared of what `input.stack` returned, on the device of the weights."""
        ready = self.input.normalise(batch)
        if isinstance(self.comparison, OnMaps):
            encoder: Any = self.encoder
            return self.comparison.rows(*encoder.with_maps(ready))
        return self.encoder(ready)

    def forward(self, batch: Any) -> Float[Tensor, "batch dim"]:
        """`embed`; comparing is another step, since all pairs of a batch share its embeddings."""
        return self.embed(batch)


class ChangeTwin(nn.Module):
    """Two dates of one place, one set of weights, one number per pixel: how much has changed.

    Args:
        input: how a file becomes bands.
        network: one of `nn.dense`.

    Attributes:
        stride: sides of what is compared must be multiples of it.
        margin: pixels of context, on each side, that a probability needs to be right to a
            thousandth.
    """

    def __init__(self, input: Raster, network: nn.Module) -> None:
        super().__init__()
        if not isinstance(network, ChangeNetwork):
            raise UsageError(
                f"{type(network).__name__} does not compare two dates: take one of nn.dense, such "
                f"as change_unet"
            )
        if network.bands != input.bands:
            raise UsageError(
                f"the network reads {network.bands} bands, and the input has {input.bands}"
            )
        self.input = input
        self.network = network
        self.stride, self.margin = int(network.stride), int(network.margin)

    @property
    def encoder(self) -> nn.Module:
        """The network: what `freeze` and `layer_decay` of a recipe speak of."""
        return self.network

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        parameter = next(self.network.parameters(), None)
        return torch.device("cpu") if parameter is None else parameter.device

    def normalise(
        self,
        pixels: Shaped[np.ndarray, "bands height width"],
        statistics: Statistics,
        valid: Bool[np.ndarray, "height width"] | None = None,
    ) -> Float[np.ndarray, "bands height width"]:
        """Stored values in deviations from the mean of their own scene and date, band by band.

        Light, haze and season move a whole date; so each is measured by itself.

        Args:
            valid: which pixels hold a value; the others, and NaN, become 0, the mean.
        """
        mean = statistics.mean.astype(np.float32)[:, None, None]
        found = pixels.astype(np.float32) - mean
        found /= statistics.std.astype(np.float32)[:, None, None]
        found = np.nan_to_num(found, copy=False).clip(-LARGEST_VALUE, LARGEST_VALUE)
        return found if valid is None else np.where(valid, found, np.float32(0))

    def maps(self, batch: Float[Tensor, "batch bands height width"]) -> Sequence[Tensor]:
        """What the network makes of one date."""
        return self.network.maps(batch)  # type: ignore[operator]

    def logits(
        self,
        before: Float[Tensor, "batch bands height width"],
        after: Float[Tensor, "batch bands height width"],
    ) -> Float[Tensor, "batch height width"]:
        """How much has changed at each pixel of normalised dates; above 0 more likely than not.

        Both dates give the same bits in either order, as long as norms use what they have learned
        (`eval`).
        """
        return self(before, after)[0]

    def forward(
        self,
        before: Float[Tensor, "batch bands height width"],
        after: Float[Tensor, "batch bands height width"],
    ) -> Sequence[Float[Tensor, "batch rows columns"]]:
        """All maps of logits: those of the full size, and in training the coarser ones that guide it."""
        network: Any = self.network
        if not self.training:
            return network.compare(self.maps(before), self.maps(after))
        # one pass: batch norms measure both dates together, as they will be used
        both = self.maps(torch.cat([before, after]))
        half = len(before)
        return network.compare([each[:half] for each in both], [each[half:] for each in both])


@dataclass(frozen=True, kw_only=True)
class TrackMaps:
    """Where in a window an object may be; the middle of cell (r, c) is ((c + .5) stride, (r + .5) stride) in pixels.

    Attributes:
        scores: logits of "the object's middle is here".
        sides: pixels from a cell's middle to the left, upper, right and lower edge of the object, if
            its middle is here. A middle that lies beyond an edge is a side below 0.
    """

    scores: Float[Tensor, "batch rows columns"]
    sides: Float[Tensor, "batch 4 rows columns"]


class TrackTwin(nn.Module):
    """One object and a search window, one set of weights, one number per place: how likely the object is there.

    Args:
        input: how a picture becomes a tensor; of three channels.
        network: one of `nn.tracking`.

    Attributes:
        exemplar_side: pixels of the exemplar's crop, with the object in its middle.
        search_side: pixels of the search windows that the network was made for.
        stride: pixels between two cells.
        multiple: sides of windows must be multiples of it.
    """

    def __init__(self, input: Image, network: nn.Module) -> None:
        super().__init__()
        if not isinstance(network, TrackNetwork):
            raise UsageError(
                f"{type(network).__name__} does not track: take one of nn.tracking, such as "
                f"track_lite0"
            )
        if input.channels != 3:
            raise UsageError(f"tracking takes pictures of 3 channels, not {input.channels}")
        self.input = input
        self.network: nn.Module = network
        self.exemplar_side, self.search_side = int(network.exemplar_side), int(network.search_side)
        self.stride, self.multiple = int(network.stride), int(network.multiple)

    @property
    def encoder(self) -> nn.Module:
        """The network: what `freeze` and `layer_decay` of a recipe speak of."""
        return self.network

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        parameter = next(self.network.parameters(), None)
        return torch.device("cpu") if parameter is None else parameter.device

    def exemplar(
        self, crops: UInt8[Tensor, "batch 3 side side"], sizes: Float[Tensor, "batch 2"]
    ) -> Sequence[Tensor]:
        """The template of each object: what its crop looks like, in as little as comparing needs.

        Args:
            crops: with the object in the middle.
            sizes: width and height of the object's box, in pixels of the crop.
        """
        network: Any = self.network
        return network.exemplar(self.input.normalise(crops), sizes)

    def features(self, crops: UInt8[Tensor, "batch 3 height width"]) -> Sequence[Tensor]:
        """What the network makes of search windows, of any object."""
        network: Any = self.network
        return network.features(self.input.normalise(crops))

    def compare(self, template: Sequence[Tensor], features: Sequence[Tensor]) -> TrackMaps:
        """Where each object may be in its window.

        Args:
            template: of one or more objects.
            features: of as many windows, or of one for all objects.
        """
        count = len(template[0])
        if len(features[0]) != count:
            features = [each.expand(count, *each.shape[1:]) for each in features]
        network: Any = self.network
        scores, sides = network.compare(template, features)
        return TrackMaps(scores=scores, sides=sides)

    def forward(
        self,
        crops: UInt8[Tensor, "batch 3 side side"],
        sizes: Float[Tensor, "batch 2"],
        windows: UInt8[Tensor, "batch 3 height width"],
    ) -> TrackMaps:
        """Exemplars against windows, pair by pair: what training does."""
        return self.compare(self.exemplar(crops, sizes), self.features(windows))

    def folded(self) -> "TrackTwin":
        """A copy to run, not to train: norms and activations merged into convolutions, channels beside each other."""
        run = copy.deepcopy(self).eval().requires_grad_(False)
        merge_norms(run.network)
        pad_inside(run.network)
        fuse_activations(run.network)
        return run.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _dim(input: Input, encoder: nn.Module) -> int:
    """The encoder's own word for it, else what it returns for a blank input."""
    if isinstance(known := getattr(encoder, "dim", None), int):
        return known
    training = encoder.training
    encoder.eval()
    with torch.no_grad():
        parameter = next(encoder.parameters(), torch.zeros(0))
        out = encoder(input.normalise(input.stack([input.example()]).to(parameter.device)))
    encoder.train(training)
    if out.ndim != 2:
        raise UsageError(
            f"an encoder maps a batch to (batch, dim); this one returned {tuple(out.shape)} for "
            f"one input"
        )
    return int(out.shape[1])

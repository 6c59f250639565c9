"""Convolutions over the time of a series: FCN, InceptionTime, and a CNN below an LSTM.

An item's embedding depends on the item alone: what lies beyond its length is set to zero before
every convolution, and is left out of norms and pools.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from twofold.errors import UsageError
from twofold.inputs.padded import Padded
from twofold.nn.builder import builder
from twofold.nn.sequence_pool import Mask, SequencePool
from twofold.nn.sequences import BOTH_WAYS, Recurrence

__all__ = ["SeriesEncoder", "cnn_lstm", "fcn_1d", "inception_time"]

Maps = Float[Tensor, "items maps longest"]
Made = Float[Tensor, "items made longest"]
States = tuple[Float[Tensor, "items places width"], Bool[Tensor, "items places"]]
Counts = Bool[Tensor, "items longest"] | None
"""Where a value counts; None where all do, so that nothing need be masked."""

FCN_MAPS, FCN_WINDOWS = (1, 2, 1), (8, 5, 3)
"""Maps of the three layers as multiples of the width, and their windows (Wang et al. 2017, section II.B)."""

INCEPTION_WINDOWS = (39, 19, 9)
"""Places of the windows side by side (Ismail Fawaz et al. 2020, section 3: 40, 20, 10), made odd."""

BLOCKS_BETWEEN = 3
"""Inception blocks that a shortcut goes around."""


class SeriesEncoder(nn.Module):
    """Values at the places of a series -> embedding: a trunk of convolutions, pooling, projection.

    Attributes:
        dim: length of an embedding.
    """

    def __init__(self, trunk: nn.Module, head: nn.Module, *, dim: int, unit_norm: bool = True):
        super().__init__()
        self.trunk, self.head = trunk, head
        self.dim, self.unit_norm = dim, unit_norm

    def forward(self, batch: object) -> Float[Tensor, "items dim"]:
        """Embeds a `Padded` batch of series; float32 also under autocast, of length 1 where `unit_norm` is set.

        Raises:
            UsageError: the batch is not one of sequences.
        """
        if not isinstance(batch, Padded):
            raise UsageError(
                f"this encoder takes sequences (Padded), and was given a {type(batch).__name__}"
            )
        mask = batch.mask
        counts = None if bool(mask.all()) else mask
        states, mask = self.trunk(_masked(batch.values.mT, counts), mask, counts)
        embedding = self.head(states, mask).float()
        return F.normalize(embedding, dim=-1) if self.unit_norm else embedding


class PlaceNorm(nn.Module):
    """Batch normalisation (Ioffe & Szegedy 2015) over the places that count."""

    def __init__(self, maps: int):
        super().__init__()
        self.norm = nn.BatchNorm1d(maps)

    def forward(self, states: Maps, counts: Counts) -> Maps:
        if counts is None or not self.training:
            return self.norm(states)
        found = torch.zeros_like(states.mT)
        found[counts] = self.norm(states.mT[counts]).to(found.dtype)
        return found.mT


class PlaceLayer(nn.Module):
    """A convolution that keeps the number of places, its norm, and a ReLU; zero beyond an item's length."""

    def __init__(self, channels: int, maps: int, window: int):
        super().__init__()
        self.beside = ((window - 1) // 2, window // 2)
        self.convolution = nn.Conv1d(channels, maps, window, bias=False)
        self.norm = PlaceNorm(maps)

    def forward(self, states: Maps, counts: Counts) -> Made:
        found = self.convolution(F.pad(states, self.beside))
        return _masked(F.relu(self.norm(found, counts)), counts)


class PlaceLayers(nn.Module):
    """Layers on each other."""

    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, states: Maps, mask: Mask, counts: Counts) -> States:
        for layer in self.layers:
            states = layer(states, counts)
        return states.mT, mask


class InceptionBlock(nn.Module):
    """Windows of several lengths on a narrow projection, and a largest neighbour, side by side; then a norm."""

    def __init__(self, channels: int, width: int, windows: tuple[int, ...]):
        super().__init__()
        narrow = min(channels, width)
        self.narrow = nn.Conv1d(channels, narrow, 1, bias=False) if channels > 1 else nn.Identity()
        self.windows = nn.ModuleList(
            nn.Conv1d(narrow, width, size, padding=size // 2, bias=False) for size in windows
        )
        self.largest = nn.Conv1d(channels, width, 1, bias=False)
        self.norm = PlaceNorm(width * (len(windows) + 1))

    def forward(self, states: Maps, counts: Counts) -> Made:
        narrow = self.narrow(states)
        beside = F.max_pool1d(_masked(states, counts, -torch.inf), 3, stride=1, padding=1)
        largest = self.largest(_masked(beside, counts))
        found = torch.cat([*(window(narrow) for window in self.windows), largest], dim=1)
        return _masked(self.norm(found, counts), counts)


class InceptionTrunk(nn.Module):
    """Inception blocks, with a shortcut around every three of them."""

    def __init__(self, channels: int, width: int, *, depth: int, windows: tuple[int, ...]):
        super().__init__()
        maps = width * (len(windows) + 1)
        self.layers = nn.ModuleList(
            InceptionBlock(maps if place else channels, width, windows) for place in range(depth)
        )
        self.shortcuts = nn.ModuleList(
            nn.Conv1d(maps if place else channels, maps, 1, bias=False)
            for place in range(depth // BLOCKS_BETWEEN)
        )
        self.norms = nn.ModuleList(PlaceNorm(maps) for _ in self.shortcuts)

    def forward(self, states: Maps, mask: Mask, counts: Counts) -> States:
        before = states
        for place, layer in enumerate(self.layers):
            states = layer(states, counts)
            around, last = divmod(place, BLOCKS_BETWEEN)
            if last == BLOCKS_BETWEEN - 1:
                states = states + self.norms[around](self.shortcuts[around](before), counts)
                before = states = _masked(F.relu(states), counts)
            else:
                states = F.relu(states)
        return states.mT, mask


class PatchRecurrence(nn.Module):
    """Convolutions, the largest value of each patch of places, and an LSTM over the patches."""

    def __init__(self, layers: list[PlaceLayer], recurrence: Recurrence, *, patch: int):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.recurrence, self.patch = recurrence, patch

    def forward(self, states: Maps, mask: Mask, counts: Counts) -> States:
        for layer in self.layers:
            states = layer(states, counts)
        # values are not negative after a ReLU, and zero beyond an item's length
        patches = F.max_pool1d(states, self.patch, ceil_mode=True) if self.patch > 1 else states
        mask = mask[:, :: self.patch]
        return self.recurrence(patches.mT, mask), mask


@builder(kinds=("series",))
def fcn_1d(
    *,
    channels: int = 1,
    dim: int = 128,
    width: int = 128,
    pool: str = "mean",
    dropout: float = 0.1,
    unit_norm: bool = True,
) -> SeriesEncoder:
    """The fully convolutional network for time series (Wang et al. 2017): three convolutions, pooled.

    Args:
        channels: numbers at each place.
        dim: length of an embedding.
        width: maps of the first and the last layer; the second has twice as many.
        pool: one of `sequence_pool.SEQUENCE_POOLS`.
        dropout: fraction of features that is dropped before the projection in training.
        unit_norm: whether embeddings have length 1.
    """
    maps = [width * times for times in FCN_MAPS]
    before = [channels, *maps[:-1]]
    layers = [PlaceLayer(*each) for each in zip(before, maps, FCN_WINDOWS, strict=True)]
    head = SequencePool(pool, maps[-1], dim, dropout=dropout)
    return SeriesEncoder(PlaceLayers(*layers), head, dim=dim, unit_norm=unit_norm)


@builder(kinds=("series",))
def inception_time(
    *,
    channels: int = 1,
    dim: int = 128,
    width: int = 32,
    depth: int = 6,
    windows: tuple[int, ...] = INCEPTION_WINDOWS,
    pool: str = "mean",
    dropout: float = 0.1,
    unit_norm: bool = True,
) -> SeriesEncoder:
    """InceptionTime's network (Ismail Fawaz et al. 2020): long windows of several lengths side by side, six deep.

    The paper averages five such networks.

    Args:
        channels: numbers at each place.
        dim: length of an embedding.
        width: maps of each window; a block has one more set of them, of its largest neighbours.
        depth: blocks on each other.
        windows: odd lengths of the windows in places.
        pool: one of `sequence_pool.SEQUENCE_POOLS`.
        dropout: fraction of features that is dropped before the projection in training.
        unit_norm: whether embeddings have length 1.
    """
    odd = tuple(int(size) | 1 for size in windows)
    trunk = InceptionTrunk(channels, width, depth=depth, windows=odd)
    head = SequencePool(pool, width * (len(odd) + 1), dim, dropout=dropout)
    return SeriesEncoder(trunk, head, dim=dim, unit_norm=unit_norm)


@builder(kinds=("series",))
def cnn_lstm(  # noqa: PLR0913 - the flat arguments of a recipe
    *,
    channels: int = 1,
    dim: int = 128,
    width: int = 128,
    window: int = 5,
    patch: int = 4,
    layers: int = 1,
    pool: str = "max",
    dropout: float = 0.1,
    unit_norm: bool = True,
) -> SeriesEncoder:
    """Two convolutions, the largest values of each patch of places, and a bidirectional LSTM over the patches.

    The CNN + LSTM hybrid of Sainath et al. 2015, with one dimension of convolution: for series and
    for the frames of a spectrogram.

    Args:
        channels: numbers at each place.
        dim: length of an embedding.
        width: maps of the convolutions, and states of the LSTM in each direction.
        window: places that a convolution sees.
        patch: places that become one step of the LSTM.
        layers: of the LSTM, on top of each other.
        pool: one of `sequence_pool.SEQUENCE_POOLS`.
        dropout: fraction of features that is dropped in training, between layers of the LSTM and
            before the projection.
        unit_norm: whether embeddings have length 1.
    """
    convolutions = [PlaceLayer(channels, width, window), PlaceLayer(width, width, window)]
    cells = nn.LSTM(width, width, layers, dropout=dropout if layers > 1 else 0.0, **BOTH_WAYS)
    trunk = PatchRecurrence(convolutions, Recurrence(cells), patch=patch)
    head = SequencePool(pool, 2 * width, dim, dropout=dropout, both_ways=True)
    return SeriesEncoder(trunk, head, dim=dim, unit_norm=unit_norm)


def _masked(states: Maps, counts: Counts, value: float = 0.0) -> Maps:
    return states if counts is None else states.masked_fill(~counts[:, None], value)

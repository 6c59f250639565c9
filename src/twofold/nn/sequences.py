"""Encoders of sequences: recurrent, convolutional and attention networks over `Padded` batches.

An item's embedding depends on the item alone: not on the amount of padding, nor on what stands in
it, nor on the other items of the batch.
"""

import math
from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from twofold.errors import RecipeError, UsageError
from twofold.inputs.padded import Padded
from twofold.nn.attention import HEAD_WIDTH, AttentionLayer
from twofold.nn.builder import builder
from twofold.nn.sequence_pool import Found, Mask, SequencePool, States
from twofold.nn.word_vectors import symbol_table

__all__ = ["SequenceEncoder", "bag", "gru", "lstm", "text_cnn", "transformer"]


class SequenceEncoder(nn.Module):
    """Symbols or feature vectors of a sequence -> embedding: first layer, trunk, pooling, projection.

    Attributes:
        dim: length of an embedding.
    """

    def __init__(
        self,
        first: nn.Module,
        trunk: nn.Module,
        head: nn.Module,
        *,
        dim: int,
        unit_norm: bool = True,
    ):
        super().__init__()
        self.first, self.trunk, self.head = first, trunk, head
        self.dim, self.unit_norm = dim, unit_norm

    def forward(self, batch: object) -> Float[Tensor, "items dim"]:
        """Embeds a `Padded` batch of sequences; float32 also under autocast, of length 1 where `unit_norm` is set.

        Raises:
            UsageError: the batch is not one of sequences.
        """
        if not isinstance(batch, Padded):
            raise UsageError(
                f"this encoder takes sequences (Padded), and was given a {type(batch).__name__}"
            )
        mask = batch.mask
        states = self.first(batch.values).masked_fill(~mask[..., None], 0)
        embedding = self.head(self.trunk(states, mask), mask).float()
        return F.normalize(embedding, dim=-1) if self.unit_norm else embedding


class Recurrence(nn.Module):
    """LSTM (Hochreiter & Schmidhuber 1997) or GRU (Cho et al. 2014) over the items' own lengths.

    It runs in float32 also under autocast: torch's recurrent layers have no bfloat16 on a
    processor.
    """

    def __init__(self, layers: nn.LSTM | nn.GRU):
        super().__init__()
        self.layers = layers

    def forward(self, states: States, mask: Mask) -> Found:
        with torch.autocast(states.device.type, enabled=False):
            packed = nn.utils.rnn.pack_padded_sequence(
                states.float(), mask.sum(dim=1).cpu(), batch_first=True, enforce_sorted=False
            )
            found, _ = nn.utils.rnn.pad_packed_sequence(
                self.layers(packed)[0], batch_first=True, total_length=states.shape[1]
            )
        return found


class WindowConvolutions(nn.Module):
    """Convolutions of several window lengths side by side (Kim 2014), zero beyond both ends of an item."""

    def __init__(self, width: int, channels: int, windows: tuple[int, ...]):
        super().__init__()
        self.sizes = windows
        self.windows = nn.ModuleList(nn.Conv1d(width, channels, size) for size in windows)

    def forward(self, states: States, mask: Mask) -> Found:
        across = states.mT
        pairs = zip(self.windows, self.sizes, strict=True)
        found = [F.relu(window(F.pad(across, _beside(size)))) for window, size in pairs]
        return torch.cat(found, dim=1).mT.masked_fill(~mask[..., None], 0)


class AttentionLayers(nn.Module):
    """Layers of self-attention with sinusoidal positions (Vaswani et al. 2017), norms before each part."""

    def __init__(self, width: int, *, layers: int, heads: int, dropout: float):
        super().__init__()
        self.layers = nn.ModuleList(
            AttentionLayer(width, heads=heads, dropout=dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, states: States, mask: Mask) -> States:
        states = states + _positions(states)
        for layer in self.layers:
            states = layer(states, mask)
        return self.norm(states)


BOTH_WAYS = {"batch_first": True, "bidirectional": True}


class Bag(nn.Module):
    """The weighted sum of a vector for each symbol, whatever their order (Joulin et al. 2017).

    Each symbol has a weight, at first its inverse document frequency in the training data (see
    `prepare`), which is learned with the vectors: log weight = 10 x parameter, so that weights move
    as fast as vectors do.
    """

    def __init__(self, symbols: int, dim: int, *, dropout: float, unit_norm: bool):
        super().__init__()
        self.table, self.weights = nn.Embedding(symbols, dim), nn.Embedding(symbols, 1)
        nn.init.normal_(self.table.weight, std=dim**-0.5)
        nn.init.zeros_(self.weights.weight)
        self.dim, self.dropout, self.unit_norm = dim, nn.Dropout(dropout), unit_norm

    def forward(self, batch: object) -> Float[Tensor, "items dim"]:
        """Embeds a `Padded` batch of symbols.

        Raises:
            UsageError: the batch is not one of sequences.
        """
        if not isinstance(batch, Padded):
            raise UsageError(
                f"this encoder takes sequences (Padded), and was given a {type(batch).__name__}"
            )
        symbols = batch.values[batch.mask]
        starts = batch.lengths.cumsum(0) - batch.lengths
        weights = self.dropout((WEIGHT_RATE * self.weights(symbols)[:, 0]).float().exp())
        found = F.embedding_bag(
            symbols, self.table.weight, starts, mode="sum", per_sample_weights=weights
        )
        return F.normalize(found, dim=-1) if self.unit_norm else found

    def prepare(self, batches: Iterable[Padded]) -> None:
        """Set the weights to the inverse document frequencies ln((1 + n) / (1 + df)) + 1 of some sequences.

        Weights that were learned already stay. Each batch holds one sequence.
        """
        if bool(self.weights.weight.any()):
            return
        seen, count = np.zeros(self.weights.num_embeddings), 0
        for batch in batches:
            seen[np.unique(batch.values[batch.mask].numpy())] += 1
            count += 1
        rarity = np.log((1 + count) / (1 + seen)) + 1
        with torch.no_grad():
            self.weights.weight[:, 0] = torch.from_numpy(np.log(rarity) / WEIGHT_RATE)


WEIGHT_RATE = 10.0
"""By how much the log weight of a symbol moves faster than its parameter; 5 to 20 were alike (docs/LOG.md)."""


@builder(kinds=("symbols",))
def bag(*, symbols: int, dim: int = 512, dropout: float = 0.0, unit_norm: bool = True) -> Bag:
    """A weighted sum of learned vectors of symbols (fastText; Joulin et al. 2017), for `unit = "ngrams"` above all.

    Args:
        symbols: how many symbols there are.
        dim: length of an embedding.
        dropout: fraction of a text's symbols that is left out in training.
        unit_norm: whether embeddings have length 1.
    """
    return Bag(symbols, dim, dropout=dropout, unit_norm=unit_norm)


@builder(kinds=("symbols", "series"))
def lstm(  # noqa: PLR0913 - the flat arguments of a recipe
    *,
    symbols: int | None = None,
    channels: int | None = None,
    dim: int = 128,
    width: int = 128,
    layers: int = 1,
    weights: str | None = None,
    pool: str = "max",
    dropout: float = 0.1,
    unit_norm: bool = True,
) -> SequenceEncoder:
    """A bidirectional LSTM with pooled states (Mueller & Thyagarajan 2016; max pooling: Conneau et al. 2017).

    Args:
        symbols: how many symbols there are; for sequences of symbols.
        channels: numbers at each place; for series.
        dim: length of an embedding.
        width: of the first layer, and of the states in each direction.
        layers: on top of each other.
        weights: "wordllama" starts from its vectors of subwords (`pip install --no-deps
            wordllama`), with the input's vocabulary "wordllama" and a `width` of at most 256.
        pool: one of `sequence_pool.SEQUENCE_POOLS`.
        dropout: fraction of features that is dropped in training, between layers and before the
            projection.
        unit_norm: whether embeddings have length 1.
    """
    cells = nn.LSTM(width, width, layers, dropout=dropout if layers > 1 else 0.0, **BOTH_WAYS)
    first = _first(symbols, channels, width, weights)
    return _recurrent(first, cells, pool, dropout=dropout, dim=dim, unit_norm=unit_norm)


@builder(kinds=("symbols", "series"))
def gru(  # noqa: PLR0913 - the flat arguments of a recipe
    *,
    symbols: int | None = None,
    channels: int | None = None,
    dim: int = 128,
    width: int = 128,
    layers: int = 1,
    weights: str | None = None,
    pool: str = "max",
    dropout: float = 0.1,
    unit_norm: bool = True,
) -> SequenceEncoder:
    """A bidirectional GRU (Cho et al. 2014) with pooled states; the arguments are those of `lstm`."""
    cells = nn.GRU(width, width, layers, dropout=dropout if layers > 1 else 0.0, **BOTH_WAYS)
    first = _first(symbols, channels, width, weights)
    return _recurrent(first, cells, pool, dropout=dropout, dim=dim, unit_norm=unit_norm)


@builder(kinds=("symbols", "series"))
def text_cnn(  # noqa: PLR0913 - the flat arguments of a recipe
    *,
    symbols: int | None = None,
    channels: int | None = None,
    dim: int = 128,
    width: int = 128,
    windows: tuple[int, ...] = (2, 3, 4, 5),
    weights: str | None = None,
    pool: str = "max",
    dropout: float = 0.1,
    unit_norm: bool = True,
) -> SequenceEncoder:
    """Convolutions of several window lengths, pooled (TextCNN; Kim 2014).

    Args:
        width: of the first layer, and channels of each window length.
        windows: lengths of the windows in places.
    """
    trunk = WindowConvolutions(width, width, tuple(windows))
    head = SequencePool(pool, width * len(windows), dim, dropout=dropout)
    return SequenceEncoder(
        _first(symbols, channels, width, weights), trunk, head, dim=dim, unit_norm=unit_norm
    )


@builder(kinds=("symbols", "series"))
def transformer(
    *,
    symbols: int | None = None,
    channels: int | None = None,
    dim: int = 128,
    width: int = 128,
    layers: int = 3,
    pool: str = "mean",
    dropout: float = 0.1,
    unit_norm: bool = True,
) -> SequenceEncoder:
    """A transformer encoder (Vaswani et al. 2017) with pooled states.

    Args:
        width: of all layers; each head of attention has 32 numbers.
        layers: on top of each other.
    """
    if width % HEAD_WIDTH:
        raise RecipeError(
            f"width = {width} must be a multiple of {HEAD_WIDTH}, the width of a head"
        )
    trunk = AttentionLayers(width, layers=layers, heads=width // HEAD_WIDTH, dropout=dropout)
    head = SequencePool(pool, width, dim, dropout=dropout)
    return SequenceEncoder(
        _first(symbols, channels, width), trunk, head, dim=dim, unit_norm=unit_norm
    )


def _recurrent(
    first: nn.Module,
    cells: nn.LSTM | nn.GRU,
    pool: str,
    *,
    dropout: float,
    dim: int,
    unit_norm: bool,
) -> SequenceEncoder:
    """Recurrent cells of both directions between a first layer and a pool."""
    head = SequencePool(pool, 2 * cells.hidden_size, dim, dropout=dropout, both_ways=True)
    return SequenceEncoder(first, Recurrence(cells), head, dim=dim, unit_norm=unit_norm)


def _first(
    symbols: int | None, channels: int | None, width: int, weights: str | None = None
) -> nn.Module:
    """What brings a place to `width` numbers: a table of symbols, or a projection of its channels."""
    if (symbols is None) == (channels is None):
        raise RecipeError(
            "a sequence is of symbols or of channels: give one of the two numbers, not both"
        )
    if channels is None:
        return symbol_table(symbols or 0, width, weights=weights)
    if weights is not None:
        raise RecipeError(
            f"weights = {weights!r} are of subwords, and these are series: leave weights out"
        )
    return nn.Linear(channels, width)


def _beside(window: int) -> tuple[int, int]:
    """Zeros before and after a sequence, so that a window gives as many places as there were."""
    return (window - 1) // 2, window // 2


def _positions(states: States) -> Float[Tensor, "longest width"]:
    """sin and cos of the place at geometric wavelengths (Vaswani et al. 2017, section 3.5)."""
    longest, width = states.shape[1:]
    places = torch.arange(longest, device=states.device, dtype=torch.float32)
    rates = torch.exp(
        torch.arange(0, width, 2, device=states.device) * (-math.log(10_000.0) / width)
    )
    angles = places[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)

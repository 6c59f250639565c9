"""Counts of symbols in a fixed number of numbers: feature hashing with signs (Weinberger et al. 2009)."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from twofold.errors import UsageError
from twofold.inputs.padded import Padded
from twofold.nn.builder import builder
from twofold.nn.sequences import WEIGHT_RATE

__all__ = ["sketch"]

HASH = 7
"""Seed of the places and signs of all sketches: a bundle keeps none of them."""


class Sketch(nn.Module):
    """Each symbol is added to one place with one sign, times its weight; symbols that share a place cancel on average.

    The inner product of two sketches is that of the weighted counts but for an error of about 1 in
    sqrt(dim) (Weinberger et al. 2009, lemma 2). Weights begin at 1 and are learned.

    Attributes:
        dim: length of an embedding.
    """

    place: Tensor
    sign: Tensor

    def __init__(self, symbols: int, dim: int):
        super().__init__()
        random = np.random.default_rng([HASH, dim])
        place = torch.from_numpy(random.integers(0, dim, symbols))
        sign = torch.from_numpy(random.choice([-1.0, 1.0], symbols)).float()
        self.register_buffer("place", place, persistent=False)
        self.register_buffer("sign", sign, persistent=False)
        self.weights = nn.Embedding(symbols, 1)
        nn.init.zeros_(self.weights.weight)
        self.dim = dim

    def forward(self, batch: object) -> Float[Tensor, "items dim"]:
        """Embeds a `Padded` batch of symbols; float32 also under autocast, of length 1.

        Raises:
            UsageError: the batch is not one of sequences.
        """
        if not isinstance(batch, Padded):
            raise UsageError(
                f"this encoder takes sequences (Padded), and was given a {type(batch).__name__}"
            )
        symbols = batch.values[batch.mask]
        item = torch.arange(len(batch), device=symbols.device).repeat_interleave(batch.lengths)
        with torch.autocast(symbols.device.type, enabled=False):
            weights = (WEIGHT_RATE * self.weights(symbols)[:, 0]).float().exp()
            found = weights.new_zeros(len(batch) * self.dim)
            places = item * self.dim + self.place[symbols]
            found = found.index_add(0, places, weights * self.sign[symbols])
        return F.normalize(found.view(len(batch), self.dim), dim=1)


@builder(kinds=("symbols",))
def sketch(*, symbols: int, dim: int = 4096) -> Sketch:
    """Counts of symbols, hashed to a fixed number of numbers: for pieces of DNA above all.

    Args:
        symbols: how many symbols there are.
        dim: length of an embedding.
    """
    return Sketch(symbols, dim)

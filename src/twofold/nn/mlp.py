"""Encoders of vectors: heads on what another model has embedded, learned or none."""

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from twofold.errors import UsageError
from twofold.nn.builder import builder

__all__ = ["identity", "linear", "mlp"]

LEAST_SPREAD = 1e-6
"""Standard deviation under which a number of the training vectors counts as constant, and is not scaled up."""


class VectorEncoder(nn.Module):
    """Vectors -> embeddings: scaled by the training vectors' mean and spread, then layers, beside them a straight way.

    Attributes:
        dim: length of an embedding.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        size: int,
        *,
        dim: int,
        layers: nn.Module,
        straight: nn.Module | None = None,
        scaled: bool = True,
        unit_norm: bool = True,
    ):
        super().__init__()
        self.size, self.dim, self.unit_norm = size, dim, unit_norm
        self.layers, self.straight = layers, straight
        if scaled:
            self.register_buffer("mean", torch.zeros(size))
            self.register_buffer("scale", torch.zeros(()))  # 0: nothing is known yet
        self.scaled = scaled

    def forward(self, batch: Any) -> Float[Tensor, "batch dim"]:
        """Embeds vectors; float32 also under autocast, of length 1 where `unit_norm` is set.

        Raises:
            UsageError: vectors of another size, or no vectors.
        """
        if not isinstance(batch, Tensor) or batch.shape[1:] != (self.size,):
            shape = tuple(getattr(batch, "shape", ()))[1:]
            raise UsageError(
                f"this encoder takes vectors of {self.size} numbers, and was given "
                f"{'x'.join(map(str, shape)) or 'something else'}"
            )
        values = batch.float()
        if self.scaled:
            values = (values - self.mean) * torch.where(self.scale > 0, self.scale, 1.0)
        found = self.layers(values)
        if self.straight is not None:
            found = found + self.straight(values)
        return F.normalize(found.float(), dim=-1) if self.unit_norm else found.float()

    def prepare(self, batches: Iterable[Float[Tensor, "items size"]]) -> None:
        """Learn the mean of the training vectors, and how far they are from it; what was learned already stays."""
        if not self.scaled or bool(self.scale):
            return
        known = torch.cat(list(batches)).double().numpy()
        spread = max(float(known.std(axis=0).mean()), LEAST_SPREAD)
        with torch.no_grad():
            self.mean.copy_(torch.from_numpy(known.mean(axis=0)))
            self.scale.fill_(1 / spread)


@builder(kinds=("vectors",))
def mlp(
    *,
    size: int,
    dim: int = 128,
    width: int = 512,
    depth: int = 1,
    dropout: float = 0.1,
    unit_norm: bool = True,
) -> VectorEncoder:
    """Layers of GELUs on vectors, and a linear way past them.

    Args:
        size: numbers of a vector; the input says it.
        dim: length of an embedding.
        width: units of a hidden layer. depth: how many hidden layers there are.
        dropout: fraction of a vector, and of each hidden layer, that is dropped in training.
        unit_norm: whether embeddings have length 1.
    """
    layers: list[nn.Module] = [nn.Dropout(dropout)]
    before = size
    for _ in range(depth):
        layers += [nn.Linear(before, width), nn.GELU(), nn.Dropout(dropout)]
        before = width
    last = nn.Linear(before, dim)
    nn.init.zeros_(last.weight)  # at first the straight way alone
    nn.init.zeros_(last.bias)
    straight = _straight(size, dim)
    return VectorEncoder(
        size,
        dim=dim,
        layers=nn.Sequential(*layers, last),
        straight=straight,
        unit_norm=unit_norm,
    )


@builder(kinds=("vectors",))
def linear(*, size: int, dim: int = 128, unit_norm: bool = True) -> VectorEncoder:
    """One matrix on vectors: a learned distance (Mahalanobis), by far the quickest to learn.

    Args:
        size: numbers of a vector; the input says it.
        dim: length of an embedding.
        unit_norm: whether embeddings have length 1.
    """
    return VectorEncoder(size, dim=dim, layers=_straight(size, dim), unit_norm=unit_norm)


@builder(kinds=("vectors",))
def identity(*, size: int, unit_norm: bool = False) -> VectorEncoder:
    """Vectors are their own embeddings: what the other model gives is compared as it is.

    Args:
        size: numbers of a vector; the input says it.
        unit_norm: whether embeddings are brought to length 1; the cosine does not need it.
    """
    return VectorEncoder(size, dim=size, layers=nn.Identity(), scaled=False, unit_norm=unit_norm)


def _straight(size: int, dim: int) -> nn.Linear:
    """A matrix that keeps angles where it can: the identity, or a random projection with orthogonal rows."""
    made = nn.Linear(size, dim, bias=False)
    if size == dim:
        nn.init.eye_(made.weight)
    else:
        nn.init.orthogonal_(made.weight)
    return made

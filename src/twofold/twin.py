"""Twin: an input type, one encoder for both inputs, one comparison."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from twofold.comparison import Comparison, named
from twofold.errors import UsageError
from twofold.inputs import Input

__all__ = ["Twin"]


class Twin(nn.Module):
    """Two inputs, one set of weights, two embeddings, one distance (Bromley et al. 1993).

    Args:
        input: how a raw thing becomes a tensor; its normalisation constants belong to the twin.
        encoder: any module that maps a normalised batch to float (batch, dim).
        comparison: the name of a distance, or a comparison (a learned head is an nn.Module and is
            trained along).

    Attributes:
        dim: length of an embedding.
    """

    def __init__(
        self, input: Input, encoder: nn.Module, comparison: str | Comparison = "cosine"
    ) -> None:
        super().__init__()
        self.input = input
        self.encoder = encoder
        self.dim = _dim(input, encoder)
        self.comparison = (
            named(comparison, dim=self.dim) if isinstance(comparison, str) else comparison
        )

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        parameter = next(self.encoder.parameters(), None)
        return torch.device("cpu") if parameter is None else parameter.device

    def embed(self, batch: Any) -> Float[Tensor, "batch dim"]:
        """The embeddings of what `input.stack` returned, on the device of the weights."""
        return self.encoder(self.input.normalise(batch))

    def forward(self, batch: Any) -> Float[Tensor, "batch dim"]:
        """`embed`; comparing is another step, since all pairs of a batch share its embeddings."""
        return self.embed(batch)


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

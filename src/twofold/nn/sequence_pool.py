"""How the states of a sequence become a vector."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from twofold.errors import RecipeError, nearest

__all__ = ["SEQUENCE_POOLS", "Found", "Mask", "SequencePool", "States"]

States = Float[Tensor, "items longest width"]
Found = Float[Tensor, "items longest found"]
Mask = Bool[Tensor, "items longest"]


SEQUENCE_POOLS = ("mean", "max", "attention", "statistics", "last")
"""How the states of a sequence become a vector."""

LEAST_VARIANCE = 1e-5
"""Added to the variance of "statistics"."""


class SequencePool(nn.Module):
    """The states of a sequence as one vector, those of the padding left out, and its projection.

    "mean" and "max" are taken over the places; "attention" is a mean with learned weights;
    "statistics" are mean and deviation with learned weights of each number (attentive statistics;
    Okabe et al. 2018); "last" takes the forward direction's last state beside the backward
    direction's first.
    """

    def __init__(self, pool: str, width: int, dim: int, *, dropout: float, both_ways: bool = False):
        super().__init__()
        if pool not in SEQUENCE_POOLS:
            raise RecipeError(
                f"pool = {pool!r} does not pool sequences: {nearest(pool, SEQUENCE_POOLS)}"
            )
        self.pool, self.both_ways = pool, both_ways
        self.query = nn.Linear(width, 1, bias=False) if pool == "attention" else None
        self.weigh = _weighing(width) if pool == "statistics" else None
        pooled = 2 * width if pool == "statistics" else width
        self.project = nn.Sequential(nn.Dropout(dropout), nn.Linear(pooled, dim))

    def forward(self, states: States, mask: Mask) -> Float[Tensor, "items dim"]:
        return self.project(self._pooled(states, mask))

    def _pooled(self, states: States, mask: Mask) -> Float[Tensor, "items pooled"]:
        beyond = ~mask[..., None]
        if self.pool == "mean":
            return states.masked_fill(beyond, 0).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        if self.pool == "max":
            return states.masked_fill(beyond, -torch.inf).amax(dim=1)
        if self.query is not None:
            weights = self.query(states).masked_fill(beyond, -torch.inf).softmax(dim=1)
            return (weights * states.masked_fill(beyond, 0)).sum(dim=1)
        if self.weigh is not None:
            weights = self.weigh(states).masked_fill(beyond, -torch.inf).softmax(dim=1)
            mean = (weights * states.masked_fill(beyond, 0)).sum(dim=1)
            apart = (states - mean[:, None]).masked_fill(beyond, 0).square()
            # the root of 0 has no gradient
            return torch.cat([mean, ((weights * apart).sum(dim=1) + LEAST_VARIANCE).sqrt()], dim=1)
        last = states[torch.arange(len(states), device=states.device), mask.sum(dim=1) - 1]
        if not self.both_ways:
            return last
        half = states.shape[2] // 2
        return torch.cat([last[:, :half], states[:, 0, half:]], dim=1)


WEIGHED_BY = 64
"""Hidden numbers of the network that weighs the places."""


def _weighing(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, WEIGHED_BY), nn.Tanh(), nn.Linear(WEIGHED_BY, width))

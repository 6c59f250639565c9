"""Attention over the places of a feature map."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["AttentionPool"]


class AttentionPool(nn.Module):
    """A learned weighted mean over all places: the network chooses where to look.

    Channels are split over heads; head h has one learned query q_h and weighs its channels v_h at
    place i with softmax_i(q_h . k_hi / sqrt(d)), k = W x (Vaswani et al. 2017, eq. 1, with a
    learned query and the features themselves as values). Without positions, so pictures of any size
    fit.

    Args:
        channels: maps of the feature map.
        heads: how many places can be looked at at once; reduced to the largest number that divides
            the channels.
    """

    def __init__(self, channels: int, *, heads: int = 8):
        super().__init__()
        self.heads = math.gcd(channels, heads)
        self.query = nn.Parameter(torch.randn(self.heads, channels // self.heads))
        self.key = nn.Conv2d(channels, channels, kernel_size=1)

    def forward(
        self, features: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels"]:
        split = (self.heads, -1, features.shape[2] * features.shape[3])
        keys = self.key(features).unflatten(1, (self.heads, -1)).flatten(3)
        values = features.reshape(features.shape[0], *split)
        weights = torch.einsum(
            "hd,bhdi->bhi", self.query / math.sqrt(self.query.shape[1]), keys
        ).softmax(dim=-1)
        return torch.einsum("bhi,bhdi->bhd", weights, values).flatten(1)

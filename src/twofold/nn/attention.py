"""Attention: over the places of a feature map or a sequence, and over its channels."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["HEAD_WIDTH", "AttentionLayer", "AttentionPool", "SqueezeExcite"]

HEAD_WIDTH = 32
"""Numbers of one head of attention, as in MiniLM (Wang et al. 2020)."""

REDUCTION = 16
"""By how much the hidden layer of `SqueezeExcite` is narrower than its maps (Hu et al. 2018)."""

LEAST_HIDDEN = 8
"""Hidden numbers of `SqueezeExcite` at least: a sixteenth of a small network's maps is too little."""


class AttentionLayer(nn.Module):
    """softmax(Q K' / sqrt(d)) V over the places that count, then a layer of GELUs, each added to what it got."""

    def __init__(self, width: int, *, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.before, self.projections, self.out = (
            nn.LayerNorm(width),
            nn.Linear(width, 3 * width),
            nn.Linear(width, width),
        )
        self.wide = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, states: Float[Tensor, "items places width"], mask: Bool[Tensor, "items places"] | None
    ) -> Float[Tensor, "items places width"]:
        split = (
            self.projections(self.before(states))
            .unflatten(-1, (3, self.heads, -1))
            .permute(2, 0, 3, 1, 4)
        )
        seen = F.scaled_dot_product_attention(
            *split.unbind(0), attn_mask=None if mask is None else mask[:, None, None, :]
        )
        states = states + self.dropout(self.out(seen.transpose(1, 2).flatten(2)))
        return states + self.dropout(self.wide(states))


class SqueezeExcite(nn.Module):
    """Each map times a weight that follows from the means of all maps (Hu et al. 2018, eqs. 2 and 3).

    weights = sigmoid(W2 relu(W1 mean over places)).
    """

    def __init__(self, channels: int):
        super().__init__()
        hidden = max(LEAST_HIDDEN, channels // REDUCTION)
        self.weigh = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Sigmoid()
        )

    def forward(
        self, features: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        return features * self.weigh(features.mean(dim=(2, 3)))[:, :, None, None]


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

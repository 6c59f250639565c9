"""A small vision transformer: patches of a picture that attend to each other."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from twofold.errors import RecipeError
from twofold.nn.attention import HEAD_WIDTH, AttentionLayer
from twofold.nn.builder import builder
from twofold.nn.heads import Encoder, encoder_for, initialise

__all__ = ["vit"]

NARROWEST = 16
"""Maps of the first convolution of the stem at least."""


class Patches(nn.Module):
    """A stem of strided convolutions, then layers of self-attention among its places, as a feature map."""

    def __init__(self, channels: int, width: int, *, halvings: int, layers: int, dropout: float):
        super().__init__()
        self.stem = initialise(nn.Sequential(*_stem(channels, width, halvings)))
        self.layers = nn.ModuleList(
            AttentionLayer(width, heads=width // HEAD_WIDTH, dropout=dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(
        self, pictures: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch maps rows columns"]:
        maps = self.stem(pictures)
        states = (maps + _positions(maps)).flatten(2).mT
        for layer in self.layers:
            states = layer(states, None)
        return self.norm(states).mT.unflatten(2, maps.shape[2:])


@builder
def vit(  # noqa: PLR0913 - recipes give flat arguments
    dim: int = 128,
    *,
    channels: int = 3,
    size: int | tuple[int, int] = 64,
    patch: int = 8,
    width: int = 128,
    layers: int = 4,
    pool: str = "average",
    dropout: float = 0.0,
    unit_norm: bool = True,
) -> Encoder:
    """A small vision transformer (Dosovitskiy et al. 2021): patches that attend to each other.

    Two things differ from the paper, both for little data: patches are made by 3x3 convolutions of
    stride 2 (Xiao et al. 2021), and their vectors are pooled, with no token of a class. Positions
    are sines of row and column, so pictures of any size fit.

    Args:
        dim: length of an embedding.
        channels: channels of a picture.
        size: height and width of a picture; only pool="flatten" is bound to it.
        patch: pixels of a patch's side: 2, 4, 8, 16 or 32.
        width: numbers of a patch; each head of attention has 32.
        layers: on top of each other.
        pool: "average", "max", "generalised_mean", "attention" or "flatten".
        dropout: fraction of features that is dropped in training, between layers and before the
            projection.
        unit_norm: whether embeddings have length 1.
    """
    if patch not in (2, 4, 8, 16, 32):
        raise RecipeError(f"patch = {patch}: the side of a patch is 2, 4, 8, 16 or 32 pixels")
    if width % HEAD_WIDTH:
        raise RecipeError(
            f"width = {width} must be a multiple of {HEAD_WIDTH}, the width of a head"
        )
    trunk = Patches(
        channels, width, halvings=patch.bit_length() - 1, layers=layers, dropout=dropout
    )
    return encoder_for(
        trunk,
        dim=dim,
        channels=channels,
        size=size,
        pool=pool,
        dropout=dropout,
        unit_norm=unit_norm,
    )


def _stem(channels: int, width: int, halvings: int) -> list[nn.Module]:
    """Each convolution halves the sides and doubles the maps; the last one gives `width` of them."""
    layers: list[nn.Module] = []
    for left in reversed(range(halvings)):
        maps = width if left == 0 else max(NARROWEST, width >> left)
        layers += [
            nn.Conv2d(channels, maps, 3, stride=2, padding=1, bias=left == 0),
            *([nn.BatchNorm2d(maps), nn.ReLU(inplace=True)] if left else []),
        ]
        channels = maps
    return layers


def _positions(
    maps: Float[Tensor, "batch width rows columns"],
) -> Float[Tensor, "width rows columns"]:
    """Sines and cosines of the row in one half, of the column in the other (as Vaswani et al. 2017, section 3.5)."""
    width, rows, columns = maps.shape[1:]
    rates = torch.exp(
        torch.arange(0, width // 2, 2, device=maps.device) * (-math.log(10_000.0) / (width // 2))
    )
    found = []
    for places, others in ((rows, columns), (columns, rows)):
        angles = rates[:, None] * torch.arange(places, device=maps.device)
        waves = torch.cat([angles.sin(), angles.cos()])
        found.append(waves[:, :, None].expand(-1, places, others))
    return torch.cat([found[0], found[1].mT])

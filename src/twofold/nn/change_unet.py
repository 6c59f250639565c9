"""A light twin U-Net of change on the trunk of EfficientNet-Lite0, and a metric form of it."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from twofold.errors import RecipeError
from twofold.nn import efficientnet
from twofold.nn.builder import builder
from twofold.nn.heads import initialise

__all__ = ["change_metric", "change_unet"]

TAPS = (4, 6, 8, 11)
"""Modules of EfficientNet-Lite0's trunk after which its maps have 1/2, 1/4, 1/8 and 1/16 of the sides."""

CHANNELS = (16, 24, 40, 80)
"""Maps at these places (Tan & Le 2019, table 1)."""

SCALE = 0.5
"""Standardised pictures times this have the spread that the ImageNet weights were trained on, (x - 127) / 128."""

MARGIN = 96
"""Half of the receptive field is 125 pixels: 1 + 2 + 2 + 4 + 8 + 16 + 8 + 16 + 16 in the trunk, 52 in the decoder. What
lies beyond 96 moved no probability of trained networks by more than 8e-6, beyond 80 by 6e-4, beyond 64 by 2e-3."""


class Fusion(nn.Module):
    """What differs between two maps, let through where both together say that it matters.

    f = W [|a - b|, a + b] * sigmoid(V [|a - b|, a + b]); both are 1 x 1, so that a pixel's answer
    depends on its own place.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.project = nn.Sequential(
            nn.Conv2d(2 * channels, width, 1, bias=False), nn.BatchNorm2d(width)
        )
        self.attend = nn.Conv2d(2 * channels, width, 1)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Symmetric in `a` and `b`."""
        both = torch.cat([(a - b).abs(), a + b], 1)
        return F.relu(self.project(both)) * self.attend(both).sigmoid()


class Lite0Maps(nn.Sequential):
    """The trunk of EfficientNet-Lite0 down to 1/16 of the sides, for any number of bands."""

    def __init__(self, bands: int, weights: str | None) -> None:
        whole = initialise(efficientnet.trunk(3))
        if weights is not None:
            efficientnet.load(whole, weights, channels=3)
        layers = list(whole.children())[: TAPS[-1]]
        if bands != 3:  # other bands: the first layer is drawn, the rest is kept
            layers[0] = initialise(efficientnet.convolution(bands, 32, 3, stride=2)[0])
        super().__init__(*layers)

    def forward(self, input: Float[Tensor, "batch bands height width"]) -> list[Tensor]:
        """The maps of each scale, finest first."""
        found = []
        for place, layer in enumerate(self, start=1):
            input = layer(input)
            if place in TAPS:
                found.append(input)
        return found


class ChangeUNet(nn.Module):
    """Trunk, fusion at four scales and at full size, and a decoder with a map of logits at each scale."""

    stride = 16
    margin = MARGIN

    def __init__(self, bands: int, *, width: int, dropout: float, weights: str | None) -> None:
        super().__init__()
        self.bands = bands
        self.trunk = Lite0Maps(bands, weights)
        head = nn.ModuleDict()
        head["near"] = nn.Sequential(
            nn.Conv2d(bands, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )
        head["fuse"] = nn.ModuleList(Fusion(channels, width) for channels in CHANNELS)
        head["decode"] = nn.ModuleList(_block(2 * width, width) for _ in CHANNELS[:-1])
        head["guide"] = nn.ModuleList(nn.Conv2d(width, 1, 1) for _ in CHANNELS)
        head["fuse_near"] = Fusion(16, 16)
        head["narrow"] = nn.Conv2d(width, 16, 1)
        head["last"] = nn.Sequential(_block(32, 16), nn.Conv2d(16, 1, 1))
        head["dropout"] = nn.Dropout2d(dropout)
        self.head = head

    def maps(self, batch: Float[Tensor, "batch bands height width"]) -> list[Tensor]:
        """Maps of the full size, and of 1/2 to 1/16 of it."""
        return [self.head["near"](batch), *self.trunk(batch * SCALE)]

    def compare(self, before: Sequence[Tensor], after: Sequence[Tensor]) -> list[Tensor]:
        """Logits at full size, and in training those of the four scales, coarser ones last."""
        head: Any = self.head  # typed as a table of modules, which are lists here
        fused = [
            head["dropout"](fuse(a, b))
            for fuse, a, b in zip(head["fuse"], before[1:], after[1:], strict=True)
        ]
        features, scales = fused[-1], [fused[-1]]
        for decode, finer in zip(head["decode"], fused[-2::-1], strict=True):
            features = decode(torch.cat([_twice(features), finer], 1))
            scales.insert(0, features)
        near = head["fuse_near"](before[0], after[0])
        final = head["last"](torch.cat([_twice(head["narrow"](features)), near], 1)).squeeze(1)
        if not self.training:
            return [final]
        guides = zip(head["guide"], scales, strict=True)
        return [final, *(guide(each).squeeze(1) for guide, each in guides)]


class ChangeMetric(nn.Module):
    """One unit vector per pixel and date; logits are a line over the distance of the two.

    logit = scale (d - 1), with d the Euclidean distance of two unit vectors: they are apart by 1
    where their angle is 60 degrees.
    """

    stride = 16
    margin = MARGIN
    scale = 4.0

    def __init__(self, bands: int, *, width: int, dim: int, weights: str | None) -> None:
        super().__init__()
        self.bands = bands
        self.trunk = Lite0Maps(bands, weights)
        head = nn.ModuleDict()
        head["narrow"] = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in CHANNELS)
        head["decode"] = nn.ModuleList(_block(2 * width, width) for _ in CHANNELS[:-1])
        head["last"] = nn.Conv2d(width, dim, 1)
        self.head = head

    def maps(self, batch: Float[Tensor, "batch bands height width"]) -> list[Tensor]:
        """Unit vectors, at half of the size."""
        head: Any = self.head  # typed as a table of modules, which are lists here
        narrow = [
            layer(each)
            for layer, each in zip(head["narrow"], self.trunk(batch * SCALE), strict=True)
        ]
        features = narrow[-1]
        for decode, finer in zip(head["decode"], narrow[-2::-1], strict=True):
            features = decode(torch.cat([_twice(features), finer], 1))
        return [F.normalize(head["last"](features), dim=1)]

    def compare(self, before: Sequence[Tensor], after: Sequence[Tensor]) -> list[Tensor]:
        """One map of logits."""
        # the gradient of a norm is not a number at 0
        apart = ((before[0] - after[0]).square().sum(1, keepdim=True) + 1e-6).sqrt()
        return [self.scale * (_twice(apart) - 1).squeeze(1)]


@builder(kinds=("dates",))
def change_unet(
    bands: int = 3, *, width: int = 32, dropout: float = 0.1, weights: str | None = None
) -> ChangeUNet:
    """A twin U-Net on EfficientNet-Lite0 down to 1/16: difference and attention at five scales, deep supervision.

    Args:
        bands: of a picture.
        width: maps of the decoder.
        dropout: share of whole fused maps that is dropped in training.
        weights: "imagenet" starts from weights trained on ImageNet (extra `weights`); for other
            than three bands all but the first layer.

    Raises:
        RecipeError: unknown weights. MissingExtra: their package is not installed.
    """
    _check(bands)
    return ChangeUNet(bands, width=width, dropout=dropout, weights=weights)


@builder(kinds=("dates",))
def change_metric(
    bands: int = 3, *, width: int = 32, dim: int = 16, weights: str | None = None
) -> ChangeMetric:
    """A vector per pixel and date, compared by distance: for `loss = "contrastive"` (Zhan et al. 2017).

    Args:
        bands: of a picture.
        width: maps of the decoder.
        dim: numbers of a pixel's vector.
        weights: as for `change_unet`.
    """
    _check(bands)
    return ChangeMetric(bands, width=width, dim=dim, weights=weights)


def _check(bands: int) -> None:
    if bands < 1:
        raise RecipeError(f"bands = {bands}: a picture has one or more")


def _block(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )


def _twice(maps: Tensor) -> Tensor:
    return F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)

"""Residual networks: ResNet 18, 34 and 50, and a small one for pictures of 28 to 64 pixels."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from twofold.errors import UsageError
from twofold.nn.attention import SqueezeExcite
from twofold.nn.builder import builder
from twofold.nn.heads import Encoder, encoder_for, initialise

__all__ = ["resnet18", "resnet34", "resnet50", "resnet_small"]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016, figure 5 left).

    Args:
        squeeze_excite: weigh the maps before the shortcut is added (Hu et al. 2018, figure 3).
    """

    expansion = 1

    def __init__(self, channels: int, width: int, *, stride: int = 1, squeeze_excite: bool = False):
        super().__init__()
        self.residual = nn.Sequential(
            *_convolution(channels, width, 3, stride=stride),
            nn.ReLU(inplace=True),
            *_convolution(width, width, 3),
            *([SqueezeExcite(width)] if squeeze_excite else []),
        )
        self.shortcut = _shortcut(channels, width, stride)

    def forward(
        self, features: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch maps rows columns"]:
        return torch.relu(self.shortcut(features) + self.residual(features))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut (He et al. 2016, figure 5 right).

    The stride stands on the 3x3 convolution ("v1.5": a 1x1 with stride 2 would throw away three of
    four places).
    """

    expansion = 4

    def __init__(self, channels: int, width: int, *, stride: int = 1):
        super().__init__()
        self.residual = nn.Sequential(
            *_convolution(channels, width, 1),
            nn.ReLU(inplace=True),
            *_convolution(width, width, 3, stride=stride),
            nn.ReLU(inplace=True),
            *_convolution(width, self.expansion * width, 1),
        )
        self.shortcut = _shortcut(channels, self.expansion * width, stride)

    def forward(
        self, features: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch maps rows columns"]:
        return torch.relu(self.shortcut(features) + self.residual(features))


@builder
def resnet18(
    dim: int = 256,
    *,
    channels: int = 3,
    size: int | tuple[int, int] = 112,
    pool: str = "average",
    dropout: float = 0.0,
    unit_norm: bool = True,
) -> Encoder:
    """ResNet-18 (He et al. 2016, table 1): 11.2 million weights and the projection.

    Args:
        dim: length of an embedding.
        channels: channels of a picture.
        size: height and width of a picture; only pool="flatten" is bound to it.
        pool: "average", "max", "generalised_mean", "attention" or "flatten".
        dropout: fraction of features that is dropped before the projection in training.
        unit_norm: whether embeddings have length 1.
    """
    trunk = _trunk(BasicBlock, (2, 2, 2, 2), channels)
    return encoder_for(
        trunk,
        dim=dim,
        channels=channels,
        size=size,
        pool=pool,
        dropout=dropout,
        unit_norm=unit_norm,
    )


@builder
def resnet34(
    dim: int = 256,
    *,
    channels: int = 3,
    size: int | tuple[int, int] = 112,
    pool: str = "average",
    dropout: float = 0.0,
    unit_norm: bool = True,
) -> Encoder:
    """ResNet-34 (He et al. 2016, table 1): 21.3 million weights and the projection. Arguments as `resnet18`."""
    trunk = _trunk(BasicBlock, (3, 4, 6, 3), channels)
    return encoder_for(
        trunk,
        dim=dim,
        channels=channels,
        size=size,
        pool=pool,
        dropout=dropout,
        unit_norm=unit_norm,
    )


@builder
def resnet50(
    dim: int = 256,
    *,
    channels: int = 3,
    size: int | tuple[int, int] = 112,
    pool: str = "average",
    dropout: float = 0.0,
    unit_norm: bool = True,
) -> Encoder:
    """ResNet-50 v1.5 (He et al. 2016, table 1): 23.5 million weights and the projection. Arguments as `resnet18`."""
    trunk = _trunk(Bottleneck, (3, 4, 6, 3), channels)
    return encoder_for(
        trunk,
        dim=dim,
        channels=channels,
        size=size,
        pool=pool,
        dropout=dropout,
        unit_norm=unit_norm,
    )


@builder
def resnet_small(  # noqa: PLR0913 - recipes give flat arguments
    dim: int = 256,
    *,
    channels: int = 1,
    size: int | tuple[int, int] = 35,
    width: int = 32,
    blocks: int = 1,
    stem_stride: int = 1,
    squeeze_excite: bool = False,
    pool: str = "flatten",
    dropout: float = 0.0,
    unit_norm: bool = True,
) -> Encoder:
    """A residual network for pictures of 28 to 64 pixels: a 3x3 stem and four stages that double the maps.

    Each stage halves the picture, so 35 x 35 ends as 3 x 3 places of 8 `width` maps. Flattening
    keeps where a stroke is, which averaging throws away; on small drawings that is worth more than
    the weights it costs.

    Args:
        dim: length of an embedding.
        channels: channels of a picture.
        size: height and width of a picture; only pool="flatten" is bound to it.
        width: maps of the stem and the first stage; the stages have 1, 2, 4 and 8 times as many.
        blocks: residual blocks a stage.
        stem_stride: 2 halves the picture in the stem instead of in the first stage: a third less
            work at 40 x 40.
        squeeze_excite: each block weighs its maps by the means of all (Hu et al. 2018).
        pool: "flatten", "average", "max", "generalised_mean" or "attention".
        dropout: fraction of features that is dropped before the projection in training.
        unit_norm: whether embeddings have length 1.
    """
    if stem_stride not in (1, 2):
        raise UsageError(
            f"stem_stride is {stem_stride}: 1 keeps the picture's size in the stem, 2 halves it"
        )
    strides = (3 - stem_stride, 2, 2, 2)
    stages = [
        _stage(
            partial(BasicBlock, squeeze_excite=squeeze_excite),
            max(width, width * 2**i // 2),
            width * 2**i,
            blocks=blocks,
            stride=stride,
        )
        for i, stride in enumerate(strides)
    ]
    stem = _convolution(channels, width, 3, stride=stem_stride)
    trunk = initialise(nn.Sequential(*stem, nn.ReLU(inplace=True), *stages))
    return encoder_for(
        trunk,
        dim=dim,
        channels=channels,
        size=size,
        pool=pool,
        dropout=dropout,
        unit_norm=unit_norm,
    )


def _trunk(
    block: type[BasicBlock] | type[Bottleneck], depths: Sequence[int], channels: int
) -> nn.Module:
    stages, maps = [], 64
    for index, depth in enumerate(depths):
        width = 64 * 2**index
        stages.append(
            _stage(
                block,
                maps,
                width,
                blocks=depth,
                stride=1 if index == 0 else 2,
                expansion=block.expansion,
            )
        )
        maps = block.expansion * width
    stem = [
        *_convolution(channels, 64, 7, stride=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2, padding=1),
    ]
    return initialise(nn.Sequential(*stem, *stages))


def _stage(
    block: Callable[..., nn.Module],
    channels: int,
    width: int,
    *,
    blocks: int,
    stride: int,
    expansion: int = 1,
) -> nn.Sequential:
    maps = expansion * width
    first = block(channels, width, stride=stride)
    return nn.Sequential(first, *[block(maps, width) for _ in range(blocks - 1)])


def _convolution(channels: int, maps: int, kernel: int, *, stride: int = 1) -> list[nn.Module]:
    # no bias: batch normalisation subtracts it again
    padding = kernel // 2
    return [
        nn.Conv2d(channels, maps, kernel, stride=stride, padding=padding, bias=False),
        nn.BatchNorm2d(maps),
    ]


def _shortcut(channels: int, maps: int, stride: int) -> nn.Module:
    if stride == 1 and channels == maps:
        return nn.Identity()
    return nn.Sequential(*_convolution(channels, maps, 1, stride=stride))

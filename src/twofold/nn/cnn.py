"""Plain convolutional networks: conv4, Koch's network, VGG."""

from collections.abc import Sequence

from torch import nn

from twofold.nn.builder import builder
from twofold.nn.heads import Encoder, encoder_for, initialise, map_shape

__all__ = ["conv4", "koch", "vgg11", "vgg16"]


@builder
def conv4(
    dim: int = 64,
    *,
    channels: int = 1,
    size: int | tuple[int, int] = 28,
    width: int = 64,
    pool: str = "flatten",
    dropout: float = 0.0,
    unit_norm: bool = True,
) -> Encoder:
    """Four blocks of 3x3 convolution, batch normalisation, ReLU and 2x2 pooling (Vinyals et al. 2016, section 4.1).

    The usual small network of few-shot learning: at 28 x 28 one place of 64 maps is left. Pictures
    of at least 16 x 16.

    Args:
        dim: length of an embedding.
        channels: channels of a picture.
        size: height and width of a picture.
        width: maps of each block.
        pool: "flatten", "average", "max", "generalised_mean" or "attention".
        dropout: fraction of features that is dropped before the projection in training.
        unit_norm: whether embeddings have length 1.
    """
    blocks = [_block(channels if index == 0 else width, width) for index in range(4)]
    trunk = initialise(nn.Sequential(*[nn.Sequential(*block, nn.MaxPool2d(2)) for block in blocks]))
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
def koch(
    dim: int = 4096,
    *,
    channels: int = 1,
    size: int | tuple[int, int] = 105,
    batch_norm: bool = False,
    unit_norm: bool = False,
) -> Encoder:
    """The twin network of Koch et al. 2015 (figure 4) up to its sigmoid features: 38,947,648 weights at 105 x 105.

    Convolutions of 64 at 10x10, 128 at 7x7, 128 at 4x4 and 256 at 4x4, without padding, each with
    ReLU and all but the last with 2x2 pooling; then one full layer with a sigmoid. Weights start as
    in section 3.1 of the paper: normal with deviation 0.01 (0.2 in the full layer), biases normal
    around 0.5 with deviation 0.01. "WeightedL1" compares.

    Args:
        dim: length of an embedding.
        channels: channels of a picture.
        size: height and width of a picture, at least 65.
        batch_norm: normalise after each convolution and start as He et al. 2015; not in the paper.
        unit_norm: whether embeddings have length 1; not in the paper.
    """
    height, width = (size, size) if isinstance(size, int) else size
    layers, maps = [], channels
    for index, (kernel, wider) in enumerate(((10, 64), (7, 128), (4, 128), (4, 256))):
        layers += [
            nn.Conv2d(maps, wider, kernel),
            *([nn.BatchNorm2d(wider)] if batch_norm else []),
            nn.ReLU(inplace=True),
        ]
        layers += [nn.MaxPool2d(2)] if index < 3 else []
        maps = wider
    trunk = nn.Sequential(*layers)
    maps, rows, columns = map_shape(trunk, channels, (height, width))
    full = nn.Linear(maps * rows * columns, dim)
    initialise(trunk) if batch_norm else _initialise_as_koch(trunk, full)
    head = nn.Sequential(nn.Flatten(), full, nn.Sigmoid())
    return Encoder(trunk, head, dim=dim, picture=(channels, height, width), unit_norm=unit_norm)


def _initialise_as_koch(trunk: nn.Sequential, full: nn.Linear) -> None:
    for layer, deviation in (
        *((layer, 0.01) for layer in trunk if isinstance(layer, nn.Conv2d)),
        (full, 0.2),
    ):
        nn.init.normal_(layer.weight, std=deviation)
        if layer.bias is not None:
            nn.init.normal_(layer.bias, mean=0.5, std=0.01)


@builder
def vgg11(
    dim: int = 256,
    *,
    channels: int = 3,
    size: int | tuple[int, int] = 112,
    width: int = 64,
    pool: str = "average",
    dropout: float = 0.0,
    unit_norm: bool = True,
) -> Encoder:
    """VGG-11 (Simonyan & Zisserman 2015, table 1, column A) with batch normalisation, pooled and projected.

    The paper's three full layers, nine tenths of its weights, are left out. Pictures of at least 32
    x 32.

    Args:
        dim: length of an embedding.
        channels: channels of a picture.
        size: height and width of a picture; only pool="flatten" is bound to it.
        width: maps of the first block; the others have 2, 4, 8 and 8 times as many.
        pool: "average", "max", "generalised_mean", "attention" or "flatten".
        dropout: fraction of features that is dropped before the projection in training.
        unit_norm: whether embeddings have length 1.
    """
    trunk = _vgg((1, 1, 2, 2, 2), channels, width=width)
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
def vgg16(
    dim: int = 256,
    *,
    channels: int = 3,
    size: int | tuple[int, int] = 112,
    width: int = 64,
    pool: str = "average",
    dropout: float = 0.0,
    unit_norm: bool = True,
) -> Encoder:
    """VGG-16 (Simonyan & Zisserman 2015, table 1, column D) with batch normalisation. Arguments as `vgg11`."""
    trunk = _vgg((2, 2, 3, 3, 3), channels, width=width)
    return encoder_for(
        trunk,
        dim=dim,
        channels=channels,
        size=size,
        pool=pool,
        dropout=dropout,
        unit_norm=unit_norm,
    )


def _vgg(depths: Sequence[int], channels: int, *, width: int) -> nn.Module:
    layers, maps = [], channels
    for depth, factor in zip(depths, (1, 2, 4, 8, 8), strict=True):
        for _ in range(depth):
            layers += _block(maps, factor * width)
            maps = factor * width
        layers.append(nn.MaxPool2d(2))
    return initialise(nn.Sequential(*layers))


def _block(channels: int, maps: int) -> list[nn.Module]:
    # no bias: batch normalisation subtracts it again
    return [
        nn.Conv2d(channels, maps, 3, padding=1, bias=False),
        nn.BatchNorm2d(maps),
        nn.ReLU(inplace=True),
    ]

"""Plain convolutional networks: conv4, Koch's network, VGG."""

from torch import nn

from twofold.nn.builder import builder
from twofold.nn.heads import Encoder, encoder_for, initialise

__all__ = ["conv4"]


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

    The usual small network of few-shot learning: at 28 x 28 one place of 64 maps is left. Pictures of at least 16 x 16.

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
    return encoder_for(trunk, dim=dim, channels=channels, size=size, pool=pool, dropout=dropout, unit_norm=unit_norm)


def _block(channels: int, maps: int) -> list[nn.Module]:
    # no bias: batch normalisation subtracts it again
    return [nn.Conv2d(channels, maps, 3, padding=1, bias=False), nn.BatchNorm2d(maps), nn.ReLU(inplace=True)]

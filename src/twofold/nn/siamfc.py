"""SiamFC (Bertinetto et al. 2016): a small AlexNet from scratch, one cross-correlation, one map of scores."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from twofold.nn.builder import builder
from twofold.nn.correlation import sampled
from twofold.nn.heads import initialise

__all__ = ["siamfc"]

CELLS = 7
"""Points of the template on each side, one stride apart: 56 pixels, about the object (6 in the paper)."""

LAYERS = ((11, 2, 0.25), (5, 1, 1.0), (3, 1, 1.5), (3, 1, 1.5), (3, 1, 1.0))
"""Kernel, stride and share of the width of each convolution; a pool of stride 2 follows the first two (AlexNet's)."""


class SiamFC(nn.Module):
    """Scores only: the box keeps the size that it had, and scales are searched by the tracker."""

    exemplar_side, search_side, stride, multiple = 128, 256, 8, 8

    def __init__(self, *, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for place, (kernel, stride, share) in enumerate(LAYERS):
            maps = max(1, round(width * share))
            layers += _convolution(channels, maps, kernel, stride)
            if place < 2:
                layers.append(nn.MaxPool2d(3, 2, padding=1))
            channels = maps
        self.trunk = nn.Sequential(*layers[:-1])  # the last maps may be negative
        self.head = nn.Conv2d(1, 1, 1)
        initialise(self)  # biases are 0
        nn.init.constant_(self.head.weight, 1.0)

    def exemplar(
        self, batch: Float[Tensor, "batch 3 side side"], sizes: Float[Tensor, "batch 2"]
    ) -> list[Tensor]:
        """Points around the middle, and the size that the box keeps."""
        maps = self.trunk(batch)
        reach = torch.full_like(sizes, (CELLS - 1) * self.stride / batch.shape[3])
        return [sampled(maps, reach, CELLS), sizes]

    def features(self, batch: Float[Tensor, "batch 3 height width"]) -> list[Tensor]:
        """The maps of search windows, at 1/8 of their sides."""
        return [self.trunk(batch)]

    def compare(
        self, template: Sequence[Tensor], features: Sequence[Tensor]
    ) -> tuple[Float[Tensor, "batch rows columns"], Float[Tensor, "batch 4 rows columns"]]:
        """One cross-correlation over all channels; every cell says the size of the exemplar."""
        (kernel, sizes), (maps,) = template, features
        batch, channels, rows, columns = maps.shape
        # a mean over channels and points keeps its spread, whatever their number
        scores = F.conv2d(
            maps.reshape(1, batch * channels, rows, columns),
            kernel * (channels * CELLS**2) ** -0.5,
            padding=CELLS // 2,
            groups=batch,
        ).view(batch, 1, rows, columns)
        sides = sizes.repeat(1, 2)[:, :, None, None] / 2
        return self.head(scores)[:, 0], sides.expand(batch, 4, rows, columns)


@builder(kinds=("tracks",))
def siamfc(*, width: int = 128) -> SiamFC:
    """SiamFC's own network at half of its width, from scratch: the reference that other networks are held against.

    Args:
        width: maps of the last convolution (256 in the paper); the others follow.
    """
    return SiamFC(width=width)


def _convolution(channels: int, maps: int, kernel: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, maps, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(maps),
        nn.ReLU(inplace=True),
    ]

"""FC-Siam-diff and FC-Siam-conc (Daudt et al. 2018): the reference networks of change detection."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from twofold.nn.builder import builder

__all__ = ["fc_siam_conc", "fc_siam_diff"]

WIDTHS = (16, 32, 64, 128)
DEPTHS = (2, 2, 3, 3)
"""Maps and convolutions of each level (Daudt et al. 2018, figure 1)."""

MARGIN = 64
"""Half of the receptive field is 114 pixels: 2, 4, 12, 24 down, 16, 24, 8, 12, 4, 4, 2, 2 up. What lies beyond 64 moved
no probability of a trained network by more than 1e-6, beyond 32 by 6e-5."""

Join = Callable[[Tensor, Tensor], Tensor]


class FCSiam(nn.Module):
    """A U-Net whose two encoders share their weights; its skips carry both dates.

    The published decoder begins with the deepest maps of the second date alone. Here it begins with
    the mean of both dates, so that the network is symmetric.
    """

    stride = 16
    margin = MARGIN

    def __init__(self, bands: int, join: Join, *, joined: int, dropout: float) -> None:
        super().__init__()
        self.bands, self.join = bands, join
        self.trunk = nn.ModuleList()
        channels = bands
        for width, depth in zip(WIDTHS, DEPTHS, strict=True):
            layers = _convolutions(channels, [width] * depth, dropout)
            self.trunk.append(layers)
            channels = width
        self.pool = nn.MaxPool2d(2)
        head = nn.ModuleList()
        for width, depth, narrower in zip(
            WIDTHS[::-1], DEPTHS[::-1], (*WIDTHS[-2::-1], None), strict=True
        ):
            up = nn.ConvTranspose2d(width, width, 3, padding=1, stride=2, output_padding=1)
            widths = [width] * (depth - 1) + ([narrower] if narrower else [])
            layers = _convolutions(width * (1 + joined), widths, dropout)
            head.append(nn.ModuleList([up, layers]))
        self.head = head
        self.project = nn.Conv2d(WIDTHS[0], 1, 3, padding=1)

    def maps(self, batch: Float[Tensor, "batch bands height width"]) -> list[Tensor]:
        """The maps of each level before pooling, and the pooled deepest ones."""
        found = []
        for level in self.trunk:
            batch = level(batch)
            found.append(batch)
            batch = self.pool(batch)
        return [*found, batch]

    def compare(self, before: Sequence[Tensor], after: Sequence[Tensor]) -> list[Tensor]:
        """One map of logits."""
        features = (before[-1] + after[-1]) / 2
        for stage, one, other in zip(self.head, before[-2::-1], after[-2::-1], strict=True):
            up, layers = stage  # type: ignore[misc]
            features = layers(torch.cat([up(features), self.join(one, other)], 1))
        return [self.project(features).squeeze(1)]


@builder(kinds=("dates",))
def fc_siam_diff(bands: int = 3, *, dropout: float = 0.2) -> FCSiam:
    """FC-Siam-diff: skips carry |a - b|; 1.35 million weights (Daudt et al. 2018, section 3).

    Args:
        bands: of a picture.
        dropout: share of whole maps that is dropped in training.
    """
    return FCSiam(bands, lambda a, b: (a - b).abs(), joined=1, dropout=dropout)


@builder(kinds=("dates",))
def fc_siam_conc(bands: int = 3, *, dropout: float = 0.2) -> FCSiam:
    """FC-Siam-conc: skips carry both dates, the smaller and the larger value of each: concatenation without its order.

    Args:
        bands: of a picture.
        dropout: share of whole maps that is dropped in training.
    """

    def both(a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([torch.minimum(a, b), torch.maximum(a, b)], 1)

    return FCSiam(bands, both, joined=2, dropout=dropout)


def _convolutions(channels: int, widths: Sequence[int], dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in widths:
        layers += [
            nn.Conv2d(channels, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Dropout2d(dropout),
        ]
        channels = width
    return nn.Sequential(*layers)

"""What a tracker compares: templates sampled around an object, correlated with the maps of a search window."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

__all__ = ["box_mask", "cell_correlation", "depthwise_correlation", "sampled"]


def sampled(
    maps: Float[Tensor, "batch channels side side"],
    reach: Float[Tensor, "batch 2"],
    cells: int,
) -> Float[Tensor, "batch channels cells cells"]:
    """`cells` x `cells` points of square maps, evenly spaced about the middle, bilinearly.

    Args:
        reach: how far the outermost points lie from the middle, across and down, in shares of half
            the side; beyond 1 the border is repeated.
        cells: an odd number, so that one point is the middle.
    """
    line = torch.linspace(-1, 1, cells, device=maps.device, dtype=maps.dtype)
    down, across = torch.meshgrid(line, line, indexing="ij")
    grid = torch.stack([across, down], 2)[None] * reach.to(maps.dtype)[:, None, None, :]
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=False)


def box_mask(
    sizes: Float[Tensor, "batch 2"], cells: int, spacing: float
) -> Float[Tensor, "batch 1 cells cells"]:
    """Which share of each cell lies inside a box around the middle.

    Args:
        sizes: width and height of the boxes in pixels.
        spacing: pixels between two cells.
    """
    places = torch.arange(cells, device=sizes.device, dtype=sizes.dtype) - (cells - 1) / 2
    inside = (sizes[:, :, None] / 2 - places.abs() * spacing) / spacing + 0.5
    across, down = inside.clamp(0, 1).unbind(1)
    return (down[:, :, None] * across[:, None, :])[:, None]


def depthwise_correlation(
    kernel: Float[Tensor, "batch channels cells cells"],
    maps: Float[Tensor, "batch channels rows columns"],
) -> Float[Tensor, "batch channels rows columns"]:
    """Each channel of the kernel slides over the same channel of the maps (Li et al. 2019, section 3.4).

    Zeros surround the maps, so that cell (r, c) of the answer is about a kernel whose middle lies on
    cell (r, c).
    """
    batch, channels, rows, columns = maps.shape
    cells = kernel.shape[2]
    found = F.conv2d(
        maps.reshape(1, batch * channels, rows, columns),
        kernel.reshape(batch * channels, 1, cells, cells),
        padding=cells // 2,
        groups=batch * channels,
    )
    return found.view(batch, channels, rows, columns)


def cell_correlation(
    kernel: Float[Tensor, "batch channels cells cells"],
    maps: Float[Tensor, "batch channels rows columns"],
) -> Float[Tensor, "batch points rows columns"]:
    """How much each point of the kernel looks like each place of the maps: one map per point (Yan et al. 2021).

    The sum over channels is divided by the root of their number, so that it keeps its spread.
    """
    batch, channels, rows, columns = maps.shape
    points = kernel.flatten(2) * channels**-0.5
    # channels beside each other, as the maps are where they are run
    places = maps.permute(0, 2, 3, 1).reshape(batch, rows * columns, channels)
    return torch.bmm(places, points).view(batch, rows, columns, -1).permute(0, 3, 1, 2)

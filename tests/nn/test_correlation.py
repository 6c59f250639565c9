"""Correlation of templates, against loops over its definition."""

import torch

from twofold.nn.correlation import (
    box_mask,
    cell_correlation,
    depthwise_correlation,
    sampled,
)

DRAWN = torch.Generator().manual_seed(0)


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=DRAWN, dtype=torch.float64)


def test_each_channel_slides_over_its_own():
    kernel, maps = drawn(2, 3, 3, 3), drawn(2, 3, 5, 6)
    found = depthwise_correlation(kernel, maps)
    for row, column in ((0, 0), (2, 3), (4, 5)):
        total = torch.zeros(2, 3, dtype=torch.float64)
        for down in (-1, 0, 1):
            for across in (-1, 0, 1):
                y, x = row + down, column + across
                if 0 <= y < 5 and 0 <= x < 6:
                    total += kernel[:, :, down + 1, across + 1] * maps[:, :, y, x]
        torch.testing.assert_close(found[:, :, row, column], total)


def test_each_point_is_compared_with_each_place():
    kernel, maps = drawn(2, 4, 3, 3), drawn(2, 4, 5, 6)
    found = cell_correlation(kernel, maps)
    assert found.shape == (2, 9, 5, 6)
    expected = (kernel[1, :, 1, 2] * maps[1, :, 4, 0]).sum() / 2
    torch.testing.assert_close(found[1, 5, 4, 0], expected)


def test_points_around_the_middle():
    side = 8
    across = torch.arange(side, dtype=torch.float64) + 0.5
    maps = torch.stack([across.expand(side, side), across[:, None].expand(side, side)])[None]
    found = sampled(maps, torch.tensor([[0.5, 0.25]]), 5)
    torch.testing.assert_close(found[0, 0, 2], torch.tensor([2.0, 3, 4, 5, 6]).double())
    torch.testing.assert_close(found[0, 1, :, 2], torch.tensor([3.0, 3.5, 4, 4.5, 5]).double())


def test_a_box_covers_shares_of_cells():
    mask = box_mask(torch.tensor([[32.0, 24.0]]), 5, 16.0)
    torch.testing.assert_close(mask[0, 0, 2], torch.tensor([0.0, 0.5, 1.0, 0.5, 0.0]))
    torch.testing.assert_close(mask[0, 0, :, 2], torch.tensor([0.0, 0.25, 1.0, 0.25, 0.0]))
    assert float(mask.sum()) == 2.0 * 1.5

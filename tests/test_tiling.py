"""Tiles that are blended give what the network gives for the whole scene."""

import numpy as np
import pytest
import torch
from torch import nn

import rasters
from twofold import tiling
from twofold.inputs.raster_source import ArraySource, statistics
from twofold.maps.dates import Dates
from twofold.metrics.spatial import LEVELS, NOTHING
from twofold.tiling import Grid, pieces, probabilities


class Drawn:
    """A small symmetric network with pooling: its answer depends on 12 pixels around a pixel."""

    stride, margin = 4, 12

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.calls = []
        self.net = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(4),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.Upsample(scale_factor=4),
            nn.Conv2d(8, 1, 3, padding=1),
        ).requires_grad_(False)
        for each in self.net.parameters():
            each.copy_(torch.randn(each.shape, generator=generator) / 4)

    def normalise(self, pixels, statistics, valid=None):
        mean = statistics.mean.astype(np.float32)[:, None, None]
        return np.where(valid, pixels.astype(np.float32), mean)

    def __call__(self, before, after):
        assert before.shape[1] % 4 == 0 and before.shape[2] % 4 == 0
        self.calls.append(before.shape)
        apart = (torch.from_numpy(before) - torch.from_numpy(after)).abs() / 50
        return torch.sigmoid(self.net(apart[None])[0, 0]).numpy()


def dates(height, width, *, nodata=None):
    first = rasters.drawn(height, width)
    second = rasters.changed(rasters.drawn(height, width, seed=1), (10, 10, 20))
    sources = [ArraySource(array=each, nodata=nodata) for each in (first, second)]
    return Dates(before=sources[0], after=sources[1], statistics=tuple(map(statistics, sources)))


def untiled(scene, judge):
    """The network over all of it at once, its sides brought to a multiple of the stride."""
    height, width = scene.size
    below, beside = -height % judge.stride, -width % judge.stride
    padded = [
        np.pad(each, ((0, 0), (0, below), (0, beside)), mode="symmetric")
        for each in scene.values((0, 0, height, width), judge)
    ]
    return judge(*padded)[:height, :width]


@pytest.mark.parametrize("size", [(64, 64), (96, 128), (200, 333), (301, 97), (400, 60), (5, 7)])
@pytest.mark.parametrize("strip", [1, 2, 8])
def test_tiles_give_what_the_whole_gives(monkeypatch, size, strip):
    monkeypatch.setattr(tiling, "TILES_PER_STRIP", strip)
    scene, judge = dates(*size), Drawn()
    found = probabilities(scene, judge, tile=96)
    np.testing.assert_allclose(found, untiled(scene, judge), atol=1 / LEVELS)
    assert all(max(shape[1:]) <= 96 for shape in judge.calls[:-1])


def test_weights_sum_to_one():
    for length in (10, 95, 96, 97, 130, 500, 1001):
        grid = Grid.of((length, length), Drawn(), tile=96)
        total = np.zeros(length)
        for number in range(grid.rows):
            low, weights = grid.weights(number, length)
            total[low : low + len(weights)] += weights
            first, side = grid.place(number, length)
            assert first + side >= low + len(weights) and side % 4 == 0
        np.testing.assert_allclose(total, 1, atol=1e-6)
        assert grid.decided_rows(grid.rows - 1)[1] == length


@pytest.mark.parametrize("first", [1, 2, 4])
def test_going_on_gives_the_same_bits(monkeypatch, first):
    monkeypatch.setattr(tiling, "TILES_PER_STRIP", 2)
    scene, judge = dates(250, 200), Drawn()
    grid = Grid.of(scene.size, judge, tile=96)
    assert grid.rows > 4 and grid.strips > 1
    for strip in range(grid.strips):
        whole = list(pieces(scene, judge, grid, strip=strip))
        rest = list(pieces(scene, judge, grid, strip=strip, first=first))
        for (number, piece), (again, other) in zip(whole[first:], rest, strict=True):
            assert number == again
            np.testing.assert_array_equal(piece, other)


def test_the_dates_may_be_swapped():
    scene, judge = dates(130, 150), Drawn()
    swapped = Dates(before=scene.after, after=scene.before, statistics=scene.statistics[::-1])
    np.testing.assert_array_equal(
        probabilities(scene, judge, tile=96), probabilities(swapped, judge, tile=96)
    )


def test_pixels_without_a_value_in_one_date():
    scene, judge = dates(130, 150, nodata=0), Drawn()
    scene.before.array[:, 40:60, 70:] = 0
    scene.after.array[:, :5] = 0
    grid = Grid.of(scene.size, judge, tile=96)
    found = np.concatenate([piece for _, piece in pieces(scene, judge, grid, strip=0)])
    missing = np.zeros((130, 150), bool)
    missing[40:60, 70:] = missing[:5] = True
    np.testing.assert_array_equal(found == NOTHING, missing)
    np.testing.assert_array_equal(np.isnan(probabilities(scene, judge, tile=96)), missing)


def test_tiles_without_a_value_are_not_computed():
    scene, judge = dates(130, 400, nodata=0), Drawn()
    scene.before.array[:, :, 150:] = 0
    probabilities(scene, judge, tile=96)
    grid = Grid.of(scene.size, judge, tile=96)
    assert len(judge.calls) < grid.rows * grid.columns


@pytest.mark.parametrize(("stride", "margin"), [(1, 0), (16, 128), (32, 10), (7, 3)])
def test_every_network_has_a_grid(stride, margin):
    judge = Drawn()
    judge.stride, judge.margin = stride, margin
    for wanted in (None, 1, 300):
        grid = Grid.of((5000, 100), judge, tile=wanted)
        assert grid.tile % stride == grid.step % stride == 0 and grid.step > 0
        assert grid.tile - 2 * grid.margin - grid.step >= 1
        assert grid.margin >= margin

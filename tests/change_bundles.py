"""A bundle of change for tests: nothing of it was trained."""

from dataclasses import replace

import torch
from torch import nn

from twofold import build, recipes
from twofold.change_bundle import ChangeBundle
from twofold.inputs import Raster
from twofold.results import ChangeThreshold, RelativeThreshold
from twofold.twin import ChangeTwin

THRESHOLD = ChangeThreshold(
    probability=0.5, f1=0.5, false_change_rate=0.01, scenes=2, certificate_scenes=700
)


RELATIVE = replace(
    THRESHOLD, relative=RelativeThreshold(quantile=0.95, above=2.0, lowest=-2.0, highest=4.0)
)


class Differences(nn.Module):
    """Logits from the difference of both dates, averaged over squares of 8 pixels: it needs no training."""

    stride, margin = 8, 8

    def __init__(self, bands):
        super().__init__()
        self.bands = bands
        self.weight = nn.Parameter(torch.ones(1))

    def maps(self, batch):
        return [batch]

    def compare(self, before, after):
        apart = (before[0] - after[0]).abs().mean(1, keepdim=True) * self.weight
        coarse = nn.functional.avg_pool2d(apart, 8)
        smooth = nn.functional.interpolate(coarse, scale_factor=8)
        return [(4 * (apart + smooth) / 2 - 4)[:, 0]]


def of_differences(bands=3, *, threshold=THRESHOLD):
    """A bundle that sees differences of light; it cannot be saved."""
    twin = ChangeTwin(Raster(bands=bands), Differences(bands)).eval()
    return ChangeBundle(twin=twin, recipe=recipes.change(), threshold=threshold)


def of_network(network="fc_siam_diff", *, threshold=THRESHOLD):
    """An untrained bundle that can be saved."""
    recipe = recipes.change().replace({"encoder.name": network})
    twin = build.change_twin(recipe, seed=0).eval()
    return ChangeBundle(twin=twin, recipe=recipe, threshold=threshold, training={"epochs": 2})

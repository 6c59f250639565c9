"""Convolutions as they are run give what they gave in training."""

import copy

import pytest
import torch
from torch import nn

from twofold.nn.efficientnet import InvertedResidual, SamePadConvolution, convolution
from twofold.nn.folding import merge_norms
from twofold.nn.running import FusedConvolution, fuse_activations, pad_inside


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_padding_inside_is_the_same(kernel: int, stride: int):
    layers = nn.Sequential(SamePadConvolution(4, 6, kernel, stride))
    inside = copy.deepcopy(layers)
    pad_inside(inside)
    assert type(inside[0]) is nn.Conv2d
    input = torch.randn(2, 4, 16, 20, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layers(input), inside(input))


@pytest.mark.parametrize("grad", [True, False])
def test_activations_in_the_same_pass(grad: bool):
    block = InvertedResidual(8, 8, kernel=3, stride=1, expansion=2)
    stem = nn.Sequential(*convolution(3, 8, 3, stride=2), nn.ReLU6(inplace=True), block)
    whole = nn.Sequential(stem, nn.Conv2d(8, 4, 1), nn.ReLU()).eval()
    run = copy.deepcopy(whole)
    merge_norms(run)
    pad_inside(run)
    fuse_activations(run)
    assert sum(isinstance(part, FusedConvolution) for part in run.modules()) == 5
    assert not any(isinstance(part, nn.BatchNorm2d) for part in run.modules())
    generator = torch.Generator().manual_seed(1)
    with torch.set_grad_enabled(grad):
        for side in (16, 24):  # weights laid out for one size serve others
            input = torch.randn(1, 3, side, side, generator=generator)
            torch.testing.assert_close(whole(input), run(input), atol=1e-4, rtol=1e-4)

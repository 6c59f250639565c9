"""Convolutions over series: a vector depends on its item alone, and training reaches every weight."""

import inspect

import numpy as np
import pytest
import torch

from twofold import nn as encoders
from twofold.build import seeded
from twofold.errors import UsageError
from twofold.inputs.padded import Padded, padded
from twofold.nn.builder import built_from, kinds_of
from twofold.nn.sequence_pool import SEQUENCE_POOLS

NAMES = [
    name
    for name in encoders.__all__
    if kinds_of(make := getattr(encoders, name)) == ("series",)
    and "pool" in inspect.signature(make).parameters
]
CASES = [(name, pool) for name in NAMES for pool in SEQUENCE_POOLS]
SMALL = {"channels": 2, "dim": 8, "width": 16}


def batch(lengths=(30, 1, 17, 6), seed=0):
    random = np.random.default_rng(seed)
    return padded([random.normal(size=(length, 2)).astype(np.float32) for length in lengths])


@pytest.fixture(params=CASES, ids=str)
def encoder(request):
    name, pool = request.param
    with seeded(0):
        return getattr(encoders, name)(pool=pool, **SMALL).eval()


def test_a_vector_depends_on_its_item_alone(encoder):
    given = batch()
    together = encoder(given)
    assert together.shape == (4, 8)
    assert torch.allclose(together.norm(dim=1), torch.ones(4), atol=1e-5)
    alone = torch.cat([encoder(given[row : row + 1]) for row in range(4)])
    assert (alone - together).abs().max() < 1e-5
    wider = torch.cat([given.values, torch.full((4, 9, 2), 29.0)], dim=1)
    spoilt = torch.where((torch.arange(39) < given.lengths[:, None])[..., None], wider, 17.0)
    assert (encoder(Padded(spoilt, given.lengths)) - together).abs().max() < 1e-5


def test_norms_in_training_leave_padding_out(encoder):
    encoder.train()
    encoder.head.project[0].p = 0.0
    given = batch((12, 5))
    wider = Padded(torch.nn.functional.pad(given.values, (0, 0, 0, 20)), given.lengths)
    assert (encoder(wider) - encoder(given)).abs().max() < 1e-4


def test_every_weight_learns(encoder):
    encoder.train()
    encoder(batch((9, 5, 40))).pow(3).sum().backward()
    still = [
        name
        for name, weight in encoder.named_parameters()
        if weight.grad is None or not weight.grad.any()
    ]
    assert not still


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_gives_float32_vectors(name):
    made = getattr(encoders, name)(**SMALL).eval()
    assert built_from(made)["channels"] == 2
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        halved = made(batch())
    assert halved.dtype == torch.float32
    assert (halved - made(batch())).abs().max() < 0.05
    with torch.autocast("cpu", torch.bfloat16):
        made.train()(batch()).sum().backward()


@pytest.mark.parametrize("name", NAMES)
def test_other_things_are_refused(name):
    with pytest.raises(UsageError, match="takes sequences"):
        getattr(encoders, name)(**SMALL)(torch.zeros(2, 3, 8, 8))

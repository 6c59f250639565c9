"""Encoders of sequences: an item's vector depends on the item alone, and training reaches every weight."""

import numpy as np
import pytest
import torch

from twofold import nn as encoders
from twofold.build import seeded, twin
from twofold.config import Recipe
from twofold.errors import RecipeError, UsageError
from twofold.inputs.padded import Padded, padded
from twofold.nn.builder import built_from, kinds_of
from twofold.nn.sequence_pool import SEQUENCE_POOLS

KINDS = ("symbols", "series")
NAMES = [name for name in encoders.__all__ if kinds_of(getattr(encoders, name)) == KINDS]
CASES = [*((name, {"pool": pool}) for name in NAMES for pool in SEQUENCE_POOLS), ("minilm", {})]
SMALL = {"dim": 8, "width": 32}


def batch(lengths=(7, 1, 4), symbols=30, seed=0):
    random = np.random.default_rng(seed)
    return padded([random.integers(1, symbols, length) for length in lengths])


@pytest.fixture(params=CASES, ids=str)
def encoder(request):
    name, settings = request.param
    with seeded(0):
        return getattr(encoders, name)(symbols=30, **settings, **SMALL).eval()


def test_a_vector_depends_on_its_item_alone(encoder):
    given = batch()
    together = encoder(given)
    assert together.shape == (3, 8) and torch.allclose(
        together.norm(dim=1), torch.ones(3), atol=1e-5
    )
    alone = torch.cat([encoder(given[row : row + 1]) for row in range(3)])
    assert (alone - together).abs().max() < 1e-6
    wider = torch.cat([given.values, torch.full((3, 9), 29)], dim=1)
    spoilt = torch.where(torch.arange(16) < given.lengths[:, None], wider, 17)
    assert (encoder(Padded(spoilt, given.lengths)) - together).abs().max() < 1e-6


def test_every_weight_learns(encoder):
    encoder.train()
    encoder(batch((9, 5, 7))).pow(3).sum().backward()
    still = [
        name
        for name, weight in encoder.named_parameters()
        if weight.grad is None or not weight.grad.any()
    ]
    assert not still


def test_the_order_of_symbols_counts(encoder):
    a = padded([np.array([3, 4, 5, 6, 7])])
    b = padded([np.array([7, 6, 5, 4, 3])])
    assert (encoder(a) - encoder(b)).abs().max() > 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_series_are_taken_too(name):
    made = getattr(encoders, name)(channels=3, **SMALL)
    values = padded([np.ones((5, 3), np.float32), np.ones((2, 3), np.float32)])
    assert made(values).shape == (2, 8)
    assert built_from(made)["channels"] == 3
    with pytest.raises(RecipeError, match="of symbols or of channels"):
        getattr(encoders, name)(**SMALL)


@pytest.mark.parametrize("name", [*NAMES, "minilm"])
def test_half_precision_gives_float32_vectors(name):
    made = getattr(encoders, name)(symbols=30, **SMALL).eval()
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        halved = made(batch())
    assert halved.dtype == torch.float32
    assert (halved - made(batch())).abs().max() < 0.05


@pytest.mark.parametrize(
    ("input", "encoder", "said"),
    [
        (
            "Text",
            "resnet18",
            "resnet18 takes pictures, and the input Text gives symbols: take one of bag, gru",
        ),
        (
            "Image",
            "lstm",
            "lstm takes symbols or series, and the input Image gives pictures: take one of aligned",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_with_what_does(input, encoder, said):
    with pytest.raises(RecipeError, match=said):
        twin(Recipe.model_validate({"input": input, "encoder": encoder}))


def test_pictures_given_to_an_encoder_of_sequences():
    with pytest.raises(UsageError, match="takes sequences"):
        encoders.lstm(symbols=30)(torch.zeros(2, 3, 8, 8))


def test_a_bag_of_symbols_depends_on_its_item_alone_and_on_no_order():
    with seeded(0):
        bag = encoders.bag(symbols=30, dim=8).eval()
    given = batch()
    together = bag(given)
    assert torch.allclose(together.norm(dim=1), torch.ones(3), atol=1e-5)
    assert (
        torch.cat([bag(given[row : row + 1]) for row in range(3)]) - together
    ).abs().max() < 1e-6
    turned = Padded(given.values[:1].flip(1), given.lengths[:1])
    assert (bag(turned) - together[:1]).abs().max() < 1e-6
    one = bag(padded([np.array([7])]))[0]
    assert torch.allclose(one, torch.nn.functional.normalize(bag.table.weight[7], dim=0), atol=1e-6)


def test_a_bag_weighs_symbols_by_rarity_once():
    bag = encoders.bag(symbols=10, dim=4)
    bag.prepare(padded([np.array(each)]) for each in ([1, 1, 2], [1, 3], [1]))
    weights = (10 * bag.weights.weight[:, 0]).exp()
    assert weights[[1, 2, 9]].tolist() == pytest.approx(
        [np.log(4 / 4) + 1, np.log(4 / 2) + 1, np.log(4) + 1], rel=1e-5
    )
    bag.prepare([padded([np.array([5])])])
    assert (10 * bag.weights.weight[:, 0]).exp().tolist() == weights.tolist()


def test_an_unknown_pool():
    with pytest.raises(RecipeError, match="pool = 'middle' does not pool sequences"):
        encoders.lstm(symbols=30, pool="middle")

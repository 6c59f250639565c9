"""Heads on vectors: what they start from, what they learn of the training vectors, and what they refuse."""

import numpy as np
import pytest
import torch

from twofold import nn as encoders
from twofold.build import seeded, twin
from twofold.config import Recipe
from twofold.errors import RecipeError, UsageError
from twofold.nn.builder import built_from, kinds_of

NAMES = [name for name in encoders.__all__ if kinds_of(getattr(encoders, name)) == ("vectors",)]


def made(name, size=6, **settings):
    with seeded(0):
        return getattr(encoders, name)(size=size, **settings).eval()


def vectors(count=5, size=6):
    return torch.randn(count, size, generator=torch.Generator().manual_seed(1))


def test_which_they_are():
    assert NAMES == ["identity", "linear", "mlp"]


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_learns_and_a_vector_depends_on_its_item_alone(name):
    encoder = made(name, unit_norm=True).train()
    for part in encoder.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    found = encoder(vectors())
    torch.testing.assert_close(found.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(encoder(vectors()[2:3]), found[2:3])
    if name == "mlp":  # its last layer begins with zeros: one step, and everything learns
        with torch.no_grad():
            encoder.layers[-1].weight.normal_()
    if name != "identity":
        encoder(vectors()).pow(3).sum().backward()
    assert all(weight.grad.any() for weight in encoder.parameters())
    assert built_from(encoder)["name"] == name and built_from(encoder)["size"] == 6


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_at_first_angles_are_those_of_the_vectors(name):
    encoder = made(name, dim=6)
    cosine = torch.nn.functional.normalize(vectors())
    torch.testing.assert_close(encoder(vectors()) @ encoder(vectors()).T, cosine @ cosine.T)


def test_the_mean_and_the_spread_of_the_training_vectors_are_learned_once():
    encoder = made("linear", dim=6)
    plain = np.random.default_rng(0).normal(size=(50, 6))
    encoder.prepare([torch.as_tensor(100 + 0.01 * plain, dtype=torch.float32)])
    mean, scale = encoder.mean.clone(), float(encoder.scale)
    assert abs(float(mean[0]) - 100) < 0.01 and 80 < scale < 120
    encoder.prepare([torch.as_tensor(plain, dtype=torch.float32)])
    assert torch.equal(encoder.mean, mean) and float(encoder.scale) == scale
    known = made("linear", dim=6)
    known.load_state_dict(encoder.state_dict())
    assert float(known.scale) == scale


def test_constant_vectors_do_not_blow_up():
    encoder = made("linear")
    encoder.prepare([torch.as_tensor(np.ones((4, 6)), dtype=torch.float32)])
    assert torch.isfinite(encoder(vectors())).all()


def test_the_identity_has_no_weights():
    assert not list(made("identity").parameters())
    torch.testing.assert_close(made("identity")(vectors()), vectors())


@pytest.mark.parametrize("batch", [torch.zeros(2, 5), torch.zeros(2, 1, 8, 8), "words"], ids=str)
def test_other_things_are_refused(batch):
    with pytest.raises(UsageError, match="takes vectors of 6 numbers"):
        made("mlp")(batch)


def test_encoders_of_pictures_do_not_take_vectors():
    recipe = Recipe(input={"name": "Vector", "size": 4}, encoder="resnet_small")
    with pytest.raises(RecipeError, match="gives vectors: take one of identity, linear, mlp"):
        twin(recipe)
    with pytest.raises(RecipeError, match="mlp takes vectors"):
        twin(Recipe(encoder="mlp"))

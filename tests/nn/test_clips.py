"""Encoders of clips: frames go through one network, and only one of the two heads knows their order."""

import pytest
import torch

from twofold import nn as encoders
from twofold.build import seeded
from twofold.errors import RecipeError, UsageError
from twofold.nn.builder import kinds_of

NAMES = [name for name in encoders.__all__ if kinds_of(getattr(encoders, name)) == ("clips",)]


def clips(count: int = 3, frames: int = 5) -> torch.Tensor:
    with seeded(1):
        return torch.randn(count, frames, 3, 32, 32)


def encoder(name: str):
    with seeded(0):
        return getattr(encoders, name)(size=32, dim=8).eval()


@pytest.mark.parametrize("name", NAMES)
def test_a_vector_depends_on_its_clip_alone(name):
    made, batch = encoder(name), clips()
    together = made(batch)
    assert together.shape == (3, 8)
    assert torch.allclose(together.norm(dim=1), torch.ones(3), atol=1e-5)
    alone = torch.cat([made(clip[None]) for clip in batch])
    assert (alone - together).abs().max() < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_learns(name):
    made = encoder(name).train()
    made(clips()).pow(3).sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in made.parameters())


def test_only_the_lstm_knows_the_order_of_frames():
    batch = clips()
    turned = batch.flip(1)
    lstm, average = encoder("clip_lstm"), encoder("clip_average")
    assert (lstm(batch) - lstm(turned)).abs().max() > 1e-3
    assert (average(batch) - average(turned)).abs().max() < 1e-5


def test_the_head_alone_runs_on_features():
    made, batch = encoder("clip_lstm"), clips()
    whole, features = made(batch), made.features(batch)
    made.on_features = True
    assert torch.equal(made(features), whole)


def test_what_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="takes clips"):
        encoder("clip_lstm")(torch.zeros(2, 3, 32, 32))
    with pytest.raises(RecipeError, match="not a network of frames"):
        encoders.clip_lstm(trunk="resnet_smal")
    with pytest.raises(RecipeError, match="efficientnet_lite0"):
        encoders.clip_average(weights="imagenet")

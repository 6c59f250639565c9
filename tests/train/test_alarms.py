"""Trainings that go wrong say so at once, go back once, and name what to do; healthy ones are left alone."""

import json
import math

import numpy as np
import pytest
import torch

from twofold import build, losses
from twofold.config import Recipe
from twofold.data.items import Items
from twofold.errors import TrainingError
from twofold.train.alarms import EVERY, PATIENCE, Alarms, effective_rank, spread
from twofold.train.checkpoint import Checkpoints
from twofold.train.fit import fit


def pictures(classes=8, each=8, seed=0):
    rng = np.random.default_rng(seed)
    patterns = rng.integers(0, 256, (classes, 1, 16, 16, 1))
    noisy = np.clip(patterns + rng.normal(0, 60, (classes, each, 16, 16, 1)), 0, 255).astype(
        np.uint8
    )
    return Items.from_arrays(
        noisy.reshape(-1, 16, 16, 1), [f"{seed}-{c}" for c in range(classes) for _ in range(each)]
    )


def trained(loss=None, **settings):
    table = {
        "input": {"name": "Image", "size": 16, "channels": 1},
        "encoder": {"name": "conv4", "dim": 16},
    }
    recipe = Recipe.model_validate(
        table | {"p": 4, "k": 2, "epochs": 20, "augment": {"noise": 0.1}} | settings
    )
    options = {"checkpoints": settings.pop("checkpoints")} if "checkpoints" in settings else {}
    return fit(build.twin(recipe, seed=0), pictures(), recipe=recipe, loss=loss, **options)


class Spoilt:
    """A loss that is NaN, or whose gradient is, from some call on and for some calls."""

    def __init__(self, start, times, *, gradient=False):
        self.calls, self.start, self.times, self.gradient = 0, start, times, gradient

    def __call__(self, embeddings, labels, *, comparison):
        self.calls += 1
        value = losses.supcon(embeddings, labels, comparison=comparison)
        if not self.start <= self.calls < self.start + self.times:
            return value
        if self.gradient:
            return value + (embeddings.sum() - embeddings.sum().detach()).abs().sqrt()
        return value * math.nan


def test_one_bad_step_is_gone_back_over_with_half_of_the_rate():
    bundle = trained(Spoilt(30, 1), epochs=8)
    assert bundle.training["epochs"] == 8
    assert len(bundle.training["notes"]) == 1
    assert "the loss is nan" in bundle.training["notes"][0]
    assert "went back to step 24 with half of the learning rate" in bundle.training["notes"][0]


@pytest.mark.parametrize("gradient", [False, True])
def test_a_second_bad_step_ends_the_training_with_its_cause(gradient, tmp_path):
    where = Checkpoints(tmp_path)
    spoilt = Spoilt(30, 1000, gradient=gradient)
    cause = (
        "the gradient's length is nan while the loss is finite" if gradient else "the loss is nan"
    )
    recipe = Recipe.model_validate(
        {
            "input": {"name": "Image", "size": 16, "channels": 1},
            "encoder": {"name": "conv4", "dim": 16},
            "p": 4,
            "k": 2,
        }
    )
    items = pictures()
    with pytest.raises(TrainingError, match=rf"{cause}: Lower optimiser\.learning_rate"):
        fit(build.twin(recipe, seed=0), items, recipe=recipe, loss=spoilt, checkpoints=where)
    assert spoilt.calls <= 36, "found in the step where it happens, both times"
    culprit = json.loads((tmp_path / "culprit.json").read_text())
    assert len(culprit["items"]) == 8
    assert set(culprit["items"]) <= set(items.ids)
    assert cause in culprit["alarm"]


def test_embeddings_that_collapse_are_found_within_fifty_steps():
    def pull(embeddings, labels, *, comparison):
        return (embeddings - embeddings.mean(0).detach()).square().sum() * 100

    with pytest.raises(
        TrainingError, match=r"the embeddings have collapsed: their spread is .* effective rank"
    ):
        trained(pull, epochs=100, optimiser={"learning_rate": 0.01})


def test_a_weight_that_is_no_number_names_the_item():
    recipe = Recipe.model_validate(
        {"input": {"name": "Image", "size": 16, "channels": 1}, "encoder": "conv4"}
    )
    twin = build.twin(recipe, seed=0)
    with torch.no_grad():
        next(twin.parameters()).fill_(math.inf)
    with pytest.raises(
        TrainingError,
        match=r"64 of 64 embeddings hold NaN or infinity, that of item 0 of the batch",
    ):
        fit(twin, pictures(32, 4), recipe=recipe)


def test_validation_items_that_were_trained_on_are_said():
    items = pictures()
    again = Items.from_arrays(
        list(items.values[:16]), [f"other-{index // 8}" for index in range(16)]
    )
    recipe = Recipe.model_validate(
        {
            "input": {"name": "Image", "size": 16, "channels": 1},
            "encoder": "conv4",
            "p": 4,
            "k": 2,
            "epochs": 1,
        }
    )
    bundle = fit(build.twin(recipe, seed=0), items, again, recipe=recipe)
    assert (
        "16 of 16 validation items have exactly the content of training items"
        in bundle.training["notes"][0]
    )


def test_a_loss_that_blows_up():
    alarms = Alarms()
    for step in range(40):
        alarms.loss(1.0 + step % 3)
    with pytest.raises(
        TrainingError,
        match=r"it blows up\. Lower optimiser\.learning_rate, lengthen schedule\.warmup",
    ):
        for _ in range(40):
            alarms.loss(30.0)


def test_a_moment_without_spread_is_no_alarm():
    alarms, labels = Alarms(), torch.arange(32) % 8
    same, healthy = (
        torch.ones(32, 4),
        torch.randn(32, 4, generator=torch.Generator().manual_seed(0)),
    )
    for look in range(20):
        alarms.embeddings(healthy if look % PATIENCE == 0 else same, labels, step=look * EVERY)
    alarms.embeddings(same, torch.arange(32) % 3, step=0)


def test_spread_and_rank_by_hand():
    corners = torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    assert spread(corners) == pytest.approx(1.0)
    assert effective_rank(corners) == pytest.approx(2.0)
    assert effective_rank(torch.tensor([[1.0, 2], [2, 4], [3, 6]])) == pytest.approx(1.0, abs=1e-3)
    assert spread(torch.ones(5, 3)) == 0.0
    line = torch.tensor([[3.0, 0, 0], [-3, 0, 0], [0, 1, 0], [0, -1, 0]])
    shares = np.array([3, 1]) / 4
    assert effective_rank(line) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))

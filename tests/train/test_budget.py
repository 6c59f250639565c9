"""Limited time: counted from the command's start, ended with an annealed learning rate, and gone on from exactly."""

import time

import numpy as np
import pytest
import torch

from twofold import build
from twofold.config import Recipe
from twofold.data.items import Items
from twofold.errors import Interrupted
from twofold.train import budget as budgets
from twofold.train import validate
from twofold.train.budget import Budget
from twofold.train.checkpoint import Checkpoints
from twofold.train.fit import fit


class Clock:
    """A clock that goes on by one second for each training step."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def step(self, progress):
        self.now += 1.0


@pytest.fixture
def clock(monkeypatch):
    told = Clock()
    monkeypatch.setattr(budgets, "time", told)
    monkeypatch.setattr("twofold.train.fit.monotonic", told.monotonic)
    return told


def pictures():
    arrays = np.random.default_rng(0).integers(0, 256, (48, 16, 16, 1)).astype(np.uint8)
    return Items.from_arrays(arrays, [str(index // 4) for index in range(48)])


def trained(watch=None, valid=None, **settings):
    options = {"checkpoints": settings.pop("checkpoints", None)}
    table = {
        "input": {"name": "Image", "size": 16, "channels": 1},
        "encoder": {"name": "conv4", "dim": 4, "width": 4},
    }
    recipe = Recipe.model_validate(table | {"p": 4, "k": 2, "epochs": 6} | settings)
    return fit(build.twin(recipe, seed=1), pictures(), valid, recipe=recipe, watch=watch, **options)


def weights(bundle):
    return torch.cat([tensor.flatten().double() for tensor in bundle.twin.state_dict().values()])


def test_a_training_that_is_cut_ends_with_its_learning_rate_annealed(clock):
    rates = []
    settings = {"schedule": {"name": "constant", "warmup": 0.0}}
    import twofold.train.run as runs

    before = runs.Run.set_learning_rate

    def noted(run, progress):
        before(run, progress)
        rates.append(run.optimiser.param_groups[0]["lr"] / 1e-3)

    pytest.MonkeyPatch().setattr(runs.Run, "set_learning_rate", noted)
    try:
        done = trained(watch=clock.step, max_seconds=20.0, **settings)
    finally:
        runs.Run.set_learning_rate = before
    assert done.training["steps"] == 20 and done.training["stopped"] == "the 20 seconds are over"
    np.testing.assert_allclose(rates[:17], 1.0)
    np.testing.assert_allclose(rates[17:], [0.75, 0.5, 0.25], atol=1e-9)
    whole = trained(watch=clock.step, max_seconds=10_000.0, **settings)
    assert whole.training["stopped"] == "all epochs done", "time that is enough changes nothing"


def test_a_cool_down_is_not_gone_on_from(clock, tmp_path):
    whole = trained()
    cut = trained(watch=clock.step, max_seconds=20.0, checkpoints=Checkpoints(tmp_path))
    assert Checkpoints(tmp_path).states[-1].name == "step-000000016"
    assert not torch.equal(weights(cut), weights(whole))
    resumed = trained(checkpoints=Checkpoints(tmp_path, resume=True))
    assert torch.equal(weights(resumed), weights(whole))


def test_an_interruption_in_the_cool_down_says_where_a_training_goes_on(clock, tmp_path):
    def asked():
        return clock.now >= 18

    with pytest.raises(
        Interrupted, match="asked to end at step 18; --resume continues from step 16"
    ):
        trained(watch=clock.step, max_seconds=20.0, checkpoints=Checkpoints(tmp_path, asked=asked))


def test_what_comes_before_the_first_step_counts(clock, monkeypatch):
    hashes = Items.content_hashes

    def slow(items):
        clock.now += 6.0
        return hashes(items)

    monkeypatch.setattr(Items, "content_hashes", slow)
    done = trained(watch=clock.step, max_seconds=20.0)
    assert done.training["steps"] == 20 - 12, (
        "the contents are hashed twice, for the records and for leaks"
    )


def test_a_schedule_that_ends_in_time_is_left_alone():
    kept = Budget(seconds=100.0, began=time.monotonic())
    assert not kept.must_cool(10.0, done=0.0, before=0.0)
    assert not kept.must_cool(85.0, done=0.9, before=0.0)
    assert kept.must_cool(85.0, done=0.5, before=0.0)
    assert [kept.cooled(over) for over in (85.0, 92.5, 200.0)] == pytest.approx([0.0, 0.5, 1.0])
    assert not kept.must_cool(90.0, done=0.5, before=0.0), "it has begun"


def test_a_last_look_is_quick_where_nothing_is_compared_and_else_has_its_time(clock, monkeypatch):
    looked, embed = [], validate.embed_arrays

    def counted(twin, arrays, **settings):
        looked.append(len(arrays))
        return embed(twin, arrays, **settings)

    monkeypatch.setattr(validate, "embed_arrays", counted)
    monkeypatch.setattr(validate, "QUICK", 9)
    arrays = np.random.default_rng(1).integers(0, 256, (24, 16, 16, 1)).astype(np.uint8)
    valid = Items.from_arrays(arrays, [f"v{index // 4}" for index in range(24)])
    trained(watch=clock.step, valid=valid, max_seconds=3.0)
    assert looked == [8], "two whole identities"
    kept = Budget(seconds=100.0, began=0.0, reserve=30.0)
    assert kept.limit == 70.0 and Budget(seconds=None, began=0.0, reserve=30.0).limit is None

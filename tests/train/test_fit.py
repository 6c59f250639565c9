"""Training from end to end on small pictures: it learns, repeats itself, resumes, stops, and says what is wrong."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import twofold
from twofold import build, losses
from twofold.config import Recipe
from twofold.data.items import Items
from twofold.errors import BatchError, IdentityOverlap, NotEnoughData, RecipeError, TrainingError
from twofold.inputs.image import Image
from twofold.train.checkpoint import Checkpoints
from twofold.train.fit import fit, fit_recipe
from twofold.train.optim import learning_rate_factor
from twofold.twin import Twin


def pictures(classes=12, each=8, seed=0, size=16):
    """Classes of noisy random patterns: learnable in a few steps."""
    rng = np.random.default_rng(seed)
    patterns = rng.integers(0, 256, (classes, 1, size, size, 1))
    noisy = np.clip(patterns + rng.normal(0, 60, (classes, each, size, size, 1)), 0, 255).astype(
        np.uint8
    )
    labels = [f"c{seed}-{c:02}" for c in range(classes) for _ in range(each)]
    return Items.from_arrays(noisy.reshape(-1, size, size, 1), labels)


def recipe(**settings):
    table = {
        "input": {"name": "Image", "size": 16, "channels": 1},
        "encoder": {"name": "resnet_small", "dim": 16, "width": 8},
        "loss": "nt_xent",
        "p": 4,
        "k": 4,
        "epochs": 2,
        "optimiser": {"learning_rate": 3e-3},
    }
    return Recipe.model_validate(table | settings)


def trained(settings, *, train=None, valid=None, **options):
    twin = build.twin(settings, seed=1)
    return fit(twin, train or pictures(), valid or pictures(6, seed=9), recipe=settings, **options)


def weights(bundle):
    return torch.cat([tensor.flatten().double() for tensor in bundle.twin.state_dict().values()])


def test_it_learns():
    before = trained(recipe(epochs=1, optimiser={"learning_rate": 1e-8})).training["history"][-1]
    after = trained(recipe(epochs=8)).training["history"][-1]
    assert after["loss"] < before["loss"] / 2
    assert after["eer"] < before["eer"]


def test_same_seed_same_numbers_and_another_seed_others():
    settings = recipe(
        ema=0.9,
        augment={"rotation": 10, "noise": 0.1},
        encoder={"name": "resnet_small", "dim": 16, "width": 8, "dropout": 0.2},
    )
    first, again, other = trained(settings), trained(settings), trained(settings, seed=5)
    assert torch.equal(weights(first), weights(again))
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_resume_gives_the_weights_of_an_uninterrupted_run(tmp_path):
    settings = recipe(epochs=4, ema=0.9, augment={"rotation": 10}, loss="ProxyAnchor")
    whole = trained(settings, checkpoints=Checkpoints(tmp_path / "whole"))

    class Killed(Exception):
        pass

    def kill(progress):
        if progress.epoch == 3:
            raise Killed

    with pytest.raises(Killed):
        trained(settings, checkpoints=Checkpoints(tmp_path / "cut"), watch=kill)
    resumed = trained(settings, checkpoints=Checkpoints(tmp_path / "cut", resume=True))
    assert torch.equal(weights(whole), weights(resumed))
    lines = [json.loads(line) for line in (tmp_path / "cut" / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]


def test_resume_refuses_another_recipe(tmp_path):
    trained(recipe(epochs=1), checkpoints=Checkpoints(tmp_path))
    with pytest.raises(RecipeError, match="another recipe or seed"):
        trained(recipe(epochs=2, p=3), checkpoints=Checkpoints(tmp_path, resume=True))


def test_the_best_weights_are_kept():
    bundle = trained(recipe(epochs=5))
    history = [line["eer"] for line in bundle.training["history"]]
    assert bundle.training["best"]["eer"] == min(history)


def test_patience_stops_early():
    bundle = trained(recipe(epochs=50, patience=2, optimiser={"learning_rate": 1e-9}))
    assert bundle.training["epochs"] < 50
    assert "no better eer" in bundle.training["stopped"]


def test_max_seconds_ends_cleanly():
    bundle = trained(recipe(epochs=10_000, max_seconds=0.5))
    assert bundle.training["stopped"] == "the 0.5 seconds are over"
    assert bundle.training["history"][-1]["eer"] is not None


@pytest.mark.parametrize(
    "name", ["contrastive", "triplet", "supcon", "ArcFace", "pair_contrastive"]
)
def test_losses_of_every_kind_train(name):
    bundle = trained(recipe(loss=name))
    assert np.isfinite(bundle.training["history"][-1]["loss"])


def test_compile_without_a_compiler_says_so(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(
        RecipeError, match="needs a C\\+\\+ compiler, and there is none: install g\\+\\+, or leave"
    ):
        trained(recipe(compile=True))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles with g++")
def test_a_compiled_encoder_trains_as_well():
    """In a process of its own: the type checks of the tests would be compiled along."""
    code = (
        "from twofold import Recipe, build, fit\n"
        "from twofold.data.synthetic import glyphs\n"
        "for switch in (False, True):\n"
        "    recipe = Recipe(input={'name': 'Image', 'size': 16, 'channels': 1}, encoder='conv4', "
        "p=4, k=4, epochs=2)\n"
        "    recipe = recipe.replace({'compile': switch})\n"
        "    bundle = fit(build.twin(recipe), glyphs(8, 6, size=16), recipe=recipe)\n"
        "    print(bundle.training['history'][-1]['loss'])\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(twofold.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    plain, compiled = map(float, done.stdout.split())
    assert compiled == pytest.approx(plain, rel=1e-3)


def test_a_miner_feeds_the_triplet_loss():
    assert trained(recipe(loss="triplet", miner="batch_hard")).training["steps"] > 0
    with pytest.raises(RecipeError, match="takes no mined triplets"):
        trained(recipe(loss="nt_xent", miner="batch_hard"))


def test_a_learned_head_is_trained_along():
    settings = recipe(comparison="WeightedL1", loss="binary_cross_entropy")
    untrained = build.twin(settings, seed=1).comparison.state_dict()
    learned = trained(settings).twin.comparison.state_dict()
    assert not torch.equal(untrained["weight"], learned["weight"])


def test_an_external_loss_trains():
    from pytorch_metric_learning.losses import MultiSimilarityLoss

    bundle = trained(recipe(), loss=losses.external(MultiSimilarityLoss()))
    assert bundle.training["history"][-1]["eer"] < 0.5


def test_own_encoder():
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(256, 8))
    twin = Twin(Image(size=16, channels=1), encoder, comparison="euclidean")
    assert twin.dim == 8
    bundle = fit(twin, pictures(), recipe=Recipe(loss="contrastive", p=4, k=4, epochs=1))
    assert bundle.recipe.comparison.name == "euclidean"


def test_quarter_turns_make_classes_and_longer_epochs():
    plain = trained(recipe(epochs=1)).training["steps"]
    turned = trained(recipe(epochs=1, augment={"quarter_turns_as_classes": True})).training["steps"]
    assert turned == pytest.approx(4 * plain, abs=2)


def test_fit_recipe_writes_down_the_split():
    items = pictures(30)
    settings = recipe(epochs=1).replace({"split.train": 0.69, "split.calibrate": 0.11})
    bundle = fit_recipe(settings, items, seed=3, device="cpu")
    assert bundle.provenance.counts == {
        "train": 21,
        "valid": 3,
        "calibrate": 3,
        "test": 3,
    }
    kept = bundle.part(items, "calibrate")
    assert len(kept.identities) == 3 and not set(kept.identities) & set(
        bundle.part(items, "test").identities
    )
    assert kept.notes[0].startswith(
        "DATA is what the model was trained from: the 3 of 30 identities"
    )
    with pytest.raises(IdentityOverlap, match="were trained on"):
        bundle.refuse_trained(items)


def test_copies_under_another_name_are_recognised():
    items = pictures(8)
    bundle = trained(recipe(epochs=1), train=items)
    renamed = Items.from_arrays(np.stack(items.values[:8]), ["stranger"] * 8)
    with pytest.raises(IdentityOverlap, match="copies of what was trained on"):
        bundle.refuse_trained(renamed)


def test_identities_on_both_sides_are_refused():
    with pytest.raises(IdentityOverlap, match="both train and valid"):
        trained(recipe(), train=pictures(), valid=pictures())


def test_a_loss_that_blows_up_is_an_error():
    with pytest.raises((TrainingError, BatchError), match=r"NaN|loss is"):
        trained(
            recipe(
                epochs=30,
                loss="contrastive",
                comparison="squared_euclidean",
                optimiser={"name": "sgd", "learning_rate": 1e12},
            )
        )


def test_batches_that_cannot_be_filled():
    with pytest.raises(NotEnoughData, match="p=40"):
        trained(recipe(p=40))


@pytest.mark.parametrize(
    ("schedule", "at", "factor"),
    [
        ({"name": "cosine", "warmup": 0.0}, 0.5, 0.5),
        ({"name": "cosine", "warmup": 0.0, "final": 0.2}, 1.0, 0.2),
        ({"name": "constant", "warmup": 0.5}, 0.25, 0.5),
        ({"name": "step", "warmup": 0.0, "at": [0.5, 0.75], "factor": 0.1}, 0.6, 0.1),
        ({"name": "step", "warmup": 0.0, "at": [0.5, 0.75], "factor": 0.1}, 0.8, 0.01),
        ({"name": "plateau", "warmup": 0.0}, 0.9, 1.0),
    ],
)
def test_schedules(schedule, at, factor):
    assert learning_rate_factor(recipe(schedule=schedule).schedule, at) == pytest.approx(factor)


def test_a_plateau_lowers_the_learning_rate():
    settings = recipe(
        epochs=6,
        schedule={"name": "plateau", "warmup": 0.0, "patience": 1, "factor": 0.5},
        optimiser={"learning_rate": 1e-9},
    )
    rates = [line["learning_rate"] for line in trained(settings).training["history"]]
    assert rates[-1] < rates[0]


def test_a_training_that_had_nothing_to_learn_from_says_so():
    def content(embeddings, labels, *, comparison):
        return (embeddings * 0).sum()

    notes = trained(recipe(epochs=1), loss=content).training["notes"]
    assert any("the loss was 0 in every step" in note for note in notes)
    assert not any("the loss was 0" in note for note in trained(recipe(epochs=1)).training["notes"])

"""A training that was cut anywhere and goes on ends with the very weights of one that was not."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image as Picture

import twofold
from twofold import build
from twofold.bundle import Bundle
from twofold.config import Recipe
from twofold.data.items import Items
from twofold.data.synthetic import glyphs
from twofold.errors import DamagedBundle, Interrupted, RecipeError
from twofold.train import budget, checkpoint, keeper
from twofold.train.checkpoint import Checkpoints
from twofold.train.fit import fit

SETTINGS = {
    "input": {"name": "Image", "size": 16, "channels": 1},
    "encoder": {"name": "resnet_small", "dim": 16, "width": 8, "dropout": 0.2},
    "augment": {"rotation": 10, "noise": 0.1},
    "loss": "supcon",
    "p": 4,
    "k": 2,
    "epochs": 3,
    "ema": 0.9,
    "memory": 40,
    "hard_classes": 2,
    "schedule": {"warmup": 0.1},
}


def pictures(classes, seed):
    rng = np.random.default_rng(seed)
    arrays = rng.integers(0, 256, (classes * 4, 16, 16, 1)).astype(np.uint8)
    return Items.from_arrays(arrays, [f"{seed}-{index // 4}" for index in range(len(arrays))])


def trained(**options):
    recipe = Recipe.model_validate(SETTINGS | options.pop("settings", {}))
    return fit(
        build.twin(recipe, seed=1), pictures(12, 0), pictures(6, 1), recipe=recipe, **options
    )


def weights(bundle):
    return torch.cat([tensor.flatten().double() for tensor in bundle.twin.state_dict().values()])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    where = Checkpoints(tmp_path_factory.mktemp("whole"), keep=100)
    return trained(checkpoints=where), checkpoint.load(where.states[-1])


@pytest.mark.parametrize("stop", [1, 5, 6, 7, 16])
def test_a_training_that_was_asked_to_end_goes_on_bit_for_bit(stop, whole, tmp_path):
    asked = iter(range(1, 100))
    where = Checkpoints(tmp_path, asked=lambda: next(asked) == stop)
    with pytest.raises(
        Interrupted, match=f"asked to end at step {stop}; --resume continues from step {stop}"
    ):
        trained(checkpoints=where)
    resumed = trained(checkpoints=Checkpoints(tmp_path, resume=True, keep=100))
    assert torch.equal(weights(resumed), weights(whole[0]))
    tensors, numbers = checkpoint.load(where.states[-1])
    for name, tensor in whole[1][0].items():
        if name.startswith(("provenance.", "classes.")):
            continue  # hashed with a key that each training draws anew
        assert torch.equal(tensor, tensors[name]), name
    assert [line["loss"] for line in numbers["history"]] == [
        line["loss"] for line in whole[1][1]["history"]
    ]
    assert resumed.training["notes"] == []


def test_time_that_runs_out_cuts_an_epoch_and_more_time_ends_it(whole, tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(budget, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr("twofold.train.fit.monotonic", lambda: now[0])

    def step(progress):
        now[0] += 1.0

    cut = trained(checkpoints=Checkpoints(tmp_path), settings={"max_seconds": 4.0}, watch=step)
    assert cut.training["stopped"] == "the 4 seconds are over"
    assert cut.training["history"][-1]["eer"] >= 0, "what is there is measured all the same"
    resumed = trained(checkpoints=Checkpoints(tmp_path, resume=True))
    assert torch.equal(weights(resumed), weights(whole[0]))


def test_the_last_states_stay_and_a_damaged_one_gives_way_to_the_one_before(whole, tmp_path):
    trained(checkpoints=Checkpoints(tmp_path, seconds=0.0, keep=2))
    states = Checkpoints(tmp_path).states
    assert len(states) == 2
    tensors = states[-1] / checkpoint.TENSORS
    content = bytearray(tensors.read_bytes())
    content[len(content) // 2] ^= 1
    tensors.write_bytes(content)
    resumed = trained(checkpoints=Checkpoints(tmp_path, resume=True))
    assert torch.equal(weights(resumed), weights(whole[0]))
    assert "is not what was written" in resumed.training["notes"][0]
    (states[0] / checkpoint.STATE).write_text("{")
    Checkpoints(tmp_path).states[-1].joinpath(checkpoint.STATE).write_text("{")
    with pytest.raises(
        DamagedBundle, match="holds no state of a training to go on from: train without --resume"
    ):
        trained(checkpoints=Checkpoints(tmp_path, resume=True))


def test_of_large_weights_the_last_epoch_is_kept_and_others_now_and_then(
    whole, tmp_path, monkeypatch
):
    kept = []
    monkeypatch.setattr(keeper, "LARGE", 0)
    monkeypatch.setattr(
        checkpoint, "keep", lambda where, tensors, numbers: kept.append(numbers["epoch"])
    )
    again = trained(checkpoints=Checkpoints(tmp_path / "large"))
    assert kept == [SETTINGS["epochs"]] and torch.equal(weights(again), weights(whole[0]))
    monkeypatch.setattr(keeper, "APART", 0.0)
    trained(checkpoints=Checkpoints(tmp_path / "often"))
    assert kept[1:] == [1, 2, 3]


def test_another_profile_is_said(tmp_path, monkeypatch):
    trained(checkpoints=Checkpoints(tmp_path))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    resumed = trained(checkpoints=Checkpoints(tmp_path, resume=True))
    assert "resumed on another profile" in resumed.training["notes"][0]
    assert "is 77" in resumed.training["notes"][0]


def test_another_recipe_is_refused(tmp_path):
    trained(checkpoints=Checkpoints(tmp_path))
    with pytest.raises(RecipeError, match="another recipe or seed"):
        trained(checkpoints=Checkpoints(tmp_path, resume=True), settings={"p": 6})


@pytest.mark.slow
def test_sigterm_saves_and_exits_143(tmp_path):
    data, out = tmp_path / "data", tmp_path / "model"
    items = glyphs(classes=24, each=6, size=24, seed=0)
    for number, (value, label) in enumerate(zip(items.values, items.labels, strict=True)):
        (data / items.names[label]).mkdir(parents=True, exist_ok=True)
        Picture.fromarray(value[:, :, 0]).save(data / items.names[label] / f"{number}.png")
    command = [
        sys.executable,
        "-m",
        "twofold",
        "train",
        "character",
        str(data),
        "-o",
        str(out),
        "--json",
    ]
    for setting in ("epochs=2000", "p=6", "encoder.width=8", "copies=1", "split.folds=0"):
        command += ["--set", setting]
    environment = os.environ | {"PYTHONPATH": str(Path(twofold.__file__).parents[1])}
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    log = out.with_name("model.training") / "log.jsonl"
    while not log.exists():
        assert running.poll() is None, running.stderr.read()
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    _, complaint = running.communicate(timeout=120)
    assert running.returncode == 143, complaint
    assert "--resume continues from step" in complaint
    done = subprocess.run(
        [*command, "--resume", "--max-time", "0.01"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["epochs"] >= 1
    assert Bundle.load(out)

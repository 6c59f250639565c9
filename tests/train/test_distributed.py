"""Two real processes: the command that a user types. Exactness is asserted by bench/distributed.py."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image as Picture

import twofold
from twofold.bundle import Bundle
from twofold.data.synthetic import glyphs
from twofold.train.distributed import Processes, started


def test_alone_there_is_nothing_to_join(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with started("cpu") as (processes, device):
        assert (processes, device) == (Processes(0, 1), "cpu")


@pytest.mark.slow
def test_torchrun_trains_one_bundle(tmp_path):
    data, out = tmp_path / "data", tmp_path / "model"
    items = glyphs(classes=24, each=6, size=24, seed=0)
    for value, label, number in zip(items.values, items.labels, range(len(items)), strict=True):
        (data / items.names[label]).mkdir(parents=True, exist_ok=True)
        Picture.fromarray(value[:, :, 0]).save(data / items.names[label] / f"{number}.png")
    settings = [
        "epochs=2",
        "p=6",
        "k=4",
        "memory=48",
        "micro_batch=5",
        "encoder.width=8",
        "copies=1",
        "split.folds=0",
    ]
    words = [word for setting in settings for word in ("--set", setting)]
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        "-m",
        "twofold",
    ]
    command += [
        "train",
        "character",
        str(data),
        "-o",
        str(out),
        "--device",
        "cpu",
        "--json",
        *words,
    ]
    environment = os.environ | {"PYTHONPATH": str(Path(twofold.__file__).parents[1])}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=500, env=environment
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["epochs"] == 2
    bundle = Bundle.load(out)
    assert bundle.fingerprint == told["fingerprint"]
    assert bundle.provenance.counts["train"] > bundle.provenance.counts["test"] >= 2

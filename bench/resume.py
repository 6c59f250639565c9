"""Kills a training at random moments, goes on, and asks whether the end is the same, bit for bit.

    python bench/resume.py [--kills 50] [--quick]

A process trains with dropout, augmentation, a moving average, a cross-batch memory and batches of
look-alike classes, and keeps its state after every few steps. It gets SIGKILL at a random time,
again and again, also while a state is being written, and goes on with --resume's code each time
until it ends. Its weights and average must be those of a training that nobody disturbed; a state
that cannot be read is counted wherever it turns up.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from last_line import print_last_line, row
from twofold import Items, Recipe, build
from twofold.errors import DamagedBundle
from twofold.train import checkpoint
from twofold.train.checkpoint import Checkpoints
from twofold.train.fit import fit

RECIPE = {
    "input": {"name": "Image", "size": 16, "channels": 1},
    "encoder": {"name": "resnet_small", "dim": 32, "width": 8, "dropout": 0.2},
    "augment": {"rotation": 10, "noise": 0.1},
    "loss": "supcon",
    "p": 8,
    "k": 2,
    "epochs": 12,
    "ema": 0.99,
    "memory": 64,
    "hard_classes": 4,
}
LEAST, MOST = 0.0, 1.5
"""Seconds from the start of a process's training until it is killed."""


def main() -> None:
    """Disturb and compare, then the last line."""
    parser = argparse.ArgumentParser(description="Bit-identical weights after kills")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--quick", action="store_true", help="3 kills")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.train:
        train(options.train)
        return
    clock, kills = time.monotonic(), 3 if options.quick else options.kills
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        undisturbed = Path(folder) / "undisturbed"
        train(undisturbed)
        expected = final(undisturbed)
        counted = different = unreadable = trainings = 0
        while counted < kills:
            place = Path(folder) / "disturbed"
            shutil.rmtree(place, ignore_errors=True)
            killed, damaged = disturbed(place, generator, most=kills - counted)
            counted, unreadable, trainings = counted + killed, unreadable + damaged, trainings + 1
            same = all(torch.equal(tensor, final(place)[name]) for name, tensor in expected.items())
            different += not same
            print(
                f"training {trainings}: {killed} kills, {'the same' if same else 'NOT the same'}",
                flush=True,
            )
    anchor = f"{trainings} trainings; state kept after every step; kills {LEAST:g} to {MOST:g} s after the start"
    results = [
        row("kills", counted, goal=50, anchor=anchor),
        row("not_identical", different, goal=0, unit="trainings", anchor=anchor),
        row("unreadable_checkpoints", unreadable, goal=0, anchor=anchor),
    ]
    print_last_line("resume", clock, results)
    if different or unreadable:
        raise SystemExit("a training that was killed did not end as the undisturbed one")


def disturbed(place: Path, generator: np.random.Generator, *, most: int) -> tuple[int, int]:
    """Train at `place`, killed up to so many times; how many kills hit a running training, and damaged states seen."""
    kills = damaged = 0
    while True:
        process = subprocess.Popen(
            [sys.executable, __file__, "--train", str(place)],
            env=os.environ,
            stdout=subprocess.PIPE,
            text=True,
        )
        if process.stdout is None or process.stdout.readline() != "started\n":
            raise SystemExit("the training did not start")
        try:
            process.wait(None if kills >= most else generator.uniform(LEAST, MOST))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            damaged += sum(not readable(state) for state in Checkpoints(place).states)
            continue
        if process.returncode:
            raise SystemExit(f"the training failed with {process.returncode}")
        return kills, damaged


def train(place: Path) -> None:
    """The whole training, or the rest of it."""
    recipe = Recipe.model_validate(RECIPE)
    checkpoints = Checkpoints(place, resume=bool(Checkpoints(place).states), seconds=0.0)
    print("started", flush=True)
    fit(
        build.twin(recipe, seed=0),
        items(24, 0),
        items(8, 1),
        recipe=recipe,
        checkpoints=checkpoints,
    )


def items(classes: int, seed: int) -> Items:
    """Noise pictures; each class its own pattern."""
    generator = np.random.default_rng(seed)
    patterns = generator.integers(0, 256, (classes, 1, 16, 16, 1))
    pictures = np.clip(patterns + generator.normal(0, 60, (classes, 6, 16, 16, 1)), 0, 255).astype(
        np.uint8
    )
    return Items.from_arrays(
        pictures.reshape(-1, 16, 16, 1), [f"{seed}-{index // 6}" for index in range(classes * 6)]
    )


def final(place: Path) -> dict[str, torch.Tensor]:
    """The tensors of the last state: weights, average, optimiser, memory, prototypes.

    Hashes of names and contents are left out: each training draws a key of its own for them.
    """
    tensors = checkpoint.newest(Checkpoints(place)).tensors
    return {
        name: tensor
        for name, tensor in tensors.items()
        if not name.startswith(("provenance.", "classes."))
    }


def readable(state: Path) -> bool:
    """Whether a state is as it was written."""
    try:
        checkpoint.load(state)
    except DamagedBundle:
        return False
    return True


if __name__ == "__main__":
    main()

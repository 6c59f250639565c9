"""Are trainings that go wrong found in time, and healthy ones left alone?

    python bench/alarms.py [--quick]

Twenty trainings get a NaN at a random step: in the loss, or in the gradient alone. Twenty collapse:
from a random step on their last layer fades and their loss only pulls together. A NaN must be said
in its own step, a collapse within 50. A hundred healthy trainings, of many losses, margins that grow
or stay, two encoders, learning rates and data sets, must not be stopped or sent back.
"""

import argparse
import math
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from last_line import print_last_line, row
from twofold import Items, Recipe, build, losses
from twofold.errors import TrainingError
from twofold.precision import resolved
from twofold.results import Progress
from twofold.train.fit import fit

IN_TIME = {"nan": 1, "collapse": 50}
HEALTHY_LOSSES = (
    "contrastive",
    "triplet",
    "nt_xent",
    "supcon",
    "multi_similarity",
    "circle",
    "smooth_ap",
    "ArcFace",
)
WITH_MARGINS = ("contrastive", "triplet", "ArcFace")
"""Of them, those whose margin may grow."""


def main() -> None:
    """Inject, watch, and the last line."""
    parser = argparse.ArgumentParser(description="Training alarms")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="2 injections of each kind and 8 short healthy trainings",
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    clock, generator = time.monotonic(), np.random.default_rng(0)
    each, healthy, epochs, latest = (2, 8, 4, 40) if options.quick else (20, 100, 12, 120)
    missed, late = 0, []
    for kind in IN_TIME:
        for number in range(each):
            steps = injected(kind, start=int(generator.integers(5, latest)), seed=number)
            late.append(steps)
            missed += steps > IN_TIME[kind]
        print(f"{kind}: {missed} missed so far, found after {late[-each:]} steps", flush=True)
    alarms = [note for number in range(healthy) for note in healthy_training(number, epochs)]
    for note in alarms:
        print(f"false alarm: {note}")
    anchor = (
        f"{each} NaN (within 1 step), {each} collapses (within 50); conv4 on synthetic pictures"
    )
    results = [
        row("injections_missed", missed, unit=f"of {2 * each}", goal=0, anchor=anchor),
        row("false_alarms", len(alarms), unit=f"in {healthy} healthy trainings", goal=0),
    ]
    print_last_line("alarms", clock, results)
    if missed or alarms:
        raise SystemExit(f"{missed} injections missed, {len(alarms)} false alarms")


class Injected:
    """A loss that goes wrong from its call `start` on."""

    def __init__(self, kind: str, start: int, seed: int) -> None:
        self.kind, self.start, self.seed, self.calls = kind, start, seed, 0

    def __call__(self, embeddings: Tensor, labels: Tensor, *, comparison: Any) -> Tensor:
        """Supervised contrastive, until it is not."""
        self.calls += 1
        value = losses.supcon(embeddings, labels, comparison=comparison)
        if self.calls < self.start:
            return value
        if self.kind == "collapse":
            return 10 * (embeddings - embeddings.mean(0).detach()).square().sum()
        if self.seed % 2:
            return value * math.nan
        # finite, its slope is not
        return value + (embeddings.sum() - embeddings.sum().detach()).abs().sqrt()


def injected(kind: str, *, start: int, seed: int) -> int:
    """Steps from the fault to the first alarm, the faulty one included; very many if there was none."""
    twin, items, recipe = made(seed, epochs=40)
    loss = Injected(kind, start, seed)
    places: list[tuple[int, int, int]] = [(0, 0, 0)]

    def watch(progress: Progress) -> None:
        places.append((progress.epoch, progress.step, loss.calls))
        if kind == "collapse" and loss.calls >= start:
            with torch.no_grad():
                twin.encoder.head[-1].weight.mul_(1e-3)

    try:
        if not fit(twin, items, recipe=recipe, loss=loss, seed=seed, watch=watch).training["notes"]:
            return 10**6
    except TrainingError:
        pass
    # a training that was sent back stands at an earlier step than before; one that ended stands
    # nowhere
    for before, after in zip(places, [*places[1:], (0, 0, 0)], strict=True):
        if after[:2] < before[:2]:
            return before[2] + 1 - start + 1
    return 10**6


def healthy_training(number: int, epochs: int) -> list[str]:
    """What was said about a training with nothing wrong."""
    generator = np.random.default_rng(number)
    settings = {
        "loss": HEALTHY_LOSSES[number % len(HEALTHY_LOSSES)],
        "encoder": {
            "name": ("conv4", "resnet_small")[number // 8 % 2],
            "dim": int(generator.choice([8, 32, 128])),
        },
        "optimiser": {"learning_rate": float(10 ** generator.uniform(-4, -2.3))},
        "precision": ("float32", resolved("auto", torch.device("cpu")))[number % 2],
    }
    if settings["loss"] in WITH_MARGINS:
        settings["margin_growth"] = (0.0, 0.5, 1.0)[number // 8 % 3]
    if settings["loss"] == "triplet":
        # not "hard": from random weights it does collapse at many learning rates (Schroff et al.
        # 2015, section 3.2), the loss stays at the margin, and the alarm is right
        settings["loss"] = {
            "name": "triplet",
            "mining": str(generator.choice(["all", "semi_hard"])),
        }
    twin, items, recipe = made(number, epochs=epochs, **settings)
    try:
        bundle = fit(twin, items, recipe=recipe, seed=number)
    except TrainingError as alarm:
        return [f"{settings}: {alarm}"]
    return [f"{settings}: {note}" for note in bundle.training["notes"]]


def made(seed: int, **settings: Any) -> tuple[Any, Items, Recipe]:
    """A twin, its data and its recipe."""
    table = {
        "input": {"name": "Image", "size": 28, "channels": 1},
        "encoder": {"name": "conv4", "dim": 32},
    }
    recipe = Recipe.model_validate(table | {"p": 8, "k": 4, "augment": {"rotation": 10}} | settings)
    generator = np.random.default_rng(seed)
    classes, each = int(generator.integers(12, 30)), 12
    patterns = generator.integers(0, 256, (classes, 1, 28, 28, 1))
    noise = generator.normal(0, generator.uniform(30, 120), (classes, each, 28, 28, 1))
    pictures = np.clip(patterns + noise, 0, 255).astype(np.uint8).reshape(-1, 28, 28, 1)
    labels = [str(index // each) for index in range(len(pictures))]
    return build.twin(recipe, seed=seed), Items.from_arrays(pictures, labels), recipe


if __name__ == "__main__":
    main()

"""Does `tune` find a better recipe? Tuned on some identities, compared with the default one on others.

    python bench/tune.py --data DIR [--sets coil20 signatures] [--seconds 1800] [--seeds 0] [--quick]

`tune` gets the training identities and so many seconds by the clock. Then the default recipe and the
recommended one are trained on all training identities, and compared on the test identities, which
took no part in either. A gain is how much lower the equal error rate is; its interval is paired over
the test identities. What `tune` itself claims is measured on folds of the training identities.

- coil20: DIR/coil20/COIL20.mat, 20 objects, each from 72 sides (Nene et al. 1996). Objects 1 to 12
  are for training. Recipe `generic` on 32 x 32 grey pictures, with 15 epochs.
- signatures: DIR/sigcomp2011_dutch_1bit (Liwicki et al. 2011), 43 writers in `train` and 21 in
  `test`, with forgeries. Recipe `signature`, on 32 x 64 pictures and with 20 epochs.

Both are smaller than the recipes' defaults, so that more than a few trials fit; the default recipe
is made smaller, too.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from last_line import print_last_line, row
from twofold import Bundle, Items, build, fit, recipes, tune
from twofold.config import Recipe
from twofold.data.adaptation import adapted
from twofold.data.synthetic import glyphs
from twofold.embedding import deciding, embed
from twofold.metrics.paired import differences
from twofold.metrics.pairs import AllPairs
from twofold.results import Difference, Tuning
from twofold.terminal.wording import evidence
from twofold.train.tune import Search, Tuned

OBJECTS = 12
"""Objects of COIL-20 that train: the fewest that `tune` takes."""

SIDE = 32
"""Pixels of its pictures."""

MOST_TRIALS = 1000
"""More than fit into any budget here."""

WHOLE = {"train": 1.0, "valid": 0.0, "calibrate": 0.0, "test": 0.0, "folds": 0}
"""A split that keeps nothing aside: the test identities are others."""


class Task(NamedTuple):
    """A recipe, the identities that train it, and those that judge."""

    recipe: Recipe
    train: Items
    test: Items


def main() -> None:
    """Tune, train both recipes, compare, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path())
    parser.add_argument("--sets", nargs="+", choices=[*SETS], default=[*SETS])
    parser.add_argument("--seconds", type=float, default=1800, help="for each tuning, by the clock")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the trainings")
    parser.add_argument("--quick", action="store_true", help="drawn characters, in seconds")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.monotonic()
    results = []
    for name in ["glyphs"] if options.quick else options.sets:
        task = drawn() if options.quick else SETS[name](options.data)
        search = (
            Search(trials=3)
            if options.quick
            else Search(trials=MOST_TRIALS, seconds=options.seconds)
        )
        found, processor = tuned(task, search)
        results += told(name, found, processor)
        for seed in options.seeds[:1] if options.quick else options.seeds:
            results += judged(name, task, found, seed)
    print_last_line("tune", started, results)


def tuned(task: Task, search: Search) -> tuple[Tuned, float]:
    """What `tune` finds on the training identities, and the seconds of processor time that it took."""
    before = _processor_seconds()
    with tempfile.TemporaryDirectory() as folder:
        found = tune(
            task.recipe, task.train, Path(folder) / "trials", search=search, watch=_trials_shown()
        )
    print(*evidence(found), sep="\n", flush=True)
    return found, _processor_seconds() - before


def _trials_shown() -> Callable[[Tuning], None]:
    seen: set[tuple[str, int]] = set()

    def watch(tuning: Tuning) -> None:
        if (tuning.stage, tuning.number) not in seen:
            seen.add((tuning.stage, tuning.number))
            print(f"{tuning.stage} {tuning.number}, best {tuning.best}", flush=True)

    return watch


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def told(name: str, found: Tuned, processor: float) -> list[dict[str, Any]]:
    """What `tune` says of its own result."""
    gain, own = found.chosen.gain, found.candidates[0]
    settings = ", ".join(f"{key}={value}" for key, value in found.chosen.settings.items())
    low, high = (0.0, 0.0) if gain is None else (gain.low, gain.high)
    return [
        row(
            f"tune_claim_{name}",
            0.0 if gain is None else gain.gain,
            interval=(low, high),
            unit=(
                f"claimed by tune: how much lower the equal error rate is; paired over the "
                f"{found.identities} training identities' two folds that chose nothing"
            ),
            anchor=f"default {own.eer:.4f}, chosen {found.chosen.eer:.4f}; "
            f"{settings or 'the default recipe itself'}",
            seed=0,
        ),
        row(
            f"tune_trials_{name}",
            found.finished + found.ended + found.failed,
            unit="trials",
            anchor=f"{found.ended} ended early, {found.failed} failed",
        ),
        row(
            f"tune_processor_{name}",
            round(processor, 1),
            unit="s",
            anchor=f"of processor time, in {found.seconds:.0f} s by the clock",
        ),
    ]


def judged(name: str, task: Task, found: Tuned, seed: int) -> list[dict[str, Any]]:
    """How much better the recommended recipe is than the default one on the test identities."""
    default, chosen = (
        pairs(trained(recipe, task.train, seed), task.test)
        for recipe in (task.recipe, found.recipe)
    )
    gain = differences(default, chosen, seed=seed)["eer"]
    print(f"{name} seed {seed}: {gain.a:.4f} -> {gain.b:.4f}", flush=True)
    return [
        row(
            f"tune_gain_{name}" + (f"_seed_{seed}" if seed else ""),
            gain.gain,
            interval=(gain.low, gain.high),
            unit=(
                f"equal error rate by which tuned is lower than default; paired over "
                f"{gain.resampled} test identities"
            ),
            goal=0.0,
            anchor=f"default {gain.a:.4f}, tuned {gain.b:.4f}; claim {verdict(found.chosen.gain)}, "
            f"test {verdict(gain)}",
            seed=seed,
        )
    ]


def verdict(gain: Difference | None) -> str:
    """In words, what an interval shows."""
    if gain is None:
        return "default kept"
    if gain.low > 0:
        return "better"
    return "worse" if gain.high < 0 else "not shown"


def trained(recipe: Recipe, items: Items, seed: int) -> Bundle:
    """A bundle of all training identities: what `train` ends with where identities are few."""
    whole = adapted(recipe.replace({"split": WHOLE}), items, fixed=("epochs",), seed=seed).recipe
    return fit(build.twin(whole, seed=seed), items, recipe=whole, seed=seed)


def pairs(bundle: Bundle, test: Items) -> AllPairs:
    """All pairs of the test items, forgeries among them."""
    score = deciding(bundle, embed(bundle, test).vectors)
    return AllPairs(score, test.labels, identity=test.identity, forged=test.forged)


def coil20(data: Path) -> Task:
    """Objects from all sides: the first twelve train."""
    import scipy.io

    read = scipy.io.loadmat(data / "coil20" / "COIL20.mat")
    columns, labels = read["X"], read["gnd"].ravel()
    pictures = columns.T.reshape(-1, SIDE, SIDE).transpose(0, 2, 1)  # stored column by column
    values = (255 * pictures).round().astype(np.uint8)[..., None]
    recipe = recipes.generic().replace({"input.size": SIDE, "input.channels": 1, "epochs": 15})
    return Task(recipe, *(_some(values, labels, side) for side in _sides(labels, OBJECTS)))


def _sides(labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    known = labels <= count
    return known, ~known


def _some(values: np.ndarray, labels: np.ndarray, kept: np.ndarray) -> Items:
    return Items.from_arrays(list(values[kept]), [f"object {each:02}" for each in labels[kept]])


def signatures(data: Path) -> Task:
    """Signatures and skilled forgeries, in the collection's own two parts."""
    folder = data / "sigcomp2011_dutch_1bit"
    recipe = recipes.signature().replace({"input.size": [32, 64], "epochs": 20, "fewest_steps": 0})
    return Task(recipe, *(Items.open(folder / part) for part in ("train", "test")))


def drawn() -> Task:
    """Invented characters, and a network that trains in seconds."""
    small = {"input.size": 28, "input.channels": 1, "encoder.width": 8, "encoder.dim": 16}
    recipe = recipes.generic().replace({**small, "epochs": 2, "fewest_steps": 0})
    return Task(recipe, glyphs(12, 6, seed=0), glyphs(8, 6, seed=1))


SETS: dict[str, Callable[[Path], Task]] = {"coil20": coil20, "signatures": signatures}


if __name__ == "__main__":
    main()

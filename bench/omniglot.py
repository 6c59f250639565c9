"""Omniglot (Lake et al. 2015): one-shot recognition and verification of characters of unseen alphabets.

    python bench/omniglot.py --data DIR [--seeds 0 1 2] [--quick]

DIR has the standard public layout: `images_background/`, `images_evaluation/` (alphabet/character/drawing.png) and
Lake's 20 runs as `one_shot/run01 ... run20`. Training sees background alphabets only; the learning rate schedule, the
number of epochs and everything else of the recipe were chosen on the held-out background alphabets below, and so is
the threshold of the verification. Evaluation alphabets are touched once, at the end.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from last_line import print_last_line, row

from twofold import Items, Recipe, build
from twofold.bundle import Bundle
from twofold.embedding import embed, embed_values, scores
from twofold.metrics.intervals import estimate, identity_weights, weighted_means
from twofold.metrics.pairs import PairList
from twofold.metrics.verification import best_threshold, estimates, tally
from twofold.recipes import character
from twofold.results import Progress
from twofold.train.fit import fit

MINIMAL = ("Balinese", "Early_Aramaic", "Greek", "Korean", "Latin")  # "background small 1" of the data set
HELD_OUT = ("Arcadian", "Asomtavruli_(Georgian)", "Futurama", "Tifinagh")  # drawn once with seed 0, never trained on
PAIRS = 10_000


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--quick", action="store_true", help="a minute of training, to see that everything runs")
    options = parser.parse_args()
    started = time.monotonic()
    recipe = character().replace({"epochs": 1, "max_seconds": 15, "copies": 2} if options.quick else {})
    background = Items.from_folder(options.data / "images_background", levels=2)
    evaluation = Items.from_folder(options.data / "images_evaluation", levels=2)
    results: list[dict[str, Any]] = []
    for seed in options.seeds:
        train = background.where(groups=[name for name in background.groups if name not in HELD_OUT])
        bundle = trained(train, background.where(groups=HELD_OUT), recipe, seed)
        results += [
            one_shot("one_shot_20way_accuracy", bundle, options.data / "one_shot", seed),
            *verification(bundle, background.where(groups=HELD_OUT), evaluation, seed),
            row("training_seconds", bundle.training["seconds"], unit="s", goal=1800, seed=seed),
        ]
        print(*(f"{r['name']} {r['value']:.4f}" for r in results[-4:]), sep="  ", flush=True)
    minimal = trained(background.where(groups=MINIMAL), None, recipe.replace({"groups_per_batch": 4}), options.seeds[0])
    correct = one_shot("minimal_error", minimal, options.data / "one_shot", options.seeds[0])
    results.append(correct | {"value": 1 - correct["value"], "low": 1 - correct["high"], "high": 1 - correct["low"]})
    print_last_line("omniglot", started, means(results) + results)


def trained(train: Items, valid: Items | None, recipe: Recipe, seed: int) -> Bundle:
    """A bundle, through the public API; a line an epoch."""

    def watch(progress: Progress) -> None:
        if progress.step == progress.steps:
            print(
                f"seed {seed} epoch {progress.epoch}/{progress.epochs} loss {progress.loss:.3f} "
                f"{progress.items_per_second:.0f} items/s {progress.seconds:.0f} s eer {progress.monitored}",
                flush=True,
            )

    return fit(build.twin(recipe, seed=seed), train, valid, recipe=recipe, seed=seed, watch=watch)


def one_shot(name: str, bundle: Bundle, runs: Path, seed: int) -> dict[str, Any]:
    """Lake's protocol: 20 runs of 20 drawings by one person, each to be found among 20 drawings by another."""
    right: list[np.ndarray] = []
    for run in sorted(runs.glob("run*")):
        said = [line.split() for line in (run / "class_labels.txt").read_text().splitlines() if line.strip()]
        support = sorted({answer for _, answer in said})
        items = embed_values(bundle, [runs / item for item, _ in said])
        classes = embed_values(bundle, [runs / answer for answer in support])
        best = scores(bundle.twin, items, classes).argmax(axis=1)
        right.append(np.array([support[b] == answer for b, (_, answer) in zip(best, said, strict=True)], dtype=float))
    values = np.concatenate(right)
    run_of = np.repeat(np.arange(len(right)), [len(run) for run in right])
    drawn = weighted_means(values, run_of, identity_weights(len(right), 1000, seed=0))
    found = estimate(name, float(values.mean()), replicates=drawn, resampled=len(right), confidence=0.95, unit="run")
    return row(
        name,
        found.value,
        interval=(found.low, found.high),
        unit=f"share of {len(values)} trials; interval over {len(right)} runs",
        goal=0.98 if name.startswith("one_shot") else None,
        anchor=f"Koch 2015 .920, people .955, BPL .967; mean over {bundle.recipe.copies} warped copies",
        seed=seed,
    )


def verification(bundle: Bundle, held_out: Items, evaluation: Items, seed: int) -> list[dict[str, Any]]:
    """Pairs of unseen characters, half of them same; the threshold comes from pairs of held-out background alphabets."""
    known, asked = embed(bundle, held_out).vectors, embed(bundle, evaluation).vectors
    rows = []
    for name, within in (("verification_accuracy", False), ("verification_within_alphabet_accuracy", True)):
        threshold = float(best_threshold(tally(listed(bundle, held_out, known, within=within))))
        pairs = listed(bundle, evaluation, asked, within=within)
        found = estimates(pairs, threshold=threshold, unit="alphabet")["accuracy"]
        rows.append(
            row(
                name,
                found.value,
                interval=(found.low, found.high),
                unit=f"share of {PAIRS} pairs; interval over {found.resampled} alphabets",
                goal=None if within else 0.97,
                anchor=f"Koch 2015 .9342; threshold {threshold:.4f} from {len(held_out.groups)} background alphabets",
                seed=seed,
            )
        )
    return rows


def listed(bundle: Bundle, items: Items, vectors: np.ndarray, *, within: bool) -> PairList:
    """The fixed list of pairs (its own seed 0): genuine in turn with impostor; identity of a pair's end is its alphabet."""
    generator = np.random.default_rng(0)
    group = np.asarray(items.group)
    members = [np.flatnonzero(items.labels == label) for label in range(len(items.names))]
    ends = np.empty((PAIRS, 2), dtype=np.int64)
    for place in range(0, PAIRS, 2):
        first, second = generator.choice(members[generator.integers(len(members))], 2, replace=False)
        ends[place] = first, second
        others = np.flatnonzero((items.labels != items.labels[first]) & ((group == group[first]) | (not within)))
        ends[place + 1] = first, generator.choice(others)
    same = np.arange(PAIRS) % 2 == 0
    paired = np.concatenate(
        [
            np.diagonal(scores(bundle.twin, vectors[part[:, 0]], vectors[part[:, 1]]))
            for part in np.array_split(ends, PAIRS // 500)
        ]
    )
    return PairList(paired, same, first=group[ends[:, 0]], second=group[ends[:, 1]])


def means(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The mean over seeds of every figure that has several; its interval is the mean of theirs."""
    rows = []
    for name in dict.fromkeys(result["name"] for result in results):
        same = [result for result in results if result["name"] == name]
        if len(same) > 1:
            mean = {key: float(np.mean([r[key] for r in same])) for key in ("value", "low", "high") if same[0][key]}
            rows.append(same[0] | mean | {"seed": None, "unit": f"{same[0]['unit']}; mean over {len(same)} seeds"})
    return rows


if __name__ == "__main__":
    main()

"""Unequal classes: plain, effective-number (Cui et al. 2019) and balanced batches on an artificially long tail.

    python bench/long_tail.py --data DIR [--sets omniglot groceries] [--seeds 0 1] [--quick]

Class sizes fall by a constant factor from the largest to 2, in an order that the seed draws. Three
trainings, alike but for `balance`, see the same items in the same number of steps. Omniglot
(DIR/omniglot/images_background): 12 alphabets train a small network of the recipe `character`, six
others are told apart. Groceries (DIR/grocery_store_160): half of the products train the recipe
`head` on vectors of the model out of the box, the photographs of the other half are told apart.
Measured: 20-way one-shot accuracy in the same episodes, so that differences are paired, of unseen
classes and of the trained classes that have few items (the few-shot classes of Liu et al. 2019), by
two items of each that did not train. Intervals of unseen classes resample classes; those of the
gains are given over seeds, too (Student's t): two trainings that differ by nothing but their seed
differ by more than classes say. Nothing is chosen here. --quick takes drawn characters, and no data.
"""

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import groceries
from last_line import print_last_line, row
from omniglot import HELD_OUT
from twofold import Bundle, Items, Recipe, build, embed, fit
from twofold.data.synthetic import glyphs
from twofold.embedding import embed_values
from twofold.metrics.intervals import (
    estimate,
    identity_weights,
    student_quantile,
    weighted_means,
)
from twofold.recipes import character, head

SAMPLING = {"plain": 0.0, "effective": 0.9, "balanced": 1.0}
"""Values of `balance`. Of classes of 2 to 20 items .9 stands in the middle: above 10 items nothing counts more."""

WAYS, EPISODES, REPLICATES = 20, 1000, 2000
SMALLEST = 2

FEW = 4
"""Items of a class in the tail, at most."""


class Tail(NamedTuple):
    """A training part with a long tail, and items of other classes to be told apart."""

    name: str
    train: Items
    test: Items
    recipe: Recipe


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description="long-tailed classes, three ways to draw batches")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(READ), choices=list(READ))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--quick", action="store_true", help="drawn characters, seconds")
    options = parser.parse_args()
    data: Path = options.data or Path()
    if options.data is None and not options.quick:
        parser.error("--data DIR, or --quick without data")
    started, results = time.monotonic(), []
    seeds = options.seeds[:1] if options.quick else options.seeds
    for part in [drawn()] if options.quick else [READ[name](data) for name in options.sets]:
        results += measured(part, seeds)
    alone = f"_{options.sets[0]}" if len(options.sets) == 1 else ""
    print_last_line(f"long_tail{alone}", started, results)


def characters(data: Path) -> Tail:
    """Alphabets of Omniglot's background set; the evaluation set is not touched."""
    items = Items.from_folder(data / "omniglot" / "images_background", levels=2)
    known = [alphabet for alphabet in items.groups if alphabet not in HELD_OUT][::2]
    recipe = character().replace(
        {
            "input.size": 28,
            "encoder.width": 16,
            "encoder.dim": 64,
            "augment.quarter_turns_as_classes": False,
            "p": 32,
            "epochs": 30,
            "fewest_steps": 0,
            "ema": 0.99,
            "copies": 1,
        }
    )
    return Tail("omniglot", items.where(groups=known), items.where(groups=HELD_OUT), recipe)


def products(data: Path) -> Tail:
    """Photographs as vectors of the model out of the box; half of the products of seed 0 train."""
    shop = groceries.read(data, each=None)
    vectors = embed_values(Bundle.pretrained(), shop.photos)
    order = np.random.default_rng(0).permutation(len(shop.names))
    sides = np.isin(shop.photo_class, order[: len(order) // 2])
    train, test = (
        Items.from_arrays(vectors[side], [shop.names[c] for c in shop.photo_class[side]])
        for side in (sides, ~sides)
    )
    settings = {"epochs": 20, "p": 16, "input.size": vectors.shape[1]}
    return Tail("groceries", train, test, head().replace(settings))


READ = {"omniglot": characters, "groceries": products}


def drawn() -> Tail:
    """Characters of our own, to see that everything runs."""
    small = {"input.size": 16, "encoder.width": 8, "encoder.dim": 16, "epochs": 1, "p": 8}
    without = {"augment.quarter_turns_as_classes": False, "copies": 1, "fewest_steps": 0}
    train, test = (glyphs(classes=30, each=8, size=16, seed=seed) for seed in (0, 1))
    return Tail("glyphs", train, test, character().replace(small | without))


def measured(part: Tail, seeds: list[int]) -> list[dict[str, Any]]:
    """The figures of one set, of each seed and, if there are several, their mean."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in SAMPLING}
    tail: dict[str, list[np.ndarray]] = {name: [] for name in SAMPLING}
    cost: dict[str, float] = dict.fromkeys(SAMPLING, 0.0)
    asked, queries = episodes(part.test)
    for seed in seeds:
        rest, aside = two_aside(part.train, seed=seed)
        items = long_tailed(rest, seed=seed)
        small = {items.names[label] for label in np.flatnonzero(np.bincount(items.labels) <= FEW)}
        few = np.array([label for label, name in enumerate(aside.names) if name in small])
        tail_queries = episodes(aside, among=few)[1]
        print(
            f"{part.name}, seed {seed}: {len(items)} items of {len(items.names)} classes, "
            f"{len(few)} in the tail",
            flush=True,
        )
        for name, balance in SAMPLING.items():
            recipe = part.recipe.replace({"balance": balance})
            bundle = fit(build.twin(recipe, seed=seed), items, recipe=recipe, seed=seed)
            right = correct(embed(bundle, part.test).vectors, queries)
            found[name].append(right)
            tail[name].append(correct(embed(bundle, aside).vectors, tail_queries))
            cost[name] += bundle.training["core_seconds"] / 60 / len(seeds)
            print(
                f"  {name:10} {right.mean():.4f}, tail {tail[name][-1].mean():.4f}  "
                f"{bundle.training['core_seconds']:.0f} s",
                flush=True,
            )
    mean = {name: np.mean(each, axis=0) for name, each in found.items()}
    task = f"{min(WAYS, len(part.test.names))}-way one-shot of unseen classes; mean of seeds "
    how = {
        name: f"{task}{', '.join(map(str, seeds))}; {minutes:.2f} core-minutes a training"
        for name, minutes in cost.items()
    }
    rows = [
        figure(f"long_tail_{part.name}_{name}", mean[name], asked, how=how[name])
        for name in SAMPLING
    ]
    gain = "less plain batches in the same episodes, goal: above 0 beyond the interval; "
    for name in ("effective", "balanced"):
        title, told = f"long_tail_gain_{part.name}_{name}", gain + how[name]
        rows.append(figure(title, mean[name] - mean["plain"], asked, how=told))
        if len(seeds) > 2:
            rows.append(over_seeds(f"{title}_over_seeds", gains(found, name), how=told))
            told = told.replace("of unseen classes", f"of trained classes of {FEW} items and less")
            rows.append(over_seeds(f"{title}_tail_over_seeds", gains(tail, name), how=told))
    return rows


def gains(right: dict[str, list[np.ndarray]], name: str) -> list[float]:
    """Of each seed, how much more a sampling has right than plain batches."""
    return [float((a - b).mean()) for a, b in zip(right[name], right["plain"], strict=True)]


def over_seeds(name: str, gains: list[float], *, how: str) -> dict[str, Any]:
    """The mean of the seeds' gains; Student's interval over them."""
    mean, count = float(np.mean(gains)), len(gains)
    half = student_quantile(0.975, count - 1) * float(np.std(gains, ddof=1)) / count**0.5
    print(f"{name:45} {mean:+.4f} [{mean - half:+.4f}, {mean + half:+.4f}]", flush=True)
    interval = (mean - half, mean + half)
    return row(name, mean, interval=interval, unit=f"interval over {count} seeds", anchor=how)


def two_aside(items: Items, *, seed: int) -> tuple[Items, Items]:
    """All but two items of each class, and these two."""
    order = np.random.default_rng([seed, 8]).permutation(len(items))
    ranks = np.empty(len(items), dtype=np.int64)
    for label in range(len(items.names)):
        members = order[items.labels[order] == label]
        ranks[members] = np.arange(len(members))
    return items.take(np.flatnonzero(ranks >= 2)), items.take(np.flatnonzero(ranks < 2))


def long_tailed(items: Items, *, seed: int) -> Items:
    """Sizes that fall by a constant factor from the largest class to `SMALLEST`."""
    draw = np.random.default_rng([seed, 7])
    members = [np.flatnonzero(items.labels == label) for label in range(len(items.names))]
    most, count = max(map(len, members)), len(members)
    kept = []
    for place, label in enumerate(draw.permutation(count)):
        size = round(most * (SMALLEST / most) ** (place / (count - 1)))
        kept.append(draw.permutation(members[label])[: max(size, SMALLEST)])
    return items.take(np.sort(np.concatenate(kept)))


def episodes(items: Items, *, among: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Classes that are asked for (of those `among`), and of each an example and a query, `WAYS` to an episode."""
    draw = np.random.default_rng(0)
    members = [np.flatnonzero(items.labels == label) for label in range(len(items.names))]
    allowed = range(len(members)) if among is None else among.tolist()
    usable = [label for label in allowed if len(members[label]) >= 2]
    ways = min(WAYS, len(usable))
    classes = np.stack([draw.choice(usable, ways, replace=False) for _ in range(EPISODES)])
    return classes.ravel(), np.stack(
        [[draw.choice(members[label], 2, replace=False) for label in row] for row in classes]
    )


def correct(vectors: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """For each query whether the example of its own class is the nearest of its episode."""
    return np.concatenate(
        [
            np.argmax(vectors[rows[:, 1]] @ vectors[rows[:, 0]].T, axis=1) == np.arange(len(rows))
            for rows in drawn
        ]
    ).astype(float)


def figure(name: str, right: np.ndarray, asked: np.ndarray, *, how: str) -> dict[str, Any]:
    """The mean over queries; its interval resamples classes."""
    codes = np.unique(asked, return_inverse=True)[1].astype(np.int64)
    count = int(codes.max()) + 1
    replicates = weighted_means(right, codes, identity_weights(count, REPLICATES, seed=0))
    found = estimate(
        name, float(right.mean()), replicates=replicates, resampled=count, unit="class"
    )
    print(f"{name:45} {found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}]", flush=True)
    return row(
        name,
        found.value,
        interval=(found.low, found.high),
        unit=f"interval over {count} classes",
        anchor=how,
    )


if __name__ == "__main__":
    main()

"""What a bridge between two models costs: recall over it, and when everything is embedded again (`migrate`).

    python bench/bridge.py --data DIR --work FOLDER [--quick]

FOLDER has the bundles of `bench/omniglot.py --work FOLDER`, or gets them: one of all 964 background
characters (seed 0), one of the 769 that are not held out, one of the 136 of five alphabets. The last
two are the old models. 500 characters of the evaluation set, ten drawings each, are embedded by all
three. A bridge is fitted to three quarters of these characters; the others ask, each drawing for
another one of its character among all drawings. Nothing is chosen here.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from last_line import print_last_line, row
from omniglot import EPOCHS, drawer_of, made
from twofold import Bundle, Items, embed
from twofold.apps.bridge import Pairs, toll
from twofold.recipes import character

CHARACTERS = 500
DRAWERS = 10
"""Of each character; they are the first ten."""

FEW = 200
"""Items of a small sample."""


def main() -> None:
    """Embed by all models, build both bridges, print."""
    parser = argparse.ArgumentParser(description="the cost of a bridge between two models")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="models of seconds")
    options = parser.parse_args()
    started = time.monotonic()
    background = Items.from_folder(options.data / "images_background", levels=2)
    recipe = character().replace({"groups_per_batch": 4, "epochs": EPOCHS})
    if options.quick:
        recipe = recipe.replace({"epochs": 1, "max_seconds": 5, "copies": 1})
    asked = sample(Items.from_folder(options.data / "images_evaluation", levels=2))
    new, *older = (
        made(name, background, recipe, options.work) for name in ("0", "held_out", "minimal")
    )
    vectors = embed(new, asked).vectors
    labels = tuple(asked.names[label] for label in asked.labels)
    results = []
    for name, old in zip(("769", "136"), older, strict=True):
        both = Pairs(labels=labels, old=embed(old, asked).vectors, new=vectors)
        results += rows(name, new, both)
    print_last_line("bridge", started, results)


def sample(items: Items) -> Items:
    """So many characters, drawn with seed 0, by the first drawers."""
    count = len(items.names)
    chosen = np.random.default_rng(0).choice(count, min(CHARACTERS, count), replace=False)
    early = np.array([drawer_of(name) <= DRAWERS for name in items.ids])
    return items.take(np.flatnonzero(np.isin(items.labels, chosen) & early))


def rows(name: str, new: Bundle, both: Pairs) -> list[dict[str, Any]]:
    """Recall of both ways, and how like its own vector a bridged one is, with many and with few items."""
    count = len(both.labels)
    chosen = np.random.default_rng(0).choice(count, min(FEW, count), replace=False)
    few = Pairs(
        labels=tuple(both.labels[place] for place in chosen),
        old=both.old[chosen],
        new=both.new[chosen],
    )
    whole, small = (toll(new, pairs, unit=True, seed=0) for pairs in (both, few))
    anchor = f"{name} characters trained the old model, 964 the new one; {count} items"
    found = [
        row(
            f"bridge_{name}_{way}",
            told.value,
            interval=(told.low, told.high),
            unit=f"{whole.name}; interval over {told.resampled} characters",
            anchor=anchor,
            seed=0,
        )
        for way, told in (("again", whole.again), ("bridged", whole.bridged))
    ]
    found += [
        row(f"bridge_{name}_likeness_{len(pairs.labels)}", each.likeness, anchor="median", seed=0)
        for each, pairs in ((whole, both), (small, few))
    ]
    print(*(f"{each['name']} {each['value']:.4f}" for each in found), sep="  ", flush=True)
    return found


if __name__ == "__main__":
    main()

"""Straight paths: how many of twofold's own functions, in how many files, a call visits.

    python bench/paths.py [--list]

Counted are distinct functions, lambdas and generator functions whose code lies in twofold, once
each; comprehensions belong to the function that holds them, and what other packages run is not
counted. Each call runs once before it is counted, so that imports and caches are not. `--list`
names the functions, file by file.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from PIL import Image

import twofold
from last_line import print_last_line, row
from twofold import Bundle, Index, Items, Recipe, build, dedup, fit, verify
from twofold.contract import Calibration
from twofold.results import Embeddings, Estimate
from twofold.train import step as steps

__all__ = ["GOALS", "Visited", "functions", "visits"]

HOME = str(Path(twofold.__file__).parent)
PARTS = ("<genexpr>", "<listcomp>", "<dictcomp>", "<setcomp>", "<module>")
"""Code objects that are part of a function, or of none."""

Visited = set[tuple[str, str]]
"""File, below the package, and the qualified name of a function."""

GOALS = {"verify": (28, 8), "search": (25, 7), "fit_step": (35, 10), "dedup": (60, 10)}
"""At most so many functions in so many files; `search` is that of an index in a folder."""

PICTURES, SIDE = 4, 16
RECIPE = Recipe.model_validate(
    {
        "input": {"name": "Image", "size": [SIDE, SIDE], "channels": 1},
        "encoder": {"name": "conv4", "dim": 8},
        "p": 4,
        "k": 2,
        "epochs": 1,
        "split": {"folds": 0},
    }
)


def main() -> None:
    """Count each path, then the last line."""
    parser = argparse.ArgumentParser(description="Functions and files that a call visits")
    parser.add_argument("--list", action="store_true", help="name the functions, file by file")
    parser.add_argument("--quick", action="store_true", help="the same: nothing here takes long")
    options = parser.parse_args()
    started, results = time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder:
        for name, visited in visits(Path(folder)).items():
            files = Counter(file for file, _ in visited)
            print(f"{name}: {len(visited)} functions in {len(files)} files")
            for file in sorted(files) if options.list else ():
                print(
                    f"  {file}: {', '.join(sorted(one for place, one in visited if place == file))}"
                )
            for unit, count, goal in zip(
                ("functions", "files"), (len(visited), len(files)), GOALS[name], strict=True
            ):
                results.append(row(f"{name}_{unit}", count, unit=unit, goal=goal))
    print_last_line("paths", started, results)


def visits(folder: Path) -> dict[str, Visited]:
    """What each of the four calls visits, on small data of its own in a folder."""
    items, bundle = pictures(folder / "pictures"), small_bundle()
    one, other = items.values[:2]
    found = {"verify": counted(lambda: verify(bundle, one, other))}
    with filled(folder / "index") as (index, query):
        found["search"] = counted(lambda: index.search(query, 10))
    found["fit_step"] = one_step(items)
    found["dedup"] = counted(lambda: dedup(items))
    return found


def counted(call: Callable[[], Any]) -> Visited:
    """What the second of two calls visits."""
    call()
    with functions() as visited:
        call()
    return visited


@contextmanager
def functions() -> Iterator[Visited]:
    """The set that all of twofold's functions join which are called in the block, by any thread that begins there."""
    visited = Visited()

    def look(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(HOME) and code.co_name not in PARTS:
            visited.add((code.co_filename[len(HOME) + 1 :], code.co_qualname))

    threading.setprofile(look)
    sys.setprofile(look)
    try:
        yield visited
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]  (as the documentation has it)


def one_step(items: Items) -> Visited:
    """What happens between the ends of two steps of a training: the next batch, the step, and what is told of it."""
    ends: list[Visited] = []
    step = steps.step

    with functions() as visited:

        def watched(*given: Any, **named: Any) -> float:
            loss = step(*given, **named)
            ends.append(set(visited))
            visited.clear()
            return loss

        import twofold.train.fit as training

        training.step, kept = watched, training.step
        try:
            fit(build.twin(RECIPE, seed=0), items, recipe=RECIPE, seed=0)
        finally:
            training.step = kept
    return ends[-1]


def pictures(folder: Path) -> Items:
    """Eight identities in folders of their own, each a pattern with noise."""
    rng = np.random.default_rng(0)
    for label in range(8):
        (folder / str(label)).mkdir(parents=True)
        pattern = rng.integers(0, 200, (SIDE, SIDE))
        for number in range(PICTURES):
            pixels = pattern + rng.integers(0, 50, (SIDE, SIDE))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / str(label) / f"{number}.png")
    return Items.from_folder(folder)


def small_bundle() -> Bundle:
    """An untrained network with a threshold that is made up."""
    rate = Estimate(
        name="rate", value=0.01, low=0.0, high=0.02, confidence=0.95, unit="identity", resampled=9
    )
    calibration = Calibration(
        threshold=0.5,
        far=0.01,
        standing="certified",
        confidence=0.95,
        method="made up",
        upper_bound=0.01,
        false_match=rate,
        false_non_match=rate,
        slope=10.0,
        intercept=-5.0,
        prior=0.5,
        identities=9,
        genuine_pairs=9,
        impostor_pairs=9,
        seed=0,
    )
    return Bundle(twin=build.twin(RECIPE, seed=0).eval(), recipe=RECIPE).with_calibration(
        calibration
    )


@contextmanager
def filled(place: Path) -> Iterator[tuple[Index, np.ndarray]]:
    """An index of random unit vectors, and a query."""
    bundle = small_bundle()
    vectors = np.random.default_rng(0).normal(size=(1000, bundle.contract.dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = tuple(f"{number % 100}/{number}" for number in range(len(vectors)))
    labels = tuple(name.split("/")[0] for name in names)
    with Index.create(place, bundle.contract) as index:
        index.add(
            Embeddings(ids=names, labels=labels, vectors=vectors, fingerprint=bundle.fingerprint)
        )
        yield index, vectors[:1] + 0.1


if __name__ == "__main__":
    main()

"""Faces of people never seen in training: ORL (40 people), and Labeled Faces in the Wild, View 1 (Huang et al. 2007).

    python bench/faces.py --data DIR [--lfw DIR] [--orl DIR] [--seeds 0 1 2] [--quick]

ORL: DIR/orl_faces with s1 ... s40; trained on s1-s30, measured on s31-s40. LFW: DIR/lfw_view1_112
with `images/NAME/NAME_0001.jpg`, `view1_devtrain.txt`, `pairsDevTest.txt`; trained on the people of
DevTrain, a tenth of whom is kept aside for the threshold; measured on the pairs of DevTest. No
outside data. Intervals resample people.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from last_line import print_last_line, row
from twofold import Items, Recipe, build
from twofold.bundle import Bundle
from twofold.data.batches import balanced_pairs
from twofold.embedding import embed, scores
from twofold.metrics.fewshot import n_way_accuracy
from twofold.metrics.pairs import AllPairs, PairList
from twofold.metrics.verification import best_threshold, estimates, tally
from twofold.recipes import face_from_scratch
from twofold.results import Estimate
from twofold.train.fit import fit


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description="ORL and LFW View 1")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--orl", type=Path, default=None)
    parser.add_argument("--lfw", type=Path, default=None)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--quick", action="store_true", help="seconds of training, to see that everything runs"
    )
    options = parser.parse_args()
    started = time.monotonic()
    recipe = face_from_scratch().replace(
        {"epochs": 2, "max_seconds": 8, "copies": 1} if options.quick else {}
    )
    results: list[dict[str, Any]] = []
    for seed in options.seeds[:1] if options.quick else options.seeds:
        results += orl(options.orl or options.data / "orl_faces", recipe, seed)
        results += lfw(options.lfw or options.data / "lfw_view1_112", recipe, seed)
        print(
            *(f"{r['name']} {r['value']:.4f}" for r in results if r["seed"] == seed),
            sep="  ",
            flush=True,
        )
    print_last_line("faces", started, results)


def orl(folder: Path, recipe: Recipe, seed: int) -> list[dict[str, Any]]:
    """Verification over all pairs of the last ten people, and 10-way one-shot identification among them."""
    items = Items.from_folder(folder)
    people = [f"s{number}" for number in range(1, 41)]
    train, test = items.where(identities=people[:30]), items.where(identities=people[30:])
    bundle = fit(build.twin(recipe, seed=seed), train, recipe=recipe, seed=seed)
    vectors = embed(bundle, test).vectors

    def score(rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        return scores(bundle.twin, vectors[rows], vectors[cols])

    found = estimates(AllPairs(score, test.labels), unit="person")
    one_shot = n_way_accuracy(score, test.labels, n_way=10, episodes=1000)
    return [
        figure("orl_eer", found["eer"], seed, anchor="10 unseen people; pixels: AUC .919"),
        figure("orl_auc", found["auc"], seed, anchor="pixels .919"),
        figure(
            "orl_one_shot_accuracy", one_shot, seed, anchor="10-way, 1,000 episodes; pixels .681"
        ),
    ]


def lfw(folder: Path, recipe: Recipe, seed: int) -> list[dict[str, Any]]:
    """DevTest pairs, at a threshold from people of DevTrain that were kept aside."""
    parts = people_of(folder / "view1_devtrain.txt", folder / "images").split(
        train=0.9, valid=0.1, calibrate=0.0, test=0.0, seed=seed
    )
    bundle = fit(build.twin(recipe, seed=seed), parts.train, recipe=recipe, seed=seed)
    aside = embed(bundle, parts.valid).vectors
    a, b, same = balanced_pairs(parts.valid.labels, count=len(parts.valid) // 2 * 2, seed=0)
    labels = parts.valid.labels
    chosen = PairList(
        paired(bundle, aside[a], aside[b]),
        same == 1,
        first=labels[a],
        second=labels[b],
        weigh="pairs",
    )
    threshold = float(best_threshold(tally(chosen)))
    pairs = dev_test(bundle, folder)
    found = estimates(pairs, threshold=threshold, far=0.01, unit="person")
    anchor = "1,000 pairs of DevTest, no outside data; pixels .614 (View 2)"
    return [
        figure(
            "lfw_accuracy",
            found["accuracy"],
            seed,
            anchor=f"{anchor}; threshold from {len(parts.valid)} aside",
        ),
        figure("lfw_eer", found["eer"], seed, anchor=anchor),
        figure("lfw_auc", found["auc"], seed, anchor=anchor),
        figure("lfw_tar_at_far_1e-2", found["tar_at_far"], seed, anchor=anchor),
    ]


def people_of(listing: Path, images: Path) -> Items:
    """The pictures that a list names, `NAME/NAME_0001.jpg` a line."""
    names = [line.strip() for line in listing.read_text().splitlines() if line.strip()]
    return Items.from_arrays(
        [images / name for name in names], [name.split("/")[0] for name in names], ids=names
    )


def dev_test(bundle: Bundle, folder: Path) -> PairList:
    """The pairs of pairsDevTest.txt: `NAME 1 2` is genuine, `NAME 1 OTHER 3` is not."""
    lines = [line.split("\t") for line in (folder / "pairsDevTest.txt").read_text().splitlines()]
    lines = [line for line in lines if len(line) in (3, 4)]
    ends = [
        ((line[0], line[1]), (line[-2] if len(line) == 4 else line[0], line[-1])) for line in lines
    ]
    files = sorted({end for pair in ends for end in pair})
    values = [folder / "images" / name / f"{name}_{int(number):04}.jpg" for name, number in files]
    vectors = embed(bundle, Items.from_arrays(values, [name for name, _ in files])).vectors
    place = {end: index for index, end in enumerate(files)}
    person = np.unique([name for name, _ in files], return_inverse=True)[1]
    a, b = (np.array([place[pair[side]] for pair in ends]) for side in (0, 1))
    same = np.array([len(line) == 3 for line in lines])
    return PairList(
        paired(bundle, vectors[a], vectors[b]),
        same,
        first=person[a],
        second=person[b],
        weigh="pairs",
    )


def paired(bundle: Bundle, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Score of each row of `a` with the same row of `b`."""
    blocks = max(len(a) // 500, 1)
    halves = zip(np.array_split(a, blocks), np.array_split(b, blocks), strict=True)
    return np.concatenate([np.diagonal(scores(bundle.twin, left, right)) for left, right in halves])


def figure(name: str, found: Estimate, seed: int, *, anchor: str) -> dict[str, Any]:
    """An estimate as a row of the last line."""
    unit = f"interval over {found.resampled} {found.unit}s"
    return row(
        name, found.value, interval=(found.low, found.high), unit=unit, anchor=anchor, seed=seed
    )


if __name__ == "__main__":
    main()

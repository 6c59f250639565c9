"""What attention and learned matches add to the small network of pictures: same data, steps and seeds.

    python bench/small_networks.py --data DIR [--sets omniglot orl coil] [--only NAME ...] [--quick]

Omniglot: eight background alphabets train, five others judge (the evaluation set is not touched).
ORL: 25 people train, 15 judge. COIL-20: objects 1 to 10 train, 11 to 20 judge. Each variant differs
from `plain` in one setting, and is compared with it on all pairs of the unseen identities: the
interval of the difference leaves identities out of both (`metrics.paired`). Nothing is chosen on
these figures, so each variant is measured once per seed.
"""

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from last_line import print_last_line, row
from twofold import Items, Recipe, build
from twofold.apps.feature_maps import SHORTLIST_BY_MAPS
from twofold.embedding import embed_arrays, read_all, scores
from twofold.map_matching import OnMaps
from twofold.metrics.paired import differences
from twofold.metrics.pairs import AllPairs
from twofold.metrics.retrieval import recall_at_k
from twofold.recipes import character, face_from_scratch
from twofold.train.fit import fit

TRAINED = (
    "Balinese",
    "Bengali",
    "Cyrillic",
    "Greek",
    "Hebrew",
    "Korean",
    "Malay_(Jawi_-_Arabic)",
    "Sanskrit",
)
UNSEEN = ("Arcadian", "Early_Aramaic", "Futurama", "Latin", "Tifinagh")
"""Background alphabets that judge; five of those that the recipe `character` was chosen on."""

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "twice_as_long": {},
    "squeeze_excite": {"encoder.squeeze_excite": True},
    "average_pool": {"encoder.pool": "average"},
    "attention_pool": {"encoder.pool": "attention"},
    "vit": {"encoder": {"name": "vit", "dim": 128}},
    "matching": {"comparison": "Matching"},
    "bilinear": {"comparison": "Bilinear"},
    "relation": {"comparison": "Relation"},
    "cross_attention": {"comparison": "CrossAttention"},
}
"""What differs from the recipe; `plain` is `resnet_small` with a flattened map.

`twice_as_long` is plain for twice the steps: about what a match on maps costs in training.
"""

BEST = 10
"""Hits that a shortlist should hold."""

PATCH = {"omniglot": 4, "orl": 8, "coil": 4}
"""Pixels of a patch of `vit`, for 8 to 10 patches a side."""


class Task(NamedTuple):
    """A data set: what trains, what judges, and by which recipe, for how many steps."""

    train: Items
    judge: Items
    recipe: Recipe
    steps: int


def main() -> None:
    """Train every variant on every set with every seed, compare, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--only", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--quick", action="store_true", help="few steps, to see that all runs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.monotonic()
    results = []
    for name in options.sets:
        task = TASKS[name](options.data)
        if options.quick:
            task = task._replace(steps=2)
        for seed in options.seeds[:1] if options.quick else options.seeds:
            plain = measured(name, "plain", task, seed)
            results += figures(name, "plain", plain, plain, seed=seed)
            for variant in options.only:
                if variant != "plain":
                    found = measured(name, variant, task, seed)
                    results += figures(name, variant, plain, found, seed=seed)
    print_last_line("small_networks", started, results)


class Measured(NamedTuple):
    """Scores of all pairs of the judging items by one trained twin."""

    pairs: AllPairs
    recall: float
    seconds: float
    steps: int
    weights: int
    listed: float | None


def measured(name: str, variant: str, task: Task, seed: int) -> Measured:
    """One training, and what it makes of unseen identities."""
    recipe = task.recipe.replace(VARIANTS[variant])
    if variant == "vit":
        recipe = recipe.replace({"encoder.patch": PATCH[name]})
    steps = task.steps * (2 if variant == "twice_as_long" else 1)
    epochs = max(1, round(steps * recipe.p * recipe.k / len(task.train)))
    recipe = recipe.replace({"epochs": epochs, "copies": 1})
    twin = build.twin(recipe, seed=seed)
    bundle = fit(twin, task.train, recipe=recipe, seed=seed)
    vectors = embed_arrays(twin, list(read_all(twin.input, task.judge.values)))
    table = scores(twin, vectors, vectors)
    labels = task.judge.labels

    def score(rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        return table[np.ix_(rows, cols)]

    return Measured(
        pairs=AllPairs(score, labels),
        recall=recall_at_k(score, labels),
        seconds=float(bundle.training["core_seconds"]),
        steps=int(bundle.training["steps"]),
        weights=sum(weight.numel() for weight in twin.parameters()),
        listed=shortlisted(vectors[:, : twin.embedding_dim], table)
        if isinstance(twin.comparison, OnMaps)
        else None,
    )


def shortlisted(embeddings: np.ndarray, table: np.ndarray) -> float:
    """Share of the best by a match on maps that are among the nearest by their embeddings."""
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    near, best = unit @ unit.T, table.copy()
    for each in (near, best):
        np.fill_diagonal(each, -np.inf)
    listed = np.argsort(-near, axis=1)[:, :SHORTLIST_BY_MAPS]
    wanted = np.argsort(-best, axis=1)[:, :BEST]
    found = [np.isin(ten, some).mean() for ten, some in zip(wanted, listed, strict=True)]
    return float(np.mean(found))


def figures(
    name: str, variant: str, plain: Measured, found: Measured, *, seed: int
) -> list[dict[str, Any]]:
    """Equal error rate and recall@1 of one variant, and how much smaller its equal error rate is."""
    eer = differences(plain.pairs, found.pairs)["eer"]
    title = f"{name}_{variant}_seed_{seed}"
    units = f"{eer.resampled} unseen identities"
    spent = f"{found.steps} steps, {found.weights:,} weights"
    rows = [
        row(f"{title}_eer", eer.b, anchor=f"{units}, all pairs; {spent}", seed=seed),
        row(f"{title}_recall_at_1", found.recall, anchor=units, seed=seed),
        row(f"{title}_core_seconds", round(found.seconds, 1), anchor="of training", seed=seed),
    ]
    if variant != "plain":
        gain = row(
            f"{title}_eer_gain",
            eer.gain,
            interval=(eer.low, eer.high),
            anchor=f"equal error rate of plain less that of {variant}, over identities",
            seed=seed,
        )
        rows.append(gain)
    if found.listed is not None:
        anchor = f"of the {BEST} best of all by the match, among the {SHORTLIST_BY_MAPS} nearest"
        rows.append(row(f"{title}_shortlisted", found.listed, anchor=anchor, seed=seed))
    print(*(f"{each['name']} {each['value']:.4f} {each['low']}" for each in rows), flush=True)
    return rows


def omniglot(data: Path) -> Task:
    """Drawn characters of 40 pixels."""
    items = Items.from_folder(data / "omniglot" / "images_background", levels=2)
    recipe = character().replace(
        {"p": 16, "encoder.dim": 128, "augment.quarter_turns_as_classes": False}
    )
    return Task(items.where(groups=TRAINED), items.where(groups=UNSEEN), recipe, 400)


def orl(data: Path) -> Task:
    """Faces of 64 pixels."""
    items = Items.from_folder(data / "orl_faces", levels=1)
    people = [f"s{number}" for number in range(1, 41)]
    split = [items.where(identities=part) for part in (people[:25], people[25:])]
    return Task(split[0], split[1], face_from_scratch(), 250)


def coil(data: Path) -> Task:
    """Objects on a turntable, of 32 pixels."""
    from scipy.io import loadmat

    known = loadmat(data / "coil20" / "COIL20.mat")
    pictures = (known["X"].T.reshape(-1, 32, 32).swapaxes(1, 2) * 255).astype(np.uint8)
    labels = known["gnd"].ravel()
    recipe = face_from_scratch().replace(
        {"input.size": 32, "encoder.stem_stride": 1, "p": 8, "k": 8}
    )
    split = [
        Items.from_arrays(list(pictures[part]), [f"object {each}" for each in labels[part]])
        for part in (labels <= 10, labels > 10)
    ]
    return Task(split[0], split[1], recipe, 150)


TASKS = {"omniglot": omniglot, "orl": orl, "coil": coil}


if __name__ == "__main__":
    main()

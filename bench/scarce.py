"""New classes from 1, 5 and 20 examples: ImageNet's features as they are, tuned, and a network from scratch.

    python bench/scarce.py --data DIR [--sets coil aerial xray] [--seeds 0 1] [--quick]

DIR/coil20 (Columbia's 20 objects, every second of 72 views), DIR/rsscn7_128 (aerial pictures of 7
kinds of place, 60 of each), DIR/pneumoniamnist_balanced (chest X-rays, 28 x 28, a public balanced
re-split, not the official one). *Frozen* is the model out of the box, *tuned* the recipe
`few_photos`, *scratch* the recipe `generic` in 200 steps.

COIL-20 and aerial pictures: each seed deals the classes to two halves, and each half is asked by
models of the other, so that every class is asked once a seed, and never by a model that has seen
it. X-rays have two classes, and nothing to train on but their labelled pictures: 1, 5 or 20 of each
class, drawn from the train part, train (from 5 on) and are the examples; all pictures of the test
part are asked.

A class is the mean of its examples' embeddings; `nearest` rows take the nearest example instead,
and in `views` rows an example is the mean over itself and three warped views (aerial pictures). All
models see the same draws. Differences are paired: Student's t over classes, for X-rays over draws and pictures
(their variances added). The gain is what the tuned model has above the better one of the others.
Nothing is chosen here. --quick takes drawn characters, and no data.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from copies_real import coil_views
from last_line import print_last_line, row
from twofold import Bundle, Items, Recipe, build, fit
from twofold.data.synthetic import glyphs
from twofold.embedding import embed_values
from twofold.metrics.intervals import student_quantile
from twofold.nn.whitened_levels import WhitenedLevels
from twofold.recipes import few_photos, generic
from twofold.train.features import featured, with_cache

SHOTS = (1, 5, 20)
DRAWS = 20
STEPS, TOGETHER = 100, 32
"""Steps of a training from scratch, and pictures of a step, about."""

LABELLED = 24
"""Draws of labelled X-rays, each of which is trained on."""

VIEWS = 4
WARPS = {"flip": True, "rotation": 10, "scale": 0.2, "shift": 0.1, "brightness": 0.2}


class Figures(NamedTuple):
    """Shares of right answers of one model; differences of two are paired row by row, column by column.

    Attributes:
        right: draws x classes, or draws x pictures of X-rays.
        minutes: core-minutes of a training.
    """

    right: np.ndarray
    minutes: float


def main() -> None:
    """Measure each set, print."""
    parser = argparse.ArgumentParser(description="few examples: frozen, tuned, from scratch")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sets", nargs="+", default=["coil", "aerial", "xray"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--quick", action="store_true", help="drawn characters, seconds")
    options = parser.parse_args()
    data: Path = options.data or Path()
    if options.data is None and not options.quick:
        parser.error("--data DIR, or --quick without data")
    started, results = time.monotonic(), []
    if options.quick:
        items = glyphs(classes=6, each=8, size=32, seed=0)
        results = unseen("glyphs", items, seeds=[0], shots=(1, 5), quick=True)
        options.sets = []
    for name in options.sets:
        if name == "xray":
            results += labelled(data)
        else:
            results += unseen(name, READ[name](data), seeds=options.seeds)
    name = f"scarce_{options.sets[0]}" if len(options.sets) == 1 else "scarce"
    print_last_line(name, started, results)


def coil(data: Path) -> Items:
    """Twenty objects, every ten degrees."""
    views = coil_views(data, 120)
    pictures = np.stack([np.asarray(picture) for picture in views.pictures[::2]])
    return Items.from_arrays(pictures, views.labels[::2])


def aerial(data: Path) -> Items:
    """Seven kinds of place, sixty pictures of each."""
    return Items.from_folder(data / "rsscn7_128")


READ = {"coil": coil, "aerial": aerial}


def recipes(classes: int, items: int, *, quick: bool = False) -> dict[str, Recipe]:
    """Tuned, and from scratch in so many steps of about 32 pictures."""
    p = min(16, classes)
    k = max(2, min(TOGETHER // p, items // classes))
    epochs = -(-STEPS // max(items // (p * k), 1))
    tuned = few_photos().replace({"p": p, "k": min(4, k)})
    scratch = generic().replace({"p": p, "k": k, "epochs": epochs, "fewest_steps": 0})
    if quick:
        tuned = tuned.replace({"input.size": 64})
        scratch = scratch.replace({"input.size": 32, "epochs": 1})
    return {"tuned": tuned, "scratch": scratch}


def unseen(
    name: str,
    items: Items,
    *,
    seeds: list[int],
    shots: tuple[int, ...] = SHOTS,
    quick: bool = False,
) -> list[dict[str, Any]]:
    """Classes that no model has seen: each half of them by models of the other half."""
    count, labels = len(items.names), np.asarray(items.labels)
    right: dict[tuple[str, int], np.ndarray] = {}
    seconds: dict[str, list[float]] = {"frozen": [0.0]}
    frozen, looks = Bundle.pretrained(), None
    plain, items = embed_values(frozen, items.values), with_cache(items, few_photos())
    views = viewed(frozen, items) if name == "aerial" else None
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(count)
        for half in (order[: count // 2], order[count // 2 :]):
            asked = np.flatnonzero(np.isin(labels, half))
            known = items.take(np.flatnonzero(~np.isin(labels, half)))
            vectors = {"frozen": plain[asked]}
            for model, recipe in recipes(count - len(half), len(known), quick=quick).items():
                bundle = fit(build.twin(recipe, seed=seed), known, recipe=recipe, seed=seed)
                # of the first training: later ones find the features of the trunk made
                seconds.setdefault(model, [bundle.training["core_seconds"]])
                if model == "tuned":
                    looks = looked(bundle, items) if looks is None else looks
                    vectors[model] = by_looks(bundle, looks[asked])
                else:
                    vectors[model] = embed_values(bundle, [items.values[int(at)] for at in asked])
            if views is not None:
                vectors["views"] = views[asked]
            for k in shots:
                for model, shares in answers(vectors, labels[asked], k=k, seed=seed):
                    place = right.setdefault((model, k), np.zeros((len(seeds), count)))
                    place[seeds.index(seed), half] = shares
        print(name, "seed", seed, flush=True)
    minutes = {model: float(np.mean(each)) / 60 for model, each in seconds.items()}
    how = f"{count} classes by models of the other half; seeds {', '.join(map(str, seeds))}"
    found = {key: Figures(shares, minutes.get(key[0], 0.0)) for key, shares in right.items()}
    return figures(name, found, how=how)


def looked(bundle: Bundle, items: Items) -> Tensor:
    """What the trunk of `few_photos`, which never learns, makes of pictures: once for all models."""
    made = featured(bundle.twin, [items], precision="float32")
    assert made is not None
    return torch.from_numpy(np.stack(made[0].values))


def by_looks(bundle: Bundle, looks: Tensor) -> np.ndarray:
    """The vectors of one model, from what the trunk has made."""
    encoder = bundle.twin.encoder
    assert isinstance(encoder, WhitenedLevels)
    encoder.on_features = True
    with torch.inference_mode():
        found = encoder(looks).numpy()
    encoder.on_features = False
    return found


def viewed(bundle: Bundle, items: Items) -> np.ndarray:
    """The mean over a picture and its warped views."""
    settings = {"copies": VIEWS, "augment": WARPS, "copies_strength": 0.5}
    several = Bundle(twin=bundle.twin, recipe=bundle.recipe.replace(settings))
    return embed_values(several, items.values)


def answers(
    vectors: dict[str, np.ndarray], labels: np.ndarray, *, k: int, seed: int
) -> Iterator[tuple[str, np.ndarray]]:
    """For each model and rule the share of right answers of each class, over the same draws of examples."""
    classes = np.unique(labels)
    found: dict[str, list[np.ndarray]] = {}
    draw = np.random.default_rng([seed, k, len(labels)])
    for _ in range(DRAWS):
        examples = np.stack(
            [draw.choice(np.flatnonzero(labels == c), k, replace=False) for c in classes]
        )
        rest = np.setdiff1d(np.arange(len(labels)), examples)
        told = np.searchsorted(classes, labels[rest])
        for name, hits in judged(vectors, examples, rest, told):
            share = np.bincount(told, weights=hits) / np.bincount(told)
            found.setdefault(name, []).append(share)
    yield from ((name, np.mean(shares, axis=0)) for name, shares in found.items())


def judged(
    vectors: dict[str, np.ndarray], examples: np.ndarray, rest: np.ndarray, told: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """Which of the rest are named rightly: by means, by the nearest example, by means of warped views."""
    for model, of in vectors.items():
        asked = vectors["frozen"] if model == "views" else of
        means = of[examples].mean(axis=1)
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        yield model, np.argmax(asked[rest] @ means.T, axis=1) == told
        if examples.shape[1] > 1 and model in ("frozen", "tuned"):
            each = asked[rest] @ of[examples.ravel()].T
            best = each.reshape(len(rest), *examples.shape).max(axis=2)
            yield f"{model}_nearest", best.argmax(axis=1) == told


def labelled(data: Path) -> list[dict[str, Any]]:
    """X-rays: few labelled pictures are all there is, to train on and to compare with."""
    table = np.load(data / "pneumoniamnist_balanced" / "pneumoniamnist_balanced.npz")
    pool, classes = table["train_images"], np.ravel(table["train_labels"])
    tested, told = table["test_images"], np.ravel(table["test_labels"])
    frozen, looks = Bundle.pretrained(), None
    plain = embed_values(frozen, list(tested))
    right: dict[tuple[str, int], list[np.ndarray]] = {}
    seconds: dict[str, list[float]] = {"frozen": [0.0]}
    for k in SHOTS:
        for number in range(LABELLED):
            draw = np.random.default_rng([number, k])
            chosen = np.concatenate(
                [draw.choice(np.flatnonzero(classes == c), k, replace=False) for c in (0, 1)]
            )
            pairs = {"frozen": (embed_values(frozen, list(pool[chosen])), plain)}
            known = Items.from_arrays(pool[chosen], [f"class {c}" for c in classes[chosen]])
            for model, recipe in recipes(2, len(known)).items() if k > 1 else ():
                recipe = recipe.replace({"input.size": 32}) if model == "scratch" else recipe
                bundle = fit(build.twin(recipe, seed=number), known, recipe=recipe, seed=number)
                seconds.setdefault(model, []).append(bundle.training["core_seconds"])
                if model == "scratch":
                    asked = embed_values(bundle, list(tested))
                else:
                    if looks is None:
                        looks = looked(bundle, Items.from_arrays(tested, [str(c) for c in told]))
                    asked = by_looks(bundle, looks)
                pairs[model] = (embed_values(bundle, list(pool[chosen])), asked)
            for model, (examples, asked) in pairs.items():
                means = np.stack([examples[:k].mean(axis=0), examples[k:].mean(axis=0)])
                means /= np.linalg.norm(means, axis=1, keepdims=True)
                hits = np.argmax(asked @ means.T, axis=1) == told
                right.setdefault((model, k), []).append(hits.astype(float))
        print("xray", k, flush=True)
    minutes = {model: float(np.mean(each)) / 60 for model, each in seconds.items()}
    how = f"{len(told)} pictures of the test part, {LABELLED} draws of labelled ones"
    found = {
        (model, k): Figures(np.stack(each), minutes[model]) for (model, k), each in right.items()
    }
    return figures("xray", found, how=how)


def figures(name: str, found: dict[tuple[str, int], Figures], *, how: str) -> list[dict[str, Any]]:
    """Every model at each number of examples, and what the tuned one gains."""
    rows = []
    for (model, k), each in found.items():
        rows.append(figure(f"scarce_{name}_{model}_{k}", each.right, name, f"{how}{cost(each)}"))
    for k in sorted({k for _, k in found}):
        if ("tuned", k) not in found:
            continue
        others = {model: found[model, k] for model in ("frozen", "scratch")}
        best = max(others, key=lambda model: float(others[model].right.mean()))
        tuned = found["tuned", k]
        told = f"less {best}, the better of both; goal: above 0 beyond the interval; {how}"
        gain = tuned.right - others[best].right
        rows.append(figure(f"scarce_gain_{name}_{k}", gain, name, f"{told}{cost(tuned)}"))
        for extra, plain, named in (
            ("views", "frozen", "example_views"),
            ("tuned_nearest", "tuned", "nearest"),
        ):
            if (extra, k) in found:
                gain = found[extra, k].right - found[plain, k].right
                told = f"{extra} less {plain}, the same draws; {how}"
                rows.append(figure(f"scarce_{named}_gain_{name}_{k}", gain, name, told))
    return rows


def cost(each: Figures) -> str:
    """What a training took."""
    return f"; {each.minutes:.2f} core-minutes a training" if each.minutes else ""


def figure(name: str, values: np.ndarray, part: str, anchor: str) -> dict[str, Any]:
    """The mean of draws x columns; seeds are averaged, classes resampled; of X-rays both count."""
    if part == "xray":
        spread = [values.mean(axis=axis) for axis in (0, 1)]
        unit = f"interval over {values.shape[0]} draws and {values.shape[1]} pictures"
    else:
        spread = [values.mean(axis=0)]
        unit = f"interval over {values.shape[1]} classes"
    variance = sum(float(each.var(ddof=1)) / len(each) for each in spread)
    half = student_quantile(0.975, min(map(len, spread)) - 1) * variance**0.5
    mean = float(values.mean())
    low, high = max(mean - half, -1.0 if "gain" in name else 0.0), min(mean + half, 1.0)
    print(f"{name:40} {mean:+.4f} [{low:+.4f}, {high:+.4f}]", flush=True)
    return row(name, mean, interval=(low, high), unit=unit, anchor=anchor)


if __name__ == "__main__":
    main()

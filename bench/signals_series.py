"""Time series: the eight sets of UCR's archive with their own TRAIN and TEST, and one example of unseen classes.

    python bench/signals.py --set ucr|ucr_one_shot|series_cost --data DIR [--quick]

DIR holds ts_ucr. `ucr`: closed sets, whose classes in TEST are those of TRAIN: the share of TEST
series whose nearest example in TRAIN is of their class, for the recipe `series` (one recipe for all
sets, chosen by cross-validation inside TRAIN), the Euclidean distance and DTW, and for aeon's
MultiRocketHydra if aeon can be imported. `ucr_one_shot`: of sets with ten classes or more, half of
the classes train; a trial shows one example of each of five others, and a query of one of them.
`series_cost`: what a training step takes over the bare network, and the memory of a long series.
Intervals: of closed sets over items, of unseen classes over classes.
"""

import importlib
import importlib.util
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from last_line import row
from twofold import Items, build, recipes
from twofold.config import Recipe
from twofold.embedding import embed_arrays, scores
from twofold.inputs import Series
from twofold.metrics.intervals import share_interval
from twofold.train.fit import fit
from twofold.twin import Twin

SETS = (
    "Adiac",
    "ArrowHead",
    "CBF",
    "Coffee",
    "ECGFiveDays",
    "FaceFour",
    "GunPoint",
    "ItalyPowerDemand",
)

WHAT = ("ucr", "ucr_one_shot", "series_cost")
"""What is measured."""

GOAL, BEHIND = 0.92, 0.03
"""Mean accuracy, and how far it may be behind MultiRocketHydra's."""

WAYS, TRIALS, REPEATS = 5, 2000, 1000
"""Of one-shot trials; resamplings for an interval."""

MANY_CLASSES = 10
"""A set with so many classes can hold half of them back."""

AT_ONCE = 4096
"""Pairs of series that are aligned together."""

STEPS, WARM = 12, 4
"""Training steps that are timed in turns, and those before."""

LONG = 10_000_000
"""Values of a long series."""


@dataclass(frozen=True)
class Given:
    """A set: the series of both parts, z-normalised, and their classes."""

    train: list[np.ndarray]
    test: list[np.ndarray]
    train_labels: np.ndarray
    test_labels: np.ndarray
    items: Items


def measured(what: str, data: Path, *, quick: bool = False) -> list[dict[str, Any]]:
    """The rows of one of `WHAT`.

    Args:
        data: the folder that holds ts_ucr. quick: drawn series in their place.
    """
    torch.set_num_threads(1)
    if what == "series_cost":
        return cost(values=100_000 if quick else LONG)
    given = {"drawn": drawn()} if quick else {name: read(data, name) for name in SETS}
    return closed(given) if what == "ucr" else one_shot(given)


def read(data: Path, name: str) -> Given:
    """A set of the archive, in whichever form it lies there."""
    parts = []
    for part in ("TRAIN", "TEST"):
        found = [
            path
            for ending in (".tsv", ".ts", ".txt")
            if (path := data / "ts_ucr" / f"{name}_{part}{ending}").is_file()
        ]
        parts.append(Items.open(found[0]))
    return given_of(*parts)


def drawn() -> Given:
    """Twelve classes of sines, so that the whole path is run."""
    draw = np.random.default_rng(0)
    rates = draw.uniform(0.1, 1.0, 12)
    parts = []
    for _ in range(2):
        values = [
            np.sin(rate * np.arange(60) + draw.uniform(0, 6)) + draw.normal(0, 0.3, 60)
            for rate in rates
            for _ in range(4)
        ]
        parts.append(Items.from_arrays(values, [f"c{n // 4}" for n in range(48)]))
    return given_of(*parts)


def given_of(train: Items, test: Items) -> Given:
    """Both parts of a set, their classes by the codes of TRAIN."""
    codes = {name: code for code, name in enumerate(train.names)}
    labels = np.array([codes[test.names[label]] for label in test.labels])
    series = Series()
    return Given(
        [series.read(value) for value in train.values],
        [series.read(value) for value in test.values],
        train.labels,
        labels,
        train,
    )


def closed(given: dict[str, Given]) -> list[dict[str, Any]]:
    """1-NN accuracy of TEST against TRAIN, of ours and of the peers."""
    methods: dict[str, Callable[[Given], np.ndarray]] = {
        "": lambda each: ours(each, recipes.series()),
        "_ed": by_distance(euclidean),
        "_dtw": by_distance(dtw),
    }
    if importlib.util.find_spec("aeon") is not None:
        methods["_multirocket"] = multirocket
    rows, means = [], {}
    for method, run in methods.items():
        shares, began = [], time.process_time()
        for name, each in given.items():
            right = run(each)
            shares.append(float(right.mean()))
            interval = share_interval(float(right.sum()), len(right))
            rows.append(row(f"ucr_{name}_accuracy{method}", shares[-1], interval=interval))
            print(f"{name}{method}: {shares[-1]:.4f}", flush=True)
        minutes = (time.process_time() - began) / 60
        means[method] = float(np.mean(shares))
        said = f"closed sets, says nothing of unseen classes; mean of {len(given)} sets; {minutes:.1f} CPU minutes"
        goal = GOAL if method == "" else None
        rows.append(row(f"ucr_mean_accuracy{method}", means[method], goal=goal, anchor=said))
    if "_multirocket" in means:
        gain = means[""] - means["_multirocket"]
        rows.append(
            row("ucr_mean_gain_over_multirocket", gain, goal=-BEHIND, anchor="the same run")
        )
    return rows


def ours(given: Given, recipe: Recipe) -> np.ndarray:
    """Whether the nearest example is of the right class, by a twin that was trained on TRAIN."""
    twin = fitted(given.items, recipe)
    found = scores(twin, embed_arrays(twin, given.test), embed_arrays(twin, given.train))
    return given.train_labels[found.argmax(axis=1)] == given.test_labels


def fitted(train: Items, recipe: Recipe) -> Twin:
    """A twin that was trained on all classes, batches no larger than there are classes and items."""
    largest = int(np.bincount(train.labels).max())
    recipe = recipe.replace({"p": min(recipe.p, len(train.names)), "k": min(recipe.k, largest)})
    return fit(build.twin(recipe, seed=0), train, None, recipe=recipe).twin


def by_distance(distance: Callable[..., np.ndarray]) -> Callable[[Given], np.ndarray]:
    """1-NN of a distance between series."""

    def run(given: Given) -> np.ndarray:
        found = distance(given.test, given.train)
        return given.train_labels[found.argmin(axis=1)] == given.test_labels

    return run


def euclidean(a: list[np.ndarray], b: list[np.ndarray]) -> np.ndarray:
    """Squared distances of series of one length."""
    one, two = (np.stack(each)[:, :, 0].astype(np.float64) for each in (a, b))
    return (one**2).sum(1)[:, None] + (two**2).sum(1) - 2 * one @ two.T


def dtw(a: list[np.ndarray], b: list[np.ndarray]) -> np.ndarray:
    """Dynamic time warping (Sakoe & Chiba 1978) without a band: squared steps, many pairs at once by antidiagonals."""
    rows, columns = np.divmod(np.arange(len(a) * len(b)), len(b))
    one, two = (np.stack(each)[:, :, 0].astype(np.float32) for each in (a, b))
    found = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        found[part] = _aligned(one[rows[part]].T.copy(), two[columns[part]].T.copy())
    return found.reshape(len(a), len(b))


def _aligned(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Costs of the best alignments of pairs, (length, pairs) each: cell (i, j) lies on antidiagonal i + j."""
    length, other, pairs = len(one), len(two), one.shape[1]
    before = np.full((length + 1, pairs), np.inf, np.float32)  # of i, one further for i - 1
    last = before.copy()
    reverse = two[::-1]
    for diagonal in range(length + other - 1):
        low, high = max(0, diagonal - other + 1), min(length - 1, diagonal)
        start = other - 1 - diagonal + low
        cost = (one[low : high + 1] - reverse[start : start + high - low + 1]) ** 2
        here = np.full_like(last, np.inf)
        if diagonal == 0:
            here[1] = cost[0]
        else:
            best = np.minimum(last[low + 1 : high + 2], last[low : high + 1])
            here[low + 1 : high + 2] = cost + np.minimum(best, before[low : high + 1])
        before, last = last, here
    return last[length]


def multirocket(given: Given) -> np.ndarray:
    """aeon's MultiRocketHydra, as it is, with its own classifier."""
    with _without_this_folder():
        rockets = importlib.import_module("aeon.classification.convolution_based")
    model = rockets.MultiRocketHydraClassifier(random_state=0, n_jobs=1)
    model.fit(np.stack(given.train).transpose(0, 2, 1).astype(np.float64), given.train_labels)
    said = model.predict(np.stack(given.test).transpose(0, 2, 1).astype(np.float64))
    return np.asarray(said) == given.test_labels


@contextmanager
def _without_this_folder() -> Iterator[None]:
    """Inside, no script beside this one is taken for a package: numba looks for `coverage`."""
    known = list(sys.path)
    sys.path[:] = [place for place in known if Path(place).resolve() != Path(__file__).parent]
    try:
        yield
    finally:
        sys.path[:] = known


def one_shot(given: dict[str, Given]) -> list[dict[str, Any]]:
    """One example of each of five unseen classes, against DTW and the Euclidean distance in the same trials."""
    rows = []
    for name, each in given.items():
        if len(each.items.names) < MANY_CLASSES:
            continue
        began = time.process_time()
        unseen = np.random.default_rng(5).permutation(len(each.items.names))[::2]
        kept = ~np.isin(each.train_labels, unseen)
        train = each.items.take(np.flatnonzero(kept))
        values, labels = _both_parts(each, unseen)
        trials = _trials(labels)
        twin = fitted(train, recipes.series())
        vectors = embed_arrays(twin, values)
        mine = _judged(-scores(twin, vectors, vectors), trials)
        minutes = (time.process_time() - began) / 60
        right = {"": mine}
        right |= {"_dtw": _judged(dtw(values, values), trials)}
        right |= {"_ed": _judged(euclidean(values, values), trials)}
        said = (
            f"{WAYS}-way, {TRIALS} trials of {len(unseen)} unseen classes of {name}; trained on "
            f"{len(train)} series of {len(train.names)} classes, {minutes:.1f} CPU minutes; interval "
            "over classes"
        )
        whose = labels[trials[:, 0]]
        for method, share in right.items():
            rows.append(
                row(
                    f"ucr_one_shot{method}", share.mean(), interval=_over(share, whose), anchor=said
                )
            )
        for method in ("_dtw", "_ed"):
            gain = right[""] - right[method]
            rows.append(
                row(
                    f"ucr_one_shot_gain_over{method}",
                    gain.mean(),
                    interval=_over(gain, whose),
                    goal=0.0,
                    anchor="the same trials; paired",
                )
            )
    return rows


def _both_parts(given: Given, classes: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    labels = np.concatenate([given.train_labels, given.test_labels])
    chosen = np.flatnonzero(np.isin(labels, classes))
    values = [*given.train, *given.test]
    return [values[place] for place in chosen], labels[chosen]


def _trials(labels: np.ndarray) -> np.ndarray:
    """Rows of a query, another of its class, and one of each of four others."""
    draw = np.random.default_rng(11)
    of = {int(label): np.flatnonzero(labels == label) for label in np.unique(labels)}
    rows = []
    for _ in range(TRIALS):
        first, *others = draw.choice(list(of), WAYS, replace=False)
        query, example = draw.choice(of[int(first)], 2, replace=False)
        rows.append([query, example, *(int(draw.choice(of[int(label)])) for label in others)])
    return np.array(rows)


def _judged(distances: np.ndarray, trials: np.ndarray) -> np.ndarray:
    found = distances[trials[:, :1], trials[:, 1:]]
    best = found[:, 1:].min(axis=1)
    return np.where(found[:, 0] == best, 0.5, found[:, 0] < best)


def _over(values: np.ndarray, classes: np.ndarray) -> tuple[float, float]:
    """95 % of the means over resampled classes of the queries."""
    _, place = np.unique(classes, return_inverse=True)
    sums, sizes = np.bincount(place, weights=values), np.bincount(place)
    drawn_classes = np.random.default_rng(0).integers(0, len(sums), (REPEATS, len(sums)))
    means = sums[drawn_classes].sum(axis=1) / sizes[drawn_classes].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def cost(*, values: int) -> list[dict[str, Any]]:
    """What a step of training takes over the bare network, in processor time, and the memory of a long series."""
    rows = [long_series(values)]  # first, since the peak of a process never falls
    for name, encoder in (("cnn", "inception_time"), ("lstm", "lstm"), ("hybrid", "cnn_lstm")):
        share = step_over_bare(*series_of(encoder))
        said = f"{encoder}, 64 series of 128 values; median of {STEPS} steps in turns, one thread"
        rows.append(row(f"{name}_step_over_bare", share, goal=1.2, anchor=said))
        print(f"{name}: {share:.3f}", flush=True)
    return rows


def series_of(encoder: str) -> tuple[Recipe, Items]:
    """A recipe with this encoder, and walks at random for it."""
    draw = np.random.default_rng(0)
    items = Items.from_arrays(
        [np.cumsum(draw.normal(size=128)) for _ in range(64 * 16)],
        [f"c{n // 8}" for n in range(64 * 16)],
    )
    recipe = recipes.series().replace(
        {"encoder": {"name": encoder}, "augment": {"jitter": 0.1, "scale": 0.1, "warp": 0.1}}
    )
    return recipe, items


def step_over_bare(recipe: Recipe, items: Items) -> float:
    """Processor seconds of a training step over those of forward, loss of plain dot products, backward and AdamW.

    Args:
        items: 1,024 of 128 classes: an epoch is 16 steps.
    """
    table = recipe.model_dump(mode="json", exclude_none=True) | {"p": 8, "k": 8, "ema": 0.99}
    table |= {"epochs": 1 + (STEPS + WARM) // 16}
    recipe = Recipe.model_validate(table)
    ticks: list[float] = []
    fit(
        build.twin(recipe, seed=0),
        items,
        None,
        recipe=recipe,
        watch=lambda _: ticks.append(time.process_time()),
    )
    return float(np.median(np.diff(ticks)[WARM:]) / np.median(bare_steps(recipe, items)[WARM:]))


def bare_steps(recipe: Recipe, items: Items) -> list[float]:
    """Processor seconds of steps of the network alone, on batches that are ready."""
    twin = build.twin(recipe, seed=0)
    optimiser = torch.optim.AdamW(twin.parameters())
    arrays = [twin.input.read(value) for value in items.values[:64]]
    batch = twin.input.stack(arrays)
    labels = torch.arange(64) // 8
    same = (labels[:, None] == labels).float()
    taken = []
    for _ in range(STEPS + WARM):
        began = time.process_time()
        optimiser.zero_grad()
        vectors = twin.embed(batch)
        loss = torch.nn.functional.cross_entropy(vectors @ vectors.T / 0.1, same / 8)
        loss.backward()
        optimiser.step()
        taken.append(time.process_time() - began)
    return taken


def long_series(values: int) -> dict[str, Any]:
    """Peak memory of the process in embedding one series of so many values."""
    recipe = recipes.series().replace({"encoder": {"name": "fcn_1d", "width": 32}})
    twin = build.twin(recipe, seed=0)
    wave = np.cumsum(np.random.default_rng(0).normal(size=values))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    embed_arrays(twin, [twin.input.read(wave)])
    seconds = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said = (
        f"{values:,} values, fcn_1d of width 32, windows of {Series().longest}; the process had "
        f"{before / 1024:.0f} MB before; {seconds:.0f} CPU seconds"
    )
    return row("long_series_peak_mb", peak / 1024, unit="MB", goal=1000.0, anchor=said)

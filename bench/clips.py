"""Clips of unseen source videos: does an LSTM over time tell more than the mean of the frames?

    python bench/clips.py --data DIR [--seeds 0 1 2] [--quick]

DIR holds video_fight_small (64 clips of two seconds, two classes; videos.upstream.txt names the
source of each). Two classes are a closed set: nothing here speaks of a third class, and no rate is
certified. The sources are dealt into four folds by the hash of their names. In each fold the
networks learn from the clips of the other sources, and judge pairs of clips of different sources
of the fold: are both of one class? Both networks stand on the same frozen ImageNet features of the
same frames, and have the recipe `video`'s other settings. The figure is the area under the ROC
curve over the pairs of all folds; intervals resample sources. The same is done with the differences
of frames in place of frames (`input.differences`), which leave the scene out.
"""

import argparse
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from last_line import print_last_line, row
from twofold import Items, build, recipes
from twofold.config import Recipe
from twofold.data.splits import shuffled_names
from twofold.embedding import embed_arrays, read_all
from twofold.train.features import with_cache
from twofold.train.fit import fit

FOLDS = 4
REPEATS = 1000
"""Resamplings of sources for an interval."""

BATCH = {"p": 2, "k": 12}
"""Both classes in each batch."""


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description="clips")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--quick", action="store_true", help="drawn clips, seconds of training")
    options = parser.parse_args()
    started = time.monotonic()
    items = drawn() if options.quick else real(options.data / "video_fight_small")
    recipe = recipes.video().replace(BATCH)
    if options.quick:
        small = {"encoder": {"name": "clip_lstm"}, "input.size": 16, "input.frames": 6}
        recipe = recipe.replace(small | {"fewest_steps": 0, "epochs": 20})
        recipe = recipe.replace({"freeze": 0})
    print_last_line("clips", started, judged(items, recipe, options.seeds))


def real(folder: Path) -> Items:
    """The clips, with their source videos."""
    known, source = {}, ""
    for line in (folder / "videos.upstream.txt").read_text().splitlines():
        if line.startswith("http"):
            source = line.strip()
        elif found := re.match(r"([a-z]+)(\d+)(?: - [a-z]+(\d+))? ?: (.*)", line):
            kind, first, last, said = found.groups()
            # a range of clips comes from one data set, which counts as one source
            for number in range(int(first), int(last or first) + 1):
                known[f"{kind}{number:03}"] = said if last else source
    items = Items.from_folder(folder, suffixes=frozenset({".mp4"}))
    return with_sources(items, [known[Path(name).stem] for name in items.ids])


def drawn() -> Items:
    """A bright bar that moves to the right or to the left: frames alone cannot tell the two apart."""
    generator = np.random.default_rng(0)
    clips, labels = [], []
    for number in range(48):
        clip = generator.integers(0, 60, (6, 16, 16, 3), dtype=np.uint8)
        places = (np.arange(6) * 2 + generator.integers(0, 16)) % 16
        for frame, place in enumerate(places if number % 2 else places[::-1]):
            clip[frame, :, place : place + 2] = 250
        clips.append(clip)
        labels.append(("left", "right")[number % 2])
    items = Items.from_arrays(clips, labels)
    return with_sources(items, [f"source{number // 2}" for number in range(48)])


def with_sources(items: Items, sources: list[str]) -> Items:
    """Items that know which source each comes from."""
    names = tuple(sorted(set(sources)))
    codes = np.array([names.index(source) for source in sources])
    return replace(items, source=codes, sources=names)


def judged(items: Items, recipe: Recipe, seeds: list[int]) -> list[dict[str, Any]]:
    """The rows of both networks, of frames and of their differences, and of the features without training."""
    first, second, same, weights = pairs_of_folds(items)
    began = time.process_time()
    table = {}
    for which, shown in (("", recipe), (MOVING, recipe.replace({"input.differences": True}))):
        for network in ("clip_lstm", "clip_average"):
            made = shown.replace({"encoder.name": network} | _kept(shown))
            each = [scores(items, made, seed, first=first, second=second) for seed in seeds]
            table[network + which] = np.mean(each, axis=0)
        table[f"untrained{which}"] = plain_scores(items, shown, first, second)
    minutes = (time.process_time() - began) / 60
    said = (
        f"{len(items)} clips of {len(items.sources)} sources, {FOLDS} folds by source, mean of "
        f"seeds {seeds}, {minutes:.1f} CPU minutes for all; a closed set of two classes"
    )
    codes = items.source
    assert codes is not None
    draw = resampled(codes[first], codes[second], len(items.sources))
    whole = {name: auc(each, same, weights) for name, each in table.items()}
    drawn_aucs = {
        name: np.array([auc(each, same, weights * draws) for draws in draw])
        for name, each in table.items()
    }
    return rows_of(whole, drawn_aucs, said)


MOVING = "_differences"
"""Behind the name of a network that looks at differences of frames."""

LSTM_LESS_MEAN = "LSTM over time less the frame average, the same pairs; paired over sources"
MOVING_LESS_FRAMES = (
    "differences less frames, both by the average, the same pairs; paired over sources"
)
ANCHORS = {
    "untrained": "cosine of the mean of the frames' features, nothing trained",
    "clip_average" + MOVING: "mean of the features of differences of frames, a head on them",
}


def rows_of(
    whole: dict[str, float], drawn_aucs: dict[str, np.ndarray], said: str
) -> list[dict[str, Any]]:
    """The figures, by network; and gains in the same resamplings."""
    names = {
        "video_auc": "clip_lstm",
        "video_auc_frame_average": "clip_average",
        "video_auc_untrained": "untrained",
        "video_auc_differences": "clip_average" + MOVING,
        "video_auc_differences_lstm": "clip_lstm" + MOVING,
        "video_auc_differences_untrained": "untrained" + MOVING,
    }
    rows = [
        row(
            name,
            whole[network],
            interval=middle(drawn_aucs[network]),
            anchor=said if network == "clip_lstm" else ANCHORS.get(network, ""),
        )
        for name, network in names.items()
    ]
    for name, one, other, anchor in (
        ("video_auc_gain", "clip_lstm", "clip_average", LSTM_LESS_MEAN),
        ("video_auc_differences_gain", "clip_average" + MOVING, "clip_average", MOVING_LESS_FRAMES),
    ):
        between = middle(drawn_aucs[one] - drawn_aucs[other])
        rows.append(row(name, whole[one] - whole[other], interval=between, anchor=anchor))
    return rows


def _kept(recipe: Recipe) -> dict[str, Any]:
    """Arguments of the encoder that both networks have; another name drops them."""
    return {f"encoder.{name}": value for name, value in recipe.encoder.arguments.items()}


def pairs_of_folds(items: Items) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Both clips of each pair of different sources of one fold, whether they are of one class, and weights."""
    fold, codes = folds(items), items.source
    assert codes is not None
    first, second = np.triu_indices(len(items), 1)
    fits = (fold[first] == fold[second]) & (codes[first] != codes[second])
    first, second = first[fits], second[fits]
    return first, second, items.labels[first] == items.labels[second], np.ones(len(first))


def folds(items: Items) -> np.ndarray:
    """The fold of each clip: sources are dealt by the hash of their names."""
    order = shuffled_names(items.sources, 0)
    of = {name: place % FOLDS for place, name in enumerate(order)}
    assert items.source is not None
    return np.array([of[items.sources[code]] for code in items.source])


def scores(
    items: Items, recipe: Recipe, seed: int, *, first: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """The cosine of each pair, by the network that has not seen the sources of its fold, as ranks within the fold."""
    fold, kept = folds(items), with_cache(items, recipe)
    found = np.zeros(len(first))
    for number in range(FOLDS):
        train = kept.take(np.flatnonzero(fold != number))
        twin = build.twin(recipe, seed=seed)
        bundle = fit(twin, train, None, recipe=recipe, seed=seed)
        held = np.flatnonzero(fold == number)
        arrays = list(read_all(twin.input, items.take(held).values))
        vectors = np.zeros((len(items), twin.dim), np.float32)
        vectors[held] = embed_arrays(bundle.twin, arrays)
        here = fold[first] == number
        found[here] = ranks((vectors[first[here]] * vectors[second[here]]).sum(axis=1))
    return found


def plain_scores(items: Items, recipe: Recipe, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The same of the mean of the frames' features, as they come."""
    twin = build.twin(recipe, seed=0).eval()
    fold = folds(items)
    means = []
    for array in read_all(twin.input, items.values):
        batch = twin.input.normalise(twin.input.stack([array]))
        features = twin.encoder.features(batch)  # type: ignore[operator]
        means.append(features.detach().numpy().mean(axis=(0, 1)))
    vectors = np.stack(means)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = (vectors[first] * vectors[second]).sum(axis=1)
    found = np.zeros(len(first))
    for number in range(FOLDS):
        here = fold[first] == number
        found[here] = ranks(cosine[here])
    return found


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks between 0 and 1: scores of different folds come from different networks."""
    return np.argsort(np.argsort(values, kind="stable"), kind="stable") / max(len(values) - 1, 1)


def resampled(first: np.ndarray, second: np.ndarray, sources: int) -> np.ndarray:
    """How often each pair counts in each resampling of sources."""
    generator = np.random.default_rng(0)
    counts = np.stack(
        [
            np.bincount(generator.integers(0, sources, sources), minlength=sources)
            for _ in range(REPEATS)
        ]
    )
    return counts[:, first] * counts[:, second]


def auc(values: np.ndarray, same: np.ndarray, weights: np.ndarray) -> float:
    """Area under the ROC curve of weighted pairs; ties count half."""
    order = np.argsort(values, kind="stable")
    values, same, weights = values[order], same[order], weights[order]
    negative = np.concatenate([[0.0], np.cumsum(np.where(same, 0.0, weights))])
    below = negative[np.searchsorted(values, values, side="left")]
    up_to = negative[np.searchsorted(values, values, side="right")]
    genuine = np.where(same, weights, 0.0)
    return float((genuine * (below + up_to) / 2).sum() / (genuine.sum() * negative[-1]))


def middle(values: Any) -> tuple[float, float]:
    """95 % of resampled figures."""
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()

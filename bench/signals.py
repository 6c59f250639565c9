"""Signals: DNA barcodes of species never seen in training; sounds (`signals_sounds`), series (`signals_series`).

    python bench/signals.py --set dna --data DIR [--seeds 0 1] [--quick]
    python bench/signals.py --set fsdd_words --data DIR [--quick]
    python bench/signals.py --set fsdd_speakers --data DIR [--quick]
    python bench/signals.py --set sounds_cost [--quick]
    python bench/signals.py --set ucr|ucr_one_shot|series_cost --data DIR [--quick]

For DNA, DIR holds dna_butterfly_coi (COI barcodes of 612 species of butterflies). Two hundred species are
the test, dealt by the hash of their names; the others train. A trial shows one
whole barcode of each of 20 unseen species and a query of one of them: another specimen of it, with
5 % of its bases substituted, cut down to 200 bases at a place by chance. The peer is the cosine of
counts of 6-mers, and of 8-mers, in the same trials. "Unknown species": half of the test species are
enrolled with one barcode each, and the best score of a query tells whether its species is among
them; plain scores, and those from which the mean of the weaker side's ten best scores with a cohort
is taken away (`calibrate --set cohort=N --set cohort_side=weaker`), one barcode of each species that
trains. Intervals resample species.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import signals_series
from last_line import print_last_line, row
from signals_sounds import SOUNDS, sounds
from twofold import Items, build, recipes
from twofold.calibration.cohort import NEAREST
from twofold.config import Recipe
from twofold.data.splits import shuffled_names
from twofold.embedding import embed_arrays
from twofold.inputs import Dna
from twofold.metrics.cohort import as_norm, cohort_statistics
from twofold.train.fit import fit

WAYS = 20
TRIALS = 4000
SUBSTITUTED = 0.05
FRAGMENT = 200
TEST = 200
"""Species that are measured; settings were chosen on a hundred of the others."""

REPEATS = 1000
"""Resamplings of species for an interval."""

Embed = Callable[[list[np.ndarray]], np.ndarray]
"""Sequences as vectors of length 1."""


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description="signals")
    parser.add_argument("--set", choices=["dna", *SOUNDS, *signals_series.WHAT], default="dna")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--quick", action="store_true", help="drawn species, seconds of training")
    options = parser.parse_args()
    started = time.monotonic()
    if options.set in SOUNDS:
        print_last_line(
            "signals_sounds", started, sounds(options.set, options.data, quick=options.quick)
        )
        return
    if options.set in signals_series.WHAT:
        found = signals_series.measured(options.set, options.data, quick=options.quick)
        print_last_line(f"signals_{options.set}", started, found)
        return
    items = drawn() if options.quick else real(options.data)
    settings = {"input.k": 5, "fewest_steps": 30, "epochs": 1} if options.quick else {}
    recipe = recipes.dna().replace(settings)
    print_last_line("signals", started, dna(items, recipe, options.seeds))


def real(data: Path) -> Items:
    """Barcodes of butterflies."""
    return Items.from_fasta(data / "dna_butterfly_coi" / "butterflies_max12.fasta")


def drawn() -> Items:
    """Ninety species of 400 bases, four specimens of each, which differ in three of a hundred."""
    generator = np.random.default_rng(0)
    values, labels = [], []
    for species in range(90):
        whole = generator.integers(0, 4, 400)
        for _ in range(4):
            own = np.where(generator.random(400) < 0.03, generator.integers(0, 4, 400), whole)
            values.append("".join("ACGT"[base] for base in own))
            labels.append(f"s{species}")
    return Items.from_arrays(values, labels)


def dna(items: Items, recipe: Recipe, seeds: list[int]) -> list[dict[str, Any]]:
    """One-shot identification and unknown species, of the trained network and of counts of k-mers."""
    names = shuffled_names(items.identities, 0)
    unseen = names[: min(TEST, len(names) // 3)]
    test, train = items.where(identities=unseen), items.without(unseen)
    whole = [Dna().read(value) for value in test.values]
    queries = [spoilt(array, np.random.default_rng([7, n])) for n, array in enumerate(whole)]
    trials = drawn_trials(test.labels, seed=11)
    peers: dict[str, Embed] = {"6mer": counts_of(6), "8mer": counts_of(8)}
    right = {name: judged(embed, whole, queries, trials) for name, embed in peers.items()}
    _, first = np.unique(train.labels, return_index=True)
    case = OpenSet(whole, queries, test.labels, [Dna().read(train.values[n]) for n in first])
    best = {name: case.best(embed) for name, embed in peers.items()}
    ours, minutes, seen = [], [], []
    for seed in seeds:
        began = time.process_time()
        bundle = fit(build.twin(recipe, seed=seed), train, None, recipe=recipe, seed=seed)
        minutes.append((time.process_time() - began) / 60)
        twin = bundle.twin
        embed: Embed = lambda arrays, twin=twin: embed_arrays(twin, arrays)  # noqa: E731
        ours.append(judged(embed, whole, queries, trials))
        seen.append(case.best(embed))
        print(f"seed {seed}: {ours[-1].mean():.4f}, {minutes[-1]:.1f} CPU minutes", flush=True)
    mine, who = np.mean(ours, axis=0), test.labels[trials[:, 0]]
    said = (
        f"{WAYS}-way, {TRIALS} trials of {len(test.identities)} unseen species, "
        f"{SUBSTITUTED:.0%} substituted, {FRAGMENT} bases; trained on {len(train)} sequences of "
        f"{len(train.identities)} species, mean of seeds {seeds}, {np.mean(minutes):.1f} CPU "
        "minutes each; interval over species"
    )
    rows = [row("dna_one_shot", mine.mean(), interval=over_species(mine, who), anchor=said)]
    for name, each in right.items():
        rows += [
            row(f"dna_one_shot_{name}", each.mean(), interval=over_species(each, who)),
            row(
                f"dna_one_shot_gain_over_{name}",
                (mine - each).mean(),
                interval=over_species(mine - each, who),
                goal=0.0,
                anchor="the same trials; paired",
            ),
        ]
    return rows + unknown_rows(case, np.mean(seen, axis=0), best)


def unknown_rows(
    case: "OpenSet", ours: np.ndarray, peers: dict[str, np.ndarray]
) -> list[dict[str, Any]]:
    """Areas under the ROC curve of known against unknown species, by normalised and by plain scores."""
    half = "half of the unseen species enrolled with one barcode each; queries as above"
    rows = []
    for place, which in ((1, ""), (0, "_plain")):
        said = f"{half}; plain scores" if which else f"{half}; less the weaker side's cohort scores"
        for name, best in {"": ours, **{f"_{name}": each for name, each in peers.items()}}.items():
            value, between = case.area(best[place])
            goal = None if which or name else 0.9
            label = f"dna_unknown_auroc{name}{which}"
            rows.append(row(label, value, interval=between, goal=goal, anchor=said))
    return rows


def spoilt(array: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A fragment with errors."""
    start = int(generator.integers(max(len(array) - FRAGMENT, 0) + 1))
    part = array[start : start + FRAGMENT].copy()
    wrong = (generator.random(len(part)) < SUBSTITUTED) & (part <= 4)
    part[wrong] = (part[wrong] - 1 + generator.integers(1, 4, int(wrong.sum()))) % 4 + 1
    return part


def drawn_trials(labels: np.ndarray, *, seed: int) -> np.ndarray:
    """Trials as rows of items: the query, another of its species, then one of each of the other species."""
    generator = np.random.default_rng(seed)
    of = {int(label): np.flatnonzero(labels == label) for label in np.unique(labels)}
    several = [label for label, members in of.items() if len(members) > 1]
    rows = []
    for _ in range(TRIALS):
        first = int(generator.choice(several))
        others = generator.choice(
            [label for label in of if label != first], WAYS - 1, replace=False
        )
        query, example = generator.choice(of[first], 2, replace=False)
        rows.append([query, example, *(int(generator.choice(of[int(label)])) for label in others)])
    return np.array(rows)


def counts_of(k: int) -> Embed:
    """Counts of k-mers, of length 1."""
    dna = Dna(k=k)

    def embed(arrays: list[np.ndarray]) -> np.ndarray:
        found = np.zeros((len(arrays), dna.facts()["symbols"]), np.float32)
        for line, array in zip(found, arrays, strict=True):
            np.add.at(line, dna.normalise(dna.stack([array])).values[0].numpy(), 1)
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    return embed


def judged(
    embed: Embed, whole: list[np.ndarray], queries: list[np.ndarray], trials: np.ndarray
) -> np.ndarray:
    """Whether each trial is right: the example of the query's species is the most alike; a tie is half right."""
    scores = (embed(queries) @ embed(whole).T)[trials[:, :1], trials[:, 1:]]
    best = scores[:, 1:].max(axis=1)
    return np.where(scores[:, 0] == best, 0.5, scores[:, 0] > best)


class OpenSet:
    """Half of the species enrolled with their first barcode; the others' and further barcodes are queries."""

    def __init__(
        self,
        whole: list[np.ndarray],
        queries: list[np.ndarray],
        labels: np.ndarray,
        cohort: list[np.ndarray],
    ) -> None:
        _, first = np.unique(labels, return_index=True)
        asked = np.setdiff1d(np.arange(len(labels)), first)
        self.enrolled = [whole[n] for n in first[::2]]
        self.queries, self.cohort = [queries[n] for n in asked], cohort
        self.species = labels[asked]
        self.known = np.isin(self.species, labels[first[::2]])

    def best(self, embed: Embed) -> np.ndarray:
        """The best score of each query with those enrolled: plain, and less the weaker side's with the cohort."""
        asked, enrolled = embed(self.queries), embed(self.enrolled)
        stack = np.concatenate([asked, enrolled, embed(self.cohort)])
        people = np.arange(len(asked) + len(enrolled))

        def score(rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
            return stack[rows] @ stack[cols].T

        others = np.arange(len(people), len(stack))
        statistics = cohort_statistics(score, len(people), others, top=NEAREST["weaker"])
        sides = people[: len(asked)], people[len(asked) :]
        fair = as_norm(score, statistics, side="weaker")
        return np.stack([score(*sides).max(axis=1), fair(*sides).max(axis=1)])

    def area(self, best: np.ndarray) -> tuple[float, tuple[float, float]]:
        """How well the best score tells queries of enrolled species from others, and 95 % over resampled species."""
        names, place = np.unique(self.species, return_inverse=True)
        drawn_species = np.random.default_rng(0).integers(0, len(names), (REPEATS, len(names)))
        counts = [np.bincount(each, minlength=len(names))[place] for each in drawn_species]
        low, high = np.quantile([self._area(best, each) for each in counts], [0.025, 0.975])
        return self._area(best, np.ones(len(best))), (float(low), float(high))

    def _area(self, best: np.ndarray, weights: np.ndarray) -> float:
        order = np.argsort(best, kind="stable")
        values, known, weights = best[order], self.known[order], weights[order]
        others = np.concatenate([[0.0], np.cumsum(np.where(known, 0.0, weights))])
        below = others[np.searchsorted(values, values, side="left")]
        up_to = others[np.searchsorted(values, values, side="right")]
        genuine = np.where(known, weights, 0.0)
        return float((genuine * (below + up_to) / 2).sum() / (genuine.sum() * others[-1]))


def over_species(values: np.ndarray, species: np.ndarray) -> tuple[float, float]:
    """95 % of the means over resampled species of the queries."""
    _, place = np.unique(species, return_inverse=True)
    sums, sizes = np.bincount(place, weights=values), np.bincount(place)
    drawn_species = np.random.default_rng(0).integers(0, len(sums), (REPEATS, len(sums)))
    means = sums[drawn_species].sum(axis=1) / sizes[drawn_species].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()

"""Names and records: an alias finds its name, a merge rate holds, and a table of records is cleaned.

    python bench/names.py [--data DIR] [--only recall|rates|records] [--records 100000] [--seeds 3]
    [--quick]

recall: DIR holds person_match.train2 (a name, an alias, y). 5,000 names are kept unseen, the others
train the recipe `names` as it is. Each alias of an unseen name is looked for among these names; a
hit is any name that the alias is listed for. Beside it stands rapidfuzz's WRatio on the same
queries, with an interval of the difference that resamples names. Every row of the file counts once,
as in the figures known before.

rates: names never seen, 50 times split into 1,000 that calibrate (`calibrate_scores`, certified,
1e-3) and 1,000 that judge: how often another name is accepted there, and in how many splits more
often than was promised.

records: generated records (name, street, town, year of birth), each its own person, and variants of
a fifth of them: slips of the pen, other order, initials, fields that are missing. Other persons
train and calibrate. `dedup` cleans the table at the certified threshold; recall is of variants that
stand with their record, precision of all proposed copies. The clock counts reading, embedding,
searching and grouping, in one process. Beside it stands the table at the estimated rate that
`dedup` names for one false copy in a hundred, which no certificate reaches.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from last_line import print_last_line, row
from twofold import Bundle, Items, build, calibrate, fit
from twofold.apps.dedup import dedup
from twofold.calibration.pairs import calibrate_scores
from twofold.data.scores import Scores
from twofold.embedding import embed_values
from twofold.recipes import names as recipe

UNSEEN = 5000
SPLITS, HALF, RATE = 50, 1000, 1e-3
RESAMPLED = 1000
SMALL = {"encoder.dim": 64, "input.symbols": 4096, "epochs": 2, "fewest_steps": 0}
"""What --quick makes of the recipe."""

TRAINED, CALIBRATED, RECORD_RATE = 4000, 10_400, 1e-6
"""Persons that train, and that calibrate with two spellings each: so many may certify the rate."""


def main() -> None:
    """Each part, then the last line."""
    parser = argparse.ArgumentParser(description="names and records")
    parser.add_argument("--data", type=Path, help="the folder that holds person_match.train2")
    parser.add_argument("--only", choices=("recall", "rates", "records"))
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument(
        "--seeds", type=int, default=3, help="trainings for recall; the first serves for rates"
    )
    parser.add_argument(
        "--quick", action="store_true", help="little data, to see that everything runs"
    )
    options = parser.parse_args()
    started, results = time.monotonic(), []
    if options.data is not None and options.only != "records":
        results += of_names(
            options.data,
            options.only,
            seeds=1 if options.quick else options.seeds,
            quick=options.quick,
        )
    if options.only in (None, "records"):
        results += of_records(1000 if options.quick else options.records, quick=options.quick)
    print_last_line("names", started, results)


def of_names(folder: Path, only: str | None, *, seeds: int, quick: bool) -> list[dict[str, Any]]:
    """Recall of aliases, and rates on names never seen."""
    aliases = read(folder / "person_match.train2")
    names = shuffled(sorted(aliases), seed=0)
    unseen, seen = (names[:300], names[300:900]) if quick else (names[:UNSEEN], names[UNSEEN:])
    results: list[dict[str, Any]] = []
    first = trained({name: [name, *aliases[name]] for name in seen}, seed=0, quick=quick)
    if only in (None, "recall"):
        results += recall(first, seen, unseen, aliases, seeds=seeds)
    if only in (None, "rates"):
        results += rates(
            first, unseen, aliases, splits=3 if quick else SPLITS, half=len(unseen) // 5
        )
    return results


def read(path: Path) -> dict[str, list[str]]:
    """Name -> aliases."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines():
        name, alias, _ = line.split("\t")
        found[name].append(alias)
    return found


def shuffled(names: list[str], *, seed: int) -> list[str]:
    """The names in another order."""
    return [names[place] for place in np.random.default_rng(seed).permutation(len(names))]


def trained(texts: dict[str, list[str]], *, seed: int, quick: bool = False) -> Bundle:
    """The recipe `names`, trained on texts by what they are called; with `quick` a small one, for a few steps."""
    used = recipe().replace(SMALL if quick else {})
    rows = [(text, name) for name, spelt in texts.items() for text in dict.fromkeys(spelt)]
    items = Items.from_arrays([text for text, _ in rows], [name for _, name in rows])
    return fit(build.twin(used, seed=seed), items, recipe=used, seed=seed)


def recall(
    first: Bundle,
    seen: Sequence[str],
    unseen: Sequence[str],
    aliases: dict[str, list[str]],
    *,
    seeds: int,
) -> list[dict[str, Any]]:
    """Share of rows whose alias finds a name that it is listed for."""
    from rapidfuzz import fuzz, process  # pyright: ignore[reportMissingImports]

    place = {name: number for number, name in enumerate(unseen)}
    rows = [(alias, place[name]) for name in unseen for alias in aliases[name]]
    queries = sorted({alias for alias, _ in rows})
    owners: dict[str, set[int]] = defaultdict(set)
    for alias, owner in rows:
        owners[alias].add(owner)
    began = time.process_time()
    fuzzy = [
        int(process.cdist([query], unseen, scorer=fuzz.WRatio)[0].argmax()) for query in queries
    ]
    print(f"WRatio: {time.process_time() - began:.0f} s of processor time", flush=True)
    theirs = hits(rows, owners, dict(zip(queries, fuzzy, strict=True)))
    ours = []
    for seed in range(seeds):
        texts = {name: [name, *aliases[name]] for name in seen}
        bundle = first if seed == 0 else trained(texts, seed=seed)
        scores = embed_values(bundle, queries) @ embed_values(bundle, list(unseen)).T
        ours.append(
            hits(rows, owners, dict(zip(queries, scores.argmax(axis=1).tolist(), strict=True)))
        )
        print(f"seed {seed}: {ours[-1].mean():.4f}, WRatio {theirs.mean():.4f}", flush=True)
    single = np.array([len(alias.split()) == 1 for alias, _ in rows])
    owner = np.array([number for _, number in rows])
    found = np.mean(ours, axis=0)
    seeded = (
        f"mean of {seeds} trainings on {len(seen)} names"
        if seeds > 1
        else f"trained on {len(seen)} names, seed 0"
    )
    anchor = (
        f"{len(rows)} aliases among {len(unseen)} unseen names; {seeded}; any name of the "
        f"alias; interval over names"
    )
    return [
        row(
            "names_recall_at_1",
            found.mean(),
            interval=interval(found, owner),
            goal=0.74,
            anchor=anchor,
        ),
        row(
            "names_recall_at_1_wratio",
            theirs.mean(),
            interval=interval(theirs, owner),
            anchor="rapidfuzz, same queries",
        ),
        row(
            "names_recall_gain",
            (found - theirs).mean(),
            interval=interval(found - theirs, owner),
            anchor="paired",
        ),
        row(
            "names_recall_at_1_single_word",
            found[single].mean(),
            interval=interval(found[single], owner[single]),
        ),
        row("names_recall_at_1_single_word_wratio", theirs[single].mean()),
    ]


def hits(
    rows: Sequence[tuple[str, int]], owners: dict[str, set[int]], best: dict[str, int]
) -> np.ndarray:
    """Whether each row's alias found a name that it is listed for."""
    return np.array([best[alias] in owners[alias] for alias, _ in rows], float)


def interval(values: np.ndarray, owner: np.ndarray) -> tuple[float, float]:
    """Of the mean, by resampling names."""
    drawn, generator = [], np.random.default_rng(0)
    codes = np.unique(owner, return_inverse=True)[1]
    for _ in range(RESAMPLED):
        weights = np.bincount(
            generator.integers(0, codes.max() + 1, codes.max() + 1), minlength=codes.max() + 1
        )[codes]
        drawn.append((values * weights).sum() / max(weights.sum(), 1))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def rates(
    bundle: Bundle, unseen: list[str], aliases: dict[str, list[str]], *, splits: int, half: int
) -> list[dict[str, Any]]:
    """In how many splits the true rate is above the certified one."""
    vectors = {
        name: embed_values(bundle, list(dict.fromkeys([name, *aliases[name]]))) for name in unseen
    }
    asked = RATE if half >= HALF else 5e-2
    measured, found = [], 0.0
    for split in range(splits):
        order = shuffled(unseen, seed=split)
        judged, judging = listed(vectors, order[half : 2 * half]), listed(vectors, order[:half])
        contract = calibrate_scores(judging, far=asked, standing="certified", seed=split)
        assert contract.calibration is not None
        measured.append(rate_at(judged, contract.calibration.threshold))
        found += contract.calibration.false_non_match.value / splits
    above = float(np.mean([rate > asked for rate in measured]))
    return [
        row(
            "names_far_violation_rate",
            above,
            goal=0.05,
            anchor=f"{splits} splits of unseen names, {half} calibrate and {half} judge, "
            f"certified at {asked:g}; "
            f"median rate {np.median(measured):.2g}, genuine pairs rejected {found:.2f}",
        )
    ]


def listed(vectors: dict[str, np.ndarray], names: Sequence[str]) -> Scores:
    """All pairs of the spellings of these names."""
    labels = np.repeat(np.arange(len(names)), [len(vectors[name]) for name in names])
    return Scores.from_vectors(np.concatenate([vectors[name] for name in names]), labels)


def rate_at(scores: Scores, threshold: float) -> float:
    """False accepts, every pair of names counting once."""
    accepted = total = 0.0
    for block in scores.pairs:
        different = ~block.same
        weight = block.weights[different]
        accepted += float((weight * (block.scores[different] >= threshold)).sum())
        total += float(weight.sum())
    return accepted / total


def words(text: str) -> list[str]:
    """Words between blanks."""
    return text.split()


FIRST = words("""
Anna Bert Clara David Elena Frank Greta Hugo Irene Jakob Karin Lukas Maria Nils Olga Paul Rita Stefan Tanja Ulrich Vera
Walter Xenia Yannick Zoe Adele Bruno Carmen Dieter Erika Felix Gisela Heinrich Ines Julian Katharina Leonard Monika
Norbert Ottilie Peter Renate Simon Theresa Udo Viktor Wilma Alma Boris Celine Dominik Edith
""")
SYLLABLES = words("""
ber mann stein hof er feld bach dorf kow ski in ova son sen lund ar del ga ro ti mel ka no vi ra to li scha fer we go
lo mi ne pa ri sa te wol ze
""")
TOWNS = words("""
Altstadt Birkenau Clausthal Dornbach Eichwalde Falkenberg Gruental Hohenfels Ilmenau Kaltenbach Lindau Moosburg
Neukirchen Oberau Pfaffing Rosental Steinach Talheim Unterried Waldkirch
""")
STREETS = words("""
Haupt Bahnhof Schul Garten Dorf Berg Kirch Wald Ring Mühl Linden Birken Rosen Wiesen Feld Brunnen See Park Markt Schloss
""")


def of_records(count: int, *, quick: bool) -> list[dict[str, Any]]:
    """A table with variants of a fifth of its records, cleaned."""
    generator = np.random.default_rng(0)
    people = [person(generator) for _ in range(count + TRAINED + CALIBRATED)]
    ours, others = people[:count], people[count:]
    seen = {
        str(n): [written(each), *(varied(each, generator) for _ in range(3))]
        for n, each in enumerate(others)
    }
    named = list(seen)
    trainers, judges = (
        (named[:300], named[300:700]) if quick else (named[:TRAINED], named[TRAINED:])
    )
    bundle = trained({name: seen[name] for name in trainers}, seed=0, quick=quick)
    rows = [(text, name) for name in judges for text in dict.fromkeys(seen[name][:2])]
    judging = Items.from_arrays([text for text, _ in rows], [name for _, name in rows])
    far = 1e-3 if quick else RECORD_RATE
    print(f"trained: {time.process_time():.0f} s of processor time so far", flush=True)
    bundle = calibrate(bundle, judging, far=far, standing="certified")
    print(f"calibrated: {time.process_time():.0f} s of processor time so far", flush=True)
    texts, owner = [written(each) for each in ours], list(range(count))
    for number in generator.permutation(count)[: count // 5].tolist():
        texts.append(varied(ours[number], generator))
        owner.append(number)
    items = Items.from_arrays(texts, [str(n) for n in range(len(texts))])
    anchor = (
        f"{count} generated records and {count // 5} variants; threshold certified at {far:g} on "
        f"{len(judges)} other persons; trained on {len(trainers)}"
    )
    found = cleaned(bundle, items, owner)
    results = [
        row("records_recall", found.right / (count // 5), goal=0.9, anchor=anchor, seed=0),
        row("records_precision", found.precision, goal=0.99, anchor=found.said, seed=0),
        row("records_seconds", found.seconds, unit="s", goal=300, anchor=found.spent, seed=0),
    ]
    if quick:
        return results
    rate = 0.01 * found.copies / (len(items) * (len(items) - 1) / 2)
    found = cleaned(calibrate(bundle, judging, far=rate, standing="estimate"), items, owner)
    anchor = f"the rate that dedup names for one false copy in a hundred, {rate:.1e}, an estimate"
    return [
        *results,
        row("records_recall_estimated", found.right / (count // 5), anchor=anchor, seed=0),
        row("records_precision_estimated", found.precision, anchor=found.said, seed=0),
    ]


class Cleaned(NamedTuple):
    """What `dedup` made of a table."""

    copies: int
    right: int
    seconds: float
    cpu: float

    @property
    def precision(self) -> float:
        """Share of the proposed copies that are copies."""
        return self.right / max(self.copies, 1)

    @property
    def said(self) -> str:
        """How many copies there were."""
        return f"{self.copies} copies proposed"

    @property
    def spent(self) -> str:
        """Processor time."""
        return f"{self.cpu:.0f} s of processor time"


def cleaned(bundle: Bundle, items: Items, owner: Sequence[int]) -> Cleaned:
    """The table after `dedup`, and the clock."""
    began, worked = time.monotonic(), time.process_time()
    found = dedup(items, bundle)
    seconds, cpu = time.monotonic() - began, time.process_time() - worked
    pairs = [
        (owner[int(group.kept)], owner[int(copy)])
        for group in found.groups
        for copy in group.copies
    ]
    right = sum(one == other for one, other in pairs)
    return Cleaned(copies=len(pairs), right=right, seconds=seconds, cpu=cpu)


def person(generator: np.random.Generator) -> list[str]:
    """First name, last name, street, town, year of birth."""
    last = "".join(generator.choice(SYLLABLES, generator.integers(2, 4))).capitalize()
    street = f"{generator.choice(STREETS)}straße {generator.integers(1, 181)}"
    return [
        str(generator.choice(FIRST)),
        last,
        street,
        str(generator.choice(TOWNS)),
        str(generator.integers(1930, 2009)),
    ]


def written(fields: Sequence[str]) -> str:
    """A record as one line."""
    return ", ".join([" ".join(fields[:2]), *fields[2:]])


def varied(fields: Sequence[str], generator: np.random.Generator) -> str:
    """The record as somebody else writes it."""
    first, last, street, town, year = fields
    if generator.random() < 0.25:
        first = f"{first[0]}."
    if generator.random() < 0.3:
        street = street.replace("straße", "str.")
    name = f"{last} {first}" if generator.random() < 0.25 else f"{first} {last}"
    parts = [name, street, town, year]
    if generator.random() < 0.25:
        parts.pop(int(generator.integers(1, 4)))
    text = ", ".join(parts)
    for _ in range(int(generator.choice((0, 1, 1, 2)))):
        text = slipped(text, generator)
    return text


def slipped(text: str, generator: np.random.Generator) -> str:
    """One letter left out, doubled, changed or swapped with the next."""
    at = int(generator.integers(len(text) - 1))
    first, second = text[at : at + 2]
    ways = (
        second,
        first + first + second,
        str(generator.choice(list("aeinrst"))) + second,
        second + first,
    )
    return text[:at] + ways[int(generator.integers(len(ways)))] + text[at + 2 :]


if __name__ == "__main__":
    main()

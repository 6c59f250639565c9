"""The demo: the whole way through the public functions, on characters drawn in the fonts that matplotlib ships.

Nothing is printed here: `demo` returns its numbers and a story, which the terminal and the page
both tell.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from jaxtyping import Bool, Int

from twofold import build
from twofold.apps.diagnosis import diagnosed
from twofold.apps.evaluate import evaluate
from twofold.apps.verify import calibration_of, identify, verify
from twofold.bundle import Bundle
from twofold.calibration.pairs import calibrate
from twofold.config import Recipe
from twofold.contract import Calibration
from twofold.data.fonts import Alphabets, alphabets
from twofold.data.items import Items, Parts
from twofold.demo import story as steps
from twofold.demo.story import OneShot
from twofold.embedding import embed, scores
from twofold.errors import CannotCertify, DataError
from twofold.files import new_folder
from twofold.metrics.intervals import estimate, identity_weights, weighted_means
from twofold.metrics.pairs import AllPairs
from twofold.report.page import page
from twofold.report.story import Scores, Step, Story, score_shares
from twofold.results import Estimate, Identification, Progress, Verdict
from twofold.store.index import Index
from twofold.train.fit import fit

__all__ = ["TRAINED_SCRIPTS", "DemoResult", "demo", "recipe"]

TRAINED_SCRIPTS = ("Latin", "phonetic", "Cyrillic", "arrows", "mathematics")
"""Scripts that train and choose; every other script is kept for the calibration and the test."""

MARKER = "demo.json"
MEASURED = (
    "eer",
    "false_match_rate",
    "false_non_match_rate",
    "recall_at_1",
    "accuracy_20_way_1_shot",
)
ROWS_AT_ONCE = 256
"""Test items compared with all others at once: a block stays below some megabytes."""


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo came to.

    Attributes:
        out: the folder, in which are `model` (the bundle), `index`, `pictures`, `page.html` and
            `demo.json`.
        identities: how many characters trained, chose, calibrated and tested; no two of these share
            one.
        calibration: the threshold and what it promises.
        numbers: what was measured on the test characters, with intervals.
        verdicts, identifications: of the pairs and queries that the story shows.
        seconds: of every step.
        story: the same in plain words with pictures; `terminal.screen.story` and `report.page.page`
            show it.
    """

    out: Path
    pictures: int
    identities: dict[str, int]
    calibration: Calibration
    numbers: tuple[Estimate, ...]
    verdicts: tuple[Verdict, ...]
    identifications: tuple[Identification, ...]
    seconds: dict[str, float]
    story: Story

    def plain(self) -> dict[str, Any]:
        """Everything but the story, JSON-able."""
        told = asdict(replace(self, story=Story(title="", lead="", steps=())))
        return {name: value for name, value in told.items() if name != "story"} | {
            "out": str(self.out)
        }


def recipe() -> Recipe:
    """What the demo trains with: small pictures, a small encoder, so many batches on any machine.

    The time is only a limit for machines that are ten times slower: a training of two batches would
    show nothing.
    """
    return Recipe.model_validate(
        {
            "input": {"name": "Image", "size": 28, "channels": 1, "mean": 1.0, "std": 0.35},
            "augment": {"rotation": 4, "scale": 0.05, "shear": 0.08, "shift": 0.02},
            "encoder": {"name": "resnet_small", "dim": 128, "width": 16},
            "loss": {"name": "supcon", "temperature": 0.1},
            "p": 32,
            "k": 4,
            "epochs": 8,
            "max_seconds": 400.0,
            "optimiser": {"learning_rate": 4e-3, "weight_decay": 0.05},
            "ema": 0.99,
        }
    )


def demo(
    out: str | Path,
    *,
    seed: int = 0,
    far: float = 1e-2,
    settings: Recipe | None = None,
    drawn: Alphabets | None = None,
    watch: Callable[[Progress], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> DemoResult:
    """Draw, examine, train, calibrate, evaluate, verify, identify; and write bundle, index, pictures and page to `out`.

    Args:
        out: a folder that is made, or an earlier demo's, which is replaced when all went well.
        seed: of split, weights, order and choice of what is shown.
        far: false-accept rate to certify.
        settings: another recipe than `recipe()`.
        drawn: other characters than all of `twofold.data.fonts`.
        watch: called after every training step.
        say: called with what is done next, a few words.

    Raises:
        MissingExtra: matplotlib, whose fonts are drawn, is not installed.
        CannotWrite: something else stands at `out`.
    """
    settings = settings or recipe()
    clock = _Clock(say)
    with new_folder(out, marker=MARKER) as folder:
        with clock("draw", "drawing characters in the fonts of matplotlib"):
            drawn = drawn or alphabets()
            parts = _parts(drawn.items, seed)
        with clock("examine", "looking for what is wrong with the pictures"):
            findings = diagnosed(drawn.items, build.input(settings), recipe=settings)
        with clock("train", "training"):
            bundle = fit(
                build.twin(settings, seed),
                parts.train,
                parts.valid,
                recipe=settings,
                seed=seed,
                watch=watch,
            )
        judged = _judged(bundle, parts, folder, far=far, seed=seed, clock=clock)
        story = steps.story(
            [
                steps.drawn(drawn, seed=seed),
                steps.examined(findings),
                steps.trained(parts, judged.bundle),
                *_judged_steps(judged, Path(out), folder),
                steps.next_commands(Path(out)),
            ],
            seconds=sum(clock.seconds.values()),
        )
        result = _result(judged, Path(out), story, pictures=len(drawn.items), seconds=clock.seconds)
        (folder / "page.html").write_text(page(story), encoding="utf-8")
        (folder / MARKER).write_text(
            json.dumps(result.plain(), indent=1, allow_nan=False), encoding="utf-8"
        )
    return result


class _Clock:
    """Seconds of every step, each announced before it starts."""

    def __init__(self, say: Callable[[str], None] | None) -> None:
        self.say = say
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str, text: str) -> Iterator[None]:
        if self.say:
            self.say(text)
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 1)


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """All that the trained bundle said."""

    bundle: Bundle
    calibration: Calibration
    parts: Parts
    numbers: list[Estimate]
    shares: Scores
    pairs: list[tuple[int, int, Verdict]]
    one_shot: OneShot
    queries: list[tuple[Items, int, Identification]]


def _judged(
    bundle: Bundle, parts: Parts, folder: Path, *, far: float, seed: int, clock: _Clock
) -> _Judged:
    """Calibrate, evaluate, verify, identify."""
    test = parts.test
    with clock("calibrate", "calibrating on scripts that it never saw"):
        bundle, calibration = _calibrated(bundle, parts.calibrate, far=far, seed=seed)
        bundle.save(folder / "model")
    with clock("evaluate", "measuring on further characters"):
        measured = evaluate(bundle, test, far=far, seed=seed).estimates
        shares, chosen = _pairs(bundle, test, threshold=calibration.threshold, seed=seed)
    with clock("verify", "verifying pairs"):
        pairs = [(a, b, verify(bundle, test.values[a], test.values[b])) for a, b in chosen]
    with (
        clock("identify", "identifying from one example"),
        Index.create(folder / "index", bundle.contract) as index,
    ):
        one_shot = _one_shot(bundle, index, test, seed=seed)
        queries = [
            (asked, row, identify(bundle, index, asked.values[row]))
            for asked, row in _queries(one_shot, seed)
        ]
    return _Judged(
        bundle=bundle,
        calibration=calibration,
        parts=parts,
        numbers=steps.renamed(measured, MEASURED),
        shares=shares,
        pairs=pairs,
        one_shot=one_shot,
        queries=queries,
    )


def _judged_steps(judged: _Judged, out: Path, folder: Path) -> list[Step]:
    """What the trained bundle said, told; the pictures that the commands name are written."""
    test = judged.parts.test
    for number, (a, b, _) in enumerate(judged.pairs, start=1):
        _write_picture(folder, f"{number}a", test.values[a])
        _write_picture(folder, f"{number}b", test.values[b])
    for number, (asked, row, _) in enumerate(judged.queries, start=1):
        _write_picture(folder, f"query{number}", asked.values[row])
    model, index, pictures = (out / name for name in ("model", "index", "pictures"))
    return [
        steps.calibrated(judged.calibration),
        steps.evaluated(test, judged.numbers, judged.shares),
        steps.verified(
            test,
            judged.pairs,
            [f"twofold verify {model} {pictures}/{n}a.png {pictures}/{n}b.png" for n in (1, 2)],
        ),
        steps.identified(
            judged.one_shot,
            judged.queries,
            [f"twofold identify {model} {index} {pictures}/query{number}.png" for number in (1, 2)],
        ),
    ]


def _result(
    judged: _Judged, out: Path, story: Story, *, pictures: int, seconds: dict[str, float]
) -> DemoResult:
    return DemoResult(
        out=out,
        pictures=pictures,
        identities={part: len(names) for part, names in judged.parts.names().items()},
        calibration=judged.calibration,
        numbers=(*judged.numbers, *judged.one_shot.numbers),
        verdicts=tuple(verdict for _, _, verdict in judged.pairs),
        identifications=tuple(found for _, _, found in judged.queries),
        seconds=seconds,
        story=story,
    )


def _parts(items: Items, seed: int) -> Parts:
    """Some scripts train and choose; the characters of all others calibrate (0.6 of them) and test (0.4)."""
    trained = [script for script in items.groups if script in TRAINED_SCRIPTS]
    seen = items.where(groups=trained).split(0.85, 0.15, calibrate=0.0, test=0.0, seed=seed)
    others = items.where(
        groups=[script for script in items.groups if script not in TRAINED_SCRIPTS]
    )
    unseen = others.split(0.0, 0.0, calibrate=0.6, test=0.4, seed=seed)
    return Parts(train=seen.train, valid=seen.valid, calibrate=unseen.calibrate, test=unseen.test)


def _calibrated(
    bundle: Bundle, items: Items, *, far: float, seed: int
) -> tuple[Bundle, Calibration]:
    """Certified where the characters can show it, else the word estimate."""
    try:
        bundle = calibrate(bundle, items, far=far, seed=seed)
    except CannotCertify:
        bundle = calibrate(bundle, items, far=far, seed=seed, standing="estimate")
    return bundle, calibration_of(bundle)


def _pairs(
    bundle: Bundle, test: Items, *, threshold: float, seed: int
) -> tuple[Scores, list[tuple[int, int]]]:
    """How all pairs score, and four of them: a genuine and an impostor one at random, then the worst of each kind."""
    vectors = embed(bundle, test).vectors

    def score(rows: Int[np.ndarray, " rows"], cols: Int[np.ndarray, " cols"]) -> np.ndarray:
        return scores(bundle.twin, vectors[rows], vectors[cols])

    worst_genuine, worst_impostor = (np.inf, 0, 0), (-np.inf, 0, 0)
    for start in range(0, len(test), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(test)))
        block = score(rows, np.arange(len(test)))
        same = test.labels[rows][:, None] == test.labels[None, :]
        worst_genuine = min(
            worst_genuine, _extreme(np.where(same, block, np.inf), start, np.argmin)
        )
        worst_impostor = max(
            worst_impostor, _extreme(np.where(same, -np.inf, block), start, np.argmax)
        )
    lots = _by_lot(test, np.random.default_rng(seed))
    shares = score_shares(AllPairs(score, test.labels), threshold=threshold)
    return shares, [*lots, worst_genuine[1:], worst_impostor[1:]]


def _extreme(
    block: np.ndarray, start: int, place: Callable[[np.ndarray], Any]
) -> tuple[float, int, int]:
    row, column = np.unravel_index(int(place(block)), block.shape)
    return float(block[row, column]), start + int(row), int(column)


def _by_lot(test: Items, generator: np.random.Generator) -> list[tuple[int, int]]:
    """A pair of one character, and a pair of two characters of one script."""
    script = _scripts(test)
    pairs = []
    for same in (True, False):
        first = int(generator.choice(len(test)))
        alike = test.labels == test.labels[first]
        mates = alike if same else (script == script[first]) & ~alike
        mates[first] = False
        pairs.append((first, int(generator.choice(np.flatnonzero(mates)))))
    return pairs


def _one_shot(bundle: Bundle, index: Index, test: Items, *, seed: int) -> OneShot:
    """Enrol one picture of each of half the characters of a script; ask with all the others."""
    script = test.groups[int(np.argmax(np.bincount(_scripts(test))))]
    of_script = test.where(groups=[script])
    names = [str(name) for name in np.random.default_rng(seed).permutation(of_script.identities)]
    enrolled = of_script.where(identities=names[: (len(names) + 1) // 2])
    strangers = of_script.where(identities=names[(len(names) + 1) // 2 :])
    first = np.unique(enrolled.labels, return_index=True)[1]
    gallery, known = (
        enrolled.take(first),
        enrolled.take(np.setdiff1d(np.arange(len(enrolled)), first)),
    )
    index.add(embed(bundle, gallery))
    return OneShot(
        script=script,
        gallery=gallery,
        known=known,
        strangers=strangers,
        numbers=_answers(bundle, index, known, strangers=strangers, seed=seed),
    )


def _answers(
    bundle: Bundle, index: Index, known: Items, *, strangers: Items, seed: int
) -> tuple[Estimate, ...]:
    """How often each answer was given, to queries of enrolled characters and to strangers."""
    named = _named(bundle, index, known)
    truth = [known.names[label] for label in known.labels]
    right = np.array([name == true for name, true in zip(named, truth, strict=True)])
    nobody = np.array([name is None for name in named])
    refused = np.array([name is None for name in _named(bundle, index, strangers)])
    return (
        _share("enrolled, and named rightly", right, known, seed=seed),
        _share("enrolled, but taken for nobody", nobody, known, seed=seed),
        _share("enrolled, but named wrongly", ~right & ~nobody, known, seed=seed),
        _share("a stranger, and taken for nobody", refused, strangers, seed=seed),
    )


def _named(bundle: Bundle, index: Index, queries: Items) -> list[str | None]:
    """What `identify` would answer to each query, all at once."""
    best = [hits[0] for hits in index.search_identities(embed(bundle, queries).vectors, k=1)]
    return [hit.label if bundle.contract.decide(hit.score)[0] == "same" else None for hit in best]


def _share(name: str, happened: Bool[np.ndarray, " n"], queries: Items, *, seed: int) -> Estimate:
    weights = identity_weights(len(queries.names), 1000, seed=seed)
    values = happened.astype(np.float64)
    replicates = weighted_means(values, queries.labels, weights)
    return estimate(name, float(values.mean()), replicates=replicates, resampled=len(queries.names))


def _queries(one_shot: OneShot, seed: int) -> list[tuple[Items, int]]:
    """A query of an enrolled character and one of a stranger, at random."""
    generator = np.random.default_rng(seed)
    asked = (one_shot.known, one_shot.strangers)
    return [(queries, int(generator.choice(len(queries)))) for queries in asked]


def _scripts(items: Items) -> Int[np.ndarray, " n"]:
    if items.group is None:
        raise DataError("the demo's characters need a script each: give Items with groups")
    return items.group


def _write_picture(folder: Path, name: str, pixels: np.ndarray) -> None:
    """Where the commands that are shown can find it."""
    (folder / "pictures").mkdir(exist_ok=True)
    PIL.Image.fromarray(pixels).save(folder / "pictures" / f"{name}.png")

"""What the trained bundle of the demo says: calibrated, measured, asked about pairs and queries."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from twofold.apps.evaluate import evaluate
from twofold.apps.identify import identify
from twofold.apps.verify import calibration_of, verify
from twofold.bundle import Bundle
from twofold.calibration.pairs import calibrate
from twofold.contract import Calibration
from twofold.data.items import Items, Parts
from twofold.demo import story as steps
from twofold.demo.story import OneShot
from twofold.embedding import embed, scores
from twofold.errors import CannotCertify, DataError
from twofold.metrics.intervals import estimate, identity_weights, weighted_means
from twofold.metrics.pairs import AllPairs
from twofold.report.story import Scores, score_shares
from twofold.results import Estimate, Identification, Verdict
from twofold.store.index import Index

__all__ = ["Judged", "judge"]

Clock = Callable[[str, str], AbstractContextManager[None]]
"""Takes the name of a step and what is said of it; the seconds of the block are the step's."""


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
class Judged:
    """All that the trained bundle said."""

    bundle: Bundle
    calibration: Calibration
    parts: Parts
    numbers: list[Estimate]
    shares: Scores
    pairs: list[tuple[int, int, Verdict]]
    one_shot: OneShot
    queries: list[tuple[Items, int, Identification]]


def judge(
    bundle: Bundle, parts: Parts, folder: Path, *, far: float, seed: int, clock: Clock
) -> Judged:
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
    return Judged(
        bundle=bundle,
        calibration=calibration,
        parts=parts,
        numbers=steps.renamed(measured, MEASURED),
        shares=shares,
        pairs=pairs,
        one_shot=one_shot,
        queries=queries,
    )


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

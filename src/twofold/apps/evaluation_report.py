"""An evaluation with all that a page shows: curves, histograms, the hardest pairs, groups, a map, two cards."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from twofold import __version__
from twofold.apps.evaluate import LARGE, MOST, Watch, evaluate_vectors
from twofold.apps.scored import evaluate_scores
from twofold.bundle import Bundle
from twofold.contract import Calibration, Contract
from twofold.data.items import Items
from twofold.data.pairs import Pairs
from twofold.data.scores import Scores
from twofold.embedding import embed, scores
from twofold.errors import NotEnoughData, UsageError
from twofold.metrics.curves import identity_rates, rank_k, reliability, trade_off
from twofold.metrics.pairs import AllPairs, PairSource, SampledPairs, ScoreBlock
from twofold.metrics.verification import estimates_at, tally, threshold_at_far
from twofold.report.measured import Hard, Map, Part, Report
from twofold.report.projection import projection
from twofold.report.story import score_shares
from twofold.results import Evaluation

__all__ = ["evaluation_report", "opened_report", "scores_report"]

HARDEST, KEPT = 6, 400
"""Pairs of each kind that are shown, and those that they are chosen from: no two of the same two classes."""

CLASSES, POINTS, MARKED = 15, 1500, 8


@dataclass(frozen=True, kw_only=True)
class _Data:
    """What the sections of a report are made from."""

    bundle: Bundle
    items: Items
    vectors: Float[np.ndarray, "n dim"]
    threshold: float
    confidence: float
    seed: int

    def score(self, rows: Int[np.ndarray, "rows"], cols: Int[np.ndarray, "cols"]) -> Float[np.ndarray, "rows cols"]:
        return scores(self.bundle.twin, self.vectors[rows], self.vectors[cols])

    def pairs(self, units: Int[np.ndarray, "n"]) -> PairSource:
        """The pairs that `evaluate` judges, each with the units of its items."""
        return _pairs(self.score, self.items.labels, units, seed=self.seed)


def evaluation_report(
    bundle: Bundle,
    items: Items,
    *,
    far: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    pictures: bool = True,
    commands: Sequence[str] = (),
    watch: Watch | None = None,
) -> Report:
    """`evaluate`, and what there is to see: the numbers are the same. Give it to `report.measured_page.page`.

    Args:
        far, confidence, seed, watch: as in `evaluate`.
        pictures: whether the hardest pairs are shown as the network sees them; False: by their ids alone, since raw
            inputs are private.
        commands: what repeats it, to be printed at the end.

    Raises:
        IdentityOverlap, NotEnoughData: as in `evaluate`.
    """
    part = bundle.part(items, "test")
    progress = None if watch is None else lambda done, total: watch("embedding", done, total)
    vectors = embed(bundle, part, progress=progress).vectors
    found = evaluate_vectors(bundle, part, vectors, far=far, confidence=confidence, seed=seed, watch=watch)
    known = bundle.calibration
    listed = _pairs(lambda a, b: scores(bundle.twin, vectors[a], vectors[b]), part.labels, part.identity, seed=seed)
    threshold = _threshold(known, listed, found)
    data = _Data(bundle=bundle, items=part, vectors=vectors, threshold=threshold, confidence=confidence, seed=seed)
    sections = _of_pairs(found, listed, known=known, threshold=threshold, confidence=confidence)
    return Report(
        title=f"How well {bundle.twin.input.name.lower()} pairs are told apart",
        **sections,
        ranks=_ranks(data),
        groups=_groups(data),
        classes=_classes(data),
        hard=_hardest(data, pictures=pictures),
        map=_map(data),
        data=_data_card(bundle, part, found),
        model=_model_card(bundle),
        commands=tuple(commands),
    )


def scores_report(
    listed: Scores,
    *,
    contract: Contract | None = None,
    far: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    commands: Sequence[str] = (),
) -> Report:
    """`evaluate_scores` of any model, and its curves; there is nothing to show of the things themselves.

    Raises:
        NotCalibrated, NotEnoughData: as in `evaluate_scores`.
    """
    found = evaluate_scores(listed, contract=contract, far=far, confidence=confidence, seed=seed)
    known = None if contract is None else contract.calibration
    threshold = _threshold(known, listed.pairs, found)
    model = {} if contract is None else {"distance": contract.distance, "fingerprint": contract.fingerprint}
    return Report(
        title="How well these scores tell pairs apart",
        **_of_pairs(found, listed.pairs, known=known, threshold=threshold, confidence=confidence),
        data=_pair_counts(found),
        model={name: value for name, value in model.items() if value},
        commands=tuple(commands),
    )


def opened_report(
    model: str | Path,
    data: str | Path,
    *,
    far: float | None = None,
    pictures: bool = True,
    levels: int = 1,
    seed: int = 0,
    watch: Watch | None = None,
) -> Report:
    """The report of a bundle's folder and a folder or table of things; or of a contract (JSON) and a file of scores.

    Raises:
        UsageError: a table of pairs, whose things have no classes to show.
        BundleError, DataError and what `evaluation_report` and `scores_report` raise.
    """
    model, data = Path(model), Path(data)
    commands = _commands(model, data, far=far, pictures=pictures, levels=levels, seed=seed)
    if model.suffix == ".json":
        contract = Contract.load(model)
        listed = Scores.open(data, distance=contract.distance if contract.dim else "cosine")
        return scores_report(listed, contract=contract, far=far, seed=seed, commands=commands)
    bundle = Bundle.load(model)
    if Pairs.found(data):
        raise UsageError(f"{data} is a table of pairs: a report shows classes, so give things with labels")
    items = Items.open(data, levels=levels)
    return evaluation_report(bundle, items, far=far, seed=seed, pictures=pictures, commands=commands, watch=watch)


def _commands(model: Path, data: Path, *, far: float | None, pictures: bool, levels: int, seed: int) -> tuple[str, ...]:
    words = ["twofold", "evaluate", str(model), str(data), "--report", "report.html"]
    words += [] if far is None else ["--far", f"{far:g}"]
    words += [] if levels == 1 else ["--levels", str(levels)]
    words += [] if seed == 0 else ["--seed", str(seed)]
    words += [] if pictures else ["--no-pictures"]
    return f"pip install twofold=={__version__}", shlex.join(words)


def _pairs(score: ScoreBlock, labels: np.ndarray, units: np.ndarray, *, seed: int) -> PairSource:
    if len(labels) * (len(labels) - 1) // 2 <= LARGE:
        return AllPairs(score, labels, identity=units)
    return SampledPairs(score, labels, identity=units, seed=seed, most=MOST)


def _threshold(known: Calibration | None, pairs: PairSource, found: Evaluation) -> float:
    return known.threshold if known is not None else float(threshold_at_far(tally(pairs), found.far))


def _of_pairs(
    found: Evaluation, pairs: PairSource, *, known: Calibration | None, threshold: float, confidence: float
) -> dict[str, Any]:
    """The sections that scores alone can give."""
    diagram = None
    if known is not None:
        diagram = reliability(pairs, known.probabilities, prior=known.prior, confidence=confidence, seed=found.seed)
    return {
        "made": datetime.now(UTC).strftime("%Y-%m-%d"),
        "evaluation": found,
        "calibration": known,
        "threshold": threshold,
        "curve": trade_off(pairs, confidence=confidence, seed=found.seed),
        "scores": score_shares(pairs, threshold=threshold, bins=60),
        "reliability": diagram,
    }


def _ranks(data: _Data) -> tuple:
    try:
        return rank_k(
            data.score,
            data.items.labels,
            identity=data.items.identity,
            confidence=data.confidence,
            seed=data.seed,
        )
    except NotEnoughData:
        return ()


def _groups(data: _Data) -> tuple[Part, ...]:
    """Each group by its own pairs, the worst first."""
    items = data.items
    if items.group is None or len(items.groups) < 2:
        return ()
    return _worst_first(
        _group(data, name, np.flatnonzero(items.group == code)) for code, name in enumerate(items.groups)
    )


def _group(data: _Data, name: str, rows: np.ndarray) -> Part:
    labels, identity = data.items.labels[rows], data.items.identity[rows]
    sizes = np.unique(labels, return_counts=True)[1]
    genuine = int((sizes * (sizes - 1) // 2).sum())
    impostor = len(rows) * (len(rows) - 1) // 2 - genuine
    rates: dict[str, Any] = {"false_non_match_rate": None, "false_match_rate": None}
    try:
        pairs = _pairs(lambda a, b: data.score(rows[a], rows[b]), labels, identity, seed=data.seed)
        for estimate in estimates_at(pairs, data.threshold, confidence=data.confidence, seed=data.seed).values():
            if estimate.name in rates:
                rates[estimate.name] = estimate.value
                rates[estimate.name.replace("rate", "interval")] = (estimate.low, estimate.high)
    except NotEnoughData:
        pass  # a group of one identity, or without one kind of pairs: its counts say so
    return Part(
        name=name,
        items=len(rows),
        identities=len(np.unique(identity)),
        genuine_pairs=genuine,
        impostor_pairs=impostor,
        **rates,
    )


def _classes(data: _Data) -> tuple[Part, ...]:
    """The identities that are decided wrongly most often."""
    items = data.items
    codes, units = np.unique(items.identity, return_inverse=True)
    sizes, found = np.bincount(units), identity_rates(data.pairs(units), data.threshold)
    parts = [
        Part(
            name=items.identities[code],
            items=int(sizes[row]),
            identities=1,
            genuine_pairs=int(found.genuine[row]),
            impostor_pairs=int(found.impostor[row]),
            false_non_match_rate=_rate(found.rejected[row], found.genuine[row]),
            false_match_rate=_rate(found.accepted[row], found.impostor[row]),
        )
        for row, code in enumerate(codes)
    ]
    return _worst_first(parts)[:CLASSES]


def _rate(wrong: np.integer, of: np.integer) -> float | None:
    return float(wrong / of) if of else None


def _worst_first(parts: Any) -> tuple[Part, ...]:
    return tuple(sorted(parts, key=lambda part: -((part.false_non_match_rate or 0.0) + (part.false_match_rate or 0.0))))


def _hardest(data: _Data, *, pictures: bool) -> tuple[Hard, ...]:
    # every item a unit of its own: the pairs then tell which two items they are
    kept: dict[bool, list[tuple[np.ndarray, ...]]] = {False: [], True: []}
    for block in data.pairs(np.arange(len(data.items))):
        for kind, best in kept.items():
            chosen = np.flatnonzero(block.same == kind)
            wrong = block.scores[chosen] if not kind else -block.scores[chosen]
            if len(chosen) > KEPT:
                chosen = chosen[np.argpartition(-wrong, KEPT)[:KEPT]]
            best.append((block.scores[chosen], block.first[chosen], block.second[chosen]))
    found: list[Hard] = []
    for kind, best in kept.items():
        columns = [np.concatenate(column) for column in zip(*best, strict=True)]
        order = np.lexsort((columns[2], columns[1], columns[0] if kind else -columns[0]))
        found += _distinct(data, (column[order] for column in columns), same=kind, pictures=pictures)
    return tuple(found)


def _distinct(data: _Data, columns: Iterator[np.ndarray], *, same: bool, pictures: bool) -> Iterator[Hard]:
    """The first of the pairs, one of each two classes."""
    kind: Literal["false accept", "false reject"] = "false reject" if same else "false accept"
    met: set[tuple[int, int]] = set()
    items, known = data.items, data.bundle.calibration
    look = partial(_shown, data.bundle) if pictures else lambda _: None
    for score, a, b in zip(*columns, strict=True):
        ends = int(items.labels[a]), int(items.labels[b])
        classes = min(ends), max(ends)
        if classes in met:
            continue
        met.add(classes)
        accepted = bool(score >= data.threshold)
        yield Hard(
            kind=kind,
            wrong=accepted != same,
            score=float(score),
            probability=None if known is None else known.probability(float(score)),
            ids=(items.ids[a], items.ids[b]),
            labels=(items.names[items.labels[a]], items.names[items.labels[b]]),
            shown=(look(items.values[a]), look(items.values[b])),
        )
        if len(met) == HARDEST:
            return


def _shown(bundle: Bundle, value: Any) -> np.ndarray | str | None:
    """A thing as the network sees it, if that can be looked at; texts as they are."""
    array = bundle.twin.input.read(value)
    if array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] in (1, 3):
        return array[:, :, 0] if array.shape[2] == 1 else array
    return value if isinstance(value, str) else None


def _map(data: _Data) -> Map | None:
    """Whole classes by chance until there are enough points; some of them are marked."""
    generator = np.random.default_rng(data.seed)
    labels, sizes = data.items.labels, np.bincount(data.items.labels)
    order = generator.permutation(np.flatnonzero(sizes))
    chosen = order[np.cumsum(sizes[order]) <= POINTS]
    rows = np.flatnonzero(np.isin(labels, chosen))
    if len(rows) < 3:
        return None
    marked = [int(code) for code in chosen if sizes[code] >= min(4, sizes[chosen].max())][:MARKED]
    number = np.zeros(len(sizes), np.int64)
    number[marked] = np.arange(1, len(marked) + 1)
    points, method = projection(data.vectors[rows], seed=data.seed)
    names = tuple(data.items.names[code] for code in marked)
    return Map(points=points, marked=number[labels[rows]], names=names, method=method)


def _pair_counts(found: Evaluation) -> dict[str, str]:
    return {
        "genuine pairs": f"{found.genuine_pairs:,}",
        "impostor pairs": f"{found.impostor_pairs:,}",
        f"resampled: the {found.unit}": f"{found.units:,}",
    }


def _data_card(bundle: Bundle, items: Items, found: Evaluation) -> dict[str, str]:
    sizes = np.bincount(items.labels)
    sizes = sizes[sizes > 0]
    # of a calibration on other data the bundle keeps no names: nothing can then be said of it
    unseen = "in training or calibration" if bundle.parts.get("calibrate") else "in training"
    card = {
        "items": f"{len(items):,}",
        "identities": f"{len(np.unique(items.identity)):,}, none of them seen {unseen}",
        "items a class": f"{sizes.min()} to {sizes.max()}, median {np.median(sizes):g}",
    }
    if items.group is not None:
        card["groups"] = f"{len(np.unique(items.group)):,}"
    if items.forged.any():
        card["forgeries"] = f"{int(items.forged.sum()):,}"
    return card | _pair_counts(found)


def _model_card(bundle: Bundle) -> dict[str, str]:
    recipe, training = bundle.recipe, bundle.training
    pieces = {
        "input": bundle.twin.input.name,
        "encoder": recipe.encoder.name,
        "comparison": bundle.twin.comparison.name,
    }
    card = pieces | {
        "vector": f"{bundle.twin.dim} numbers",
        "weights": f"{sum(each.numel() for each in bundle.twin.parameters()):,}",
        "loss": getattr(recipe.loss, "name", str(recipe.loss)),
        "views averaged": str(recipe.copies),
    }
    for name in ("epochs", "steps", "seed", "versions"):
        if name in training:
            told = training[name]
            card[name] = ", ".join(f"{a} {b}" for a, b in told.items()) if isinstance(told, dict) else str(told)
    for part, names in bundle.parts.items():
        card[f"identities, {part}"] = f"{len(names):,}"
    return card | {"fingerprint": bundle.fingerprint}

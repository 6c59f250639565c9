"""The evaluation report of things with classes: hardest pairs, groups, a map, two cards."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from twofold.apps.evaluate import (
    SAMPLED_FROM,
    SAMPLED_PAIRS,
    Watch,
    evaluate_crossfitted,
    evaluate_vectors,
)
from twofold.apps.report_sections import (
    HARD_KINDS,
    HARDEST,
    model_card,
    of_pairs,
    pair_counts,
    shown_as,
    threshold_of,
)
from twofold.bundle import Bundle
from twofold.data.items import Items
from twofold.embedding import deciding, embed_readable
from twofold.errors import IdentityOverlap, NotEnoughData
from twofold.metrics.crossfit import CrossFit
from twofold.metrics.curves import identity_rates, rank_k
from twofold.metrics.pairs import AllPairs, OneKind, PairSource, ScoreBlock
from twofold.metrics.sampled_pairs import SampledPairs
from twofold.metrics.sites import BySite, sites_of_identities
from twofold.metrics.verification import estimates_at
from twofold.report.measured import Hard, Map, Part, Report
from twofold.report.projection import projection
from twofold.results import Evaluation

__all__ = ["evaluation_report"]

KEPT = 400
"""Candidates per kind, from which the pairs shown are chosen: no two of the same two classes."""

CLASSES, POINTS, MARKED = 15, 1500, 8
"""Classes in the table of the worst, points on the map, classes with a colour there: what fits on a page."""


@dataclass(frozen=True, kw_only=True)
class _Data:
    """The data from which the sections of a report are made."""

    bundle: Bundle
    items: Items
    vectors: Float[np.ndarray, "n dim"]
    score: ScoreBlock
    threshold: float
    confidence: float
    seed: int
    progress: Callable[[int, int], None] | None

    def pairs(self, units: Int[np.ndarray, "n"]) -> PairSource:
        """The pairs that `evaluate` judges, each with the units of its items."""
        return _pairs(self.score, self.items.labels, units, seed=self.seed, progress=self.progress)


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
        pictures: whether the hardest pairs are shown as the network sees them; False: by their ids
            alone, since raw inputs are private.
        commands: what repeats it, to be printed at the end.

    Raises:
        IdentityOverlap, NotEnoughData: as in `evaluate`.
    """
    try:
        part = bundle.part(items, "test")
    except IdentityOverlap:
        if (judged := bundle.crossfit_of(items)) is None:
            raise
        return _crossfitted_report(
            bundle, judged, commands, far=far, confidence=confidence, seed=seed
        )
    progress = None if watch is None else lambda done, total: watch("embedding", done, total)
    part, vectors = embed_readable(bundle, part, progress=progress)
    found = evaluate_vectors(
        bundle, part, vectors, far=far, confidence=confidence, seed=seed, watch=watch
    )
    found = replace(found, notes=(*part.notes, *found.notes))
    known = bundle.calibration and bundle.calibration.deciding
    score = deciding(bundle, vectors)
    listed = _listed(part, score, seed=seed, progress=_passes(watch))
    threshold = threshold_of(known, listed, found)
    data = _Data(
        bundle=bundle,
        items=part,
        vectors=vectors,
        score=score,
        threshold=threshold,
        confidence=confidence,
        seed=seed,
        progress=_passes(watch),
    )
    sections = of_pairs(found, listed, known=known, threshold=threshold, confidence=confidence)
    return Report(
        title=f"How well {bundle.twin.input.name.lower()} pairs are told apart",
        **sections,
        ranks=_ranks(data),
        groups=_groups(data),
        classes=_classes(data),
        hard=_hardest(data, pictures=pictures),
        map=_map(data),
        data=_data_card(bundle, part, found),
        model=model_card(bundle),
        commands=tuple(commands),
    )


def _crossfitted_report(
    bundle: Bundle,
    judged: CrossFit,
    commands: Sequence[str],
    *,
    far: float | None,
    confidence: float,
    seed: int,
) -> Report:
    """What cross-fitted scores have to tell; no item and no name is known of them, so that none is shown."""
    found = evaluate_crossfitted(bundle, judged, far=far, confidence=confidence, seed=seed)
    known = bundle.calibration and bundle.calibration.deciding
    threshold = threshold_of(known, judged, found)
    sections = of_pairs(found, judged, known=known, threshold=threshold, confidence=confidence)
    return Report(
        title=f"How well {bundle.twin.input.name.lower()} pairs are told apart",
        **sections,
        data={"identities": f"{judged.units:,}, judged by cross-fitting in {judged.folds} folds"}
        | pair_counts(found),
        model=model_card(bundle),
        commands=tuple(commands),
    )


def _passes(watch: Watch | None) -> Callable[[int, int], None] | None:
    """The results of further passes over all pairs, after those of `evaluate`."""
    return None if watch is None else partial(watch, "what the page shows")


def _listed(
    part: Items, score: ScoreBlock, *, seed: int, progress: Callable[[int, int], None] | None
) -> PairSource:
    """All pairs of the items, by site if they have sites."""
    pairs = _pairs(
        score,
        part.labels,
        part.identity,
        forged=part.forged,
        source=part.source,
        seed=seed,
        progress=progress,
    )
    if part.site is None:
        return pairs
    return BySite(pairs, sites_of_identities(part.identity, part.site, part.identities))


def _pairs(
    score: ScoreBlock,
    labels: np.ndarray,
    units: np.ndarray,
    *,
    forged: np.ndarray | None = None,
    source: np.ndarray | None = None,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> PairSource:
    """All pairs, or a sample of them; against random impostors if forgeries are known."""
    if len(labels) * (len(labels) - 1) // 2 <= SAMPLED_FROM:
        every = AllPairs(
            score, labels, identity=units, forged=forged, source=source, progress=progress
        )
        return OneKind(every, "random")
    sampled = SampledPairs(
        score,
        labels,
        identity=units,
        forged=forged,
        source=source,
        seed=seed,
        most=SAMPLED_PAIRS,
        progress=progress,
    )
    return OneKind(sampled, "random")


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
        _group(data, name, np.flatnonzero(items.group == code))
        for code, name in enumerate(items.groups)
    )


def _group(data: _Data, name: str, rows: np.ndarray) -> Part:
    labels, identity = data.items.labels[rows], data.items.identity[rows]
    sizes = np.unique(labels, return_counts=True)[1]
    genuine = int((sizes * (sizes - 1) // 2).sum())
    impostor = len(rows) * (len(rows) - 1) // 2 - genuine
    rates: dict[str, Any] = {"false_non_match_rate": None, "false_match_rate": None}
    try:
        forged = data.items.forged[rows]
        pairs = _pairs(
            lambda a, b: data.score(rows[a], rows[b]),
            labels,
            identity,
            forged=forged,
            seed=data.seed,
        )
        for estimate in estimates_at(
            pairs, data.threshold, confidence=data.confidence, seed=data.seed
        ).values():
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
    """The identities with the most wrong decisions."""
    items = data.items
    codes, units = np.unique(items.identity, return_inverse=True)
    pairs = _pairs(
        data.score, items.labels, units, forged=items.forged, seed=data.seed, progress=data.progress
    )
    sizes, found = np.bincount(units), identity_rates(pairs, data.threshold)
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
    return tuple(
        sorted(
            parts,
            key=lambda part: -((part.false_non_match_rate or 0.0) + (part.false_match_rate or 0.0)),
        )
    )


def _hardest(data: _Data, *, pictures: bool) -> tuple[Hard, ...]:
    # every item is a unit of its own, so that the pairs name their two items
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
        found += _distinct(
            data, (column[order] for column in columns), same=kind, pictures=pictures
        )
    return tuple(found)


def _distinct(
    data: _Data, columns: Iterator[np.ndarray], *, same: bool, pictures: bool
) -> Iterator[Hard]:
    """The first pairs, one per pair of classes."""
    kind = HARD_KINDS[same]
    met: set[tuple[int, int]] = set()
    items, known = data.items, data.bundle.calibration and data.bundle.calibration.deciding
    look = partial(shown_as, data.bundle) if pictures else lambda _: None
    for score, a, b in zip(*columns, strict=True):
        ends = int(items.labels[a]), int(items.labels[b])
        classes = min(ends), max(ends)
        if classes in met or (items.forged[a] and items.forged[b]):
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


def _map(data: _Data) -> Map | None:
    """Random whole classes until there are enough points; some of them are marked."""
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


def _data_card(bundle: Bundle, items: Items, found: Evaluation) -> dict[str, str]:
    sizes = np.bincount(items.labels)
    sizes = sizes[sizes > 0]
    # formats before 3 kept no names of a calibration on other data
    unseen = "in training or calibration" if bundle.calibration is not None else "in training"
    card = {
        "items": f"{len(items):,}",
        "identities": f"{len(np.unique(items.identity)):,}, none of them seen {unseen}",
        "items per class": f"{sizes.min()} to {sizes.max()}, median {np.median(sizes):g}",
    }
    if items.group is not None:
        card["groups"] = f"{len(np.unique(items.group)):,}"
    if items.forged.any():
        card["forgeries"] = f"{int(items.forged.sum()):,}"
    return card | pair_counts(found)

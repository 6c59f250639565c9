"""Identify one among the enrolled, or nobody (laws 5 and 6)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

from twofold.apps.feature_maps import rows_of
from twofold.apps.indexing import read_or_why
from twofold.apps.search import check_searchable, search_vectors
from twofold.apps.templates import IdentitySets, Template, means, scores_with, sets_of_identities
from twofold.apps.verify import THINGS_AT_ONCE, calibration_of, judge
from twofold.bundle import Bundle
from twofold.contract import Calibration, OfReferences, OpenSet
from twofold.embedding import embed_read, embed_values, pair_scores
from twofold.errors import NotCalibrated, StoreError, UnreadableInput
from twofold.plurals import counted
from twofold.results import Hit, Identification
from twofold.store.index import Index

__all__ = ["identify", "identify_all", "nearest_all"]

Answer = TypeVar("Answer")

OF_ITEMS = "the threshold was set for single items: for means of several, the rate is an estimate"

WITH_THRESHOLD = {
    "learned": "the weights of the learned rule are not known",
    "relative": "the rule relative has no threshold yet",
}
"""Rules that come from `calibrate --set references` alone, and what is missing without it."""

# the best identities by plain scores, among whom the best by normalised ones is looked for
RESCORED = 100


def identify(
    bundle: Bundle,
    index: Index,
    query: Any,
    *,
    candidates: int = 5,
    group: str | None = None,
    template: Template | None = None,
    exact: bool = False,
) -> Identification:
    """Who is this? The best enrolled identity, or nobody when none reaches the threshold.

    One enrolled example per identity is enough; with more, the best of them counts. After
    `calibrate_gallery` the threshold is the one for as many enrolled as were asked for, and
    `warning` says when there are more by now. Who is expired or revoked is not there.

    Args:
        query: a raw thing that the bundle's input reads.
        candidates: how many identities to name, accepted or not.
        group: as in `verify`, of the query; the threshold is then that of one comparison inside the
            group.
        template: what an identity is compared by: its "best" item, the "mean" of its embeddings, or
            the rule "learned" or "relative". None: the rule of `calibrate_references`, if there are such
            thresholds and none for a gallery, else the best item. By that rule each identity is
            judged at the threshold for as many references as it has. By another one the rate is
            that of single items, and for means an estimate.
        exact: as in `search`; by several references all are compared.

    Raises:
        NotCalibrated: the bundle has no threshold yet.
        UnknownName: the group has no threshold, or there are groups and none was given.
        FingerprintMismatch: the index holds vectors of another model.
        StoreError: nobody is enrolled, all are expired or revoked, or `candidates` is below 1.
        UnreadableInput: the query cannot be decoded.
    """
    asked = asked_for(
        bundle, index, candidates=candidates, group=group, template=template, exact=exact
    )
    return identified(bundle, index, embed_values(bundle, [query]), asked)


def identify_all(
    bundle: Bundle,
    index: Index,
    queries: Mapping[str, Any],
    *,
    candidates: int = 5,
    group: str | None = None,
    template: Template | None = None,
    exact: bool = False,
) -> dict[str, Identification | str]:
    """As `identify`, for named queries; one that cannot be read is said, as `search_all` says it.

    Returns:
        For each name who it is, or why it cannot be read.

    Raises:
        UnreadableInput: not one of the queries can be read. Otherwise as `identify`.
    """
    asked = asked_for(
        bundle, index, candidates=candidates, group=group, template=template, exact=exact
    )
    return of_each(bundle, queries, lambda vector: identified(bundle, index, vector, asked))


def nearest_all(
    bundle: Bundle,
    index: Index,
    queries: Mapping[str, Any],
    *,
    candidates: int = 5,
    template: Template | None = None,
    exact: bool = False,
) -> dict[str, tuple[Hit, ...] | str]:
    """The enrolled identities most like each query, best first, or why a query cannot be read.

    This needs no threshold, and tells nothing of whether the query is one of them.

    Args:
        template: "mean" compares with the means of identities; else their best items count.

    Raises:
        NotCalibrated: a rule that comes with a threshold. Otherwise as `identify_all`.
    """
    check_searchable(bundle, index)
    _refuse_unknown(template, known=None)

    def nearest(vector: Float[np.ndarray, "1 dim"]) -> tuple[Hit, ...]:
        hits = (
            by_means(bundle, index, vector, candidates)
            if template == "mean"
            else by_items(bundle, index, vector, candidates, exact=exact)
        )
        if not hits:
            raise StoreError(nobody(index))
        return tuple(hits)

    return of_each(bundle, queries, nearest)


def of_each(
    bundle: Bundle,
    queries: Mapping[str, Any],
    answer: Callable[[Float[np.ndarray, "1 dim"]], Answer],
) -> dict[str, Answer | str]:
    """What `answer` says of the vector of each query, or why that cannot be read.

    Raises:
        UnreadableInput: not one of the queries can be read.
    """
    found: dict[str, Answer | str] = {}
    named = list(queries.items())
    for start in range(0, len(named), THINGS_AT_ONCE):
        names, values = zip(*named[start : start + THINGS_AT_ONCE], strict=True)
        things = read_or_why(bundle, values)
        vectors = iter(embed_read(bundle, [each for each in things if not isinstance(each, str)]))
        for name, thing in zip(names, things, strict=True):
            found[name] = thing if isinstance(thing, str) else answer(next(vectors)[None])
    if found and all(isinstance(each, str) for each in found.values()):
        reason = str(next(iter(found.values())))
        raise UnreadableInput(
            f"none of {len(found)} queries can be read; the first: {reason}"
            if len(found) > 1
            else reason
        )
    return found


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How one is to be identified; see `identify`.

    Attributes:
        sets: the references of each identity, where it is judged by all of them; else None.
    """

    calibration: Calibration
    candidates: int
    group: str | None
    template: Template
    exact: bool
    sets: IdentitySets | None


def _refuse_unknown(template: Template | None, *, known: Template | None) -> None:
    if template in WITH_THRESHOLD and template != known:
        raise NotCalibrated(
            f"{WITH_THRESHOLD[template]}: twofold calibrate BUNDLE DATA --set references=5 "
            f"--set fusion={template}"
        )


def asked_for(
    bundle: Bundle,
    index: Index,
    *,
    candidates: int,
    group: str | None,
    template: Template | None,
    exact: bool,
) -> Asked:
    """How to identify, as the calibration and the index have it."""
    calibration = calibration_of(bundle).of_group(group)
    check_searchable(bundle, index)
    if candidates < 1:
        raise StoreError(f"candidates is {candidates}: ask for at least 1")
    known = () if group is not None or calibration.open_set else calibration.references
    rule = known[0].rule.fusion if known else None
    _refuse_unknown(template, known=rule)
    by_sets = rule is not None and template in (None, rule)
    return Asked(
        calibration=calibration,
        candidates=candidates,
        group=group,
        template=template or rule or "best",
        exact=exact,
        sets=sets_of_identities(bundle, index, known) if by_sets else None,
    )


def identified(
    bundle: Bundle, index: Index, vector: Float[np.ndarray, "1 dim"], asked: Asked
) -> Identification:
    """Who has this vector."""
    calibration, references = asked.calibration, 1
    if asked.sets is not None:
        hits, judging = by_references(bundle, asked.sets, vector, asked)
        if judging is not None:
            calibration, references = judging.calibration, judging.count
    elif asked.template == "mean":
        hits = by_means(bundle, index, vector, asked.candidates)
    else:
        hits = by_items(bundle, index, vector, asked.candidates, exact=asked.exact)
    if not hits:
        raise StoreError(nobody(index))
    verdict, many = judge(calibration, hits[0].score, group=asked.group), calibration.open_set
    threshold = calibration.threshold if many is None else many.threshold
    decision = calibration.decide(verdict.score, threshold=threshold)
    names, items = compared(index)
    warning = None if many is None else outgrown(many, names, items)
    of_items = asked.template == "mean" and asked.sets is None
    return Identification(
        label=hits[0].label if decision == "same" else None,
        decision=decision,
        score=verdict.score,
        probability=verdict.probability,
        threshold=threshold,
        far=verdict.far,
        standing="estimate" if of_items else (many or calibration).standing,
        gallery=names,
        candidates=tuple(hits),
        fpir=None if many is None else many.fpir,
        warning=OF_ITEMS if of_items and names < items else warning,
        references=references,
    )


def by_references(
    bundle: Bundle, sets: IdentitySets, vector: Float[np.ndarray, "1 dim"], asked: Asked
) -> tuple[list[Hit], OfReferences | None]:
    """The best identities by all of their references, and what decides about the first of them.

    Identities differ in how many references they have, and so in their thresholds: the best is that
    which lies furthest above its own.
    """
    found: list[tuple[float, str, float, OfReferences | None]] = []
    for known, (labels, vectors) in sets.items():
        if known is None:
            single = np.repeat(vector, len(labels), axis=0)
            scores, threshold = (
                pair_scores(bundle, single, vectors[:, 0]),
                asked.calibration.threshold,
            )
        else:
            scores = scores_with(bundle, vector, vectors, known)
            threshold = known.calibration.threshold
        each = zip(labels, scores, strict=True)
        found += [(threshold - float(score), label, float(score), known) for label, score in each]
    found.sort(key=lambda one: one[:2])
    best = found[: asked.candidates]
    hits = [Hit(id=label, label=label, score=score) for _, label, score, _ in best]
    return hits, best[0][3] if best else None


def by_items(
    bundle: Bundle,
    index: Index,
    vector: Float[np.ndarray, "1 dim"],
    candidates: int,
    *,
    exact: bool,
) -> list[Hit]:
    """The best item of each of the best identities."""
    wanted = candidates if bundle.cohort is None or candidates < 1 else max(candidates, RESCORED)
    (hits,) = search_vectors(bundle, index, vector, k=wanted, identities=True, exact=exact)
    return rescored(bundle, index, vector, hits)[:candidates]


def by_means(
    bundle: Bundle, index: Index, vector: Float[np.ndarray, "1 dim"], candidates: int
) -> list[Hit]:
    """The best identities by their means; a mean goes by the name of its identity."""
    labels, templates = means(bundle, index)
    found = (
        pair_scores(bundle, np.repeat(vector, len(labels), axis=0), templates)
        if labels
        else np.empty(0)
    )
    order = np.argsort(-found, kind="stable")[:candidates]
    return [
        Hit(id=labels[place], label=labels[place], score=float(found[place])) for place in order
    ]


def rescored(
    bundle: Bundle, index: Index, vector: Float[np.ndarray, "1 dim"], hits: Sequence[Hit]
) -> list[Hit]:
    """The hits by the scores that verdicts go by, best first; as they are, where these are the index's own."""
    if bundle.cohort is None:
        return list(hits)
    enrolled = rows_of(bundle, index, index.get([hit.id for hit in hits]))
    found = pair_scores(bundle, np.repeat(vector, len(hits), axis=0), enrolled)
    fair = [replace(hit, score=float(score)) for hit, score in zip(hits, found, strict=True)]
    return sorted(fair, key=lambda hit: -hit.score)


def nobody(index: Index) -> str:
    """That an index has nobody to compare with, and what to do."""
    return f"nobody in {index.path} counts: all are expired or revoked; enrol or restore somebody"


def compared(index: Index) -> tuple[int, int]:
    """How many identities and items a query is compared with."""
    return index.standing() if index.keeps_dates else (len(index.labels), len(index))


def outgrown(many: OpenSet, names: int, items: int) -> str | None:
    """Why the threshold's rate does not hold: more are enrolled than it was set for. None if it holds."""
    if names <= many.size and items <= many.size * many.enrolled:
        return None
    return (
        f"{counted(names, 'identity', 'is')} enrolled with {counted(items, 'item')}; the rate "
        f"{many.fpir:g} was "
        f"measured for {many.size} with {many.enrolled} each, and is larger here: calibrate "
        f"again, twofold calibrate "
        f"BUNDLE DATA --set fpir={many.fpir:g} --set gallery={names}"
    )

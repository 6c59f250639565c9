"""Verify two things, identify one among the enrolled; what comes back is a verdict, never a bare distance (law 5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from twofold.apps.indexing import read_or_why
from twofold.apps.search import check_searchable, search_vectors
from twofold.apps.templates import Template, means
from twofold.bundle import Bundle
from twofold.contract import Calibration, OpenSet
from twofold.data.pairs import Pairs
from twofold.embedding import embed_read, embed_values, pair_scores
from twofold.errors import NotCalibrated, StoreError, UnreadableInput, UsageError
from twofold.plurals import counted
from twofold.results import Hit, Identification, Verdict
from twofold.store.index import Index

__all__ = [
    "calibration_of",
    "identify",
    "identify_all",
    "score_readable_pairs",
    "verify",
    "verify_pairs",
    "verify_readable_pairs",
]

THINGS_AT_ONCE = 256
"""Things that are read before they are embedded; their arrays stay in memory until then."""

OF_ITEMS = "the threshold was set for single items: for means of several, the rate is an estimate"
# the best identities by plain scores, among whom the best by normalised ones is looked for
RESCORED = 100


def verify(bundle: Bundle, a: Any, b: Any, *, group: str | None = None) -> Verdict:
    """Are two things the same?

    Args:
        a, b: raw things that the bundle's input reads: a path, bytes, an array.
        group: which group both belong to, where each has a threshold of its own; "any": that of all
            pairs together.

    Raises:
        NotCalibrated: the bundle has no threshold yet.
        UnknownName: the group has no threshold, or there are groups and none was given.
        UnreadableInput: names what cannot be decoded.
    """
    calibration = calibration_of(bundle).of_group(group)
    vectors = embed_values(bundle, [a, b])
    return judge(calibration, pair_scores(bundle, vectors[:1], vectors[1:])[0], group=group)


def verify_pairs(bundle: Bundle, pairs: Pairs, *, group: str | None = None) -> list[Verdict]:
    """A verdict for each pair of a table; a thing that stands in many pairs is embedded once.

    Args:
        group: as in `verify`, of all pairs; None: that which the table gives each pair, if it does.

    Raises:
        NotCalibrated: the bundle has no threshold yet.
        UnknownName: a group has no threshold, or there are groups and a pair has none.
        UnreadableInput: names the file that cannot be decoded.
    """
    calibration = calibration_of(bundle)
    for each in dict.fromkeys(pairs.groups if group is None and pairs.groups else (group,)):
        calibration.of_group(each)  # refuse an unknown group before anything is embedded
    return _verdicts(bundle, pairs, embed_all(bundle, pairs.values), group=group)


def verify_readable_pairs(
    bundle: Bundle, pairs: Pairs, *, group: str | None = None
) -> tuple[Pairs, list[Verdict], dict[str, str]]:
    """As `verify_pairs`, but pairs with a thing that cannot be decoded are left out and named.

    Returns:
        the pairs that have a verdict, their verdicts, and why each unreadable thing could not be
        read.

    Raises:
        UnreadableInput: not one of the pairs can be read. As `verify_pairs` else.
    """
    calibration_of(bundle)
    rest, vectors, unreadable = _readable(bundle, pairs)
    return rest, _verdicts(bundle, rest, vectors, group=group), unreadable


def score_readable_pairs(
    bundle: Bundle, pairs: Pairs
) -> tuple[Pairs, Float[np.ndarray, " pairs"], dict[str, str]]:
    """Scores in place of verdicts, which need no threshold; else as `verify_readable_pairs`.

    Returns:
        the pairs that have a score, their scores, and why each unreadable thing could not be read.
    """
    rest, vectors, unreadable = _readable(bundle, pairs)
    ends = zip(spans(rest.index_a), spans(rest.index_b), strict=True)
    found = [pair_scores(bundle, vectors[a], vectors[b]) for a, b in ends]
    return rest, np.concatenate(found), unreadable


def spans(index: Int[np.ndarray, " n"]) -> list[Int[np.ndarray, " m"]]:
    """The index, a batch at a time."""
    return [index[start : start + THINGS_AT_ONCE] for start in range(0, len(index), THINGS_AT_ONCE)]


def _readable(
    bundle: Bundle, pairs: Pairs
) -> tuple[Pairs, Float[np.ndarray, "things dim"], dict[str, str]]:
    """The pairs of which both things can be read, the vectors of all things, and why some cannot be read."""
    vectors, unreadable = np.zeros((len(pairs.values), bundle.twin.dim), dtype=np.float32), {}
    for start in range(0, len(pairs.values), THINGS_AT_ONCE):
        things = read_or_why(bundle, list(pairs.values[start : start + THINGS_AT_ONCE]))
        whole = {place: thing for place, thing in enumerate(things) if not isinstance(thing, str)}
        unreadable |= {
            pairs.ids[start + n]: thing for n, thing in enumerate(things) if isinstance(thing, str)
        }
        if whole:
            vectors[start + np.array(list(whole))] = embed_read(bundle, list(whole.values()))
    gone = np.isin(np.array(pairs.ids), list(unreadable))
    left = np.flatnonzero(~gone[pairs.index_a] & ~gone[pairs.index_b])
    if not len(left):
        raise UnreadableInput(
            f"none of {len(pairs)} pairs can be read; the first: {next(iter(unreadable.values()))}"
        )
    return pairs.take(left), vectors, unreadable


def _verdicts(
    bundle: Bundle, pairs: Pairs, vectors: Float[np.ndarray, "n dim"], *, group: str | None
) -> list[Verdict]:
    """A verdict for each pair of embedded things."""
    calibration = calibration_of(bundle)
    given = pairs.groups if group is None else None
    groups = (group,) * len(pairs) if given is None else given
    by_group = {each: calibration.of_group(each) for each in dict.fromkeys(groups)}
    verdicts = []
    for start in range(0, len(pairs.index_a), THINGS_AT_ONCE):
        part = slice(start, start + THINGS_AT_ONCE)
        found = pair_scores(bundle, vectors[pairs.index_a[part]], vectors[pairs.index_b[part]])
        verdicts += [
            judge(by_group[each], score, group=each)
            for each, score in zip(groups[part], found, strict=True)
        ]
    return verdicts


def identify(
    bundle: Bundle,
    index: Index,
    query: Any,
    *,
    candidates: int = 5,
    group: str | None = None,
    template: Template = "best",
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
        template: what an identity is compared by: its "best" item, or the "mean" of its embeddings.
            A threshold is certified for items; by means it is an estimate. Means are computed from
            all items in each call.
        exact: as in `search`; means are always all compared.

    Raises:
        NotCalibrated: the bundle has no threshold yet.
        UnknownName: the group has no threshold, or there are groups and none was given.
        FingerprintMismatch: the index holds vectors of another model.
        StoreError: nobody is enrolled, all are expired or revoked, or `candidates` is below 1.
        UnreadableInput: the query cannot be decoded.
    """
    calibration = calibration_of(bundle).of_group(group)
    check_searchable(bundle, index)
    asked = Asked(
        calibration=calibration, candidates=candidates, group=group, template=template, exact=exact
    )
    return identified(bundle, index, embed_values(bundle, [query]), asked)


def identify_all(
    bundle: Bundle,
    index: Index,
    queries: Mapping[str, Any],
    *,
    candidates: int = 5,
    group: str | None = None,
    template: Template = "best",
    exact: bool = False,
) -> dict[str, Identification | str]:
    """As `identify`, for named queries; one that cannot be read is said, as `search_all` says it.

    Returns:
        For each name who it is, or why it cannot be read.

    Raises:
        UnreadableInput: not one of the queries can be read. Otherwise as `identify`.
    """
    calibration = calibration_of(bundle).of_group(group)
    check_searchable(bundle, index)
    asked = Asked(
        calibration=calibration, candidates=candidates, group=group, template=template, exact=exact
    )
    found: dict[str, Identification | str] = {}
    named = list(queries.items())
    for start in range(0, len(named), THINGS_AT_ONCE):
        names, values = zip(*named[start : start + THINGS_AT_ONCE], strict=True)
        things = read_or_why(bundle, values)
        vectors = iter(embed_read(bundle, [each for each in things if not isinstance(each, str)]))
        for name, thing in zip(names, things, strict=True):
            known = isinstance(thing, str)
            found[name] = thing if known else identified(bundle, index, next(vectors)[None], asked)
    if found and all(isinstance(each, str) for each in found.values()):
        reason = next(iter(found.values()))
        raise UnreadableInput(f"none of {len(found)} queries can be read; the first: {reason}")
    return found


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How one is to be identified; see `identify`."""

    calibration: Calibration
    candidates: int
    group: str | None
    template: Template
    exact: bool


def identified(
    bundle: Bundle, index: Index, vector: Float[np.ndarray, "1 dim"], asked: Asked
) -> Identification:
    """Who has this vector."""
    calibration, group, template = asked.calibration, asked.group, asked.template
    candidates, exact = asked.candidates, asked.exact
    if template == "best":
        hits = by_items(bundle, index, vector, candidates, exact=exact)
    else:
        hits = by_means(bundle, index, vector, candidates)
    if not hits:
        raise StoreError(
            f"nobody in {index.path} counts: all are expired or revoked; enrol or restore somebody"
        )
    verdict, many = judge(calibration, hits[0].score, group=group), calibration.open_set
    threshold = calibration.threshold if many is None else many.threshold
    decision = calibration.decide(verdict.score, threshold=threshold)
    names, items = compared(index)
    warning = None if many is None else outgrown(many, names, items)
    return Identification(
        label=hits[0].label if decision == "same" else None,
        decision=decision,
        score=verdict.score,
        probability=verdict.probability,
        threshold=threshold,
        far=verdict.far,
        standing=(many or calibration).standing if template == "best" else "estimate",
        gallery=names,
        candidates=tuple(hits),
        fpir=None if many is None else many.fpir,
        warning=OF_ITEMS if template == "mean" and names < items else warning,
    )


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
    if candidates < 1:
        raise StoreError(f"candidates is {candidates}: ask for at least 1")
    labels, templates = means(index)
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
    # an index's own are not to be written to
    enrolled = index.get([hit.id for hit in hits]).vectors.copy()
    found = pair_scores(bundle, np.repeat(vector, len(hits), axis=0), enrolled)
    fair = [replace(hit, score=float(score)) for hit, score in zip(hits, found, strict=True)]
    return sorted(fair, key=lambda hit: -hit.score)


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


def calibration_of(bundle: Bundle) -> Calibration:
    """The bundle's calibration, or an error: without one there is no verdict (law 5)."""
    if bundle.calibration is None:
        raise NotCalibrated(
            "this bundle has no threshold yet, so it can give no verdict: "
            "run `twofold calibrate BUNDLE DATA --far 1e-2` on identities that it has not seen, "
            "or ask for scores "
            "alone (`twofold verify BUNDLE --pairs TABLE --scores-only`)"
        )
    return bundle.calibration


def embed_all(bundle: Bundle, values: Sequence[Any]) -> Float[np.ndarray, "n dim"]:
    """Vectors of any number of raw things, a batch at a time."""
    starts = range(0, max(1, len(values)), THINGS_AT_ONCE)
    return np.concatenate(
        [embed_values(bundle, values[start : start + THINGS_AT_ONCE]) for start in starts]
    )


def judge(calibration: Calibration, score: float, *, group: str | None = None) -> Verdict:
    """A score as a verdict.

    Raises:
        UsageError: the score is NaN.
    """
    if np.isnan(score):
        raise UsageError(
            "the score is NaN, which is not an answer: check the vectors that were compared"
        )
    return Verdict(
        decision=calibration.decide(float(score)),
        score=float(score),
        probability=calibration.probability(float(score)),
        threshold=calibration.threshold,
        far=calibration.far,
        standing=calibration.standing,
        reject_threshold=calibration.reject_threshold,
        frr=None if calibration.rejection is None else calibration.rejection.frr,
        group=group,
        prior=calibration.prior,
    )

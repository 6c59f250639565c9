"""Search: the items of an index most like a query, by a plain or learned comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float

from twofold.apps.feature_maps import indexed_vectors, rows_of, shortlist_size, without_map
from twofold.apps.indexing import read_or_why
from twofold.bundle import Bundle
from twofold.embedding import embed_read, embed_values, scores
from twofold.errors import StoreError, UnreadableInput
from twofold.results import Embeddings, Estimate, Found, Hit
from twofold.store.exact import METRICS
from twofold.store.filters import Condition, Where, conditions
from twofold.store.identities import best_of_each
from twofold.store.index import Index
from twofold.store.recall import recall_of

__all__ = ["judged", "recall", "search", "search_all", "search_vectors"]

QUERIES_AT_ONCE = 256
"""Queries that are read before they are embedded; their arrays stay in memory until then."""


def search(
    bundle: Bundle,
    index: Index,
    queries: Sequence[Any],
    *,
    k: int = 10,
    where: Where | None = None,
    exact: bool = False,
) -> list[list[Hit]]:
    """The `k` items of an index most like each query, best first; with probabilities if the bundle is calibrated.

    Args:
        queries: raw things that the bundle's input reads: paths, bytes, arrays.
        where: only items whose metadata fit: for each key a value, a list of values, or {"min": x,
            "max": y}.
        exact: compare with every item; otherwise a large index, or a learned comparison, looks
            among the likely ones.

    Raises:
        FingerprintMismatch: the index holds vectors of another model.
        StoreError: the index is empty, the filter does not fit, or `k` is below 1.
        UnreadableInput: names the query that cannot be decoded.
    """
    check_searchable(bundle, index)
    found: list[list[Hit]] = []
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        vectors = embed_values(bundle, queries[start : start + QUERIES_AT_ONCE])
        found += search_vectors(bundle, index, vectors, k=k, where=where, exact=exact)
    return [with_probabilities(bundle, hits) for hits in found]


def search_all(
    bundle: Bundle,
    index: Index,
    queries: Mapping[str, Any],
    *,
    k: int = 10,
    where: Where | None = None,
    exact: bool = False,
) -> list[Found]:
    """`search` for named queries; those that cannot be read are reported instead of raised.

    Returns:
        what was found for each query, in order; or why it could not be read.

    Raises:
        UnreadableInput: not one of the queries can be read.
    """
    check_searchable(bundle, index)
    named = list(queries.items())
    found: list[Found] = []
    for start in range(0, len(named), QUERIES_AT_ONCE):
        found += _found(
            bundle,
            index,
            dict(named[start : start + QUERIES_AT_ONCE]),
            k=k,
            where=where,
            exact=exact,
        )
    if found and all(each.unreadable for each in found):
        reason = found[0].unreadable or ""
        raise UnreadableInput(
            f"none of {len(found)} queries can be read; the first: {reason}"
            if found[1:]
            else reason
        )
    return found


def _found(
    bundle: Bundle,
    index: Index,
    queries: Mapping[str, Any],
    *,
    k: int,
    where: Where | None,
    exact: bool,
) -> list[Found]:
    things = read_or_why(bundle, list(queries.values()))
    vectors = embed_read(bundle, [each for each in things if not isinstance(each, str)])
    hits = iter(
        search_vectors(bundle, index, vectors, k=k, where=where, exact=exact)
        if len(vectors)
        else []
    )
    return [
        Found(query=name, hits=(), decision=None, unreadable=thing)
        if isinstance(thing, str)
        else judged(bundle, name, with_probabilities(bundle, next(hits)))
        for name, thing in zip(queries, things, strict=True)
    ]


def search_vectors(
    bundle: Bundle,
    index: Index,
    vectors: Float[np.ndarray, "q row"],
    *,
    k: int = 10,
    identities: bool = False,
    where: Where | None = None,
    exact: bool = False,
) -> list[list[Hit]]:
    """As `search`, for rows that this bundle compares; with `identities` the best item of each of the `k` best ones."""
    check_searchable(bundle, index)
    if bundle.contract.distance not in METRICS:
        by_head = scan if exact or len(index) <= shortlist_size(bundle) else rescored
        vectors = vectors.copy()  # an index's own are not to be written to, which torch warns of
        return by_head(bundle, index, vectors, k=k, identities=identities, where=where)
    if identities:
        return index.search_identities(vectors, k, where=where, exact=exact)
    return index.search(vectors, k, where=where, exact=exact)


def recall(
    bundle: Bundle, index: Index, *, k: int = 10, sample: int = 100, seed: int = 0
) -> Estimate:
    """As `index.recall`, by the bundle's own comparison: what a shortlist loses of the answer of a learned one.

    Raises:
        FingerprintMismatch: the index holds vectors of another model. StoreError: it is empty.
    """
    check_searchable(bundle, index)

    def find(vectors: np.ndarray, exact: bool) -> list[list[Hit]]:
        return search_vectors(bundle, index, vectors, k=k + 1, exact=exact)

    chosen = index.sample(sample, seed=seed)
    return recall_of(replace(chosen, vectors=rows_of(bundle, index, chosen)), find, k=k)


def with_probabilities(bundle: Bundle, hits: Sequence[Hit]) -> list[Hit]:
    """The hits with the calibrated probability of "same"; unchanged without a calibration."""
    if bundle.calibration is None:
        return list(hits)
    return [replace(hit, probability=bundle.contract.decide(hit.score)[1]) for hit in hits]


def judged(bundle: Bundle, query: str, hits: Sequence[Hit]) -> Found:
    """The hits of one query, and by the best one whether anything is like it (law 5)."""
    known = bundle.calibration
    decision = None if known is None or not hits else bundle.contract.decide(hits[0].score)[0]
    return Found(
        query=query,
        hits=tuple(hits),
        decision="different" if known is not None and not hits else decision,
        threshold=None if known is None else known.threshold,
        far=None if known is None else known.far,
        standing=None if known is None else known.standing,
    )


def check_searchable(bundle: Bundle, index: Index) -> None:
    """Refuse an index of another model, or with nothing in it, before anything is embedded."""
    index.refuse_other(bundle.fingerprint)
    if not len(index):
        raise StoreError(f"{index.path} is empty: enrol somebody first")


def scan(
    bundle: Bundle,
    index: Index,
    vectors: Float[np.ndarray, "q row"],
    *,
    k: int,
    identities: bool,
    where: Where | None = None,
) -> list[list[Hit]]:
    """Every item against every query, block by block: there is no faster exact way."""
    check_count(k)
    filters = conditions(where)
    kept: list[list[Hit]] = [[] for _ in vectors]
    for block in (passing(each, filters) for each in index.blocks()):
        if not block.ids:
            continue
        held = rows_of(bundle, index, block)
        for number, found in enumerate(scores(bundle.twin, vectors, held)):
            # an item that is not among the best of its own block is not among the best of all
            best = np.argsort(-found, kind="stable")[: None if identities else k]
            merged = sorted(
                [*kept[number], *hits_of(block, best, found)], key=lambda hit: (-hit.score, hit.id)
            )
            kept[number] = (best_of_each(merged) if identities else merged)[:k]
    if not any(kept):
        index.refuse_unmatched(filters)
    return kept


def rescored(
    bundle: Bundle,
    index: Index,
    vectors: Float[np.ndarray, "q row"],
    *,
    k: int,
    identities: bool,
    where: Where | None = None,
) -> list[list[Hit]]:
    """`scan` of the items with the nearest embeddings."""
    check_count(k)
    return [
        best_listed(bundle, index, vector[None], k=k, identities=identities, where=where)
        for vector in vectors
    ]


def best_listed(
    bundle: Bundle,
    index: Index,
    vector: Float[np.ndarray, "1 row"],
    *,
    k: int,
    identities: bool,
    where: Where | None,
) -> list[Hit]:
    """The best of a shortlist, which grows if a few identities fill it."""
    deep = max(shortlist_size(bundle), k)
    while True:
        (listed,) = index.shortlist(indexed_vectors(bundle, vector), deep, where=where)
        found = scores(bundle.twin, vector, rows_of(bundle, index, listed))[0]
        hits = hits_of(
            listed, np.argsort(-found, kind="stable")[: None if identities else k], found
        )
        best = best_of_each(hits)[:k] if identities else hits
        if not listed.ids:
            index.refuse_unmatched(conditions(where))
        if len(best) == k or len(listed.ids) < deep:
            return best
        deep *= 4


def check_count(k: int) -> None:
    """Refuse to look for nothing."""
    if k < 1:
        raise StoreError(f"k is {k}: ask for at least 1 neighbour")


def passing(block: Embeddings, filters: Sequence[Condition]) -> Embeddings:
    """The items of a block that a filter lets through."""
    metadata = block.metadata or ({},) * len(block.ids)
    rows = [row for row, each in enumerate(metadata) if all(one.holds(each) for one in filters)]
    return Embeddings(
        ids=tuple(block.ids[row] for row in rows),
        labels=tuple(block.labels[row] for row in rows),
        vectors=block.vectors[rows],
        fingerprint=block.fingerprint,
        metadata=tuple(metadata[row] for row in rows),
    )


def hits_of(block: Embeddings, rows: Sequence[int] | np.ndarray, found: np.ndarray) -> list[Hit]:
    """Some rows of a block as hits."""
    metadata = block.metadata or ({},) * len(block.ids)
    return [
        Hit(
            id=block.ids[row],
            label=block.labels[row],
            score=float(found[row]),
            metadata=without_map(metadata[row]),
        )
        for row in rows
    ]

"""Search: what in an index is most like a query, by the bundle's own comparison, plain or learned."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from twofold.bundle import Bundle
from twofold.embedding import embed_values, scores
from twofold.errors import StoreError
from twofold.results import Hit
from twofold.store.exact import METRICS
from twofold.store.index import Index, best_of_each

__all__ = ["search", "search_vectors"]


def search(bundle: Bundle, index: Index, queries: Sequence[Any], *, k: int = 10) -> list[list[Hit]]:
    """The `k` items of an index most like each query, best first.

    Args:
        queries: raw things that the bundle's input reads: paths, bytes, arrays.

    Raises:
        FingerprintMismatch: the index holds vectors of another model.
        StoreError: the index is empty, or `k` is below 1.
        UnreadableInput: names the query that cannot be decoded.
    """
    check_searchable(bundle, index)
    return search_vectors(bundle, index, embed_values(bundle, queries), k=k)


def search_vectors(
    bundle: Bundle, index: Index, vectors: Float[np.ndarray, "q dim"], *, k: int = 10, identities: bool = False
) -> list[list[Hit]]:
    """As `search`, for vectors of this bundle; with `identities` the best item of each of the `k` best identities."""
    check_searchable(bundle, index)
    if bundle.contract.distance not in METRICS:
        return scan(bundle, index, vectors, k=k, identities=identities)
    return index.search_identities(vectors, k) if identities else index.search(vectors, k)


def check_searchable(bundle: Bundle, index: Index) -> None:
    """Refuse an index of another model, or with nothing in it, before anything is embedded."""
    index.refuse_other(bundle.fingerprint)
    if not len(index):
        raise StoreError(f"{index.path} is empty: enrol somebody first")


def scan(
    bundle: Bundle, index: Index, vectors: Float[np.ndarray, "q dim"], *, k: int, identities: bool
) -> list[list[Hit]]:
    """Every item against every query, block by block: a learned comparison has no shorter way."""
    if k < 1:
        raise StoreError(f"k is {k}: ask for at least 1 neighbour")
    kept: list[list[Hit]] = [[] for _ in vectors]
    for block in index.blocks():
        for number, found in enumerate(scores(bundle.twin, vectors, block.vectors)):
            # an item that is not among the best of its own block is not among the best of all
            best = np.argsort(-found, kind="stable")[: None if identities else k]
            hits = [Hit(id=block.ids[row], label=block.labels[row], score=float(found[row])) for row in best]
            merged = sorted([*kept[number], *hits], key=lambda hit: -hit.score)
            kept[number] = (best_of_each(merged) if identities else merged)[:k]
    return kept

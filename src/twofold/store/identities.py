"""The best item of each identity among the hits of a search."""

from collections.abc import Callable, Sequence

from twofold.results import Hit

__all__ = ["best_of_each", "nearest_identities"]

DEEPER = 4
"""Factor by which more hits are asked for when an identity with many items has filled the places of
others."""


def nearest_identities(search: Callable[[int], list[list[Hit]]], k: int) -> list[list[Hit]]:
    """The best hit of each of the `k` nearest identities, for each query of a search for so many hits."""
    deep = k
    while True:
        found = search(deep)
        best = [best_of_each(hits)[:k] for hits in found]
        pairs = zip(best, found, strict=True)
        if not any(len(one) < k and len(hits) >= deep for one, hits in pairs):
            return best
        deep *= DEEPER


def best_of_each(hits: Sequence[Hit]) -> list[Hit]:
    """The first hit of each label, in order."""
    first: dict[str, Hit] = {}
    for hit in hits:
        first.setdefault(hit.label, hit)
    return list(first.values())

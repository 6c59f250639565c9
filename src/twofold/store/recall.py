"""Recall of a search, measured by the index itself against exact search."""

import math
from collections.abc import Callable

import numpy as np

from twofold.errors import StoreError
from twofold.results import Embeddings, Estimate, Hit

__all__ = ["recall_of"]

# with the normal distribution's quantile
CONFIDENCE, NORMAL = 0.95, 1.959963984540054
QUERIES_AT_ONCE = 256
"""Queries of one search, exact and not, of the sample."""

EQUAL = 1e-9  # scores this near are one score


def recall_of(
    chosen: Embeddings, search: Callable[[np.ndarray, bool], list[list[Hit]]], *, k: int
) -> Estimate:
    """Recall@k of a search, for items of the index, each without itself.

    Args:
        chosen: the items to ask with.
        search: vectors, and whether to search exactly -> at least `k + 1` hits for each where there
            are so many.
    """
    if not chosen.ids:
        raise StoreError(
            "no items to measure a recall by: give a sample "
            "of at least 1, of an index that is not empty"
        )
    found: list[float] = []
    for start in range(0, len(chosen.ids), QUERIES_AT_ONCE):
        queries, names = (
            chosen.vectors[start : start + QUERIES_AT_ONCE],
            chosen.ids[start : start + QUERIES_AT_ONCE],
        )
        ours, truth = search(queries, False), search(queries, True)
        found += [share(*each, k=k) for each in zip(names, ours, truth, strict=True)]
    value = float(np.mean(found))
    low, high = wilson(value, len(found))
    return Estimate(
        name=f"recall_at_{k}",
        value=value,
        low=low,
        high=high,
        confidence=CONFIDENCE,
        unit="query",
        resampled=len(found),
    )


def share(name: str, ours: list[Hit], truth: list[Hit], *, k: int) -> float:
    """Share of the `k` best neighbours of an item that a search found; equal scores are equally good."""
    wanted = [hit.score for hit in truth if hit.id != name][:k]
    if not wanted:
        return 1.0
    right = [hit for hit in ours if hit.id != name and hit.score >= wanted[-1] - EQUAL]
    return min(1.0, len(right[:k]) / len(wanted))


def wilson(value: float, queries: int) -> tuple[float, float]:
    """Wilson 1927: interval of a share; for means of numbers between 0 and 1 it is too wide rather than too narrow."""
    square = NORMAL**2 / queries
    middle = (value + square / 2) / (1 + square)
    half = NORMAL / (1 + square) * math.sqrt(value * (1 - value) / queries + square / (4 * queries))
    return max(0.0, middle - half), min(1.0, middle + half)

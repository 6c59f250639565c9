"""How well a search finds the rest of a query's class: every item is the query once, all others are the gallery.

Equal scores are never broken by position: each number is its expected value over all orders of the
tied items (McSherry & Najork 2008). Scores may be negative.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int

from twofold.errors import NotEnoughData, UsageError
from twofold.metrics.intervals import estimate, resampled_means
from twofold.metrics.pairs import ScoreBlock
from twofold.metrics.ranks import Ranks, count_ranks
from twofold.results import Estimate

__all__ = ["estimates", "map_at_r", "query_values", "recall_at_k"]

Progress = Callable[[int, int], None]


def recall_at_k(score: ScoreBlock, labels: Int[np.ndarray, "n"], *, k: int = 1) -> float:
    """Share of queries with at least one item of their class among the `k` best of all others.

    Queries whose class has no other item are left out.

    Raises:
        NotEnoughData: no class has two items.
        UsageError: `k` is not positive.
    """
    return float(np.nanmean(query_values(score, labels, ks=(k,))[f"recall_at_{k}"]))


def map_at_r(score: ScoreBlock, labels: Int[np.ndarray, "n"]) -> float:
    """Mean over queries of (1/R) * sum over i = 1..R of rel(i) * precision at i (Musgrave et al. 2020, sec. 3.2).

    R is the number of other items of the query's class; queries with R = 0 are left out.

    Raises:
        NotEnoughData: no class has two items.
    """
    return float(np.nanmean(query_values(score, labels, ks=())["map_at_r"]))


def estimates(
    score: ScoreBlock,
    labels: Int[np.ndarray, "n"],
    *,
    identity: Int[np.ndarray, "n"] | None = None,
    ks: Sequence[int] = (1,),
    replicates: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Estimate]:
    """Recall@k and MAP@R with intervals: queries are resampled with their identity, the gallery stays as it is."""
    values = query_values(score, labels, ks=ks, progress=progress)
    names, codes = np.unique(labels if identity is None else identity, return_inverse=True)
    drawn = resampled_means(values, codes, identities=len(names), replicates=replicates, seed=seed)
    return {
        name: estimate(
            name,
            float(np.nanmean(each)),
            replicates=drawn[name],
            resampled=len(names),
            confidence=confidence,
        )
        for name, each in values.items()
    }


def query_values(
    score: ScoreBlock,
    labels: Int[np.ndarray, "n"],
    *,
    ks: Sequence[int] = (1,),
    progress: Progress | None = None,
) -> dict[str, Float[np.ndarray, "n"]]:
    """The contribution of each query to "map_at_r" and to "recall_at_K" for each K of `ks`; NaN if R = 0.

    Ranks are counted in tiles of scores, so that memory grows with the items and not with their
    pairs (`count_ranks`).

    Args:
        score: scores of items `rows` with items `cols`, the same both ways round.
        progress: called with (done, total) scores.

    Raises:
        NotEnoughData: no class has two items.
        UsageError: a `k` is not positive.
        DataError: a score is not finite.
    """
    if any(k < 1 for k in ks):
        raise UsageError(f"k is {min(ks)}: recall needs at least the best 1")
    if len(np.unique(labels)) == len(labels):
        raise NotEnoughData(
            f"no two of {len(labels)} items share a class: give at least two items of each"
        )
    values = {
        name: np.full(len(labels), np.nan) for name in ["map_at_r", *(f"recall_at_{k}" for k in ks)]
    }
    for ranks in count_ranks(score, labels, depth=max(ks, default=1), progress=progress):
        values["map_at_r"][ranks.queries] = _average_precision(ranks)
        for k in ks:
            values[f"recall_at_{k}"][ranks.queries] = _found(ranks, k)
    return values


def _average_precision(ranks: Ranks) -> Float[np.ndarray, "queries"]:
    """Expected average precision over the first R ranks, McSherry & Najork 2008, eq. 4.

    Of `size` items of equal score, `genuine` of them genuine, below `start` others, `before` of
    them genuine, each is at rank t with probability 1 / size, and the precision there is (before +
    1 + (t - start - 1) * share) / t, where share = (genuine - 1) / (size - 1). Summed over t that
    is a harmonic number and a count.
    """
    others = np.diff(ranks.starts)
    first, genuine = _levels(ranks)
    query = np.repeat(np.arange(len(others)), others)[first]
    before = first - ranks.starts[query]
    start, size = ranks.above[first] + before, ranks.level[first] + genuine
    end = np.minimum(start + size, others[query])
    share = (genuine - 1) / np.maximum(size - 1, 1)
    inside = start < end
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, others.max() + 1))])
    steps = harmonic[np.where(inside, end, 0)] - harmonic[np.where(inside, start, 0)]
    expected = genuine / size * ((before + 1 - (start + 1) * share) * steps + share * (end - start))
    return np.bincount(query[inside], weights=expected[inside], minlength=len(others)) / others


def _levels(ranks: Ranks) -> tuple[Int[np.ndarray, "levels"], Int[np.ndarray, "levels"]]:
    """The first entry of each run of equal scores of a query, and how long the run is."""
    new = np.append(True, ranks.scores[1:] != ranks.scores[:-1])
    new[ranks.starts[:-1]] = True
    first = np.flatnonzero(new)
    return first, np.diff(first, append=len(new))


def _found(ranks: Ranks, k: int) -> Float[np.ndarray, "queries"]:
    """Probability that at least one of the first `k` is genuine: 1 - C(size - genuine, slots) / C(size, slots)."""
    first, genuine = _levels(ranks)
    best = np.searchsorted(first, ranks.starts[:-1])
    level = ranks.level[first[best]].astype(np.float64)
    slots = k - ranks.above[first[best]]
    missed = np.ones(len(best))
    for slot in range(min(k, int(slots.max()))):
        left = np.maximum(level - slot, 0.0) / np.maximum(level + genuine[best] - slot, 1.0)
        missed = np.where(slot < slots, missed * left, missed)
    return 1.0 - missed

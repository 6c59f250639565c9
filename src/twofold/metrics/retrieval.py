"""How well a search finds the rest of a query's class: every item is the query once, all others are the gallery.

Equal scores are never broken by position: each number is its expected value over all orders of the tied items
(McSherry & Najork 2008). Scores may be negative.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from twofold.errors import NotEnoughData, UsageError
from twofold.metrics.intervals import estimate, identity_weights, weighted_means
from twofold.metrics.pairs import ScoreBlock, finite
from twofold.results import Estimate

__all__ = ["estimates", "map_at_r", "query_values", "recall_at_k"]


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
) -> dict[str, Estimate]:
    """Recall@k and MAP@R with intervals: queries are resampled with their identity, the gallery stays as it is."""
    values = query_values(score, labels, ks=ks)
    names, codes = np.unique(labels if identity is None else identity, return_inverse=True)
    weights = identity_weights(len(names), replicates, seed=seed)
    return {
        name: estimate(
            name,
            float(np.nanmean(each)),
            replicates=weighted_means(each, codes, weights),
            resampled=len(names),
            confidence=confidence,
        )
        for name, each in values.items()
    }


def query_values(
    score: ScoreBlock, labels: Int[np.ndarray, "n"], *, ks: Sequence[int] = (1,), block: int = 1 << 21
) -> dict[str, Float[np.ndarray, "n"]]:
    """What each query contributes to "map_at_r" and to "recall_at_K" for each K of `ks`; NaN where R = 0.

    Args:
        score: scores of items `rows` with items `cols`.
        block: about how many scores are held at once.

    Raises:
        NotEnoughData: no class has two items.
        UsageError: a `k` is not positive.
    """
    if any(k < 1 for k in ks):
        raise UsageError(f"k is {min(ks)}: recall needs at least the best 1")
    codes = np.unique(labels, return_inverse=True)[1]
    others = np.bincount(codes)[codes] - 1
    if not others.any():
        raise NotEnoughData(f"no two of {len(labels)} items share a class: give at least two items of each")
    depth = min(max([int(others.max()), *ks]), len(labels) - 1)
    values = {name: np.full(len(labels), np.nan) for name in ["map_at_r", *(f"recall_at_{k}" for k in ks)]}
    for rows in _row_blocks(np.flatnonzero(others), len(labels), block):
        ties = _ties(score(rows, np.arange(len(labels))), rows, codes, depth=depth)
        values["map_at_r"][rows] = _average_precision(ties, others[rows])
        for k in ks:
            values[f"recall_at_{k}"][rows] = _found(ties, min(k, depth))
    return values


def _row_blocks(rows: np.ndarray, items: int, block: int) -> Iterator[np.ndarray]:
    step = max(block // items, 1)
    return (rows[start : start + step] for start in range(0, len(rows), step))


class _Ties(NamedTuple):
    """For each rank, best first: the tied items that it stands among.

    `start` ranks stand above the tie, `before` of them genuine; the tie has `size` items, `genuine` of them genuine.
    """

    start: Int[np.ndarray, "rows depth"]
    before: Int[np.ndarray, "rows depth"]
    size: Int[np.ndarray, "rows depth"]
    genuine: Int[np.ndarray, "rows depth"]


def _ties(
    scores: Float[np.ndarray, "rows n"], rows: Int[np.ndarray, "rows"], codes: Int[np.ndarray, "n"], *, depth: int
) -> _Ties:
    scores = finite(scores).copy()
    same = codes[rows][:, None] == codes[None, :]
    place = np.arange(len(rows))
    same[place, rows], scores[place, rows] = False, -np.inf
    best = _best(scores, depth)
    value, hit = np.take_along_axis(scores, best, axis=1), np.take_along_axis(same, best, axis=1)
    rank = np.arange(depth)[None, :]
    new = np.concatenate([np.ones((len(rows), 1), dtype=bool), value[:, 1:] != value[:, :-1]], axis=1)
    start = np.maximum.accumulate(np.where(new, rank, 0), axis=1)
    last = np.concatenate([new[:, 1:], np.ones((len(rows), 1), dtype=bool)], axis=1)
    end = np.minimum.accumulate(np.where(last, rank + 1, depth)[:, ::-1], axis=1)[:, ::-1]
    hits = np.concatenate([np.zeros((len(rows), 1), dtype=np.int64), np.cumsum(hit, axis=1)], axis=1)
    before = np.take_along_axis(hits, start, axis=1)
    tied = scores == value[:, -1:]
    open_end = end == depth
    return _Ties(
        start=start,
        before=before,
        size=np.where(open_end, tied.sum(axis=1)[:, None], end - start),
        genuine=np.where(open_end, (tied & same).sum(axis=1)[:, None], np.take_along_axis(hits, end, axis=1) - before),
    )


def _best(scores: Float[np.ndarray, "rows n"], depth: int) -> Int[np.ndarray, "rows depth"]:
    """Indices of the `depth` best of each row, best first."""
    if depth < scores.shape[1] // 4:
        some = np.argpartition(-scores, depth, axis=1)[:, :depth]
        order = np.argsort(-np.take_along_axis(scores, some, axis=1), axis=1)
        return np.take_along_axis(some, order, axis=1)
    return np.argsort(-scores, axis=1)[:, :depth]


def _average_precision(ties: _Ties, others: Int[np.ndarray, "rows"]) -> Float[np.ndarray, "rows"]:
    """Expected average precision over the first R ranks, McSherry & Najork 2008, eq. 4."""
    rank = np.arange(1, ties.start.shape[1] + 1)[None, :]
    # given that this rank is genuine: of the `rank - start - 1` tied ones above, this share is genuine too
    share = (ties.genuine - 1) / np.maximum(ties.size - 1, 1)
    precision = (ties.before + 1 + (rank - ties.start - 1) * share) / rank
    expected = ties.genuine / ties.size * precision
    return np.where(rank <= others[:, None], expected, 0.0).sum(axis=1) / others


def _found(ties: _Ties, k: int) -> Float[np.ndarray, "rows"]:
    """Probability that at least one of the first `k` is genuine: 1 - C(size - genuine, slots) / C(size, slots)."""
    start, before, size, genuine = (each[:, k - 1].astype(np.float64) for each in ties)
    missed = np.where(before > 0, 0.0, 1.0)
    for slot in range(k):
        left = np.maximum(size - genuine - slot, 0.0) / np.maximum(size - slot, 1.0)
        missed = np.where(slot < k - start, missed * left, missed)
    return 1.0 - missed

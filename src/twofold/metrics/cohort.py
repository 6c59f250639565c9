"""Cohort normalisation: scores in units of what either side scores against strangers like it."""

from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from twofold.errors import NotEnoughData, UsageError
from twofold.metrics.pairs import ScoreBlock, finite

__all__ = ["Side", "as_norm", "cohort_statistics", "normalised"]

Side = Literal["both", "weaker"]
"""Whose scores with the cohort count: those of both sides, or of the one that is less like all strangers."""

SCORES_AT_ONCE = 1 << 22
"""Scores held at once: 32 MB in float64."""


def cohort_statistics(
    score: ScoreBlock,
    items: int,
    cohort: Int[np.ndarray, "cohort"],
    *,
    top: int = 200,
    least: float = 1e-6,
) -> Float[np.ndarray, "items 2"]:
    """Mean and standard deviation of each item's `top` best scores with a cohort.

    Args:
        score: scores of any item (an index below `items`) with a cohort item (an index of
            `cohort`).
        items: how many there are.
        cohort: indices of items of identities that are neither calibrated with nor decided about.
        top: how many of the nearest count: strangers that are like this item.
        least: smallest deviation; smaller ones are raised to it.

    Raises:
        NotEnoughData: fewer than two cohort items.
        UsageError: `top` is below 2.
    """
    if len(cohort) < 2:
        raise NotEnoughData(f"{len(cohort)} cohort items: give at least 2, usually some hundreds")
    if top < 2:
        raise UsageError(f"top is {top}: a deviation needs at least 2 scores (usual: 200)")
    most, found = min(top, len(cohort)), np.empty((items, 2))
    step = max(SCORES_AT_ONCE // len(cohort), 1)
    for start in range(0, items, step):
        rows = np.arange(start, min(start + step, items))
        scores = finite(score(rows, cohort))
        best = np.partition(scores, len(cohort) - most, axis=1)[:, len(cohort) - most :]
        found[rows, 0], found[rows, 1] = (
            best.mean(axis=1),
            np.maximum(best.std(axis=1, ddof=1), least),
        )
    return found


def as_norm(
    score: ScoreBlock, statistics: Float[np.ndarray, "items 2"], *, side: Side = "both"
) -> ScoreBlock:
    """Adaptive symmetric normalisation of scores (AS-norm; Matejka et al. 2017, Interspeech, AS-norm 1).

    `s' = ((s - mean_a) / deviation_a + (s - mean_b) / deviation_b) / 2`, with the statistics of
    either side's best scores with a cohort. An identity that is near everybody has a high mean, so
    its scores count less.

    Args:
        statistics: of `cohort_statistics`, a row for each item that `score` knows.
        side: "weaker" takes `s' = s - min(mean_a, mean_b)`: what a fragment or a noisy recording
            scores above what it scores with strangers, as t-norm of its side does, and symmetric.

    Returns:
        Scores of items `rows` with items `cols`, as `score` gives them; they have no bounds.
    """

    def fair(
        rows: Int[np.ndarray, "rows"], cols: Int[np.ndarray, "cols"]
    ) -> Float[np.ndarray, "rows cols"]:
        sides = statistics[rows][:, None], statistics[cols][None, :]
        return normalised(finite(score(rows, cols)), *sides, side=side)

    return fair


def normalised(
    scores: Float[np.ndarray, "*shape"],
    a: Float[np.ndarray, "*shape_a 2"],
    b: Float[np.ndarray, "*shape_b 2"],
    *,
    side: Side = "both",
) -> Float[np.ndarray, "*shape"]:
    """Scores by the statistics of both sides, or of the weaker one; these are spread over the scores' shape."""
    if side == "weaker":
        return scores - np.minimum(a[..., 0], b[..., 0])
    return ((scores - a[..., 0]) / a[..., 1] + (scores - b[..., 0]) / b[..., 1]) / 2.0

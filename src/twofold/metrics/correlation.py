"""Agreement of scores with graded answers: Pearson's and Spearman's correlation."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from twofold.errors import NotEnoughData
from twofold.metrics.intervals import estimate
from twofold.results import Estimate

__all__ = ["correlations", "pearson", "spearman"]

RESAMPLED = 1000
"""Bootstrap samples of an interval, as for error rates."""

FEWEST = 3
"""Pairs of a correlation: any two points lie on a line."""


def pearson(scores: Float[np.ndarray, " n"], answers: Float[np.ndarray, " n"]) -> float:
    """Pearson's correlation: 1 if the scores rise linearly with the answers; 0 if either is constant.

    Raises:
        NotEnoughData: fewer than three pairs.
    """
    if len(scores) < FEWEST:
        raise NotEnoughData(
            f"a correlation takes at least {FEWEST} pairs, and there are {len(scores)}"
        )
    one, other = scores - scores.mean(), answers - answers.mean()
    lengths = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / lengths if lengths > 0 else 0.0


def spearman(scores: Float[np.ndarray, " n"], answers: Float[np.ndarray, " n"]) -> float:
    """Spearman's rank correlation; equal values get the mean of their ranks.

    Raises:
        NotEnoughData: fewer than three pairs.
    """
    return pearson(_ranks(scores), _ranks(answers))


def correlations(
    scores: Float[np.ndarray, " n"],
    answers: Float[np.ndarray, " n"],
    units: Int[np.ndarray, " n"],
    *,
    unit: str,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Both correlations, with percentile intervals of a bootstrap of whole units.

    Args:
        units: what is resampled: pairs of one unit share things. unit: what that is called.

    Raises:
        NotEnoughData: fewer than three pairs.
    """
    measures: dict[str, Callable[..., float]] = {"pearson": pearson, "spearman": spearman}
    values = {name: measure(scores, answers) for name, measure in measures.items()}
    order = np.argsort(units, kind="stable")
    rows = np.split(order, np.flatnonzero(np.diff(units[order])) + 1)
    random = np.random.default_rng(seed)
    samples: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(RESAMPLED):
        drawn = np.concatenate([rows[unit] for unit in random.integers(0, len(rows), len(rows))])
        for name, measure in measures.items():
            samples[name].append(
                measure(scores[drawn], answers[drawn]) if len(drawn) >= FEWEST else np.nan
            )
    told = {"resampled": len(rows), "confidence": confidence, "unit": unit}
    return {
        name: estimate(name, value, replicates=np.array(samples[name]), **told)
        for name, value in values.items()
    }


def _ranks(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place.reshape(-1)].astype(np.float64)

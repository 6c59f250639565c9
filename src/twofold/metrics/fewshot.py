"""N-way K-shot accuracy: how often the right one of N classes is named from K examples of each."""

import numpy as np
from jaxtyping import Int

from twofold.errors import NotEnoughData, UsageError
from twofold.metrics.intervals import estimate, resampled_means
from twofold.metrics.pairs import ScoreBlock, finite
from twofold.results import Estimate

__all__ = ["n_way_accuracy"]

AT_ONCE = 1024
"""Most items whose scores are computed in one call (8 MB): a call per episode costs more than its
scores."""


def n_way_accuracy(
    score: ScoreBlock,
    labels: Int[np.ndarray, "n"],
    *,
    n_way: int,
    k_shot: int = 1,
    episodes: int = 1000,
    replicates: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """N-way K-shot accuracy: each episode draws N classes, K examples of each and one further item of each as query.

    A query goes to the class whose K examples score highest on average; tied classes have equal
    chances. The interval resamples the classes of the queries; the classes they are told from stay
    as drawn.

    Args:
        score: scores of items `rows` with items `cols`.

    Raises:
        NotEnoughData: fewer than `n_way` classes have K + 1 items.
        UsageError: `n_way` below 2, or `k_shot` or `episodes` below 1.
    """
    if n_way < 2 or k_shot < 1 or episodes < 1:
        raise UsageError(
            f"{episodes} episodes of {n_way} ways and "
            f"{k_shot} shots: at least 1, 2 and 1 are needed"
        )
    codes = np.unique(labels, return_inverse=True)[1]
    usable = np.flatnonzero(np.bincount(codes) > k_shot)
    if len(usable) < n_way:
        raise NotEnoughData(
            f"{len(usable)} classes have {k_shot + 1} items or more: "
            f"{n_way}-way {k_shot}-shot episodes need {n_way}"
        )
    score = _known(score, len(labels)) if len(labels) <= AT_ONCE else score
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    generator = np.random.default_rng(seed)
    asked, right = [], []
    for _ in range(episodes):
        classes = generator.choice(usable, n_way, replace=False)
        items = np.stack(
            [generator.choice(members[each], k_shot + 1, replace=False) for each in classes]
        )
        asked.append(classes)
        right.append(_right(score, items))
    values = np.concatenate(right)
    position = np.searchsorted(usable, np.concatenate(asked))
    name = f"accuracy_{n_way}_way_{k_shot}_shot"
    drawn = resampled_means(
        {name: values}, position, identities=len(usable), replicates=replicates, seed=seed
    )
    return estimate(
        name,
        float(values.mean()),
        replicates=drawn[name],
        resampled=len(usable),
        confidence=confidence,
    )


def _known(score: ScoreBlock, items: int) -> ScoreBlock:
    """The scores of few items, computed once and then looked up."""
    everything = np.arange(items)
    scores = score(everything, everything)
    return lambda rows, cols: scores[np.ix_(rows, cols)]


def _right(score: ScoreBlock, items: np.ndarray) -> np.ndarray:
    """For each query (first column) the probability of naming its class, whose examples are its other columns."""
    n_way, k_shot = len(items), items.shape[1] - 1
    scores = (
        finite(score(items[:, 0], items[:, 1:].ravel())).reshape(n_way, n_way, k_shot).mean(axis=2)
    )
    best = scores == scores.max(axis=1, keepdims=True)
    return np.diagonal(best) / best.sum(axis=1)

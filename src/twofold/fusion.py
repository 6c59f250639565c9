"""Several references of one identity and a probe: one score of the two, by which rule it may be."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from twofold.errors import NotEnoughData, UsageError

__all__ = ["Fusion", "Rule", "agreements", "fit_weights", "mean_embedding"]

Fusion = Literal["mean", "best", "learned", "relative"]
"""The score of the probe with the mean of the references' embeddings; the best of its scores with
each of them; a weighted mean of these scores in descending order, whose weights were learned; or
their mean relative to how well the references agree with each other."""

STEPS = 2000
"""Steps of gradient descent for at most some tens of weights; each takes well under a millisecond."""

RIDGE = 1e-3
"""Weight of the penalty: keeps the weights finite where genuine pairs and impostors are apart."""

NO_DIRECTION = 1e-12
"""Opposite vectors may cancel out and have no direction then: their mean is like nothing."""


def mean_embedding(vectors: Float[np.ndarray, "n dim"], distance: str) -> Float[np.ndarray, "dim"]:
    """The mean of the embeddings of one identity, float32; of length 1 for the cosine."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    if distance == "cosine":
        mean = mean / max(float(np.linalg.norm(mean)), NO_DIRECTION)
    return mean.astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How a probe is scored with several references.

    Attributes:
        weights: of "learned", one for each reference, for the best score first; they are at least 0
            and add up to 1. Of the others: none.
    """

    fusion: Fusion
    weights: tuple[float, ...] = ()

    def fused(
        self,
        scores: Float[np.ndarray, "*shape references"],
        agreement: Float[np.ndarray, "..."] | None = None,
    ) -> Float[np.ndarray, "*shape"]:
        """One score from those with all references. "mean" is a rule for embeddings, and has none.

        Args:
            agreement: the mean score of every two of the references, of a shape that goes with the
                result's. "relative" takes it away: who signs in many ways is
                not held to the standard of who always signs alike.

        Raises:
            UsageError: the rule is "mean", or it is "relative" and the agreement is missing.
        """
        if self.fusion == "relative":
            if agreement is None:
                raise UsageError("the rule relative needs the scores of the references themselves")
            return np.asarray(scores.mean(axis=-1) - agreement)
        if self.fusion == "best":
            return np.asarray(scores.max(axis=-1))
        if self.fusion == "learned":
            return np.asarray(np.sort(scores, axis=-1)[..., ::-1] @ np.asarray(self.weights))
        raise UsageError("the rule mean compares with the mean embedding: it has no scores to fuse")


def agreements(
    scores: Float[np.ndarray, "*sets references references"],
) -> Float[np.ndarray, "*sets"]:
    """The mean score of every two different references of each set."""
    count = scores.shape[-1]
    apart = ~np.eye(count, dtype=bool)
    return np.asarray(scores[..., apart].mean(axis=-1))


def fit_weights(
    scores: Float[np.ndarray, "pairs references"], same: Bool[np.ndarray, "pairs"]
) -> tuple[float, ...]:
    """Weights of the learned rule: logistic regression on the sorted scores, without negative weights.

    Genuine pairs and impostors count alike, however many there are of each.

    Raises:
        NotEnoughData: all pairs are of one kind.
    """
    if same.all() or not same.any():
        raise NotEnoughData(
            "weights are learned from genuine pairs and impostors: one kind is missing"
        )
    ordered = np.sort(scores, axis=1)[:, ::-1]
    spread = ordered.std(axis=0)
    spread = np.where(spread > NO_DIRECTION, spread, 1.0)
    inputs = np.column_stack([(ordered - ordered.mean(axis=0)) / spread, np.ones(len(ordered))])
    each = np.where(same, 0.5 / same.sum(), 0.5 / (~same).sum())
    # the second derivative of the logistic loss is at most a quarter
    step = 1.0 / (0.25 * float(each @ (inputs**2).sum(axis=1)) + RIDGE)
    found = np.zeros(inputs.shape[1])
    for _ in range(STEPS):
        likely = 1.0 / (1.0 + np.exp(-(inputs @ found)))
        found -= step * (inputs.T @ (each * (likely - same)) + RIDGE * found)
        found[:-1] = np.maximum(found[:-1], 0.0)
    weights = found[:-1] / spread
    total = float(weights.sum())
    # scores that tell nothing: the plain mean
    shares = weights / total if total > 0 else np.full(len(weights), 1.0 / len(weights))
    return tuple(float(share) for share in shares)

"""One template per identity: the mean of its embeddings, in place of the best of them."""

from typing import Literal

import numpy as np
from jaxtyping import Float

from twofold.store.index import Index

__all__ = ["Template", "means"]

Template = Literal["best", "mean"]


def means(index: Index) -> tuple[list[str], Float[np.ndarray, "identities dim"]]:
    """Names of the identities that count, and the mean embedding of each, float32; of length 1 for the cosine.

    Every item is read, a block at a time.
    """
    totals: dict[str, tuple[np.ndarray, int]] = {}
    nothing = np.zeros(index.contract.dim), 0
    for block in index.blocks():
        for label, vector in zip(block.labels, block.vectors.astype(np.float64), strict=True):
            total, count = totals.get(label, nothing)
            totals[label] = total + vector, count + 1
    found = np.array([total / count for total, count in totals.values()]).reshape(
        -1, index.contract.dim
    )
    if index.contract.distance == "cosine":
        # opposite vectors may cancel out, and have no direction then: their mean is like nothing
        found = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    return list(totals), found.astype(np.float32)

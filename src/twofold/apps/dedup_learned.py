"""Near pairs by a learned comparison: every pair is scored, because cells are for plain distances."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from twofold.bundle import Bundle
from twofold.copies.candidates import Pair
from twofold.embedding import scores

__all__ = ["learned_pairs"]

ROWS = 256
"""Things that are compared with all things before them at once."""


def learned_pairs(
    bundle: Bundle,
    vectors: Float[np.ndarray, "n dim"],
    threshold: float,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[Pair]:
    """All pairs of vectors whose score by the bundle's comparison is at least the threshold."""
    found: list[Pair] = []
    for start in range(0, len(vectors), ROWS):
        rows = vectors[start : start + ROWS]
        score = scores(bundle.twin, rows, vectors[: start + len(rows)])
        own, other = np.nonzero(score >= threshold)
        earlier = other < own + start
        found += [
            Pair(first=int(first), second=int(second) + start, likeness=float(score[second, first]))
            for second, first in zip(own[earlier], other[earlier], strict=True)
        ]
        if progress:
            progress(start + len(rows), len(vectors))
    return found

"""Identities that are directions drawn evenly: their cosines have no closed form to count by, but a known truth."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from twofold.metrics.pairs import AllPairs

__all__ = ["Sphere", "UnitVectors"]

DIM, ITEM = 16, 0.3
"""Numbers of a vector; standard deviation of each number of an item's own part, beside 1 of its identity's."""

ROWS = 1024
"""Rows of cosines that are held at a time."""


@dataclass(frozen=True, kw_only=True)
class Sphere:
    """The true rate of cosines of independent directions, which noise of single pairs would change: there is none."""

    def rate(self, threshold: float, *, noise: float = 0.0) -> float:
        """P(cosine >= threshold): the cosine's square is beta(1/2, (dim - 1) / 2)."""
        tail = 0.5 * float(stats.beta.sf(threshold**2, 0.5, (DIM - 1) / 2.0))
        return tail if threshold >= 0 else 1.0 - tail


@dataclass(frozen=True, kw_only=True)
class UnitVectors:
    """Directions of identities, evenly distributed; items scatter about them."""

    covered: bool = True

    def truth(self, far: float) -> Sphere:
        """The whole sphere."""
        return Sphere()

    def lowest(self, identities: int, far: float, allowed: float, seed: int) -> float:
        """The lowest threshold at which the measured rate is at most `allowed`, of one item each."""
        vectors = directions(identities, 1, seed)
        # only scores that four times the asked rate of pairs reach can matter
        cut = math.sqrt(float(stats.beta.isf(8.0 * far, 0.5, (DIM - 1) / 2.0)))
        kept = []
        for start in range(0, identities, ROWS):
            scores = vectors[start : start + ROWS] @ vectors[start:].T
            rows, cols = np.nonzero(scores >= cut)
            kept.append(scores[rows, cols][cols > rows])
        high = np.sort(np.concatenate(kept))
        most = math.floor(allowed * (identities * (identities - 1) / 2) + 1e-9)
        return math.nextafter(float(high[len(high) - 1 - most]), math.inf)

    def pairs(self, identities: int, far: float, seed: int) -> AllPairs:
        """Every pair of two items each, for the product."""
        vectors = directions(identities, 2, seed)
        return AllPairs(
            lambda rows, cols: vectors[rows] @ vectors[cols].T, np.repeat(np.arange(identities), 2)
        )


def directions(identities: int, items: int, seed: int) -> np.ndarray:
    """Unit vectors, float64 so that no two scores tie."""
    generator = np.random.default_rng(seed)
    own = np.repeat(generator.normal(size=(identities, DIM)), items, axis=0)
    own += ITEM * generator.normal(size=own.shape) * (items > 1)
    return own / np.linalg.norm(own, axis=1, keepdims=True)

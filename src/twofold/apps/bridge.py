"""A bridge from the vectors of one model to those of another, and its cost in recall."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from twofold.bundle import Bundle
from twofold.embedding import scores
from twofold.errors import NotEnoughData
from twofold.metrics.intervals import estimate, resampled_means
from twofold.plurals import counted
from twofold.results import Toll

__all__ = ["Bridge", "Pairs", "toll"]

HELD_OUT = 0.25  # share of the items, by identities, that a measured bridge has not seen
QUERIES = 20  # with another item of their label; if there are fewer, each has to find itself
REPLICATES = 1000
"""Bootstrap samples, which fix the ends of a 95 % interval to some hundredths of its width."""

QUERIES_AT_ONCE = 256
"""Queries scored against all items at once: their scores stay a few hundred megabytes."""


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """The same things embedded by both models, with their labels."""

    labels: tuple[str, ...]
    old: Float[np.ndarray, "n old"]
    new: Float[np.ndarray, "n new"]


@dataclass(frozen=True, kw_only=True)
class Bridge:
    """An orthogonal map between the vectors of two models, from mean to mean: `b = (a - mean_old) R + mean_new`.

    R is the matrix with orthonormal rows or columns (whichever are fewer) that minimises `|A R -
    B|` (Schonemann 1966). For the cosine both means are taken to be zero, and the result is brought
    to length 1.
    """

    matrix: Float[np.ndarray, "old new"]
    mean_old: Float[np.ndarray, "old"]
    mean_new: Float[np.ndarray, "new"]
    unit: bool

    @classmethod
    def fit(
        cls, old: Float[np.ndarray, "n old"], new: Float[np.ndarray, "n new"], *, unit: bool
    ) -> "Bridge":
        """The bridge that brings the rows of `old` as near as possible to the same rows of `new`."""
        old, new = old.astype(np.float64), new.astype(np.float64)
        mean_old = np.zeros(old.shape[1]) if unit else old.mean(axis=0)
        mean_new = np.zeros(new.shape[1]) if unit else new.mean(axis=0)
        left, _, right = np.linalg.svd((old - mean_old).T @ (new - mean_new), full_matrices=False)
        return cls(matrix=left @ right, mean_old=mean_old, mean_new=mean_new, unit=unit)

    def __call__(self, vectors: Float[np.ndarray, "n old"]) -> Float[np.ndarray, "n new"]:
        """Vectors of the old model as the new one might have made them, float32."""
        found = (vectors.astype(np.float64) - self.mean_old) @ self.matrix + self.mean_new
        if self.unit:
            found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        return found.astype(np.float32)


def toll(bundle: Bundle, pairs: Pairs, *, unit: bool, seed: int) -> Toll:
    """Fit a bridge to most identities and measure it on the others.

    Raises:
        NotEnoughData: fewer than four identities.
    """
    held = held_out(pairs.labels, seed=seed)
    over = Bridge.fit(pairs.old[~held], pairs.new[~held], unit=unit)(pairs.old)
    codes = np.unique(pairs.labels, return_inverse=True)[1]
    asking = np.flatnonzero(held)
    paired = asking[np.bincount(codes)[codes[asking]] > 1]
    itself = len(paired) < QUERIES
    asking = asking if itself else paired
    found = {
        name: answers(bundle, pairs.new[asking], gallery, codes=codes, asking=asking, itself=itself)
        for name, gallery in (("again", pairs.new), ("bridged", over))
    }
    owners = np.unique(codes[asking], return_inverse=True)[1]
    units = int(owners.max()) + 1
    drawn = resampled_means(found, owners, identities=units, replicates=REPLICATES, seed=seed)
    name = "finds_itself" if itself else "recall_at_1"
    told = {
        key: estimate(name, float(each.mean()), replicates=drawn[key], resampled=units)
        for key, each in found.items()
    }
    own = [float(scores(bundle.twin, pairs.new[[row]], over[[row]])[0, 0]) for row in asking]
    return Toll(
        name=name, again=told["again"], bridged=told["bridged"], likeness=float(np.median(own))
    )


def held_out(labels: tuple[str, ...], *, seed: int) -> Bool[np.ndarray, "n"]:
    """Items of some identities, about a quarter of all items."""
    names = sorted(set(labels))
    if len(names) < 4:
        raise NotEnoughData(
            f"{counted(len(names), 'identity')}: a bridge is measured on identities that it was "
            "not fitted to: give 4 or more"
        )
    counts = Counter(labels)
    chosen: set[str] = set()
    items = 0
    for place in np.random.default_rng(seed).permutation(len(names))[: len(names) // 2]:
        if items >= HELD_OUT * len(labels) and len(chosen) >= 2:
            break
        chosen.add(names[place])
        items += counts[names[place]]
    return np.array([label in chosen for label in labels])


def answers(
    bundle: Bundle,
    queries: Float[np.ndarray, "q new"],
    gallery: Float[np.ndarray, "n new"],
    *,
    codes: Int[np.ndarray, "n"],
    asking: Int[np.ndarray, "q"],
    itself: bool,
) -> Float[np.ndarray, "q"]:
    """For each query 1 if its best item is the right one, else 0.

    Args:
        codes: labels of the gallery. asking: which item of the gallery each query is.
        itself: it is to find its own; else another one of its label.
    """
    right = np.empty(len(queries))
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        own = asking[start : start + QUERIES_AT_ONCE]
        found = scores(bundle.twin, queries[start : start + QUERIES_AT_ONCE], gallery)
        if not itself:
            found[np.arange(len(own)), own] = -np.inf
        best = found.argmax(axis=1)
        right[start : start + QUERIES_AT_ONCE] = (
            best == own if itself else codes[best] == codes[own]
        )
    return right

"""Cells of vectors that are compared with each other, so that near pairs meet in far fewer products than n^2 / 2.

Some of the vectors are pivots; each vector goes to its `probes` nearest pivots, so two vectors meet
where they share one. How many pivots and probes it takes is measured: on pairs made to be exactly
as alike as the threshold asks.
"""

from dataclasses import dataclass, replace

import faiss
import numpy as np
from jaxtyping import Float, Int, Shaped, UInt16

from twofold.errors import UsageError, nearest
from twofold.store.exact import MATRIX_QUERIES

__all__ = ["SMALL", "Cells", "Space", "routed"]

SMALL = 8192
"""Most vectors that are all compared with each other, which takes less than a second."""

TRIALS = 1024
"""Trial pairs that measure how often near pairs meet: .996 is then known to .002."""

PIVOTS = (64, 128, 256, 512, 1024, 2048, 4096, 8192)
"""Numbers of pivots that are tried; the number of a cell has to fit into 16 bits."""

MOST_PROBES = 32
"""Cells per vector, at most: 64 bytes of codes for each."""

AIM = 0.996
"""Share of the trial pairs that must meet: pairs just at the threshold, the hardest; the others
meet more often."""

ROUTING = 2.0
"""Cost of finding the nearest pivots, per pivot, in products of two vectors inside a cell
(measured)."""

ROWS_AT_ONCE = 65_536
"""Rows handled at once: 67 MB of 256 numbers in float32."""

_PLAIN = ("cosine", "euclidean", "squared_euclidean")


@dataclass(frozen=True, kw_only=True)
class Space:
    """Vectors that are near if their inner product is at least `bound`; used in float32, whatever they are stored in.

    Cosine: of unit vectors. Euclidean: <x, y> - |x|^2 / 2 - |y|^2 / 2 = -distance^2 / 2, after
    centring.

    Attributes:
        vectors: any float type, or a memory map. scale: 1 / length if the cosine needs it. centre:
            subtracted for Euclidean distances.
        score: the threshold as a score of `distance`. bound: the threshold as an inner product.
    """

    vectors: Shaped[np.ndarray, "n dim"]
    distance: str
    score: float
    bound: float
    scale: Float[np.ndarray, "n"] | None = None
    centre: Float[np.ndarray, "dim"] | None = None

    @classmethod
    def of(cls, vectors: Shaped[np.ndarray, "n dim"], score: float, distance: str) -> "Space":
        """The space of a plain distance.

        Raises:
            UsageError: another distance, a score that cannot be, or vectors that are not finite.
        """
        if distance not in _PLAIN:
            raise UsageError(
                f"near pairs by {distance!r} are not found in cells: {nearest(distance, _PLAIN)}"
            )
        bound = _bound(score, distance)
        lengths = _lengths(vectors)
        if distance == "cosine":
            unit = bool(np.abs(lengths - 1.0).max(initial=0.0) < 1e-3)
            scale = (
                None
                if unit
                else np.divide(1.0, lengths, where=lengths > 0, out=np.zeros_like(lengths))
            )
            return cls(vectors=vectors, distance=distance, score=score, bound=bound, scale=scale)
        step = max(len(vectors) // ROWS_AT_ONCE, 1)
        centre = (
            np.asarray(vectors[::step], np.float64).mean(axis=0).astype(np.float32)
            if len(vectors)
            else None
        )
        return cls(vectors=vectors, distance=distance, score=score, bound=bound, centre=centre)

    def at(self, score: float) -> "Space":
        """The same with another threshold."""
        return replace(self, score=score, bound=_bound(score, self.distance))

    def plain(self, rows: Shaped[np.ndarray, "m"]) -> Float[np.ndarray, "m dim"]:
        """The rows in float32, of unit length or centred."""
        found = np.asarray(self.vectors[rows], np.float32)
        if self.scale is not None:
            return found * self.scale[rows, None]
        return found if self.centre is None else found - self.centre

    def sides(self, plain: Float[np.ndarray, "m dim"]) -> tuple[np.ndarray, np.ndarray]:
        """(left, right) such that left @ right.T are the inner products that `bound` bounds."""
        if self.centre is None:
            return plain, plain
        half = np.square(plain).sum(axis=1, keepdims=True) / 2
        one = np.ones_like(half)
        return np.hstack([plain, -half, -one]), np.hstack([plain, one, half])

    @property
    def half(self) -> float:
        """The inner product at half the threshold's distance: all vectors so near to one are near each other."""
        if self.distance == "cosine":
            return float(np.sqrt((1 + self.bound) / 2))
        return self.bound / 4

    def scores(
        self, first: Int[np.ndarray, "pairs"], second: Int[np.ndarray, "pairs"]
    ) -> Float[np.ndarray, "pairs"]:
        """Scores of pairs, summed in float64, so that a pair's score does not depend on the pairs beside it."""
        found = np.empty(len(first), np.float32)
        for start in range(0, len(first), ROWS_AT_ONCE // 4):
            part = slice(start, start + ROWS_AT_ONCE // 4)
            one, other = (
                self.plain(first[part]).astype(np.float64),
                self.plain(second[part]).astype(np.float64),
            )
            if self.distance == "cosine":
                found[part] = (one * other).sum(axis=1)
            else:
                square = np.square(one - other).sum(axis=1)
                found[part] = -(square if self.distance == "squared_euclidean" else np.sqrt(square))
        return found

    def just_near(
        self, rows: Int[np.ndarray, "m"], generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """The rows, and for each a vector exactly at the threshold, in a direction that occurs in the data."""
        one, other = self.plain(rows), self.plain(generator.permutation(rows))
        away = other - self.plain(generator.permutation(rows))
        if self.distance == "cosine":
            away -= (away * one).sum(axis=1, keepdims=True) * one
        length = np.linalg.norm(away, axis=1, keepdims=True)
        chance = generator.standard_normal(away.shape).astype(np.float32)
        away = np.where(length > 1e-6, away, chance)
        away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-12)
        if self.distance == "cosine":
            return one, self.score * one + np.sqrt(1 - self.score**2) * away
        return one, one + np.sqrt(-2 * self.bound) * away


def _bound(score: float, distance: str) -> float:
    """A score as an inner product of the space; UsageError if no pair can have it."""
    largest = 1.0 if distance == "cosine" else 0.0
    if not (-1.0 < score < largest if distance == "cosine" else score < largest):
        raise UsageError(
            f"a threshold of {score:g} is not possible for {distance}: give one below {largest:g}"
        )
    if distance == "cosine":
        return score
    return score / 2 if distance == "squared_euclidean" else -(score**2) / 2


def _lengths(vectors: Shaped[np.ndarray, "n dim"]) -> Float[np.ndarray, "n"]:
    lengths = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        lengths[start : start + ROWS_AT_ONCE] = np.linalg.norm(
            np.asarray(vectors[start : start + ROWS_AT_ONCE], np.float32), axis=1
        )
    bad = np.flatnonzero(~np.isfinite(lengths))
    if len(bad):
        raise UsageError(
            f"row {bad[0]} and {len(bad) - 1} more hold NaN or infinity: leave them out"
        )
    return lengths


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Where vectors meet.

    Attributes:
        pivots: right sides of the pivots; empty if everything is compared with everything.
        assigned: the cells of each vector.
        same: the vector that stands for each: an equal one, the centre of its crowd, or itself.
        met: share of trial pairs at the threshold that met when the cells were planned. planned:
            number of vectors then.
    """

    pivots: Float[np.ndarray, "cells sides"]
    assigned: UInt16[np.ndarray, "n probes"]
    same: Int[np.ndarray, "n"]
    met: float
    planned: int

    @property
    def probes(self) -> int:
        """Cells of each vector."""
        return self.assigned.shape[1]

    def extended(self, space: Space) -> "Cells":
        """With the vectors that were appended since."""
        more = _assigned(
            space, np.arange(len(self.assigned), len(space.vectors)), self.pivots, self.probes
        )
        same = np.concatenate([self.same, np.arange(len(self.same), len(space.vectors))])
        return replace(self, assigned=np.concatenate([self.assigned, more]), same=same)

    def members(self, places: Int[np.ndarray, "m"]) -> list[Int[np.ndarray, "_"]]:
        """The members of each cell among these vectors, both ascending."""
        flat = self.assigned[places].ravel()
        order = np.argsort(flat, kind="stable") // self.probes
        ends = np.cumsum(np.bincount(flat, minlength=max(len(self.pivots), 1)))
        return np.split(places[order], ends[:-1])


def routed(
    space: Space, rows: Int[np.ndarray, "n"], different: Int[np.ndarray, "m"], *, seed: int
) -> Cells:
    """The cheapest cells for these rows in which trial pairs meet often enough.

    Args:
        different: those of the rows that are not equal to another; pivots and trials are drawn from
            them.
    """
    if len(different) <= SMALL:
        none = np.zeros((0, space.vectors.shape[1]), np.float32)
        assigned = np.zeros((len(rows), 1), np.uint16)
        return Cells(
            pivots=none, assigned=assigned, same=np.arange(len(rows)), met=1.0, planned=len(rows)
        )
    generator = np.random.default_rng(seed)
    drawn = generator.choice(
        different, min(PIVOTS[-1], len(different) // 32) + TRIALS, replace=False
    )
    pivots = space.sides(space.plain(drawn[TRIALS:]))[1]
    one, other = space.just_near(drawn[:TRIALS], generator)
    count, probes, met = _cheapest(space, pivots, one, other, total=len(different))
    pivots = np.ascontiguousarray(pivots[:count])
    assigned = _assigned(space, rows, pivots, probes)
    return Cells(
        pivots=pivots, assigned=assigned, same=np.arange(len(rows)), met=met, planned=len(rows)
    )


def _cheapest(
    space: Space, pivots: np.ndarray, one: np.ndarray, other: np.ndarray, *, total: int
) -> tuple[int, int, float]:
    """(pivots, probes, share of trial pairs that meet) with the least work that reaches the aim, or the best share."""
    here, there = (space.sides(each)[0] @ pivots.T for each in (one, other))
    plans = []
    for count in [size for size in PIVOTS if size <= len(pivots)]:
        ranks = np.maximum(_ranks(here[:, :count]), _ranks(there[:, :count])).min(axis=1)
        most = min(MOST_PROBES, count)
        met = np.array([np.mean(ranks < probes) for probes in range(1, most + 1)])
        probes = int(np.argmax(met >= AIM)) if (met >= AIM).any() else most - 1
        order = np.argsort(-here[:, :count], axis=1)[:, : probes + 1]
        load = np.bincount(order.ravel(), minlength=count).astype(np.float64)
        meetings = (load * (load - 1)).sum() / len(one) / (len(one) - 1) * total**2 / 2
        plans.append(
            (
                met[probes] < AIM,
                total * count * ROUTING + meetings,
                count,
                probes + 1,
                float(met[probes]),
            )
        )
    reaching = [plan for plan in plans if not plan[0]] or [max(plans, key=lambda plan: plan[4])]
    _, _, count, probes, met = min(reaching, key=lambda plan: plan[1])
    return count, probes, met


def _ranks(values: Float[np.ndarray, "m cells"]) -> Int[np.ndarray, "m cells"]:
    ranks = np.empty(values.shape, np.int32)
    np.put_along_axis(
        ranks, np.argsort(-values, axis=1), np.arange(values.shape[1], dtype=np.int32)[None], axis=1
    )
    return ranks


def _assigned(
    space: Space, rows: Int[np.ndarray, "m"], pivots: np.ndarray, probes: int
) -> UInt16[np.ndarray, "m probes"]:
    assigned = np.zeros((len(rows), probes), np.uint16)
    if len(pivots):
        faiss.cvar.distance_compute_blas_threshold = MATRIX_QUERIES
        for start in range(0, len(rows), ROWS_AT_ONCE):
            left = np.ascontiguousarray(
                space.sides(space.plain(rows[start : start + ROWS_AT_ONCE]))[0]
            )
            assigned[start : start + ROWS_AT_ONCE] = faiss.knn(
                left, pivots, probes, metric=faiss.METRIC_INNER_PRODUCT
            )[1]
    return assigned

"""Exact nearest neighbours of vectors in memory: faiss finds them, the contract scores them in float64."""

from collections.abc import Sequence

import faiss
import numpy as np
from jaxtyping import Float, Int

from twofold.contract import Contract

__all__ = ["METRICS", "Exact", "neighbours"]

METRICS = {
    "cosine": faiss.METRIC_INNER_PRODUCT,  # of unit vectors
    "euclidean": faiss.METRIC_L2,
    "squared_euclidean": faiss.METRIC_L2,
    "manhattan": faiss.METRIC_L1,
}

MATRIX_QUERIES = 20  # from so many queries on a matrix product wins: 27.6 -> 3.6 ms a query was measured
SPARE = 16  # neighbours more than asked, since float32 may swap near ties at the edge; float64 then orders them
BLOCK = 65_536


class Exact:
    """The items of an index in memory, in the order of their rows; adding one costs one row, not a copy of all.

    Attributes:
        ids, labels: of the items. places: id -> position.
    """

    def __init__(self, dim: int) -> None:
        self.ids: list[str] = []
        self.labels: list[str] = []
        self.places: dict[str, int] = {}
        self.buffer = np.empty((0, dim), np.float32)

    @property
    def vectors(self) -> Float[np.ndarray, "n dim"]:
        """The vectors, float32; a view."""
        return self.buffer[: len(self.ids)]

    def put(self, ids: Sequence[str], labels: Sequence[str], vectors: Float[np.ndarray, "more dim"]) -> None:
        """Replace the items of ids that are there, and put the others behind."""
        self.reserve(len(self.ids) + len(ids))
        for name, label, vector in zip(ids, labels, vectors, strict=True):
            place = self.places.setdefault(name, len(self.ids))
            if place == len(self.ids):
                self.ids.append(name)
                self.labels.append(label)
            self.labels[place] = label
            self.buffer[place] = vector

    def reserve(self, rows: int) -> None:
        """Make room for so many rows."""
        if rows > len(self.buffer):
            grown = np.empty((max(rows, len(self.ids) * 3 // 2), self.buffer.shape[1]), np.float32)
            grown[: len(self.ids)] = self.vectors
            self.buffer = grown

    def drop(self, ids: Sequence[str]) -> None:
        """Take items out; the others move up."""
        gone = {self.places[name] for name in ids}
        kept = [place for place in range(len(self.ids)) if place not in gone]
        self.buffer = self.buffer[kept]
        self.ids = [self.ids[place] for place in kept]
        self.labels = [self.labels[place] for place in kept]
        self.places = {name: place for place, name in enumerate(self.ids)}


def neighbours(
    contract: Contract, queries: Float[np.ndarray, "q dim"], rows: Float[np.ndarray, "n dim"], *, k: int
) -> tuple[Int[np.ndarray, "q k"], Float[np.ndarray, "q k"]]:
    """Positions and scores of the `k` rows most like each query, best first; equal scores in the order of the rows.

    Args:
        contract: of a plain distance in `METRICS`.
        k: at most the number of rows.

    Returns:
        Positions int64 and scores float64, larger is more alike.
    """
    positions = np.sort(candidates(METRICS[contract.distance], queries, rows, k=min(k + SPARE, len(rows))), axis=1)
    scores = np.empty(positions.shape, np.float64)
    for number, place in enumerate(positions):
        scores[number] = contract.scores(queries[number : number + 1], rows[place])[0]
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(positions, order, axis=1), np.take_along_axis(scores, order, axis=1)


def candidates(
    metric: int, queries: Float[np.ndarray, "q dim"], rows: Float[np.ndarray, "n dim"], *, k: int
) -> Int[np.ndarray, "q k"]:
    """Positions of the `k` nearest rows of each query in float32, in no order."""
    faiss.cvar.distance_compute_blas_threshold = MATRIX_QUERIES
    queries = queries.astype(np.float32)
    if metric != faiss.METRIC_L2 or len(queries) <= 1:
        return faiss.knn(queries, rows, k, metric=metric)[1]
    # faiss takes L2 of more than one query from a matrix product, which loses its digits when vectors share an offset
    centre = rows.mean(axis=0)
    nearest = faiss.ResultHeap(len(queries), k)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK] - centre
        distances, positions = faiss.knn(queries - centre, block, min(k, len(block)), metric=metric)
        nearest.add_result(distances, positions + start)
    nearest.finalize()
    return nearest.I

"""Exact nearest neighbours of vectors in memory: found in float32, scored by the contract in float64."""

from collections.abc import Callable
from dataclasses import replace

import faiss
import numpy as np
from jaxtyping import Bool, Float, Int

from twofold.contract import Contract
from twofold.errors import StoreError
from twofold.store.scan import ROUNDING, Blocks, block_rows, crowded, nearest, sides

__all__ = [
    "METRICS",
    "SAME",
    "UNIT_TOLERANCE",
    "Found",
    "best",
    "check_vectors",
    "neighbours",
    "plain",
    "reaching",
    "within",
    "without",
]

METRICS = {
    "cosine": faiss.METRIC_INNER_PRODUCT,  # of unit vectors
    "euclidean": faiss.METRIC_L2,
    "squared_euclidean": faiss.METRIC_L2,
    "manhattan": faiss.METRIC_L1,
}

# below so many queries faiss, which needs no copy of the rows, is quicker than `scan`
FEW_QUERIES = 8
LARGEST = 1e15  # number in a vector: beyond it squared distances leave float32
UNIT_TOLERANCE = 1e-3  # how far the length of a row may be from 1 where the distance is the cosine
MATRIX_QUERIES = 20  # from this many queries on, faiss does best with a matrix product
# neighbours beyond those asked for: float32 may swap
# near ties at the edge, which float64 then orders
SPARE = 16
ROWS_AT_ONCE = 65_536
"""Rows scored in float64 at once: 128 MB of 256 numbers each."""

SAME = 1e-12  # scores of one pair differ by less, whatever else is scored with it
# a product of many rows and one of few differ by
# less; those at the edge of a range are scored singly
EDGE = 1e-9

Found = tuple[Int[np.ndarray, "_"], Float[np.ndarray, "_"]]
"""Rows and scores of one query, best first; "_", since the answers in a list differ in length."""


def plain(contract: Contract) -> Contract:
    """The contract by which rows are compared: Euclidean distance of embeddings if the comparison is learned.

    Of 10 true neighbours by a trained head, among 32,460 embeddings, the 1,000 nearest by it held
    all and those by the cosine .978 (docs/search.md).
    """
    return contract if contract.distance in METRICS else replace(contract, distance="euclidean")


def check_vectors(
    contract: Contract, vectors: np.ndarray, name: Callable[[int], str]
) -> np.ndarray:
    """The vectors as float32 rows; StoreError names the first that does not fit."""
    if vectors.ndim != 2 or vectors.shape[1] != contract.dim:
        raise StoreError(f"vectors of shape {vectors.shape}: this index takes (n, {contract.dim})")
    if vectors.dtype != np.float32:
        with np.errstate(over="ignore"):  # what is too large is told below
            vectors = vectors.astype(np.float32)
    rows = np.ascontiguousarray(vectors)
    # one sum of squares checks every number of a good batch; NaN fails any comparison
    fine = np.vdot(rows, rows) <= LARGEST**2
    if not fine and len(wrong := np.flatnonzero(~(np.abs(rows) <= LARGEST).all(axis=1))):
        raise StoreError(
            f"the vector of {name(wrong[0])} has NaN, "
            f"infinity or more than {LARGEST:g} in it: drop it"
        )
    if contract.distance == "cosine" and len(wrong := np.flatnonzero(~rows.any(axis=1))):
        raise StoreError(
            f"the vector of {name(wrong[0])} is all zeros, "
            "which has no direction to compare: drop it"
        )
    return rows


def neighbours(
    contract: Contract,
    queries: Float[np.ndarray, "q dim"],
    rows: Float[np.ndarray, "n dim"],
    *,
    k: int,
) -> list[Found]:
    """The `k` rows most like each query and all that tie with the last of them, best first, then in row order.

    The answer to a query depends on the query and the rows alone: not on other queries, threads or
    blocks.

    Args:
        contract: of a plain distance in `METRICS`.
        k: at most the number of rows.

    Returns:
        For each query positions, int64, and scores, float64, larger is more alike.
    """
    found = []
    for query, places in zip(
        queries, candidates(contract.distance, queries.astype(np.float32), rows, k=k), strict=True
    ):
        near = np.arange(len(rows)) if places is None else places
        found.append(best((near, contract.each_score(query, rows[near])), k))
    return found


def best(found: Found, k: int) -> Found:
    """The `k` best and all that tie with the last of them, best first; equal scores stay in order."""
    places, scores = found
    if len(scores) > k > 0:
        last = np.partition(scores, -k)[-k]
        kept = scores >= last
        places, scores = places[kept], scores[kept]
    order = np.argsort(-scores, kind="stable")
    return places[order], scores[order]


def candidates(
    distance: str, queries: Float[np.ndarray, "q dim"], rows: Float[np.ndarray, "n dim"], *, k: int
) -> list[Int[np.ndarray, "_"] | None]:
    """For each query positions, ascending, among which its `k` nearest rows are, found in float32.

    None: too many rows tie with the k-th in float32 (copies of one picture, say), so all are
    candidates.
    """
    metric = METRICS[distance]
    few = len(queries) == 1 or (len(queries) < FEW_QUERIES and metric == faiss.METRIC_INNER_PRODUCT)
    if metric == faiss.METRIC_L1 or few:
        keys, places = faiss.knn(queries, rows, min(k + SPARE, len(rows)), metric=metric)
        clear = (
            np.full(len(keys), True)
            if keys.shape[1] == len(rows)
            else apart(metric, queries, rows, keys=keys, k=k)
        )
        return [np.sort(own) if sure else None for own, sure in zip(places, clear, strict=True)]
    if metric == faiss.METRIC_INNER_PRODUCT:
        near = nearest(unit(queries), _blocks(rows, unit, len(queries)), k)
    else:
        # products lose their digits when vectors share an offset
        centre = rows.mean(axis=0)
        near = nearest(
            queries - centre, _blocks(rows, lambda block: block - centre, len(queries)), k
        )
    return [None if crowded(own, k) else own for own in near]


def apart(
    metric: int,
    queries: np.ndarray,
    rows: np.ndarray,
    *,
    keys: Float[np.ndarray, "q found"],
    k: int,
) -> Bool[np.ndarray, "q"]:
    """Whether the last row that was found is so far behind the k-th that no further row can come before that.

    Args:
        keys: distances, ascending, or products, descending, as faiss counts them in float32.
    """
    kth, last = keys[:, k - 1].astype(np.float64), keys[:, -1].astype(np.float64)
    rounded = (rows.shape[1] + 4) * ROUNDING
    if metric != faiss.METRIC_INNER_PRODUCT:  # sums of what is small where the distance is
        return last > kth * (1 + rounded) ** 2
    # a cosine divides by the lengths, which are only nearly 1
    long = 2 * np.linalg.norm(queries, axis=1) * (1 + UNIT_TOLERANCE)
    clear = last < kth - long * (rounded + UNIT_TOLERANCE)
    if not clear.all():  # how nearly is checked only if it matters
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        clear = last < kth - long * (rounded + float(np.abs(lengths - 1).max(initial=0.0)))
    return clear


def unit(rows: Float[np.ndarray, "b dim"]) -> Float[np.ndarray, "b dim"]:
    """The rows divided by their lengths."""
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return rows / np.where(length > 0, length, 1)[:, None]


def _blocks(rows: np.ndarray, plain: Callable[[np.ndarray], np.ndarray], queries: int) -> Blocks:
    size = block_rows(queries)
    out = np.empty((size, rows.shape[1] + 1), np.float32)
    for start in range(0, len(rows), size):
        block = rows[start : start + size]
        yield np.arange(start, start + len(block)), sides(plain(block), out)


def within(
    contract: Contract,
    query: Float[np.ndarray, "1 dim"],
    rows: Float[np.ndarray, "n dim"],
    score: float,
) -> tuple[Int[np.ndarray, "m"], Float[np.ndarray, "m"]]:
    """Positions and scores of all rows that score at least `score` (to 12 digits) with a query, best first."""
    near = []
    for start in range(0, len(rows), ROWS_AT_ONCE):
        found = contract.scores(query, rows[start : start + ROWS_AT_ONCE])[0]
        near.append(start + np.flatnonzero(found >= score - EDGE * max(1.0, abs(score))))
    places = np.concatenate([np.empty(0, np.int64), *near])
    # scored as `neighbours` does, so that the score of a hit, given as the range, finds that hit
    return reaching((places, contract.each_score(query[0], rows[places])), score)


def reaching(found: Found, score: float) -> Found:
    """Rows that score at least `score` (to 12 digits), best first; equal scores stay in order."""
    places, scores = found
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] >= score - SAME * max(1.0, abs(score))]
    return places[order], scores[order]


def without(found: Found, rows: Int[np.ndarray, "m"], k: int) -> Found:
    """The `k` best of what was found that are not among these rows, and all that score as the last of them."""
    kept = ~np.isin(found[0], rows)
    return best((found[0][kept], found[1][kept]), k)

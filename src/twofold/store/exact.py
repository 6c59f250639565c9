"""Exact nearest neighbours of vectors in memory: found in float32, scored by the contract in float64."""

from collections.abc import Callable
from dataclasses import replace

import faiss
import numpy as np
from jaxtyping import Float, Int, UInt8

from twofold.contract import Contract
from twofold.store.scan import Blocks, block_rows, nearest, sides

__all__ = ["METRICS", "Exact", "Found", "neighbours", "plain", "within", "without"]

METRICS = {
    "cosine": faiss.METRIC_INNER_PRODUCT,  # of unit vectors
    "euclidean": faiss.METRIC_L2,
    "squared_euclidean": faiss.METRIC_L2,
    "manhattan": faiss.METRIC_L1,
}

MATRIX_QUERIES = 20  # from so many queries on faiss does best with a matrix product
FEW = 8  # below so many queries faiss, which needs no copy of the rows, is quicker than `scan`
SPARE = 16  # neighbours more than asked, since float32 may swap near ties at the edge; float64 then orders them
BLOCK = 65_536
SAME = 1e-12  # scores of one pair differ by less, whatever else is scored with it
EDGE = 1e-9  # a product of many rows and one of few differ by less; those at the edge of a range are scored singly

Found = tuple[Int[np.ndarray, "_"], Float[np.ndarray, "_"]]
"""Rows and scores of one query, best first; "_", since the answers in a list differ in length."""


def plain(contract: Contract) -> Contract:
    """The contract as rows are compared: by the Euclidean distance of embeddings where the comparison is learned.

    Of 10 true neighbours by a trained head, among 32,460 embeddings, the 1,000 nearest by it held all and those by the
    cosine .978 (docs/search.md).
    """
    return contract if contract.distance in METRICS else replace(contract, distance="euclidean")


class Exact:
    """Rows of an index in memory, ascending by number; adding one costs one row, not a copy of all.

    Attributes:
        numbers: of the rows. hashes: of the rows, 32 bytes each.
    """

    def __init__(self, dim: int) -> None:
        self.count = 0
        self._numbers = np.empty(0, np.int64)
        self._vectors = np.empty((0, dim), np.float32)
        self._hashes = np.empty((0, 32), np.uint8)

    def __len__(self) -> int:
        return self.count

    @property
    def numbers(self) -> Int[np.ndarray, "n"]:
        """The numbers of the rows, ascending; a view."""
        return self._numbers[: self.count]

    @property
    def vectors(self) -> Float[np.ndarray, "n dim"]:
        """The vectors, float32; a view."""
        return self._vectors[: self.count]

    @property
    def hashes(self) -> UInt8[np.ndarray, "n 32"]:
        """The hashes of the rows; a view."""
        return self._hashes[: self.count]

    def put(
        self, numbers: Int[np.ndarray, "m"], vectors: Float[np.ndarray, "m dim"], hashes: UInt8[np.ndarray, "m 32"]
    ) -> None:
        """Put rows behind the others; their numbers are larger than all before."""
        self.reserve(self.count + len(numbers))
        place = slice(self.count, self.count + len(numbers))
        self._numbers[place], self._vectors[place], self._hashes[place] = numbers, vectors, hashes
        self.count += len(numbers)

    def reserve(self, rows: int) -> None:
        """Make room for so many rows."""
        if rows > len(self._numbers):
            size = max(rows, self.count * 3 // 2)
            self._numbers = grown(self.numbers, size)
            self._vectors = grown(self.vectors, size)
            self._hashes = grown(self.hashes, size)

    def drop(self, numbers: Int[np.ndarray, "m"]) -> Int[np.ndarray, "gone"]:
        """Take rows out, the others move up; the numbers of those that were there."""
        gone = np.flatnonzero(np.isin(self.numbers, numbers))
        if not len(gone):
            return gone
        dropped = self.numbers[gone]
        kept = np.delete(np.arange(gone[0], self.count), gone - gone[0])
        place = slice(gone[0], gone[0] + len(kept))  # what stands before the first stays where it is
        for table in (self._numbers, self._vectors, self._hashes):
            table[place] = table[kept]
            table[place.stop : self.count] = 0
        self.count = int(place.stop)
        return dropped

    def checksum(self) -> bytes:
        """XOR of the hashes."""
        return np.bitwise_xor.reduce(self.hashes, axis=0).tobytes()

    def search(
        self,
        contract: Contract,
        queries: Float[np.ndarray, "q dim"],
        k: int,
        *,
        allowed: Int[np.ndarray, "m"] | None = None,
    ) -> list[Found]:
        """The `k` best rows of each query, fewer where there are fewer.

        Args:
            allowed: ascending numbers of the only rows that count.
        """
        numbers, vectors = self.only(allowed)
        if not len(numbers):
            return [(numbers[:0], np.empty(0)) for _ in queries]
        places, scores = neighbours(contract, queries, vectors, k=min(k, len(numbers)))
        return [(numbers[place], score) for place, score in zip(places, scores, strict=True)]

    def search_range(
        self,
        contract: Contract,
        queries: Float[np.ndarray, "q dim"],
        score: float,
        *,
        allowed: Int[np.ndarray, "m"] | None = None,
    ) -> list[Found]:
        """All rows whose score with a query is at least `score`, best first."""
        numbers, vectors = self.only(allowed)
        found = [within(contract, query[None], vectors, score) for query in queries]
        return [(numbers[places], scores) for places, scores in found]

    def only(self, allowed: Int[np.ndarray, "m"] | None) -> tuple[Int[np.ndarray, "n"], Float[np.ndarray, "n dim"]]:
        """Numbers and vectors of the rows that count."""
        if allowed is None:
            return self.numbers, self.vectors
        kept = np.isin(self.numbers, allowed, assume_unique=True)
        return self.numbers[kept], self.vectors[kept]


def grown(table: np.ndarray, rows: int) -> np.ndarray:
    """A copy with room for more rows."""
    larger = np.empty((rows, *table.shape[1:]), table.dtype)
    larger[: len(table)] = table
    return larger


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
    positions, scores = np.empty((len(queries), k), np.int64), np.empty((len(queries), k))
    for number, places in enumerate(candidates(contract.distance, queries.astype(np.float32), rows, k=k)):
        found = contract.scores(queries[number : number + 1], rows[places])[0]
        order = np.argsort(-found, kind="stable")[:k]
        positions[number], scores[number] = places[order], found[order]
    return positions, scores


def candidates(
    distance: str, queries: Float[np.ndarray, "q dim"], rows: Float[np.ndarray, "n dim"], *, k: int
) -> list[Int[np.ndarray, "_"]]:
    """For each query positions, ascending, among which its `k` nearest rows are; found in float32."""
    metric = METRICS[distance]
    few = len(queries) == 1 or (len(queries) < FEW and metric == faiss.METRIC_INNER_PRODUCT)
    if metric == faiss.METRIC_L1 or few:
        return list(np.sort(faiss.knn(queries, rows, min(k + SPARE, len(rows)), metric=metric)[1], axis=1))
    if metric == faiss.METRIC_INNER_PRODUCT:
        return nearest(unit(queries), _blocks(rows, unit, len(queries)), k)
    # products lose their digits when vectors share an offset
    centre = rows.mean(axis=0)
    return nearest(queries - centre, _blocks(rows, lambda block: block - centre, len(queries)), k)


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
    contract: Contract, query: Float[np.ndarray, "1 dim"], rows: Float[np.ndarray, "n dim"], score: float
) -> tuple[Int[np.ndarray, "m"], Float[np.ndarray, "m"]]:
    """Positions and scores of all rows that score at least `score` (to 12 digits) with a query, best first."""
    near = []
    for start in range(0, len(rows), BLOCK):
        found = contract.scores(query, rows[start : start + BLOCK])[0]
        near.append(start + np.flatnonzero(found >= score - EDGE * max(1.0, abs(score))))
    places = np.concatenate([np.empty(0, np.int64), *near])
    # scored as `neighbours` does, so that the score of a hit, given as the range, finds that hit
    scores = contract.scores(query, rows[places])[0]
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] >= score - SAME * max(1.0, abs(score))]
    return places[order], scores[order]


def without(
    found: Found, rows: Int[np.ndarray, "m"], k: int
) -> tuple[Int[np.ndarray, "kept"], Float[np.ndarray, "kept"]]:
    """The `k` best of what was found that are not among these rows."""
    kept = ~np.isin(found[0], rows)
    return found[0][kept][:k], found[1][kept][:k]

"""Exact scan: which rows can be among the k nearest, by matrix products in float32 whose error is bounded.

numpy's matrix product and not faiss's: faiss-cpu brings a BLAS of its own, which falls back to SSE3
on processors that it does not know (29 against 134 GFLOP/s were measured on one core). Near is
Euclidean: of unit vectors, that is cosine.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int, Shaped

__all__ = [
    "ROUNDING",
    "Blocks",
    "block_rows",
    "crowded",
    "nearest",
    "sides",
    "slack",
    "widened",
    "within",
]

KEYS = 1 << 19  # of a block of rows with all queries: they stay in the cache of the processor
ROUNDING = 2.0**-24
"""Relative, of one operation in float32: half of the last of 24 binary digits."""

# rows kept beyond the k best because float32 cannot tell them apart; the earliest of those
MOST_TIES = 1024
POOL = 64  # per query
WITHOUT_COPIES = np.int32(~0x70000000)  # of the sign, which an int16 that is widened fills up with

Blocks = Iterator[tuple[Int[np.ndarray, "b"], Float[np.ndarray, "b sides"]]]
"""Places of rows, ascending, and their `sides`; the array may be the same each time."""


def block_rows(queries: int) -> int:
    """How many rows a block should have for so many queries."""
    return min(max(KEYS // max(queries, 1), 256), 16_384)


def sides(
    rows: Shaped[np.ndarray, "b dim"], out: Float[np.ndarray, "m sides"]
) -> Float[np.ndarray, "b sides"]:
    """Rows with one more column, so that a product with (query, 1) is the key <q, r> - |r|^2 / 2: nearer is larger."""
    right = out[: len(rows)]
    right[:, :-1] = widened(rows) if rows.dtype == np.float16 else rows
    plain = right[:, :-1]
    right[:, -1] = np.einsum("ij,ij->i", plain, plain) * -0.5
    return right


def widened(rows: Shaped[np.ndarray, "n dim"]) -> Float[np.ndarray, "n dim"]:
    """Finite float16 as float32, bit for bit as `astype` does it, in two thirds of the time (numpy 2.4).

    Sign, exponent and fraction are moved to their places in a float32; its exponent counts from 127
    and not from 15.
    """
    wide = rows.view(np.int16).astype(np.int32)
    wide <<= 13
    wide &= WITHOUT_COPIES
    floats = wide.view(np.float32)
    floats *= np.float32(2.0**112)
    return floats


def nearest(
    queries: Float[np.ndarray, "q dim"], blocks: Blocks, k: int, *, error: float = 0.0
) -> list[Int[np.ndarray, "_"]]:
    """For each query the places, ascending, of all rows that can be among its `k` nearest, unless it is `crowded`.

    Args:
        blocks: of all rows.
        error: the largest distance between a row as it is scanned and as it is.
    """
    found = _Nearest(queries, k, error)
    for places, right in blocks:
        found.take(places, right)
    return found.places()


def crowded(places: Int[np.ndarray, "_"], k: int) -> bool:
    """Whether `nearest` may have left out rows: float32 cannot tell more of them from the k-th than it keeps."""
    return len(places) >= k + MOST_TIES


def within(
    queries: Float[np.ndarray, "q dim"], blocks: Blocks, distance: float, *, error: float = 0.0
) -> list[Int[np.ndarray, "_"]]:
    """For each query the places, ascending, of all rows that can be as near as `distance`; arguments as `nearest`."""
    left = np.hstack([queries, np.ones((len(queries), 1))]).astype(np.float32)
    square = np.square(queries, dtype=np.float64).sum(axis=1)
    found: list[list[np.ndarray]] = [[] for _ in queries]
    for places, right in blocks:
        keys = left @ right.T
        kth = ((square - max(distance, 0.0) ** 2) / 2).astype(np.float32)
        floor = slack(queries, kth, longest=_longest(right), error=error)
        for own, near in zip(found, keys >= floor[:, None], strict=True):
            own.append(places[near])
    return [np.concatenate([np.empty(0, np.int64), *own]) for own in found]


def slack(
    queries: Float[np.ndarray, "q dim"],
    kth: Float[np.ndarray, "q"],
    *,
    longest: float,
    error: float,
) -> Float[np.ndarray, "q"]:
    """The lowest key of a row that may still be as near as one with the key `kth`, whatever the rounding.

    Args:
        longest: length of a row, at most. error: see `nearest`.
    """
    square = np.square(queries, dtype=np.float64).sum(axis=1)
    distance = np.sqrt(np.maximum(square - 2.0 * kth, 0.0)) + 2 * error
    rounded = (queries.shape[1] + 3) * ROUNDING * (np.sqrt(square) + longest) ** 2
    return np.where(np.isneginf(kth), -np.inf, (square - distance**2) / 2 - 2 * rounded).astype(
        np.float32
    )


def _longest(right: Float[np.ndarray, "b sides"]) -> float:
    return float(-2 * right[:, -1].min(initial=0.0)) ** 0.5


class _Nearest:
    """The nearest so far. `floor`: the key that a row needs to be among the k nearest, whatever the rounding."""

    def __init__(self, queries: np.ndarray, k: int, error: float) -> None:
        self.k, self.error = k, error
        self.left = np.hstack([queries, np.ones((len(queries), 1))]).astype(np.float32)
        self.queries, self.longest = queries, 0.0
        self.floor = np.full(len(queries), -np.inf, np.float32)
        self.who, self.where, self.keys = (
            np.empty(0, np.int64),
            np.empty(0, np.int64),
            np.empty(0, np.float32),
        )
        self.waiting: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.room = POOL * len(queries)
        self.table = np.empty((len(queries), 0), np.float32)

    def take(self, places: np.ndarray, right: np.ndarray) -> None:
        """One block more."""
        self.longest = max(self.longest, _longest(right))
        if self.table.shape[1] < len(right):
            # once: new pages cost much
            self.table = np.empty((len(self.left), len(right)), np.float32)
        keys = np.matmul(self.left, right.T, out=self.table[:, : len(right)])
        near = np.flatnonzero(keys.max(axis=1, initial=-np.inf) >= self.floor)
        if not len(near):
            return
        keys = keys[near] if len(near) < len(keys) else keys
        if keys.shape[1] > self.k and np.isneginf(self.floor[near]).any():
            kth = np.partition(keys, -self.k, axis=1)[:, -self.k]
            self.floor[near] = np.maximum(self.floor[near], self.below(near, kth))
        who, where = np.nonzero(keys >= self.floor[near, None])
        self.waiting.append((near[who], places[where], keys[who, where]))
        self.room -= len(who)
        if self.room <= 0:
            self.settle()

    def below(self, who: np.ndarray, kth: np.ndarray) -> np.ndarray:
        """The lowest key of a row that may still be nearer than one with the key `kth`."""
        return slack(self.queries[who], kth, longest=self.longest, error=self.error)

    def settle(self) -> None:
        """Merge the waiting rows, best first, and raise the floor."""
        who, where, keys = (
            np.concatenate(parts)
            for parts in zip((self.who, self.where, self.keys), *self.waiting, strict=True)
        )
        order = np.lexsort((where, -keys, who))
        who, where, keys = who[order], where[order], keys[order]
        starts = np.searchsorted(who, np.arange(len(self.floor)))
        rank = np.arange(len(who)) - starts[who]
        last = rank == self.k - 1
        self.floor[who[last]] = np.maximum(self.floor[who[last]], self.below(who[last], keys[last]))
        kept = (keys >= self.floor[who]) & (rank < self.k + MOST_TIES)
        self.who, self.where, self.keys = who[kept], where[kept], keys[kept]
        self.waiting, self.room = [], max(POOL * len(self.floor), len(self.who))

    def places(self) -> list[np.ndarray]:
        """What was found."""
        self.settle()
        ends = np.searchsorted(self.who, np.arange(1, len(self.floor)))
        return [np.sort(found) for found in np.split(self.where, ends)]

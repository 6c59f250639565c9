"""Search among more rows than memory should hold: a cache that can be built again, beside it the rows written since."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from twofold.contract import Contract
from twofold.store.database import Database
from twofold.store.exact import Exact, Found
from twofold.store.following import BLOCK, Follower, vectors_of
from twofold.store.rows import State

__all__ = ["Cache", "Large", "OpenCache"]

STALE = 0.1  # share of rows written or deleted since, from which on the cache is built again
SPARE = 4  # times as many neighbours are asked of the cache as are wanted, since its scores are not exact


@runtime_checkable
class Cache(Protocol):
    """What finds neighbours among very many rows; derived from the database at one state.

    Attributes:
        state: that it stands for.
    """

    state: State

    def search(
        self, queries: Float[np.ndarray, "q dim"], k: int, *, allowed: Int[np.ndarray, "m"] | None
    ) -> list[Int[np.ndarray, "n"]]:
        """Numbers of about the `k` best rows of each query, in any order; only of `allowed` (ascending) if given."""
        ...

    def erase(self, numbers: Int[np.ndarray, "m"]) -> None:
        """Leave no byte of these rows' vectors in any file of the cache."""
        ...

    def close(self) -> None:
        """Let go of its files."""
        ...


OpenCache = Callable[[Database, Contract, State], Cache]
"""Opens the cache that stands for the rows at a state or shortly before, or builds one; called inside `reading`."""


class Large:
    """What a large index searches with. Scores are exact: of the float32 vectors in the database, in float64."""

    def __init__(self, database: Database, contract: Contract, open_cache: OpenCache) -> None:
        self.database = database
        self.contract = contract
        self.open_cache = open_cache
        self.cache: Cache | None = None

    def follow(self, state: State) -> tuple[Cache, Follower]:
        """The cache, and the rows that were written since; a cache that is too old is built again."""
        cache = self.cache
        if cache is None or self.stale(cache, state):
            self.close()
            self.cache = cache = self.open_cache(self.database, self.contract, state)
            self.since = Follower(self.database, self.contract, cache.state)
        self.since.follow(state)
        return cache, self.since

    def stale(self, cache: Cache, state: State) -> bool:
        """Whether the deleted rows are no longer listed, or a linear search of the new ones would cost too much."""
        new = state.last - cache.state.last
        gone = cache.state.items + new - state.items
        return cache.state.generation < state.floor or new + gone > STALE * cache.state.items

    def search(
        self, queries: Float[np.ndarray, "q dim"], k: int, *, state: State, allowed: Int[np.ndarray, "m"] | None
    ) -> list[Found]:
        """Nearly the `k` best rows of each query; only rows of `allowed`, exactly, if it is given."""
        cache, since = self.follow(state)
        near = cache.search(queries, k * SPARE + len(since.gone), allowed=allowed)
        fresh = since.rows.search(self.contract, queries, k, allowed=allowed)
        merged = [np.union1d(np.setdiff1d(old, since.gone), new[0]) for old, new in zip(near, fresh, strict=True)]
        return self.scored(queries, merged, k)

    def scored(
        self, queries: Float[np.ndarray, "q dim"], candidates: Sequence[Int[np.ndarray, "n"]], k: int
    ) -> list[Found]:
        """The `k` best of the candidates of each query, by the vectors in the database."""
        numbers = np.unique(np.concatenate([np.empty(0, np.int64), *candidates]))
        rows = self.database.numbered(numbers.tolist())
        vectors = vectors_of(self.database, self.contract, [rows[number] for number in numbers.tolist()])
        found = []
        for query, own in zip(queries, candidates, strict=True):
            scores = self.contract.scores(query[None], vectors[np.searchsorted(numbers, own)])[0]
            order = np.argsort(-scores, kind="stable")[:k]
            found.append((own[order], scores[order]))
        return found

    def search_range(
        self, queries: Float[np.ndarray, "q dim"], score: float, *, allowed: Int[np.ndarray, "m"] | None
    ) -> list[Found]:
        """All rows whose score with a query is at least `score`: every row is read and compared."""
        parts: list[list[Found]] = [[] for _ in queries]
        for block in self.blocks():
            for own, found in zip(
                parts, block.search_range(self.contract, queries, score, allowed=allowed), strict=True
            ):
                own.append(found)
        merged = [tuple(map(np.concatenate, zip(*own, strict=True))) for own in parts]
        return [best(numbers, scores) for numbers, scores in merged]

    def blocks(self) -> Iterator[Exact]:
        """All rows, some at a time, each checked against its hash."""
        found = iter(self.database.rows())
        while block := list(islice(found, BLOCK)):
            part = Exact(self.contract.dim)
            numbers = np.array([row.number for row in block], np.int64)
            part.put(numbers, vectors_of(self.database, self.contract, block), np.zeros((len(block), 32), np.uint8))
            yield part

    def erase(self, numbers: Int[np.ndarray, "m"]) -> None:
        """Leave no byte of these rows in the cache."""
        if self.cache is not None:
            self.cache.erase(numbers)

    def close(self) -> None:
        """Let go of the cache's files."""
        if self.cache is not None:
            self.cache.close()
            self.cache = None


def best(numbers: Int[np.ndarray, "n"], scores: Float[np.ndarray, "n"]) -> Found:
    """The same, best first; equal scores in the order of the rows."""
    order = np.argsort(-scores, kind="stable")
    return numbers[order], scores[order]

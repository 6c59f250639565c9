"""Search among more rows than memory should hold: a cache that can be rebuilt, plus the rows written since."""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Float, Int

from twofold.contract import Contract
from twofold.errors import CannotWrite, DamagedIndex, StoreError
from twofold.store.cache.approximate import PLAIN, Approximate
from twofold.store.cache.building import Watch, silent
from twofold.store.cache.folder import Cached, drop_cache, open_cache, stale
from twofold.store.exact import Found, best, reaching
from twofold.store.memory import Follower, vectors_of
from twofold.store.protection.sealed import Sealed
from twofold.store.sqlite.database import Database
from twofold.store.sqlite.rows import State

__all__ = ["EXACT_ROWS", "Large"]

EXACT_ROWS = 100_000
"""Most rows whose vectors are all held in memory and compared; above, a cache is used."""

# pause after a refusal: at least so many seconds, or so many times what the attempt took
AGAIN_SECONDS, AGAIN = 60.0, 20.0

Told = TypeVar("Told")


class Large:
    """What a large index searches with. Scores are exact: of the float32 vectors in the database, in float64.

    Attributes:
        notes: what was built, and why; or why there is no cache. watch: is told how far a build is.
        again: when to try again to build a cache that was refused, by the monotonic clock.
    """

    def __init__(self, database: Database, contract: Contract) -> None:
        self.database = database
        self.contract = contract
        self.notes: list[str] = []
        self.watch: Watch = silent
        self.cached: Cached | None = None
        self.again = 0.0

    def is_for(self, state: State) -> bool:
        """Whether there are too many rows for memory; a protected index is always held there, since it has no cache."""
        return state.items > EXACT_ROWS and not isinstance(self.database.seal, Sealed)

    def ready(self, state: State) -> bool:
        """Whether there is a cache for this state; False if the distance or the disk does not allow one."""
        began = time.monotonic()
        if began < self.again or self.contract.distance not in PLAIN:
            return False
        try:
            self.follow(state)
        except DamagedIndex:
            raise
        except (CannotWrite, StoreError) as error:
            self.again = time.monotonic() + max(AGAIN_SECONDS, AGAIN * (time.monotonic() - began))
            note = f"all {state.items} vectors are held in memory, without a cache: {error}"
            self.notes += [note] if note not in self.notes else []
            return False
        return True

    def follow(self, state: State) -> tuple[Approximate, Follower]:
        """The cache, and the rows written since; a cache that is too old is rebuilt."""
        if self.cached is None or stale(self.cached[1], state):
            self.open(state)
        try:
            self.since.follow(state)
        # the rows do not fit together: perhaps the cache is of an older database
        except DamagedIndex:
            self.drop()
            self.open(state)
            self.since.follow(state)
        return self.cache(), self.since

    def cache(self) -> Approximate:
        """The open cache."""
        if self.cached is None:
            raise StoreError(f"the cache of {self.database.folder} is not open")
        return self.cached[0]

    def open(self, state: State, *, suspect: bool = False) -> None:
        """Open or build the cache, and begin to follow from there."""
        self.close()
        self.cached, note = open_cache(
            self.database, self.contract, state, watch=self.watch, suspect=suspect
        )
        self.notes += [note] if note else []
        self.since = Follower(self.database, self.contract, self.cached[1])

    def asked(self, state: State, question: Callable[[Approximate, Follower], Told]) -> Told:
        """The cache's answer; if it turns out to be damaged, that of a rebuilt cache."""
        cache, since = self.follow(state)
        try:
            return question(cache, since)
        except DamagedIndex as error:
            self.notes.append(str(error))
            self.open(state, suspect=True)
            return question(*self.follow(state))

    def search(
        self,
        queries: Float[np.ndarray, "q dim"],
        k: int,
        *,
        state: State,
        allowed: Int[np.ndarray, "m"] | None,
        exact: bool = False,
    ) -> list[Found]:
        """Nearly the `k` best rows of each query, only of `allowed` if it is given; with `exact` just these."""
        near = self.asked(
            state,
            lambda cache, since: cache.search(
                queries, k, allowed=allowed, gone=since.gone, exact=exact
            ),
        )
        fresh = self.since.rows.search(self.contract, queries, k, allowed=allowed)
        return [best(found, k) for found in self.scored(queries, near, fresh)]

    def search_range(
        self,
        queries: Float[np.ndarray, "q dim"],
        score: float,
        *,
        state: State,
        allowed: Int[np.ndarray, "m"] | None,
    ) -> list[Found]:
        """All rows whose score with a query is at least `score`; none is missed."""
        near = self.asked(
            state,
            lambda cache, since: cache.search_range(
                queries, score, allowed=allowed, gone=since.gone
            ),
        )
        fresh = self.since.rows.search_range(self.contract, queries, score, allowed=allowed)
        return [reaching(found, score) for found in self.scored(queries, near, fresh)]

    def scored(
        self,
        queries: Float[np.ndarray, "q dim"],
        near: Sequence[Int[np.ndarray, "_"]],
        fresh: Sequence[Found],
    ) -> list[Found]:
        """Both together, in the order of the rows, scored by the vectors in the database."""
        wanted = [np.union1d(old, new) for old, (new, _) in zip(near, fresh, strict=True)]
        numbers = np.unique(np.concatenate([np.empty(0, np.int64), *wanted]))
        rows = self.database.numbered(numbers.tolist())
        vectors = vectors_of(
            self.database, self.contract, [rows[number] for number in numbers.tolist()]
        )
        found = []
        for query, own in zip(queries, wanted, strict=True):
            found.append(
                (own, self.contract.each_score(query, vectors[np.searchsorted(numbers, own)]))
            )
        return found

    def drop(self) -> None:
        """Throw the cache away.

        Raises:
            StoreError: a file of it cannot be deleted.
        """
        self.close()
        drop_cache(self.database.folder)

    def close(self) -> None:
        """Let go of the cache's files."""
        if self.cached is not None:
            self.cached[0].close()
            self.cached = None

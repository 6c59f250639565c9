"""Finding rows of a local index: among all of them in memory, or by a cache where they are many."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from twofold.contract import Contract
from twofold.store.exact import Found, without
from twofold.store.following import Follower
from twofold.store.large import Large
from twofold.store.protection.sealed import Sealed
from twofold.store.sqlite.database import Database, clock
from twofold.store.sqlite.rows import State
from twofold.store.where import Condition

__all__ = ["EXACT_ROWS", "Finder"]

EXACT_ROWS = 100_000
"""Up to so many rows all vectors are held in memory and compared; above, a cache is asked first."""

FEW_ENDED = 256  # rows that are expired or revoked, up to which so many more are looked for and these left out


class Finder:
    """What a local index searches with; queries and vectors stand as in the file, rotated or not.

    Methods that find want the database's `reading` around them.

    Attributes:
        contract: of a plain distance. all: the rows in memory. large: what searches where they are many.
    """

    def __init__(self, database: Database, contract: Contract) -> None:
        self.database = database
        self.contract = contract
        self.all = Follower(database, contract)
        self.large = Large(database, contract)

    def close(self) -> None:
        """Let go of the cache's files."""
        self.large.close()

    def has_many(self, state: State) -> bool:
        """Whether memory should not hold all rows; of a protected index it does, since nothing of it is cached."""
        return state.items > EXACT_ROWS and not isinstance(self.database.seal, Sealed)

    def _by_cache(self, state: State) -> bool:
        if not (self.has_many(state) and self.large.ready(state)):
            return False
        if len(self.all.rows):  # of when there were fewer, or no cache
            self.all = Follower(self.database, self.contract)
        return True

    def nearest(
        self, queries: Float[np.ndarray, "q dim"], k: int, filters: Sequence[Condition], *, exact: bool
    ) -> list[Found]:
        """The `k` rows most like each query, of those that pass a filter and are neither expired nor revoked."""
        state, ended = self.database.state(), self.database.ended(clock())
        few = not filters and len(ended) <= FEW_ENDED
        allowed, deep = (None, k + len(ended)) if few else (self._allowed(filters, ended), k)
        if self._by_cache(state):
            found = self.large.search(queries, deep, state=state, allowed=allowed, exact=exact)
        else:
            self.all.follow(state)
            found = self.all.rows.search(self.contract, queries, deep, allowed=allowed)
        return [without(each, ended, k) for each in found] if few else found

    def within(self, queries: Float[np.ndarray, "q dim"], score: float, filters: Sequence[Condition]) -> list[Found]:
        """All such rows whose score with a query is at least `score`."""
        state = self.database.state()
        allowed = self._allowed(filters, self.database.ended(clock()))
        if self._by_cache(state):
            return self.large.search_range(queries, score, state=state, allowed=allowed)
        self.all.follow(state)
        return self.all.rows.search_range(self.contract, queries, score, allowed=allowed)

    def _allowed(self, filters: Sequence[Condition], ended: Int[np.ndarray, "e"]) -> Int[np.ndarray, "m"] | None:
        """Numbers of the rows that pass the filter and are not `ended`, ascending; None: all."""
        if not filters and not len(ended):
            return None
        numbers = self.database.passing(filters) if filters else self.database.numbers()
        return np.setdiff1d(numbers, ended, assume_unique=True)

    def forget(self) -> None:
        """Hold nothing in memory that was deleted; inside `reading`."""
        if len(self.all.rows):
            self.all.follow(self.database.state())

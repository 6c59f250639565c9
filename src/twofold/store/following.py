"""Vectors in memory that follow the database: what anybody has written since is read, the rest stays."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from jaxtyping import Float

from twofold.contract import Contract
from twofold.store.exact import Exact
from twofold.store.sqlite.database import Database
from twofold.store.sqlite.rows import Row, State, damaged

__all__ = ["Follower", "vectors_of"]

BLOCK = 4096
NOTHING = State()


class Follower:
    """The rows of an index in memory, or those that were written after a state which something else stands for.

    Attributes:
        base: that state; the one of an empty index where all rows are held here.
        rows: those after it, as they are at `generation`.
        gone: numbers of the base's rows that were deleted since, ascending.
    """

    def __init__(self, database: Database, contract: Contract, base: State = NOTHING) -> None:
        self.database = database
        self.contract = contract
        self.base = base
        self._begin()

    def _begin(self) -> None:
        self.rows = Exact(self.contract.dim)
        self.gone = np.empty(0, np.int64)
        self.generation = self.base.generation

    def follow(self, state: State) -> None:
        """Read what is new at a state, inside the transaction that told it.

        Raises:
            DamagedIndex: names the rows that are not as they were written, or says that some are lost.
        """
        if state.generation == self.generation:
            return
        if self.generation < state.floor and self.generation:
            self._begin()
        self._read(state)
        if not self.whole(state) and self.generation > self.base.generation:
            self._begin()  # a list of deleted rows that is damaged; the rows themselves may be whole
            self._read(state)
        if not self.whole(state):
            raise damaged(
                f"{self.database.folder} holds {self.held()} whole rows where {state.items} were written: some are "
                "lost or foreign"
            )
        self.generation = state.generation

    def _read(self, state: State) -> None:
        last = int(self.rows.numbers[-1]) if len(self.rows) else self.base.last
        if self.generation:
            gone = np.array(self.database.gone_since(self.generation), np.int64)
            self.rows.drop(gone)
            self.gone = np.union1d(self.gone, gone[gone <= self.base.last])
        if last:
            self._take(self.database.hashed("WHERE row > ? ORDER BY row", (last,)))
        else:
            self.rows.reserve(state.items)
            self._take(self.database.hashed())

    def _take(self, rows: Iterator[tuple[Row, bytes]]) -> None:
        """Put rows into memory, a block at a time."""
        while block := list(islice(rows, BLOCK)):
            numbers = np.array([row.number for row, _ in block], np.int64)
            vectors = vectors_of(self.database, self.contract, [row for row, _ in block])
            hashes = np.frombuffer(b"".join(hashed for _, hashed in block), np.uint8).reshape(len(block), 32)
            self.rows.put(numbers, vectors, hashes)

    def held(self) -> int:
        """How many rows there are, by this reading."""
        return self.base.items - len(self.gone) + len(self.rows)

    def whole(self, state: State) -> bool:
        """Whether these are the rows that were written."""
        if self.held() != state.items:
            return False
        return self.base.items > 0 or self.rows.checksum() == state.checksum


def vectors_of(database: Database, contract: Contract, rows: Sequence[Row]) -> Float[np.ndarray, "n dim"]:
    """The vectors of rows, unsealed, float32.

    Raises:
        DamagedIndex: one has not the contract's length.
    """
    plain = [database.seal.unseal(database, row) for row in rows]
    if wrong := [row.id for row, vector in zip(rows, plain, strict=True) if len(vector) != 4 * contract.dim]:
        raise damaged(f"{database.folder}: the vector of {wrong[0]!r} has not {contract.dim} numbers")
    return np.frombuffer(b"".join(plain), "<f4").reshape(len(rows), contract.dim).astype(np.float32, copy=False)

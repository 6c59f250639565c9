"""Vectors in memory, searched exactly. They follow the database: only what was written since is read."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from jaxtyping import Float, Int, UInt8

from twofold.contract import Contract
from twofold.store.exact import Found, neighbours, within
from twofold.store.sqlite.database import Database
from twofold.store.sqlite.rows import Row, State, damaged

__all__ = ["Follower", "MemoryRows", "vectors_of"]

ROWS_AT_ONCE = 4096
"""Rows parsed at once: bounds the memory of a first read beside the vectors."""

NOTHING = State()


class MemoryRows:
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
        self,
        numbers: Int[np.ndarray, "m"],
        vectors: Float[np.ndarray, "m dim"],
        hashes: UInt8[np.ndarray, "m 32"],
    ) -> None:
        """Append rows; their numbers are larger than all before."""
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
        """Remove rows, the others move up; returns the numbers of those that were there."""
        gone = np.flatnonzero(np.isin(self.numbers, numbers))
        if not len(gone):
            return gone
        dropped = self.numbers[gone]
        kept = np.delete(np.arange(gone[0], self.count), gone - gone[0])
        # rows before the first stay where they are
        place = slice(gone[0], gone[0] + len(kept))
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
        """The `k` best rows of each query and all that tie with the last of them; fewer if there are fewer.

        Args:
            allowed: ascending numbers of the only rows that count.
        """
        numbers, vectors = self._numbers[: self.count], self._vectors[: self.count]
        if allowed is not None:
            numbers, vectors = self.only(allowed)
        if not len(numbers):
            return [(numbers, np.empty(0)) for _ in queries]
        found = neighbours(contract, queries, vectors, k=min(k, len(numbers)))
        return [(numbers[places], scores) for places, scores in found]

    def search_range(
        self,
        contract: Contract,
        queries: Float[np.ndarray, "q dim"],
        score: float,
        *,
        allowed: Int[np.ndarray, "m"] | None = None,
    ) -> list[Found]:
        """All rows whose score with a query is at least `score`, best first."""
        numbers, vectors = (self.numbers, self.vectors) if allowed is None else self.only(allowed)
        found = [within(contract, query[None], vectors, score) for query in queries]
        return [(numbers[places], scores) for places, scores in found]

    def only(
        self, allowed: Int[np.ndarray, "m"]
    ) -> tuple[Int[np.ndarray, "n"], Float[np.ndarray, "n dim"]]:
        """Numbers and vectors of the rows that count."""
        kept = np.isin(self.numbers, allowed, assume_unique=True)
        return self.numbers[kept], self.vectors[kept]


def grown(table: np.ndarray, rows: int) -> np.ndarray:
    """A copy with room for more rows."""
    larger = np.empty((rows, *table.shape[1:]), table.dtype)
    larger[: len(table)] = table
    return larger


class Follower:
    """The rows of an index in memory, or those written after a state that a cache covers.

    Attributes:
        base: that state; the empty index's if all rows are held here. rows: those after it, as of
            `generation`.
        gone: numbers of the base's rows that were deleted since, ascending.
    """

    def __init__(self, database: Database, contract: Contract, base: State = NOTHING) -> None:
        self.database = database
        self.contract = contract
        self.base = base
        self._begin()

    def _begin(self) -> None:
        self.rows = MemoryRows(self.contract.dim)
        self.gone = np.empty(0, np.int64)
        self.generation = self.base.generation

    def follow(self, state: State) -> None:
        """Read what is new at a state, inside the transaction that returned it.

        Raises:
            DamagedIndex: names the rows that are not as they were written, or says that some are
                lost.
        """
        if state.generation == self.generation:
            return
        if self.generation < state.floor and self.generation:
            self._begin()
        self._read(state)
        if not self.whole(state) and self.generation > self.base.generation:
            # a list of deleted rows that is damaged; the rows themselves may be whole
            self._begin()
            self._read(state)
        if not self.whole(state):
            raise damaged(
                f"{self.database.folder} holds {self.held()} whole rows where {state.items} were "
                "written: some are lost or foreign"
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
        while block := list(islice(rows, ROWS_AT_ONCE)):
            numbers = np.array([row.number for row, _ in block], np.int64)
            vectors = vectors_of(self.database, self.contract, [row for row, _ in block])
            hashes = np.frombuffer(b"".join(hashed for _, hashed in block), np.uint8).reshape(
                len(block), 32
            )
            self.rows.put(numbers, vectors, hashes)

    def held(self) -> int:
        """Number of rows by this reading."""
        return self.base.items - len(self.gone) + len(self.rows)

    def whole(self, state: State) -> bool:
        """Whether these are the rows that were written."""
        if self.held() != state.items:
            return False
        return self.base.items > 0 or self.rows.checksum() == state.checksum


def vectors_of(
    database: Database, contract: Contract, rows: Sequence[Row]
) -> Float[np.ndarray, "n dim"]:
    """The vectors of rows, unsealed, float32.

    Raises:
        DamagedIndex: one has not the contract's length.
    """
    plain = [database.seal.unseal(database, row) for row in rows]
    if wrong := [
        row.id for row, vector in zip(rows, plain, strict=True) if len(vector) != 4 * contract.dim
    ]:
        raise damaged(
            f"{database.folder}: the vector of {wrong[0]!r} has not {contract.dim} numbers"
        )
    return (
        np.frombuffer(b"".join(plain), "<f4")
        .reshape(len(rows), contract.dim)
        .astype(np.float32, copy=False)
    )

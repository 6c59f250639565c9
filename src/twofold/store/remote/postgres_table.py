"""The table of an index in PostgreSQL: statements about it, one thread at a time, rows compared with their hash."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from twofold.contract import Contract
from twofold.store.filters import Condition
from twofold.store.remote.postgres_server import Address, Connection, explain, filtered
from twofold.store.remote.records import Record, checked
from twofold.store.sqlite.connection import closed

__all__ = ["ROWS_AT_ONCE", "Table", "graph_of", "record_of"]

ROWS_AT_ONCE = 8192  # rows read at once
COLUMNS = "id, label, metadata::text, vector, hash"

OPERATORS = {"cosine": "<=>", "euclidean": "<->", "squared_euclidean": "<->", "manhattan": "<+>"}
# pgvector's names of what a graph is ordered by
ORDERS = {"<=>": "cosine", "<->": "l2", "<+>": "l1"}
# numbers of a vector in a graph of float16 and of float32; pgvector's limits
HALF_DIM, WHOLE_DIM = 4000, 2000


class Table:
    """An open table, of vectors that are compared by a plain distance.

    Attributes:
        graph: type in which a graph keeps the vectors; None if there cannot be a graph.
    """

    def __init__(self, address: Address, connection: Connection, contract: Contract) -> None:
        self.address = address
        self.contract = contract
        self.graph = graph_of(contract)
        self._opened: Connection | None = connection
        self._lock = threading.RLock()  # a transaction belongs to the connection, not to a thread

    def close(self) -> None:
        """Close the connection; a call of another thread is waited for."""
        with self._lock:
            connection, self._opened = self._opened, None
        if connection is not None:
            connection.close()

    @property
    def connection(self) -> Connection:
        """The open connection.

        Raises:
            StoreError: the index is closed.
        """
        if self._opened is None:
            raise closed(self.address.shown)
        return self._opened

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block or nothing, and one thread at a time."""
        with self._lock, explain(self.address), self.connection.transaction():
            yield

    def graph_is_built(self) -> bool:
        """Whether the graph is there; another process may have built it."""
        return self.rows("SELECT to_regclass(%s)", [f"{self.address.table}_graph"]) != [(None,)]

    def matching(self, filters: Sequence[Condition]) -> Iterator[list[Record]]:
        """All rows that pass a filter, in pages, each compared with its hash."""
        for block in self.blocks(filters):
            yield [self.record(row) for row in block]

    def blocks(self, filters: Sequence[Condition], rows: int = ROWS_AT_ONCE) -> Iterator[list[Any]]:
        """All rows that pass a filter, in pages; without what is written after the first page."""
        condition, values = filtered(filters)
        [(end,)] = self.rows("SELECT coalesce(max(row), 0) FROM {table}")
        page = "SELECT row, {columns} FROM {table} WHERE row > %s AND row <= %s AND {condition} ORDER BY row LIMIT %s"
        last = 0
        while found := self.rows(page, [last, end, *values, rows], condition=condition):
            yield [row[1:] for row in found]
            last = found[-1][0]

    def record(self, row: Sequence[Any]) -> Record:
        """A row of COLUMNS, compared with its hash."""
        return checked(record_of(row), row[-1], self.address.shown)

    def rows(
        self, statement: str, values: Sequence[Any] = (), *, condition: str = "true"
    ) -> list[tuple[Any, ...]]:
        """What a statement about the table returns."""
        with self._lock, explain(self.address):
            return self.connection.execute(
                self.named(statement, condition=condition), values, binary=True
            ).fetchall()

    def named(self, statement: str, kind: str = "vector", *, condition: str = "true") -> bytes:
        """A statement with the names of this table filled in; only the table's is the user's, and a plain word.

        Args:
            kind: what vectors are compared as: "vector" (float32) or "halfvec" (float16).
        """
        cast = "" if kind == "vector" else f"::{kind}({self.contract.dim})"
        operator = OPERATORS.get(self.contract.distance, "<->")
        return statement.format(
            table=f'"{self.address.table}"',
            graph=f'"{self.address.table}_graph"',
            columns=COLUMNS,
            condition=condition,
            vector=f"vector{cast}",
            query=f"q.v{cast}",
            operator=operator,
            operations=f"{kind}_{ORDERS[operator]}_ops",
        ).encode()


def record_of(row: Sequence[Any]) -> Record:
    """A row of COLUMNS without its hash."""
    name, label, metadata, vector, _ = row
    return Record(name, label, metadata, vector.to_numpy())


def graph_of(contract: Contract) -> str | None:
    """The type in which a graph keeps a contract's vectors; None if there cannot be one, so that every search scans."""
    if contract.distance == "cosine" and contract.dim <= HALF_DIM:
        # unit vectors fit float16; half the memory, and the answer is scored from float32 anyway
        return "halfvec"
    return "vector" if contract.distance in OPERATORS and contract.dim <= WHOLE_DIM else None

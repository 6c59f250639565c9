"""An index in a table of PostgreSQL with pgvector: exact up to EXACT_UP_TO rows, a graph (HNSW) above."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from jaxtyping import Float

from twofold.contract import Contract
from twofold.errors import StoreError
from twofold.results import Embeddings, Erasure, Hit, Inspection
from twofold.store.exact import plain
from twofold.store.filters import Condition
from twofold.store.remote import records
from twofold.store.remote.postgres_search import LISTED, Passing, narrowed, nearest, within
from twofold.store.remote.postgres_server import (
    LARGEST_DIM,
    Address,
    Connection,
    connect,
    create_table,
    explain,
    opened,
    pinned,
    register_vector,
    tables,
)
from twofold.store.remote.postgres_table import ROWS_AT_ONCE, Table, record_of
from twofold.store.remote.records import Record

__all__ = ["EXACT_UP_TO", "PostgresEngine"]

EXACT_UP_TO = 50_000  # rows; a scan of so many of 128 numbers takes some tens of milliseconds
BUILD_MEMORY = "512MB"  # a graph that does not fit is built several times slower
# exact queries at which reading all rows once beats a scan per query by the server
MANY_QUERIES = 16

KINDS = {"string": "text", "number": "number", "boolean": "true or false", "null": "null"}
"""What `filters.kind` calls PostgreSQL's types of JSON."""
NOTE = (
    "the rows are deleted for every reader; PostgreSQL keeps their bytes in dead rows, in its "
    "write-ahead log, in replicas and in backups until VACUUM FULL, log recycling and those "
    "backups' end: that is the administrator's"
)


class PostgresEngine:
    """See `Engine`. A call is one transaction; what is deleted leaves the server's files when it vacuums."""

    NAME = "PostgreSQL"

    def __init__(self, address: Address, connection: Connection, contract: Contract) -> None:
        self.path = address.shown
        self.contract = contract
        self.plain = plain(contract)
        self.table = Table(address, connection, self.plain)

    @classmethod
    def create(cls, place: str | Path, contract: Contract) -> "PostgresEngine":
        """Make the table and record what it is pinned to, all or nothing."""
        address = Address.of(place)
        if contract.dim > LARGEST_DIM:
            raise StoreError(
                f"vectors of {contract.dim} numbers: pgvector keeps up to {LARGEST_DIM}"
            )
        with opened(address) as connection, connection.transaction():
            create_table(connection, address, contract)
        return cls.open(place)

    @classmethod
    def open(cls, place: str | Path) -> "PostgresEngine":
        """Connect, and read what the table is pinned to."""
        address = Address.of(place)
        connection = connect(address)
        try:
            with explain(address):
                contract = pinned(connection, address)
                register_vector(connection)
        except BaseException:
            connection.close()
            raise
        return cls(address, connection, contract)

    @classmethod
    def found(cls, place: str | Path) -> bool:
        """Whether the database knows an index of that name."""
        address = Address.of(place)
        with opened(address) as connection:
            return address.table in tables(connection)

    @property
    def gallery(self) -> None:
        """Dates, revocations and an audit log are kept in a folder only."""

    @property
    def notes(self) -> tuple[str, ...]:
        """There is no cache."""
        return ()

    def watch(self, watch: Callable[[str, int, int], None]) -> None:
        """There is no cache to build."""
        self.check_open()

    def check_open(self) -> None:
        _ = self.table.connection

    def close(self) -> None:
        """Close the connection; a call of another thread is waited for."""
        self.table.close()

    def count(self, most: int | None = None) -> int:
        if most is None:
            return self.table.rows("SELECT count(*) FROM {table}")[0][0]
        return self.table.rows(
            "SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT %s) AS few", [most]
        )[0][0]

    def ids(self) -> tuple[str, ...]:
        return tuple(name for (name,) in self.table.rows("SELECT id FROM {table} ORDER BY row"))

    def labels(self) -> tuple[str, ...]:
        return tuple(
            label
            for (label,) in self.table.rows("SELECT DISTINCT label FROM {table} ORDER BY label")
        )

    def present(self, ids: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for start in range(0, len(ids), ROWS_AT_ONCE):
            asked = [name for name in ids[start : start + ROWS_AT_ONCE] if "\0" not in name]
            found.update(
                name
                for (name,) in self.table.rows("SELECT id FROM {table} WHERE id = ANY(%s)", [asked])
            )
        return found

    def get(self, ids: Sequence[str]) -> Embeddings:
        asked = [name for name in ids if "\0" not in name]
        rows = self.table.rows("SELECT {columns} FROM {table} WHERE id = ANY(%s)", [asked])
        found = {record.id: record for record in map(self.table.record, rows)}
        records.refuse_missing(ids, found, str(self.path))
        return records.embeddings(self.contract, [found[name] for name in ids])

    def blocks(self, rows: int) -> Iterator[Embeddings]:
        """All items in blocks, each item once; one that is written meanwhile may be among them or not."""
        for block in self.table.blocks((), rows):
            yield records.embeddings(self.contract, [self.table.record(row) for row in block])

    def metadata_keys(self) -> dict[str, dict[str, int]]:
        counted = (
            "SELECT each.key, jsonb_typeof(each.value), count(*) FROM {table}, "
            "jsonb_each(metadata::jsonb) AS each "
            "GROUP BY 1, 2"
        )
        found: dict[str, dict[str, int]] = {}
        for key, name, count in self.table.rows(counted):
            found.setdefault(key, {})[KINDS[name]] = count
        return found

    def sample(self, items: int, *, seed: int) -> Embeddings:
        order = "SELECT {columns} FROM {table} ORDER BY hashtextextended(id, %s), row LIMIT %s"
        found = self.table.rows(order, [seed, items])
        return records.embeddings(self.contract, [self.table.record(row) for row in found])

    def check(self, *, repair: bool) -> Inspection:
        """Compare every row with its hash; with `repair` take out those that are not as they were written."""
        items, wrong = 0, []
        for block in self.table.blocks(()):
            wrong += [row[0] for row in block if record_of(row).digest() != row[-1]]
            items += len(block)
        if wrong and repair:
            self.table.rows("DELETE FROM {table} WHERE id = ANY(%s) RETURNING 1", [wrong])
        items -= len(wrong)
        return records.inspection(items, wrong=wrong, place=str(self.path), dropped=repair)

    # ---- writing

    def put(
        self, embeddings: Embeddings, vectors: Float[np.ndarray, "n dim"], metadata: Sequence[str]
    ) -> int:
        records.check_long({*embeddings.ids, *embeddings.labels})
        given = map(Record, embeddings.ids, embeddings.labels, metadata, vectors)
        with self.table.transaction():
            self.table.connection.execute(
                "CREATE TEMP TABLE given (id text, label text, metadata text, vector vector, hash "
                "bytea) ON COMMIT DROP"
            )
            with self.table.connection.cursor().copy(
                "COPY given FROM STDIN (FORMAT BINARY)"
            ) as copy:
                copy.set_types(["text", "text", "text", "vector", "bytea"])
                for each in given:
                    copy.write_row((*each, each.digest()))
            changed = self.table.connection.execute(
                self.table.named(
                    "INSERT INTO {table} AS old (id, label, metadata, vector, hash) "
                    "SELECT id, label, metadata::json, vector, hash FROM given "
                    "ON CONFLICT (id) DO UPDATE SET row = excluded.row, label = excluded.label, "
                    "metadata = excluded.metadata, vector = excluded.vector, hash = excluded.hash "
                    "WHERE old.hash <> excluded.hash"
                )
            ).rowcount
        if changed:
            self._build()
        return changed

    def _build(self) -> None:
        """Build the graph once a scan would read too many rows; readers go on meanwhile."""
        if (
            self.table.graph is None
            or self.table.graph_is_built()
            or self.count(EXACT_UP_TO + 1) <= EXACT_UP_TO
        ):
            return
        make = "CREATE INDEX IF NOT EXISTS {graph} ON {table} USING hnsw (({vector}) {operations})"
        try:
            with self.table.transaction():
                self.table.connection.execute(
                    "SELECT set_config('maintenance_work_mem', %s, true)", [BUILD_MEMORY]
                )
                self.table.connection.execute(self.table.named(make, self.table.graph))
                self.table.connection.execute(self.table.named("ANALYZE {table}"))
        except StoreError as error:
            raise StoreError(
                f"the items are kept, but their graph is not built, so searches scan: {error}"
            ) from error

    def remove(self, ids: Sequence[str]) -> None:
        asked = [name for name in ids if "\0" not in name]
        with self.table.transaction():
            gone = self.table.rows("DELETE FROM {table} WHERE id = ANY(%s) RETURNING id", [asked])
            records.refuse_missing(ids, {name for (name,) in gone}, str(self.path))

    def unknown(self, labels: Sequence[str]) -> list[str]:
        """Labels that no item has."""
        asked = [label for label in labels if "\0" not in label]
        rows = self.table.rows("SELECT DISTINCT label FROM {table} WHERE label = ANY(%s)", [asked])
        known = {label for (label,) in rows}
        return [label for label in labels if label not in known]

    def forget(self, labels: tuple[str, ...]) -> Erasure:
        gone = self.table.rows(
            "DELETE FROM {table} WHERE label = ANY(%s) RETURNING id", [list(labels)]
        )
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return Erasure(labels=labels, ids=tuple(name for (name,) in gone), at=now, note=NOTE)

    # ---- searching

    def search(
        self,
        queries: Float[np.ndarray, "q dim"],
        k: int,
        filters: Sequence[Condition],
        *,
        exact: bool,
    ) -> list[list[Hit]]:
        if not (k := self.count(k)):
            return [[] for _ in queries]
        if exact and len(queries) >= MANY_QUERIES:
            return records.scan(self.contract, queries, self.table.matching(filters), k=k)
        found = self._records(queries, k, filters, exact=exact)
        return [
            records.ranked(self.contract, *each)[:k] for each in zip(queries, found, strict=True)
        ]

    def shortlist(
        self, queries: Float[np.ndarray, "q dim"], items: int, filters: Sequence[Condition]
    ) -> list[Embeddings]:
        items = self.count(items)
        found = self._records(queries, items, filters, exact=False)
        best = [
            records.nearest_first(self.plain, *each)[:items]
            for each in zip(queries, found, strict=True)
        ]
        return [records.embeddings(self.contract, near) for near in best]

    def _records(
        self,
        queries: Float[np.ndarray, "q dim"],
        k: int,
        filters: Sequence[Condition],
        *,
        exact: bool,
    ) -> list[list[Record]]:
        """At least `k` rows near each query, if so many pass the filter."""
        passing = narrowed(self.table, filters)
        walked = not exact and passing[0] != LISTED and self.table.graph_is_built()
        found = self._settled(queries, k, passing, graph=walked)
        # a walk through the graph may end before it has met enough rows that pass the filter
        if short := [number for number, near in enumerate(found) if len(near) < k and walked]:
            again = self._settled(queries[short], k, passing, graph=False)
            for number, near in zip(short, again, strict=True):
                found[number] = near
        return found

    def _settled(
        self, queries: Float[np.ndarray, "q dim"], k: int, passing: Passing, *, graph: bool
    ) -> list[list[Record]]:
        """The nearest rows, with all ties at the k-th, so that the exact scores decide."""
        found: list[list[Record]] = [[] for _ in queries]
        todo, asked = list(range(len(queries))), k + records.SPARE
        while todo:
            again = []
            for number, near in zip(
                todo, nearest(self.table, queries[todo], asked, passing, graph=graph), strict=True
            ):
                found[number] = near
                hits = records.ranked(self.plain, queries[number], near)
                if len(near) == asked and not records.decided(
                    self.plain, queries[number], near, hits=hits, k=k
                ):
                    again.append(number)
            todo, asked = again, 4 * asked
        return found

    def search_range(
        self, queries: Float[np.ndarray, "q dim"], score: float, filters: Sequence[Condition]
    ) -> list[list[Hit]]:
        if len(queries) >= MANY_QUERIES:
            return records.scan_range(self.contract, queries, self.table.matching(filters), score)
        furthest = records.bound(self.contract, score)
        if self.contract.distance == "squared_euclidean":
            furthest = np.sqrt(max(0.0, furthest))
        found = within(self.table, queries, furthest, narrowed(self.table, filters))
        return records.in_range(self.contract, queries, found, score)

"""Salvage of a damaged index: read the whole rows that SQLite can still reach, and write them into a new database."""

import contextlib
import heapq
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from twofold.errors import DamagedIndex
from twofold.files import new_folder
from twofold.store.sqlite.connection import TRUTH, explain
from twofold.store.sqlite.database import Database
from twofold.store.sqlite.rows import COLUMNS, State, parse, xor

__all__ = ["Seen", "rebuild", "salvaged"]

ROWS_AT_ONCE = 4096
"""Rows read in one query: bounds the memory of a check."""


HOPELESS = 5000
"""Failed reads after which the table's root is taken to be gone, if no row could be read."""


MOST_FAILED = 100_000
"""Failed reads at most, some seconds of them; what was not tried by then counts as unreachable. A
lost page costs about ten, since whole ranges are tried first."""


NOTHING_KNOWN = 2**20
"""Row numbers tried beyond the last readable one, if it is unknown how many there are."""


@dataclass
class Seen:
    """What a reading of the whole database has found.

    Attributes:
        acknowledged: the last acknowledged write. state: as it is in the file; None if it is
            damaged.
        items, last, generation: of the whole rows. spoilt: rows that are not as they were written.
        unreachable: ranges of row numbers that SQLite cannot read.
    """

    acknowledged: int = 0
    state: State | None = None
    items: int = 0
    last: int = 0
    generation: int = 0
    checksum: bytes = bytes(32)
    spoilt: list[str] = field(default_factory=list)
    unreachable: list[str] = field(default_factory=list)

    def counted(self) -> bool:
        """Whether these are the rows that were written."""
        return self.state is not None and (self.items, self.checksum) == (
            self.state.items,
            self.state.checksum,
        )


def salvaged(database: Database, seen: Seen) -> Iterator[list[tuple[Any, ...]]]:
    """All whole rows, as records of `COLUMNS`, a block at a time; what is not whole is noted in `seen`.

    A range of rows that cannot be read to its end is halved, and the largest range is tried first.
    """
    seen.items, seen.checksum, seen.spoilt, seen.unreachable = 0, bytes(32), [], []
    # size (negative), and the numbers that bound the range
    todo, failed = [(-(2**62), 0, 2**62)], 0
    known = last_row(database)
    while todo and failed < (MOST_FAILED if seen.items else HOPELESS):
        _, low, high = heapq.heappop(todo)
        last = low
        try:
            for block in read(database, low, high):
                last = block[-1][0]
                yield whole(block, seen)
        except (sqlite3.Error, UnicodeDecodeError):
            failed += 1
            top = min(high, max(known or last + NOTHING_KNOWN, last + 1))
            if top - last <= 1:
                seen.unreachable.append(f"row {last + 1}")
                continue
            middle = (last + top) // 2
            heapq.heappush(todo, (last - middle, last, middle))
            heapq.heappush(todo, (middle - top, middle, top))
    seen.unreachable += [
        f"rows {low + 1} to {high}" for _, low, high in sorted(todo, key=lambda each: each[1])
    ]


def read(database: Database, low: int, high: int) -> Iterator[list[tuple[Any, ...]]]:
    """Records with numbers above `low` up to `high`, from the table itself."""
    query = f"SELECT {COLUMNS} FROM items NOT INDEXED WHERE row > ? AND row <= ? ORDER BY row LIMIT {ROWS_AT_ONCE}"
    while block := database.connection.execute(query, (low, high)).fetchall():
        yield block
        low = block[-1][0]


def last_row(database: Database) -> int | None:
    """The largest row number, by the state or the table; None if neither can be read."""
    with contextlib.suppress(DamagedIndex, sqlite3.Error):
        return database.state().last
    with contextlib.suppress(sqlite3.Error):
        return int(
            database.connection.execute("SELECT coalesce(max(row), 0) FROM items").fetchone()[0]
        )
    return None


def whole(block: list[tuple[Any, ...]], seen: Seen) -> list[tuple[Any, ...]]:
    """The records of a block that are as they were written."""
    kept = [record for record in block if parse(record) is not None]
    good = {record[0] for record in kept}
    seen.spoilt += [f"row {record[0]} ({record[2]!r})" for record in block if record[0] not in good]
    seen.items += len(kept)
    seen.checksum = xor([seen.checksum, *(record[-1] for record in kept)])
    seen.last = max(seen.last, *(record[0] for record in block))
    seen.generation = max([seen.generation, *(record[1] for record in kept)])
    return kept


def rebuild(database: Database, seen: Seen) -> None:
    """Write whole rows, keys and the audit log into a new database that replaces the old one."""
    about = database.pinned()  # without it there is nothing to rebuild
    with suspended(database), new_folder(database.folder, marker=TRUTH, private=True) as folder:
        Database.create_pinned(folder, about)
        with contextlib.closing(Database.open(folder)) as fresh, fresh.writing():
            for records in salvaged(database, seen):
                known = "CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT)"
                fresh.connection.executemany(
                    f"INSERT OR IGNORE INTO items VALUES (?, ?, {known}, CAST(? AS TEXT), ?, ?)",
                    records,
                )
            for table, marks in (("subjects", "?, ?"), ("audit", "?, ?, ?, ?, ?, ?")):
                copied(database, fresh, table, marks)
            old = seen.state or State()
            fresh.write_state(
                replace(
                    old,
                    generation=max(old.generation, seen.generation) + 1,
                    floor=max(old.generation, seen.generation) + 1,
                    items=seen.items,
                    last=max(old.last, seen.last),
                    checksum=seen.checksum,
                    erasing=False,
                )
            )


@contextlib.contextmanager
def suspended(database: Database) -> Iterator[None]:
    """Let nobody write to a database that is about to be replaced; a damaged one may not even take a lock.

    Raises:
        StoreError: somebody is writing.
    """
    with explain(database.folder):
        try:
            database.connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
                raise
    try:
        yield
    finally:
        if database.connection.in_transaction:
            database.connection.execute("ROLLBACK")


def copied(database: Database, fresh: Database, table: str, marks: str) -> None:
    """Copy what can be read of a table."""
    with contextlib.suppress(sqlite3.Error, UnicodeDecodeError):
        for record in database.connection.execute(f"SELECT * FROM {table}"):
            fresh.connection.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", record)

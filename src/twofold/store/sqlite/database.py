"""The rows of an index in SQLite, its only truth: durable once a call returns, hashed row by row, erased when asked.

The kill tests showed what it takes: WAL with synchronous=FULL (an acknowledged row survives a kill
and a power cut), secure_delete (a deleted row is overwritten), a SHA-256 per row and a checksum
over all rows (a flipped bit, a row too many or too few is found on load). Nothing in the file is
ever run: a foreign trigger or view is refused.
"""

import contextlib
import json
import secrets
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from twofold.contract import Contract
from twofold.errors import StoreError
from twofold.files import spares
from twofold.plurals import counted
from twofold.store import audit
from twofold.store.protection.seals import Plain, Seal
from twofold.store.sqlite.connection import (
    TRUTH,
    WAIT_SECONDS,
    connect,
    connect_somehow,
    explain,
    explained,
    log_of,
    stands,
    warn_of_long_read,
)
from twofold.store.sqlite.locks import Use, users
from twofold.store.sqlite.mark import Mark
from twofold.store.sqlite.rows import (
    COLUMNS,
    HASH,
    Pinned,
    Record,
    Row,
    State,
    clock,
    damaged,
    parse,
)
from twofold.store.sqlite.tables import check_format, make_tables

__all__ = ["TRUTH", "Database", "Plain", "Seal", "clock"]

INSERT = "INSERT INTO items (row, generation, id, label, added, metadata, vector, hash"
INSERTS = {
    8: f"{INSERT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    10: f"{INSERT}, expires, revoked) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
}
"""By the length of a `Record`."""

# deleted rows listed for readers that follow: so many, or as many as there are rows
PRUNE_EVERY, KEPT_GONE = 64, 10_000


class Database:
    """An open `truth.sqlite`. A method that writes is one transaction; call methods that read inside `reading`.

    Its `seal` stands between vectors and the file.
    """

    def __init__(self, connection: sqlite3.Connection, folder: Path) -> None:
        self.connection = connection
        self.folder = folder
        self.seal: Seal = Plain()
        self.mark = Mark(folder)
        # one thread at a time: a transaction belongs to the connection, not to a thread
        self.lock = threading.RLock()
        self._file = identity(folder / TRUTH)
        # as it was at `_version` of SQLite's counter of others' writes
        self._state: State | None = None
        self._version = -1
        self._written = 0
        self._checked = self.closed = False

    @classmethod
    def create(cls, folder: Path, contract: Contract, *, protection: str = "{}") -> None:
        """Write an empty database into a folder."""
        text = json.dumps(contract.to_dict(), sort_keys=True)
        key = (
            secrets.token_bytes(32) if protection == "{}" else b""
        )  # a protected one has it inside
        cls.create_pinned(folder, Pinned(contract=text, audit_key=key, protection=protection))

    @classmethod
    def create_pinned(cls, folder: Path, pinned: Pinned) -> None:
        """Write an empty database with what it is pinned to."""
        with explain(folder), contextlib.closing(connect(folder, "rwc")) as connection:
            make_tables(connection)
            database = cls(connection, folder)
            with database.writing():
                database.pin(pinned)
                database.write_state(State())

    @classmethod
    def open(cls, folder: Path) -> "Database":
        """Open what `create` wrote; on a disk that cannot be written, for reading.

        Raises:
            StoreError: not an index, or one of another format. DamagedIndex: SQLite cannot read it.
        """
        if not stands(folder):
            left = "is a copy of one that a killed repair has left: rename it"
            copies = "".join(f"; {path} {left}" for path in spares(folder))
            raise StoreError(
                f"{folder} is not an index: it holds no {TRUTH}; "
                f"`twofold index` or `enrol` makes one{copies}"
            )
        with explain(folder):
            connection = connect_somehow(folder)
            try:
                check_format(connection, folder)
            except BaseException:
                connection.close()
                raise
        return cls(connection, folder)

    def close(self) -> None:
        """Close the file; the last one to close also empties the write-ahead log. Closing twice does no harm."""
        with self.lock:
            if self.closed:
                return
            self.closed = True
            self.connection.close()
        self.mark.close(remove=self._checked and not log_of(self.folder).exists())

    # ---- transactions

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """All reads of the block see one state, whoever writes meanwhile. Keep it short: it delays erasures."""
        with self.lock:
            try:
                if self.connection.in_transaction:
                    yield
                    return
                if identity(self.folder / TRUTH) != self._file:
                    raise self._replaced()
                began = time.monotonic()
                with self.connection:
                    self.connection.execute("BEGIN")
                    yield
                if (seconds := time.monotonic() - began) > WAIT_SECONDS and self.state().erasing:
                    warn_of_long_read(self.folder, seconds)
            except (sqlite3.Error, UnicodeDecodeError) as error:
                raise explained(self.folder / TRUTH, error) from error

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """All of the block or nothing, and nobody else writes meanwhile."""
        with self.lock, explain(self.folder):
            if identity(self.folder / TRUTH) != self._file:
                raise self._replaced()
            self._written = 0
            try:
                with self.connection:
                    self.connection.execute("BEGIN IMMEDIATE")
                    yield
            except BaseException:
                self._state = None  # it may describe what was not kept
                raise
            if self._written:
                self.mark.write(self._written)

    def _replaced(self) -> StoreError:
        """The error if another file has taken the place of the open one, so that writes would be lost."""
        return StoreError(
            f"{self.folder} was moved, deleted or replaced (by "
            "a repair, say) while it was open: open it again"
        )

    def check_mark(self) -> None:
        """Raise DamagedIndex if acknowledged writes are missing from the state."""
        # before the state: a write between the two only raises the state
        acknowledged = self.mark.read()
        found = self.state().generation
        if found < acknowledged:
            raise damaged(
                f"{self.folder} is at write {found}, and write {acknowledged} was "
                "acknowledged: its write-ahead log is damaged or missing"
            )
        self._checked = True

    # ---- reading

    def pinned(self) -> Pinned:
        """What the index is pinned to, checked against its hash."""
        record = self.connection.execute(
            "SELECT CAST(contract AS BLOB), audit_key, CAST(protection AS BLOB), hash FROM pinned"
        ).fetchone()
        found = Pinned.of(record)
        if found is None:
            raise damaged(f"what {self.folder} is pinned to is not what was written (SHA-256)")
        return found

    def state(self) -> State:
        """The state, checked against its hash; read again after another connection's write."""
        (version,) = self.connection.execute("PRAGMA data_version").fetchone()
        if self._state is None or version != self._version:
            self._state, self._version = self._read_state(), version
        return self._state

    def _read_state(self) -> State:
        record = self.connection.execute(
            "SELECT generation, items, last, checksum, erasing, floor, audits, chain, hash "
            "FROM state"
        ).fetchone()
        found = State.of(record)
        if found is None:
            raise damaged(f"the state of {self.folder} is not what was written (SHA-256)")
        return found

    def rows(
        self, condition: str = "NOT INDEXED ORDER BY row", values: Sequence[Any] = ()
    ) -> Iterator[Row]:
        """Rows, each checked against its hash; without a condition all, from the table itself, not by its indexes.

        `condition` is our own SQL behind `FROM items`. After the last row DamagedIndex names those
        that are not as they were written.
        """
        return (row for row, _ in self.hashed(condition, values))

    def hashed(
        self, condition: str = "NOT INDEXED ORDER BY row", values: Sequence[Any] = ()
    ) -> Iterator[tuple[Row, bytes]]:
        """As `rows`, each with its hash."""
        spoilt: list[str] = []
        for record in self.connection.execute(f"SELECT {COLUMNS} FROM items {condition}", values):
            row = parse(record)
            if row is None:
                spoilt.append(f"row {record[0]} ({record[2]!r})")
            else:
                yield row, record[-1]
        if spoilt:
            raise damaged(
                f"{counted(len(spoilt), 'row', 'is')} not as written (SHA-256) in {self.folder}: "
                f"{', '.join(spoilt[:5])}{' ...' if spoilt[5:] else ''}"
            )

    def numbered(self, numbers: Sequence[int]) -> dict[int, Row]:
        """Rows by number.

        Raises:
            DamagedIndex: one is not what was written, or not there.
        """
        tail = "WHERE row IN (SELECT value FROM json_each(?))"
        listed = json.dumps([int(number) for number in numbers])
        found = {row.number: row for row, _ in self.hashed(tail, (listed,))}
        if missing := [number for number in numbers if number not in found]:
            raise damaged(f"row {missing[0]} of {self.folder} is not there any more")
        return found

    def named(self, names: Sequence[str]) -> list[Row]:
        """Rows by id, in the order asked.

        Raises:
            StoreError: names an id that is not there.
        """
        found = self.standing(names)
        if missing := [name for name in names if name not in found]:
            raise StoreError(
                f"{self.folder} holds no item {missing[0]!r}: see index.ids for those it holds"
            )
        return [found[name] for name in names]

    def standing(self, names: Sequence[str]) -> dict[str, Row]:
        """The rows of these ids that are there."""
        listed = json.dumps(names, ensure_ascii=False)
        found = self.rows("WHERE id IN (SELECT value FROM json_each(?))", (listed,))
        return {row.id: row for row in found}

    def ids(self) -> tuple[str, ...]:
        """Ids of all rows, in the order of their numbers."""
        found = self.connection.execute("SELECT id FROM items NOT INDEXED ORDER BY row")
        return tuple(name for (name,) in found)

    def labels(self) -> tuple[str, ...]:
        """Labels, each once, sorted."""
        found = self.connection.execute("SELECT DISTINCT label FROM items ORDER BY label")
        return tuple(name for (name,) in found)

    def loose(self) -> set[str]:
        """Labels with deleted or replaced rows, whose bytes may be left in freed space."""
        return {name for (name,) in self.connection.execute("SELECT label FROM loose")}

    def present(self, names: Sequence[str]) -> set[str]:
        """Those of these ids that are there."""
        asked = "SELECT id FROM items WHERE id IN (SELECT value FROM json_each(?))"
        listed = json.dumps(names, ensure_ascii=False)
        return {name for (name,) in self.connection.execute(asked, (listed,))}

    def numbers(self) -> Int[np.ndarray, "n"]:
        """Numbers of all rows, ascending."""
        found = self.connection.execute(
            "SELECT row FROM items"
        )  # by the smallest index, in no order
        return np.sort(np.fromiter((number for (number,) in found), np.int64))

    def ended(self, now: str) -> Int[np.ndarray, "n"]:
        """Numbers of the rows that are expired or revoked."""
        found = self.connection.execute(
            "SELECT row FROM items WHERE (revoked IS NOT NULL OR expires IS NOT NULL) "
            "AND (revoked IS NOT NULL OR expires <= ?)",
            (now,),
        )
        return np.fromiter((number for (number,) in found), np.int64)

    def gone_since(self, generation: int) -> list[int]:
        """Numbers of the rows that were deleted after a generation, which is not below the state's floor."""
        found = self.connection.execute("SELECT row FROM gone WHERE generation > ?", (generation,))
        return [number for (number,) in found]

    # ---- writing

    def write_records(self, records: Sequence[Record]) -> list[bytearray]:
        """Write records whose numbers and ids are new; their hashes."""
        for length, insert in INSERTS.items():
            self.connection.executemany(insert, [each for each in records if len(each) == length])
        return [each[HASH] for each in records]

    def write_new(self, records: Sequence[Record]) -> int:
        """Write new records of one length whose ids are not there; returns how many."""
        insert = f"{INSERTS[len(records[0])]} ON CONFLICT (id) DO NOTHING"
        return self.connection.executemany(insert, records).rowcount

    def pruned(self, state: State) -> State:
        """Stop listing deleted rows once they outnumber the living."""
        if state.generation % PRUNE_EVERY:
            return state
        (count,) = self.connection.execute("SELECT count(*) FROM gone").fetchone()
        if count <= max(KEPT_GONE, state.items):
            return state
        self.connection.execute("DELETE FROM gone")
        return replace(state, floor=state.generation)

    def note(
        self,
        state: State,
        event: str,
        *,
        labels: Sequence[str] = (),
        named: Sequence[str] = (),
        counts: Mapping[str, int] | None = None,
    ) -> State:
        """Write into the audit log, an entry for each label.

        Args:
            labels: one for each item. named: labels that get an entry even without an item.
            counts: items by label, in place of both.
        """
        if counts is None:
            counts = {**dict.fromkeys(named, 0), **Counter(labels)}
        key = self.seal.audit_key(self.pinned())
        return audit.note(self.connection, state, event, key=key, labels=counts, at=clock())

    def pin(self, pinned: Pinned) -> None:
        """Replace what the index is pinned to."""
        self.connection.execute(
            "INSERT OR REPLACE INTO pinned VALUES (1, ?, ?, ?, ?)", pinned.record()
        )

    def write_state(self, state: State) -> State:
        """Replace the one row of the state."""
        self.connection.execute(
            "INSERT OR REPLACE INTO state VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)", state.record()
        )
        self._state, self._written = state, state.generation
        return state

    def empty_log(self) -> None:
        """Move everything from the write-ahead log to the database and truncate the log."""
        busy, *_ = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            who = users(self.folder / TRUTH, Use.READING)
            raise StoreError(f"{who} reads {self.folder}: let it end")


def identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of the file at a path; None: no file that can be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino

"""The rows of an index in SQLite, its only truth: durable once a call returns, hashed row by row, erased when asked.

What makes it so, and what it cost in the kill tests: WAL with synchronous=FULL (an acknowledged row survives a kill and
a power cut), secure_delete (a deleted row is overwritten), a SHA-256 a row and a checksum over all rows (a flipped bit,
a row too many or too few is found on load). Nothing in the file is ever run: a foreign trigger or view is refused.
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, NamedTuple

from twofold.contract import Contract
from twofold.errors import DamagedIndex, StoreError, TwofoldError

__all__ = ["TRUTH", "Database", "Row", "State"]

TRUTH = "truth.sqlite"
FORMAT = 1
APPLICATION = 0x74776F66  # "twof", in the header of the file
PAGE = 8192  # bytes: three rows of 512 numbers; in pages of 4096 a row would waste half of one
WAIT_SECONDS = 5.0  # for another writer to finish before it is said

SCHEMA = {
    "items": "CREATE TABLE items (row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, label TEXT NOT NULL, "
    "vector BLOB NOT NULL, added TEXT NOT NULL, metadata TEXT NOT NULL, hash BLOB NOT NULL)",
    "items_by_label": "CREATE INDEX items_by_label ON items (label)",
    "state": "CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), contract TEXT NOT NULL, "
    "generation INTEGER NOT NULL, items INTEGER NOT NULL, checksum BLOB NOT NULL, erasing INTEGER NOT NULL, "
    "hash BLOB NOT NULL)",
}


class Row(NamedTuple):
    """One item at rest; the vector as little-endian float32."""

    id: str
    label: str
    vector: bytes


@dataclass(frozen=True, kw_only=True)
class State:
    """What is known of all rows together.

    Attributes:
        contract: JSON of the contract that the rows are pinned to.
        generation: number of writes so far; readers see by it that the rows have changed.
        items: number of rows.
        checksum: XOR of the rows' hashes: a lost or doubled row shows, and one write costs one row.
        erasing: True while deleted rows may still stand in freed places of the files.
    """

    contract: str
    generation: int = 0
    items: int = 0
    checksum: bytes = bytes(32)
    erasing: bool = False

    def digest(self) -> bytes:
        """SHA-256 of the state."""
        numbers = f"{self.generation} {self.items} {int(self.erasing)}"
        return digest(self.contract.encode(), numbers.encode(), self.checksum)


class Database:
    """An open `truth.sqlite`; every method is one transaction, all or nothing."""

    def __init__(self, connection: sqlite3.Connection, folder: Path) -> None:
        self.connection = connection
        self.folder = folder

    @classmethod
    def create(cls, folder: Path, contract: Contract) -> None:
        """Write an empty database into a folder."""
        with explain(folder), contextlib.closing(connect(folder, "rwc")) as connection:
            connection.execute(f"PRAGMA page_size={PAGE}")
            connection.execute(f"PRAGMA application_id={APPLICATION}")
            connection.execute(f"PRAGMA user_version={FORMAT}")
            connection.execute("PRAGMA journal_mode=WAL")
            for statement in SCHEMA.values():
                connection.execute(statement)
            database = cls(connection, folder)
            with database.transaction():
                database.write_state(State(contract=json.dumps(contract.to_dict(), sort_keys=True)))

    @classmethod
    def open(cls, folder: Path) -> "Database":
        """Open what `create` wrote; on a disk that cannot be written, for reading.

        Raises:
            StoreError: no index, a file that is no index, or one of a later format.
            DamagedIndex: not a readable database any more.
        """
        if not (folder / TRUTH).is_file():
            raise StoreError(f"{folder} is no index: it holds no {TRUTH}; Index.create makes one")
        with explain(folder):
            connection = connect_somehow(folder)
            try:
                check_format(connection, folder)
            except BaseException:
                connection.close()
                raise
        return cls(connection, folder)

    def close(self) -> None:
        """Close the file; the last one to close also empties the write-ahead log."""
        self.connection.close()

    def generation(self) -> int:
        """Number of writes so far, by any process."""
        with explain(self.folder):
            return self.connection.execute("SELECT generation FROM state").fetchone()[0]

    def state(self) -> State:
        """The state, checked against its own hash."""
        found: Any = self.connection.execute(
            "SELECT CAST(contract AS BLOB), generation, items, checksum, erasing, hash FROM state"
        ).fetchone()
        try:
            contract, generation, items, checksum, erasing, hashed = found
            state = State(
                contract=contract.decode(),
                generation=generation,
                items=items,
                checksum=checksum,
                erasing=bool(erasing),
            )
            if state.digest() == hashed:
                return state
        except (AttributeError, TypeError, ValueError):  # not even of the right kind
            pass
        raise DamagedIndex(f"the state of {self.folder} is not as it was written (SHA-256): restore it from a copy")

    def load(self) -> tuple[State, list[Row]]:
        """Every row in the order in which it was first added, each checked against its hash.

        Raises:
            DamagedIndex: names the rows that are not as they were written.
        """
        with explain(self.folder), self.transaction("DEFERRED"):
            state = self.state()
            rows, damaged, checksum = [], [], 0
            # NOT INDEXED: the table itself, whatever has become of its indexes
            for number, *parts, found in self.connection.execute(
                "SELECT row, CAST(id AS BLOB), CAST(label AS BLOB), vector, CAST(added AS BLOB), "
                "CAST(metadata AS BLOB), hash FROM items NOT INDEXED ORDER BY row"
            ):
                if not all(isinstance(part, bytes) for part in parts) or digest(*parts) != found:
                    damaged.append(f"row {number} ({parts[0]!r})")
                    continue
                checksum ^= int.from_bytes(found)
                rows.append(Row(parts[0].decode(), parts[1].decode(), parts[2]))
        if damaged:
            raise DamagedIndex(
                f"{len(damaged)} of {state.items} rows of {self.folder} are not as they were written (SHA-256): "
                f"{', '.join(damaged[:5])}{' ...' if damaged[5:] else ''}: restore it from a copy or build it again"
            )
        if (len(rows), checksum.to_bytes(32)) != (state.items, state.checksum):
            raise DamagedIndex(
                f"{self.folder} holds {len(rows)} whole rows where {state.items} were written: some are lost or "
                "foreign. Restore the index from a copy or build it again"
            )
        return state, rows

    def put(self, rows: Sequence[Row]) -> tuple[int, int]:
        """Insert rows or replace those of the same id; a row that stands there already is left alone.

        Returns:
            The generation after it, and how many rows are new or changed.
        """
        with explain(self.folder), self.transaction():
            state, changed = self.state(), 0
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            for row in rows:
                old = self.connection.execute("SELECT hash, added FROM items WHERE id = ?", (row.id,)).fetchone()
                if old and hash_row(row, old[1]) == old[0]:
                    continue
                found = hash_row(row, now)
                self.connection.execute(
                    "INSERT INTO items (id, label, vector, added, metadata, hash) VALUES (?, ?, ?, ?, '{}', ?) "
                    "ON CONFLICT (id) DO UPDATE SET label = excluded.label, vector = excluded.vector, "
                    "added = excluded.added, metadata = excluded.metadata, hash = excluded.hash",
                    (row.id, row.label, row.vector, now, found),
                )
                state = counted(state, hashes=[found, old[0]] if old else [found], items=0 if old else 1)
                changed += 1
            if changed:
                state = self.write_state(replace(state, generation=state.generation + 1))
        return state.generation, changed

    def delete(self, column: Literal["id", "label"], values: Sequence[str]) -> tuple[int, list[str]]:
        """Delete the rows in which a column has one of these values; deleting a label starts what `erase` ends.

        Returns:
            The generation after it, and the ids of the rows.
        """
        with explain(self.folder), self.transaction():
            state, ids = self.state(), []
            for wanted in values:
                # the column is one of two words of ours, never a user's
                for name, found in self.connection.execute(f"SELECT id, hash FROM items WHERE {column} = ?", (wanted,)):
                    state = counted(state, hashes=[found], items=-1)
                    ids.append(name)
                self.connection.execute(f"DELETE FROM items WHERE {column} = ?", (wanted,))
            erasing = state.erasing or column == "label"
            state = self.write_state(replace(state, generation=state.generation + 1, erasing=erasing))
        return state.generation, ids

    def erase(self) -> None:
        """Leave no byte of a deleted row in any file: write the database anew and empty the write-ahead log.

        Raises:
            StoreError: another process reads, so that old pages must stay; it is made up for at the next `open`.
        """
        try:
            # secure_delete alone leaves what a page split moved away; a rebuilt file holds live rows only
            with explain(self.folder):
                self.connection.execute("VACUUM")
                self.empty_log()
                with self.transaction():
                    self.write_state(replace(self.state(), erasing=False))
                self.empty_log()
        except StoreError as error:
            raise StoreError(
                f"the rows are deleted, but their bytes are not yet overwritten: {error}. "
                "The next one to open the index does it"
            ) from error

    def empty_log(self) -> None:
        """Move everything from the write-ahead log to the database and cut the log to nothing."""
        busy, *_ = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise StoreError(f"another process reads {self.folder}: let it end")

    def write_state(self, state: State) -> State:
        """Replace the one row of the state."""
        self.connection.execute(
            "INSERT OR REPLACE INTO state VALUES (1, ?, ?, ?, ?, ?, ?)",
            (state.contract, state.generation, state.items, state.checksum, int(state.erasing), state.digest()),
        )
        return state

    @contextlib.contextmanager
    def transaction(self, kind: str = "IMMEDIATE") -> Iterator[None]:
        """All of the block or nothing; IMMEDIATE takes the one writer's place first."""
        self.connection.execute(f"BEGIN {kind}")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise


def connect_somehow(folder: Path) -> sqlite3.Connection:
    """A connection that writes, or where the disk forbids that, one that reads."""
    try:
        connection = connect(folder, "rw")
    except sqlite3.OperationalError as error:
        if not told(error).startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")) or unfinished(folder):
            raise
        return connect(folder, "ro&immutable=1")
    return connection


def unfinished(folder: Path) -> bool:
    """Whether a write-ahead log stands beside the database: without it the database is not the whole truth."""
    log = folder / f"{TRUTH}-wal"
    return log.exists() and log.stat().st_size > 0


def connect(folder: Path, mode: str) -> sqlite3.Connection:
    """Open the database so that a write is durable, a deletion overwrites, and nothing in the file is run."""
    place = (folder / TRUTH).absolute().as_uri()
    connection = sqlite3.connect(f"{place}?mode={mode}", uri=True, isolation_level=None, timeout=WAIT_SECONDS)
    try:
        for setting in ("synchronous=FULL", "secure_delete=ON", "foreign_keys=ON", "trusted_schema=OFF"):
            connection.execute(f"PRAGMA {setting}")
        # a rebuild's temporary copy would leave vectors in the system's folder for such things
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def check_format(connection: sqlite3.Connection, folder: Path) -> None:
    """Refuse a database that is not ours, of a later format, or with more in it than we put there."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION:
        raise StoreError(f"{folder / TRUTH} is a database of something else (application {application}), no index")
    if number > FORMAT:
        raise StoreError(f"{folder} has format {number}, this twofold reads up to {FORMAT}: upgrade twofold")
    found = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_autoindex%'"))
    if number != FORMAT or found != SCHEMA:
        raise DamagedIndex(f"the tables of {folder / TRUTH} are not those of format {FORMAT}: restore it from a copy")


def counted(state: State, *, hashes: Sequence[bytes], items: int) -> State:
    """The state with some rows' hashes taken into the checksum, or out of it: XOR is its own inverse."""
    checksum = int.from_bytes(state.checksum)
    for found in hashes:
        checksum ^= int.from_bytes(found)
    return replace(state, checksum=checksum.to_bytes(32), items=state.items + items)


def hash_row(row: Row, added: str) -> bytes:
    """SHA-256 of a row."""
    return digest(row.id.encode(), row.label.encode(), row.vector, added.encode(), b"{}")


def digest(*parts: bytes) -> bytes:
    """SHA-256 of byte strings, each with its length before it, so that no two lists of parts are alike."""
    return sha256(b"".join(len(part).to_bytes(8) + part for part in parts)).digest()


def told(error: Any) -> str:
    """SQLite's own name for an error."""
    return getattr(error, "sqlite_errorname", "") or ""


REASONS = {
    "SQLITE_BUSY": "another process is writing to {place}, and did not finish in {seconds:g} s: try again, or end it",
    "SQLITE_LOCKED": "another use of {place} holds it: end that first",
    "SQLITE_READONLY": "{place} cannot be written: its disk, its folder or its file is read-only; nothing was changed",
    "SQLITE_CANTOPEN": "{place} cannot be opened: look at the rights of its folder and file; nothing was changed",
    "SQLITE_FULL": "the disk of {place} is full: this call was not kept, all before it was; make room and repeat it",
    "SQLITE_IOERR": "the disk of {place} failed ({error}): nothing of this call was kept; look at the disk",
}


@contextlib.contextmanager
def explain(folder: Path) -> Iterator[None]:
    """SQLite's errors, told as what is wrong with this index and what to do."""
    try:
        yield
    except TwofoldError:
        raise
    except (sqlite3.Error, UnicodeDecodeError) as error:  # SQLite's own message can hold the damaged bytes
        for name, reason in REASONS.items():
            if told(error).startswith(name):
                message = reason.format(place=folder / TRUTH, seconds=WAIT_SECONDS, error=error)
                raise StoreError(message) from error
        raise DamagedIndex(
            f"{folder / TRUTH} is not a readable database any more ({error}): restore it from a copy"
        ) from error

"""SQLite as an index uses it: durable commits, deletes that overwrite, nothing in a file is run; its errors told."""

import contextlib
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from twofold.errors import LongRead, StoreError, TwofoldError
from twofold.store.sqlite.locks import Use, users
from twofold.store.sqlite.rows import damaged

__all__ = ["TRUTH", "connect", "connect_somehow", "explain", "log_of", "moment", "transaction"]

TRUTH = "truth.sqlite"
WAIT_SECONDS = 5.0  # for another writer to finish before it is said


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
    log = log_of(folder)
    return log.exists() and log.stat().st_size > 0


def log_of(folder: Path) -> Path:
    """The write-ahead log of an index."""
    return folder / f"{TRUTH}-wal"


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


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection, kind: str) -> Iterator[None]:
    """All of the block or nothing; IMMEDIATE takes the one writer's place first, DEFERRED sees one moment."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def moment(connection: sqlite3.Connection, folder: Path, erasing: Callable[[], bool]) -> Iterator[None]:
    """All reads of the block see one moment; LongRead warns of a block for which an erasure has waited in vain.

    Args:
        erasing: whether one is not finished, when the block has ended.
    """
    began = time.monotonic()
    with transaction(connection, "DEFERRED"):
        yield
    seconds = time.monotonic() - began
    if seconds > WAIT_SECONDS and erasing():
        warnings.warn(
            f"this read of {folder} took {seconds:.1f} s, and an erasure waits {WAIT_SECONDS:g}: rows were deleted "
            "meanwhile whose bytes are not yet overwritten. Open the index again, which does it; and read less at once",
            LongRead,
            stacklevel=2,
        )


def told(error: Any) -> str:
    """SQLite's own name for an error."""
    return getattr(error, "sqlite_errorname", "") or ""


REASONS = {
    "SQLITE_BUSY": "{who} is writing to {place}, and did not finish in {seconds:g} s: try again, or end it",
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
        place = folder / TRUTH
        for name, reason in REASONS.items():
            if told(error).startswith(name):
                who = users(place, Use.WRITING)
                raise StoreError(reason.format(place=place, seconds=WAIT_SECONDS, error=error, who=who)) from error
        raise damaged(f"{place} is not a readable database any more ({error})") from error

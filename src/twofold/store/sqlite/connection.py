"""Connections to SQLite: durable commits, deletes that overwrite, nothing in a file is run; errors in plain words."""

import contextlib
import os
import sqlite3
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twofold.errors import LongRead, StoreError, TwofoldError
from twofold.files import PRIVATE_FILE
from twofold.store.sqlite.locks import Use, users
from twofold.store.sqlite.rows import damaged

__all__ = [
    "TRUTH",
    "WAIT_SECONDS",
    "closed",
    "connect",
    "connect_somehow",
    "explain",
    "explained",
    "log_of",
    "make_private_file",
    "stands",
    "warn_of_long_read",
]

TRUTH = "truth.sqlite"
WAIT_SECONDS = 5.0  # for another writer to finish before an error


def stands(folder: Path) -> bool:
    """Whether a folder holds a database.

    Raises:
        StoreError: this user may not look into the folder.
    """
    try:
        return stat.S_ISREG((folder / TRUTH).stat().st_mode)
    except PermissionError as error:
        raise StoreError(
            f"{folder} may not be opened by this user: check its permissions"
        ) from error
    except (OSError, ValueError):  # not there, a loop of links, or no path at all
        return False


def connect_somehow(folder: Path) -> sqlite3.Connection:
    """A connection that writes, or one that reads if the disk forbids writing."""
    try:
        connection = connect(folder, "rw")
    except sqlite3.OperationalError as error:
        if not told(error).startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")) or unfinished(folder):
            raise
        return connect(folder, "ro&immutable=1")
    return connection


def unfinished(folder: Path) -> bool:
    """Whether there is a write-ahead log beside the database, without which the database is incomplete."""
    log = log_of(folder)
    return log.exists() and log.stat().st_size > 0


def log_of(folder: Path) -> Path:
    """The write-ahead log of an index."""
    return folder / f"{TRUTH}-wal"


def connect(folder: Path, mode: str) -> sqlite3.Connection:
    """Open the database so that a write is durable, a deletion overwrites, and nothing in the file is run."""
    place = (folder / TRUTH).absolute().as_uri()
    if mode == "rwc":
        make_private_file(folder / TRUTH)
    connection = sqlite3.connect(
        f"{place}?mode={mode}",
        uri=True,
        isolation_level=None,
        timeout=WAIT_SECONDS,
        check_same_thread=False,  # `Database.lock` lets one thread in at a time
    )
    try:
        for setting in (
            "synchronous=FULL",
            "secure_delete=ON",
            "foreign_keys=ON",
            "trusted_schema=OFF",
        ):
            connection.execute(f"PRAGMA {setting}")
        # a rebuild's temporary copy would leave vectors in the system's temporary folder
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def make_private_file(path: Path) -> None:
    """Make an empty file that only its owner may read; SQLite gives the files beside it the same mode."""
    with contextlib.suppress(FileExistsError):
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE_FILE)
        os.close(handle)


def warn_of_long_read(folder: Path, seconds: float) -> None:
    """Warn (LongRead) of a read for which an erasure has waited in vain."""
    warnings.warn(
        f"this read of {folder} took {seconds:.1f} s, and an erasure waits {WAIT_SECONDS:g}: rows "
        "were deleted meanwhile whose bytes are not yet overwritten. Open the index again, which "
        "does it; and read less at once",
        LongRead,
        stacklevel=4,
    )


def told(error: Any) -> str:
    """SQLite's own name for an error."""
    return getattr(error, "sqlite_errorname", "") or ""


REASONS = {
    "SQLITE_BUSY": "{who} is writing to {place}, and did "
    "not finish in {seconds:g} s: try again, or end it",
    "SQLITE_LOCKED": "another use of {place} holds it: end that first",
    "SQLITE_READONLY_DBMOVED": "{place} was moved, deleted "
    "or replaced while it was open: open the index again",
    "SQLITE_READONLY": "{place} cannot be written: its disk, "
    "its folder or its file is read-only; nothing was changed",
    "SQLITE_CANTOPEN": "{place} cannot be opened: check the "
    "permissions of its folder and file; nothing was changed",
    "SQLITE_PERM": "{place} may not be used by this "
    "user: check the permissions of its folder and file",
    "SQLITE_AUTH": "{place} may not be used by this "
    "user: check the permissions of its folder and file",
    "SQLITE_PROTOCOL": "{place} cannot be locked: its disk does not lock files as SQLite needs it "
    "(a network disk?); keep the index on a local disk",
    "SQLITE_NOLFS": "the disk of {place} does not take "
    "files so large: keep the index on another disk",
    "SQLITE_NOMEM": "there is too little memory for {place}: "
    "nothing of this call was kept; add fewer items at once",
    "SQLITE_TOOBIG": "an item is too large for {place} ({error}): shorten its metadata",
    "SQLITE_INTERRUPT": "the call on {place} was interrupted: nothing of it was kept",
    "SQLITE_FULL": "the disk of {place} is full: this call "
    "was not kept, all before it was; make room and repeat it",
    "SQLITE_IOERR": "the disk of {place} failed ({error}): "
    "nothing of this call was kept; is the disk full, or broken?",
}


DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_FORMAT", "SQLITE_CONSTRAINT", "SQLITE_ERROR")
"""Whether an error means damage: our tables and statements are fixed, so a broken rule means
foreign bytes."""


@contextlib.contextmanager
def explain(folder: Path) -> Iterator[None]:
    """Turn SQLite's errors into what is wrong with this index and what to do; only damage is called damage."""
    try:
        yield
    except TwofoldError:
        raise
    # SQLite's own message can hold the damaged bytes
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise explained(folder / TRUTH, error) from error


def explained(place: Path, error: Exception) -> StoreError:
    """The index's error for one of SQLite's."""
    name = told(error)
    for begin, reason in REASONS.items():
        if name.startswith(begin):
            who = users(place, Use.WRITING)
            return StoreError(
                reason.format(place=place, seconds=WAIT_SECONDS, error=error, who=who)
            )
    if isinstance(error, UnicodeDecodeError) or name.startswith(DAMAGE):
        return damaged(f"{place} is not a readable database any more ({error})")
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return closed(place.parent)
    return StoreError(
        f"SQLite cannot do this in {place} ({name or type(error).__name__}: {error}); nothing of "
        "this call was kept. `twofold check INDEX` shows whether the file itself is damaged"
    )


def closed(place: Path | str) -> StoreError:
    """The error of an index that is used after it was closed."""
    return StoreError(f"the index {place} is closed: open it again")

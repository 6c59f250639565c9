"""The tables of an index's database; a file with fewer or more is refused."""

import sqlite3
from pathlib import Path

from twofold.errors import StoreError
from twofold.store.sqlite.connection import TRUTH
from twofold.store.sqlite.rows import damaged

__all__ = ["check_format", "check_pages", "make_tables"]

FORMAT = 2
"""Of the tables; 1 was never released."""

APPLICATION = 0x74776F66  # "twof", in the header of the file
PAGE = 8192  # bytes: three rows of 512 numbers; in pages of 4096 a row would waste half of one

SCHEMA = {
    "items": "CREATE TABLE items (row INTEGER PRIMARY KEY, generation INTEGER NOT NULL, id TEXT "
    "NOT NULL UNIQUE, "
    "label TEXT NOT NULL, added TEXT NOT NULL, expires TEXT, revoked TEXT, metadata TEXT NOT NULL, "
    "vector BLOB NOT NULL, hash BLOB NOT NULL)",
    "items_by_label": "CREATE INDEX items_by_label ON items (label)",
    "items_that_end": "CREATE INDEX items_that_end ON items (label, revoked, expires) "
    "WHERE revoked IS NOT NULL OR expires IS NOT NULL",
    # deleted rows, for readers that follow; labels with deleted rows that were not searched for
    "gone": "CREATE TABLE gone (generation INTEGER NOT NULL, row INTEGER NOT NULL, PRIMARY KEY "
    "(generation, row)) "
    "WITHOUT ROWID",
    "loose": "CREATE TABLE loose (label TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID",
    "subjects": "CREATE TABLE subjects (label TEXT NOT NULL PRIMARY KEY, key BLOB NOT NULL) "
    "WITHOUT ROWID",
    "audit": "CREATE TABLE audit (number INTEGER PRIMARY KEY, at TEXT NOT NULL, event TEXT NOT "
    "NULL, "
    "subject BLOB NOT NULL, items INTEGER NOT NULL, hash BLOB NOT NULL)",
    "pinned": "CREATE TABLE pinned (one INTEGER PRIMARY KEY CHECK (one = 1), contract TEXT NOT "
    "NULL, "
    "audit_key BLOB NOT NULL, protection TEXT NOT NULL, hash BLOB NOT NULL)",
    "state": "CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), generation INTEGER NOT "
    "NULL, "
    "items INTEGER NOT NULL, last INTEGER NOT NULL, checksum BLOB NOT NULL, erasing INTEGER NOT "
    "NULL, "
    "floor INTEGER NOT NULL, audits INTEGER NOT NULL, chain BLOB NOT NULL, hash BLOB NOT NULL)",
}


def make_tables(connection: sqlite3.Connection) -> None:
    """Turn a new file into an empty index, without a contract yet."""
    connection.execute(f"PRAGMA page_size={PAGE}")
    connection.execute(f"PRAGMA application_id={APPLICATION}")
    connection.execute(f"PRAGMA user_version={FORMAT}")
    connection.execute("PRAGMA journal_mode=WAL")
    for statement in SCHEMA.values():
        connection.execute(statement)


def check_format(connection: sqlite3.Connection, folder: Path) -> None:
    """Refuse a database that is not ours, of another format, or with other tables."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION:
        raise StoreError(
            f"{folder / TRUTH} is a database of something "
            f"else (application {application}), no index"
        )
    if number > FORMAT:
        raise StoreError(
            f"{folder} has format {number}, this twofold reads {FORMAT}: upgrade twofold"
        )
    if number == 1:
        raise StoreError(
            f"{folder} has format 1, never released; this twofold reads {FORMAT}: build it again"
        )
    found = dict(
        connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_autoindex%'"
        )
    )
    if number != FORMAT or found != SCHEMA:
        raise damaged(f"the tables of {folder / TRUTH} are not those of format {FORMAT}")


def check_pages(connection: sqlite3.Connection, folder: Path) -> None:
    """Let SQLite compare its indexes with the table: an item missing from an index would be added twice.

    Raises:
        DamagedIndex: they do not agree.
    """
    (told,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if told != "ok":
        raise damaged(
            f"the pages of {folder / TRUTH} do not fit together ({told.splitlines()[-1]})"
        )

"""Looking after an index: what is damaged, stale or unfinished in its folder; and keeping what is whole."""

import contextlib
import heapq
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from twofold.contract import Contract
from twofold.errors import DamagedIndex, StoreError
from twofold.files import make_private, new_folder, private_mode, spares
from twofold.plurals import counted
from twofold.results import Finding, Inspection
from twofold.store import audit
from twofold.store.cache.building import Watch, silent
from twofold.store.cache.folder import CACHE, damage, drop_cache
from twofold.store.erasure import erase
from twofold.store.exact import plain
from twofold.store.large import EXACT_ROWS, Large
from twofold.store.leftovers import sweep
from twofold.store.protection.sealed import at_hand
from twofold.store.sqlite.connection import TRUTH, explain
from twofold.store.sqlite.database import Database, Seal
from twofold.store.sqlite.rows import COLUMNS, State, parse, xor

__all__ = ["inspect"]

ROWS_AT_ONCE = 4096
"""Rows read in one query: bounds the memory of a check."""

SHOWN = 20
"""Faults or ids that a finding names."""

HOPELESS = 5000
"""Readings that fail while no row could be read: the root of the table is gone."""

MOST_FAILED = 100_000
"""Readings that may fail, some seconds of them; what was not tried by then counts as unreachable. A lost page costs
about ten, since whole ranges are tried first."""

NOTHING_KNOWN = 2**20
"""Row numbers beyond the last that could be read that are tried, where nothing says how many there are."""


@dataclass
class Seen:
    """What a reading of the whole database has found.

    Attributes:
        acknowledged: the last write that was. state: as it stands there; None where it is damaged.
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


def inspect(
    folder: Path, *, repair: bool = False, seal: Seal | None = None, watch: Watch = silent
) -> Inspection:
    """Look at every page and row of a local index, and at every byte of its cache.

    Args:
        repair: write what is whole into a new database in the place of the old one; finish an
            erasure; build a damaged cache again. Nobody else should have the index open meanwhile.
        watch: is told how far the building of a cache is.
        seal: of a protected index; None: by the key that the environment names. Without a key its
            audit log is not checked.

    Raises:
        StoreError: no index is there, or the disk is in the way.
    """
    try:
        database = Database.open(folder)
    except DamagedIndex as error:
        return Inspection(items=0, findings=(unreadable(error),))
    with contextlib.closing(database):
        database.seal = seal or at_hand(database)
        findings, seen = examined(database)
        repaired: list[str] = []
        codes = {finding.code for finding in findings}
        if repair and codes & REBUILT and "damaged-contract" not in codes:
            rebuild(database, seen)
            repaired.append(
                f"wrote {seen.items} whole items into a new database, which replaced the old one"
            )
        elif repair and "unfinished-erasure" in codes:
            erase(database, whole=True)
            repaired.append("finished the erasure: the database was rewritten")
    if repaired and (folder / CACHE).exists():
        drop_cache(folder)  # of other rows, or of rows that are erased
        repaired.append("dropped the cache: the next search that needs it builds it again")
    elif repair and "damaged-cache" in codes:
        drop_cache(folder)
        repaired.append(
            rebuilt_cache(folder, watch)
            if seen.items > EXACT_ROWS
            else "dropped the cache: it is not needed"
        )
    dropped = tuple(seen.spoilt + seen.unreachable) if repaired else ()
    if repair:
        repaired += tidied(folder, codes)
    if repaired:
        with contextlib.closing(Database.open(folder)) as database:
            database.seal = seal or at_hand(database)
            findings = examined(database)[0]
    return Inspection(
        items=seen.items, findings=tuple(findings), dropped=dropped, repaired=tuple(repaired)
    )


REBUILT = {"damaged-pages", "damaged-rows", "damaged-state", "lost-rows", "lost-writes"}
"""What a repair fixes by rewriting the database."""


def unreadable(error: DamagedIndex) -> Finding:
    """A file of which nothing can be read."""
    return Finding(
        level="fatal",
        code="unreadable",
        message=str(error).split(": restore")[0],
        remedy="restore the index from a copy, or build it again",
    )


def examined(database: Database) -> tuple[list[Finding], Seen]:
    """Everything that can be looked at, in one transaction."""
    seen = Seen(acknowledged=database.mark.read())
    with contextlib.suppress(sqlite3.Error):
        database.connection.execute("BEGIN")
    try:
        findings = [*pages(database), *pinned(database)]
        with contextlib.suppress(DamagedIndex, sqlite3.Error):
            seen.state = database.state()
        for _ in salvaged(database, seen):
            pass
        findings += [
            *rows(seen),
            *log(database, seen),
            *cache(database),
            *surroundings(database.folder),
        ]
    finally:
        if database.connection.in_transaction:
            database.connection.execute("ROLLBACK")
    return findings, seen


def pages(database: Database) -> Iterator[Finding]:
    """SQLite's own check of its pages and of what its indexes say."""
    try:
        told = [text for (text,) in database.connection.execute(f"PRAGMA integrity_check({SHOWN})")]
    except (sqlite3.Error, UnicodeDecodeError) as error:
        told = [str(error)]
    if told != ["ok"]:
        yield Finding(
            level="fatal",
            code="damaged-pages",
            message=f"SQLite finds {counted(len(told), 'fault')} in {TRUTH}, first: {told[0]}",
            remedy="restore the index from a copy, or --repair: rows that can be reached and are "
            "whole are kept",
        )


def pinned(database: Database) -> Iterator[Finding]:
    """Whether the contract is as it was written; without it nobody knows what the vectors are."""
    try:
        database.pinned()
    except (DamagedIndex, sqlite3.Error) as error:
        yield Finding(
            level="fatal",
            code="damaged-contract",
            message=f"what the index is pinned to cannot be read: {error}",
            remedy="restore the index from a copy, or build it again: a repair cannot guess the "
            "model",
        )


def rows(seen: Seen) -> Iterator[Finding]:
    """Whether the rows are those that were written."""
    if seen.spoilt:
        yield Finding(
            level="fatal",
            code="damaged-rows",
            message=f"{counted(len(seen.spoilt), 'item', 'is')} not as written: "
            f"{', '.join(seen.spoilt[:SHOWN])}",
            remedy="restore the index from a copy; or --repair drops them, then add them again",
        )
    if seen.state is None:
        yield Finding(
            level="fatal",
            code="damaged-state",
            message="the state of the index is not what was written",
            remedy="restore the index from a copy; or --repair counts the whole items again",
        )
    elif seen.state.generation < seen.acknowledged:
        yield Finding(
            level="fatal",
            code="lost-writes",
            message=f"the index stands at write {seen.state.generation}, and write "
            f"{seen.acknowledged} was "
            "acknowledged: its write-ahead log is damaged or missing",
            remedy="restore the index from a copy; or let --repair keep what is there",
        )
    elif not seen.counted():
        yield Finding(
            level="fatal",
            code="lost-rows",
            message=f"{seen.items} whole items stand there where {seen.state.items} were written",
            remedy="restore the index from a copy; or let --repair keep those that are there",
        )


def log(database: Database, seen: Seen) -> Iterator[Finding]:
    """Whether an erasure is to be finished, and the audit log is whole."""
    if seen.state is None:
        return
    if seen.state.erasing:
        yield Finding(
            level="warning",
            code="unfinished-erasure",
            message="rows were deleted whose bytes are not yet overwritten: somebody read, or the "
            "process ended",
            remedy="--repair, or open the index while nobody reads it",
        )
    with contextlib.suppress(StoreError, sqlite3.Error):
        key = database.seal.audit_key(database.pinned())
        if key and (first := audit.broken(database.connection, seen.state, key=key)) is not None:
            yield Finding(
                level="warning",
                code="broken-audit",
                message=f"the audit log is not what was written from entry {first} on",
                remedy="find out who wrote to the file; a repair leaves the log as it is",
            )


def cache(database: Database) -> Iterator[Finding]:
    """Whether every byte of the cache is as it was written; answers never come from one that is not."""
    with contextlib.suppress(sqlite3.Error):
        if (wrong := damage(database)) is not None:
            yield Finding(
                level="warning",
                code="damaged-cache",
                message=f"the cache is damaged: {wrong}",
                remedy="--repair builds it again, as does the next search that meets the damage; "
                "nothing is lost",
            )


def surroundings(folder: Path) -> Iterator[Finding]:
    """Whether others may read the files, and whether a repair that was killed has left a copy beside them."""
    if open_to_others := [
        path for path in (folder, *sorted(folder.rglob("*"))) if not private_mode(path)
    ]:
        yield Finding(
            level="warning",
            code="readable-by-others",
            message=f"other users may read {open_to_others[0]}"
            + (
                f" and {counted(len(open_to_others) - 1, 'more file')} of the index"
                if open_to_others[1:]
                else ""
            ),
            remedy="--repair lets only the owner in (0700, 0600); if they were readable for long, "
            "rekey the index",
        )
    if copies := spares(folder):
        yield Finding(
            level="warning",
            code="leftover-copy",
            message=f"{counted(len(copies), 'copy')} of the index left beside it by a killed "
            f"repair: {copies[0]}",
            remedy="--repair deletes them, as does the next one to open the index; one that is at "
            "work is left alone",
        )


def tidied(folder: Path, codes: set[str]) -> list[str]:
    """Put in order what is around the rows; what was done."""
    done: list[str] = []
    if "leftover-copy" in codes and (swept := sweep(folder)):
        done.append(
            f"deleted {counted(swept, 'copy')} of the index that a killed repair had left beside it"
        )
    if "readable-by-others" in codes:
        make_private(folder)
        done.append("let only the owner in: folders 0700, files 0600")
    return done


def rebuilt_cache(folder: Path, watch: Watch) -> str:
    """Build a cache that was dropped; what is said of it."""
    with contextlib.closing(Database.open(folder)) as database, database.reading():
        contract = Contract.from_dict(json.loads(database.pinned().contract))
        large = Large(database, plain(contract))
        large.watch = watch
        try:
            large.open(database.state())
        finally:
            large.close()
        return large.notes[-1]


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
    """The largest row number, as the state or the table tells; None where neither can be read."""
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
    """Write whole rows, keys and the audit log into a new database, in the place of the old one."""
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

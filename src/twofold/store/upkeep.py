"""Check and repair of an index: find what is damaged, stale or unfinished in its folder, and keep what is whole."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from twofold.contract import Contract
from twofold.errors import DamagedIndex, StoreError
from twofold.files import make_private, private_mode, spares
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
from twofold.store.salvage import Seen, rebuild, salvaged
from twofold.store.sqlite.connection import TRUTH
from twofold.store.sqlite.database import Database, Seal

__all__ = ["inspect"]


SHOWN = 20
"""Faults or ids that a finding names."""


def inspect(
    folder: Path, *, repair: bool = False, seal: Seal | None = None, watch: Watch = silent
) -> Inspection:
    """Look at every page and row of a local index, and at every byte of its cache.

    Args:
        repair: write what is whole into a new database that replaces the old one; finish an
            erasure; rebuild a damaged cache. Nobody else should have the index open meanwhile.
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
    """The finding about a file that cannot be read at all."""
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
            remedy="restore the index from a copy, or --repair: "
            "rows that can be reached and are whole are kept",
        )


def pinned(database: Database) -> Iterator[Finding]:
    """Whether the contract is as it was written; without it the vectors mean nothing."""
    try:
        database.pinned()
    except (DamagedIndex, sqlite3.Error) as error:
        yield Finding(
            level="fatal",
            code="damaged-contract",
            message=f"what the index is pinned to cannot be read: {error}",
            remedy="restore the index from a copy, or build "
            "it again: a repair cannot guess the model",
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
            message=f"the index is at write {seen.state.generation}, and write "
            f"{seen.acknowledged} was acknowledged: its write-ahead log is damaged or missing",
            remedy="restore the index from a copy; or let --repair keep what is there",
        )
    elif not seen.counted():
        yield Finding(
            level="fatal",
            code="lost-rows",
            message=f"{seen.items} whole items are left of {seen.state.items} that were written",
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
            message="rows were deleted whose bytes are not yet "
            "overwritten: somebody read, or the process ended",
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
    """Whether every byte of the cache is as it was written; a damaged one never gives answers."""
    with contextlib.suppress(sqlite3.Error):
        if (wrong := damage(database)) is not None:
            yield Finding(
                level="warning",
                code="damaged-cache",
                message=f"the cache is damaged: {wrong}",
                remedy="--repair builds it again, as does the next "
                "search that meets the damage; nothing is lost",
            )


def surroundings(folder: Path) -> Iterator[Finding]:
    """Whether others may read the files, or a killed repair has left a copy beside them."""
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
            remedy="--repair lets only the owner in (0700, 0600); "
            "if they were readable for long, rekey the index",
        )
    if copies := spares(folder):
        yield Finding(
            level="warning",
            code="leftover-copy",
            message=f"{counted(len(copies), 'copy')} of the index "
            f"left beside it by a killed repair: {copies[0]}",
            remedy="--repair deletes them, as does the next one "
            "to open the index; one that is at work is left alone",
        )


def tidied(folder: Path, codes: set[str]) -> list[str]:
    """Tidy everything but the rows; returns what was done."""
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
    """Build a cache that was dropped; returns the note about it."""
    with contextlib.closing(Database.open(folder)) as database, database.reading():
        contract = Contract.from_dict(json.loads(database.pinned().contract))
        large = Large(database, plain(contract))
        large.watch = watch
        try:
            large.open(database.state())
        finally:
            large.close()
        return large.notes[-1]

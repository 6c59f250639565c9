"""The cache folder of a local index: opened if it fits the database, else rebuilt by one process at a time."""

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from twofold.contract import Contract
from twofold.errors import CannotWrite, DamagedIndex, StoreError
from twofold.store.cache.approximate import Approximate
from twofold.store.cache.building import Watch, build
from twofold.store.cache.columns import read_manifest
from twofold.store.memory import vectors_of
from twofold.store.sqlite.connection import make_private_file
from twofold.store.sqlite.database import Database
from twofold.store.sqlite.rows import State

__all__ = ["CACHE", "Cached", "damage", "drop_cache", "open_cache"]

CACHE, LOCK = "cache", "cache.lock"
STALE = 0.1  # share of rows written or deleted since at which the cache is rebuilt
BUILDING_SECONDS = 3600.0  # for another process to finish building
ROWS_AT_ONCE = 16_384
"""Rows read from the database at once while the cache is built."""


Cached = tuple[Approximate, State]
"""A cache, and the state of the database that it stands for."""


def stale(then: State, now: State) -> bool:
    """Whether deleted rows are no longer listed, or a linear search of the new ones would cost too much."""
    new = now.last - then.last
    gone = then.items + new - now.items
    return (
        not now.floor <= then.generation <= now.generation
        or new < 0
        or new + gone > STALE * then.items
    )


def open_cache(
    database: Database, contract: Contract, state: State, *, watch: Watch, suspect: bool = False
) -> tuple[Cached, str]:
    """The cache of an index, inside `reading`; and a note, "" if it was whole and new enough.

    Args:
        suspect: something in the cache was found to be wrong: read every byte of it before it is
            used again.

    Raises:
        CannotWrite: it must be built, and the disk does not take it. StoreError: float16 cannot
            hold the vectors.
    """
    folder = database.folder / CACHE
    try:
        return fitting(folder, database, state, suspect=suspect), ""
    except DamagedIndex:
        pass
    with alone(database.folder):
        try:
            # another process was faster
            return fitting(folder, database, state, suspect=suspect), ""
        except DamagedIndex as error:
            reason = str(error)
        sweep(database.folder)
        began = time.monotonic()
        found = build(
            folder,
            blocks(database, contract),
            distance=contract.distance,
            dim=contract.dim,
            about=about(database, state),
            watch=watch,
        )
    seconds = time.monotonic() - began
    return (
        found,
        state,
    ), f"{reason}: the cache was built from {state.items} rows in {seconds:.0f} s"


def fitting(folder: Path, database: Database, state: State, *, suspect: bool) -> Cached:
    """The cache as it is on disk.

    Raises:
        DamagedIndex: it is missing, damaged, another index's, or too old; says which.
    """
    found = Approximate(folder)
    told, ours = found.facts["about"], about(database, state)
    texts = told["state"].items()
    values: dict[str, Any] = {
        name: bytes.fromhex(each) if isinstance(each, str) else each for name, each in texts
    }
    then = State(**values)
    if told["index"] != ours["index"] or state.erasing:
        raise DamagedIndex(f"{folder} is of another index, or of one that is being erased")
    same = (then.items, then.last, then.checksum) == (state.items, state.last, state.checksum)
    if stale(then, state) or (then.generation == state.generation and not same):
        raise DamagedIndex(f"{folder} is too old")
    if suspect:
        found.check()
    return found, then


def damage(database: Database) -> str | None:
    """What is wrong with a cache, after reading every byte; None: nothing (it may be old), or there is no cache."""
    folder = database.folder / CACHE
    if not folder.exists():
        return None
    try:
        with contextlib.closing(Approximate(folder)) as found:
            found.check()
            ours = found.facts["about"]["index"] == database.pinned().record()[-1].hex()
            return None if ours else f"{folder} is of another index"
    except (DamagedIndex, OSError) as error:
        return str(error)


def about(database: Database, state: State) -> dict[str, Any]:
    """What a cache is made from, for its manifest."""
    told = {
        name: value.hex() if isinstance(value, bytes) else value
        for name, value in asdict(state).items()
    }
    return {"index": database.pinned().record()[-1].hex(), "state": told, "items": state.items}


def blocks(
    database: Database, contract: Contract
) -> Iterator[tuple[Int[np.ndarray, "b"], Float[np.ndarray, "b dim"]]]:
    """All rows, each checked against its hash."""
    rows = database.rows()
    while block := list(islice(rows, ROWS_AT_ONCE)):
        yield (
            np.array([row.number for row in block], np.int64),
            vectors_of(database, contract, block),
        )


def drop_cache(folder: Path) -> None:
    """Delete the cache of an index, and what interrupted builds have left.

    Raises:
        StoreError: a file of it cannot be deleted.
    """
    if not (folder / CACHE).exists() and not list(leftovers(folder)):
        return
    with alone(folder):
        sweep(folder)
        shutil.rmtree(folder / CACHE, ignore_errors=True)
        if left := [path for path in (folder / CACHE, *leftovers(folder)) if path.exists()]:
            raise StoreError(
                f"{left[0]}, a cache that is built again, "
                "cannot be deleted: delete that folder yourself"
            )


def leftovers(folder: Path) -> Iterator[Path]:
    """What a build that was killed has left."""
    return folder.glob(f".{CACHE}.*")


def sweep(folder: Path) -> None:
    """Delete it, and a cache without a manifest, which is of no use."""
    for path in leftovers(folder):
        shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(DamagedIndex):
        read_manifest(folder / CACHE)
        return
    shutil.rmtree(folder / CACHE, ignore_errors=True)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Lock: one process at a time. It is SQLite's lock of an empty database, which ends with its process."""
    try:
        with contextlib.suppress(OSError):
            # one that is there is never opened: closing it would drop its locks
            make_private_file(folder / LOCK)
            # anything in it is damage, which SQLite would refuse
            os.truncate(folder / LOCK, 0)
        connection = sqlite3.connect(folder / LOCK, timeout=BUILDING_SECONDS, isolation_level=None)
        with contextlib.closing(connection):
            connection.execute("BEGIN EXCLUSIVE")
            yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
            raise StoreError(
                f"another process builds the cache of {folder}: wait for it, or end it"
            ) from error
        raise CannotWrite(
            f"cannot write {folder / LOCK} ({error}): the cache cannot be built or erased"
        ) from error

"""A protected index: vectors under their subjects' keys, which are stored wrapped beside them; and rekeying."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from twofold.contract import Contract
from twofold.errors import StoreError, TwofoldError, WrongKey
from twofold.store.audit import note
from twofold.store.protection.protect import Key, Protection, find_key, new_subject_key
from twofold.store.protection.rotation import Rotation
from twofold.store.sqlite.database import Database, Plain, Seal, clock
from twofold.store.sqlite.rows import Batch, Pinned, Row, damaged, record_of, xor

__all__ = ["Sealed", "at_hand", "opened", "rekey", "rotation_of"]

ROWS_AT_ONCE = 4096
"""Rows sealed again at once: memory stays bounded while an index is rekeyed."""


Turn = Callable[[Float[np.ndarray, "n dim"]], Float[np.ndarray, "n dim"]]


class Sealed:
    """Between vectors and the file: AES-GCM under the key of the row's label.

    Attributes:
        protection: what the master key unlocks.
    """

    def __init__(self, protection: Protection) -> None:
        self.protection = protection
        self._keys: dict[str, tuple[bytes, bytes]] = {}  # label -> wrapped, plain

    def seal(self, database: Database, batch: Batch) -> Sequence[bytes]:
        """Each vector, sealed for its id and label; a label without a key gets one."""
        sealed = []
        for name, label, vector in zip(batch.ids, batch.labels, batch.vectors, strict=True):
            key = self.key_of(database, label) or self.new_key(database, label)
            sealed.append(self.protection.seal(key, name, label, bytes(vector)))
        return sealed

    def unseal(self, database: Database, row: Row) -> bytes:
        """The vector of a row.

        Raises:
            DamagedIndex: it is not as it was sealed, or that of another row. WrongKey: the index
                was rekeyed.
        """
        key = self.key_of(database, row.label)
        if key is None:
            raise damaged(
                f"the key of {row.label!r} in {database.folder} "
                f"is gone, and {row.id!r} cannot be read"
            )
        return self.protection.unseal(key, row.id, row.label, row.vector)

    def audit_key(self, pinned: Pinned) -> bytes:
        """The key with which labels are hashed for the audit log; wrapped in the file."""
        return self.protection.audit

    def key_of(self, database: Database, label: str) -> bytes | None:
        """The key of a label; None if it has none. Read each time: another process may have destroyed it."""
        found = database.connection.execute(
            "SELECT key FROM subjects WHERE label = ?", (label,)
        ).fetchone()
        if found is None:
            self._keys.pop(label, None)
            return None
        wrapped, key = self._keys.get(label, (b"", b""))
        if wrapped != found[0]:
            self.refuse_stale(database)
            key = self.protection.unwrap(label, found[0])
            self._keys[label] = (found[0], key)
        return key

    def new_key(self, database: Database, label: str) -> bytes:
        """A new key for a label."""
        self.refuse_stale(database)
        key = new_subject_key()
        database.connection.execute(
            "INSERT INTO subjects VALUES (?, ?)", (label, self.protection.wrap(label, key))
        )
        return key

    def refuse_stale(self, database: Database) -> None:
        """Raise WrongKey if the index was given another key since it was opened."""
        if database.pinned().protection != self.protection.text:
            raise WrongKey(
                f"{database.folder} was given another key since "
                "it was opened: open it again with that key"
            )


def opened(pinned: Pinned, contract: Contract, key: Key | None) -> Seal:
    """The seal between vectors and the file of an index: none, or what its key unlocks.

    Raises:
        WrongKey: it is protected, and that is not its key. StoreError: a key for an index that is
            not protected.
    """
    if pinned.protection != "{}":
        return Sealed(Protection.open(pinned.protection, find_key(key), contract.fingerprint))
    if key is not None:
        raise StoreError(
            "this index is not protected, no key opens it: "
            "leave it out (`twofold rekey` protects it)"
        )
    return Plain()


def at_hand(database: Database) -> Seal:
    """The seal by the key that the environment names; none if it names none."""
    try:
        pinned = database.pinned()
        return opened(pinned, Contract.from_dict(json.loads(pinned.contract)), None)
    # for a look at what is damaged; opening it says more
    except (TwofoldError, sqlite3.Error, ValueError):
        return Plain()


def rekey(database: Database, key: Key, contract: Contract, *, rotate: bool = False) -> Sealed:
    """Put an index under another master key, or an open one under its first, in one transaction.

    `erasure.erase` has to follow, so that no old bytes are left in the files.

    Args:
        rotate: give each subject a new key and all vectors a new rotation, too.

    Returns:
        The new seal.
    """
    with database.writing():
        old, pinned = database.seal, database.pinned()
        if isinstance(old, Sealed):
            old.refuse_stale(database)
            new = Sealed(old.protection.renewed(key, rotate=rotate))
        else:
            new = Sealed(Protection.create(key, contract, audit=pinned.audit_key))
        if rotate or not isinstance(old, Sealed):
            renew(database, new, turning(old, new, contract.dim))
        else:
            rewrap(database, old.protection, new.protection)
        database.pin(replace(pinned, protection=new.protection.text, audit_key=b""))
        event = "rekey" if isinstance(old, Sealed) else "protect"
        state = note(
            database.connection,
            database.state(),
            event,
            key=new.protection.audit,
            labels={},
            at=clock(),
        )
        generation = state.generation + 1
        database.write_state(replace(state, generation=generation, floor=generation, erasing=True))
    return new


def rewrap(database: Database, old: Protection, new: Protection) -> None:
    """Wrap every subject's key again."""
    keys = database.connection.execute("SELECT label, key FROM subjects").fetchall()
    rows = [(new.wrap(label, old.unwrap(label, wrapped)), label) for label, wrapped in keys]
    database.connection.executemany("UPDATE subjects SET key = ? WHERE label = ?", rows)


def renew(database: Database, new: Sealed, turn: Turn) -> None:
    """Rewrite every row, its vector turned and sealed by new keys; dates and metadata stay."""
    state, old = database.state(), database.seal
    last, number, hashes = 0, state.last, bytes(32)
    keys = {label: new_subject_key() for label in database.labels()}
    while rows := list(
        database.rows(
            "WHERE row > ? AND row <= ? ORDER BY row LIMIT ?", (last, state.last, ROWS_AT_ONCE)
        )
    ):
        last = rows[-1].number
        plain = np.frombuffer(b"".join(old.unseal(database, row) for row in rows), "<f4").reshape(
            len(rows), -1
        )
        fresh = []
        for row, vector in zip(rows, turn(plain.astype(np.float32)).astype("<f4"), strict=True):
            number += 1
            sealed = new.protection.seal(keys[row.label], row.id, row.label, vector.tobytes())
            fresh.append(
                row._replace(number=number, generation=state.generation + 1, vector=sealed)
            )
        database.connection.executemany(
            "DELETE FROM items WHERE row = ?", [(row.number,) for row in rows]
        )
        hashes = xor([hashes, *database.write_records(list(map(record_of, fresh)))])
    wrapped = [(label, new.protection.wrap(label, key)) for label, key in keys.items()]
    database.connection.execute("DELETE FROM subjects")
    database.connection.executemany("INSERT INTO subjects VALUES (?, ?)", wrapped)
    database.connection.execute("DELETE FROM gone")
    database.write_state(replace(state, checksum=hashes, last=number))


def turning(old: Seal, new: Sealed, dim: int) -> Turn:
    """From vectors as the old seal kept them to vectors as the new one does."""
    before, after = (rotation_of(seal, dim) for seal in (old, new))

    def turn(vectors: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n dim"]:
        plain = vectors if before is None else before.back(vectors)
        return plain if after is None else after.turn(plain)

    return turn


def rotation_of(seal: Seal, dim: int) -> Rotation | None:
    """The rotation of the vectors in the file and in memory; None: as the encoder gave them."""
    secret = seal.protection.rotation if isinstance(seal, Sealed) else None
    return None if secret is None else Rotation(secret, dim)

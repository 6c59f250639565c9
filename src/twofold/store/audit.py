"""The audit log: what happened to whom and when, with keyed hashes instead of names, so that it survives an erasure.

Each entry's hash covers the one before it, and the index's state has the last: an entry that was
changed, removed or inserted breaks the chain. All hashes are keyed (HMAC-SHA256): without the key
nobody can try names or forge an entry.
"""

import hmac
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import replace

from twofold.results import AuditEntry
from twofold.store.sqlite.rows import State, digest

__all__ = ["broken", "entries", "note", "subject_of"]

SELECT = (
    "SELECT number, CAST(at AS BLOB), CAST(event AS BLOB), subject, items, hash FROM "
    "audit NOT INDEXED ORDER BY number"
)


def note(
    connection: sqlite3.Connection,
    state: State,
    event: str,
    *,
    key: bytes,
    labels: Mapping[str, int],
    at: str,
) -> State:
    """Write an entry for each label, or one without a name if there are none; returns the new state.

    Args:
        key: of the hashes. labels: how many items each label has in it. at: the time (UTC, ISO
            8601).
    """
    subjects = [(subject_of(key, label), items) for label, items in labels.items()] or [
        (b"", state.items)
    ]
    records = []
    for number, (subject, items) in enumerate(subjects, start=state.audits + 1):
        chain = link(key, state.chain, (number, at.encode(), event.encode(), subject, items))
        state = replace(state, audits=number, chain=chain)
        records.append((number, at, event, subject, items, state.chain))
    connection.executemany("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?)", records)
    return state


def subject_of(key: bytes, label: str) -> bytes:
    """The pseudonym of a label in the log: its HMAC-SHA256."""
    return hmac.digest(key, label.encode(), "sha256")


def link(key: bytes, before: bytes, entry: tuple[int, bytes, bytes, bytes, int]) -> bytes:
    """Hash of an entry (number, time, event, subject, items) and of all before it."""
    number, at, event, subject, items = entry
    return hmac.digest(
        key, digest(before, f"{number} {items}".encode(), at, event, subject), "sha256"
    )


def entries(
    connection: sqlite3.Connection, of: tuple[bytes, str] | None = None
) -> Iterator[AuditEntry]:
    """The log, oldest first; `of` a key and a label: only what concerns that label."""
    wanted = None if of is None else subject_of(*of)
    for number, at, event, subject, items, _ in connection.execute(SELECT):
        if wanted not in (None, subject):
            continue
        word, _, rest = event.decode().partition(" ")
        receipt = json.loads(rest) if rest else {}
        yield AuditEntry(
            number=number,
            at=at.decode(),
            event=word,
            subject=subject.hex(),
            items=items,
            receipt=receipt,
        )


def broken(connection: sqlite3.Connection, state: State, *, key: bytes) -> int | None:
    """The first entry that is not what was written, or that is missing; None: the log is whole."""
    chain, last = bytes(32), 0
    for *entry, hashed in connection.execute(SELECT):
        try:
            chain = link(key, chain, (entry[0], entry[1], entry[2], entry[3], entry[4]))
        except TypeError:  # not even of the right kind
            return last + 1
        if entry[0] != last + 1 or chain != hashed:
            return last + 1
        last = entry[0]
    if last > state.audits:
        return state.audits + 1
    return None if (last, chain) == (state.audits, state.chain) else last + 1

"""Adding items to the database: all are written at once; only those whose ids exist are looked at again."""

from collections.abc import Iterable, Sequence
from itertools import count, repeat
from typing import Any

from twofold.errors import StoreError
from twofold.store.sqlite.database import Database
from twofold.store.sqlite.deletions import drop, loosen
from twofold.store.sqlite.rows import HASH, Batch, Record, Row, State, clock, record_of

__all__ = ["put", "records_of", "refuse_revoked"]


def put(database: Database, batch: Batch, *, event: str | None = None) -> int:
    """Insert items or replace those of the same id; an identical item is left alone.

    Args:
        event: the event's name in the audit log; None: no entry.

    Returns:
        How many items are new or changed.

    Raises:
        StoreError: a label is revoked; nothing is changed then.
    """
    if not batch.ids:
        return 0
    with database.writing():
        state = database.state()
        refuse_revoked(database, batch.labels)
        records, gone = records_of(database, batch, state), list[Row]()
        if database.write_new(records) < len(records):
            records, gone = replaced(database, records, state)
        if not records:
            return 0
        state = state.after(
            written=[each[HASH] for each in records],
            gone=[row.digest() for row in gone],
            items=state.items + len(records) - len(gone),
            last=records[-1][0],
        )
        if event is not None:
            state = database.note(state, event, labels=[each[3] for each in records])
        database.write_state(database.pruned(state))
    return len(records)


def records_of(database: Database, batch: Batch, state: State) -> list[Record]:
    """Items as new rows of the next generation."""
    return [
        record_of(row)
        for row in zip(
            count(state.last + 1),
            repeat(state.generation + 1),
            batch.ids,
            batch.labels,
            repeat(clock("milliseconds")),
            repeat(batch.expires),
            repeat(None),
            batch.metadata,
            database.seal.seal(database, batch),
        )
    ]


def replaced(
    database: Database, records: Sequence[Record], state: State
) -> tuple[list[Record], list[Row]]:
    """Write items whose ids exist in place of the old rows, unless nothing has changed.

    Returns:
        The records that were written, and the rows that they replace.
    """
    new = {
        number
        for (number,) in database.connection.execute(
            "SELECT row FROM items WHERE row > ?", (state.last,)
        )
    }
    standing = database.standing([each[2] for each in records if each[0] not in new])
    written, late, gone = list[Record](), list[Record](), list[Row]()
    for each in records:
        if (old := standing.get(each[2])) is not None:
            # a date that was set stays unless another one is given
            if old.expires and len(each) == HASH + 1:
                number, generation, name, label, added, metadata, vector, _ = each
                each = record_of(
                    (number, generation, name, label, added, old.expires, None, metadata, vector)
                )
            if content(each) == content(record_of(old)):
                continue
            gone.append(old)
            late.append(each)
        written.append(each)
    drop(database, gone, generation=state.generation + 1)
    loosen(database, gone)
    database.write_records(late)
    return written, gone


def content(record: Record) -> tuple[Any, ...]:
    """What a caller gave: label, metadata, vector and dates."""
    return (record[3], *record[5:HASH], *record[HASH + 1 :])


def refuse_revoked(database: Database, labels: Iterable[str]) -> None:
    """Raise StoreError if one of these labels is revoked: new items would bring it back."""
    found = database.connection.execute(
        "SELECT label, revoked FROM items WHERE revoked IS NOT NULL"
    ).fetchall()
    revoked = dict(found)
    for label in labels if revoked else ():
        if label in revoked:
            raise StoreError(
                f"{label!r} is revoked since {revoked[label]}: restore it first, or forget it"
            )

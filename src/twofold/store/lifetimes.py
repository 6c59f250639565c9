"""The life of identities in a local index: replaced whole, ended by a date, revoked and restored, purged; all audited.

A row is never changed: its new version is written under a new number, in the transaction that drops
the old one.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from twofold.errors import StoreError
from twofold.results import Enrolled
from twofold.store.sqlite.additions import records_of, refuse_revoked
from twofold.store.sqlite.database import Database
from twofold.store.sqlite.deletions import drop, dropped, loosen
from twofold.store.sqlite.rows import Batch, Forgotten, Row, clock, record_of

__all__ = [
    "drop_expired",
    "enrolled",
    "expire",
    "restore",
    "revoke",
    "standing",
    "substitute",
]


def enrolled(database: Database) -> tuple[Enrolled, ...]:
    """Every identity, sorted by label; it expires when its last item does."""
    found = database.connection.execute(
        "SELECT label, count(*), CASE WHEN count(expires) = count(*) THEN max(expires) END, "
        "max(revoked) "
        "FROM items GROUP BY label ORDER BY label"
    )
    return tuple(
        Enrolled(label=label, items=n, expires=end, revoked=since) for label, n, end, since in found
    )


def standing(database: Database) -> tuple[int, int]:
    """How many identities and items count: neither expired nor revoked."""
    now = clock()
    if not len(database.ended(now)):
        return len(database.labels()), database.state().items
    find = (
        "SELECT count(DISTINCT label), count(*) FROM items WHERE revoked IS NULL AND "
        "(expires IS NULL OR expires > ?)"
    )
    identities, items = database.connection.execute(find, (now,)).fetchone()
    return identities, items


def substitute(database: Database, label: str, batch: Batch) -> int:
    """Replace all items of a label; returns how many there were.

    Raises:
        StoreError: an id belongs to another label, or the label is revoked; nothing is changed
            then.
    """
    with database.writing():
        refuse_revoked(database, [label])
        for name in batch.ids:
            for other in database.rows("WHERE id = ? AND label <> ?", (name, label)):
                raise StoreError(f"{name!r} belongs to {other.label!r} already: give another id")
        state, old = database.state(), list(database.rows("WHERE label = ? ORDER BY row", (label,)))
        drop(database, old, generation=state.generation + 1)
        loosen(database, old)
        state = state.after(
            written=database.write_records(records_of(database, batch, state)),
            gone=[row.digest() for row in old],
            items=state.items + len(batch.ids) - len(old),
            last=state.last + len(batch.ids),
        )
        state = database.note(state, "update", labels=batch.labels)
        database.write_state(database.pruned(state))
    return len(old)


def expire(database: Database, labels: Sequence[str], end: str | None) -> int:
    """Set when identities end; how many items changed."""
    return _rewrite(database, labels, "expire", lambda row: row._replace(expires=end))


def revoke(database: Database, labels: Sequence[str]) -> int:
    """Never match identities until they are restored; how many items changed."""
    now = clock()
    return _rewrite(
        database, labels, "revoke", lambda row: row._replace(revoked=row.revoked or now)
    )


def restore(database: Database, labels: Sequence[str]) -> int:
    """Lift a revocation; how many items changed."""
    return _rewrite(database, labels, "restore", lambda row: row._replace(revoked=None))


def _rewrite(
    database: Database, labels: Sequence[str], event: str, change: Callable[[Row], Row]
) -> int:
    """Change the dates of all items of labels; returns how many. Items that need no change are left alone."""
    with database.writing():
        state = database.state()
        rows = [
            row
            for label in labels
            for row in database.rows("WHERE label = ? ORDER BY row", (label,))
        ]
        old = [row for row in rows if change(row) != row]
        if not old:
            return 0
        fresh = [
            change(row)._replace(number=number, generation=state.generation + 1)
            for number, row in enumerate(old, start=state.last + 1)
        ]
        drop(database, old, generation=state.generation + 1)
        loosen(database, old)
        written, gone = (
            database.write_records(list(map(record_of, fresh))),
            [row.digest() for row in old],
        )
        state = state.after(
            written=written, gone=gone, items=state.items, last=state.last + len(fresh)
        )
        state = database.note(state, event, labels=[row.label for row in old])
        database.write_state(database.pruned(state))
    return len(old)


def drop_expired(database: Database) -> tuple[Forgotten, tuple[str, ...]]:
    """Delete the rows that are expired, and the keys of labels that have no other; `erasure.erase` ends it.

    Returns:
        What was deleted, and the labels that are gone with it.
    """
    with database.writing():
        rows = list(
            database.rows("WHERE expires IS NOT NULL AND expires <= ? ORDER BY row", (clock(),))
        )
        if not rows:
            return Forgotten([], [], False), ()
        loosen(database, rows)
        dropped(database, rows, replace(database.state(), erasing=True), "purge")
        labels = sorted({row.label for row in rows})
        gone = tuple(
            label for label in labels if not any(database.rows("WHERE label = ? LIMIT 1", (label,)))
        )
        find = "SELECT key FROM subjects WHERE label = ?"
        keys = [key for label in gone for (key,) in database.connection.execute(find, (label,))]
        database.connection.executemany(
            "DELETE FROM subjects WHERE label = ?", [(label,) for label in gone]
        )
    return Forgotten(rows, keys, True), gone

"""Deleting rows from the database; `erasure.erase` then overwrites what they leave in the files."""

from collections.abc import Sequence
from dataclasses import replace

from twofold.store.sqlite.database import Database
from twofold.store.sqlite.rows import Forgotten, Row, State

__all__ = ["drop", "dropped", "forget", "loosen", "remove"]


def remove(database: Database, names: Sequence[str], *, event: str | None = None) -> None:
    """Delete rows by id, all or none.

    Raises:
        StoreError: names an id that is not there; nothing is deleted then.
    """
    with database.writing():
        rows = database.named(list(dict.fromkeys(names)))
        loosen(database, rows)
        dropped(database, rows, database.state(), event)


def forget(database: Database, labels: Sequence[str], *, event: str | None = None) -> Forgotten:
    """Delete the rows and the keys of labels; `erasure.erase` has to follow."""
    names = [(label,) for label in labels]
    connection = database.connection
    with database.writing():
        state, rows = (
            database.state(),
            [row for n in names for row in database.rows("WHERE label = ? ORDER BY row", n)],
        )
        find = "SELECT count(*) FROM loose WHERE label = ?"
        loose = state.erasing or any(connection.execute(find, name).fetchone()[0] for name in names)
        connection.executemany("DELETE FROM loose WHERE label = ?", names)
        find = "SELECT key FROM subjects WHERE label = ?"
        keys = [key for name in names for (key,) in connection.execute(find, name)]
        connection.executemany("DELETE FROM subjects WHERE label = ?", names)
        dropped(database, rows, replace(state, erasing=True), event, named=labels)
    return Forgotten(rows=rows, keys=keys, loose=loose)


def dropped(
    database: Database,
    rows: Sequence[Row],
    state: State,
    event: str | None,
    *,
    named: Sequence[str] = (),
) -> None:
    """Delete rows, and write the state after it; inside `writing`."""
    drop(database, rows, generation=state.generation + 1)
    state = state.after(
        gone=[row.digest() for row in rows], items=state.items - len(rows), last=state.last
    )
    if event is not None:
        state = database.note(state, event, labels=[row.label for row in rows], named=named)
    database.write_state(database.pruned(state))


def drop(database: Database, rows: Sequence[Row], *, generation: int) -> None:
    """Delete rows, and list them for readers that follow."""
    database.connection.executemany(
        "DELETE FROM items WHERE row = ?", [(row.number,) for row in rows]
    )
    database.connection.executemany(
        "INSERT INTO gone VALUES (?, ?)", [(generation, row.number) for row in rows]
    )


def loosen(database: Database, rows: Sequence[Row]) -> None:
    """Record labels whose rows were deleted: bytes that SQLite moved may be left in freed space."""
    labels = {row.label for row in rows}
    database.connection.executemany(
        "INSERT OR IGNORE INTO loose VALUES (?)", [(label,) for label in labels]
    )

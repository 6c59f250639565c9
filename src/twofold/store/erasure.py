"""Erasing: finding what a deletion leaves in the files, byte by byte, overwriting it, and looking again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from twofold.errors import StoreError
from twofold.results import Erasure
from twofold.store.leftovers import Search, look
from twofold.store.sqlite.connection import explain
from twofold.store.sqlite.database import Database
from twofold.store.sqlite.rows import Row, clock

__all__ = ["erase", "receipt"]

REWRITE = "VACUUM"


def erase(
    database: Database,
    pieces: Sequence[bytes] = (),
    *,
    whole: bool,
    swept: int = 0,
    noted: Mapping[str, int] | None = None,
) -> Search:
    """Leave no byte of deleted rows in any file.

    First the write-ahead log is emptied. What SQLite has left in the database is nearly always in
    its indexes, where names go in anywhere and pages split: these are rebuilt in a moment. The
    whole database is rewritten only if something is left in the table itself, or if it is unknown
    what to look for.

    Args:
        pieces: what to look for: `leftovers.pieces_of` the rows that were deleted.
        whole: rewrite the database, since bytes of rows that were deleted earlier are unknown.
        swept: how many copies of the index, left by killed calls, were deleted before.
        noted: items by label, for the receipt in the audit log; {}: without names; None: no
            receipt.

    Raises:
        StoreError: another process reads, so that old pages must stay; the next `open` finishes the
            job.
    """
    try:
        with explain(database.folder):
            search = replace(
                cleaned(database, pieces, [REWRITE] if whole else ["", "REINDEX", REWRITE]),
                swept=swept,
            )
            with database.writing():
                if whole:
                    database.connection.execute("DELETE FROM loose")
                state = replace(database.state(), erasing=False)
                if noted is not None:
                    state = database.note(
                        state, f"erased {json.dumps(asdict(search))}", counts=noted
                    )
                database.write_state(state)
            database.empty_log()
    except StoreError as error:
        raise StoreError(
            f"the rows are deleted, but their bytes are not yet overwritten: {error}. "
            "The next one to open the index does it"
        ) from error
    return search


def cleaned(database: Database, pieces: Sequence[bytes], steps: Sequence[str]) -> Search:
    """Take steps (SQL, or nothing) one after the other until no piece is found any more."""
    searches: list[Search] = []
    for step in steps:
        if step:
            database.connection.execute(step)
        database.empty_log()
        searches.append(look(database.folder, pieces, rewritten=step == REWRITE))
        if not searches[-1].left:
            return replace(searches[-1], leftovers=searches[0].left)
    raise StoreError(
        f"{searches[-1].left} places in the files of {database.folder} still hold bytes of them: "
        "if that folder has other files in it, take those out"
    )


def receipt(search: Search, labels: tuple[str, ...], rows: Sequence[Row]) -> Erasure:
    """What was erased, and what was found in the files afterwards."""
    return Erasure(
        labels=labels,
        ids=tuple(row.id for row in rows),
        at=clock(),
        pieces=search.pieces,
        files=search.files,
        swept=search.swept,
        searched=search.searched,
        leftovers=search.leftovers,
        left=search.left,
    )

"""Erasing: what a deletion leaves in the files is looked for, byte by byte, and overwritten."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from twofold.errors import StoreError
from twofold.store.connection import explain
from twofold.store.database import Database
from twofold.store.rows import Row

__all__ = ["Search", "erase"]


@dataclass(frozen=True, kw_only=True)
class Search:
    """What was looked for in the files of an index, and what was found; see `results.Erasure`."""

    pieces: int = 0
    files: int = 0
    searched: int = 0
    leftovers: int = 0
    left: int = 0


def erase(database: Database, rows: Sequence[Row], *, labels: Sequence[str] = (), whole: bool) -> Search:
    """Leave no byte of deleted rows in any file.

    Args:
        rows: as they were. labels: of theirs.
        whole: write the database anew, since nobody knows any more what may have been left.

    Raises:
        StoreError: another process reads, so that old pages must stay; it is made up for at the next `open`.
    """
    try:
        # secure_delete alone leaves what a page split moved away; a rebuilt file holds live rows only
        with explain(database.folder):
            database.connection.execute("VACUUM")
            database.empty_log()
            with database.writing():
                database.connection.execute("DELETE FROM loose")
                database.write_state(replace(database.state(), erasing=False))
            database.empty_log()
    except StoreError as error:
        raise StoreError(
            f"the rows are deleted, but their bytes are not yet overwritten: {error}. "
            "The next one to open the index does it"
        ) from error
    return Search()

"""Undo lists: where files were before they moved to the trash, and moving them back."""

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from twofold.copies.decisions import TRASH, Row, State
from twofold.data.delimited import written_rows
from twofold.data.listing import some
from twofold.errors import CannotWrite, DataError
from twofold.files import rename_without_replacing, sync_folder, write_atomically
from twofold.printable import utf8_name

__all__ = ["UNFINISHED", "Move", "move_back", "write_undo_list"]

UNDO_LIST = ("path", "moved_to", "linked_to", "time", "raw")
"""`linked_to`: the file that a hard link at the old place leads to. A row without `moved_to` is a
folder. `raw`: where a name is not UTF-8, the bytes of the first three in hexadecimal digits."""


UNFINISHED = ".unfinished"
"""Ending of the mark beside an undo list while its files are being moved."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """One file: its path, its target, and its state when it was checked."""

    path: str
    target: str
    state: State
    linked_to: str = ""


def write_undo_list(root: Path, moves: list[Move]) -> Path:
    """Write the list, with the folders' times, before anything moves."""
    rows = [_stored((move.path, move.target, move.linked_to), move.state.time) for move in moves]
    for folder in sorted({Path(move.path).parent for move in moves} | {Path()}):
        rows.append(_stored((f"{folder.as_posix()}/", "", ""), (root / folder).stat().st_mtime_ns))
    table = written_rows(UNDO_LIST, rows)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    undo = root / TRASH / f"undo-{stamp}.csv"
    try:
        undo.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise CannotWrite(
            f"cannot make {undo.parent}: {error.strerror}. No file was moved"
        ) from error
    try:
        write_atomically(undo, table)
    except CannotWrite as error:
        raise CannotWrite(
            f"the undo list cannot be written, so no file was moved: {error}"
        ) from error
    return undo


def _stored(names: tuple[str, str, str], time: int) -> dict[str, object]:
    """A row of an undo list."""
    plain = tuple(map(utf8_name, names))
    raw = "" if plain == names else " ".join(os.fsencode(name).hex() or "-" for name in names)
    return dict(zip(UNDO_LIST, (*plain, time, raw), strict=True))


def _undo_rows(rows: list[Row], table: Path) -> list[Row]:
    """The rows of an undo list with the names as they are on the disk.

    Raises:
        DataError: bytes that are not names.
    """
    found = []
    for row in rows:
        names = dict[str, str]()
        if raw := row.get("raw"):
            try:
                decoded = [os.fsdecode(bytes.fromhex(part.strip("-"))) for part in raw.split(" ")]
                names = dict(zip(UNDO_LIST[:3], decoded, strict=True))
            except ValueError:
                raise DataError(
                    f"{table}: raw {raw!r} does not stand for three names: restore the list"
                ) from None
        found.append(row | names)
    return found


def move_back(root: Path, rows: list[Row], table: Path) -> dict[str, str]:
    """Move everything of an undo list back: from -> to. What is in its place already stays there.

    Raises:
        DataError: a path outside the data, a place that is taken, or a file that is nowhere.
            Nothing was moved.
    """
    moves, nowhere = [], []
    rows = _undo_rows(rows, table)
    for row in rows:
        if not row["moved_to"]:
            continue
        away, place = _inside(root, row["moved_to"]), _inside(root, row["path"])
        if not away.is_file():
            if not place.is_file():
                nowhere.append(row["path"])
            continue
        if os.path.lexists(place) and not _is_our_link(root, row):
            raise DataError(
                f"{row['path']} exists again: move it away, or take its line out of {table}"
            )
        moves.append(row)
    if nowhere:
        raise DataError(
            f"{some(nowhere)} of {table} is neither in its place nor in the trash: take its line out"
        )
    times = _times_to_restore(root, rows, table)
    if moves and table.parent.samefile(root / TRASH):
        table.with_name(table.name + UNFINISHED).touch()
    _carry_back(root, moves)
    for folder, time in times.items():
        with suppress(OSError):
            os.utime(folder, ns=(time, time))
    table.with_name(table.name + UNFINISHED).unlink(missing_ok=True)
    return {utf8_name(row["moved_to"]): utf8_name(row["path"]) for row in moves}


def _carry_back(root: Path, rows: list[Row]) -> None:
    folders: set[Path] = set()
    for number, row in enumerate(rows):
        away, place = root / row["moved_to"], root / row["path"]
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if row.get("linked_to") and os.path.lexists(place):
                # the name of the hard link; its content stays with the kept file
                away.replace(place)
            else:
                rename_without_replacing(away, place)
        except OSError as error:
            raise CannotWrite(
                f"cannot move {row['moved_to']} back to {row['path']}: {error.strerror}. {number} "
                f"of {len(rows)} files are back; the same command takes the others"
            ) from error
        folders |= {away.parent, place.parent}
    for folder in folders:
        sync_folder(folder)


def _times_to_restore(root: Path, rows: list[Row], table: Path) -> dict[Path, int]:
    """Folders with their old times, if they are gone or unchanged since the files moved."""
    cut_off, finished = table.with_name(table.name + UNFINISHED).exists(), table.stat().st_mtime_ns
    times = {
        root / row["path"]: int(row["time"])
        for row in rows
        if not row["moved_to"] and row.get("time")
    }
    return {
        folder: time
        for folder, time in times.items()
        if cut_off or not folder.exists() or folder.stat().st_mtime_ns <= finished
    }


def _is_our_link(root: Path, row: Row) -> bool:
    kept = row.get("linked_to")
    return bool(kept) and (root / kept).is_file() and (root / row["path"]).samefile(root / kept)


def _inside(root: Path, path: str) -> Path:
    """A file of the data; `..` and links that lead out of it are refused."""
    file = root / path
    if (
        Path(path).is_absolute()
        or not file.parent.resolve().is_relative_to(root.resolve())
        or ".." in Path(path).parts
    ):
        raise DataError(f"{path} lies outside {root}: decisions are about files of the data")
    return file

"""Decisions about copies carried out: files go to a trash folder of the data, can come back, and none is deleted."""

import csv
import io
import os
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from errno import EEXIST
from pathlib import Path

from twofold.data.listing import some
from twofold.errors import CannotWrite, DataError
from twofold.files import sync_folder, write_atomically

__all__ = ["COLUMNS", "TRASH", "Moved", "apply_decisions"]

TRASH = ".twofold-trash"
"""Folder of the data where files go; hidden, so that no later look at the data sees them."""

COLUMNS = ("group", "path", "decision", "bytes")
"""Of a table of decisions. `bytes` is the file's size when it was looked at: a changed file is not moved."""

UNDO = ("path", "moved_to")


@dataclass(frozen=True, kw_only=True)
class Moved:
    """What was moved: from -> to, relative to the data; and the list that undoes it (None: this was the undoing)."""

    files: dict[str, str]
    undo: Path | None


def apply_decisions(data: str | Path, decisions: str | Path) -> Moved:
    """Move the files that were decided to go into `data/.twofold-trash`; or, given its undo list, back again.

    Everything is looked at before anything is moved. The undo list is on the disk before the first file moves, so an
    interrupted run can be undone too.

    Raises:
        DataError: no such table, a decision that is none, a path outside the data, a file that is not there or has
            changed, or a group of which nothing would be left.
        CannotWrite: a file cannot be moved; what was moved before is in the undo list.
    """
    root = Path(data)
    if not root.is_dir():
        raise DataError(f"{data} is no folder: decisions are carried out in the folder that was looked at")
    rows = _table(Path(decisions))
    if rows and set(UNDO) <= set(rows[0]):
        moves = {row["moved_to"]: row["path"] for row in rows if _inside(root, row["moved_to"]).is_file()}
        for target in moves.values():
            if _inside(root, target).exists():
                raise DataError(f"{target} stands there again: move it away, or take its line out of {decisions}")
        _move(root, moves)
        return Moved(files=moves, undo=None)
    gone = _checked(root, rows, Path(decisions))
    if not gone:
        return Moved(files={}, undo=None)
    moves = _targets(root, gone)
    undo = _undo_list(root, moves)
    _move(root, moves)
    return Moved(files=moves, undo=undo)


def _table(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table of decisions: {error}") from None
    if rows and not (set(COLUMNS) <= set(rows[0]) or set(UNDO) <= set(rows[0])):
        raise DataError(f"{path} has the columns {', '.join(map(str, rows[0]))}, where {', '.join(COLUMNS)} belong")
    return rows


def _checked(root: Path, rows: list[dict[str, str]], table: Path) -> list[str]:
    """The paths that go."""
    groups: dict[str, list[str]] = defaultdict(list)
    gone: list[str] = []
    for number, row in enumerate(rows, start=2):
        if row["decision"] not in ("keep", "delete"):
            raise DataError(f"{table}, line {number}: decision {row['decision']!r} is neither keep nor delete")
        groups[row["group"]].append(row["decision"])
        if row["decision"] == "delete":
            file = _inside(root, row["path"])
            if not file.is_file():
                raise DataError(f"{table}, line {number}: {row['path']} is no file in {root}")
            if str(file.stat().st_size) != row["bytes"]:
                raise DataError(
                    f"{table}, line {number}: {row['path']} has {file.stat().st_size} bytes, and had {row['bytes']} "
                    "when it was looked at: look again"
                )
            gone.append(row["path"])
    empty = [name for name, decided in groups.items() if "keep" not in decided]
    if empty:
        raise DataError(f"nothing would be left of group {some(empty)}: keep one of each, or take its lines out")
    if len(set(gone)) < len(gone):
        raise DataError(f"{table} names {some(sorted({path for path in gone if gone.count(path) > 1}))} twice")
    return gone


def _inside(root: Path, path: str) -> Path:
    """A file of the data; links that lead out of it, and .., are refused."""
    file = root / path
    if Path(path).is_absolute() or not file.parent.resolve().is_relative_to(root.resolve()) or ".." in Path(path).parts:
        raise DataError(f"{path} lies outside {root}: decisions are about files of the data")
    return file


def _targets(root: Path, paths: list[str]) -> dict[str, str]:
    """Where each goes: under its own path, with a number where that is taken."""
    taken: set[str] = set()
    moves = {}
    for path in paths:
        target, number = Path(TRASH) / path, 1
        while target.as_posix() in taken or (root / target).exists():
            target = Path(TRASH) / Path(path).with_stem(f"{Path(path).stem}-{number}")
            number += 1
        taken.add(target.as_posix())
        moves[path] = target.as_posix()
    return moves


def _undo_list(root: Path, moves: dict[str, str]) -> Path:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([UNDO, *moves.items()])
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    undo = root / TRASH / f"undo-{stamp}.csv"
    try:
        undo.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise CannotWrite(f"cannot make {undo.parent}: {error.strerror}. No file was moved") from error
    write_atomically(undo, stream.getvalue().encode())
    return undo


def _move(root: Path, moves: dict[str, str]) -> None:
    folders: set[Path] = set()
    for number, (path, target) in enumerate(moves.items()):
        file, place = root / path, root / target
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.exists():
                raise FileExistsError(EEXIST, os.strerror(EEXIST))
            file.rename(place)
        except OSError as error:
            raise CannotWrite(
                f"cannot move {path} to {target}: {error.strerror}. {number} of {len(moves)} files were moved"
            ) from error
        folders |= {file.parent, place.parent}
    for folder in folders:
        sync_folder(folder)

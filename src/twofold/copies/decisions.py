"""A table of decisions about copies, checked against the disk: nothing that is kept may be gone, changed or moved."""

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from twofold.data.delimited import read_rows
from twofold.data.listing import some
from twofold.errors import DataError
from twofold.files import sha256_file
from twofold.printable import utf8_name

__all__ = [
    "COLUMNS",
    "TRASH",
    "UNDO",
    "Decided",
    "Row",
    "State",
    "checked",
    "decisions_table",
    "names_on_disk",
    "root_of",
]

TRASH = ".twofold-trash"
"""Folder of the data where files go; hidden, so that no later look at the data sees them."""

COLUMNS = ("group", "path", "decision", "bytes")
"""Columns of every table of decisions; `time` and `sha256` also tell what the file was when it was
looked at."""

UNDO = ("path", "moved_to")
"""Of every undo list."""

Row = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class State:
    """What a file is: device and inode, size, and time of the last change in nanoseconds."""

    file: tuple[int, int]
    bytes: int
    time: int

    @classmethod
    def of(cls, path: Path) -> "State":
        """Of the file itself, never of what a link points to."""
        found = path.lstat()
        return cls(file=(found.st_dev, found.st_ino), bytes=found.st_size, time=found.st_mtime_ns)


@dataclass(frozen=True, kw_only=True)
class Decided:
    """A file of the table: its state when it was checked, and the group of copies that it belongs to."""

    path: str
    file: Path
    group: str
    state: State
    digest: str | None


def root_of(data: str | Path) -> Path:
    """The folder that decisions are about: DATA itself, or the folder of a table.

    Raises:
        DataError: there is no such folder.
    """
    path = Path(data)
    root = path.parent if path.is_file() else path
    if not root.is_dir():
        raise DataError(
            f"{data} is not a folder: decisions are carried out in the folder that was looked at"
        )
    return root


def decisions_table(path: Path) -> tuple[list[Row], bool]:
    """The rows of a table of decisions or of an undo list, and whether it is an undo list.

    Raises:
        DataError: not a table, other columns, or a row that is too short or too long.
    """
    header, lines = read_rows(path)
    rows = [dict(zip(header, fields, strict=True)) for _, fields in lines]
    undoing = set(UNDO) <= set(header)
    if not undoing and not set(COLUMNS) <= set(header):
        named = ", ".join(header[:8]) or "none"
        raise DataError(
            f"{path} is neither a table of decisions nor an undo list: it has the columns {named}, "
            f"where {', '.join(COLUMNS)} belong"
        )
    return rows, undoing


def names_on_disk(root: Path, rows: list[Row]) -> list[Row]:
    r"""The rows with each path as it is on the disk, where tables write bytes that are not UTF-8 as \xNN."""
    entries: dict[Path, dict[str, str]] = {}

    def on_disk(path: str) -> str:
        here = root
        for part in Path(path).parts:
            if "\\x" in part and not os.path.lexists(here / part):
                if here not in entries:
                    names = [each.name for each in here.iterdir()] if here.is_dir() else []
                    entries[here] = {
                        stored: name for name in names if (stored := utf8_name(name)) != name
                    }
                part = entries[here].get(part, part)
            here = here / part
        return str(here) if Path(path).is_absolute() else here.relative_to(root).as_posix()

    return [row | {"path": on_disk(row["path"])} if "\\x" in row["path"] else row for row in rows]


def checked(root: Path, rows: list[Row], table: Path) -> tuple[list[Decided], list[Decided]]:
    """(kept, going): every row looked up on the disk, before anything moves.

    Raises:
        DataError: a decision that is none, a file that is missing, changed, a link or outside the
            data, one that is named twice, one that is kept here and goes there, or a group of which
            nothing would be left.
    """
    kept: list[Decided] = []
    going: list[Decided] = []
    groups: dict[str, list[str]] = defaultdict(list)
    for number, row in enumerate(rows, start=2):
        decision = row["decision"]
        if decision not in ("keep", "delete"):
            raise DataError(
                f"{table}, line {number}: the decision {decision!r} is neither keep nor delete"
            )
        groups[row["group"]].append(decision)
    if empty := [name for name, decided in groups.items() if "keep" not in decided]:
        raise DataError(
            f"nothing would be left of group {some(empty)}: keep one of each, or take its lines out"
        )
    concerned = {name for name, decided in groups.items() if "delete" in decided}
    for number, row in enumerate(rows, start=2):
        if row["group"] in concerned:  # where nothing goes, nothing has to be kept
            place = going if row["decision"] == "delete" else kept
            place.append(_looked_up(root, row, f"{table}, line {number}"))
    _refuse_twice(going, table)
    _refuse_kept_and_gone(kept, going)
    return kept, going


def _looked_up(root: Path, row: Row, where: str) -> Decided:
    """The file of a row, if it is still what it was."""
    path, keeps = row["path"], row["decision"] == "keep"
    file = _file(root, path, where, anywhere=keeps)
    if not file.is_file():
        if keeps and not row["bytes"]:
            raise DataError(
                f"{where}: {path} is kept by an index, and where its file lies is not known, so "
                "it cannot be checked: index with --keep-source, or keep one file of the group"
            )
        why = "is kept, but there is no such file" if keeps else "is not a file"
        raise DataError(f"{where}: {path} {why} in {root}: look again. No file was moved")
    state = State.of(file)
    # tables written by hand; an empty file is kept by nobody
    unknown = keeps and row["bytes"] in ("", "0")
    if not unknown and str(state.bytes) != row["bytes"]:
        raise DataError(
            f"{where}: {path} has {state.bytes} bytes, and had "
            f"{row['bytes']} when it was looked at: look again"
        )
    digest = _unchanged(file, path, row, where)
    return Decided(path=path, file=file, group=row["group"], state=state, digest=digest)


def _unchanged(file: Path, path: str, row: Row, where: str) -> str | None:
    """The file's hash, if the table knows it; else the time is checked."""
    wanted, time = row.get("sha256"), row.get("time")
    if not wanted:
        if time and str(file.lstat().st_mtime_ns) != time:
            raise DataError(f"{where}: {path} has changed since it was looked at: look again")
        return None
    try:
        digest = sha256_file(file)
    except OSError as error:
        raise DataError(
            f"{where}: {path} cannot be read: {error.strerror}. No file was moved"
        ) from None
    if digest != wanted:
        raise DataError(
            f"{where}: the content of {path} has changed since it was looked at: look again"
        )
    return digest


def _file(root: Path, path: str, where: str, *, anywhere: bool) -> Path:
    """Where a row's file lies. Links, what lies outside the data and what lies in the trash are refused."""
    parts = Path(path).parts
    if not path or (Path(path).is_absolute() and not anywhere) or ".." in parts:
        raise DataError(
            f"{where}: {path} lies outside {root}: decisions are about files of the data"
        )
    if TRASH in parts:
        raise DataError(f"{where}: {path} lies in the trash: it was moved there by an earlier list")
    file = root / path
    if Path(path).is_absolute():
        return file.resolve()
    real = root.resolve()
    if not file.parent.resolve().is_relative_to(real):
        raise DataError(
            f"{where}: {path} lies outside {root}: decisions are about files of the data"
        )
    here = real
    for part in parts:
        here = here / part
        if here.is_symlink():
            link = here.relative_to(real)
            raise DataError(
                f"{where}: {path} is reached through the link {link}: name the file itself"
            )
    return file


def _refuse_twice(going: list[Decided], table: Path) -> None:
    seen: dict[tuple[int, int], str] = {}
    for each in going:
        if (other := seen.setdefault(each.state.file, each.path)) != each.path:
            raise DataError(
                f"{table}: {other} and {each.path} are the same file: take one of them out"
            )
    paths = [each.path for each in going]
    if len(set(paths)) < len(paths):
        raise DataError(
            f"{table} names {some(sorted({path for path in paths if paths.count(path) > 1}))} twice"
        )


def _refuse_kept_and_gone(kept: Iterable[Decided], going: list[Decided]) -> None:
    """Compared as device and inode, and as real path: names may differ in case, in Unicode, or by a link."""
    gone = {each.state.file: each.path for each in going} | {
        os.path.realpath(each.file): each.path for each in going
    }
    for each in kept:
        other = gone.get(each.state.file, gone.get(os.path.realpath(each.file)))
        if other is not None:
            raise DataError(
                f"{each.path} is kept in group {each.group}, and {other} "
                "is to go, but both are the same file: keep it everywhere, "
                "or keep another one in that group. No file was moved"
            )

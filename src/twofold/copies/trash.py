"""Carrying out decisions about copies: files move to a trash folder of the data and can come back; none is deleted.

All or nothing: the undo list is on the disk before the first file moves. What fails is taken back
at once; what was killed is taken back by the next call.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from unicodedata import normalize

from twofold.copies.decisions import (
    TRASH,
    Decided,
    Row,
    State,
    checked,
    decisions_table,
    names_on_disk,
    root_of,
)
from twofold.copies.sidecars import sidecars
from twofold.copies.undo import UNFINISHED, Move, move_back, write_undo_list
from twofold.data.listing import some
from twofold.errors import CannotWrite, DataError
from twofold.files import rename_without_replacing, sha256_file, sync_folder
from twofold.printable import utf8_name

__all__ = ["TRASH", "Moved", "apply_decisions", "unfinished"]


@dataclass(frozen=True, kw_only=True)
class Moved:
    """What was moved: from -> to, relative to the data; and the undo list (None: this call undid one).

    Attributes:
        linked: new hard link -> the kept file that it leads to. left: files that stay, since a hard
            link would change their content. notes: what else there is to say.
    """

    files: dict[str, str]
    undo: Path | None
    linked: dict[str, str]
    left: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def apply_decisions(data: str | Path, decisions: str | Path, *, link: bool = False) -> Moved:
    """Move the files that were decided to go into `.twofold-trash`; or, given an undo list, move them back.

    Sidecar files (photo.jpg.xmp, photo.xmp) go with their file. Files on another disk below the
    data go to a trash folder at the top of that disk, so that nothing is ever copied.

    Args:
        data: the folder that was looked at, or the table.
        decisions: the table that the page exports, or an undo list.
        link: replace files of exactly the kept file's content by hard links to it. Others stay.

    Raises:
        DataError: no such table, an unknown decision, a file that is missing, changed, outside the
            data, a link, or both kept and to go; or a group of which nothing would be left.
            Nothing was moved.
        CannotWrite: a file cannot be moved. What was moved before is back in its place.
    """
    root = root_of(data)
    table = Path(decisions)
    with _alone(root):
        rows, undoing = decisions_table(table)
        recovered = _recover(root)
        if undoing:
            return replace(_undone(root, rows, table), notes=recovered)
        kept, going = checked(root, names_on_disk(root, rows), table)
        moves, left = (_linking(kept, going)) if link else ([_plain(each) for each in going], ())
        if not moves:
            return Moved(files={}, undo=None, linked={}, left=left, notes=recovered)
        moves = _with_sidecars(root, moves, kept)
        moves = _targets(root, moves)
        undo = _carry_out(root, moves, kept)
    files = {utf8_name(move.path): utf8_name(move.target) for move in moves}
    linked = {utf8_name(move.path): utf8_name(move.linked_to) for move in moves if move.linked_to}
    left = tuple(map(utf8_name, left))
    return Moved(files=files, undo=undo, linked=linked, left=left, notes=recovered)


def unfinished(data: str | Path) -> tuple[Path, ...]:
    """Undo lists of runs that were killed; the next `apply_decisions` takes those back first."""
    return tuple(
        mark.with_suffix("")
        for mark in sorted((root_of(data) / TRASH).glob(f"undo-*.csv{UNFINISHED}"))
    )


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Lock the folder, so that no other run moves its files."""
    if os.name == "nt":
        yield
        return
    import fcntl

    handle = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CannotWrite(
                f"another run is moving files of {root}: wait until it has ended"
            ) from None
        yield
    finally:
        os.close(handle)


def _plain(each: Decided) -> Move:
    return Move(path=each.path, target="", state=each.state)


def _linking(kept: list[Decided], going: list[Decided]) -> tuple[list[Move], tuple[str, ...]]:
    """Moves of files that can become hard links to a kept one of their group (same bytes and disk); and the others."""
    moves, left = [], []
    digests: dict[Path, str] = {}

    def digest(each: Decided) -> str:
        return digests.setdefault(each.file, each.digest or sha256_file(each.file))

    for each in going:
        alike = [
            other
            for other in kept
            if other.group == each.group
            and other.state.bytes == each.state.bytes
            and other.state.file[0] == each.state.file[0]
            and digest(other) == digest(each)
        ]
        if alike:
            moves.append(replace(_plain(each), linked_to=alike[0].path))
        else:
            left.append(each.path)
    return moves, tuple(left)


def _with_sidecars(root: Path, moves: list[Move], kept: list[Decided]) -> list[Move]:
    """The moves with those of sidecar files; the sidecars of a file that becomes a link stay."""
    going = [root / move.path for move in moves if not move.linked_to]
    fixed = {each.file for each in kept} | {root / move.path for move in moves}
    found = [file for file in sidecars(going) if file not in fixed]
    more = [
        Move(path=file.relative_to(root).as_posix(), target="", state=State.of(file))
        for file in found
    ]
    return [*moves, *more]


def _targets(root: Path, moves: list[Move]) -> list[Move]:
    """Where each goes: under its own path, with a number where that is taken."""
    taken: set[str] = set()
    found = []
    for move in moves:
        disk = _top_of_disk(root, move)
        inside = Path(move.path).relative_to(disk)
        trash = root / disk / TRASH
        if trash.is_symlink() or (trash.exists() and not trash.is_dir()):
            raise CannotWrite(
                f"{trash} is not a folder of its own, so "
                "nothing can be kept there. No file was moved"
            )
        target, number = disk / TRASH / inside, 1
        while _plain_name(target) in taken or os.path.lexists(root / target):
            target = disk / TRASH / inside.with_stem(f"{inside.stem}-{number}")
            number += 1
        taken.add(_plain_name(target))
        found.append(replace(move, target=target.as_posix()))
    return found


def _plain_name(path: Path) -> str:
    """The form in which names are equal that some file systems treat as the same."""
    return normalize("NFC", normalize("NFC", path.as_posix()).casefold())


def _top_of_disk(root: Path, move: Move) -> Path:
    """The uppermost folder of the data on the disk of the file, relative to the data."""
    disk = move.state.file[0]
    place = Path(move.path).parent
    while place != Path() and (root / place.parent).stat().st_dev == disk:
        place = place.parent
    return place


def _carry_out(root: Path, moves: list[Move], kept: list[Decided]) -> Path:
    """Write the undo list, move the files, check again; take all back if anything fails."""
    undo = write_undo_list(root, moves)
    mark = undo.with_name(undo.name + UNFINISHED)
    try:
        mark.touch()
        sync_folder(mark.parent)
        _forth(root, moves)
        lost = [each.path for each in kept if not each.file.is_file()]
        if lost:
            raise OSError(f"with them would go what is kept: {some(lost)}")
        os.utime(undo)  # folders that are changed later than this keep their time when it is undone
        mark.unlink()
    except BaseException as error:
        told = _taken_back(root, undo)
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(f"interrupted: {told}") from None
        if isinstance(error, OSError):
            reason = " ".join(
                filter(
                    None, [error.strerror or str(error), error.filename and f"({error.filename})"]
                )
            )
            raise CannotWrite(f"cannot move files to {root / TRASH}: {reason}. {told}") from error
        raise
    return undo


def _forth(root: Path, moves: list[Move]) -> None:
    folders: set[Path] = set()
    for move in moves:
        file, place = root / move.path, root / move.target
        place.parent.mkdir(parents=True, exist_ok=True)
        if State.of(file) != move.state:
            raise OSError(f"{move.path} has changed meanwhile")
        rename_without_replacing(file, place)
        if move.linked_to:
            (root / move.path).hardlink_to(root / move.linked_to)
        folders |= {file.parent, place.parent}
    for folder in folders:
        sync_folder(folder)


def _taken_back(root: Path, undo: Path) -> str:
    """Put back what was moved; what to tell the user."""
    try:
        rows, _ = decisions_table(undo)
        move_back(root, rows, undo)
    except (OSError, DataError, CannotWrite, KeyboardInterrupt) as error:
        return f"Some files are in the trash still ({error}); take them back with --apply {undo}"
    return f"Every file is in its place; the undo list is {undo}"


def _recover(root: Path) -> tuple[str, ...]:
    """Take back what a killed run had moved."""
    told = []
    for undo in unfinished(root):
        rows, _ = decisions_table(undo)
        back = move_back(root, rows, undo)
        told.append(
            f"an earlier run was cut off: {len(back)} of its files were put back ({undo.name})"
        )
    return tuple(told)


def _undone(root: Path, rows: list[Row], table: Path) -> Moved:
    return Moved(files=move_back(root, rows, table), undo=None, linked={})

"""Files written whole or not at all (law 10: temp file, fsync, rename, fsync of the folder), and their hashes."""

import contextlib
import ctypes
import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from twofold.errors import CannotWrite

__all__ = ["new_folder", "rename_without_replacing", "sha256_file", "write_atomically"]

AT_FDCWD, RENAME_NOREPLACE, RENAME_EXCHANGE = -100, 1, 2  # of linux/fs.h


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file so that a reader, a kill or a power cut sees all of the old bytes or all of the new ones.

    A link is followed: the file that it points to is replaced.

    Raises:
        CannotWrite: the folder is missing or read-only, the disk is full. The old file is then as it was.
    """
    target = Path(path).resolve()
    spare = beside(target)
    try:
        with explain_failure(target):
            write_durably(spare, content)
            spare.replace(target)
            sync_folder(target.parent)
    finally:
        spare.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: str | Path, *, marker: str) -> Iterator[Path]:
    """A folder that appears whole: fill the one that is given; it takes its place at `path` when the block ends well.

    When the block raises, `path` is as it was. On Linux an old folder and the new one change places in one step;
    elsewhere a kill between two renames can leave the old one beside `path`, with a name that ends in `.old`.

    Args:
        path: where the folder shall stand. Missing parents are made.
        marker: a file that an old folder at `path` must have in it, or be empty: whatever else stands there is not ours
            to delete.

    Raises:
        CannotWrite: something else stands at `path`, or the disk does not take it.
    """
    target = Path(path).resolve()
    check_replaceable(target, marker)
    spare = beside(target)
    try:
        with explain_failure(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            spare.mkdir()
        yield spare
        with explain_failure(target):
            sync_tree(spare)
            put_in_place(spare, target)
            sync_folder(target.parent)
    finally:
        shutil.rmtree(spare, ignore_errors=True)


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def beside(target: Path) -> Path:
    """A free hidden name in the same folder, hence on the same disk: only there is a rename one step."""
    return target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")


@contextlib.contextmanager
def explain_failure(target: Path) -> Iterator[None]:
    """The disk's own error, told as what could not be written and what is still there."""
    try:
        yield
    except OSError as error:
        raise CannotWrite(
            f"cannot write {target}: {error.strerror or error}. What stood there before is unchanged; "
            "free some space or choose a place where you may write"
        ) from error


def write_durably(path: Path, content: bytes) -> None:
    """Write a new file and wait until the disk has it."""
    with path.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def check_replaceable(target: Path, marker: str) -> None:
    """Refuse to replace what is neither missing, nor empty, nor a folder of our own."""
    if not target.exists():
        return
    if target.is_dir() and ((target / marker).is_file() or not any(target.iterdir())):
        return
    raise CannotWrite(f"{target} exists and holds no {marker}: it was not written by twofold, so choose another place")


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the folder's list of names."""
    if os.name == "nt":  # a folder cannot be opened there, and its journal orders renames
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Wait until the disk has every file under a folder, and the folders themselves."""
    for entry in folder.iterdir():
        if entry.is_dir():
            sync_tree(entry)
        else:
            with entry.open("rb") as stream:
                os.fsync(stream.fileno())
    sync_folder(folder)


def put_in_place(spare: Path, target: Path) -> None:
    """Give the spare folder the target's name; what stood there ends under the spare's name or is gone."""
    if not target.exists():
        spare.rename(target)
    elif not exchange(spare, target):
        old = spare.with_suffix(".old")
        target.rename(old)
        try:
            spare.rename(target)
        except OSError:
            old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)


def rename_without_replacing(path: Path, target: Path) -> None:
    """Rename a file to a name that is free. Linux refuses a taken name in the same step, others just before.

    Raises:
        OSError: `FileExistsError` where something stands at `target`; whatever the disk says otherwise.
    """
    code = _renamed(path, target, RENAME_NOREPLACE)
    if code in (None, errno.ENOSYS, errno.EINVAL):  # a system or a file system that does not know how
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        path.rename(target)
    elif code:
        raise OSError(code, os.strerror(code), str(path))


def exchange(one: Path, other: Path) -> bool:
    """Let two names change places in one step (Linux, most file systems); False where that cannot be had."""
    return _renamed(one, other, RENAME_EXCHANGE) == 0


def _renamed(one: Path, other: Path, flags: int) -> int | None:
    """Linux's renameat2: 0, or the number of the error; None on a system that has none."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, TypeError, OSError):
        return None
    failed = rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), flags) != 0
    return (ctypes.get_errno() or errno.EIO) if failed else 0

"""Files written whole or not at all (law 10: temp file, fsync, rename, fsync of the folder), and their hashes."""

import contextlib
import ctypes
import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from twofold.errors import CannotWrite
from twofold.places import is_special, remedy, resolved

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = [
    "PRIVATE_FILE",
    "PRIVATE_FOLDER",
    "beside",
    "claimed",
    "explain_failure",
    "make_private",
    "new_folder",
    "private_mode",
    "remove_abandoned",
    "rename_without_replacing",
    "sha256_file",
    "spares",
    "sync_folder",
    "write_atomically",
]

# what holds templates, names or keys is its owner's alone
PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
OTHERS = 0o077  # the bits of everybody but the owner
RANDOM_BYTES = 6  # in the name of a temporary file: two calls at once do not meet
AT_FDCWD, RENAME_NOREPLACE, RENAME_EXCHANGE = -100, 1, 2  # of linux/fs.h
NAME_BYTES = 200  # of a name that is put between others: file systems take 255
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)  # only a write meets these


def write_atomically(path: str | Path, content: bytes, *, private: bool = False) -> None:
    """Write a file so that a reader, a kill or a power cut sees all of the old bytes or all of the new ones.

    A link is followed: the file that it points to is replaced. A device or a pipe (/dev/stdout) is
    written into.

    Args:
        private: only the owner may read it (mode 0600), whatever the umask is and whatever the old
            file allowed.

    Raises:
        CannotWrite: the folder is missing or read-only, the disk is full. The old file is then as
            it was.
    """
    target = resolved(path)
    if is_special(target):
        with explain_failure(target):
            target.write_bytes(content)
        return
    spare = beside(target)
    try:
        with explain_failure(target):
            write_durably(spare, content, mode=PRIVATE_FILE if private else None)
            spare.replace(target)
            sync_folder(target.parent)
    finally:
        # where it could not be made, it cannot be removed either
        with contextlib.suppress(OSError):
            spare.unlink()


@contextlib.contextmanager
def new_folder(path: str | Path, *, marker: str, private: bool = False) -> Iterator[Path]:
    """A folder that appears whole: fill the one that is given; it takes its place at `path` when the block ends well.

    When the block raises, `path` is as it was. On Linux an old folder and the new one change places
    in one step; elsewhere a kill between two renames can leave the old one beside `path`, with a
    name that ends in `.old`.

    Args:
        path: where the folder shall stand. Missing parents are made.
        marker: a file that an old folder at `path` must have in it, or be empty: whatever else
            stands there is not ours to delete.
        private: only the owner may look into it (folders 0700, files 0600), whatever the umask is.

    Raises:
        CannotWrite: something else stands at `path`, or the disk does not take it.
    """
    target = resolved(path)
    check_replaceable(target, marker)
    spare = beside(target)
    try:
        with explain_failure(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            # nobody else comes in while it is filled
            spare.mkdir(mode=PRIVATE_FOLDER if private else 0o777)
        with claimed(spare):
            with explain_full_disk(target):
                yield spare
            with explain_failure(target):
                if private:
                    make_private(spare)
                sync_tree(spare)
                put_in_place(spare, target)
                sync_folder(target.parent)
    finally:
        shutil.rmtree(spare, ignore_errors=True)


@contextlib.contextmanager
def explain_full_disk(target: Path) -> Iterator[None]:
    """Turn the system's word that a disk takes no more into CannotWrite; other errors are not about `target`.

    Libraries written in Rust, safetensors for one, tell the system's number in a text: "... (os
    error 28)".
    """
    try:
        yield
    except Exception as error:
        told = re.findall(r"\(os error (\d+)\)", str(error))
        number = error.errno if isinstance(error, OSError) else int(told[0]) if told else None
        if number not in FULL:
            raise
        with explain_failure(target):
            raise OSError(number, os.strerror(number)) from error


def spares(target: Path) -> list[Path]:
    """Folders beside `target` that `new_folder` has made for it: of calls at work, and of calls that were killed."""
    name = re.escape(shortened(target.name))
    wanted = re.compile(rf"\.{name}\.[0-9a-f]{{{2 * RANDOM_BYTES}}}\.(tmp|old)")
    try:
        return [
            path
            for path in target.parent.iterdir()
            if wanted.fullmatch(path.name) and path.is_dir()
        ]
    except OSError:
        return []


def remove_abandoned(spare: Path) -> bool:
    """Delete one of `spares` unless a call is at work on it; whether it is gone."""
    with contextlib.suppress(OSError), claimed(spare, wait=False):
        shutil.rmtree(spare, ignore_errors=True)
    return not spare.exists()


@contextlib.contextmanager
def claimed(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock on a folder, which the system drops when the process ends, however it ends.

    Raises:
        BlockingIOError: somebody else holds it, and `wait` is False; or the system has no such
            locks, so nobody knows.
    """
    if fcntl is None:
        if not wait:
            raise BlockingIOError(f"whether {folder} is in use is not known here")
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        if wait:
            with contextlib.suppress(OSError):  # a disk without locks: then nobody sweeps, either
                fcntl.flock(handle, fcntl.LOCK_EX)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def make_private(folder: Path) -> None:
    """Let only the owner into a folder and all that is in it: folders 0700, files 0600. Links are left alone."""
    folder.chmod(PRIVATE_FOLDER)
    for entry in folder.iterdir():
        if entry.is_symlink():
            continue
        if entry.is_dir():
            make_private(entry)
        else:
            entry.chmod(PRIVATE_FILE)


def private_mode(path: Path) -> bool:
    """Whether only the owner may use a file or folder; True where the system has no such bits."""
    return os.name == "nt" or not path.stat().st_mode & OTHERS


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def shortened(name: str) -> str:
    """The beginning of a file's name: one may have 255 bytes, which leaves these beside what is put around it."""
    return os.fsdecode(os.fsencode(name)[:NAME_BYTES])


def beside(target: Path) -> Path:
    """A free hidden name in the same folder, hence on the same disk: only there is a rename one step."""
    return target.with_name(f".{shortened(target.name)}.{secrets.token_hex(RANDOM_BYTES)}.tmp")


@contextlib.contextmanager
def explain_failure(target: Path) -> Iterator[None]:
    """The disk's own error, told as what could not be written and what is still there."""
    try:
        yield
    except OSError as error:
        raise CannotWrite(
            f"cannot write {target}: {remedy(error)}. What stood there before is unchanged"
        ) from error


def write_durably(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Write a new file and wait until the disk has it.

    Args:
        mode: of the file, from its first byte on; None: what the umask leaves.
    """
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode or 0o666)) as stream:
        if mode is not None and hasattr(os, "fchmod"):
            os.fchmod(stream.fileno(), mode)  # a umask may have taken away more
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def check_replaceable(target: Path, marker: str) -> None:
    """Refuse to replace what is neither missing, nor empty, nor a folder of our own."""
    with explain_failure(target):
        if not target.exists():
            return
    if target.is_dir() and ((target / marker).is_file() or not any(target.iterdir())):
        return
    raise CannotWrite(
        f"{target} exists and holds no {marker}: it was not written by twofold, so choose another "
        f"place"
    )


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
        OSError: `FileExistsError` where something stands at `target`; whatever the disk says
            otherwise.
    """
    code = _renamed(path, target, RENAME_NOREPLACE)
    # a system or a file system that does not know how
    if code in (None, errno.ENOSYS, errno.EINVAL):
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

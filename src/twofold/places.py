"""Places for output: whether one can be written, seen before the work is done, and what the system's refusals mean."""

import errno
import os
import secrets
import stat
from pathlib import Path

from twofold.errors import CannotWrite

__all__ = [
    "REMEDIES",
    "check_file_place",
    "check_folder_place",
    "file_at",
    "is_special",
    "remedy",
    "resolved",
]

# what the system refuses, and what its user can do about it; any other errno is told in the
# system's words
REMEDIES = {
    errno.EACCES: "choose a place where you may write, or change the permissions",
    errno.EPERM: "choose a place where you may write, or change the permissions",
    errno.EROFS: "the file system is read-only: choose another place",
    errno.ENOSPC: "the disk is full: free some space or choose another disk",
    errno.EDQUOT: "your quota is used up: free some space or choose another disk",
    errno.EFBIG: "the file is too large for this file system: choose another disk",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "its symbolic links form a loop: repair or remove them",
    errno.EISDIR: "it is a folder: give a file",
    errno.ENOTDIR: "a part of the path is a file, not a folder: correct the path",
    errno.ENOENT: "correct the path",
    errno.EEXIST: "it exists already: choose another name",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
    errno.ENFILE: "too many files are open on this machine: close some programs",
    errno.ENOMEM: "the memory is full: close some programs or use less data at a time",
    errno.EIO: "the disk does not answer properly: copy what you can to another one",
    errno.ESTALE: "the network drive has lost the file: mount it again",
    errno.EBUSY: "it is in use: try again later",
    errno.ETXTBSY: "it is in use: try again later",
    errno.EADDRINUSE: "the port is in use: choose another one",
}


def remedy(error: OSError) -> str:
    """What the system refused, and what to do: "Permission denied; choose a place where you may write"."""
    said = error.strerror or str(error) or type(error).__name__
    advice = REMEDIES.get(error.errno or 0)
    return f"{said}; {advice}" if advice else said


def check_file_place(path: str | Path, *, name: str = "") -> None:
    """See that a file can be written at `path`, before the work whose result goes there. Nothing stays behind.

    Args:
        name: what the user calls the place, --report say, for the error.

    Raises:
        CannotWrite: a folder stands there, its own folder is missing or takes no file, or the name
            cannot be one.
    """
    target = resolved(path)
    said = f"{name} {path}".strip()
    try:
        if target.is_dir():
            raise CannotWrite(f"{said} is a folder: give the name of a file in it")
        if is_special(target):
            return
        _longest_name(target)
        if not target.parent.is_dir():
            raise CannotWrite(
                f"{said}: there is no folder {target.parent}: make it, or correct the path"
            )
        _try_in(target.parent)
    except OSError as error:
        raise CannotWrite(f"{said} cannot be written: {remedy(error)}") from error


def check_folder_place(path: str | Path, *, name: str = "") -> None:
    """See that a folder can be made at `path`, its missing parents too, or filled if it is there already.

    Raises:
        CannotWrite: a file stands there or in its way, or the disk takes no folder there.
    """
    target = resolved(path)
    said = f"{name} {path}".strip()
    try:
        _longest_name(target)
        if target.exists() and not target.is_dir():
            raise CannotWrite(f"{said} is a file: give a folder, or a name that is not taken")
        above = target.parent
        while not above.exists() and above != above.parent:
            above = above.parent
        if not above.is_dir():
            raise CannotWrite(
                f"{said} cannot be made: {above} is a file, not a folder; correct the path"
            )
        _try_in(above)
        if target.is_dir():
            _try_in(target)
    except OSError as error:
        raise CannotWrite(f"{said} cannot be written: {remedy(error)}") from error


def resolved(path: str | Path) -> Path:
    """The place that a path means, its links followed.

    Raises:
        CannotWrite: its links lead in a circle, or it cannot be a path at all.
    """
    try:
        return Path(path).resolve()
    # Python 3.11 calls a circle of links a RuntimeError
    except (OSError, RuntimeError, ValueError) as error:
        circle = REMEDIES[errno.ELOOP]
        raise CannotWrite(
            f"{path}: {circle if isinstance(error, RuntimeError) else error}"
        ) from None


def is_special(path: Path) -> bool:
    """Whether something stands there that a file must not replace: a device such as /dev/null, a pipe, a socket."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def file_at(path: Path) -> bool:
    """Whether a file stands at a path; False for what cannot be a path at all, too."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, a circle of links, a zero byte
        return False


def _longest_name(target: Path) -> None:
    """Let the system refuse a name that is too long for it."""
    try:
        target.lstat()
    except FileNotFoundError:
        return


def _try_in(folder: Path) -> None:
    """Make a file in a folder and remove it: permissions alone do not tell of read-only and full disks."""
    trial = folder / f".twofold-{secrets.token_hex(6)}.tmp"
    handle = os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.close(handle)
    finally:
        trial.unlink(missing_ok=True)

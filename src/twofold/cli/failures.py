"""What went wrong, as one line for standard error and an exit code: a crash is never an answer."""

import errno
from collections.abc import Sequence

import cyclopts

from twofold.cli.options import BROKEN_PIPE, INTERNAL, INTERRUPTED, TERMINATED, WRONG
from twofold.errors import Interrupted, TwofoldError
from twofold.printable import printable

__all__ = ["failure", "remedy"]

# what the system refuses, and what its user can do about it; any other errno is named as it is
REMEDIES = {
    errno.EACCES: "you may not do that there: choose another place, or have its permissions changed",
    errno.EPERM: "you may not do that there: choose another place, or have its permissions changed",
    errno.EROFS: "the file system is read-only: choose another place",
    errno.ENOSPC: "the disk is full: free some space, or choose another disk",
    errno.EDQUOT: "your quota is used up: free some space, or choose another disk",
    errno.EFBIG: "the file would be too large for this file system: choose another one",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
    errno.ELOOP: "its symbolic links lead in a circle: mend or remove them",
    errno.EISDIR: "it is a folder: give a file",
    errno.ENOTDIR: "a part of it is a file, not a folder: correct the path",
    errno.ENOENT: "it does not exist: correct the path",
    errno.EEXIST: "it exists already: choose another name",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
    errno.ENFILE: "too many files are open on this machine: close some programs",
    errno.ENOMEM: "the memory is full: close some programs, or use less data at a time",
    errno.EIO: "the disk does not answer properly: copy what you can to another one",
    errno.ESTALE: "the network drive has lost the file: mount it again",
    errno.EBUSY: "it is in use: try again later",
    errno.ETXTBSY: "it is in use: try again later",
    errno.EADDRINUSE: "the port is in use: choose another one",
}
MEMORY = "not enough memory: use fewer or smaller inputs at a time, or a machine with more"


def failure(error: BaseException, words: Sequence[str]) -> tuple[int, str]:
    """The exit code and the line that answer an exception; the line is empty where nothing needs to be said.

    Args:
        words: the command line, to say what was being done.
    """
    if isinstance(error, cyclopts.CycloptsError):
        return WRONG, _line(f"{_first_line(error)} (twofold {_command(words)}--help shows what it takes)")
    if isinstance(error, TwofoldError):
        return TERMINATED if isinstance(error, Interrupted) else WRONG, _line(str(error))
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, _line("interrupted; what is on the disk is whole")
    if isinstance(error, BrokenPipeError):  # `| head` has read enough
        return BROKEN_PIPE, ""
    if isinstance(error, OSError) and (error.filename is not None or error.errno in REMEDIES):
        return WRONG, _line(remedy(error))
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or _allocator(error):
        return WRONG, _line(MEMORY)
    doing = _command(words).strip() or " ".join(words)
    what = f"{type(error).__name__}: {_first_line(error)}".rstrip(": ")
    return INTERNAL, _line(
        f"internal error in `twofold {doing}`: {what}. This is a fault of twofold, not an answer: "
        "please report it with what --debug shows"
    )


def remedy(error: OSError) -> str:
    """What the system refused, where, and what to do."""
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    where = f"{' and '.join(names)}: " if names else ""
    said = error.strerror or _first_line(error) or type(error).__name__
    advice = REMEDIES.get(error.errno or 0)
    return f"{where}{said}" + (f"; {advice}" if advice else "")


def _allocator(error: BaseException) -> bool:
    """Whether torch could not get memory, which it says with a plain RuntimeError."""
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _command(words: Sequence[str]) -> str:
    """The command's name and a blank, where the command line begins with one."""
    from twofold.cli import NAMES

    return f"{words[0]} " if words and words[0] in NAMES else ""


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _line(text: str) -> str:
    return f"twofold: {printable(text)}\n"

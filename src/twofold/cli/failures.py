"""What went wrong, as one line for standard error and an exit code: a crash is never an answer."""

from collections.abc import Sequence

import cyclopts

from twofold.cli.commands import NAMES, app
from twofold.cli.options import BROKEN_PIPE, INTERNAL, INTERRUPTED, TERMINATED, WRONG
from twofold.cli.order import ordered
from twofold.cli.unknown import meant
from twofold.errors import Interrupted, TwofoldError
from twofold.places import REMEDIES, remedy
from twofold.printable import printable

__all__ = ["failure"]

LONGEST_LINE = 6000
"""Characters: an error that names a path of the greatest length, and not the contents of a file."""

MEMORY = "not enough memory: use fewer or smaller inputs at a time, or a machine with more"


def failure(error: BaseException, words: Sequence[str]) -> tuple[int, str]:
    """The exit code and the line that answer an exception; the line is empty where nothing needs to be said.

    Args:
        words: the command line, to say what was being done.
    """
    if isinstance(error, cyclopts.CycloptsError):
        said = _first_line(error)
        if hint := meant(said, words):
            said = f"{said.partition(' Did you mean')[0].rstrip('.')}: {hint}"
        return WRONG, _line(f"{said} (twofold {_command(words)}--help shows what it takes)")
    if isinstance(error, TwofoldError):
        return TERMINATED if isinstance(error, Interrupted) else WRONG, _line(
            f"{error}{_meant(words)}"
        )
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, _line(str(error) or "interrupted; what was written to disk is complete")
    if isinstance(error, BrokenPipeError):  # `| head` has read enough
        return BROKEN_PIPE, ""
    if isinstance(error, OSError) and (error.filename is not None or error.errno in REMEDIES):
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        return WRONG, _line(f"{' and '.join(names)}: {remedy(error)}" if names else remedy(error))
    if (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or _allocator(error)
    ):
        return WRONG, _line(MEMORY)
    doing = _command(words).strip() or " ".join(words)
    what = f"{type(error).__name__}: {_first_line(error)}".rstrip(": ")
    return INTERNAL, _line(
        f"internal error in `twofold {doing}`: {what}. This is a fault of twofold, not an answer: "
        "please report it with what --debug shows"
    )


def _meant(words: Sequence[str]) -> str:
    """What to say where arguments stand in the wrong order."""
    if not words or words[0] not in NAMES:
        return ""
    try:
        meant = ordered(app, words)
    except Exception:  # a hint must not take the place of the error
        return ""
    return f". Are the arguments in the wrong order? {meant}" if meant else ""


def _allocator(error: BaseException) -> bool:
    """Whether torch could not get memory, which it says with a plain RuntimeError."""
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _command(words: Sequence[str]) -> str:
    """The command's name and a blank, where the command line begins with one."""
    return f"{words[0]} " if words and words[0] in NAMES else ""


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _line(text: str) -> str:
    if len(text) > LONGEST_LINE:
        text = f"{text[: LONGEST_LINE // 2]} ... {text[-LONGEST_LINE // 2 :]}"
    return f"twofold: {printable(text)}\n"

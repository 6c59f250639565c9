"""The command line: what surrounds a command. Nothing heavy is imported until a command needs it."""

import contextlib
import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

from twofold.cli.commands import app
from twofold.cli.failures import failure
from twofold.cli.options import INTERNAL, YES, console, say, show, standard_output
from twofold.cli.overview import usual_path
from twofold.cli.own_encoder import with_own_encoder
from twofold.errors import UsageError
from twofold.threads import wait_briefly

__all__ = ["INTERNAL", "app", "main", "without_options"]

DEBUG = "--debug"
EVERYWHERE = {
    "--max-pixels": "TWOFOLD_MAX_PIXELS",
    "--label-field": "TWOFOLD_LABEL_FIELD",
    "--label-from": "TWOFOLD_LABEL_FROM",
}
"""Options of every command, and the variables by which they reach what they are for: the largest
picture, in pixels, that is decoded (`inputs.image_limits`); the field of FASTA headers or of file
names that is the label (`data.fasta`); and where the label of files stands (`data.file_names`).
These modules take long to import."""

WORDS = {"--label-from": ("folder", "name")}
"""The values of those that are not numbers."""

HELP = frozenset({"--help", "-h", "--version"})
MAY_BE_EMPTY = "--prefix"
"""The one option whose empty value means something: no prefix."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    given = sys.argv[1:] if arguments is None else arguments
    options, names = _before_names(given)
    if "torch" not in sys.modules:
        wait_briefly()
    _steady_streams()
    code, said, trace = YES, "", ""
    with contextlib.ExitStack() as stack:
        if arguments is None:
            stack.enter_context(warnings.catch_warnings())
            warnings.showwarning = _warn
            # Pillow's words on tags that it skips: the pixels are sound, and what is not is refused
            # in a line of ours
            warnings.filterwarnings("ignore", module=r"PIL\.")
        try:
            words = [word for word in options if word != DEBUG]
            code = _answer(without_options(with_own_encoder(words, stack), stack) + names)
        except (Exception, KeyboardInterrupt) as error:
            code, said = failure(error, given)
            trace = traceback.format_exc()
    _end(code, trace + said if DEBUG in options else said)


def _before_names(words: list[str]) -> tuple[list[str], list[str]]:
    """The words before `--`, and the rest: after it `--debug` is the name of a file like any other."""
    end = words.index("--") if "--" in words else len(words)
    return words[:end], words[end:]


def without_options(words: list[str], stack: contextlib.ExitStack) -> list[str]:
    """The words without the options of every command, which hold until the stack is closed."""
    kept = []
    rest = iter(words)
    for word in rest:
        name, _, value = word.partition("=")
        if name not in EVERYWHERE:
            kept.append(word)
            continue
        said, variable = value or next(rest, "nothing"), EVERYWHERE[name]
        if name in WORDS and said not in WORDS[name]:
            raise UsageError(f"{name} must be {' or '.join(WORDS[name])}, not {said!r}")
        if name not in WORDS and (not said.isdecimal() or int(said) < 1):
            raise UsageError(f"{name} must be a positive whole number, not {said!r}")
        stack.callback(_restore, variable, os.environ.get(variable))
        os.environ[variable] = said
    return kept


def _restore(variable: str, value: str | None) -> None:
    os.environ.pop(variable, None)
    if value is not None:
        os.environ[variable] = value


def _answer(words: list[str]) -> int:
    """The exit code of a command; without words the usual path and how far it has been gone here."""
    if not words:
        show(usual_path(Path.cwd()))
        return YES
    for place, word in enumerate(words):
        if not word and (place == 0 or words[place - 1] != MAY_BE_EMPTY):
            raise UsageError(f"argument {place + 1} is empty: is a variable of the shell not set?")
    helps = bool(HELP.intersection(words))
    shown = console(wrap=True) if helps and sys.stdout is not None else None
    with standard_output() if helps else contextlib.nullcontext():
        code = app(
            words,
            console=shown,
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    return code if isinstance(code, int) else YES


def _steady_streams() -> None:
    """What a terminal's encoding lacks is escaped; it does not end the command."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _warn(message: Warning | str, *_: Any) -> None:
    """A warning as one line, without the place in the code where it arose."""
    say(str(message))


def _end(code: int, said: str) -> None:
    """Say what went wrong and exit, whatever has become of the streams."""
    try:
        if sys.stderr is not None:
            sys.stderr.write(said)
            sys.stderr.flush()
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:  # the reader is gone: Python would complain once more as it closes the stream
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())  # type: ignore[union-attr]
    sys.exit(code)

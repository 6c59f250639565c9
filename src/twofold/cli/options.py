"""What the commands share: exit codes, the types of their options, and how they print."""

import contextlib
import json as jsonlib
import sys
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from twofold.cli.values import SETTINGS, OutFile, OutFolder
from twofold.errors import LeftOut, UnreadableInput, UsageError, nearest
from twofold.printable import printable, printable_lines

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "BROKEN_PIPE",
    "EXIT_CODES",
    "INTERNAL",
    "INTERRUPTED",
    "NO",
    "TERMINATED",
    "UNSURE",
    "WRONG",
    "YES",
    "Columns",
    "Flag",
    "Json",
    "MaybeOut",
    "MaybeOutFile",
    "Out",
    "Set",
    "changes_of",
    "console",
    "naming_left_out",
    "print_exactly",
    "print_json",
    "say",
    "setting",
    "settings_over",
    "show",
    "standard_output",
]

YES, NO, WRONG, UNSURE = 0, 1, 2, 3
INTERNAL = 70  # EX_SOFTWARE of sysexits.h
# 128 + SIGINT, SIGPIPE, SIGTERM, as shells count
INTERRUPTED, BROKEN_PIPE, TERMINATED = 130, 141, 143
EXIT_CODES = (
    f"{YES} yes or done, {NO} no match or not sound, {WRONG} wrong use or bad data (one line says "
    f"what), "
    f"{UNSURE} unsure, {INTERNAL} internal error (a fault of twofold, never an answer; --debug "
    f"shows where), "
    f"{INTERRUPTED} interrupted, {BROKEN_PIPE} the output's reader is gone, {TERMINATED} training "
    f"ended by SIGTERM"
)

Out = Annotated[OutFolder, Parameter(name=["--out", "-o"])]
MaybeOut = Annotated[Path | None, Parameter(name=["--out", "-o"])]
MaybeOutFile = Annotated[OutFile, Parameter(name=["--out", "-o"])]
Set = Annotated[tuple[str, ...], Parameter(name="--set", consume_multiple=False, negative="")]
Json = Annotated[bool, Parameter(name="--json", negative="")]
Flag = Annotated[bool, Parameter(negative="")]
Columns = Annotated[str | None, Parameter(name="--columns")]


KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
"""What --set takes for a value of each type."""


def setting(
    text: str, *, option: str = "--set", example: str = "loss.margin=0.3"
) -> tuple[str, Any]:
    """The key and the value of `key=value`, which an option was given."""
    key, sign, value = text.partition("=")
    if not sign:
        raise UsageError(f"{option} {text}: write it as key=value, for example {option} {example}")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def changes_of(settings: tuple[str, ...], columns: str | None = None) -> dict[str, Any]:
    """What --set and --columns change of a recipe."""
    changes = dict(map(setting, settings))
    if columns is not None:
        changes["input.fields"] = [name.strip() for name in columns.split(",")]
    return changes


def settings_over(given: tuple[str, ...], known: dict[str, Any]) -> dict[str, Any]:
    """What --set says over the values that count without it; each of the same type as that, or None's."""
    chosen = dict(known)
    for key, value in map(setting, given):
        if key not in known:
            raise UsageError(f"--set {key}: {nearest(key, known)}")
        wanted = type(known[key])
        value = float(value) if wanted is float and type(value) is int else value
        if known[key] is not None and type(value) is not wanted:
            raise UsageError(
                f"--set {key}={value}: must be {KINDS[wanted]}, for example {known[key]!r}"
            )
        try:
            SETTINGS.get(key, _anything)(None, value)
        except ValueError as error:
            raise UsageError(f"--set {key}={value}: {error}") from None
        chosen[key] = value
    return chosen


def _anything(_: Any, value: Any) -> None:
    """A setting without bounds."""


def print_json(value: Any) -> None:
    """One JSON object on standard output; it holds the exact text of names, which JSON itself escapes."""
    with standard_output():
        print(jsonlib.dumps(value, indent=1, allow_nan=False, default=str), flush=True)


def print_exactly(table: str) -> None:
    """A table on standard output: to the byte for a file or a program, escaped for a terminal."""
    if sys.stdout is not None and sys.stdout.isatty():
        table = printable_lines(table)
    with standard_output():
        print(table, end="", flush=True)


def say(text: str) -> None:
    """A note on standard error, one line."""
    print(printable(text), file=sys.stderr)


@contextlib.contextmanager
def naming_left_out(strict: bool = False, *, option: str = "--strict") -> Iterator[None]:
    """Items that are left out because they cannot be read are said on standard error; strict: they are an error.

    Args:
        option: by which option of the command line `strict` was chosen.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", LeftOut)
        yield
    for each in caught:
        if not issubclass(each.category, LeftOut):
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
        elif strict:
            raise UnreadableInput(f"{each.message}: repair or delete them, or leave out {option}")
        else:
            say(f"{each.message}")


def show(*things: Any) -> None:
    """Text and rich renderables on standard output; no markup in text, and empty text is left out."""
    if sys.stdout is None:  # closed by the caller: only the exit code is wanted
        return
    safe = (
        printable_lines(thing) if isinstance(thing, str) else thing
        for thing in things
        if thing != ""
    )
    with standard_output():
        console().print(*safe, sep="\n")


def console(*, wrap: bool = False) -> "Console":
    """A console on standard output without markup, which tells when its reader is gone."""
    from rich.console import Console

    class Plain(Console):
        def on_broken_pipe(self) -> None:  # rich would exit with 1, which is an answer here
            raise BrokenPipeError

    return Plain(highlight=False, soft_wrap=not wrap, markup=False, emoji=False)


@contextlib.contextmanager
def standard_output() -> Iterator[None]:
    """The system's error about standard output, by its name."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = "standard output"
        raise

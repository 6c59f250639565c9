"""What the commands share: exit codes, the types of their options, and how they print."""

import json as jsonlib
import tomllib
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from twofold.errors import UsageError, nearest

__all__ = [
    "INTERRUPTED",
    "NO",
    "TERMINATED",
    "UNSURE",
    "WRONG",
    "YES",
    "Flag",
    "Json",
    "MaybeOut",
    "Out",
    "Set",
    "print_json",
    "setting",
    "settings_over",
    "show",
]

YES, NO, WRONG, UNSURE, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 130, 143

Out = Annotated[Path, Parameter(name=["--out", "-o"])]
MaybeOut = Annotated[Path | None, Parameter(name=["--out", "-o"])]
Set = Annotated[tuple[str, ...], Parameter(name="--set", consume_multiple=False, negative="")]
Json = Annotated[bool, Parameter(name="--json", negative="")]
Flag = Annotated[bool, Parameter(negative="")]


def setting(text: str) -> tuple[str, Any]:
    """The key and the value of `key=value`."""
    key, sign, value = text.partition("=")
    if not sign:
        raise UsageError(f"--set {text}: write it as key=value, for example --set loss.margin=0.3")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def settings_over(given: tuple[str, ...], known: dict[str, Any]) -> dict[str, Any]:
    """What --set says over the values that count without it; each of the same type as that, or None's."""
    chosen = dict(known)
    for key, value in map(setting, given):
        if key not in known:
            raise UsageError(f"--set {key}: {nearest(key, known)}")
        wanted = type(known[key])
        value = float(value) if wanted is float and type(value) is int else value
        if known[key] is not None and type(value) is not wanted:
            raise UsageError(f"--set {key}={value}: a {wanted.__name__} belongs there, for example {known[key]!r}")
        chosen[key] = value
    return chosen


def print_json(value: Any) -> None:
    """One JSON object on standard output."""
    print(jsonlib.dumps(value, indent=1, allow_nan=False, default=str))


def show(*things: Any) -> None:
    """Text and rich renderables on standard output."""
    from rich.console import Console

    Console(highlight=False, soft_wrap=True).print(*things, sep="\n")

"""Text of the user's data made safe to show: file names, labels and messages cannot steer a terminal or forge a line.

JSON and tables do not go through here: they hold the exact text.
"""

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

__all__ = ["printable", "printable_lines", "utf8_name", "with_printable_data"]

P = ParamSpec("P")

# Cc: controls, and with them every escape sequence. Cf: bidirectional overrides, joiners, tags. Cs:
# a byte of a file name that is not UTF-8. Zl, Zp: line and paragraph separators. Co, Cn: private
# and unassigned, drawn as anything.
UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"})
# without these two, emoji and the scripts of South Asia and Iran fall apart; alone they move
# nothing
JOINERS = frozenset("\u200c\u200d")


def printable(text: str) -> str:
    r"""The text on one line, with every character that a terminal acts on written as \xNN or \uNNNN."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(sign) for sign in text)


def printable_lines(text: str) -> str:
    """The same, but the text keeps its own line breaks."""
    return "\n".join(map(printable, text.split("\n")))


def utf8_name(name: str) -> str:
    r"""A file name as text that can be stored: bytes that are not UTF-8 are written as \xNN."""
    if name.isascii():
        return name
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half of a pair of UTF-16, which Windows allows in names
        return name.encode("utf-8", "backslashreplace").decode()


def with_printable_data(told: Callable[P, str]) -> Callable[P, str]:
    """Make a function that puts results into words escape every text inside the results first."""

    @wraps(told)
    def safely(*args: P.args, **kwargs: P.kwargs) -> str:
        shown: Any = told
        return shown(*map(_safe, args), **{name: _safe(value) for name, value in kwargs.items()})

    return safely


def _escaped(sign: str) -> str:
    if sign in JOINERS or unicodedata.category(sign) not in UNSAFE:
        return sign
    code = ord(sign)
    if 0xDC80 <= code <= 0xDCFF:  # Python's mark for one byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return sign.encode("ascii", "backslashreplace").decode() if code > 0x7F else _short(sign)


def _short(sign: str) -> str:
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(sign, f"\\x{ord(sign):02x}")


def _safe(value: Any) -> Any:
    """The same value with every text in it escaped."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Path):
        return Path(printable(str(value)))
    if isinstance(value, Mapping):
        return {_safe(key): _safe(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(map(_safe, value))
    if is_dataclass(value) and not isinstance(value, type):
        found = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
        return replace(value, **{name: _safe(each) for name, each in found.items()})
    return value

"""Plain JSON -> frozen dataclasses, and nothing else: unknown keys, other types and NaN are refused (law 9)."""

import json
import math
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from twofold.errors import BundleError

__all__ = ["plain_object", "table"]


def plain_object(content: str | bytes) -> dict[str, Any]:
    """An object of JSON: text that is none, nested beyond reason, with NaN in it or without an object is refused.

    Raises:
        ValueError: says what is wrong; the caller knows which file it is.
    """

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    try:
        plain = json.loads(content, parse_constant=refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(plain, dict):
        raise ValueError(f"a {type(plain).__name__} where an object belongs")
    return plain


def table(kind: Any, plain: Any, *, older: bool) -> Any:
    """A dataclass from exactly its own keys, each of its declared type; an older format may lack late ones.

    Raises:
        BundleError: a key is missing or unknown, a value is of the wrong type, or a number is not
            finite.
    """
    name, types = kind.__name__.lower(), get_type_hints(kind)
    declared = {field.name: field for field in fields(kind)}
    late = {key for key, field in declared.items() if older and field.default is not MISSING}
    unknown, missing = (
        sorted(plain.keys() - declared.keys()),
        sorted(declared.keys() - plain.keys() - late),
    )
    if unknown or missing:
        raise BundleError(
            f"{name}: unknown keys {unknown}, missing keys {missing}: not written by us"
        )
    known = {
        key: _value(value, types[key], f"{name}: {key}", older=older)
        for key, value in plain.items()
    }
    return kind(**known)


def _value(value: Any, declared: Any, where: str, *, older: bool) -> Any:
    """A value of its declared type: a table, a list of such, or a plain value; numbers are finite."""
    wanted = get_args(declared) if isinstance(declared, UnionType) else (declared,)
    if value is None and type(None) in wanted:
        return None
    if tables := [each for each in wanted if is_dataclass(each)]:
        if not isinstance(value, dict):
            raise BundleError(
                f"{where.split(': ')[-1]} is {value!r}, where a table belongs: calibrate again"
            )
        return table(tables[0], value, older=older)
    if get_origin(wanted[0]) is tuple:
        if not isinstance(value, list | tuple):
            raise BundleError(f"{where} is {value!r}, where a list belongs: not written by us")
        return tuple(_value(each, get_args(wanted[0])[0], where, older=older) for each in value)
    return _plain(value, wanted, where)


def _plain(value: Any, wanted: tuple[Any, ...], where: str) -> Any:
    """A number, a text or a truth value, of one of the wanted types, or one of the wanted words."""
    words = [word for each in wanted if get_origin(each) is Literal for word in get_args(each)]
    if words and value in words:
        return value
    if float in wanted and type(value) is int:
        value = float(value)
    if type(value) not in wanted:
        declared = words or " | ".join(getattr(each, "__name__", str(each)) for each in wanted)
        raise BundleError(f"{where} is {value!r}, where {declared} belongs: not written by us")
    if isinstance(value, float) and not math.isfinite(value):
        raise BundleError(f"{where} is {value}, and a number must be finite: not written by us")
    return value

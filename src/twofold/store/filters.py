"""Metadata of items: what it may hold, and the conditions of filters. Exact: a row outside never passes."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from twofold.errors import StoreError
from twofold.plurals import counted

__all__ = [
    "Condition",
    "Scalar",
    "Where",
    "conditions",
    "kind",
    "metadata_text",
    "refuse_unmatched",
]

Scalar = str | int | float | bool | None
Where = Mapping[str, Any]
# beyond it JSON in SQLite, Parquet and the remote engines turns an integer into a float
LARGEST_INTEGER = 2**63


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One key of a filter: its value is one of `values`, or lies between `low` and `high`, both included.

    Text is compared with text, numbers with numbers, True and False only with themselves; None also
    matches a missing key.
    """

    key: str
    values: tuple[Scalar, ...] | None = None
    low: str | int | float | None = None
    high: str | int | float | None = None

    def holds(self, metadata: Mapping[str, Any]) -> bool:
        """Whether an item with this metadata passes."""
        found = metadata.get(self.key)
        if self.values is not None:
            return any(kind(found) == kind(value) and found == value for value in self.values)
        bounds = [bound for bound in (self.low, self.high) if bound is not None]
        if any(kind(found) != kind(bound) for bound in bounds):
            return False
        return (self.low is None or found >= self.low) and (self.high is None or found <= self.high)  # type: ignore[operator]


def conditions(where: Where | None) -> tuple[Condition, ...]:
    """The conditions of a filter, all of which must hold.

    Args:
        where: for each key a value, a list of values, or `{"min": x, "max": y}` (either may be left
            out).

    Raises:
        StoreError: not a mapping, or a key, a value or a range that metadata cannot have.
    """
    if where is not None and not isinstance(where, Mapping):
        raise StoreError(
            f"where is {where!r}: give a mapping of keys to values, {{'colour': 'red'}}"
        )
    return tuple(condition(key, wanted) for key, wanted in (where or {}).items())


def condition(key: Any, wanted: Any) -> Condition:
    """What one key of a filter asks for."""
    check_key(key)
    if isinstance(wanted, Mapping):
        return between(key, wanted)
    values = tuple(wanted) if isinstance(wanted, list | tuple | set | frozenset) else (wanted,)
    if not values:
        raise StoreError(
            f"where {key!r}: an empty list of values lets "
            "nothing pass: give at least one, or no condition"
        )
    for value in values:
        check_value(key, value)
    return Condition(key=key, values=values)


def between(key: str, wanted: Mapping[str, Any]) -> Condition:
    """A range: `min` and `max` of one kind, at least one of them."""
    bounds = list(wanted.values())
    if (
        not bounds
        or wanted.keys() - {"min", "max"}
        or any(kind(bound) not in ("text", "number") for bound in bounds)
    ):
        raise StoreError(
            f"where {key!r}: {dict(wanted)!r} is not a range: "
            "give {'min': x, 'max': y}, numbers or text"
        )
    for bound in bounds:
        check_value(key, bound)
    if kind(bounds[0]) != kind(bounds[-1]):
        raise StoreError(
            f"where {key!r}: {dict(wanted)!r} mixes a text and a number: give two of one kind"
        )
    low, high = wanted.get("min"), wanted.get("max")
    if low is not None and high is not None and low > high:
        raise StoreError(
            f"where {key!r}: nothing lies between {low!r} and {high!r}: give the smaller one first"
        )
    return Condition(key=key, low=low, high=high)


def refuse_unmatched(
    filters: Sequence[Condition], known: Mapping[str, Mapping[str, int]], place: object
) -> None:
    """Raise if no item could ever pass a filter, and say why.

    Args:
        known: for each key of the metadata how many items have a value of which `kind`.

    Raises:
        StoreError: no item has the key, or a range asks for numbers where all values are texts, or
            the other way.
    """
    for each in filters:
        if each.key not in known and None not in (each.values or ()):
            raise StoreError(
                f"no item of {place} has the key {each.key!r}: {keys_told(each.key, known)}"
            )
        bound = each.high if each.low is None else each.low
        if each.values is None and kind(bound) not in known[each.key]:
            found = " and ".join(
                f"{counted(count, 'item')} with a {name}"
                for name, count in sorted(known[each.key].items())
            )
            raise StoreError(
                f"the range of {each.key!r} is of {kind(bound)}s, "
                f"and {place} has {found} under that key"
            )


def keys_told(wanted: str, known: Mapping[str, Mapping[str, int]]) -> str:
    """A guess at the key that was meant, and all keys with their numbers of items."""
    if not known:
        return "no item has metadata"
    folded = {key.casefold(): key for key in known}
    near = get_close_matches(wanted.casefold(), folded, n=1)
    meant = f"did you mean {folded[near[0]]!r}? " if near else ""
    return f"{meant}Keys: " + ", ".join(
        f"{key} ({counted(sum(kinds.values()), 'item')})" for key, kinds in sorted(known.items())
    )


def kind(value: Any) -> str:
    """What JSON calls a value; True is not a number here."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "other"


def metadata_text(names: Sequence[str], metadata: Sequence[Mapping[str, Any]] | None) -> list[str]:
    """The metadata of each item as JSON, keys sorted; `{}` if there is none.

    Raises:
        StoreError: not one per item, or not names with JSON scalars; names the item.
    """
    if metadata is None:
        return ["{}"] * len(names)
    if len(metadata) != len(names):
        raise StoreError(
            f"{len(metadata)} metadata for {len(names)} items: "
            "give one for each, {} where there is none"
        )
    return [text(name, each) for name, each in zip(names, metadata, strict=True)]


def text(name: str, metadata: Mapping[str, Any]) -> str:
    """One item's metadata as JSON."""
    if not metadata:
        return "{}"
    try:
        for key, value in metadata.items():
            check_key(key)
            check_value(key, value)
    except StoreError as error:
        raise StoreError(f"the metadata of {name!r}: {error}") from None
    return json.dumps(dict(metadata), sort_keys=True, ensure_ascii=False, allow_nan=False)


def check_key(key: Any) -> None:
    """Refuse a key that an engine could not look up."""
    if not isinstance(key, str) or not key or not key.isprintable() or set('"\\') & set(key):
        raise StoreError(
            f"{key!r} is not a key: give a text that is not "
            "empty, without quotes, backslashes or line ends"
        )


def check_value(key: str, value: Any) -> None:
    """Refuse a value that is not a JSON scalar, or that would not come back as it was."""
    fits = kind(value) != "other"
    if isinstance(value, float):
        fits = math.isfinite(value)
    elif isinstance(value, int):
        fits = -LARGEST_INTEGER <= value < LARGEST_INTEGER
    elif isinstance(value, str):
        fits = "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)
    if not fits:
        raise StoreError(
            f"{key!r} is {value!r}: give a text, True, False, "
            "None, or a finite number (an integer of 64 bits)"
        )

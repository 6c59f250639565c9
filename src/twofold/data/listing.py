"""What was found by looking into a folder or a table, before it is coded: names, not numbers."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from twofold.errors import DataError, NotEnoughData

__all__ = ["OPTIONAL", "Listing", "coded", "coded_fields", "codes_of", "natural", "recoded", "some"]


OPTIONAL = (("group", "groups"), ("source", "sources"), ("site", "sites"))
"""Fields of codes that may be missing, and their tables of names."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Items by name, one entry a field for each item.

    Attributes:
        labels: class of each item; None for a forgery, which is of no class.
        identities: who stands behind each item, for a forgery the writer that it imitates.
        strays: what lay there and was left out.
        notes: what was found out by looking, in words.
        metadata: what else is known of each item.
    """

    values: tuple[Any, ...]
    ids: tuple[str, ...]
    labels: tuple[str | None, ...]
    identities: tuple[str, ...]
    groups: tuple[str, ...] | None = None
    sources: tuple[str, ...] | None = None
    sites: tuple[str, ...] | None = None
    strays: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    metadata: tuple[Mapping[str, str | int | float], ...] | None = None


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key that puts s2 before s10, and is a total order: equal keys only for equal names.

    Returns:
        one (0, number, digits) or (1, 0, text) for each run of digits or of other characters.
    """
    runs = re.findall(r"[0-9]+|[^0-9]+", name)
    return tuple((0, int(run), run) if run[0] in "0123456789" else (1, 0, run) for run in runs)


def coded(names: Sequence[str]) -> tuple[Int[np.ndarray, " n"], tuple[str, ...]]:
    """Names as codes into a naturally sorted table: the codes depend on the set of names, not on the order of rows."""
    table = tuple(sorted(set(names), key=natural))
    code = {name: number for number, name in enumerate(table)}
    return np.fromiter((code[name] for name in names), dtype=np.int64, count=len(names)), table


def coded_fields(listing: Listing) -> dict[str, Any]:
    """The fields of `Items`: names as codes and tables.

    Raises:
        DataError: lengths that differ, or an id twice.
        NotEnoughData: no items.
    """
    _check_lengths(listing)
    # a forgery's class name: no genuine item can have it, and it says what it is
    of_forgeries = [f"forgery of {of}: " for of in listing.identities]
    rows = zip(listing.labels, of_forgeries, listing.ids, strict=True)
    labels, names = coded([of + id if label is None else label for label, of, id in rows])
    identity, identities = coded(listing.identities)
    found: dict[str, Any] = {}
    for field, table in OPTIONAL:
        if (of_items := getattr(listing, table)) is not None:
            found[field], found[table] = coded(of_items)
    return found | {
        "values": listing.values,
        "ids": listing.ids,
        "labels": labels,
        "names": names,
        "identity": identity,
        "identities": identities,
        "forged": np.array([label is None for label in listing.labels], dtype=bool),
        "strays": listing.strays,
        "notes": listing.notes,
        "metadata": listing.metadata,
    }


def _check_lengths(listing: Listing) -> None:
    """Raise DataError unless each item has a value in every field and an id of its own; NotEnoughData without items."""
    lengths = {
        "values": len(listing.values),
        "ids": len(listing.ids),
        "labels": len(listing.labels),
    }
    for name in ("groups", "sources", "sites"):
        if (given := getattr(listing, name)) is not None:
            lengths[name] = len(given)
    if len(set(lengths.values())) > 1:
        raise DataError(
            "every item needs one of each: " + ", ".join(f"{n} {k}" for k, n in lengths.items())
        )
    if not listing.ids:
        raise NotEnoughData("there are no items")
    if len(set(listing.ids)) < len(listing.ids):
        seen: set[str] = set()
        twice = [name for name in listing.ids if name in seen or seen.add(name)]
        raise DataError(f"ids must be unique: {some(twice)} appear more than once")


def recoded(
    codes: Int[np.ndarray, " m"], table: tuple[str, ...]
) -> tuple[Int[np.ndarray, " m"], tuple[str, ...]]:
    """Codes of some items anew, from 0 without gaps, and the part of the table that they use."""
    used, codes = np.unique(codes, return_inverse=True)
    return codes.astype(np.int64), tuple(table[code] for code in used)


def codes_of(wanted: Sequence[str], table: tuple[str, ...], what: str) -> list[int]:
    """The codes of some names.

    Args:
        what: what the names are, for the error.

    Raises:
        DataError: names that the table does not hold.
    """
    code = {name: number for number, name in enumerate(table)}
    unknown = [name for name in wanted if name not in code]
    if unknown:
        raise DataError(
            f"{len(unknown)} of {len(wanted)} names are not among "
            f"these {len(table)} {what} names: {some(unknown)}"
        )
    return [code[name] for name in wanted]


def some(names: Iterable[str], limit: int = 5) -> str:
    """The first few of many names, and how many more there are: "a, b, c and 17 more"."""
    listed = list(names)
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more

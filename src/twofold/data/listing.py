"""What was found by looking into a folder or a table, before it is coded: names, not numbers."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

__all__ = ["Listing", "coded", "natural", "some"]


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


def some(names: Iterable[str], limit: int = 5) -> str:
    """The first few of many names, and how many more there are: "a, b, c and 17 more"."""
    listed = list(names)
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more

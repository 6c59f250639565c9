"""A cleaned table: the items to keep, and beside it those that were left out, each with its reason."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from twofold.data.delimited import written_rows
from twofold.data.items import Items
from twofold.errors import NotEnoughData, UsageError
from twofold.files import write_atomically
from twofold.printable import utf8_name

__all__ = ["write_cleaned"]


def write_cleaned(items: Items, dropped: Mapping[int, str], out: str | Path) -> Path:
    """Write OUT.csv, which `Items.from_table` reads, and OUT.dropped.csv with a reason for each item left out.

    The files themselves are not touched; paths are relative to the table. Forgeries of somebody of
    whom no genuine item is left go as well.

    Args:
        dropped: position -> reason.

    Returns:
        the path of the table of what was left out.

    Raises:
        UsageError: items that are neither files, texts nor vectors, or an ending other than .csv.
        NotEnoughData: nothing would be left.
        CannotWrite: the disk does not take it.
    """
    out = Path(out)
    if out.suffix.lower() != ".csv":
        raise UsageError(f"the cleaned table {out} must end in .csv")
    if not all(isinstance(value, str | Path) or _is_vector(value) for value in items.values):
        raise UsageError(
            "a cleaned table can name files, texts or vectors, but these items are arrays in memory"
        )
    reasons = dict(dropped) | _nameless(items)
    reasons |= _orphans(items, reasons)
    kept = [place for place in range(len(items)) if place not in reasons]
    if not kept:
        raise NotEnoughData(f"none of {len(items)} items would be left: nothing was written")
    beside = out.with_name(f"{out.stem}.dropped.csv")
    write_atomically(
        beside,
        _csv([{**_row(items, i, out), "reason": reasons[i]} for i in sorted(reasons)], items),
    )
    write_atomically(out, _csv([_row(items, i, out) for i in kept], items))
    return beside


def _nameless(items: Items) -> dict[int, str]:
    """Files that a table in UTF-8 cannot name."""
    said = "the name of the file is not UTF-8, so no table can hold it: rename it"
    names = (str(value) if isinstance(value, Path) else "" for value in items.values)
    return {place: said for place, name in enumerate(names) if utf8_name(name) != name}


def _orphans(items: Items, dropped: Mapping[int, str]) -> dict[int, str]:
    kept = np.ones(len(items), dtype=bool)
    kept[list(dropped)] = False
    left = np.unique(items.identity[kept & ~items.forged])
    alone = np.flatnonzero(kept & items.forged & ~np.isin(items.identity, left))
    return {int(place): "a forgery of somebody of whom no genuine item is left" for place in alone}


def _row(items: Items, place: int, out: Path) -> dict[str, Any]:
    value = items.values[place]
    writer = items.identities[items.identity[place]]
    row = {_column(value): value}
    if isinstance(value, Path):
        row["path"] = utf8_name(os.path.relpath(value, out.parent))
    elif _is_vector(value):
        row = {"id": items.ids[place], "vector": json.dumps(value.tolist())}
    row["label"] = "" if items.forged[place] else writer
    if items.forged.any():
        row["forgery_of"] = writer if items.forged[place] else ""
    if items.group is not None:
        row["group"] = items.groups[items.group[place]]
    if items.source is not None:
        row["source"] = items.sources[items.source[place]]
    return row


def _is_vector(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind == "f"


def _column(value: Any) -> str:
    """What the column of such things is called."""
    return "path" if isinstance(value, Path) else "vector" if _is_vector(value) else "text"


def _csv(rows: Sequence[dict[str, Any]], items: Items) -> bytes:
    columns = list(rows[0]) if rows else [_column(items.values[0]), "label", "reason"]
    return written_rows(columns, rows)

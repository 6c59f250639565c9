"""Files of many series as listings: UCR's text, .ts, NPY, and long tables with the columns id and time."""

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from twofold.data import tables
from twofold.data.listing import Listing, some
from twofold.data.tables import Table
from twofold.data.vectors import table_beside
from twofold.errors import DataError, NotEnoughData
from twofold.places import file_at
from twofold.plurals import counted
from twofold.series_formats import (
    TEXT_FILES,
    TS,
    Record,
    header_of,
    is_ucr,
    read_ts,
    read_ucr,
)

__all__ = ["found_in", "holds_many", "listed", "named_series"]

LONG = ("id", "time")
"""Columns of a long table: one row per series and time."""

OF_A_SERIES = ("label", "group", "source", "site")
"""Columns of a long table that are the same in all rows of a series."""

AXES = 3
"""Of a NumPy array of many series: series, times, channels."""

MOSTLY_UNIQUE = 0.9
"""Share of the lines with a first number that no other line has, above which that number is not a label."""


def found_in(path: Path) -> bool:
    """Whether a file holds many series; tables with a column `series` are not meant."""
    ending = path.suffix.lower()
    if path.is_dir() or not file_at(path):
        return False
    if ending == TS or is_ucr(path):
        return True
    if ending == ".npy":
        return len(_shape(path)) == AXES
    return ending in tables.SUFFIXES and _is_long(path)


def holds_many(path: Path, *, channels: int) -> bool:
    """Whether a file that is given as a query holds many series, and is not a single one with its times as rows."""
    if found_in(path):
        return True
    if path.suffix.lower() == ".npy" and file_at(path):
        return _shape(path)[1:] not in ((), (channels,))
    return tables.is_table(path) and bool({*tables.CONTENTS, "label"} & set(header_of(path)))


def listed(path: Path, *, labelled: bool = True) -> Listing:
    """The series of a file, one item each: float64 (length, channels).

    Args:
        labelled: False: where the file has no labels, each series is a class of its own.

    Raises:
        DataError: a line that does not fit, or no labels. NotEnoughData: no series.
    """
    ending = path.suffix.lower()
    if ending == TS:
        return _numbered(path, read_ts(path), labelled=labelled)
    if ending == ".npy":
        return _of_array(path, labelled=labelled)
    if ending in TEXT_FILES and is_ucr(path):
        return _numbered(path, _with_labels(path, read_ucr(path), labelled), labelled=labelled)
    return _long(_table(path), labelled=labelled)


def named_series(word: str) -> Float[np.ndarray, "length channels"] | None:
    """The series that FILE#ID names, by its id or its number (from 1); None where this is not one.

    Raises:
        DataError: the file has no such series.
    """
    place, sign, name = word.rpartition("#")
    path = Path(place)
    if not sign or not name or not found_in(path):
        return None
    listing = listed(path, labelled=False)
    for wanted in (name, f"{path.name}#{name}"):
        if wanted in listing.ids:
            return listing.values[listing.ids.index(wanted)]
    if name.isdigit() and 1 <= int(name) <= len(listing.ids):
        return listing.values[int(name) - 1]
    raise DataError(
        f"{word}: {path.name} holds {len(listing.ids)} series, called {some(listing.ids, 3)}: name "
        f"one of these, or a number from 1 on"
    )


def _numbered(path: Path, records: Sequence[Record], *, labelled: bool) -> Listing:
    """Records by the name of their file and their number."""
    if not records:
        raise NotEnoughData(f"{path} holds no series")
    ids = tuple(f"{path.name}#{number}" for number in range(1, len(records) + 1))
    labels = tuple(record.label for record in records)
    if labelled and None in labels:
        raise DataError(
            f"{path.name} has no labels (@classlabel false): every command but search, identify and "
            f"dedup needs them"
        )
    known = tuple(id if label is None else label for id, label in zip(ids, labels, strict=True))
    values = tuple(record.values for record in records)
    return Listing(
        values=values, ids=ids, labels=known, identities=known, notes=(_said(values, known),)
    )


def _said(values: Sequence[Float[np.ndarray, "length channels"]], labels: Sequence[str]) -> str:
    lengths = [len(each) for each in values]
    channels = sorted({each.shape[1] for each in values})
    long = f"{lengths[0]}" if min(lengths) == max(lengths) else f"{min(lengths)} to {max(lengths)}"
    missing = sum(bool(np.isnan(each).any()) for each in values)
    return (
        f"{len(values)} series of {counted(len(set(labels)), 'class')}, {long} "
        f"{'value' if max(lengths) == 1 else 'values'} long, {' or '.join(map(str, channels))} "
        f"{'channel' if channels == [1] else 'channels'}"
        + (f"; values are missing in {missing}" if missing else "")
    )


def _with_labels(path: Path, records: list[Record], labelled: bool) -> list[Record]:
    """The records of UCR's text, if their first numbers are labels; else they belong to the series.

    Raises:
        DataError: labels are needed, and the first numbers are none.
    """
    counts = Counter(record.label for record in records)
    alone = sum(count for count in counts.values() if count == 1)
    whole = all(record.label and record.label.lstrip("-").isdigit() for record in records)
    if whole or alone <= MOSTLY_UNIQUE * len(records):
        return records
    if labelled:
        raise DataError(
            f"{path.name} has no labels: the first number of a line should be one, and "
            f"{len(counts)} of {len(records)} lines begin with different ones "
            f"({some([str(record.label) for record in records], 2)})"
        )
    return [
        Record(np.concatenate([[[float(record.label or "nan")]], record.values]), None)
        for record in records
    ]


def _shape(path: Path) -> tuple[int, ...]:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False).shape
    except (OSError, ValueError, EOFError):
        return ()


def _of_array(path: Path, *, labelled: bool) -> Listing:
    """The series of a NumPy array (series, times, channels), with the table beside it."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read as a NumPy array: {error}") from None
    if array.dtype.kind not in "fiu" or not array.size:
        raise DataError(f"{path.name} holds {array.dtype} of shape {array.shape}, and not series")
    count, length, channels = array.shape
    if channels > length:
        raise DataError(
            f"{path.name} holds {count} x {length} x {channels} numbers, which would be series of "
            f"{length} values and {channels} channels: save series x times x channels; aeon and "
            f"sktime order them the other way, so np.save(..., array.transpose(0, 2, 1))"
        )
    series = tuple(np.asarray(each, np.float64) for each in array)
    beside = table_beside(path)
    if beside is None:
        if labelled:
            raise DataError(
                f"{path.name} has no labels: put a table with the column label beside it, "
                f"{path.with_suffix('.csv').name}, one row per series"
            )
        return _numbered(path, [Record(each, None) for each in series], labelled=False)
    table = tables.read(beside)
    if len(table.places) != count:
        raise DataError(
            f"{path.name} has {count} series, and {beside.name} "
            f"{counted(len(table.places), 'row')}: one row per series is wanted"
        )
    columns = {**table.columns, "series": ("-",) * count}
    listing = tables.rows_as_items(replace(table, columns=columns), labelled=labelled)
    if "id" not in table.columns:
        listing = replace(listing, ids=tuple(f"{path.name}#{n}" for n in range(1, count + 1)))
    return replace(
        listing, values=series, notes=(_said(series, [str(each) for each in listing.labels]),)
    )


def _is_long(path: Path) -> bool:
    """Whether a table has a row per series and time: an id stands in several rows."""
    try:
        table = _table(path)
    except DataError:
        return False
    columns = table.columns
    if not set(LONG) <= _small(table).keys() or {*tables.CONTENTS, "vector"} & columns.keys():
        return False
    ids = columns["id"]
    return len(set(ids)) < len(ids)


def _small(table: Table) -> dict[str, str]:
    """Names of columns in lower case -> as they are written."""
    return {name.lower(): name for name in table.columns}


def _table(path: Path) -> Table:
    stamp = path.stat()
    return _table_before(path, stamp.st_mtime_ns, stamp.st_size)


@functools.lru_cache(maxsize=2)
def _table_before(path: Path, changed: int, size: int) -> Table:
    """A command looks what DATA is, and then takes it: it is read once."""
    return tables.read(path)


def _long(table: Table, *, labelled: bool) -> Listing:
    """A long table: rows of one id, in the order of their times, are one series."""
    ids, time = table.column("id"), _small(table)["time"]
    names = {name: place for place, name in enumerate(dict.fromkeys(ids))}
    codes = np.array([names[id] for id in ids])
    order = np.lexsort((_times(table.column(time)), codes))
    firsts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    left = [name for name in table.columns if name not in ("id", time, *OF_A_SERIES)]
    numeric = {name: found for name in left if (found := _channel(table, name)) is not None}
    if not numeric:
        raise DataError(
            f"{table.path.name} has no column of numbers beside id and time: its columns are "
            f"{some(table.columns, 12)}"
        )
    channels = np.stack(list(numeric.values()), axis=1)[order]
    values = tuple(np.split(channels, firsts[1:]))
    of_series = {
        name: _constant(table, name, order, firsts) for name in OF_A_SERIES if name in table.columns
    }
    if labelled and "label" not in of_series:
        table.column("label")
    labels = of_series.get("label", tuple(names))
    ignored = [name for name in left if name not in numeric]
    said = f"rows of one id are one series; channels: {', '.join(numeric)}"
    said += f"; left out, as they are not numbers: {some(ignored)}" if ignored else ""
    return Listing(
        values=values,
        ids=tuple(names),
        labels=labels,
        identities=labels,
        groups=of_series.get("group"),
        sources=of_series.get("source"),
        sites=of_series.get("site"),
        notes=(_said(values, labels), said),
    )


def _times(column: Sequence[str]) -> Int[np.ndarray, "rows"]:
    """The order of times: by number, or where they are texts (dates as 2026-11-28) by these."""
    try:
        keys = np.array(column, np.float64)
    except ValueError:
        keys = np.array(column)
    return np.unique(keys, return_inverse=True)[1].astype(np.int64)


def _channel(table: Table, name: str) -> Float[np.ndarray, "rows"] | None:
    """A column of numbers, NaN where a field is empty; None where it holds something else."""
    column = table.columns[name]
    try:
        found = np.array([field or "nan" for field in column], np.float64)
    except ValueError:
        return None
    return found


def _constant(
    table: Table, name: str, order: Int[np.ndarray, "rows"], firsts: Int[np.ndarray, "series"]
) -> tuple[str, ...]:
    """What a column says of each series.

    Raises:
        DataError: it says two things of one series; names the row.
    """
    column = np.array(table.column(name))[order]
    own = np.repeat(column[firsts], np.diff([*firsts, len(column)]))
    if len(odd := np.flatnonzero(column != own)):
        row = int(order[odd[0]])
        raise DataError(
            f"{table.places[row]}: the series {table.columns['id'][row]!r} has the {name} "
            f"{str(column[odd[0]])!r} here and {str(own[odd[0]])!r} before: one series has one {name}"
        )
    return tuple(map(str, column[firsts]))

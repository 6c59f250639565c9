"""Tables of vectors: Parquet as `twofold embed` and others write it, NPY beside a table, columns of numbers.

Only the form is checked here: one number of numbers for all rows. A row with NaN in it is refused
by the input type, as a damaged picture is.
"""

import functools
import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from twofold.data import tables
from twofold.data.listing import some
from twofold.data.tables import Table
from twofold.errors import DataError, MissingExtra, NotEnoughData
from twofold.places import file_at
from twofold.plurals import counted

__all__ = ["array_in", "found_in", "named_row", "parsed", "read", "table_beside", "with_vectors"]

EMBEDDED = "embeddings.json"
"""What stands in a folder that `twofold embed` wrote."""

PART = re.compile(r"part-(\d+)-of-(\d+)\.parquet")
NUMBERED = re.compile(r"(\D*)(\d+)")
FEWEST = 2
"""Columns of numbers that make a vector: one alone is a measurement."""

OWN = tables.MEANINGFUL | {"site", "site_a", "site_b"}
"""Columns that mean something else, numbers or not."""


def found_in(path: Path) -> bool:
    """Whether a path leads to vectors: .npy, a folder of `twofold embed`, or a table that holds some."""
    if path.is_dir():
        return file_at(path / EMBEDDED)
    if path.suffix.lower() == ".npy":
        return file_at(path)
    return tables.is_table(path) and read(path).vectors is not None


def read(path: Path) -> Table:
    """A table with its vectors, if it has any; a .npy file and a folder of `twofold embed` are read as tables, too.

    Raises:
        DataError: it cannot be read, rows of different lengths, no list of numbers; names the row.
        NotEnoughData: no rows.
        MissingExtra: Parquet without the extra `data`.
    """
    try:
        stamps = [(each.stat().st_mtime_ns, each.stat().st_size) for each in _files(path)]
    except OSError:
        return _read(path)
    return _read_before(path, tuple(stamps))


@functools.lru_cache(maxsize=2)
def _read_before(path: Path, stamps: tuple[tuple[int, int], ...]) -> Table:
    """A command looks what DATA is, how long its vectors are, and then takes them: it is read once."""
    return _read(path)


def _files(path: Path) -> list[Path]:
    """The files that a table is read from."""
    if path.is_dir():
        return sorted(path.iterdir())
    beside = table_beside(path) if path.suffix.lower() == ".npy" else None
    return [path] if beside is None else [path, beside]


def _read(path: Path) -> Table:
    if path.is_dir():
        return _embedded(path)
    ending = path.suffix.lower()
    if ending == ".npy":
        return _beside(path)
    if ending == ".parquet" and file_at(path) and (kept := _parquet(path)) is not None:
        return kept
    return with_vectors(tables.read(path))


def with_vectors(table: Table) -> Table:
    """The table with its vectors taken out of its columns: of the column `vector`, or of columns of numbers."""
    columns = dict(table.columns)
    if "vector" in columns:
        rows = parsed(columns.pop("vector"), table.places)
        return replace(table, columns=columns, vectors=_narrow(rows))
    if any(name in columns for name in (*tables.CONTENTS, *(a for a, _ in tables.ENDS))):
        return table
    names = _columns_of_numbers(table)
    if len(names) < FEWEST:
        return table
    found = np.array([_column(table, name) for name in names], np.float64).T
    rest = {name: column for name, column in columns.items() if name not in names}
    return replace(table, columns=rest, vectors=_narrow(found))


def parsed(fields: Sequence[str], places: Sequence[str]) -> Float[np.ndarray, "rows dim"]:
    """Fields like "[0.1, 0.2]" as rows of one length, float64.

    Raises:
        DataError: a field that is not a list of numbers, or of another length; names its place.
    """
    rows: list[list[float]] = []
    for field, place in zip(fields, places, strict=True):
        try:
            row = [float(each) for each in json.loads(field)]
        except (ValueError, TypeError, RecursionError, OverflowError):
            raise DataError(
                f"{place}: the vector {field[:30]!r} is not a list of numbers like [0.1, 0.2]"
            ) from None
        if rows and len(row) != len(rows[0]):
            raise DataError(
                f"{place}: the vector has {len(row)} numbers, those before it have {len(rows[0])}"
            )
        rows.append(row)
    if not rows or not rows[0]:
        raise DataError(f"{places[0] if places else 'the table'}: the vector is empty")
    return np.array(rows, np.float64)


def array_in(path: Path) -> Float[np.ndarray, "rows dim"]:
    """The rows of a .npy file, float64.

    Raises:
        DataError: it cannot be read, or holds something else than n x dim numbers.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read as a NumPy array: {error}") from None
    if array.ndim != 2 or array.dtype.kind not in "fiu" or not array.shape[1]:
        raise DataError(
            f"{path.name} holds {array.dtype} of shape {array.shape}: vectors are n x dim numbers"
        )
    return array.astype(np.float64)


def table_beside(path: Path) -> Path | None:
    """The table that says whose the rows of a .npy file are: of the same name with another ending."""
    return next(
        (path.with_suffix(each) for each in tables.SUFFIXES if path.with_suffix(each).is_file()),
        None,
    )


def named_row(word: str) -> Float[np.ndarray, "dim"] | None:
    """The vector that TABLE#ID names: of the row with that id, or of row N (from 1); None where this is none.

    Raises:
        DataError: no vectors there, or no such row.
    """
    place, sign, name = word.rpartition("#")
    path = Path(place)
    if not sign or not name or not (file_at(path) or path.is_dir()):
        return None
    table = read(path)
    if table.vectors is None:
        raise DataError(f"{path} holds no vectors: {NEEDED}")
    ids = table.columns.get("id", ())
    if name in ids:
        return table.vectors[ids.index(name)]
    if name.isdigit() and 1 <= int(name) <= len(table.places):
        return table.vectors[int(name) - 1]
    has = f"ids such as {some(ids, 3)}" if ids else "no column id"
    raise DataError(
        f"{word}: {path.name} has {counted(len(table.places), 'row')} and {has}: name one of these, or a row from "
        f"1 to {len(table.places)}"
    )


NEEDED = (
    "they are a column vector of lists like [0.1, 0.2], columns of numbers, or NAME.npy (n x dim) "
    "beside NAME.csv"
)


def _columns_of_numbers(table: Table) -> list[str]:
    """Columns that are a vector together: those whose names are counted (f0, f1, ...), else all, if none is of text."""
    left = [name for name in table.columns if name not in OWN]
    series: dict[str, list[str]] = defaultdict(list)
    for name in left:
        if (found := NUMBERED.fullmatch(name)) is not None:
            series[found[1]].append(name)
    longest = max(series.values(), key=len, default=[])
    if len(longest) >= FEWEST and _numeric(table, longest):
        return sorted(longest, key=lambda name: int(NUMBERED.fullmatch(name)[2]))  # type: ignore[index]
    return left if len(left) >= FEWEST and _numeric(table, left) else []


def _numeric(table: Table, names: Sequence[str]) -> bool:
    """Whether the first row that has these columns filled in holds numbers."""
    return all(_number(next(filter(None, table.columns[name]), "")) is not None for name in names)


def _column(table: Table, name: str) -> list[float]:
    found = []
    for field, place in zip(table.columns[name], table.places, strict=True):
        if (value := _number(field)) is None:
            said = f"holds {field[:20]!r}" if field else "is empty"
            raise DataError(f"{place}: the column {name!r} {said}, and must be a number")
        found.append(value)
    return found


def _number(field: str) -> float | None:
    try:
        return float(field)
    except ValueError:
        return None


def _narrow(array: np.ndarray) -> Float[np.ndarray, "rows dim"]:
    with np.errstate(over="ignore"):  # infinite then, which the input type refuses
        return array.astype(np.float32)


def _beside(path: Path) -> Table:
    rows = array_in(path)
    if not len(rows):
        raise NotEnoughData(f"{path} holds no vectors")
    beside = table_beside(path)
    if beside is None:
        places = tuple(f"{path.name}, row {row + 1}" for row in range(len(rows)))
        return Table(path=path, columns={}, places=places, vectors=_narrow(rows))
    table = tables.read(beside)
    if len(rows) != len(table.places):
        raise DataError(
            f"{path.name} has {counted(len(rows), 'vector')}, and {beside.name} "
            f"{counted(len(table.places), 'row')}: one row per vector is wanted"
        )
    return replace(table, vectors=_narrow(rows))


def _embedded(folder: Path) -> Table:
    """What `twofold embed` wrote, all parts together."""
    found = {match[1]: match for each in folder.iterdir() if (match := PART.fullmatch(each.name))}
    count = max((int(match[2]) for match in found.values()), default=0)
    if len(found) < count or not found:
        raise DataError(
            f"{folder} holds {len(found)} of {count or 'its'} parts: let all shards of `twofold "
            f"embed` end"
        )
    parts = [read(folder / found[number][0]) for number in sorted(found)]
    vectors = [part.vectors for part in parts if part.vectors is not None]
    if len(vectors) < len(parts) or len({each.shape[1] for each in vectors}) != 1:
        raise DataError(f"{folder} holds parts of different models: embed again elsewhere")
    names = [name for name in parts[0].columns if all(name in part.columns for part in parts)]
    return Table(
        path=folder,
        columns={name: sum((part.columns[name] for part in parts), ()) for name in names},
        places=sum((part.places for part in parts), ()),
        vectors=np.concatenate(vectors),
    )


def _parquet(path: Path) -> Table | None:
    """A Parquet file with a column of lists, whose numbers are not taken through text; None: it has none."""
    try:
        from pyarrow import ArrowException, parquet, types
    except ImportError as error:
        raise MissingExtra(
            f"{path.name} is Parquet, which needs pyarrow: pip install 'twofold[data]'"
        ) from error
    try:
        schema = parquet.read_schema(path)
        names = [name for name in schema.names if name.strip().lower() == "vector"]
        if len(names) != 1 or not _is_list(types, schema.field(names[0]).type):
            return None
        column = parquet.read_table(path, columns=names)[names[0]].combine_chunks()
        sizes = column.value_lengths().to_numpy(zero_copy_only=False)
        flat = column.flatten().to_numpy(zero_copy_only=False)
    except (ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    if not len(sizes):
        raise NotEnoughData(f"{path} has no rows")
    table = tables.read(path, without=names[0], rows=len(sizes))
    odd = np.flatnonzero(~(sizes == sizes[0]))
    if len(odd) or not sizes[0] > 0:
        place = table.places[odd[0] if len(odd) else 0]
        raise DataError(
            f"{place}: the vector has {sizes[odd[0] if len(odd) else 0]:g} numbers, those before "
            f"it have {sizes[0]:g}"
        )
    if flat.dtype.kind not in "fiu":
        raise DataError(f"{path.name}: the column vector holds {flat.dtype}, not numbers")
    return _unpacked(replace(table, vectors=_narrow(flat.reshape(len(sizes), -1))))


def _is_list(types: Any, kind: Any) -> bool:
    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def _unpacked(table: Table) -> Table:
    """What `twofold embed` keeps of a row as JSON in the column `metadata`, as columns of their own."""
    if (packed := table.columns.get("metadata")) is None:
        return table
    try:
        told = [json.loads(field or "{}") for field in packed]
    except (ValueError, RecursionError):
        return table
    if not all(isinstance(each, dict) for each in told):
        return table
    names = dict.fromkeys(name for each in told for name in each)
    columns = {name: column for name, column in table.columns.items() if name != "metadata"}
    for name in names:
        if name not in (*columns, *HASHED):
            columns[name] = tuple(str(each.get(name, "")) for each in told)
    return replace(table, columns=columns)


HASHED = ("content",)
"""The hash of a thing that was embedded: an index hashes the vector in its place."""

"""CSV, TSV, JSON lines and Parquet as rows that know their place, so that an error can name the line."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from twofold.data.delimited import MOST_COLUMNS, read_rows
from twofold.data.json_lines import LINES, read_lines
from twofold.data.listing import Listing, some
from twofold.errors import DataError, MissingExtra, NotEnoughData, nearest
from twofold.places import file_at
from twofold.plurals import counted
from twofold.records import checked_fields, joined
from twofold.series_formats import is_ucr

__all__ = [
    "CONTENTS",
    "ENDS",
    "MEANINGFUL",
    "SUFFIXES",
    "Table",
    "ends_of",
    "is_table",
    "located",
    "parts_of",
    "read",
    "rows_as_items",
]

SUFFIXES = (".csv", ".tsv", ".parquet", *LINES)
CONTENTS = ("path", "text", "sequence", "series")
KNOWN = (*CONTENTS, "vector", "label", "group", "source", "forgery_of")
ENDS = (
    ("a", "b"),
    ("text_a", "text_b"),
    ("sequence_a", "sequence_b"),
    ("series_a", "series_b"),
    ("vector_a", "vector_b"),
)
"""Columns that hold the two things of a pair: the names of files, or texts and sequences themselves."""

MEANINGFUL = frozenset(
    {*KNOWN, *(name for ends in ENDS for name in ends), "same", "score", "identity_a", "identity_b"}
    | {"at", "split", "part", "id"}
)
"""Columns that mean something to one command or another."""
LONGEST_PATH = 4096  # of Linux; what is longer is not a path, and would fill the screen
NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?")  # no codes like 007, which are text


@dataclass(frozen=True, kw_only=True)
class Table:
    """Columns of text.

    Attributes:
        columns: name -> one string per row, blanks at the ends removed; known names are in lower
            case.
        places: where each row stands, for errors: "faces.csv, line 7".
        vectors: of each row, where the table holds some (see `data.vectors`).
        fields: the columns that were joined to records, if they were.
    """

    path: Path
    columns: dict[str, tuple[str, ...]]
    places: tuple[str, ...]
    vectors: Float[np.ndarray, "rows dim"] | None = None
    fields: tuple[str, ...] = ()

    def column(self, name: str) -> tuple[str, ...]:
        """A column that must be there and be filled in every row.

        Raises:
            DataError: no such column, or an empty field; names the line.
        """
        if name not in self.columns:
            raise DataError(
                f"{self.path.name} has no column {name!r}: its columns are {some(self.columns, 12)}"
            )
        for place, field in zip(self.places, self.columns[name], strict=True):
            if not field:
                raise DataError(
                    f"{place}: the field {name!r} is empty; fill it in or remove the row"
                )
        return self.columns[name]


def is_table(path: Path) -> bool:
    """Whether a path leads to a table: a file by the ending of one; of nothing but numbers it is one of series."""
    return path.suffix.lower() in SUFFIXES and path.is_file() and not is_ucr(path)


def read(
    path: Path, columns: Sequence[str] = (), *, without: str | None = None, rows: int = 0
) -> Table:
    """Read a table by the ending of its name.

    Args:
        columns: those that make up a record. They become one column `text`; or `text_a` and
            `text_b`, where the table has a column of each for both ends of a pair (name_a, name_b).
        without, rows: of Parquet, a column that is left out, and how many rows there are.

    Raises:
        DataError: no such file, another ending, a header twice the same, a row of another width; a
            column of `columns` that is not there, or a row in which all of these are empty.
        NotEnoughData: no rows.
        MissingExtra: Parquet without the extra `data`.
    """
    if path.suffix.lower() not in SUFFIXES:
        said = "is" if path.exists() else "does not exist, and is"
        raise DataError(f"{path} {said} not a table: the name of one ends in {', '.join(SUFFIXES)}")
    if path.is_dir():
        raise DataError(f"{path} is a folder: give a table in it")
    if not path.exists():
        raise DataError(f"there is no table {path}")
    ending = path.suffix.lower()
    table = (
        _parquet(path, without, rows)
        if ending == ".parquet"
        else _objects(path)
        if ending in LINES
        else _text(path)
    )
    if not table.places:
        raise NotEnoughData(f"{path} has no rows below its header")
    return _with_records(table, checked_fields(columns)) if columns else table


def _with_records(table: Table, fields: Sequence[str]) -> Table:
    """The table with records in the place of their columns."""
    ends = ("_a", "_b") if any(f"{name}_a" in table.columns for name in fields) else ("",)
    taken = [f"{name}{end}" for end in ends for name in fields]
    made = {f"text{end}": _records(table, [f"{name}{end}" for name in fields]) for end in ends}
    others = {name: values for name, values in table.columns.items() if name not in taken}
    return replace(table, columns={**others, **made}, fields=tuple(fields))


def _records(table: Table, columns: Sequence[str]) -> tuple[str, ...]:
    if missing := [name for name in columns if name not in table.columns]:
        raise DataError(
            f"{table.path.name} has no column {missing[0]!r}, and records of "
            f"{', '.join(columns)} are wanted: {nearest(missing[0], list(table.columns))}"
        )
    rows = list(zip(*(table.columns[name] for name in columns), strict=True))
    if empty := [place for place, row in zip(table.places, rows, strict=True) if not any(row)]:
        raise DataError(
            f"{empty[0]}: the fields {', '.join(columns)} are all empty ({len(empty)} of "
            f"{len(rows)} rows are so); fill one in or remove the row"
        )
    return tuple(map(joined, rows))


def _text(path: Path) -> Table:
    header, rows = read_rows(path)
    names = _known_names(header)
    columns = {name: tuple(row[i] for _, row in rows) for i, name in enumerate(names)}
    return Table(
        path=path,
        columns=columns,
        places=tuple(f"{path.name}, line {number}" for number, _ in rows),
    )


def _objects(path: Path) -> Table:
    columns, places = read_lines(path)
    fields = zip(_known_names(list(columns)), columns.values(), strict=True)
    return Table(
        path=path,
        columns={name: tuple(map(str.strip, field)) for name, field in fields},
        places=places,
    )


def _known_names(header: Sequence[str]) -> list[str]:
    """The names of columns; those that mean something to us in lower case, however they are written: Path, LABEL."""
    small = [name.strip().lower() for name in header]
    return [
        low if low in MEANINGFUL and small.count(low) == 1 else name
        for name, low in zip(header, small, strict=True)
    ]


def _parquet(path: Path, without: str | None, rows: int) -> Table:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise MissingExtra(
            f"{path.name} is Parquet, which needs pyarrow: pip install 'twofold[data]'"
        ) from error
    try:
        names = parquet.read_schema(path).names
        if len(names) > MOST_COLUMNS:
            raise DataError(
                f"{path.name} has {len(names):,} columns, more than {MOST_COLUMNS:,}: a row "
                f"should be an item"
            )
        if len(set(names)) < len(names):
            raise DataError(f"{path.name} has two columns of the same name: rename or remove one")
        names = [name for name in names if name != without]
        columns = parquet.read_table(path, columns=names).to_pydict()
    except (ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    fields = ((name, columns[old]) for name, old in zip(_known_names(names), names, strict=True))
    text = {
        name: tuple("" if f is None else str(f).strip() for f in column) for name, column in fields
    }
    count = len(next(iter(text.values()), range(rows)))
    return Table(
        path=path, columns=text, places=tuple(f"{path.name}, row {row + 1}" for row in range(count))
    )


def located(table: Table, column: str) -> tuple[Path, ...]:
    """A column of file names as paths, relative ones taken from the table's folder.

    Raises:
        DataError: files that are not there: how many, and the first with its line.
    """
    folder = table.path.parent
    paths = tuple(folder / name for name in table.column(column))
    missing = [i for i, path in enumerate(paths) if not file_at(path)]
    if missing:
        first = missing[0]
        raise DataError(
            f"{table.places[first]}: there is no file {str(paths[first])[:LONGEST_PATH]} "
            f"({len(missing)} of {len(paths)} files of the "
            f"column {column!r} are missing); relative names are taken from the table's folder"
        )
    return paths


def ends_of(table: Table) -> tuple[str, str] | None:
    """The two columns that make a table one of pairs; None where it is not, or where its rows have labels.

    Raises:
        DataError: more than one such pair of columns.
    """
    found = [ends for ends in ENDS if set(ends) <= table.columns.keys()]
    if not found or "label" in table.columns:
        return None
    if len(found) > 1:
        said = " and ".join(", ".join(ends) for ends in found)
        raise DataError(f"{table.path.name} has two kinds of pairs, {said}: leave one of them")
    return found[0]


_RECORDS = ". Of several columns with words: --columns name,street,city (in Python: columns=)"


def rows_as_items(table: Table, *, labelled: bool = True) -> Listing:
    """The rows of a table with `path` (or `text`, `sequence`, or vectors) and `label` as a listing.

    Optional columns: `group`, `source`, `site` (which stays in the metadata too), and `forgery_of`,
    which names the label that the row imitates; without `labelled` also `label`, in whose place
    then stands the row's own id.

    Raises:
        DataError: a column is missing, a label is empty, or a forgery imitates an unknown label; names the
            line.
    """
    name, values = _content(table)
    ids = _ids(table, name)
    labels, identities = _labels(table) if labelled or "label" in table.columns else (ids, ids)
    extras = [
        extra for extra in ("group", "source", "site", "forgery_of") if extra in table.columns
    ]
    content = f"records of {', '.join(table.fields)}; and" if table.fields else f"{name},"
    others = ", ".join([*(["label"] if labels is not ids else []), *extras])
    said = f"{counted(len(values), 'row')} with " + (
        f"{content} {others}" if others else content.removesuffix("; and").rstrip(",")
    )
    forgeries, sites = labels.count(None), table.columns.get("site", ())
    unknown = (
        f"{counted(sites.count(''), 'row', 'has')} no site, so that sites are not used"
        if "" in sites
        else ""
    )
    return Listing(
        values=values,
        ids=ids,
        labels=labels,
        identities=identities,
        groups=table.column("group") if "group" in extras else None,
        sources=table.columns.get("source"),
        sites=sites if sites and all(sites) else None,
        notes=tuple(
            filter(
                None, (said, f"{forgeries} of the rows are forgeries" if forgeries else "", unknown)
            )
        ),
        metadata=_metadata(table),
    )


def _content(table: Table) -> tuple[str, tuple[Any, ...]]:
    """What the column of the things is called, and the things. Vectors count before all else."""
    if table.vectors is not None:
        return f"vectors of {table.vectors.shape[1]} numbers", tuple(table.vectors)
    content = [name for name in CONTENTS if name in table.columns]
    if len(content) != 1:
        raise DataError(
            f"{table.path.name} needs one of the columns {', '.join(CONTENTS)}, vector (or "
            f"columns of numbers: v0, v1, ...), and the column label: its columns are {some(table.columns, 12)}"
            f"{'' if content else _RECORDS}"
        )
    name = content[0]
    return name, located(table, name) if name == "path" else table.column(name)


def _metadata(table: Table) -> tuple[dict[str, str | int | float], ...] | None:
    """What the columns that mean nothing to us say of each row; a column of nothing but numbers holds numbers."""
    kept = CONTENTS if table.vectors is not None else ()  # what the vectors were made of
    others = [name for name in table.columns if name and (name not in KNOWN or name in kept)]
    if not others:
        return None
    columns = {name: _numbers(table.columns[name]) for name in others}
    return tuple(
        {name: column[row] for name, column in columns.items() if column[row] != ""}
        for row in range(len(table.places))
    )


def _numbers(column: tuple[str, ...]) -> Sequence[str | int | float]:
    if not all(NUMBER.fullmatch(field) for field in column if field):
        return column
    return [field and (float(field) if "." in field else int(field)) for field in column]


def parts_of(path: Path) -> tuple[str, ...] | None:
    """The column `split` or `part` of a table, row by row; None where there is no such column, or no table."""
    if not is_table(path):
        return None
    columns = read(path).columns
    return columns.get("split", columns.get("part"))


def _labels(table: Table) -> tuple[tuple[str | None, ...], tuple[str, ...]]:
    """Label (None for a forgery) and identity of every row."""
    if "forgery_of" not in table.columns:
        labels = table.column("label")
        return labels, labels
    if "label" not in table.columns:
        table.column("label")
    imitated = table.columns["forgery_of"]
    labels = [
        None if of else label for label, of in zip(table.columns["label"], imitated, strict=True)
    ]
    known = set(labels)
    for place, label, of in zip(table.places, labels, imitated, strict=True):
        if label == "":
            raise DataError(f"{place}: the field 'label' is empty; fill it in or remove the row")
        if of and of not in known:
            raise DataError(f"{place}: a forgery of {of!r}, but no genuine row has that label")
    return tuple(labels), tuple(
        of or label or "" for label, of in zip(labels, imitated, strict=True)
    )


def _ids(table: Table, content: str) -> tuple[str, ...]:
    """File names; of texts the column `id`, or the row's number. Made unique where one stands in two rows."""
    if content != "path" and "id" not in table.columns:
        return tuple(f"row {number + 1}" for number in range(len(table.places)))
    seen: dict[str, int] = {}
    return tuple(
        _numbered(name, seen) for name in table.column(content if content == "path" else "id")
    )


def _numbered(name: str, seen: dict[str, int]) -> str:
    seen[name] = seen.get(name, 0) + 1
    return name if seen[name] == 1 else f"{name}#{seen[name]}"

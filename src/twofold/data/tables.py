"""CSV, TSV and Parquet as rows that know their place, so that an error can name the line."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from twofold.data.listing import Listing
from twofold.errors import DataError, MissingExtra, NotEnoughData

__all__ = ["CONTENTS", "SUFFIXES", "Table", "located", "parts_of", "read", "rows_as_items"]

SUFFIXES = (".csv", ".tsv", ".parquet")
CONTENTS = ("path", "text", "sequence")
KNOWN = (*CONTENTS, "label", "group", "source", "forgery_of")
NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?")  # no codes like 007, which are text


@dataclass(frozen=True, kw_only=True)
class Table:
    """Columns of text.

    Attributes:
        columns: name -> one string a row, blanks at the ends removed.
        places: where each row stands, for errors: "faces.csv, line 7".
    """

    path: Path
    columns: dict[str, tuple[str, ...]]
    places: tuple[str, ...]

    def column(self, name: str) -> tuple[str, ...]:
        """A column that must be there and be filled in every row.

        Raises:
            DataError: no such column, or an empty field; names the line.
        """
        if name not in self.columns:
            raise DataError(f"{self.path.name} has no column {name!r}: its columns are {', '.join(self.columns)}")
        for place, field in zip(self.places, self.columns[name], strict=True):
            if not field:
                raise DataError(f"{place}: the field {name!r} is empty; fill it in or remove the row")
        return self.columns[name]


def read(path: Path) -> Table:
    """Read a table by the ending of its name.

    Raises:
        DataError: no such file, another ending, a header twice the same, a row of another width.
        NotEnoughData: no rows.
        MissingExtra: Parquet without the extra `data`.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path} is no table that can be read: its name must end in {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise DataError(f"there is no table {path}")
    table = _parquet(path) if path.suffix.lower() == ".parquet" else _text(path)
    if not table.places:
        raise NotEnoughData(f"{path} has no rows below its header")
    return table


def _delimiter(header: str, path: Path) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    return max(",;\t", key=header.count)  # spreadsheets in half of Europe write semicolons into .csv


def _text(path: Path) -> Table:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            lines = list(_lines(file, _delimiter(first, path)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text with columns: {error}") from error
    header = [name.strip() for name in lines[0][1]] if lines else []
    if not any(header):
        raise NotEnoughData(f"{path} is empty: the first line names the columns")
    if len(set(header)) < len(header):
        raise DataError(f"{path.name} names a column twice: {', '.join(header)}")
    rows = lines[1:]
    for number, row in rows:
        if len(row) != len(header):
            raise DataError(f"{path.name}, line {number}: {len(row)} fields, the header has {len(header)}")
    columns = {name: tuple(row[i].strip() for _, row in rows) for i, name in enumerate(header)}
    return Table(path=path, columns=columns, places=tuple(f"{path.name}, line {number}" for number, _ in rows))


def _lines(file: Iterator[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line on which a row ends, its fields), empty lines left out."""
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    for row in reader:
        if row:
            yield reader.line_num, row


def _parquet(path: Path) -> Table:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise MissingExtra(f"{path.name} is Parquet, which needs pyarrow: pip install 'twofold[data]'") from error
    try:
        columns = parquet.read_table(path).to_pydict()
    except (ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    text = {name: tuple("" if f is None else str(f).strip() for f in column) for name, column in columns.items()}
    count = len(next(iter(text.values()), ()))
    return Table(path=path, columns=text, places=tuple(f"{path.name}, row {row + 1}" for row in range(count)))


def located(table: Table, column: str) -> tuple[Path, ...]:
    """A column of file names as paths, relative ones taken from the table's folder.

    Raises:
        DataError: files that are not there: how many, and the first with its line.
    """
    folder = table.path.parent
    paths = tuple(folder / name for name in table.column(column))
    missing = [i for i, path in enumerate(paths) if not path.is_file()]
    if missing:
        first = missing[0]
        raise DataError(
            f"{table.places[first]}: there is no file {paths[first]} ({len(missing)} of {len(paths)} files of the "
            f"column {column!r} are missing); relative names are taken from the table's folder"
        )
    return paths


def rows_as_items(table: Table, *, labelled: bool = True) -> Listing:
    """The rows of a table with `path` (or `text`, `sequence`) and `label` as a listing.

    Optional columns: `group`, `source`, and `forgery_of`, which names the label that the row imitates; without
    `labelled` also `label`, in whose place then stands the row's own id.

    Raises:
        DataError: a column is missing, an empty label, a forgery of nobody; names the line.
    """
    content = [name for name in CONTENTS if name in table.columns]
    if len(content) != 1:
        raise DataError(
            f"{table.path.name} needs one of the columns {', '.join(CONTENTS)} and the column label: "
            f"its columns are {', '.join(table.columns)}"
        )
    name = content[0]
    values = located(table, name) if name == "path" else table.column(name)
    ids = _ids(table, name)
    labels, identities = _labels(table) if labelled or "label" in table.columns else (ids, ids)
    extras = [extra for extra in ("group", "source", "forgery_of") if extra in table.columns]
    said = f"{len(values)} rows with {', '.join([name, *(['label'] if labels is not ids else []), *extras])}"
    forgeries = labels.count(None)
    return Listing(
        values=values,
        ids=ids,
        labels=labels,
        identities=identities,
        groups=table.column("group") if "group" in extras else None,
        sources=table.columns.get("source"),
        notes=(said, f"{forgeries} rows are forgeries") if forgeries else (said,),
        metadata=_metadata(table),
    )


def _metadata(table: Table) -> tuple[dict[str, str | int | float], ...] | None:
    """What the columns that mean nothing to us say of each row; a column of nothing but numbers holds numbers."""
    others = [name for name in table.columns if name and name not in KNOWN]
    if not others:
        return None
    columns = {name: _numbers(table.columns[name]) for name in others}
    return tuple(
        {name: column[row] for name, column in columns.items() if column[row] != ""} for row in range(len(table.places))
    )


def _numbers(column: tuple[str, ...]) -> Sequence[str | int | float]:
    if not all(NUMBER.fullmatch(field) for field in column if field):
        return column
    return [field and (float(field) if "." in field else int(field)) for field in column]


def parts_of(path: Path) -> tuple[str, ...] | None:
    """The column `split` or `part` of a table, row by row; None where there is no such column, or no table."""
    if not path.is_file() or path.suffix.lower() not in SUFFIXES:
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
    labels = [None if of else label for label, of in zip(table.columns["label"], imitated, strict=True)]
    known = set(labels)
    for place, label, of in zip(table.places, labels, imitated, strict=True):
        if label == "":
            raise DataError(f"{place}: the field 'label' is empty; fill it in or remove the row")
        if of and of not in known:
            raise DataError(f"{place}: a forgery of {of!r}, but no genuine row has that label")
    return tuple(labels), tuple(of or label or "" for label, of in zip(labels, imitated, strict=True))


def _ids(table: Table, content: str) -> tuple[str, ...]:
    """File names, made unique where one stands in two rows; the row's number for text."""
    if content != "path":
        return tuple(f"row {number + 1}" for number in range(len(table.places)))
    seen: dict[str, int] = {}
    return tuple(_numbered(name, seen) for name in table.columns[content])


def _numbered(name: str, seen: dict[str, int]) -> str:
    seen[name] = seen.get(name, 0) + 1
    return name if seen[name] == 1 else f"{name}#{seen[name]}"

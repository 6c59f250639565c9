"""Delimited text (CSV, TSV): the one reader and the one writer; what is written is read back to the character.

A spreadsheet takes a field that begins with =, +, - or @ for a formula. Such a field gets an
apostrophe in front, which spreadsheets take for "this is text". A field with blanks at its ends is
put between apostrophes, since readers drop blanks. Reading takes both off again. `escaped` and
`unescaped` are exact inverses of each other.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from twofold.errors import DataError, NotEnoughData
from twofold.places import remedy

__all__ = ["MOST_COLUMNS", "Rows", "escaped", "read_rows", "unescaped", "written_rows"]

FORMULA = re.compile(r"[=+\-@]")
QUOTED = re.compile(r'[,;\t"\r\n]')
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

MOST_COLUMNS = 10_000
"""More than any table of items, pairs or scores has; a table with its rows and columns exchanged has them."""

LONGEST_FIELD = 100_000_000
"""Characters: a text or a vector in one field. The csv module's own limit of 131,072 is too low for long texts."""

SAMPLE_BYTES = 4096
"""Of the start of a file, by which its encoding is told."""

MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"))
MARKS += ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


class Rows(NamedTuple):
    """A header, and the fields of each row with the line on which it ends."""

    header: tuple[str, ...]
    rows: list[tuple[int, list[str]]]


def read_rows(path: Path) -> Rows:
    """Read delimited text: UTF-8, or UTF-16 as spreadsheets save it; commas, semicolons or tabs.

    Empty columns at the end are dropped, and so are blanks at the ends of a field.

    Raises:
        DataError: another encoding, a row of another width, a column without a name or twice, too
            many columns.
        NotEnoughData: the file is empty.
    """
    text = decoded(path)
    first = text[: re.search(r"[\r\n]|$", text).start()]  # type: ignore[union-attr]
    try:
        lines = list(_lines(text, _delimiter(first, path)))
    except csv.Error as error:
        raise DataError(f"{path} cannot be read as text with columns: {error}") from None
    lines = [(number, fields) for number, fields in lines if any(fields)]
    if not lines:
        raise NotEnoughData(f"{path} is empty: the first line names the columns")
    header, rows = lines[0][1], lines[1:]
    while (
        header
        and not header[-1]
        and not any(len(row) >= len(header) and row[len(header) - 1] for _, row in rows)
    ):
        header.pop()
    _check_header(path, header)
    return Rows(
        tuple(header), [(number, _fitted(path, number, row, len(header))) for number, row in rows]
    )


def written_rows(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> bytes:
    """Rows as CSV in UTF-8, under a header.

    Raises:
        DataError: a text that cannot stand in UTF-8, such as the name of a file that is not UTF-8.
    """
    lines = [columns, *([row.get(column) for column in columns] for row in rows)]
    text = "".join(",".join(map(_field, line)) + "\n" for line in lines)
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        name = error.object[max(0, error.start - 20) : error.end + 20]
        raise DataError(f"{name!a} is not UTF-8, and cannot stand in a table: rename it") from None


def escaped(field: str) -> str:
    """A field as it is written."""
    if not _special(field):
        return field
    formula = FORMULA.match(field) and field == field.strip() and field[-1] != "'"
    return f"'{field}" if formula else f"'{field}'"


def unescaped(field: str) -> str:
    """A field as it was before `escaped`; any other is as it is, without the blanks at its ends."""
    if field[:1] == "'":
        if escaped(field[1:-1]) == field:
            return field[1:-1]
        if FORMULA.match(field, 1):
            return field[1:].rstrip()
    return field.strip()


def decoded(path: Path) -> str:
    """The text of a file in UTF-8, with or without its mark, in UTF-16 or in UTF-32.

    Raises:
        DataError: it cannot be read, or its encoding is another one; says how to convert it.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {remedy(error)}") from error
    encoding = _encoding(content[:SAMPLE_BYTES])
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: byte 0x{content[error.start]:02x} is not "
            f"{encoding.upper().removesuffix('-SIG')}. "
            f"Save it as UTF-8; from Windows or Latin-1: iconv -f WINDOWS-1252 -t UTF-8 "
            f"{path.name} > utf8-{path.name}"
        ) from None


def _encoding(start: bytes) -> str:
    """By the mark at the start; without one, by where the zero bytes of Western letters stand."""
    for mark, name in MARKS:
        if start.startswith(mark):
            return name
    if len(start) >= 4 and not start[1] and not start[3] and start[0] and start[2]:
        return "utf-16-le"
    if len(start) >= 4 and not start[0] and not start[2] and start[1] and start[3]:
        return "utf-16-be"
    return "utf-8"


def _special(field: str) -> bool:
    """Whether a field is not written as it is."""
    if field != field.strip() or (FORMULA.match(field) and not NUMBER.fullmatch(field)):
        return True
    # what would be taken for an escaped field
    return field[:1] == "'" and len(field) > 1 and unescaped(field) != field


def _field(value: object) -> str:
    """A value as it stands in a line; the csv module would leave a carriage return without quotes."""
    field = "" if value is None else escaped(value) if isinstance(value, str) else str(value)
    return '"' + field.replace('"', '""') + '"' if QUOTED.search(field) else field


def _delimiter(header: str, path: Path) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    # spreadsheets in half of Europe write semicolons into .csv
    return max(",;\t", key=header.count)


def _lines(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line on which a row ends, its fields)."""
    with _long_fields():
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        for row in reader:
            yield reader.line_num, [unescaped(field) for field in row]


@contextmanager
def _long_fields() -> Iterator[None]:
    before = csv.field_size_limit(LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _check_header(path: Path, header: list[str]) -> None:
    if len(header) > MOST_COLUMNS:
        raise DataError(
            f"{path.name} has {len(header):,} columns, more than {MOST_COLUMNS:,}: a row should "
            f"be an item or a pair; "
            "are rows and columns exchanged?"
        )
    if "" in header:
        raise DataError(
            f"{path.name}: column {header.index('') + 1} of {len(header)} has no name in the "
            f"first line"
        )
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise DataError(f"{path.name} has two columns called {twice[:80]!r}: rename or remove one")


def _fitted(path: Path, number: int, row: list[str], width: int) -> list[str]:
    if len(row) < width or any(row[width:]):
        raise DataError(f"{path.name}, line {number}: {len(row)} fields, the header has {width}")
    return row[:width]

"""Files of series: UCR's text, .ts of sktime and aeon, NPY, and one series per file; values and labels, nothing else.

A series is float64 (length, channels) here, and what is missing is NaN.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from twofold.errors import DataError, UnreadableInput
from twofold.places import file_at

__all__ = [
    "SERIES_FILES",
    "TEXT_FILES",
    "TS",
    "Record",
    "channels_of",
    "header_of",
    "is_ucr",
    "parsed",
    "read_one",
    "read_ts",
    "read_ucr",
]

TS = ".ts"
TEXT_FILES = (".tsv", ".txt")
"""How UCR's files of one series per line end; a table of one series per file may end so, too."""

SERIES_FILES = (".csv", *TEXT_FILES, ".npy", TS)
"""How the files end that may hold one series each."""

MISSING = frozenset({"", "?", "nan", "na", "n/a", "none", "null"})
"""What stands for a value that is missing, in lower case."""

TIMES = frozenset({"time", "timestamp", "date", "datetime", "t", "index"})
"""Columns of a file that say when, and are not a channel."""

FEWEST_FIELDS = 3
"""Of a line of UCR's text: the label and two values."""

LARGEST_FILE = 4 << 30
"""Bytes of a file that is read as one series or as many."""

Series = Float[np.ndarray, "length channels"]


@dataclass(frozen=True)
class Record:
    """One series of a file, and its label where the file says one."""

    values: Series
    label: str | None


def is_ucr(path: Path) -> bool:
    """Whether a .tsv or .txt file holds one series per line, the label first: nothing but numbers."""
    if path.suffix.lower() not in TEXT_FILES or not file_at(path):
        return False
    try:
        with path.open(encoding="utf-8-sig") as file:
            first = next((line for line in file if line.strip()), "")
    except (OSError, UnicodeDecodeError):
        return False
    fields = _fields(first)
    return (
        len(fields) >= FEWEST_FIELDS and _is_number(fields[0]) and all(map(_is_value, fields[1:]))
    )


def header_of(path: Path) -> list[str]:
    """The names in the first line of a file of text, in lower case; none where it holds values."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            fields = _fields(file.readline())
    except (OSError, UnicodeDecodeError):
        return []
    if all(map(_is_value, fields)):
        return []
    return [field.strip().strip('"').lower() for field in fields]


def read_ucr(path: Path) -> list[Record]:
    """The series of a file of UCR's archive: one per line, the label first. NaN at the end is padding, and left out.

    Raises:
        DataError: a line with something that is not a number; names it.
    """
    return [_ucr_record(path, number, _fields(line)) for number, line in _lines(path)]


def read_ts(path: Path) -> list[Record]:
    """The series of a .ts file: a header of lines with @, then a case per line, its channels and label between colons.

    Raises:
        DataError: no @data, time stamps, a target in place of a label, or a line that does not fit;
            names it.
    """
    header: dict[str, list[str]] = {}
    records: list[Record] = []
    for number, line in _lines(path):
        if "data" in header:
            records.append(_ts_record(path, number, line, labelled=_has_labels(header)))
        elif line.startswith("@"):
            name, *words = line[1:].split()
            header[name.lower()] = words
            _refuse_header(path, header)
        elif not line.startswith("#"):
            raise DataError(
                f"{path.name}, line {number}: {line[:40]!r} stands before @data: a .ts file begins "
                f"with its header"
            )
    if "data" not in header:
        raise DataError(f"{path.name} has no line @data: it is not a .ts file of series")
    return records


def read_one(path: Path) -> Series:
    """The one series that a file holds: a line per time, a column per channel; NPY (length x channels); or .ts.

    A column called time (or timestamp, date, index) is left out, and so is a first line of names.

    Raises:
        UnreadableInput: it cannot be read, holds several series, or something that is not a number.
    """
    ending = path.suffix.lower()
    if ending not in SERIES_FILES:
        raise UnreadableInput(
            f"{path.name} is not a file of a series: these end in {', '.join(SERIES_FILES)}"
        )
    try:
        if ending == ".npy":
            return shaped(_array_of(path), path.name)
        if ending == TS:
            return _only(path, read_ts(path))
        return _columns(path)
    except DataError as error:
        raise UnreadableInput(str(error)) from None


def parsed(text: str) -> Series:
    """A series as text: numbers between blanks, commas or semicolons; or lists of JSON, [1, 2], [[1, 5], [2, 6]].

    Raises:
        UnreadableInput: something that is not a number, or lists of different lengths.
    """
    text = text.strip()
    if text.startswith("[["):
        quoted = re.sub(r"(?i)\b(nan|none|null|na)\b|\?", "NaN", text)
        try:
            return shaped(np.array(json.loads(quoted), np.float64), "the series")
        except (ValueError, TypeError, RecursionError):
            raise UnreadableInput(
                f"{text[:40]!r} is not a series: write [[1.5, 20], [1.7, 21]], a list of channels "
                f"for each time"
            ) from None
    fields = re.split(r"[\s,;]+", text.strip("[] \n"))
    if wrong := [field for field in fields if not _is_value(field)]:
        raise UnreadableInput(
            f"{wrong[0][:40]!r} is not a number of a series: write [0.5, 1.25, 2] or the name of a "
            f"file"
        )
    return _numbers(fields)[:, None]


def channels_of(value: object) -> int | None:
    """How many channels a series has, however it is given; None where it cannot be read."""
    try:
        if isinstance(value, np.ndarray):
            return shaped(value, "the array").shape[1]
        if isinstance(value, Path | str):
            return (read_one(value) if isinstance(value, Path) else parsed(value)).shape[1]
    except UnreadableInput:
        return None
    return None


def shaped(array: np.ndarray, name: str) -> Series:
    """An array of one series as (length, channels), float64.

    Raises:
        UnreadableInput: not numbers, or of another shape.
    """
    if array.dtype.kind not in "fiub" or array.ndim not in (1, 2) or not array.size:
        raise UnreadableInput(
            f"{name} holds {array.dtype} of shape {array.shape}: a series is numbers, length or "
            f"length x channels"
        )
    return np.asarray(array, np.float64).reshape(len(array), -1)


def _array_of(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read as a NumPy array: {error}") from None


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not empty, and their numbers."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise DataError(f"{path} is larger than {LARGEST_FILE >> 30} GB: divide it")
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line := line.strip():
                    yield number, line
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not text in UTF-8: {error.reason}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def _fields(line: str) -> list[str]:
    """Between tabs or commas, where a field may be empty; else between blanks."""
    for sign in ("\t", ",", ";"):
        if sign in line:
            return [field.strip() for field in line.strip("\n").split(sign)]
    return line.split()


def _ucr_record(path: Path, number: int, fields: Sequence[str]) -> Record:
    values = _numbered(path, number, fields[1:])
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        raise DataError(
            f"{path.name}, line {number}: no value follows the label {fields[0][:20]!r}: a line is "
            f"a label and the values of a series"
        )
    return Record(values[: known[-1] + 1, None], _label(fields[0]))


def _label(field: str) -> str:
    """A label; of old files, where it is 1.0000000e+00, a whole number."""
    try:
        number = float(field)
    except ValueError:
        return field
    return str(int(number)) if number.is_integer() else field


def _refuse_header(path: Path, header: dict[str, list[str]]) -> None:
    if _true(header, "timestamps"):
        raise DataError(
            f"{path.name} has time stamps (@timestamps true), which are not read: write the values "
            f"alone, or a table with the columns id, time, label and the channels"
        )
    if _true(header, "targetlabel"):
        raise DataError(
            f"{path.name} has a number for each series (@targetlabel true), not a class: it is for "
            f"regression"
        )


def _true(header: dict[str, list[str]], name: str) -> bool:
    return [word.lower() for word in header.get(name, [])[:1]] == ["true"]


def _has_labels(header: dict[str, list[str]]) -> bool:
    return "classlabel" not in header or _true(header, "classlabel")


def _ts_record(path: Path, number: int, line: str, *, labelled: bool) -> Record:
    parts = line.split(":")
    label = parts.pop().strip() if labelled else None
    if not parts or label == "":
        raise DataError(
            f"{path.name}, line {number}: no label follows a last colon, and @classlabel says that "
            f"there are labels"
        )
    channels = [
        _numbered(path, number, [field.strip() for field in part.split(",")]) for part in parts
    ]
    if len(lengths := {len(channel) for channel in channels}) > 1:
        raise DataError(
            f"{path.name}, line {number}: the channels of this series have {min(lengths)} to "
            f"{max(lengths)} values, and must be of one length"
        )
    return Record(np.stack(channels, axis=1), None if label is None else _label(label))


def _only(path: Path, records: Sequence[Record]) -> Series:
    if len(records) == 1:
        return records[0].values
    raise UnreadableInput(
        f"{path.name} holds {len(records)} series: name one as {path.name}#1, or give the file as "
        f"DATA"
    )


def _columns(path: Path) -> Series:
    """A line per time and a column per channel."""
    lines = [(number, _fields(line)) for number, line in _lines(path)]
    if not lines:
        raise UnreadableInput(f"{path.name} is empty")
    names: list[str] = []
    if not all(map(_is_value, lines[0][1])):
        names = [name.strip().strip('"').lower() for name in lines.pop(0)[1]]
    if not lines:
        raise UnreadableInput(f"{path.name} has no values below its header")
    width = len(lines[0][1])
    if odd := [number for number, fields in lines if len(fields) != width]:
        raise UnreadableInput(
            f"{path.name}, line {odd[0]}: another number of channels than the {width} of the first "
            f"line"
        )
    kept = [place for place in range(width) if place >= len(names) or names[place] not in TIMES]
    rows = [_numbered(path, number, [fields[place] for place in kept]) for number, fields in lines]
    return np.stack(rows)


def _numbered(path: Path, number: int, fields: Sequence[str]) -> Float[np.ndarray, "values"]:
    try:
        return _numbers(fields)
    except ValueError:
        wrong = next(field for field in fields if not _is_value(field))
        raise DataError(
            f"{path.name}, line {number}: {wrong[:30]!r} is not a number (what is missing is NaN, "
            f"? or nothing)"
        ) from None


def _numbers(fields: Sequence[str]) -> Float[np.ndarray, "values"]:
    try:
        return np.array(fields, np.float64)
    except ValueError:
        return np.array(
            [np.nan if field.lower() in MISSING else float(field) for field in fields], np.float64
        )


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _is_value(field: str) -> bool:
    return field.lower() in MISSING or _is_number(field)

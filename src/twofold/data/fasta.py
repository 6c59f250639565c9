"""FASTA: sequences of letters below headers, one field of which says whose they are."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from twofold.data.listing import Listing, some
from twofold.errors import DataError, NotEnoughData, UsageError
from twofold.plurals import counted

__all__ = ["FASTA", "FIELD_VARIABLE", "asked_field", "listed"]

FASTA = (".fasta", ".fa", ".fas", ".fna", ".ffn")
"""How the names of such files end."""

FIELD_VARIABLE = "TWOFOLD_LABEL_FIELD"
"""Which field of a header, or of a file's name, is the label, from 1 on; `--label-field` sets it for one command."""

DIVIDERS = ("|", ";", "\t")
"""What stands between the fields of a header, looked for in this order; else blanks do."""

MOSTLY = 0.5
"""Share of the records that must have a label in common with another one, for a field to be taken for
the label without being told: a field of specimens repeats by chance only."""

LONGEST_ID = 120
"""Characters of a header that name its record."""


def listed(path: Path, *, labelled: bool = True, field: int | None = None) -> Listing:
    """The records of a FASTA file.

    Args:
        labelled: False: where no field fits, each record is a class of its own, named by its
            header.
        field: which field of the header is the label, from 1 on. None: what `--label-field` says,
            else the finest field that most records have in common with others.

    Raises:
        DataError: not FASTA, or no field fits; says which fields there are.
        NotEnoughData: no records.
    """
    headers, sequences = _read(path)
    ids = _unique([header[:LONGEST_ID] for header in headers])
    try:
        labels, note = _labels(path, headers, field or asked_field())
    except DataError:
        if labelled:
            raise
        return Listing(values=sequences, ids=ids, labels=ids, identities=ids)
    return Listing(values=sequences, ids=ids, labels=labels, identities=labels, notes=(note,))


def _read(path: Path) -> tuple[list[str], tuple[str, ...]]:
    headers: list[str] = []
    sequences: list[str] = []
    lines: list[str] = []
    number = 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, raw in enumerate(file, start=1):
                line = raw.strip()
                if line.startswith(">"):
                    _close(path, headers, sequences, lines)
                    headers.append(" ".join(line[1:].split()) or f"record {len(headers) + 1}")
                    lines = []
                elif line and not headers:
                    raise DataError(
                        f"{path.name}, line {number}: a FASTA file begins with a header (>), and "
                        f"this line is {line[:40]!r}"
                    )
                elif line:
                    lines.append(line)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text: {error}") from None
    if not headers:
        raise NotEnoughData(f"{path} holds no records")
    _close(path, headers, sequences, lines)
    return headers, tuple(sequences)


def _close(path: Path, headers: list[str], sequences: list[str], lines: list[str]) -> None:
    """The record that ends here, if one has begun."""
    if not headers:
        return
    if not lines:
        raise DataError(
            f"{path.name}: the record {headers[-1][:40]!r} (number {len(headers)}) has no sequence; "
            "remove it"
        )
    sequences.append("".join(lines))


def asked_field() -> int | None:
    """The field that `--label-field` names; None where it is not given.

    Raises:
        UsageError: not a positive whole number.
    """
    asked = os.environ.get(FIELD_VARIABLE)
    if not asked:
        return None
    if not asked.isdecimal() or int(asked) < 1:
        raise UsageError(
            f"--label-field (or {FIELD_VARIABLE}) must be a positive whole number, not {asked!r}"
        )
    return int(asked)


def _labels(path: Path, headers: Sequence[str], field: int | None) -> tuple[tuple[str, ...], str]:
    """The label of every record, and where it was found."""
    divider = next((each for each in DIVIDERS if each in headers[0]), None)
    rows = [[part.strip() for part in header.split(divider)] for header in headers]
    widths = Counter(map(len, rows))
    width = min(widths)
    fields = [[row[place] for row in rows] for place in range(width)]
    place = field - 1 if field is not None else _finest(fields)
    if place is None or place >= width:
        said = f"has no field {field}" if field is not None else "has no field that looks like one"
        raise DataError(
            f"{path.name} {said} of labels: the first header is {headers[0][:80]!r}, with "
            f"{counted(width, 'field')}. Name one by --label-field N, or give a table with the "
            "columns sequence and label"
        )
    labels = fields[place]
    if "" in labels:
        empty = headers[labels.index("")]
        raise DataError(
            f"{path.name}: field {place + 1} of the header {empty[:60]!r} is empty, and it is the "
            "label; fill it in or remove the record"
        )
    chosen = "" if field is not None else " (another one: --label-field N)"
    examples = some(list(dict.fromkeys(labels)), 2)
    note = (
        f"{counted(len(headers), 'record')}; field {place + 1} of {width} of their headers is the "
        f"label: {examples}{chosen}"
    )
    return tuple(labels), note


def _finest(fields: Sequence[Sequence[str]]) -> int | None:
    """The field with the most different values, among those that most records have in common with another."""
    found = []
    for place, values in enumerate(fields):
        counts = Counter(values)
        shared = sum(count for count in counts.values() if count > 1)
        if len(counts) > 1 and shared >= MOSTLY * len(values):
            found.append((len(counts), -place))
    return -max(found)[1] if found else None


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    seen: Counter[str] = Counter()
    ids = []
    for name in names:
        seen[name] += 1
        ids.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return tuple(ids)

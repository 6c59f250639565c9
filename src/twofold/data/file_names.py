"""A folder whose file names say what the files are: 7_jackson_32.wav, of which one field is the label."""

import os
from pathlib import Path

from twofold.data.fasta import asked_field
from twofold.data.folders import scan
from twofold.data.listing import Listing, some
from twofold.errors import DataError, UsageError
from twofold.plurals import counted

__all__ = ["SOURCE_VARIABLE", "asked_for", "listed"]

SOURCE_VARIABLE = "TWOFOLD_LABEL_FROM"
"""Where the label of a folder's files stands: "folder" or "name"; `--label-from` sets it for one command."""

DIVIDERS = ("_", "-", " ", ".")
"""What stands between the fields of a name, looked for in this order."""


def asked_for() -> bool:
    """Whether labels are to be taken from file names.

    Raises:
        UsageError: the variable says something else.
    """
    asked = os.environ.get(SOURCE_VARIABLE) or "folder"
    if asked not in ("folder", "name"):
        raise UsageError(f"--label-from (or {SOURCE_VARIABLE}) is folder or name, not {asked!r}")
    return asked == "name"


def listed(path: Path, *, field: int | None = None) -> Listing:
    """The files of a folder, at any depth, labelled by a field of their names.

    Args:
        field: from 1 on, without the ending of the name; None: what `--label-field` says.

    Raises:
        UsageError: no field is named. DataError: a name without that field; names it.
        NotEnoughData: no files.
    """
    found = scan(path, 0, None)
    stems = [Path(name).stem for name in found.ids]
    divider = next((each for each in DIVIDERS if each in stems[0]), None)
    rows = [stem.split(divider) for stem in stems]
    chosen = field or asked_field()
    if chosen is None:
        fields = ", ".join(f"{place} {part}" for place, part in enumerate(rows[0], start=1))
        raise UsageError(
            f"say which field of the names is the label, --label-field N: the fields of "
            f"{stems[0]} are {fields}"
        )
    without = [
        id for id, row in zip(found.ids, rows, strict=True) if not "".join(row[chosen - 1 : chosen])
    ]
    if without:
        raise DataError(
            f"{counted(len(without), 'name')} in {path} of {len(stems)} without a field {chosen} "
            f"between {divider!r} ({some(without, 3)}): rename or remove these files"
        )
    labels = tuple(row[chosen - 1] for row in rows)
    note = (
        f"{counted(len(labels), 'file')}; field {chosen} of their names is the label: "
        f"{some(list(dict.fromkeys(labels)), 3)}"
    )
    return Listing(
        values=found.values,
        ids=found.ids,
        labels=labels,
        identities=labels,
        strays=found.strays,
        notes=(note,),
    )

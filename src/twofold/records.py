"""Records: the fields of a row as one text, a mark between them: an empty one shifts no other."""

from collections.abc import Mapping, Sequence

from twofold.errors import RecipeError, UnreadableInput, nearest

__all__ = ["MARK", "checked_fields", "divided", "joined", "of_mapping", "of_words", "shown"]

MARK = "\x1f"
"""What stands between two fields: ASCII's unit separator, which no table holds."""

BESIDE = " | "
"""What stands between two fields on a screen."""

TAKEN = ("label", "path")
"""Columns that say whose a row is, or name a file: no field of a record."""


def checked_fields(fields: str | Sequence[str]) -> tuple[str, ...]:
    """The names of fields, from a sequence or from "name,street,city".

    Raises:
        RecipeError: an empty name, a name that stands twice, or the column `label` or `path`.
    """
    names = fields.split(",") if isinstance(fields, str) else fields
    found = tuple(str(name).strip() for name in names)
    said = f"the columns {', '.join(found)} do not make up a record: "
    if "" in found:
        raise RecipeError(f"{said}a name is empty; write them as name,street,city")
    if twice := [name for name in dict.fromkeys(found) if found.count(name) > 1]:
        raise RecipeError(f"{said}{twice[0]} stands twice")
    if taken := [name for name in found if name.lower() in TAKEN]:
        raise RecipeError(f"{said}{taken[0]} is not a field; leave it out")
    return found


def joined(values: Sequence[str]) -> str:
    """A record of these values, in the order of the fields; an empty value is a missing field."""
    return MARK.join(value.replace(MARK, " ") for value in values)


def of_mapping(values: Mapping[str, object], fields: Sequence[str]) -> str:
    """A record of named values; a name that is missing, or None, is a missing field.

    Raises:
        UnreadableInput: a name that is not a field.
    """
    for name in values:
        if name not in fields:
            raise UnreadableInput(
                f"{name!r} is not a field of these records: {nearest(str(name), list(fields))}"
            )
    given = [values.get(name) for name in fields]
    return joined(["" if value is None else str(value) for value in given])


def of_words(words: str, fields: Sequence[str]) -> str:
    """A record as it is typed: "Anna Berg | | Lindau".

    Raises:
        UnreadableInput: another number of fields.
    """
    return joined(_fitting(words.split("|"), fields))


def divided(record: str, fields: Sequence[str]) -> list[str]:
    """The values of a record.

    Raises:
        UnreadableInput: another number of fields, as in a text that is not a record.
    """
    return _fitting(record.split(MARK), fields)


def shown(record: str) -> str:
    """A record for a reader: "Anna Berg | | Lindau"."""
    return BESIDE.join(value.strip() for value in record.split(MARK))


def _fitting(values: list[str], fields: Sequence[str]) -> list[str]:
    if len(values) == len(fields):
        return values
    raise UnreadableInput(
        f"{BESIDE.join(values)[:80]!r} has {len(values)} of the {len(fields)} fields: write "
        f"{BESIDE.join(fields)!r}, an empty field as nothing between two bars"
    )

"""Tables of texts: which recipe suits them, and what cannot read them, told before anything is read."""

from pathlib import Path
from typing import TYPE_CHECKING

from twofold.errors import UsageError

if TYPE_CHECKING:
    from twofold.config import Recipe
    from twofold.inputs import Input

__all__ = ["recipe_for", "refuse_columns", "refuse_texts"]

SENTENCE = 6
"""Words from which on a text is taken for a sentence: names and short records have fewer."""

LOOKED = 200
"""Texts of a table that are looked at."""


def recipe_for(data: Path, columns: str | None = None) -> str:
    """The built-in recipe to begin with: of texts `names` or `text`, by their length; of all else `generic`.

    Args:
        columns: those that make up a record: records are for the recipe `names`.
    """
    if columns is not None:
        return "names"
    if not (texts := texts_of(data)):
        return "generic"
    lengths = sorted(len(text.split()) for text in texts)
    return "text" if lengths[len(lengths) // 2] >= SENTENCE else "names"


def refuse_columns(recipe: "Recipe", columns: str | None, name: str) -> None:
    """Raise UsageError where --columns was given and the recipe reads no records."""
    from twofold import inputs

    if columns is not None and "fields" not in dir(getattr(inputs, recipe.input.name, None)):
        raise UsageError(
            f"--columns {columns} is for recipes that read records of texts, as names does, and "
            f"{name} reads other things: leave it out"
        )


def refuse_texts(data: Path, reader: "Input", what: str) -> None:
    """Raise UsageError where DATA is a table of texts and the reader reads pictures.

    Args:
        what: whose reader it is, such as "the recipe face".
    """
    if reader.facts().get("kind", "pictures") == "pictures" and texts_of(data):
        raise UsageError(
            f"{data} holds texts, and {what} reads pictures: the recipe {recipe_for(data)} reads "
            f"texts "
            "(twofold train names, twofold train text)"
        )


def texts_of(data: Path) -> tuple[str, ...]:
    """The first texts of a table that has a column of them; none of all else."""
    from twofold.data import tables

    if data.suffix.lower() not in tables.SUFFIXES or not data.is_file():
        return ()
    columns = tables.read(data).columns
    return next((columns[name][:LOOKED] for name in ("text", "text_a") if name in columns), ())

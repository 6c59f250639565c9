"""What DATA holds: which recipe suits it, how long its vectors are, and what cannot read it."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twofold.errors import UsageError

if TYPE_CHECKING:
    from twofold.bundle import Bundle
    from twofold.config import Recipe
    from twofold.inputs import Input

__all__ = [
    "VECTORS",
    "kind_of_data",
    "recipe_for",
    "refuse_columns",
    "refuse_other_kind",
    "sized",
    "thing",
    "things",
]

SENTENCE = 6
"""Words from which on a text is taken for a sentence: names and short records have fewer."""

LOOKED = 200
"""Texts of a table that are looked at."""

VECTORS = Path("vectors")
"""The word in place of a bundle that compares vectors as they are; their size is that of the data."""

NOUNS = {
    "pictures": "pictures",
    "symbols": "texts",
    "dna": "DNA",
    "vectors": "vectors",
    "sounds": "sounds",
}
"""What a kind of input is called."""


def recipe_for(data: Path, columns: str | None = None) -> str:
    """The built-in recipe to begin with: `head` of vectors, `dna`, of texts `names` or `text`, else `generic`.

    Args:
        columns: those that make up a record: records are for the recipe `names`.
    """
    if columns is not None:
        return "names"
    if (held := kind_of_data(data)) in ("vectors", "dna", "sounds"):
        return {"vectors": "head", "dna": "dna", "sounds": "speech"}[held]
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


def kind_of_data(data: Path) -> str | None:
    """What DATA holds: "vectors", "dna", "symbols" (texts) or "pictures"; None where nothing says it."""
    from twofold.data import tables, vectors
    from twofold.data.fasta import FASTA

    if vectors.found_in(data):
        return "vectors"
    if data.is_dir():
        return "sounds" if sounds_in(data) else "pictures"
    if data.suffix.lower() in FASTA:
        return "dna"
    if data.suffix.lower() not in tables.SUFFIXES or not data.is_file():
        return None
    columns = tables.read(data).columns
    if "vector_a" in columns:
        return "vectors"
    if {"sequence", "sequence_a"} & columns.keys():
        return "dna"
    if texts_of(data):
        return "symbols"
    paths = next((columns[name] for name in ("path", "a") if name in columns), None)
    if paths is None:
        return None
    return "sounds" if Path(paths[0]).suffix.lower() in SOUNDS else "pictures"


SOUNDS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au", ".caf", ".w64")
"""How the names of sound files end."""


def sounds_in(folder: Path) -> bool:
    """Whether the first file of a folder is a sound, by its name."""
    for _, _, names in os.walk(folder):
        named = sorted(name for name in names if not name.startswith("."))
        if named:
            return Path(named[0]).suffix.lower() in SOUNDS
    return False


def refuse_other_kind(data: Path, reader: "Input", what: str) -> None:
    """Raise UsageError where DATA holds texts, DNA or vectors and the reader reads something else, or vice versa.

    Args:
        what: whose reader it is, such as "the recipe face".
    """
    from twofold.inputs.optional import columns

    if columns(reader):  # of records: whatever the table holds, its columns are named
        return
    # to an encoder DNA is symbols, and a sound is a series or a picture
    own: dict[str, str] = {"Dna": "dna", "Audio": "sounds"}
    wanted = own.get(reader.name) or str(reader.facts().get("kind", "pictures"))
    held = kind_of_data(data)
    if held is None or held == wanted or (held == "pictures" and wanted != "vectors"):
        return
    said = f"{data} holds {NOUNS[held]}, and {what} reads {NOUNS.get(wanted, wanted)}"
    if held in ("dna", "sounds"):
        fit = recipe_for(data)
        raise UsageError(f"{said}: the recipe {fit} reads them (twofold train {fit} {data})")
    if wanted == "sounds":
        raise UsageError(
            f"{said}: give a folder of sounds, or a table with the columns path and label"
        )
    if wanted == "dna" and held == "symbols":
        raise UsageError(f"{said}: name the column with the letters sequence")
    if wanted == "vectors":
        raise UsageError(
            f"{said}: embed them first (twofold embed BUNDLE {data} OUT), and give OUT"
        )
    if held == "vectors":
        raise UsageError(
            f"{said}: give what the vectors were made of; vectors are read by the recipe head "
            f"(twofold train head), and by the word vectors in place of a bundle"
        )
    if wanted == "pictures":
        raise UsageError(
            f"{said}: the recipe {recipe_for(data)} reads texts (twofold train names, twofold "
            f"train text)"
        )


def sized(recipe: "Recipe", data: Path) -> "Recipe":
    """The recipe for vectors of the size that DATA has; any other recipe as it is.

    Raises:
        UsageError: the recipe is for vectors, and DATA holds none.
    """
    if recipe.input.name != "Vector" or "size" in recipe.input.arguments:
        return recipe
    if (size := _size(data)) is None:
        held = NOUNS.get(kind_of_data(data) or "", "no vectors")
        if not data.exists():
            raise UsageError(f"there is no {data}: DATA is a table, a .npy file or a folder")
        raise UsageError(
            f"{data} holds {held}, and this recipe reads vectors: embed the things first (twofold "
            f"embed BUNDLE {data} OUT), and give OUT"
        )
    return recipe.replace({"input.size": size})


def plain_bundle(place: Path, near: Sequence[str | Path], *, distance: str) -> Path:
    """What `Bundle.load` takes for a bundle: for the word vectors, `vectors:384:cosine` by the size of what is near.

    Args:
        near: what else the command was given: data or queries.

    Raises:
        UsageError: nothing there says how long vectors are.
    """
    if place != VECTORS or place.exists():
        return place
    for word in near:
        if (size := _size(Path(word))) is not None:
            return Path(f"{VECTORS}:{size}:{distance}")
        value = _row(str(word))
        if value is not None:
            return Path(f"{VECTORS}:{len(value)}:{distance}")
    raise UsageError(
        "the word vectors stands for a bundle that compares vectors as they are, and nothing here "
        "says how long they are: write vectors:384, say"
    )


def _size(data: Path) -> int | None:
    from twofold.data import tables, vectors
    from twofold.data.pairs import Pairs

    if vectors.found_in(data):
        found = vectors.read(data).vectors
        return None if found is None else found.shape[1]
    if (
        data.suffix.lower() in tables.SUFFIXES
        and data.is_file()
        and "vector_a" in tables.read(data).columns
    ):
        return len(Pairs.from_table(data).values[0])
    return None


def _row(word: str) -> Any:
    from twofold.data.vectors import named_row

    if word.lstrip().startswith("["):
        try:
            return json.loads(word)
        except (ValueError, RecursionError):
            return None
    return named_row(word)


def thing(bundle: "Bundle", word: str) -> Any:
    """What a word of the command line stands for, as the bundle reads it; of vectors TABLE#ID is a row of a table."""
    from twofold.data.vectors import named_row
    from twofold.inputs.optional import argument

    if bundle.twin.input.facts().get("kind") == "vectors":
        row = named_row(word)
        if row is not None:
            return row
    return argument(bundle.twin.input, word)


def things(bundle: "Bundle", words: Sequence[str]) -> list[Any]:
    """What words of the command line stand for; of vectors each row of a table, a .npy file or a folder of vectors."""
    from twofold.data import vectors

    found: list[Any] = []
    of_vectors = bundle.twin.input.facts().get("kind") == "vectors"
    for word in words:
        if of_vectors and vectors.found_in(Path(word)):
            rows = vectors.read(Path(word)).vectors
            found += [] if rows is None else list(rows)
        else:
            found.append(thing(bundle, word))
    return found


def texts_of(data: Path) -> tuple[str, ...]:
    """The first texts of a table that has a column of them; none of all else."""
    from twofold.data import tables

    if data.suffix.lower() not in tables.SUFFIXES or not data.is_file():
        return ()
    columns = tables.read(data).columns
    return next((columns[name][:LOOKED] for name in ("text", "text_a") if name in columns), ())

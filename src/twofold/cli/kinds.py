"""What DATA holds: which recipe suits it, how long its vectors are, and what cannot read it."""

import itertools
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twofold.errors import UnreadableInput, UsageError

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

LONGEST_WORD = 60
"""Letters of a word that an error shows: a series that is typed may have thousands."""

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
    "series": "time series",
    "clips": "films",
}
"""What a kind of input is called."""

RECIPES = {
    "vectors": "head",
    "dna": "dna",
    "sounds": "speech",
    "series": "series",
    "clips": "video",
}
"""The recipe to begin with, of kinds that have one."""

SOUNDS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au", ".caf", ".w64")
"""How the names of sound files end."""

FILMS = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".3gp", ".ogv")
"""How the names of films end."""

KINDS_OF_FILES: dict[str, str | None] = {
    **dict.fromkeys((".csv", ".tsv", ".npy", ".ts"), "series"),
    **dict.fromkeys(SOUNDS, "sounds"),
    **dict.fromkeys(FILMS, "clips"),
    ".txt": None,
}
"""What a folder of such files holds, each file an item; None: that the ending does not say; pictures are the rest."""

FILES_LOOKED_AT = 20
"""Files of a folder by which its kind is told."""


def recipe_for(data: Path, columns: str | None = None) -> str:
    """The built-in recipe to begin with: by the kind of data (`RECIPES`), of texts `names` or `text`, else `generic`.

    Args:
        columns: those that make up a record: records are for the recipe `names`.
    """
    if columns is not None:
        return "names"
    if (held := kind_of_data(data)) in RECIPES:
        return RECIPES[held]
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
    """What DATA holds: "series", "vectors", "dna", "symbols" (texts) or "pictures"; None where nothing says it."""
    from twofold.data import series_files, tables, vectors
    from twofold.data.fasta import FASTA

    if series_files.found_in(data):
        return "series"
    if vectors.found_in(data):
        return "vectors"
    if data.is_dir():
        return _kind_of_folder(data)
    if data.suffix.lower() in FASTA:
        return "dna"
    if not tables.is_table(data):
        return None
    columns = tables.read(data).columns
    for kind, names in KINDS_OF_COLUMNS.items():
        if names & columns.keys():
            return kind
    if texts_of(data):
        return "symbols"
    files = columns.get("path", columns.get("a"))
    return None if files is None else _kind_of_files(map(Path, files[:FILES_LOOKED_AT]))


KINDS_OF_COLUMNS = {
    "vectors": {"vector_a"},
    "dna": {"sequence", "sequence_a"},
    "series": {"series", "series_a"},
}
"""Columns of a table that say what it holds."""


def _kind_of_folder(folder: Path) -> str | None:
    """By its first files, at any depth; tables that lie in the folder itself may be of anything."""
    files = (Path(place, name) for place, _, names in os.walk(folder) for name in sorted(names))
    first = list(
        itertools.islice((f for f in files if not f.name.startswith(".")), FILES_LOOKED_AT)
    )
    kind = _kind_of_files(first)
    return None if kind == "series" and {f.parent for f in first} == {folder} else kind


def _kind_of_files(files: Iterable[Path]) -> str | None:
    """What most of the first files are."""
    endings = [each.suffix.lower() for each in itertools.islice(files, FILES_LOOKED_AT)]
    kinds = Counter(KINDS_OF_FILES.get(ending, "pictures") for ending in endings)
    return kinds.most_common(1)[0][0] if kinds else "pictures"


def refuse_other_kind(data: Path, reader: "Input", what: str) -> None:
    """Raise UsageError where DATA holds another kind of things than the reader reads.

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
    if held is None or held == wanted or (held == "pictures" and wanted not in REFUSES_FILES):
        return
    if held == "vectors" and wanted == "series":  # rows of numbers: a series each, of one channel
        return
    if held == "series" and wanted == "symbols" and data.is_dir():  # files of text end so, too
        return
    raise UsageError(
        f"{data} holds {NOUNS[held]}, and {what} reads {NOUNS.get(wanted, wanted)}: "
        f"{_remedy(data, held, wanted)}"
    )


REFUSES_FILES = ("vectors", "series", "clips")
"""Kinds whose readers take no files but their own."""


def _remedy(data: Path, held: str, wanted: str) -> str:
    """What to do with data of one kind where another is wanted."""
    if held in ("dna", "sounds", "series", "clips"):
        return f"the recipe {RECIPES[held]} reads them (twofold train {RECIPES[held]} {data})"
    if wanted == "dna" and held == "symbols":
        return "name the column with the letters sequence"
    if wanted == "clips":
        return "give a folder of films, or a table with the columns path and label"
    if wanted == "sounds":
        return "give a folder of sounds, or a table with the columns path and label"
    if wanted == "series":
        return (
            "give a .ts file, UCR's .tsv, a table with the column series or with id and time, or a "
            "folder of .csv or .npy files"
        )
    if wanted == "vectors":
        return f"embed them first (twofold embed BUNDLE {data} OUT), and give OUT"
    if held == "vectors":
        return (
            "give what the vectors were made of; vectors are read by the recipe head (twofold "
            "train head), and by the word vectors in place of a bundle"
        )
    return f"the recipe {recipe_for(data)} reads texts (twofold train names, twofold train text)"


def sized(recipe: "Recipe", data: Path) -> "Recipe":
    """The recipe for vectors of the size, or for series of the channels, that DATA has; any other recipe as it is.

    Raises:
        UsageError: the recipe is for vectors, and DATA holds none.
    """
    if recipe.input.name == "Series":
        return _with_channels(recipe, data)
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


def _with_channels(recipe: "Recipe", data: Path) -> "Recipe":
    """The recipe for as many channels as the first series of DATA has; as it is where none can be read."""
    from twofold.data.adaptation import sized as fitted
    from twofold.data.items import Items
    from twofold.data.pairs import Pairs
    from twofold.errors import DataError

    if kind_of_data(data) != "series":
        return recipe
    try:
        values = (
            Pairs.from_table(data).values
            if Pairs.found(data)
            else Items.open(data, levels=0).values
        )
    except DataError:  # which is told where the data itself is read
        return recipe
    return fitted(recipe, values)


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
    if tables.is_table(data) and "vector_a" in tables.read(data).columns:
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
    """What a word of the command line stands for, as the bundle reads it; FILE#ID is a vector or a series of a file."""
    from twofold.data.series_files import named_series
    from twofold.data.vectors import named_row
    from twofold.inputs.optional import argument

    if bundle.twin.input.facts().get("kind") == "series":
        named = named_series(word)
        found = argument(bundle.twin.input, word) if named is None else named
        _see_readable(bundle, word, found)
        return found
    if bundle.twin.input.facts().get("kind") == "vectors":
        row = named_row(word)
        if row is not None:
            return row
    return argument(bundle.twin.input, word)


def _see_readable(bundle: "Bundle", word: str, series: Any) -> None:
    """Say which of several words is a series that the bundle cannot read.

    Raises:
        UnreadableInput: begins with the word.
    """
    try:
        bundle.twin.input.read(series)
    except UnreadableInput as error:
        if word in str(error):
            raise
        shown = word if len(word) <= LONGEST_WORD else f"...{word[-LONGEST_WORD:]}"
        raise UnreadableInput(f"{shown}: {error}") from error


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

    if not tables.is_table(data):
        return ()
    columns = tables.read(data).columns
    return next((columns[name][:LOOKED] for name in ("text", "text_a") if name in columns), ())

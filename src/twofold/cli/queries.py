"""What the words of a command ask for: files, texts, the files of folders, rows of tables, faces of photographs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twofold.cli.kinds import thing
from twofold.cli.options import naming_left_out
from twofold.errors import UnreadableInput

if TYPE_CHECKING:
    from twofold.bundle import Bundle

__all__ = ["all_parts", "queries"]


def queries(given: Sequence[str], bundle: "Bundle") -> dict[str, Any]:
    """Name and thing of each query: a file (or a text), each file of a folder, each row of a table."""
    from twofold.data import series_files
    from twofold.data.fasta import FASTA
    from twofold.data.items import Items
    from twofold.data.tables import SUFFIXES
    from twofold.data.vectors import found_in
    from twofold.inputs.optional import columns

    kind = bundle.twin.input.facts().get("kind")
    found: dict[str, Any] = {}
    for word in given:
        path = Path(word)
        many = path.suffix.lower() in (*SUFFIXES, *FASTA) and path.is_file()
        if kind == "series":  # a table may hold one series, its rows the times
            channels = bundle.twin.input.facts()["channels"]
            many = series_files.holds_many(path, channels=channels)
        if path.is_dir() or many or (kind == "vectors" and found_in(path)):
            with naming_left_out():
                items = Items.open(path, levels=0, columns=columns(bundle.twin.input))
            before = f"{path}/" if len(given) > 1 else ""  # two folders may hold files of one name
            found |= {
                before + name: value for name, value in zip(items.ids, items.values, strict=True)
            }
        else:
            found[word] = thing(bundle, word)
    return found


def all_parts(given: Sequence[str], bundle: "Bundle") -> dict[str, Any]:
    """The things that each query holds, by its name and theirs; one that cannot be read stays, and is said later."""
    from twofold.inputs.optional import parts

    found: dict[str, Any] = {}
    for name, value in queries(given, bundle).items():
        try:
            each = parts(bundle.twin.input, value)
        except UnreadableInput:
            each = {"": value}
        found |= {f"{name} {part}".rstrip(): held for part, held in each.items()}
    return found

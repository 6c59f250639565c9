"""Pruning: removing from an index what came from things that are gone; never many at once without --force."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from twofold.apps.metadata_keys import CONTENT, SOURCE
from twofold.data.items import Items
from twofold.errors import UsageError
from twofold.store.index import Index

__all__ = ["layout_of", "prune", "vanished"]

PRUNED_UNASKED = 0.1
"""Share of the items that may go without `force`: an unmounted folder looks like one whose files are gone."""

IDS_AT_ONCE = 4096
"""Ids asked about at once: bounds the size of one query."""

SHOWN = 3
"""Ids that a message names."""

LOOKED = 256
"""Items that are asked how their folder was listed."""


def vanished(
    index: Index, items: Items, *, root: str | Path, prefix: str = "", force: bool = False
) -> tuple[str, ...]:
    """Ids of items that indexing put into an index and that are no longer among `items`.

    Items without a content hash were added by hand and do not count. If the index knows an item's
    path, the item counts only if the path was inside `root` and is no longer a file.

    Args:
        items: all things that there are, with ids as they were indexed.
        root: the folder that `items` were listed from, or that of their table.
        prefix: only ids that begin so: what `items` have before their own.
        force: allow more than a tenth of the items to be gone.

    Raises:
        UsageError: more than a tenth would go, as if a disk were missing or `items` were of another
            folder.
    """
    own = [name for name in index.ids if name.startswith(prefix)]
    there = set(items.ids)
    missing = [name for name in own if name not in there]
    place = Path(root).absolute()
    gone = tuple(
        name
        for name, metadata in described(index, missing)
        if lost(metadata, place)
        and not (place / name.removeprefix(prefix)).exists()  # listed in another way, it is there
    )
    if len(gone) > PRUNED_UNASKED * len(own) and not force:
        shown = ", ".join(map(repr, gone[:SHOWN])) + (", ..." if gone[SHOWN:] else "")
        raise UsageError(
            f"{len(gone)} of {len(own)} items of {index.path} are not in {root} any more "
            f"({shown}), more than a tenth: is all of it mounted, and has each folder its own "
            "prefix? --force prunes nevertheless; nothing was done"
        )
    return gone


def layout_of(index: Index, *, prefix: str = "") -> int | None:
    """How a folder was listed when it was indexed: 0 files without labels, 1 label/file, 2 group/label/file.

    Read from the items themselves, so that a folder that has grown a sub-folder since is listed as
    it was. None: the index has no items with this prefix, or they tell nothing.
    """
    names = [name for name in index.ids if name.startswith(prefix)][:LOOKED]
    if not names:
        return None
    block = index.get(names)
    votes = [
        _levels(name.removeprefix(prefix), label.removeprefix(prefix))
        for name, label in zip(block.ids, block.labels, strict=True)
    ]
    told = {levels for levels in votes if levels is not None}
    return told.pop() if len(told) == 1 else None


def _levels(name: str, label: str) -> int | None:
    parts = name.split("/")
    if label == name:
        return 0
    return next(
        (levels for levels in (1, 2) if len(parts) > levels and label == "/".join(parts[:levels])),
        None,
    )


def prune(index: Index, names: Sequence[str]) -> int:
    """Remove what `vanished` found, some thousand at a time; how many were still there.

    Their bytes may stay in the files until these are rewritten: to erase a person, `forget`.
    """
    removed = 0
    for start in range(0, len(names), IDS_AT_ONCE):
        there = index.present(names[start : start + IDS_AT_ONCE])
        index.remove(sorted(there))
        removed += len(there)
    return removed


def described(index: Index, names: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Items with their metadata."""
    for start in range(0, len(names), IDS_AT_ONCE):
        block = index.get(names[start : start + IDS_AT_ONCE])
        yield from zip(block.ids, block.metadata or ({},) * len(block.ids), strict=True)


def lost(metadata: Mapping[str, Any], root: Path) -> bool:
    """Whether indexing wrote this, of a thing in a folder that is not where it lay."""
    if CONTENT not in metadata:
        return False
    source = metadata.get(SOURCE)
    return source is None or (Path(source).is_relative_to(root) and not Path(source).exists())

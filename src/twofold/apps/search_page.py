"""The result page of a search: the pictures or texts of queries and hits, where they can be had."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from twofold.apps.metadata_keys import SOURCE, TEXT
from twofold.bundle import Bundle
from twofold.data.items import Items
from twofold.inputs.optional import show
from twofold.report.found_page import Shown, found_page
from twofold.results import Found, Hit
from twofold.store.index import Index

__all__ = ["search_page"]

QUERIES = 50  # on a page of some megabytes
PICTURE_SIDE = 200  # pixels


def search_page(
    bundle: Bundle,
    index: Index,
    found: Sequence[tuple[Any, Found]],
    *,
    pictures: str | Path | None = None,
) -> str:
    """The page of what was found for each query: one HTML file that needs nothing else.

    What a hit looks like is read from where the index says it came from, or is the text that it
    keeps (`keep_source`); or is read from its id below `pictures`.

    Args:
        found: each query (a raw thing), and what was found for it.
        pictures: the folder, or the file of many things, that was indexed.
    """
    held = held_in(pictures)
    look = partial(show, bundle.twin.input, side=PICTURE_SIDE)
    shown = [
        Shown(
            found=each,
            asked=look(query),
            hits=[
                None
                if (there := held.get(hit.id, place_of(hit, pictures))) is None
                else look(there)
                for hit in each.hits
            ],
        )
        for query, each in found[:QUERIES]
    ]
    facts = {
        "index": str(index.path),
        "items": f"{len(index):,}",
        "queries": f"{len(found):,}",
        "model": bundle.fingerprint[:12],
    }
    return found_page(
        shown, title="What is like these", facts=facts, left_out=len(found) - len(shown)
    )


def held_in(data: str | Path | None) -> dict[str, Any]:
    """The things of a file that holds many, by their ids: series or sequences; none of a folder."""
    if data is None or not Path(data).is_file():
        return {}
    items = Items.open(data, levels=0)
    return dict(zip(items.ids, items.values, strict=True))


def place_of(hit: Hit, pictures: str | Path | None) -> Path | str | None:
    """Where a hit's file should be, or the text that was kept of it; None: nobody knows."""
    told = hit.metadata or {}
    if isinstance(text := told.get(TEXT), str):
        return text
    if isinstance(source := told.get(SOURCE), str):
        return Path(source)
    return None if pictures is None else Path(pictures) / hit.id

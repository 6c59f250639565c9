"""The result page of a search: the pictures or texts of queries and hits, where they can be had."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from twofold.apps.indexing import SOURCE, TEXT
from twofold.bundle import Bundle
from twofold.inputs.optional import show
from twofold.report.found_page import Shown, found_page
from twofold.results import Found, Hit
from twofold.store.index import Index

__all__ = ["search_page"]

QUERIES = 50  # on a page of some megabytes
PICTURE_SIDE = 200  # pixels


def search_page(
    bundle: Bundle, index: Index, found: Mapping[Any, Found], *, pictures: str | Path | None = None
) -> str:
    """The page of what was found for each query: one HTML file that needs nothing else.

    What a hit looks like is read from where the index says it came from, or is the text that it
    keeps (`keep_source`); or is read from its id below `pictures`.

    Args:
        found: query (a raw thing) -> what was found for it.
        pictures: the folder that was indexed.
    """
    look = partial(show, bundle.twin.input, side=PICTURE_SIDE)
    shown = [
        Shown(
            found=each,
            asked=look(query),
            hits=[
                None if (there := place_of(hit, pictures)) is None else look(there)
                for hit in each.hits
            ],
        )
        for query, each in list(found.items())[:QUERIES]
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


def place_of(hit: Hit, pictures: str | Path | None) -> Path | str | None:
    """Where a hit's file should be, or the text that was kept of it; None: nobody knows."""
    told = hit.metadata or {}
    if isinstance(text := told.get(TEXT), str):
        return text
    if isinstance(source := told.get(SOURCE), str):
        return Path(source)
    return None if pictures is None else Path(pictures) / hit.id

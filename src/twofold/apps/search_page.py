"""The result page of a search: the pictures of queries and hits, where they can be had."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from twofold.apps.indexing import SOURCE
from twofold.bundle import Bundle
from twofold.errors import UnreadableInput
from twofold.inputs.image_decoding import decode
from twofold.report.found_page import Shown, found_page
from twofold.results import Found, Hit
from twofold.store.index import Index

__all__ = ["search_page"]

QUERIES = 50  # on a page of some megabytes
SIDE = 200  # pixels


def search_page(bundle: Bundle, index: Index, found: Mapping[Any, Found], *, pictures: str | Path | None = None) -> str:
    """The page of what was found for each query: one HTML file that needs nothing else.

    A hit's picture is read from where the index says it came from (`keep_source`), or from its id below `pictures`.

    Args:
        found: query (a raw thing) -> what was found for it.
        pictures: the folder that was indexed.
    """
    drawn = bundle.twin.input.name == "Image"
    shown = [
        Shown(
            found=each,
            picture=thumbnail(query) if drawn else None,
            pictures=[thumbnail(place_of(hit, pictures)) if drawn else None for hit in each.hits],
        )
        for query, each in list(found.items())[:QUERIES]
    ]
    facts = {
        "index": str(index.path),
        "items": f"{len(index):,}",
        "queries": f"{len(found):,}",
        "model": bundle.fingerprint[:12],
    }
    return found_page(shown, title="What is like these", facts=facts, left_out=len(found) - len(shown))


def place_of(hit: Hit, pictures: str | Path | None) -> Path | None:
    """Where a hit's file should be, if anybody knows."""
    source = (hit.metadata or {}).get(SOURCE)
    if isinstance(source, str):
        return Path(source)
    return None if pictures is None else Path(pictures) / hit.id


def thumbnail(value: Any) -> UInt8[np.ndarray, "..."] | None:
    """A small upright picture in its own shape; None where there is none (any more)."""
    if value is None:
        return None
    try:
        picture = decode(value, side=SIDE, background=255)
    except UnreadableInput:
        return None
    picture.thumbnail((SIDE, SIDE))
    return np.asarray(picture)

"""What an index keeps of rows that are compared by their maps, and rows again of what it keeps (law 7).

An index keeps embeddings. A comparison on maps scores the nearest ones by their maps, which are read
again from the sources of items, or were kept as metadata on request.
"""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from twofold.apps.metadata_keys import CONTENT, MAP, SOURCE
from twofold.bundle import Bundle
from twofold.data.hashes import content_hash
from twofold.embedding import embed_values
from twofold.errors import StoreError, UnreadableInput, UsageError
from twofold.map_matching import OnMaps
from twofold.results import Embeddings
from twofold.store.index import Index

__all__ = [
    "check_keeping",
    "indexed_vectors",
    "map_bytes",
    "map_text",
    "on_maps",
    "rows_of",
    "shortlist_size",
    "without_map",
]

KEPT_AS = "<f2"
"""Numbers of a kept map: float16, of vectors of length 1."""

SHORTLIST = 4000
"""Nearest items that a learned comparison scores; all, if there are fewer.

Among 32,460 embeddings 1,000 held all of the 10 best by two trained heads, and .997 of those by weights drawn over
orders of magnitude; where .99 of them stand grew with the root of the number of items (docs/search.md).
"""

SHORTLIST_BY_MAPS = 100
"""Nearest items that a comparison on maps scores: each is a file to read, or a map to unpack."""


def shortlist_size(bundle: Bundle) -> int:
    """How many of the nearest items the bundle's learned comparison scores."""
    return SHORTLIST_BY_MAPS if on_maps(bundle) else SHORTLIST


def on_maps(bundle: Bundle) -> bool:
    """Whether the bundle compares maps."""
    return isinstance(bundle.twin.comparison, OnMaps)


def map_bytes(bundle: Bundle) -> int:
    """Bytes of a kept map, before it is written as text."""
    return 2 * (bundle.twin.dim - bundle.twin.embedding_dim)


def check_keeping(bundle: Bundle, index: Index) -> None:
    """Refuse to keep maps where there are none, or where they would not be encrypted.

    Raises:
        UsageError: the bundle compares embeddings alone, or the index is protected.
    """
    if not on_maps(bundle):
        raise UsageError(
            f"--keep-maps: the bundle compares embeddings by {bundle.contract.distance}, which has "
            "no maps: leave it out"
        )
    if index.protected:
        raise UsageError(
            f"--keep-maps: {index.path} is protected, which encrypts vectors but no metadata, and "
            "maps would be metadata: take --keep-source, or an index that is not protected"
        )


def indexed_vectors(bundle: Bundle, rows: Float[np.ndarray, "n row"]) -> Float[np.ndarray, "n dim"]:
    """The embeddings in rows as an index keeps them: of length 1 where the angle is what counts."""
    vectors = rows[:, : bundle.twin.embedding_dim]
    if bundle.contract.distance == "cosine" or on_maps(bundle):
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def map_text(bundle: Bundle, row: Float[np.ndarray, "row"]) -> str:
    """The map of a row as metadata keep it: float16 in base64."""
    return base64.b64encode(row[bundle.twin.embedding_dim :].astype(KEPT_AS).tobytes()).decode()


def without_map(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """The metadata of an item for people: without its map."""
    return {key: value for key, value in metadata.items() if key != MAP}


def rows_of(bundle: Bundle, index: Index, items: Embeddings) -> Float[np.ndarray, "n row"]:
    """What the bundle compares, of items of an index: their vectors, and maps where it compares those.

    Maps that the index keeps are unpacked. The others are made again from the files that the items
    came from.

    Raises:
        StoreError: an item has neither a map nor a source, or its source is gone or has changed.
    """
    vectors = items.vectors.copy()  # an index's own are not to be written to, which torch warns of
    if not on_maps(bundle):
        return vectors
    metadata = items.metadata or ({},) * len(items.ids)
    rows = np.zeros((len(items.ids), bundle.twin.dim), np.float32)
    rows[:, : vectors.shape[1]] = vectors
    again: dict[int, Path] = {}
    for place, (name, known) in enumerate(zip(items.ids, metadata, strict=True)):
        if isinstance(text := known.get(MAP), str):
            rows[place, vectors.shape[1] :] = np.frombuffer(base64.b64decode(text), KEPT_AS)
        else:
            again[place] = source_of(bundle, index, name, known)
    if again:
        rows[list(again)] = made_again(index, list(again.values()), bundle)
    return rows


def source_of(bundle: Bundle, index: Index, name: str, known: Mapping[str, Any]) -> Path:
    """The file that an item came from, unchanged."""
    by = bundle.contract.distance
    if SOURCE not in known:
        raise StoreError(
            f"{index.path} keeps neither a map nor a source of {name!r}, and {by} compares maps: "
            "index or enrol again with --keep-source (files are read again) or --keep-maps"
        )
    source = Path(str(known[SOURCE]))
    if not source.is_file():
        raise StoreError(
            f"{source} is gone, and {by} compares by its map: restore it, remove the item "
            "(twofold index --prune), or keep maps (--keep-maps)"
        )
    if CONTENT in known and content_hash(source) != known[CONTENT]:
        raise StoreError(f"{source} has changed since it was indexed: index it again")
    return source


def made_again(index: Index, sources: Sequence[Path], bundle: Bundle) -> Float[np.ndarray, "n row"]:
    """Rows of files."""
    try:
        return embed_values(bundle, sources)
    except UnreadableInput as error:
        raise StoreError(f"a source of {index.path} cannot be read: {error}") from error

"""Indexing things into an index, or into parts of Parquet; what is there unchanged is not embedded again."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from twofold.apps.feature_maps import check_keeping, indexed_vectors, map_bytes, map_text
from twofold.apps.metadata_keys import CONTENT, GROUP, MAP, SOURCE, TEXT
from twofold.bundle import Bundle
from twofold.data.hashes import content_hash
from twofold.data.items import Items
from twofold.embedding import embed_read, read_named
from twofold.errors import UnreadableInput, UsageError
from twofold.printable import utf8_name
from twofold.results import Embeddings, Indexed, Sharded
from twofold.store.index import Index
from twofold.store.shards import Shards, check_parquet, digest

__all__ = ["embed_shards", "index_items", "index_shards"]

IN_A_TRANSACTION = 128  # things per transaction: what a kill may cost, and a step of the bar
PART_ROWS = 4096  # of a part
READERS = 2
"""Threads that decode: decoders release the interpreter, and embedding needs the other cores."""


Watch = Callable[[str, int, int], None]


def index_items(
    bundle: Bundle,
    index: Index,
    items: Items,
    *,
    keep_source: bool = False,
    keep_maps: bool = False,
    watch: Watch | None = None,
) -> Indexed:
    """Embed things and keep their vectors; those whose bytes the index knows are not embedded again.

    After an interruption call it again: it goes on where it stopped. A thing that cannot be read is
    left out and named.

    Args:
        keep_source: keep the path of each thing as the metadata "source" (law 7: only if the user
            asks for it), instead of a table's column "source"; of a text the text itself, as
            "text".
        keep_maps: keep the map of each thing, by which a comparison on maps compares it without
            reading it again: raw data (law 7), in float16 as the metadata "map".
        watch: called with ("indexing", done, total).

    Raises:
        FingerprintMismatch: the index holds vectors of another model.
        StoreError: the disk does not take it, or another process writes; what was indexed before
            stays.
        UnreadableInput: not one of the things can be read.
        UsageError: maps are to be kept, and the bundle has none, or the index is protected.
    """
    index.refuse_other(bundle.fingerprint)
    if keep_maps:
        check_keeping(bundle, index)
    unreadable: dict[str, str] = {}
    embedded = known = replaced = changed = 0
    tell(watch, "indexing", 0, len(items))
    for places in spans(len(items), IN_A_TRANSACTION):
        part = described(
            items.take(places),
            key=bundle.fingerprint,
            keep_source=keep_source,
            unreadable=unreadable,
        )
        same, fresh, others = known_to(index, part, keep_maps=keep_maps)
        made = embedded_of(bundle, part.take(fresh), unreadable=unreadable, keep_maps=keep_maps)
        replaced += len(others.intersection(made.ids))
        embedded, known = embedded + len(made.ids), known + len(same.ids)
        changed += sum(index.add(each) for each in (same, made) if each.ids)
        tell(watch, "indexing", places[-1] + 1, len(items))
    if len(unreadable) == len(items):
        raise UnreadableInput(
            f"none of {len(items)} things can be read; the first: {next(iter(unreadable.values()))}"
        )
    return Indexed(
        things=len(items),
        embedded=embedded,
        known=known,
        replaced=replaced,
        changed=changed,
        unreadable=unreadable,
        items=len(index),
        labels=len(index.labels),
        map_bytes=map_bytes(bundle) if keep_maps else 0,
    )


def index_shards(index: Index, folder: str | Path, *, watch: Watch | None = None) -> Indexed:
    """Put into an index what `embed_shards` has written.

    Raises:
        FingerprintMismatch: the index holds vectors of another model.
        StoreError: parts are missing. DamagedIndex: a part is not what was written; the parts
            before it are in.
    """
    shards = Shards.open(folder)
    index.refuse_other(shards.contract.fingerprint)
    things = changed = 0
    for part, embeddings in enumerate(shards):
        changed += index.add(embeddings)
        things += len(embeddings.ids)
        tell(watch, "indexing", part + 1, len(shards.parts))
    return Indexed(
        things=things, embedded=0, changed=changed, items=len(index), labels=len(index.labels)
    )


def embed_shards(
    bundle: Bundle,
    items: Items,
    folder: str | Path,
    *,
    shard: tuple[int, int] = (0, 1),
    keep_source: bool = False,
    watch: Watch | None = None,
) -> Sharded:
    """Write the vectors of things as parts of Parquet: of all things, or of every so many-th part.

    The parts are the same however many machines work on them; one of the same things and the same
    model is left alone. No part is ever seen half-written.

    Args:
        shard: (i, n): the parts whose number leaves i when divided by n, i from 0 on.
        watch: called with ("embedding", done, total), in things of this shard.

    Raises:
        UsageError: no such shard. StoreError: the folder holds something else. MissingExtra:
            pyarrow is not installed.
    """
    number, count = shard
    if not 0 <= number < count:
        raise UsageError(
            f"there is no shard {number} of {count}: they are numbered from 0 to {count - 1}"
        )
    check_parquet()
    shards = Shards(folder=Path(folder), contract=bundle.contract, items=len(items), rows=PART_ROWS)
    shards.save()
    mine = [part for part in shards.parts if part % count == number]
    total, done, unreadable = sum(len(shards.span(part)) for part in mine), 0, {}
    embedded = written = 0
    tell(watch, "embedding", 0, total)
    for part in mine:
        things = described(
            items.take(shards.span(part)),
            key=bundle.fingerprint,
            keep_source=keep_source,
            unreadable=unreadable,
        )
        made_of = digest(bundle.fingerprint, things.ids, labels_of(things), things.metadata or ())
        if not shards.has(part, made_of):
            pieces = []
            for places in spans(len(things), IN_A_TRANSACTION):
                pieces.append(embedded_of(bundle, things.take(places), unreadable=unreadable))
                tell(watch, "embedding", done + places[-1] + 1, total)
            shards.write(part, joined(bundle, pieces), made_of)
            embedded, written = embedded + sum(len(piece.ids) for piece in pieces), written + 1
        done += len(shards.span(part))
        tell(watch, "embedding", done, total)
    return Sharded(
        things=total,
        embedded=embedded,
        parts=len(mine),
        written=written,
        missing=len(shards.missing()),
        unreadable=unreadable,
    )


def spans(items: int, rows: int) -> Iterator[range]:
    """Positions, so many at a time."""
    for start in range(0, items, rows):
        yield range(start, min(start + rows, items))


def described(items: Items, *, key: str, keep_source: bool, unreadable: dict[str, str]) -> Items:
    """The items with the metadata that an index keeps; those whose bytes cannot be had are named and left out.

    Args:
        key: of the hashes of short texts.
    """
    kept, metadata = [], []
    for place, (name, value) in enumerate(zip(items.ids, items.values, strict=True)):
        try:
            found: dict[str, Any] = {CONTENT: content_hash(value, key=key)}
        except UnreadableInput as error:
            unreadable[name] = str(error)
            continue
        if items.group is not None:
            found[GROUP] = items.groups[items.group[place]]
        if items.source is not None:
            found[SOURCE] = items.sources[items.source[place]]
        if keep_source and isinstance(value, Path):
            found[SOURCE] = utf8_name(str(value.absolute()))
        if keep_source and isinstance(value, str):
            found[TEXT] = value
        kept.append(place)
        metadata.append({**(items.metadata[place] if items.metadata else {}), **found})
    return replace(items.take(kept), metadata=tuple(metadata))


def known_to(
    index: Index, items: Items, *, keep_maps: bool = False
) -> tuple[Embeddings, list[int], set[str]]:
    """Items whose vectors the index has, with current metadata; positions of the others; ids that other things have.

    Args:
        keep_maps: the index must have their maps, too, which are then current.
    """
    there = index.present(items.ids)
    present = [place for place, name in enumerate(items.ids) if name in there]
    old = index.get([items.ids[place] for place in present])
    metadata = items.metadata or ({},) * len(items)
    told = old.metadata or ({},) * len(present)
    alike = [
        row
        for row, place in enumerate(present)
        if CONTENT in told[row] and told[row][CONTENT] == metadata[place].get(CONTENT)
    ]
    rows = [row for row in alike if not keep_maps or MAP in told[row]]
    places = [present[row] for row in rows]
    maps = [{MAP: told[row][MAP]} if keep_maps else {} for row in rows]
    same = Embeddings(
        ids=tuple(items.ids[place] for place in places),
        labels=tuple(items.names[items.labels[place]] for place in places),
        vectors=old.vectors[rows],
        fingerprint=old.fingerprint,
        metadata=tuple(
            {**metadata[place], **each} for place, each in zip(places, maps, strict=True)
        ),
    )
    fresh = sorted(set(range(len(items))) - set(places))
    others = set(present) - {present[row] for row in alike}
    return same, fresh, {items.ids[place] for place in others}


def embedded_of(
    bundle: Bundle, items: Items, *, unreadable: dict[str, str], keep_maps: bool = False
) -> Embeddings:
    """The vectors of items; those that cannot be decoded, or give a vector of zeros, are named and left out."""
    arrays = read_or_why(bundle, items.values)
    for name, array in zip(items.ids, arrays, strict=True):
        if isinstance(array, str):
            unreadable[name] = array
    kept = [place for place, array in enumerate(arrays) if not isinstance(array, str)]
    found = embed_read(bundle, [array for array in arrays if not isinstance(array, str)])
    lengths = np.linalg.norm(found[:, : bundle.twin.embedding_dim], axis=1)
    for row in np.flatnonzero(lengths == 0):
        unreadable[items.ids[kept[row]]] = (
            "the encoder gives it a vector of zeros, which cannot be compared"
        )
    found = found[lengths > 0]
    part = items.take([kept[row] for row in np.flatnonzero(lengths > 0)])
    metadata = part.metadata
    if keep_maps:
        told = metadata or ({},) * len(part)
        metadata = tuple(
            {**each, MAP: map_text(bundle, row)} for each, row in zip(told, found, strict=True)
        )
    return Embeddings(
        ids=part.ids,
        labels=labels_of(part),
        vectors=indexed_vectors(bundle, found),
        fingerprint=bundle.fingerprint,
        metadata=metadata,
    )


def read_or_why(bundle: Bundle, values: Sequence[Any]) -> list[np.ndarray | str]:
    """What the bundle's input makes of each thing, or why it cannot be read."""

    def read(value: Any) -> np.ndarray | str:
        try:
            return read_named(bundle.twin.input, value)
        except UnreadableInput as error:
            return str(error)

    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(read, values))


def joined(bundle: Bundle, pieces: Sequence[Embeddings]) -> Embeddings:
    """Several embeddings as one."""
    return Embeddings(
        ids=tuple(name for piece in pieces for name in piece.ids),
        labels=tuple(label for piece in pieces for label in piece.labels),
        vectors=np.concatenate(
            [piece.vectors for piece in pieces] or [np.zeros((0, bundle.contract.dim), np.float32)]
        ),
        fingerprint=bundle.fingerprint,
        metadata=tuple(each for piece in pieces for each in piece.metadata or ()),
    )


def labels_of(items: Items) -> tuple[str, ...]:
    """The name of each item's class."""
    return tuple(items.names[code] for code in items.labels)


def tell(watch: Watch | None, what: str, done: int, total: int) -> None:
    """Progress, if somebody watches."""
    if watch:
        watch(what, done, total)

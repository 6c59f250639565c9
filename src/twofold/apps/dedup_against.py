"""Items of an index that resemble ours: they stay, and ours are their copies."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from twofold.apps.metadata_keys import CONTENT, SOURCE
from twofold.bundle import Bundle
from twofold.copies.reading import Collection, Seen, collect
from twofold.copies.rule import DEFAULT
from twofold.data.items import Items
from twofold.embedding import embed_read
from twofold.store.index import Index

__all__ = ["Indexed", "beside"]

ASKED = 256
"""Things whose neighbours are asked for at once."""

HITS = 5
"""Neighbours of a thing that are compared even if none reaches the threshold."""

Watch = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Indexed:
    """Items of an index that resemble ours; in the joint collection they come after ours.

    Attributes:
        known: names, and what could be read of their files. scores: (place of ours, number here) ->
            of the vectors.
        unread: numbers of those with nothing but a vector.
    """

    known: Collection
    scores: Mapping[tuple[int, int], float]
    unread: frozenset[int] = frozenset()


def beside(
    known: Collection,
    index: Index | None,
    bundle: Bundle | None,
    limit: float | None,
    *,
    watch: Watch | None,
) -> Indexed:
    """The index's items nearest to each of ours, and all that reach the threshold."""
    if index is None or bundle is None or known.vectors is None:
        return Indexed(known=Collection(ids=(), values=(), seen=()), scores={})
    near = list(_hits(known, index, DEFAULT if limit is None else limit, watch))
    names = list(dict.fromkeys(name for _, name, _ in near))
    told: dict[str, Mapping[str, Any]] = {}
    if names:
        block = index.get(names)
        told = dict(zip(block.ids, block.metadata or ({},) * len(names), strict=True))
    files = {
        name: Path(str(told[name][SOURCE]))
        for name in names
        if Path(str(told[name].get(SOURCE, ""))).is_file()
    }
    there: dict[str, Seen] = {}
    if files:
        listed = Items.from_arrays(list(files.values()), list(files), ids=list(files))
        read, _ = collect(listed, bundle.twin.input, embed=embed_read)
        there = dict(zip(read.ids, read.seen, strict=True))
    blank = Seen(content="", pixels=0, size=0, time=0.0, stamp=0)
    seen = [
        there.get(name) or replace(blank, content=told[name].get(CONTENT, f"index: {name}"))
        for name in names
    ]
    number = {name: place for place, name in enumerate(names)}
    scores = {
        (place, number[name]): score
        for place, name, score in near
        if not _itself(known.values[place], known.ids[place], name, files.get(name))
    }
    return Indexed(
        known=Collection(
            ids=tuple(names), values=tuple(files.get(name) for name in names), seen=tuple(seen)
        ),
        scores=scores,
        unread=frozenset(
            number[name] for name in names if name not in there and CONTENT not in told[name]
        ),
    )


def _hits(
    known: Collection, index: Index, limit: float, watch: Watch | None
) -> Iterator[tuple[int, str, float]]:
    for start in range(0, len(known), ASKED):
        block = np.asarray(known.vectors[start : start + ASKED], np.float32)  # pyright: ignore[reportOptionalSubscript]
        nearest_ones = index.search(block, min(HITS, max(len(index), 1)))
        for place, hits in enumerate(
            zip(index.search_range(block, limit), nearest_ones, strict=True), start=start
        ):
            best = {hit.id: hit.score for part in hits for hit in part}
            yield from ((place, name, score) for name, score in best.items())
        if watch:
            watch("searching the index", min(start + ASKED, len(known)), len(known))


def _itself(value: Any, name: str, other: str, source: Path | None) -> bool:
    """Whether an indexed item is this very thing: the same file; or the same name, if no file is known."""
    if source is None:
        return name == other
    return isinstance(value, Path) and value.exists() and value.samefile(source)

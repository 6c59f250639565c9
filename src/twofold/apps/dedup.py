"""Near-duplicates: groups of things that are nearly the same, of one collection, a grown one, or against an index."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from twofold.bundle import Bundle
from twofold.copies.cache import CopyPairs, Remembered, remember, remembered
from twofold.copies.candidates import COPY, candidates, copy_scores
from twofold.copies.cells import Space
from twofold.copies.clusters import Alike, star_groups
from twofold.copies.near_pairs import NearPairs, near_pairs
from twofold.copies.reading import Collection, collect
from twofold.data.items import Items
from twofold.embedding import embed_read
from twofold.errors import UsageError, nearest
from twofold.inputs import Input
from twofold.inputs.image import Image
from twofold.results import Embeddings, Group, Groups
from twofold.store.index import Index

__all__ = ["DEFAULT", "KEEP", "Keep", "dedup", "dedup_vectors"]

DEFAULT = 0.95
"""Cosine from which on vectors count as the same where no calibration says better."""

LOOKED = 128
"""Pixels a side that pictures are read in where there is no bundle: two of each that is compared."""

ASKED = 256

Watch = Callable[[str, int, int], None]
Keep = str | Callable[[Collection, int], Any]

KEEP: dict[str, Callable[[Collection, int], Any]] = {
    "largest": lambda known, place: (-int(known.pixels[place]), -int(known.size[place])),
    "oldest": lambda known, place: float(known.time[place]),
    "first": lambda known, place: 0,
}
"""Which of a group is kept: the most pixels, then the most bytes; the earliest change; the first. Smallest key wins."""


def dedup(
    items: Items,
    reader: Input | Bundle | None = None,
    *,
    keep: Keep = "largest",
    threshold: float | None = None,
    against: Index | None = None,
    memory: str | Path | None = None,
    watch: Watch | None = None,
) -> Groups:
    """Find groups of near-duplicates among things; each is read once, and no file is touched.

    Pictures are copies of each other where one fits into the other, turned, cut or written on (`copies.candidates`).
    A calibrated bundle adds pairs whose score reaches its threshold, and so does `threshold` for any bundle. Of all
    else (texts, series, ...) those are copies, and things of equal content. Every member is near the kept one.

    Args:
        reader: a bundle; or an input type; None: pictures, by their pixels alone.
        keep: "largest", "oldest", "first", or a function (collection, position) -> sort key, the smallest kept.
        threshold: score of the bundle's vectors from which on two things are the same.
        against: what is in this index stays: things near it are its copies, in groups of their own.
        memory: a folder where what was read is kept: the next call with it reads, embeds and compares new ids only.
        watch: called with (what is done, done, total).

    Raises:
        UsageError: an unknown `keep`, or a threshold without a bundle. FingerprintMismatch: another model's index or
        memory. BundleError: `memory` is something else.
    """
    reader = Image(size=LOOKED) if reader is None else reader
    bundle = reader if isinstance(reader, Bundle) else None
    limit = _limit(bundle, threshold, against)
    order = _order_by(keep)
    state = remembered(memory, reader, limit)
    new = _without(items, {*state.known.ids, *state.known.unreadable} if state else set())
    known = collect(new, reader, embed=embed_read, progress=_told(watch, "reading"))
    since = len(state.known) if state else 0
    known = state.known.joined(known) if state else known
    found = _pairs(known, bundle, limit, since=since, state=state, watch=watch)
    if memory is not None:
        remember(memory, reader, known, limit=limit, found=found)
    near = _near_the_index(known, against, limit, watch=watch)
    return Groups(
        groups=_groups(known, found, order, near, alike=partial(_alike, known=known, bundle=bundle, limit=limit)),
        items=len(known) + len(known.unreadable),
        new=len(new),
        rule=_rule_in_words(bundle, limit, asked=threshold is not None),
        threshold=COPY if limit is None else limit,
        unreadable=known.unreadable,
        notes=found.notes,
    )


def dedup_vectors(
    vectors: Embeddings | np.ndarray,
    *,
    threshold: float = DEFAULT,
    distance: str = "cosine",
    progress: Callable[[int, int], None] | None = None,
) -> Groups:
    """Groups of vectors that exist already; the first of each group is kept.

    Args:
        vectors: embeddings, or an array (n, dim), float32 or float16, a memory map as well; then row numbers are ids.
        threshold: score from which on two are the same: a cosine, or minus a distance.
        distance: cosine, euclidean or squared_euclidean.
    """
    rows = vectors.vectors if isinstance(vectors, Embeddings) else vectors
    if rows.ndim != 2:
        raise UsageError(f"vectors of shape {rows.shape}: (n, dim) is needed")
    found = near_pairs(rows, threshold, distance=distance, progress=progress)
    pairs = np.stack([found.first, found.second], axis=1)
    near = partial(_near_by_vector, Space.of(rows, threshold, distance))
    stars = star_groups(pairs, found.scores, rank=np.arange(len(rows)), same=found.same, alike=near)
    ids: Sequence[str] | range = vectors.ids if isinstance(vectors, Embeddings) else range(len(rows))
    groups = tuple(
        Group(kept=str(ids[star.kept]), copies=tuple(str(ids[i]) for i in star.others), scores=star.scores)
        for star in stars
    )
    rule = f"{distance} score of the vectors at least {threshold:g}, as you asked"
    told = {"items": len(rows), "new": len(rows), "rule": rule, "threshold": threshold}
    return Groups(groups=groups, notes=_bounded(found), recall=found.recall, **told)


def _near_by_vector(space: Space, kept: int, others: Int[np.ndarray, "m"]) -> Float[np.ndarray, "m"]:
    scores = space.scores(np.full(len(others), kept), others)
    return np.where(scores >= space.score, scores, -np.inf)


def _pairs(
    known: Collection, bundle: Bundle | None, limit: float | None, *, since: int, state: Remembered | None, watch: Any
) -> CopyPairs:
    """All pairs of distinct contents that count: those that are remembered, and those with a new thing."""
    old = state.found if state else None
    parts = [(old.pairs, old.scores)] if old else []
    notes: tuple[str, ...] = ()
    looked, cells = None, None
    same = np.arange(len(known))
    if len(known) and known.pictures.all():
        seen = old.looked if old else None
        told = _told(watch, "looking for candidates")
        looked = candidates(known.planes, known.vectors, since=since, known=seen, progress=told)
        scores = copy_scores(known.planes, _judging(known, bundle), looked.pairs, progress=_told(watch, "comparing"))
        parts.append((looked.pairs[scores >= COPY], scores[scores >= COPY]))
        same = looked.same
    if bundle and limit is not None and known.vectors is not None:
        near = near_pairs(
            known.vectors,
            limit,
            distance=bundle.contract.distance,
            known=old.cells if old else None,
            progress=_told(watch, "searching"),
            check=False,
        )
        parts.append((np.stack([near.first, near.second], axis=1).astype(np.int64), near.scores))
        same = np.where(same == np.arange(len(known)), same[near.same], same)
        cells, notes = near.cells, _bounded(near)
    pairs, scores = _once(parts)
    return CopyPairs(pairs=pairs, scores=scores, same=same[same], looked=looked, cells=cells, notes=notes)


def _judging(known: Collection, bundle: Bundle | None) -> np.ndarray | None:
    """The vectors that the rule for pixels may look at: it knows what cosines of the ImageNet network mean."""
    return known.vectors if bundle and _out_of_the_box(bundle) else None


def _alike(
    kept: int, others: Int[np.ndarray, "m"], *, known: Collection, bundle: Bundle | None, limit: float | None
) -> Float[np.ndarray, "m"]:
    """Scores of things with one that is kept, by the better of the rules; minus infinity where neither holds."""
    scores = np.full(len(others), -np.inf)
    equal = np.array([known.contents[place] == known.contents[kept] for place in others.tolist()])
    scores[equal] = 1.0
    asked = others[~equal]
    found = np.full(len(asked), -np.inf)
    if len(asked) and known.pictures.all():
        pairs = np.stack([np.full(len(asked), kept), asked], axis=1)
        sure = copy_scores(known.planes, _judging(known, bundle), pairs)
        found[sure >= COPY] = sure[sure >= COPY]
    if len(asked) and bundle and limit is not None and known.vectors is not None:
        space = Space.of(known.vectors[[kept, *asked.tolist()]], limit, bundle.contract.distance)
        found = np.maximum(found, _near_by_vector(space, 0, np.arange(1, len(asked) + 1)))
    scores[~equal] = found
    return scores


def _out_of_the_box(bundle: Bundle) -> bool:
    """Whether the rule for pixels knows what cosines of this bundle mean; another's bring candidates only."""
    return bundle.training.get("weights") == "imagenet" and not bundle.provenance.parts


def _once(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Each pair once, with the best of its scores."""
    pairs = np.concatenate([np.zeros((0, 2), np.int64), *(part[0] for part in parts)])
    scores = np.concatenate([np.zeros(0, np.float32), *(part[1] for part in parts)]).astype(np.float32)
    order = np.lexsort((-scores, pairs[:, 1], pairs[:, 0]))
    pairs, scores = pairs[order], scores[order]
    first = np.ones(len(pairs), bool)
    first[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    return pairs[first], scores[first]


def _near_the_index(
    known: Collection, against: Index | None, limit: float | None, *, watch: Watch | None
) -> dict[int, tuple[str, float]]:
    """Position -> id and score of the nearest item of the index, of those things that are near one."""
    near: dict[int, tuple[str, float]] = {}
    if against is None or limit is None or known.vectors is None:
        return near
    for start in range(0, len(known), ASKED):
        block = np.asarray(known.vectors[start : start + ASKED], np.float32)
        for place, hits in enumerate(against.search_range(block, limit), start=start):
            others = [hit for hit in hits if hit.id != known.ids[place]]  # a thing that is indexed itself is no copy
            if others:
                near[place] = (others[0].id, others[0].score)
        if watch:
            watch("searching the index", min(start + ASKED, len(known)), len(known))
    return near


def _groups(
    known: Collection,
    found: CopyPairs,
    order: Callable[[Collection, int], Any],
    near: dict[int, tuple[str, float]],
    *,
    alike: Alike,
) -> tuple[Group, ...]:
    """Groups about what the index holds, then those among the rest."""
    preferred = sorted(range(len(known)), key=lambda place: (order(known, place), place))
    rank = np.empty(len(known), np.int64)
    rank[preferred] = np.arange(len(known))
    free = np.ones(len(known), bool)
    free[list(near)] = False
    stands, same = _crowds(found.same, known.contents, free)
    pairs = stands[found.pairs]
    inside = (pairs >= 0).all(axis=1)
    stars = star_groups(pairs[inside], found.scores[inside], rank=rank, same=same, alike=alike)
    beside: dict[str, list[tuple[float, str]]] = {}
    for place, (name, score) in near.items():
        beside.setdefault(name, []).append((-score, known.ids[place]))
    old = [
        Group(kept=name, copies=tuple(i for _, i in each), scores=tuple(-s for s, _ in each), known=True)
        for name, each in ((name, sorted(each)) for name, each in sorted(beside.items()))
    ]
    own = [
        Group(kept=known.ids[star.kept], copies=tuple(known.ids[i] for i in star.others), scores=star.scores)
        for star in stars
    ]
    return (*old, *own)


def _crowds(
    same: Int[np.ndarray, "n"], contents: Sequence[str], free: np.ndarray
) -> tuple[Int[np.ndarray, "n"], Int[np.ndarray, "n"]]:
    """Who of the free ones stands for each thing, -1 if nobody; and the same where the others stand for themselves.

    Of one crowd are those that `same` says, and those of equal content.
    """
    by_content: dict[str, int] = {}
    crowd = np.array([same[by_content.setdefault(each, place)] for place, each in enumerate(contents)], np.int64)
    stands = np.full(len(same), -1)
    places = np.flatnonzero(free)[::-1]
    stands[crowd[places]] = places  # the first of each crowd is written last
    stands = stands[crowd] if len(crowd) else stands
    return stands, np.where(free, stands, np.arange(len(same)))


def _limit(bundle: Bundle | None, threshold: float | None, against: Index | None) -> float | None:
    """The score of vectors from which on things are the same; None: pixels and contents decide alone."""
    if bundle is None:
        if threshold is not None or against is not None:
            raise UsageError("a threshold and an index are about vectors: give a bundle as well")
        return None
    if against is not None:
        against.refuse_other(bundle.fingerprint)
    if threshold is not None:
        return threshold
    if bundle.calibration is not None:
        return bundle.calibration.threshold
    return DEFAULT if against is not None else None


def _rule_in_words(bundle: Bundle | None, limit: float | None, *, asked: bool) -> str:
    pixels = "pictures that fit into each other, turned, cut or written on"
    if bundle is None or limit is None:
        return pixels
    calibration = bundle.calibration
    if asked:
        why = "as you asked"
    elif calibration is None:
        why = "a default, nothing certifies it"
    else:
        why = f"the bundle's threshold for a false-accept rate of {calibration.far:g}, {calibration.standing}"
    return f"{pixels}; and scores of at least {limit:.4f} ({why})"


def _order_by(keep: Keep) -> Callable[[Collection, int], Any]:
    if callable(keep):
        return keep
    if keep not in KEEP:
        raise UsageError(f"keep = {keep!r} is no rule: {nearest(keep, KEEP)}")
    return KEEP[keep]


def _without(items: Items, ids: set[str]) -> Items:
    return items.take(np.array([place for place, name in enumerate(items.ids) if name not in ids], np.int64))


def _told(watch: Watch | None, what: str) -> Callable[[int, int], None] | None:
    return None if watch is None else lambda done, total: watch(what, done, total)


def _bounded(found: NearPairs) -> tuple[str, ...]:
    if not found.capped:
        return ()
    return (
        f"{found.capped} things have more than {found.most} near ones before them; of those the first {found.most} "
        "were compared, so a very large group may be found as several",
    )

"""Near-duplicates in a collection, also one that has grown, or compared with an index."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from twofold.apps.dedup_against import Indexed, beside
from twofold.apps.dedup_learned import learned_pairs
from twofold.bundle import Bundle
from twofold.comparison import Plain
from twofold.copies.cache import Cache, load_cache, save_cache
from twofold.copies.candidates import Pair, candidates
from twofold.copies.cells import Space
from twofold.copies.clusters import star_groups
from twofold.copies.comparing import Judge
from twofold.copies.judge import Verdict
from twofold.copies.near_pairs import NearPairs, near_pairs
from twofold.copies.reading import Collection, collect, distinct
from twofold.copies.rule import DEFAULT, KEEP, Copies, Keep, preferred, rule_in_words
from twofold.copies.stars import Found, stars_of
from twofold.copies.worth import worth
from twofold.data.items import Items
from twofold.embedding import embed_read, scores
from twofold.errors import UsageError
from twofold.inputs import Input
from twofold.inputs.image import Image
from twofold.results import CopyFile, Embeddings, Group, Groups
from twofold.store.index import Index

__all__ = ["DEFAULT", "KEEP", "Copies", "Keep", "dedup", "dedup_vectors"]

COPY = 0.9
"""Score at which the judge calls two pictures copies."""

DARK, BLURRED = 24.0, 0.06
"""Mean light below which a picture is dark; and mean second difference of its 64 x 64 plane,
relative to its spread, below which nothing in it is sharp."""

Watch = Callable[[str, int, int], None]


def dedup(
    items: Items,
    reader: Input | Bundle | None = None,
    *,
    keep: Keep = "largest",
    threshold: float | None = None,
    against: Index | None = None,
    cache: str | Path | None = None,
    rule: Copies | None = None,
    watch: Watch | None = None,
) -> Groups:
    """Find groups of near-duplicates among things; each is read once, and no file is touched.

    Pictures are copies of each other if one fits into the other and nothing differs locally
    (`copies.judge`). A calibrated bundle adds pairs whose score reaches its threshold, and so does
    `threshold` for any bundle. For everything else (texts, series, ...) these are the copies,
    besides things of equal content. Every copy was compared with the one that is kept. Links, and
    second names of one file, are left out.

    Args:
        reader: a bundle; or an input type; None: pictures, by their pixels alone.
        keep: which of a group stays, unless `rule` is given.
        threshold: score of the bundle's vectors at which two things are the same.
        against: what this index holds stays: things near it are its copies, in groups of their own.
        cache: a folder that keeps what was read, by content: the next call reads, embeds and
            compares only what is new.
        rule: what counts as a copy, and which one stays.
        watch: called with (what is done, done, total).

    Raises:
        UsageError: an unknown `keep` or strictness, or a threshold without a bundle.
            FingerprintMismatch: another model's index or cache. BundleError: `cache` is something
            else.
    """
    rule = rule or Copies(keep=keep)
    reader = Image(size=128, max_pixels=100_000_000) if reader is None else reader
    bundle = reader if isinstance(reader, Bundle) else None
    reads_pictures = isinstance(reader if bundle is None else bundle.twin.input, Image)
    limit = _limit(bundle, threshold, against)
    kept = load_cache(cache, reader, mirrored=rule.mirrored)
    items, notes = distinct(items)
    known, new = collect(
        items, reader, embed=embed_read, cached=kept.known.get, progress=_told(watch, "reading")
    )
    indexed = beside(known, against, bundle, limit, watch=watch)
    search = _Search(known, bundle, limit, indexed, rule=rule, kept=kept)
    found = search.run(watch)
    if cache is not None:
        save_cache(
            cache,
            reader,
            known,
            old=kept.known,
            verdicts=search.judge.known,
            mirrored=rule.mirrored,
        )
    given = {"against": against is not None, "asked": threshold is not None}
    said = rule_in_words(bundle, limit, rule, pictures=reads_pictures, **given)
    notes = (*((kept.note,) if kept.note else ()), *notes, *search.notes)
    return _collected(search, known, found, new=new, rule=said, notes=notes)


def _collected(
    search: "_Search",
    known: Collection,
    found: Found,
    *,
    new: int,
    rule: str,
    notes: tuple[str, ...],
) -> Groups:
    """The groups, with what else was seen of the things."""
    groups, perhaps = search.groups(found), search.perhaps(found)
    pictures = [
        each for each in zip(known.ids, known.seen, strict=True) if each[1].plane is not None
    ]
    return Groups(
        groups=groups,
        perhaps=perhaps,
        items=len(known) + len(known.unreadable),
        new=new,
        rule=rule,
        threshold=COPY if search.limit is None else search.limit,
        unreadable=known.unreadable,
        notes=notes,
        files=search.files((*groups, *perhaps)),
        dark=tuple(name for name, seen in pictures if seen.light < DARK),
        blurred=tuple(
            name for name, seen in pictures if seen.sharpness < BLURRED and seen.light >= DARK
        ),
        worth=worth() if pictures else {},
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
        vectors: embeddings, or an array (n, dim), float32 or float16, or a memory map; then row
            numbers are ids.
        threshold: score at which two are the same: a cosine, or minus a distance.
        distance: cosine, euclidean or squared_euclidean.
    """
    rows = vectors.vectors if isinstance(vectors, Embeddings) else vectors
    if rows.ndim != 2:
        raise UsageError(f"vectors of shape {rows.shape}: (n, dim) is needed")
    found = near_pairs(rows, threshold, distance=distance, progress=progress)
    pairs = np.stack([found.first, found.second], axis=1)
    near = partial(_near_by_vector, Space.of(rows, threshold, distance))
    stars = star_groups(pairs, found.scores, rank=np.arange(len(rows)), same=found.same, alike=near)
    ids: Sequence[str] | range = (
        vectors.ids if isinstance(vectors, Embeddings) else range(len(rows))
    )
    groups = tuple(
        Group(
            kept=str(ids[star.kept]),
            copies=tuple(str(ids[i]) for i in star.others),
            scores=star.scores,
        )
        for star in stars
    )
    rule = f"{distance} score of the vectors at least {threshold:g}, as you asked"
    told = {"items": len(rows), "new": len(rows), "rule": rule, "threshold": threshold}
    return Groups(groups=groups, notes=_bounded(found), recall=found.recall, **told)


def _near_by_vector(
    space: Space, kept: int, others: Int[np.ndarray, "m"]
) -> Float[np.ndarray, "m"]:
    scores = space.scores(np.full(len(others), kept), others)
    return np.where(scores >= space.score, scores, -np.inf)


class _Search:
    """All rules together: contents, the judge of pictures, vectors, and what an index holds."""

    def __init__(
        self,
        known: Collection,
        bundle: Bundle | None,
        limit: float | None,
        indexed: Indexed,
        *,
        rule: Copies,
        kept: Cache,
    ) -> None:
        self.own = len(known)
        beside = indexed.known
        self.known = replace(
            known,
            ids=known.ids + beside.ids,
            values=known.values + beside.values,
            seen=known.seen + beside.seen,
        )
        self.indexed, self.bundle, self.limit, self.rule = indexed, bundle, limit, rule
        self.judge = Judge(
            collection=self.known,
            strictness=rule.strictness,
            mirrored=rule.mirrored,
            known=dict(kept.verdicts),
        )
        self.vectors = known.vectors
        self.notes: tuple[str, ...] = ()

    def run(self, watch: Watch | None) -> Found:
        """Candidates, verdicts, groups."""
        contents = [each.content for each in self.known.seen]
        pairs = self._pairs(watch)
        return stars_of(
            pairs,
            contents=contents,
            judging=self.verdicts,
            preferred=self._preferred,
            progress=_told(watch, "comparing"),
        )

    def _pairs(self, watch: Watch | None) -> list[Pair]:
        found: list[Pair] = []
        places = np.flatnonzero(self.known.pictures)
        if self.rule.strictness != "exact" and len(places) > 1:
            seen = [self.known.seen[place] for place in places.tolist()]
            vectors = (
                self.vectors[places] if self.vectors is not None and places[-1] < self.own else None
            )
            told = _told(watch, "looking for candidates")
            found += [
                Pair(
                    first=int(places[each.first]),
                    second=int(places[each.second]),
                    likeness=each.likeness,
                )
                for each in candidates(seen, vectors, mirrored=self.rule.mirrored, progress=told)
            ]
        found += [
            Pair(first=place, second=self.own + number, likeness=score)
            for (place, number), score in self.indexed.scores.items()
        ]
        return found + self._by_vector(watch)

    def _by_vector(self, watch: Watch | None) -> list[Pair]:
        if (
            self.bundle is None
            or self.limit is None
            or self.vectors is None
            or self.rule.strictness == "exact"
        ):
            return []
        told = _told(watch, "searching")
        if not isinstance(self.bundle.twin.comparison, Plain):
            return learned_pairs(self.bundle, self.vectors, self.limit, progress=told)
        near = near_pairs(
            self.vectors,
            self.limit,
            distance=self.bundle.contract.distance,
            progress=told,
            check=False,
        )
        self.notes = _bounded(near)
        others = np.flatnonzero(near.same != np.arange(len(near.same)))
        first, second = np.append(near.first, near.same[others]), np.append(near.second, others)
        scores = np.append(near.scores, np.ones(len(others), np.float32))
        return [
            Pair(first=int(one), second=int(other), likeness=float(score))
            for one, other, score in zip(first, second, scores, strict=True)
        ]

    def verdicts(self, pairs: Sequence[tuple[int, int]]) -> list[Verdict]:
        """The better of what pixels and vectors say."""
        told = self.judge(pairs)
        return [self._also_by_vector(pair, found) for pair, found in zip(pairs, told, strict=True)]

    def _also_by_vector(self, pair: tuple[int, int], found: Verdict) -> Verdict:
        if (
            found.says == "copy"
            or self.rule.strictness == "exact"
            or self.bundle is None
            or self.vectors is None
        ):
            return found
        score, limit = self._score(*sorted(pair))
        if score is None or limit is None or score < limit:
            return found
        return Verdict(says="copy", score=score)

    def _score(self, first: int, second: int) -> tuple[float | None, float | None]:
        """The score of the vectors, and the threshold for it."""
        if first >= self.own:
            return None, None
        if second >= self.own:
            number = second - self.own
            limit = DEFAULT if self.limit is None and number in self.indexed.unread else self.limit
            return self.indexed.scores.get((first, number)), limit
        if self.limit is None or self.vectors is None or self.bundle is None:
            return None, None
        both = self.vectors[[first, second]]
        if not isinstance(self.bundle.twin.comparison, Plain):
            return float(scores(self.bundle.twin, both[:1], both[1:])[0, 0]), self.limit
        space = Space.of(both, self.limit, self.bundle.contract.distance)
        return float(space.scores(np.array([0]), np.array([1]))[0]), self.limit

    def _preferred(self, places: Sequence[int]) -> list[int]:
        """What the index holds first, then as the rule says."""
        old = sorted(place for place in places if place >= self.own)
        new = [place for place in places if place < self.own]
        return old + preferred(self.known, new, self.rule.keep)

    def groups(self, found: Found) -> tuple[Group, ...]:
        """Groups, those around items of the index first; other items of the index are not offered."""
        told = []
        for star in found.stars:
            members = [
                each for each in zip(star.others, star.scores, strict=True) if each[0] < self.own
            ]
            if members:
                told.append(self._group(star.kept, members))
        return tuple(sorted(told, key=lambda group: not group.known))

    def perhaps(self, found: Found) -> tuple[Group, ...]:
        """Doubtful pairs, grouped by the one that would stay, the likeliest first."""
        beside: dict[int, list[tuple[int, float]]] = {}
        for first, second, score in found.doubts:
            kept, other = self._preferred([first, second])
            if other < self.own:
                beside.setdefault(kept, []).append((other, score))
        return tuple(self._group(kept, members) for kept, members in beside.items())

    def _group(self, kept: int, members: Sequence[tuple[int, float]]) -> Group:
        return Group(
            kept=self.known.ids[kept],
            copies=tuple(self.known.ids[place] for place, _ in members),
            scores=tuple(score for _, score in members),
            known=kept >= self.own,
        )

    def files(self, groups: Sequence[Group]) -> dict[str, CopyFile]:
        """What is known of the files of the groups."""
        named = {name for group in groups for name in (group.kept, *group.copies)}
        told = {}
        for place in reversed(range(len(self.known))):  # ours win if the index has the same name
            value, seen, name = (
                self.known.values[place],
                self.known.seen[place],
                self.known.ids[place],
            )
            if name in named and isinstance(value, Path):
                path = str(value.absolute()) if place >= self.own else name
                told[name] = CopyFile(
                    path=path, bytes=seen.size, time=seen.stamp, sha256=seen.content
                )
        return told


def _limit(bundle: Bundle | None, threshold: float | None, against: Index | None) -> float | None:
    """The score of vectors at which things are the same; None: pixels and contents decide alone."""
    if bundle is None:
        if threshold is not None or against is not None:
            raise UsageError("a threshold and an index are about vectors: give a bundle as well")
        return None
    if against is not None:
        against.refuse_other(bundle.fingerprint)
    if threshold is not None:
        return threshold
    return None if bundle.calibration is None else bundle.calibration.threshold


def _told(watch: Watch | None, what: str) -> Callable[[int, int], None] | None:
    return None if watch is None else lambda done, total: watch(what, done, total)


def _bounded(found: NearPairs) -> tuple[str, ...]:
    if not found.capped:
        return ()
    return (
        f"{found.capped} things have more than {found.most} near ones before them; of those the "
        f"first {found.most} were compared, so a very large group may be found as several",
    )

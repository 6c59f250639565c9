"""Pairs of near copies for the checkup of data, and the groups that they make."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import faiss
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from twofold.copies.comparing import Judge
from twofold.copies.hashing import CROPS, Candidates, aligned_correlation, candidates
from twofold.copies.judge import UNKNOWN
from twofold.copies.reading import Collection, picture_seen
from twofold.errors import UnreadableInput
from twofold.inputs.image import Image

__all__ = ["ALIKE", "groups_of", "near_copies"]

ALIKE = 0.95
"""Correlation of aligned 32 x 32 pixels at which two pictures are near copies: of photographs of
1,000 strangers no pair reaches it, of recompressed, brighter and slightly cut copies 98 to 100 %
(of thin lines on paper, cut: 95 %)."""

PAIRS_AT_ONCE = 256
"""Pairs judged at once: bounds the pictures that are decoded at a time."""

SAME_VECTOR = 0.999
"""Cosine similarity at which things other than pictures are near copies."""

NEAREST = 2
"""Nearest others of each item that are candidates."""


def near_copies(
    planes: UInt8[np.ndarray, "n 32 32"],
    *,
    pictures: Bool[np.ndarray, "n"],
    vectors: Float[np.ndarray, "n dim"] | None = None,
    values: Sequence[Any] | None = None,
) -> Int[np.ndarray, "pairs 2"]:
    """Pairs of near copies: pictures by their hashes, then by their aligned pixels.

    With vectors the two nearest of each item are candidates too, in every alignment; where things
    are not pictures, those are near copies whose cosine similarity is at least 0.999.

    Args:
        planes: grey pictures; rows that are not pictures, and pictures of a single grey, are left
            out.
        vectors: of an encoder, or None.
        values: what the pictures were read from: then the judge of `dedup` looks at each pair and
            drops those in which it sees a difference. Paper of another colour is not a difference
            here: such pairs leak all the same.

    Returns:
        (first, second) with first < second, sorted.
    """
    usable = np.flatnonzero(pictures & (planes.std(axis=(1, 2)) > 1.0))
    parts = [np.zeros((0, 2), np.int64)]
    if len(usable) > 1:
        kept = planes[usable]
        found = [candidates(kept)]
        if vectors is not None:
            found.append(_every_alignment(_nearest(vectors[usable])[0]))
        for each in found:
            alike = aligned_correlation(kept, each) >= ALIKE
            parts.append(np.stack([usable[each.cut[alike]], usable[each.whole[alike]]], axis=1))
    others = np.flatnonzero(~pictures)
    if vectors is not None and len(others) > 1:
        pairs, similarity = _nearest(vectors[others])
        parts.append(others[pairs[similarity >= SAME_VECTOR]])
    pairs = np.unique(np.sort(np.concatenate(parts), axis=1), axis=0)
    return pairs if values is None else pairs[_undoubted(values, pairs, pictures)]


def _undoubted(
    values: Sequence[Any], pairs: Int[np.ndarray, "pairs 2"], pictures: Bool[np.ndarray, "n"]
) -> Bool[np.ndarray, "pairs"]:
    """Pairs in which the judge sees no difference; it reads the pictures of candidates again."""
    places = [place for place in np.unique(pairs).tolist() if pictures[place]]
    reader, seen = Image(size=128), {}
    for place in places:
        with suppress(UnreadableInput):
            seen[place] = picture_seen(values[place], str(place), reader)
    known = Collection(
        ids=tuple(map(str, seen)),
        values=tuple(values[place] for place in seen),
        seen=tuple(seen.values()),
    )
    number = {place: row for row, place in enumerate(seen)}
    asked = [row for row, pair in enumerate(pairs.tolist()) if set(pair) <= number.keys()]
    judge = Judge(collection=known, colours=False)
    kept = np.ones(len(pairs), bool)
    for start in range(0, len(asked), PAIRS_AT_ONCE):
        part = asked[start : start + PAIRS_AT_ONCE]
        told = judge([(number[first], number[second]) for first, second in pairs[part].tolist()])
        kept[part] = [each.says != "different" or each.score >= UNKNOWN.score for each in told]
    return kept


def _nearest(
    vectors: Float[np.ndarray, "n dim"],
) -> tuple[Int[np.ndarray, "m 2"], Float[np.ndarray, "m"]]:
    """Each item with its two nearest others, and their cosine similarity."""
    unit = np.ascontiguousarray(
        vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float32
    )
    similarity, place = faiss.knn(
        unit, unit, min(NEAREST + 1, len(unit)), metric=faiss.METRIC_INNER_PRODUCT
    )
    row = np.repeat(np.arange(len(unit)), place.shape[1])
    other = row != place.ravel()
    return np.stack([row, place.ravel()], axis=1)[other].astype(np.int64), similarity.ravel()[other]


def _every_alignment(pairs: Int[np.ndarray, "m 2"]) -> Candidates:
    both = np.concatenate([pairs, pairs[:, ::-1]])
    crops = np.repeat(np.arange(len(CROPS)), len(both))
    return Candidates(
        cut=np.tile(both[:, 0], len(CROPS)), whole=np.tile(both[:, 1], len(CROPS)), crop=crops
    )


def groups_of(pairs: Int[np.ndarray, "pairs 2"]) -> list[list[int]]:
    """Everything that pairs connect, as groups of two or more, each sorted, in the order of their first members."""
    root: dict[int, int] = {}

    def find(item: int) -> int:
        while root.setdefault(item, item) != item:
            root[item] = item = root[root[item]]
        return item

    for first, second in pairs.tolist():
        low, high = sorted((find(first), find(second)))
        root[high] = low
    groups: dict[int, list[int]] = {}
    for item in sorted(root):
        groups.setdefault(find(item), []).append(item)
    return list(groups.values())

"""Which pairs of pictures are worth a look: by signatures of the whole, of turns and cut-outs, and by vectors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt8

from twofold.copies.cells import SMALL
from twofold.copies.near_pairs import near_pairs
from twofold.copies.reading import Seen
from twofold.copies.signatures import cut_signatures, signatures, turned_signatures
from twofold.copies.signatures import views as cut_and_turned

__all__ = ["Pair", "candidates"]

ALIKE = 0.65
"""Cosine of signatures at which two pictures are compared; one pair of unrelated photographs in
10^7 reaches it."""

FINE, FINE_ALIKE = 32, 0.6
"""Pixels per side of the fine signature, without smooth light; and the cosine at which it counts.
It tells pages of one layout apart, and finds copies among a thousand of them."""

FINE_CHANGED = 0.35
"""The same among few pictures: of photographs under text, or changed in several ways, it finds
more; strangers reach .22 in one pair of 10,000."""

CUT_OUT, CUT_ALIKE, CUT_PARTNERS = 3000, 0.6, 3
"""Most pictures for which a hundred cut-outs of each are looked up; the cosine at which one counts;
and pairs per picture that are compared for its cut-outs, since smooth strangers reach that cosine
by the dozen."""

QUARTER, PART_ALIKE = (0.5,), 0.9
"""Share of the sides that a part keeps, compared with the same part of another picture; and the
cosine at which it counts."""

CROWD = 0.985
"""Cosine at which one picture may stand for 64 or more others while pairs are looked for."""

SEEN = 0.8
"""Cosine of a network's vectors at which two pictures are compared, if there are many pictures."""

FEW = 20_000
"""Most pictures for which cut-outs, turns and nearest vectors are looked up, too."""

NEAREST = 5
"""Earlier pictures, nearest by vector, that each picture is compared with."""

PARTNERS = 24
"""Pairs per picture that are compared: the most alike ones."""

ROWS_AT_ONCE = 2048
"""Signatures or planes handled at once: bounds memory to some tens of megabytes."""

QUERIES_AT_ONCE = 512
"""Vectors whose products with all earlier ones are held at once."""


Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two places of a collection, and how alike they look at first."""

    first: int
    second: int
    likeness: float


def candidates(
    seen: Sequence[Seen],
    vectors: Shaped[np.ndarray, "n dim"] | None,
    *,
    mirrored: bool = False,
    progress: Progress | None = None,
) -> list[Pair]:
    """Pairs that may be copies, the most alike first; none of pictures without detail.

    Args:
        mirrored: look for mirror images, too.
    """
    planes = np.stack([each.plane for each in seen if each.plane is not None])
    few = len(planes) <= FEW
    parts = [_met(*_rows(planes, seen, views=few, mirrored=mirrored), ALIKE, progress=progress)]
    fine, whole = _fine(planes), np.arange(len(planes))
    parts.append(
        _met(
            fine,
            whole,
            np.ones(len(planes), bool),
            FINE_ALIKE if len(planes) > SMALL else FINE_CHANGED,
        )
    )
    if len(planes) <= CUT_OUT:
        parts += [
            _cut_outs(each, planes)
            for each in ((planes, planes[:, :, ::-1]) if mirrored else (planes,))
        ]
    if vectors is not None and few:
        parts.append(_nearest_before(vectors))
    elif vectors is not None:
        parts.append(_met(vectors, whole, np.ones(len(planes), bool), SEEN))
    ends, scores = (np.concatenate(each) for each in zip(*parts, strict=True))
    return _best(ends, scores, fine)


def _rows(
    planes: UInt8[np.ndarray, "n 64 64"], seen: Sequence[Seen], *, views: bool, mirrored: bool
) -> tuple[Shaped[np.ndarray, "rows dim"], Int[np.ndarray, "rows"], Bool[np.ndarray, "rows"]]:
    """Signatures of the whole, of what is inside borders and, if `views`, of turns and cut-outs.

    Also whose they are, and whether they are of a whole picture.
    """
    inside = [place for place, each in enumerate(seen) if each.inner is not None]
    shown = [(np.arange(len(planes)), planes)]
    if inside:
        shown.append(
            (np.array(inside), np.stack([each.inner for each in seen if each.inner is not None]))
        )
    if mirrored:
        shown += [(owner, each[:, :, ::-1]) for owner, each in shown]
    parts, owners, wholes = [], [], []
    for owner, each in shown:
        for start in range(0, len(each), ROWS_AT_ONCE):
            block = np.ascontiguousarray(each[start : start + ROWS_AT_ONCE])
            for number, view in enumerate([block, *cut_and_turned(block)] if views else [block]):
                parts.append(signatures(view).astype(np.float16))
                owners.append(owner[start : start + ROWS_AT_ONCE])
                wholes.append(np.full(len(block), number == 0))
    return np.concatenate(parts), np.concatenate(owners), np.concatenate(wholes)


def _cut_outs(
    cut: UInt8[np.ndarray, "n 64 64"], whole: UInt8[np.ndarray, "n 64 64"]
) -> tuple[Int[np.ndarray, "pairs 2"], Float[np.ndarray, "pairs"]]:
    """Pairs of which one is near a cut-out of the other, or the other turned a little; the best per picture.

    Also pairs that are near in one quarter, since letters may cover the others.
    """
    known = signatures(whole)
    middle = turned_signatures(whole)[0]
    ends, scores = [np.zeros((0, 2), np.int64)], [np.zeros(0, np.float32)]
    parts = ((cuts, known, CUT_ALIKE) for cuts in cut_signatures(cut))
    turned = ((turn, middle, CUT_ALIKE) for turn in turned_signatures(cut)[1])
    quarters = zip(
        cut_signatures(cut, QUARTER),
        cut_signatures(whole, QUARTER),
        repeat(PART_ALIKE),
        strict=False,
    )
    for one, other, least in chain(parts, turned, quarters):
        alike = one @ other.T
        np.fill_diagonal(alike, 0)
        first, second = np.nonzero(alike >= least)
        ends.append(np.sort(np.stack([first, second], axis=1), axis=1))
        scores.append(alike[first, second])
    return _best_of_each(*_once(np.concatenate(ends), np.concatenate(scores)), most=CUT_PARTNERS)


def _fine(planes: UInt8[np.ndarray, "n 64 64"]) -> Shaped[np.ndarray, "n dim"]:
    """Detail of 32 x 32 means after subtracting their surroundings; unit length, zeros without detail."""
    parts = []
    for start in range(0, len(planes), ROWS_AT_ONCE):
        grey = (
            planes[start : start + ROWS_AT_ONCE]
            .reshape(-1, FINE, 2, FINE, 2)
            .mean(axis=(2, 4), dtype=np.float32)
        )
        wide = np.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="edge")
        around = sum(wide[:, i : i + FINE, j : j + FINE] for i in range(3) for j in range(3)) / 9
        detail = (grey - around).reshape(len(grey), -1)
        length = np.linalg.norm(detail, axis=1, keepdims=True)
        parts.append(
            np.where(length > FINE, detail / np.maximum(length, FINE), 0).astype(np.float16)
        )
    return np.concatenate(parts)


def _met(
    rows: Shaped[np.ndarray, "rows dim"],
    owner: Int[np.ndarray, "rows"],
    whole: Bool[np.ndarray, "rows"],
    score: float,
    *,
    progress: Progress | None = None,
) -> tuple[Int[np.ndarray, "pairs 2"], Float[np.ndarray, "pairs"]]:
    """Pairs of pictures of which one, whole, is near a view of the other; and each with what stands for it."""
    told = rows.any(axis=1)
    rows, owner, whole = (
        (rows, owner, whole) if told.all() else (rows[told], owner[told], whole[told])
    )
    found = near_pairs(rows, score, crowd=CROWD, check=False, progress=progress)
    others = np.flatnonzero(found.same != np.arange(len(found.same)))
    first = np.concatenate([found.first, found.same[others]])
    second = np.concatenate([found.second, others])
    scores = np.concatenate([found.scores, np.full(len(others), CROWD, np.float32)])
    kept = (whole[first] | whole[second]) & (owner[first] != owner[second])
    ends = np.sort(np.stack([owner[first[kept]], owner[second[kept]]], axis=1), axis=1)
    return ends.astype(np.int64), scores[kept]


def _nearest_before(
    vectors: Shaped[np.ndarray, "n dim"],
) -> tuple[Int[np.ndarray, "pairs 2"], np.ndarray]:
    """Each vector with its nearest among those before it."""
    unit = np.asarray(vectors, np.float32)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    parts, scored = [np.zeros((0, 2), np.int64)], [np.zeros(0, np.float32)]
    for start in range(1, len(unit), QUERIES_AT_ONCE):
        end = min(start + QUERIES_AT_ONCE, len(unit))
        scores = unit[start:end] @ unit[:end].T
        scores[np.arange(end) >= np.arange(start, end)[:, None]] = -np.inf
        count = min(NEAREST, end - 1)
        place = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        row = np.repeat(np.arange(start, end), count)
        pairs = np.stack([place.ravel(), row], axis=1)
        before = pairs[:, 0] < pairs[:, 1]
        parts.append(pairs[before])
        scored.append(
            scores[row[before] - start, pairs[before, 0]] * np.float32(0.5)
        )  # alike in meaning, not in pixels
    return np.concatenate(parts), np.concatenate(scored)


def _best(ends: Int[np.ndarray, "m 2"], scores: np.ndarray, fine: np.ndarray) -> list[Pair]:
    """Each pair once, the best per picture, by signature or by detail, whichever is larger."""
    if not len(ends):
        return []
    detail = np.concatenate(
        [
            (fine[part[:, 0]].astype(np.float32) * fine[part[:, 1]]).sum(axis=1)
            for part in np.array_split(ends, -(-len(ends) // ROWS_AT_ONCE))
        ]
    )
    ends, scores = _best_of_each(
        *_once(ends, np.maximum(scores, detail) + 0.5 * detail), most=PARTNERS
    )
    return [
        Pair(first=first, second=second, likeness=score)
        for (first, second), score in zip(ends.tolist(), scores.tolist(), strict=True)
    ]


def _once(
    ends: Int[np.ndarray, "m 2"], scores: Float[np.ndarray, "m"]
) -> tuple[Int[np.ndarray, "pairs 2"], Float[np.ndarray, "pairs"]]:
    """Each pair once, with its best score."""
    order = np.lexsort((-scores, ends[:, 1], ends[:, 0]))
    ends, scores = ends[order], scores[order]
    first = np.append(True, (ends[1:] != ends[:-1]).any(axis=1))[: len(ends)]
    return ends[first], scores[first]


def _best_of_each(
    ends: Int[np.ndarray, "m 2"], scores: Float[np.ndarray, "m"], *, most: int
) -> tuple[Int[np.ndarray, "pairs 2"], Float[np.ndarray, "pairs"]]:
    """Pairs among the `most` best of either picture, the best first."""
    order = np.lexsort((ends[:, 1], ends[:, 0], -scores))
    left = np.full(int(ends.max(initial=0)) + 1, most)
    kept: list[int] = []
    for place, (first, second) in zip(order.tolist(), ends[order].tolist(), strict=True):
        if left[first] > 0 or left[second] > 0:
            left[first] -= 1
            left[second] -= 1
            kept.append(place)
    chosen = np.array(kept, np.int64)
    return ends[chosen], scores[chosen]

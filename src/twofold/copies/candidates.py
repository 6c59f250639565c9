"""Which pictures are copies: candidates by perceptual signature and by vectors, then a rule for their pixels."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8

from twofold.copies.alignment import WAVES, alignments, signatures, views
from twofold.copies.cells import Cells
from twofold.copies.near_pairs import NearPairs, near_pairs

__all__ = ["COPY", "Candidates", "candidates", "copy_scores", "evidence", "rule"]

COPY = 0.9
"""Score from which on two pictures are copies."""

ALIKE = 0.65
"""Cosine of two signatures from which on pixels are compared; of unrelated photographs about one pair in 10^7."""

CROWD = 0.9
"""Cosine of two signatures from which on they make it sure by themselves, so that one may stand for the other."""

SEEN = 0.8
"""Cosine of the vectors of a network that was not calibrated from which on pixels are compared, of many pictures."""

EQUAL = 0.99
"""Cosine of vectors from which on one may stand for another where candidates are looked for."""

FEW = 20_000
"""Up to so many pictures, cut-outs and turns are looked up too, and each picture's nearest by vector."""

NEAREST = 5
STRIP = 2048
TOGETHER = 512

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Pairs of pictures whose pixels are to be compared, first < second; and what makes the next look cheap.

    Attributes:
        same: of each picture the one that stands for it in the pairs: their signatures are equal, or crowd together.
        rows: signatures in half precision, `each` a picture. cells: of those.
        vector_cells: of the vectors, where they were searched in cells.
    """

    pairs: Int[np.ndarray, "pairs 2"]
    same: Int[np.ndarray, "n"]
    each: int
    rows: Shaped[np.ndarray, "rows dim"]
    cells: Cells
    vector_cells: Cells | None


def candidates(
    planes: UInt8[np.ndarray, "n 64 64"],
    vectors: Shaped[np.ndarray, "n dim"] | None,
    *,
    since: int = 0,
    known: Candidates | None = None,
    progress: Progress | None = None,
) -> Candidates:
    """Pairs with a picture from `since` on; a picture's candidates are among those before it, so order counts.

    Args:
        known: of the pictures before `since`.
    """
    few = len(planes) <= FEW
    old = known if known is not None and (known.each > 1) == few else None
    rows = _signatures(planes if old is None else planes[since:], cut=few)
    rows = rows if old is None else np.concatenate([old.rows, rows])
    each = max(len(rows) // max(len(planes), 1), 1)
    found = near_pairs(rows, ALIKE, crowd=CROWD, known=old and old.cells, check=False, progress=progress)
    same = _standing(found.same, rows[::each], each)
    ends = _met(found)
    alone = (same[ends // each] == ends // each).all(axis=1)  # the others go with who stands for them
    parts = [ends[alone & (ends % each == 0).any(axis=1)] // each]
    vector_cells = None
    if vectors is not None and few:
        parts.append(_nearest_before(vectors, since))
    elif vectors is not None:
        seen = near_pairs(vectors, SEEN, crowd=EQUAL, known=known and known.vector_cells, check=False)
        parts.append(_met(seen))
        vector_cells = seen.cells
    pairs = np.sort(np.concatenate(parts), axis=1)
    pairs = np.unique(pairs[(pairs[:, 0] != pairs[:, 1]) & (pairs[:, 1] >= since)], axis=0)
    return Candidates(pairs=pairs, same=same, each=each, rows=rows, cells=found.cells, vector_cells=vector_cells)


def _met(found: NearPairs) -> Int[np.ndarray, "pairs 2"]:
    """The pairs, and each row with the one that stands for it."""
    others = np.flatnonzero(found.same != np.arange(len(found.same)))
    pairs = np.stack([found.first, found.second], axis=1).astype(np.int64)
    return np.concatenate([pairs, np.stack([found.same[others], others], axis=1)])


def _standing(same: Int[np.ndarray, "rows"], whole: Shaped[np.ndarray, "n dim"], each: int) -> Int[np.ndarray, "n"]:
    """Of each picture the one that stands for it: a whole one for a whole one, and none for those of one grey."""
    stands = same[::each]
    told = (stands % each == 0) & whole.any(axis=1)
    return np.where(told, stands // each, np.arange(len(whole)))


def _signatures(planes: UInt8[np.ndarray, "n 64 64"], *, cut: bool) -> Shaped[np.ndarray, "rows dim"]:
    """Signatures, picture by picture; with those of its turns and cut-outs behind each, if `cut`."""
    parts = []
    for start in range(0, len(planes), STRIP):
        block = np.asarray(planes[start : start + STRIP])
        shown = [block, *views(block)] if cut else [block]
        signed = np.stack([signatures(each) for each in shown], axis=1).reshape(len(block) * len(shown), -1)
        parts.append(signed.astype(np.float16))
    return np.concatenate(parts) if parts else np.zeros((0, WAVES**2 - 1), np.float16)


def _nearest_before(vectors: Shaped[np.ndarray, "n dim"], since: int) -> Int[np.ndarray, "pairs 2"]:
    """Each vector with its nearest among those before it."""
    unit = np.asarray(vectors, np.float32)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    parts = [np.zeros((0, 2), np.int64)]
    for start in range(max(since, 1), len(unit), TOGETHER):
        end = min(start + TOGETHER, len(unit))
        scores = unit[start:end] @ unit[:end].T
        scores[np.arange(end) >= np.arange(start, end)[:, None]] = -np.inf
        count = min(NEAREST, end - 1)
        place = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        row = np.repeat(np.arange(start, end), count)
        pairs = np.stack([place.ravel(), row], axis=1)
        parts.append(pairs[pairs[:, 0] < pairs[:, 1]])
    return np.concatenate(parts)


def copy_scores(
    planes: UInt8[np.ndarray, "n 64 64"],
    vectors: Shaped[np.ndarray, "n dim"] | None,
    pairs: Int[np.ndarray, "pairs 2"],
    *,
    progress: Progress | None = None,
) -> Float[np.ndarray, "pairs"]:
    """How sure the rule is that the pictures of each pair are copies, in [0, 1].

    A logistic curve over how well the one fits into the other (pixels, edges, the better half of 16 squares), the
    likeness of the signatures, and that of the vectors, if there are any. Its weights were fitted to attacked aerial
    photographs (bench/dedup.py --train); other pictures are judged by it as they come. Where the signatures alone make
    it sure, no pixels are laid over each other.
    """
    scores = np.zeros(len(pairs), np.float32)

    def judge(start: int) -> None:
        part = pairs[start : start + TOGETHER]
        found = _curve(_speaks_for(_signed(planes, part)))
        unsure = np.flatnonzero(found < SURE)
        found[unsure] = rule(evidence(planes, vectors, part[unsure]), with_vectors=vectors is not None)
        scores[start : start + TOGETHER] = found

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for done, _ in enumerate(pool.map(judge, range(0, len(pairs), TOGETHER)), start=1):
            if progress:
                progress(min(done * TOGETHER, len(pairs)), len(pairs))
    return scores


def evidence(
    planes: UInt8[np.ndarray, "n 64 64"],
    vectors: Shaped[np.ndarray, "n dim"] | None,
    pairs: Int[np.ndarray, "pairs 2"],
) -> Float[np.ndarray, "pairs evidence"]:
    """What speaks for copies: how well one fits into the other, in pixels, edges and the better half; and signatures.

    Then the cosine of the vectors, if there are any.
    """
    columns = [_fit(planes, pairs), _signed(planes, pairs)[:, None]]
    if vectors is not None:
        one, other = (np.asarray(vectors[ends], np.float32) for ends in pairs.T)
        columns.append(_cosines(one, other)[:, None])
    return np.concatenate(columns, axis=1)


def _fit(planes: UInt8[np.ndarray, "n 64 64"], pairs: Int[np.ndarray, "pairs 2"]) -> Float[np.ndarray, "pairs 3"]:
    """Each may be cut from the other; the better way counts."""
    one, other = pairs.T
    both = np.stack([alignments(planes, one, other), alignments(planes, other, one)])
    return np.take_along_axis(both, both.sum(axis=2).argmax(axis=0)[None, :, None], axis=0)[0]


def _signed(planes: UInt8[np.ndarray, "n 64 64"], pairs: Int[np.ndarray, "pairs 2"]) -> Float[np.ndarray, "pairs"]:
    one, other = (signatures(planes[ends]) for ends in pairs.T)
    return (one * other).sum(axis=1)


def _cosines(one: Float[np.ndarray, "m dim"], other: Float[np.ndarray, "m dim"]) -> Float[np.ndarray, "m"]:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(axis=1) / np.maximum(lengths, 1e-12)


WEIGHTS = {
    True: ((-4.49, 9.49, 5.78, 3.01, 2.51), -8.92),
    False: ((-4.30, 9.99, 5.73, 2.34), -7.68),
}
"""With vectors of an ImageNet network and without: factors of Fisher's z of each correlation, and the constant."""

SIGNED, SLOPE = 0.75, 20.0
"""Cosine of two signatures that is worth as much as a fit at even odds, none of the strangers looked at reached it; and
how fast the odds rise with Fisher's z from there on."""

SURE = 0.999


def rule(evidence: Float[np.ndarray, "pairs evidence"], *, with_vectors: bool) -> Float[np.ndarray, "pairs"]:
    """The score of each pair, in [0, 1]: a logistic curve over Fisher's z of each correlation of `evidence`.

    Blurred pictures have no edges to agree in, but their signatures say enough: the better of both reasons counts.
    """
    factors, constant = WEIGHTS[with_vectors]
    pixels = _fishers_z(evidence) @ np.array(factors) + constant
    return _curve(np.maximum(pixels, _speaks_for(evidence[:, 3])))


def _speaks_for(signed: Float[np.ndarray, "pairs"]) -> Float[np.ndarray, "pairs"]:
    return SLOPE * (_fishers_z(signed) - np.arctanh(SIGNED))


def _fishers_z(correlation: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    return np.arctanh(np.clip(correlation, -0.99, 0.99))


def _curve(odds: Float[np.ndarray, "pairs"]) -> Float[np.ndarray, "pairs"]:
    return 1 / (1 + np.exp(-odds))

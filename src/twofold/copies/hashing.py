"""Perceptual hashes: 63 bits of a picture that survive recompression, brightness and small crops; and near pairs.

Hashes are matrix products over a batch, so that a crop's hash costs what a whole picture's does: a
cosine wave over a crop is another row of the matrix, and no pixel is resampled.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product

import faiss
import numpy as np
from jaxtyping import Float, Int, UInt8

__all__ = [
    "CROPS",
    "SIDE",
    "Candidates",
    "aligned_correlation",
    "candidates",
    "grey_plane",
    "perceptual_hashes",
]

SIDE = 32
"""Pixels per side of the grey plane that a picture is hashed from."""

WAVES = 8
"""Cosine waves per direction: 8 x 8 make the 64 bits of a hash."""

WHOLE = (0.0, 0.0, 1.0)
"""(top, left, side) of a picture without anything cut away."""


CROPS = (
    WHOLE,
    *(
        (x * (1 - s), y * (1 - s), s)
        for s in (0.95, 0.9)
        for x in (0.0, 0.5, 1.0)
        for y in (0.0, 0.5, 1.0)
    ),
)
"""(top, left, side) as shares of a picture: the cut-outs that are looked up among whole
pictures."""

NEIGHBOURS = 8
"""Whole pictures that each cut-out looks up: keeps memory linear however many are alike."""

PICTURES_AT_ONCE = 4096
"""Pictures hashed or aligned at once: 17 MB of 32 x 32 planes in float32."""

PROMISING = 0.75
"""Correlation at which a cut-out is moved and resized to fit better: well below that of near
copies."""

STEPS = (0.02, 0.01)
"""Steps of the refinement, as shares of the side: 0.6 and 0.3 of 32 pixels."""


def grey_plane(
    picture: UInt8[np.ndarray, "height width channels"], side: int = SIDE
) -> UInt8[np.ndarray, "side side"]:
    """A picture's mean grey values on a grid of squares, each pixel counted by the area that it shares with a cell.

    No matrix product: BLAS splits even products of this size over its threads, and these wait for
    each other at every call. That took 32 ms instead of 1 on a busy processor.
    """
    grey = picture[:, :, 0].astype(np.uint16)
    for channel in range(1, picture.shape[2]):
        grey += picture[:, :, channel]
    rows = _averaged(grey.astype(np.float32) / np.float32(picture.shape[2]), side)
    return np.rint(_averaged(np.ascontiguousarray(rows.T), side).T).astype(np.uint8)


def _averaged(
    lines: Float[np.ndarray, "pixels across"], cells: int
) -> Float[np.ndarray, "cells across"]:
    place, weight = _shares(len(lines), cells)
    return np.einsum("ckw,ck->cw", lines[place], weight)


@cache
def _shares(
    pixels: int, cells: int
) -> tuple[Int[np.ndarray, "cells most"], Float[np.ndarray, "cells most"]]:
    """Which pixels each cell covers, and the share that each pixel has in the cell's mean."""
    edges = np.linspace(0, pixels, cells + 1)
    first = np.floor(edges[:-1]).astype(np.int64)
    most = int((np.ceil(edges[1:]) - first).max())
    place = first[:, None] + np.arange(most)
    shared = np.minimum(edges[1:, None], place + 1) - np.maximum(edges[:-1, None], place)
    weight = (np.clip(shared, 0, None) * (cells / pixels)).astype(np.float32)
    return np.minimum(place, pixels - 1), weight


def _overlap(low: np.ndarray, high: np.ndarray, pixels: int) -> Float[np.ndarray, "cells pixels"]:
    start = np.arange(pixels)
    shared = np.minimum(high[:, None], start + 1) - np.maximum(low[:, None], start)
    return np.clip(shared, 0, None).astype(np.float32)


@cache
def _cosines(start: float, side: float) -> Float[np.ndarray, "waves pixels"]:
    """Cosine waves cos(pi k (x - start) / side), k < 8, integrated over each pixel's part of the crop (DCT-II)."""
    edges = np.clip(np.arange(SIDE + 1) / SIDE, start, start + side)
    phase = np.pi * (edges - start) / side
    waves = [
        np.diff(edges) / side,
        *(np.diff(np.sin(k * phase)) / (np.pi * k) for k in range(1, WAVES)),
    ]
    return np.array(waves, dtype=np.float32)


def perceptual_hashes(
    planes: UInt8[np.ndarray, "n 32 32"], *, crop: tuple[float, float, float] = WHOLE
) -> UInt8[np.ndarray, "n 8"]:
    """64 bits per picture: which of the 8 x 8 lowest cosine coefficients lie above their median (Zauner 2010, pHash).

    The constant wave is left out of the median, and its bit is 0, so brightness and contrast change
    nothing.

    Args:
        planes: of `grey_plane`.
        crop: (top, left, side) as shares of the picture: its cut-out is hashed.
    """
    top, left, side = crop
    waves = _cosines(top, side) @ planes.astype(np.float32) @ _cosines(left, side).T
    flat = waves.reshape(len(planes), -1)
    bits = flat > np.median(flat[:, 1:], axis=1, keepdims=True)
    bits[:, 0] = False
    return np.packbits(bits, axis=1)


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Pictures of which one may be cut out of the other; CROPS[crop] of `cut` has nearly the hash of `whole`."""

    cut: Int[np.ndarray, "n"]
    whole: Int[np.ndarray, "n"]
    crop: Int[np.ndarray, "n"]


def candidates(
    planes: UInt8[np.ndarray, "n 32 32"], *, radius: int = 10, neighbours: int = NEIGHBOURS
) -> Candidates:
    """Pictures whose hashes differ in at most `radius` bits, the one whole or cut a little: candidates, not findings.

    Each cut-out looks up its nearest whole pictures, so memory is linear in n however many are
    alike. Of the cut-outs that fit, the one with the fewest differing bits is kept, the larger of
    equals.
    """
    index = faiss.IndexBinaryFlat(8 * WAVES)
    index.add(perceptual_hashes(planes))
    found = [np.zeros((0, 4), np.int64)]
    for crop, share in enumerate(CROPS):
        for start in range(0, len(planes), PICTURES_AT_ONCE):
            queries = perceptual_hashes(planes[start : start + PICTURES_AT_ONCE], crop=share)
            bits, place = index.search(queries, min(neighbours + 1, len(planes)))
            row, column = np.nonzero((bits <= radius) & (place >= 0))
            row, place, bits = row + start, place[row, column], bits[row, column]
            table = np.stack([row, place, bits, np.full_like(row, crop)], axis=1).astype(np.int64)
            found.append(table[row != place])
    table = np.concatenate(found)
    table = table[np.lexsort(table.T[::-1])]
    first = np.ones(len(table), dtype=bool)
    first[1:] = (table[1:, :2] != table[:-1, :2]).any(axis=1)
    cut, whole, _, crop = table[first].T
    return Candidates(cut=cut, whole=whole, crop=crop)


def aligned_correlation(
    planes: UInt8[np.ndarray, "n 32 32"], found: Candidates
) -> Float[np.ndarray, "candidates"]:
    """How alike the pictures of each candidate are, brightness and contrast set aside: the pixels' correlation.

    Taken at the cut-out that was found, and, where that is promising, at 27 around it, then at 27
    half as far around the best of those. 1 for copies; 0 where one is of a single grey. Thin lines
    lose their correlation by half a pixel, hence the search.
    """
    crops = np.array(CROPS)[found.crop]
    best = np.zeros(len(found.cut))
    for crop, here in _alike(crops, np.arange(len(best))):
        best[here] = _correlation(planes, found, here, crop)
    for step in STEPS:
        promising, old = np.flatnonzero(best >= PROMISING), crops.copy()
        for crop, here in _alike(old, promising):
            for around in _around(*crop, step):
                value = _correlation(planes, found, here, around)
                better = here[value > best[here]]
                best[here] = np.maximum(best[here], value)
                crops[better] = around
    return best


def _alike(
    crops: Float[np.ndarray, "n 3"], places: Int[np.ndarray, "m"]
) -> Iterator[tuple[tuple[float, float, float], Int[np.ndarray, "some"]]]:
    """Each cut-out that occurs at the places, with the places where it does."""
    known, code = np.unique(crops[places], axis=0, return_inverse=True)
    order = np.argsort(code.ravel(), kind="stable")
    for crop, here in zip(
        known, np.split(order, np.cumsum(np.bincount(code.ravel()))[:-1]), strict=False
    ):
        yield (float(crop[0]), float(crop[1]), float(crop[2])), places[here]


def _around(
    top: float, left: float, side: float, step: float
) -> Iterator[tuple[float, float, float]]:
    for other in (side, side - step, min(side + step, 1.0)):
        shift = (side - other) / 2
        for down, right in product((0.0, -step, step), repeat=2):
            moved = np.clip([top + shift + down, left + shift + right], 0, 1 - other)
            yield float(moved[0]), float(moved[1]), other


def _correlation(
    planes: UInt8[np.ndarray, "n 32 32"],
    found: Candidates,
    here: Int[np.ndarray, "m"],
    crop: tuple[float, float, float],
) -> Float[np.ndarray, "m"]:
    top, left, side = crop
    rows, columns = _cut(top, side), _cut(left, side)
    parts = [np.zeros(0)]
    for start in range(0, len(here), PICTURES_AT_ONCE):
        block = here[start : start + PICTURES_AT_ONCE]
        cut = _standard(rows @ planes[found.cut[block]].astype(np.float32) @ columns.T)
        whole = _standard(planes[found.whole[block]].astype(np.float32))
        parts.append(np.einsum("nij,nij->n", cut, whole) / SIDE**2)
    return np.concatenate(parts)


def _standard(planes: Float[np.ndarray, "n 32 32"]) -> Float[np.ndarray, "n 32 32"]:
    centred = planes - planes.mean(axis=(1, 2), keepdims=True)
    spread = np.sqrt(np.square(centred).mean(axis=(1, 2), keepdims=True))
    return np.where(spread > 1.0, centred / np.maximum(spread, 1.0), 0.0).astype(np.float32)


def _cut(start: float, side: float) -> Float[np.ndarray, "32 32"]:
    """Rows that cut a part out of 32 pixels and bring it to 32 again."""
    edges = SIDE * (start + side * np.linspace(0, 1, SIDE + 1))
    return _overlap(edges[:-1], edges[1:], SIDE) / np.float32(side)

"""Inverted lists: rows in two cells each, at four bits for two or more numbers, so that few are looked at for a query.

k-means and the choice of the cells are ours, as matrix products (see `scan` for why); faiss codes the rows and scans.
"""

import contextlib
import ctypes
from typing import Any

import faiss
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from twofold.store.scan import sides

__all__ = ["Lists", "Trained", "codes_of", "lists_of", "train"]

ROUNDS = 5
SAMPLE = 40  # rows a list, for k-means
FEWEST = 8  # sampled rows of a list: a centre is never one row's vector, which an erasure could not take out
CODED = 65_536  # rows for the codebooks
SECOND = 1.5  # how much a second list is to differ in direction from the first (Sun et al. 2023, "SOAR", eq. 5)
BLOCK = 1024
LOOKS = 16  # codes of a part: four bits
PARTS = 128
QUERIES = 1024


class Trained:
    """What is learned from the rows: centres of the lists, and the codebooks of the parts of a vector.

    Attributes:
        centres: float32. books: of `parts` parts, sixteen entries each; together as wide as `padded` says.
    """

    def __init__(self, centres: Float[np.ndarray, "lists padded"], books: Float[np.ndarray, "parts 16 width"]) -> None:
        self.centres = centres
        self.books = books
        self.sides = sides(centres, np.empty((len(centres), centres.shape[1] + 1), np.float32))

    def pq(self) -> faiss.ProductQuantizer:
        """faiss's coder."""
        pq = faiss.ProductQuantizer(self.centres.shape[1], len(self.books), 4)
        faiss.copy_array_to_vector(np.ascontiguousarray(self.books).ravel(), pq.centroids)
        return pq

    def keys(self, rows: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n lists"]:
        """How near the rows are to the centres: <r, c> - |c|^2 / 2."""
        return padded(rows, self.centres.shape[1], last=1.0) @ self.sides.T


def padded(rows: Float[np.ndarray, "n dim"], width: int, *, last: float | None = None) -> Float[np.ndarray, "n wide"]:
    """The rows with zeros behind, and then one more number if it is given."""
    wide = np.zeros((len(rows), width + (last is not None)), np.float32)
    wide[:, : rows.shape[1]] = rows
    if last is not None:
        wide[:, -1] = last
    return wide


def train(sample: Float[np.ndarray, "n dim"], lists: int, *, generator: np.random.Generator) -> Trained:
    """Centres by k-means, and codebooks.

    Args:
        sample: at least 16 rows.
        lists: how many to begin with; those of fewer than 8 of the sample's rows are left out in the end.
    """
    dim = sample.shape[1]
    part = max(2, -(-dim // PARTS))
    rows = padded(sample, -(-dim // part) * part)
    centres = rows[np.sort(generator.choice(len(rows), lists, replace=False))]
    sizes, filled = np.ones(len(centres), np.int64), np.arange(len(centres))
    for _ in range(ROUNDS):
        nearest = _nearest(rows, centres)
        sizes = np.bincount(nearest, minlength=len(centres))
        filled = np.flatnonzero(sizes)
        starts = np.concatenate([[0], np.cumsum(sizes[filled])[:-1]])
        centres = np.add.reduceat(rows[np.argsort(nearest, kind="stable")], starts, axis=0)
        centres /= sizes[filled, None].astype(np.float32)
    large = sizes[filled] >= FEWEST
    centres = centres[large] if large.any() else rows.mean(axis=0, keepdims=True)
    pq = faiss.ProductQuantizer(rows.shape[1], rows.shape[1] // part, 4)
    pq.cp.niter, pq.cp.min_points_per_centroid = 12, 1
    pq.train(np.ascontiguousarray(rows[:CODED]))
    return Trained(centres, faiss.vector_to_array(pq.centroids).reshape(pq.M, LOOKS, part).copy())


def _nearest(rows: np.ndarray, centres: np.ndarray) -> np.ndarray:
    right = np.ascontiguousarray(centres.T)
    half = np.square(centres).sum(axis=1) / 2
    nearest = np.empty(len(rows), np.int64)
    for start in range(0, len(rows), BLOCK):
        keys = rows[start : start + BLOCK] @ right
        keys -= half
        nearest[start : start + len(keys)] = keys.argmax(axis=1)
    return nearest


def lists_of(trained: Trained, rows: Float[np.ndarray, "n dim"]) -> Int[np.ndarray, "n 2"]:
    """The two lists of each row: the nearest, and the one whose error points elsewhere at little more distance.

    A query that misses the first list, because it lies off in the direction of the row's error, so finds the second:
    for recall .99 a query looks at a quarter of the rows (measured on embeddings of text).
    """
    found = np.zeros((len(rows), 2), np.int32)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        keys = trained.keys(block)
        first = keys.argmax(axis=1)
        away = padded(block, trained.centres.shape[1]) - trained.centres[first]
        length = np.sqrt(np.einsum("ij,ij->i", away, away))
        away *= (np.sqrt(SECOND / 2) / np.where(length > 0, length, 1))[:, None]
        along = away @ trained.centres.T
        along -= np.einsum("ij,ij->i", away, padded(block, away.shape[1]))[:, None]
        along *= along
        keys -= along
        keys[np.arange(len(block)), first] = -np.inf
        found[start : start + len(block), 0] = first
        found[start : start + len(block), 1] = keys.argmax(axis=1) if keys.shape[1] > 1 else first
    return found


def codes_of(trained: Trained, rows: Float[np.ndarray, "n dim"]) -> UInt8[np.ndarray, "n bytes"]:
    """The rows at four bits a part."""
    return trained.pq().compute_codes(padded(rows, trained.centres.shape[1]))


class Lists:
    """The lists in memory: 4 bits a part and 8 bytes of place, twice for each row."""

    def __init__(self, trained: Trained, lists: Int[np.ndarray, "n 2"], codes: UInt8[np.ndarray, "n bytes"]) -> None:
        self.trained = trained
        self.quantiser = faiss.IndexFlatL2(trained.centres.shape[1])
        self.quantiser.add(trained.centres)
        index = faiss.IndexIVFPQ(self.quantiser, trained.centres.shape[1], len(trained.centres), len(trained.books), 4)
        index.by_residual = False
        faiss.copy_array_to_vector(np.ascontiguousarray(trained.books).ravel(), index.pq.centroids)
        index.is_trained = True
        fill(index, lists, codes)
        self.index = faiss.IndexIVFPQFastScan(index)
        # faiss's wrapper would keep the first one, which is as large, for as long as this one is there
        del self.index.referenced_objects  # pyright: ignore[reportAttributeAccessIssue]
        del index
        _give_back()

    def reaches(self, keys: Float[np.ndarray, "q lists"], reach: float, most: int) -> Int[np.ndarray, "q width"]:
        """The lists whose centres are not farther than the nearest by more than `reach` (in keys), `most` at most; -1
        behind them."""
        floor = keys.max(axis=1) - np.float32(reach)
        if most < keys.shape[1]:
            many = np.flatnonzero((keys >= floor[:, None]).sum(axis=1) > most)
            if len(many):
                floor[many] = np.partition(keys[many], -most, axis=1)[:, -most]
        who, where = np.nonzero(keys >= floor[:, None])
        counts = np.bincount(who, minlength=len(keys))
        chosen = np.full((len(keys), counts.max()), -1, np.int64)
        chosen[who, np.arange(len(who)) - (np.cumsum(counts) - counts)[who]] = where
        return chosen

    def candidates(
        self,
        queries: Float[np.ndarray, "q dim"],
        *,
        reach: float,
        count: int,
        allowed: Bool[np.ndarray, "n"] | None = None,
    ) -> Int[np.ndarray, "q count"]:
        """Places of the rows whose codes are nearest, nearest first, a row up to twice; -1 where there are fewer."""
        chosen = self.reaches(self.trained.keys(queries), reach, len(self.trained.centres))
        bits = None if allowed is None else np.packbits(allowed, bitorder="little")
        selector = None if bits is None else faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
        wide = padded(queries, self.trained.centres.shape[1])
        # faiss's stubs know neither keywords nor this method; its own wrapper of it takes no selector
        settings = faiss.SearchParametersIVF(sel=selector, nprobe=chosen.shape[1])  # pyright: ignore[reportCallIssue]
        none, distances = np.zeros(chosen.shape, np.float32), np.empty((len(wide), count), np.float32)
        places = np.empty((len(wide), count), np.int64)
        parts = [faiss.swig_ptr(part) for part in (wide, chosen, none, distances, places)]
        search: Any = self.index.search_preassigned_c  # pyright: ignore[reportAttributeAccessIssue]
        search(len(wide), parts[0], count, *parts[1:], False, settings)
        return places


def _give_back() -> None:
    """Return freed memory to the system: glibc keeps what many small pieces have left, 80 MB of a million rows."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def fill(index: faiss.IndexIVFPQ, lists: Int[np.ndarray, "n 2"], codes: UInt8[np.ndarray, "n bytes"]) -> None:
    """Put each row into its lists; a list that stands twice counts once."""
    first, second = lists.T
    other = np.flatnonzero(second != first)
    own = np.concatenate([first, second[other]])
    places = np.concatenate([np.arange(len(lists)), other])
    places = places[np.argsort(own, kind="stable")]
    ends = np.cumsum(np.bincount(own, minlength=index.nlist))
    for number, part in enumerate(np.split(places, ends[:-1])):
        if len(part):
            taken = np.ascontiguousarray(codes[part])
            index.invlists.add_entries(  # pyright: ignore[reportOptionalMemberAccess]
                number, len(part), faiss.swig_ptr(part), faiss.swig_ptr(taken)
            )
    index.ntotal = len(places)

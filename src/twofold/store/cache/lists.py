"""Inverted lists: each row in three lists, coded at four bits per two or more numbers, so that a query reads few.

k-means and the choice of the cells are ours, as matrix products (see `scan` for why); faiss codes
the rows and scans.
"""

import contextlib
import ctypes
from functools import cached_property
from typing import Any

import faiss
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

__all__ = ["COPIES", "Lists", "Trained", "codes_of", "level", "lists_of", "reached", "train"]

ROUNDS = (4, 4, 2, 1, 1)  # of k-means: each takes every so-many-th row of the sample
SAMPLE = 40  # rows per list, for k-means
# sampled rows of a list: a centre is never one row's vector, which an erasure could not take out
FEWEST = 8
CODED = 65_536  # rows for the codebooks
CODING = 512  # rows that are coded at once, in the cache of the processor
COPIES = 3  # lists of a row
# weight of a further list's difference in direction
# from those before (Sun et al. 2023, "SOAR", eq. 5)
ELSEWHERE = 1.5
NEAREST = 3  # lists whose keys' mean is the level from which a query's reach counts
ROWS_AT_ONCE = 1024
"""Rows compared with all centres at once: bounds the memory of a step."""

# of a squared length: a row at its centre has no error that points anywhere
ROUNDED = np.float32(1e-6)
CACHED_ROWS = 32  # rows whose keys stay in the cache of the processor
LOOKS = 16  # codes of a part: four bits
MOST_PARTS = 128
"""Number of parts of a vector, each of two numbers or more; a part has a code of half a byte."""


class Trained:
    """Learned from the rows: centres of the lists, and codebooks for the parts of a row's error.

    Attributes:
        centres: of `lifted` rows. books: of `parts` parts, sixteen entries each; together as wide
            as a lifted row.
        offsets: of each list, from its key for `keys` to the product of the lifted centre with a
            query.
    """

    def __init__(
        self,
        centres: Float[np.ndarray, "lists wide"],
        books: Float[np.ndarray, "parts 16 width"],
        dim: int,
    ) -> None:
        self.centres = centres
        self.books = books
        self.dim = dim
        self.near = centres.copy()
        self.near[:, dim] = np.square(centres[:, :dim]).sum(axis=1) * -0.5
        self.offsets = centres[:, dim] - self.near[:, dim]

    @cached_property
    def between(self) -> Float[np.ndarray, "lists lists"]:
        """The keys of the centres themselves, so that no row's error needs a product of its own with all of them."""
        return self.keys(self.centres[:, : self.dim])

    def keys(
        self, rows: Float[np.ndarray, "n dim"], out: Float[np.ndarray, "m lists"] | None = None
    ) -> Float[np.ndarray, "n lists"]:
        """How near the rows are to the centres: <r, c> - |c|^2 / 2; in the first rows of `out`, if it is given."""
        return np.matmul(
            asked(rows, self.near.shape[1]),
            self.near.T,
            out=None if out is None else out[: len(rows)],
        )


def lifted(rows: Float[np.ndarray, "n dim"], width: int) -> Float[np.ndarray, "n wide"]:
    """The rows with one number more, -|r|^2 / 2, then zeros: products with `asked` queries order them by nearness.

    The product with a row is that with its list's centre and that with its error, so that one table
    of a query's products with the books serves all lists.
    """
    wide = asked(rows, width)
    wide[:, rows.shape[1]] = np.einsum("ij,ij->i", rows, rows) * -0.5
    return wide


def asked(queries: Float[np.ndarray, "n dim"], width: int) -> Float[np.ndarray, "n wide"]:
    """The queries with a one and then zeros behind."""
    wide = np.zeros((len(queries), width), np.float32)
    wide[:, : queries.shape[1]] = queries
    wide[:, queries.shape[1]] = 1.0
    return wide


def train(
    sample: Float[np.ndarray, "n dim"], lists: int, *, generator: np.random.Generator
) -> Trained:
    """Centres by k-means, and codebooks.

    Args:
        sample: at least 16 rows.
        lists: how many to begin with; those of fewer than 8 of the sample's rows are left out in
            the end.
    """
    dim = sample.shape[1]
    part = max(2, -(-dim // MOST_PARTS))
    width = -(-(dim + 1) // part) * part
    rows, questions = lifted(sample, width), asked(sample, width)
    centres = rows[np.sort(generator.choice(len(rows), lists, replace=False))]
    sizes, filled = np.ones(len(centres), np.int64), np.arange(len(centres))
    nearest = np.empty(0, np.int64)
    for step in ROUNDS:
        nearest = _nearest(questions[::step], centres, dim)
        sizes = np.bincount(nearest, minlength=len(centres))
        filled = np.flatnonzero(sizes)
        starts = np.concatenate([[0], np.cumsum(sizes[filled])[:-1]])
        centres = np.add.reduceat(rows[::step][np.argsort(nearest, kind="stable")], starts, axis=0)
        centres /= sizes[filled, None].astype(np.float32)
    errors = rows - centres[np.searchsorted(filled, nearest)]
    large = sizes[filled] >= FEWEST
    centres = centres[large] if large.any() else rows.mean(axis=0, keepdims=True)
    pq = faiss.ProductQuantizer(width, width // part, 4)
    pq.cp.niter, pq.cp.min_points_per_centroid = 12, 1
    pq.train(np.ascontiguousarray(errors[:CODED]))
    return Trained(
        centres, faiss.vector_to_array(pq.centroids).reshape(pq.M, LOOKS, part).copy(), dim
    )


def _nearest(questions: np.ndarray, centres: np.ndarray, dim: int) -> np.ndarray:
    near = centres.copy()
    near[:, dim] = np.square(centres[:, :dim]).sum(axis=1) * -0.5
    nearest = np.empty(len(questions), np.int64)
    room = np.empty((ROWS_AT_ONCE, len(centres)), np.float32)
    for start in range(0, len(questions), ROWS_AT_ONCE):
        block = questions[start : start + ROWS_AT_ONCE]
        keys = np.matmul(block, near.T, out=room[: len(block)])
        nearest[start : start + len(keys)] = keys.argmax(axis=1)
    return nearest


def lists_of(trained: Trained, rows: Float[np.ndarray, "n dim"]) -> Int[np.ndarray, "n copies"]:
    """The lists of each row: the nearest, then those whose errors point elsewhere at little more distance.

    A query that misses the first list, because it lies in the direction of the row's error, finds
    another one: for recall .99 a query looks at a sixth of the rows (measured on embeddings of
    text). If there are too few lists, one is repeated.
    """
    found = np.zeros((len(rows), COPIES), np.int32)
    # reused buffers: new pages for each block would cost more than the work in them
    number = len(trained.centres)
    room, rooms = (
        np.empty((ROWS_AT_ONCE, number), np.float32),
        np.empty((2, CACHED_ROWS, number), np.float32),
    )
    for start in range(0, len(rows), ROWS_AT_ONCE):
        block = rows[start : start + ROWS_AT_ONCE]
        squares = np.einsum("ij,ij->i", block, block)
        keys = trained.keys(block, out=room)
        for few in range(0, len(block), CACHED_ROWS):
            part = slice(few, few + CACHED_ROWS)
            own = found[start + few : start + min(few + CACHED_ROWS, len(block))]
            _choose(keys[part], squares[part], trained.between, rooms=rooms[:, : len(own)], out=own)
    return found


def _choose(
    keys: Float[np.ndarray, "b lists"],
    squares: Float[np.ndarray, "b"],
    between: Float[np.ndarray, "lists lists"],
    *,
    rooms: Float[np.ndarray, "2 b lists"],
    out: Int[np.ndarray, "b copies"],
) -> None:
    """Lists of a few rows x, from their keys, their squared lengths and the keys of the centres."""
    each = np.arange(len(out))
    left, along = rooms
    left[:] = keys
    for copy in range(COPIES):
        nearest = left.argmax(axis=1)
        out[:, copy] = nearest
        if copy == COPIES - 1:
            return
        left[each, nearest] = -np.inf
        own = keys[each, nearest]
        error = np.maximum(squares - 2 * own, ROUNDED * squares + np.finfo(np.float32).tiny)
        # <x, e> - <c, e> for the row's error e in the nearest
        # and each centre c; "clip" only spares a buffer
        between.take(nearest, axis=0, out=along, mode="clip")
        along -= keys
        along += (squares - own - between[nearest, nearest])[:, None]
        along *= np.sqrt(ELSEWHERE / 2 / error)[:, None]
        along *= along
        left -= along


def codes_of(
    trained: Trained, rows: Float[np.ndarray, "n dim"], lists: Int[np.ndarray, "n copies"]
) -> UInt8[np.ndarray, "n copies bytes"]:
    """The errors of the rows in each of their lists, four bits a part; the first part in a byte's lower bits."""
    codes = np.empty((len(rows), lists.shape[1], -(-len(trained.books) // 2)), np.uint8)
    for start in range(0, len(rows), CODING):
        block = lifted(rows[start : start + CODING], trained.centres.shape[1])
        for copy in range(lists.shape[1]):
            codes[start : start + CODING, copy] = _coded(
                block - trained.centres[lists[start : start + CODING, copy]], trained.books
            )
    return codes


def _coded(
    errors: Float[np.ndarray, "n wide"], books: Float[np.ndarray, "parts 16 width"]
) -> UInt8[np.ndarray, "n _"]:
    """As faiss's ProductQuantizer codes them, in half its time: many rows at once for each entry of the books."""
    parts, looks, width = books.shape
    left = np.ones((parts, width + 1, len(errors)), np.float32)
    left[:, :width] = errors.reshape(len(errors), parts, width).transpose(1, 2, 0)
    keys = (
        np.concatenate([books, np.square(books).sum(axis=2, keepdims=True) * -0.5], axis=2) @ left
    )
    best, nearest = keys[:, 0].copy(), np.zeros((parts + parts % 2, len(errors)), np.uint8)
    for look in range(1, looks):
        nearer = (keys[:, look] > best).view(np.uint8)
        nearer *= np.uint8(look)
        np.maximum(nearest[:parts], nearer, out=nearest[:parts])
        np.maximum(best, keys[:, look], out=best)
    return (nearest[::2] | nearest[1::2] << 4).T


class Lists:
    """The lists in memory: 4 bits a part and 8 bytes of place, three times for each row."""

    def __init__(
        self,
        trained: Trained,
        lists: Int[np.ndarray, "n copies"],
        codes: UInt8[np.ndarray, "n copies bytes"],
    ) -> None:
        self.trained = trained
        width, number = trained.centres.shape[1], len(trained.centres)
        self.quantiser = faiss.IndexFlatIP(width)
        self.quantiser.add(trained.centres)
        index = faiss.IndexIVFPQ(
            self.quantiser, width, number, len(trained.books), 4, faiss.METRIC_INNER_PRODUCT
        )
        faiss.copy_array_to_vector(np.ascontiguousarray(trained.books).ravel(), index.pq.centroids)
        index.is_trained = True
        fill(index, lists, codes)
        self.index = faiss.IndexIVFPQFastScan(index)
        # faiss's wrapper would keep the first one, which
        # is as large, for as long as this one is there
        del self.index.referenced_objects  # pyright: ignore[reportAttributeAccessIssue]
        del index
        _give_back()

    def candidates(
        self,
        queries: Float[np.ndarray, "q dim"],
        *,
        reach: float,
        count: int,
        allowed: Bool[np.ndarray, "n"] | None = None,
    ) -> Int[np.ndarray, "q count"]:
        """Places of the rows with the nearest codes, nearest first, each up to three times; -1 if there are fewer."""
        trained = self.trained
        keys = trained.keys(queries)
        chosen = reached(keys, reach)
        products = np.take_along_axis(keys, chosen, axis=1) + trained.offsets[chosen]
        bits = None if allowed is None else np.packbits(allowed, bitorder="little")
        selector = None if bits is None else faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
        wide = asked(queries, trained.centres.shape[1])
        # faiss's stubs know neither keywords nor this
        # method; its own wrapper of it takes no selector
        settings = faiss.SearchParametersIVF(sel=selector, nprobe=chosen.shape[1])  # pyright: ignore[reportCallIssue]
        places, distances = (
            np.empty((len(wide), count), np.int64),
            np.empty((len(wide), count), np.float32),
        )
        parts = [faiss.swig_ptr(part) for part in (wide, chosen, products, distances, places)]
        search: Any = self.index.search_preassigned_c  # pyright: ignore[reportAttributeAccessIssue]
        search(len(wide), parts[0], count, *parts[1:], False, settings)
        return places


def level(keys: Float[np.ndarray, "q lists"]) -> Float[np.ndarray, "q"]:
    """The mean key of a query's nearest lists.

    The very nearest alone says less: with the mean of three a quarter fewer rows are read than with
    the first (measured on embeddings of text).
    """
    total, number = np.zeros(len(keys), np.float32), min(NEAREST, keys.shape[1])
    for start in range(0, len(keys), CACHED_ROWS):
        few, own = keys[start : start + CACHED_ROWS].copy(), total[start : start + CACHED_ROWS]
        each = np.arange(len(few))
        for _ in range(number):
            nearest = few.argmax(axis=1)
            own += few[each, nearest]
            few[each, nearest] = -np.inf
    return total / np.float32(number)


def reached(keys: Float[np.ndarray, "q lists"], reach: float) -> Int[np.ndarray, "q width"]:
    """The nearest list and those whose keys are at most `reach` below `level`; padded with -1."""
    floor = np.minimum(level(keys) - np.float32(reach), keys.max(axis=1))
    near = np.flatnonzero((keys >= floor[:, None]).ravel())
    who = near // keys.shape[1]
    counts = np.bincount(who, minlength=len(keys))
    chosen = np.full((len(keys), counts.max()), -1, np.int64)
    chosen[who, np.arange(len(who)) - (np.cumsum(counts) - counts)[who]] = (
        near - who * keys.shape[1]
    )
    return chosen


def _give_back() -> None:
    """Return freed memory to the system: glibc keeps 80 MB of small pieces after a million rows."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def fill(
    index: faiss.IndexIVFPQ,
    lists: Int[np.ndarray, "n copies"],
    codes: UInt8[np.ndarray, "n copies bytes"],
) -> None:
    """Put each row into its lists; a repeated list counts once."""
    once = np.ones(lists.shape, bool)
    for copy in range(1, lists.shape[1]):
        once[:, copy] = (lists[:, :copy] != lists[:, copy, None]).all(axis=1)
    own, (places, copies) = lists[once], np.nonzero(once)
    order = np.argsort(own, kind="stable")
    places, copies = places[order], copies[order]
    sizes = np.bincount(own, minlength=index.nlist)
    ends = np.cumsum(sizes)
    for number, end in enumerate(ends.tolist()):
        part = places[end - sizes[number] : end]
        if len(part):
            taken = codes[part, copies[end - sizes[number] : end]]
            index.invlists.add_entries(  # pyright: ignore[reportOptionalMemberAccess]
                number, len(part), faiss.swig_ptr(part), faiss.swig_ptr(taken)
            )
    index.ntotal = len(places)

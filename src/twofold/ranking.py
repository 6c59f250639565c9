"""Scores of all items with all items, for numbers that only need their order: most are looked at once, and roughly."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from time import perf_counter
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from twofold.contract import score_from_distance
from twofold.metrics.glances import Span
from twofold.metrics.pairs import ScoreBlock, finite
from twofold.twin import Twin

__all__ = ["Cosines", "ranking"]

HANDFUL = 8
"""Tiles that a thread takes at a time: with one, handing them out takes longer than they do (measured)."""

HALF_FROM = 8192
"""Items from which on a first look in half precision pays."""

AT_ONCE = 1 << 13
"""Vectors that are gathered at a time: of 128 numbers they are 4 MB."""

FIXED = 1 << 26
"""Unit vectors are rounded to multiples of one in so many, about as finely as float32 holds them.

The product of two numbers is then a multiple of 2^-52. By Cauchy and Schwarz all partial sums of a score stay below 2,
so float64 holds each of them exactly: a score does not depend on the order in which a processor adds.
"""


def ranking(twin: Twin, vectors: Float[np.ndarray, "n dim"]) -> ScoreBlock:
    """Scores that rank as those of `embedding.scores` do.

    Cosines are exact (`Cosines`): equal vectors tie on every processor. Most pairs get a rough look
    only, in half precision where there are many and this processor multiplies faster in it.

    Raises:
        DataError: a vector is not finite.
    """
    if twin.comparison.name == "cosine":
        return Cosines(
            vectors, half=len(vectors) >= HALF_FROM and _half_is_faster(vectors.shape[1])
        )

    def score(rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        sides = (torch.from_numpy(vectors[index]).to(twin.device) for index in (rows, cols))
        with torch.inference_mode():
            return (
                score_from_distance(twin.comparison.name, twin.comparison.block(*sides))
                .cpu()
                .numpy()
            )

    return score


class Cosines:
    """Cosine similarities of fixed-point vectors: exact in float64, and rough in fewer digits (see `metrics.glances`).

    A rough look is a product in float32, or one in bfloat16 that is seen as the 16-bit integer of
    the same bits: for scores above 0 these have the same order, and integers are compared in a
    third of the time. How far a look is off is bounded, not guessed: by Cauchy and Schwarz from
    what each vector lost to its rounding (`slack`), and by the rounding of the product.

    Args:
        vectors: float32, of any length.
        half: look in bfloat16.

    Raises:
        DataError: a vector is not finite.
    """

    def __init__(self, vectors: Float[np.ndarray, "n dim"], *, half: bool = False) -> None:
        self.fixed, self.half = _fixed(vectors), half
        self.slack = 0.0
        self.pool = _single_threads(threads) if (threads := torch.get_num_threads()) > 1 else None

    def __call__(
        self, rows: Int[np.ndarray, "rows"], cols: Int[np.ndarray, "cols"]
    ) -> Float[np.ndarray, "rows cols"]:
        return self._unit(rows) @ self._unit(cols).T

    def pairs(self, a: Int[np.ndarray, "n"], b: Int[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """Scores of listed pairs: to the bit those of a tile."""
        scores = np.empty(len(a))
        for start in range(0, len(a), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            scores[part] = np.einsum("nd,nd->n", self._unit(a[part]), self._unit(b[part]))
        return scores

    def arranged(self, order: Int[np.ndarray, "n"]) -> Callable[[slice, slice], np.ndarray]:
        """Rough looks at tiles of the items in this order; a tile is overwritten by the next of its shape."""
        items = torch.empty(self.fixed.shape, dtype=torch.bfloat16 if self.half else torch.float32)
        # sums of dim products in float32 are off by at most dim * 2^-24 (Higham 2002, eq. 3.5);
        # twice that, to be sure
        summed = 2.0**-23 * (items.shape[1] + 1)
        for start in range(0, len(order), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            unit = torch.from_numpy(self._unit(order[part]))
            items[part] = unit.to(items.dtype)
            lost = float(torch.linalg.vector_norm(unit - items[part].double(), dim=1).max())
            # |a.b - a'.b'| <= |a - a'| |b| + |a'| |b - b'|
            self.slack = max(self.slack, lost * (2 + lost) + summed)
        return _Looks(items)

    def each(self, function: Callable[[Span], Any], spans: Sequence[Span]) -> Iterator[Any]:
        """A function of each span, in their order, in as many threads as torch may use."""
        if not self.pool:
            return map(function, spans)
        parts = [spans[start : start + HANDFUL] for start in range(0, len(spans), HANDFUL)]
        return chain.from_iterable(
            self.pool.map(lambda part: [function(span) for span in part], parts)
        )

    def least(self, scores: Float[np.ndarray, "n"]) -> Shaped[np.ndarray, "n"]:
        """What a pair of such a score looks like at least; anything for bfloat16 below 0, whose order is another."""
        if not self.half:
            return (scores - self.slack).astype(np.float32)
        looks = torch.from_numpy(scores - self.slack).bfloat16().view(torch.int16).numpy()
        return np.where(scores > self.slack, looks, np.iinfo(np.int16).min)

    def surely(self, looks: Shaped[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """The score that a pair that looks so has at least."""
        if not self.half:
            return looks - np.float32(self.slack)
        seen = torch.from_numpy(looks).view(torch.bfloat16).float().numpy()
        return np.where(looks > 0, seen * (1 - 2.0**-8) - self.slack, -np.inf).astype(np.float32)

    def _unit(self, index: np.ndarray) -> Float[np.ndarray, "n dim"]:
        return self.fixed[index] * (1.0 / FIXED)


def _fixed(vectors: Float[np.ndarray, "n dim"]) -> Int[np.ndarray, "n dim"]:
    """Vectors of length 1, in multiples of 1 / FIXED; a vector of zeros stays what it is."""
    fixed = np.empty(vectors.shape, np.int32)
    for start in range(0, len(vectors), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        some = finite(vectors[part])
        length = np.sqrt(np.einsum("nd,nd->n", some, some))[:, None]
        fixed[part] = np.rint(some / np.maximum(length, np.finfo(np.float64).tiny) * FIXED)
    return fixed


class _Looks(threading.local):
    """Rough looks at tiles of some items; in each thread a tile is overwritten by the next of its shape."""

    def __init__(self, items: Tensor) -> None:
        self.items = items
        self.spare: dict[tuple[int, int], Tensor] = {}

    def __call__(self, rows: slice, cols: slice) -> np.ndarray:
        shape = rows.stop - rows.start, cols.stop - cols.start
        if shape not in self.spare:
            self.spare[shape] = torch.empty(shape, dtype=self.items.dtype)
        looks = torch.mm(self.items[rows], self.items[cols].T, out=self.spare[shape])
        return (looks.view(torch.int16) if looks.dtype == torch.bfloat16 else looks).numpy()


def _single_threads(count: int) -> ThreadPoolExecutor:
    """Threads in each of which torch uses one thread: small products do not gain from two, and wait for the slower."""
    pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))
    together = threading.Barrier(count)
    list(pool.map(lambda _: together.wait(), range(count)))
    torch.set_num_threads(count)  # threads that start later take over what was set last
    return pool


def _half_is_faster(dim: int) -> bool:
    """Whether this processor's products are faster in bfloat16: tried, since no public function of torch tells."""
    sides = [torch.ones(512, dim, dtype=dtype) for dtype in (torch.bfloat16, torch.float32)]
    best = [float("inf")] * 2
    for turn in range(24):  # in turns, and the best of each: other work on the machine hits both
        started = perf_counter()
        torch.mm(sides[turn % 2], sides[turn % 2].T)
        best[turn % 2] = min(best[turn % 2], perf_counter() - started)
    return 1.5 * best[0] < best[1]

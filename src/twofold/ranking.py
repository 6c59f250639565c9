"""Scores of all items with all items, for numbers that only need their order: most are looked at once, and roughly."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from time import perf_counter
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from twofold.contract import score_from_distance
from twofold.metrics.glances import Span
from twofold.metrics.pairs import ScoreBlock
from twofold.twin import Twin

__all__ = ["Cosines", "ranking"]

HANDFUL = 8
"""Tiles that a thread takes at a time: with one, handing them out takes longer than they do (measured)."""

MANY = 8192
"""Items from which on a rough first look pays."""

AT_ONCE = 1 << 13
"""Vectors that are gathered at a time: of 128 numbers they are 4 MB."""


def ranking(twin: Twin, vectors: Float[np.ndarray, "n dim"]) -> ScoreBlock:
    """Scores that rank as those of `embedding.scores` do, in float32.

    Cosines of many items are `Cosines`, which `metrics.ranks` looks at roughly first, on a processor whose products are
    faster in half precision.
    """
    if twin.comparison.name == "cosine":
        # the product of unit vectors is the score itself: half the time of a distance that is then turned round
        length = np.maximum(np.sqrt(np.einsum("nd,nd->n", vectors, vectors)), np.finfo(np.float32).tiny)[:, None]
        if len(vectors) >= MANY and _half_is_faster(vectors.shape[1]):
            return Cosines(vectors, length)
        return lambda rows, cols: (vectors[rows] / length[rows]) @ (vectors[cols] / length[cols]).T

    def score(rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        sides = (torch.from_numpy(vectors[index]).to(twin.device) for index in (rows, cols))
        with torch.inference_mode():
            return score_from_distance(twin.comparison.name, twin.comparison.block(*sides)).cpu().numpy()

    return score


class Cosines:
    """Cosine similarities, exact in float32 and rough in bfloat16 (see `metrics.glances`).

    A rough look is a bfloat16 product, seen as the 16-bit integer of the same bits: for scores above 0 these have the
    same order, and integers are compared in a third of the time. How far it is off is bounded, not guessed: by
    Cauchy and Schwarz from what each vector lost to its rounding (`slack`), and by the rounding of the product.

    Args:
        vectors: float32, of any length above 0.
        length: of each, float32 (n, 1).
    """

    def __init__(self, vectors: Float[np.ndarray, "n dim"], length: Float[np.ndarray, "n 1"]) -> None:
        self.vectors, self.length = vectors, length
        self.slack = 0.0
        self.pool = _single_threads(threads) if (threads := torch.get_num_threads()) > 1 else None

    def __call__(self, rows: Int[np.ndarray, "rows"], cols: Int[np.ndarray, "cols"]) -> Float[np.ndarray, "rows cols"]:
        return self._unit(rows) @ self._unit(cols).T

    def pairs(self, a: Int[np.ndarray, "n"], b: Int[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """Scores of listed pairs; a pair's does not depend on what is asked with it."""
        scores = np.empty(len(a), np.float32)
        for start in range(0, len(a), AT_ONCE):
            one, other = a[start : start + AT_ONCE], b[start : start + AT_ONCE]
            product = np.einsum("nd,nd->n", self.vectors[one], self.vectors[other])
            scores[start : start + AT_ONCE] = product / (self.length[one] * self.length[other])[:, 0]
        return scores

    def arranged(self, order: Int[np.ndarray, "n"]) -> Callable[[slice, slice], np.ndarray]:
        """Rough looks at tiles of the items in this order; a tile is overwritten by the next of its shape."""
        items = torch.empty(self.vectors.shape, dtype=torch.bfloat16)
        for start in range(0, len(order), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            unit = torch.from_numpy(self._unit(order[part]))
            items[part] = unit.bfloat16()
            lost = float(torch.linalg.vector_norm(unit - items[part].float(), dim=1).max())
            # |a.b - a'.b'| <= |a - a'| |b| + |a'| |b - b'|; 1e-5 for sums in float32
            self.slack = max(self.slack, lost * (2 + lost) + 1e-5)
        return _Looks(items)

    def each(self, function: Callable[[Span], Any], spans: Sequence[Span]) -> Iterator[Any]:
        """A function of each span, in their order, in as many threads as torch may use."""
        if not self.pool:
            return map(function, spans)
        parts = [spans[start : start + HANDFUL] for start in range(0, len(spans), HANDFUL)]
        return chain.from_iterable(self.pool.map(lambda part: [function(span) for span in part], parts))

    def least(self, scores: Float[np.ndarray, "n"]) -> Int[np.ndarray, "n"]:
        """What a pair of such a score looks like at least; where that is below 0, whose order is another, anything."""
        looks = torch.from_numpy(scores - self.slack).bfloat16().view(torch.int16).numpy()
        return np.where(scores > self.slack, looks, np.iinfo(np.int16).min)

    def surely(self, looks: Int[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """The score that a pair that looks so has at least."""
        seen = torch.from_numpy(looks).view(torch.bfloat16).float().numpy()
        return np.where(looks > 0, seen * (1 - 2.0**-8) - self.slack, -np.inf).astype(np.float32)

    def _unit(self, index: np.ndarray) -> np.ndarray:
        return self.vectors[index] / self.length[index]


class _Looks(threading.local):
    """Rough looks at tiles of some items; in each thread a tile is overwritten by the next of its shape."""

    def __init__(self, items: Tensor) -> None:
        self.items = items
        self.spare: dict[tuple[int, int], Tensor] = {}

    def __call__(self, rows: slice, cols: slice) -> np.ndarray:
        shape = rows.stop - rows.start, cols.stop - cols.start
        if shape not in self.spare:
            self.spare[shape] = torch.empty(shape, dtype=torch.bfloat16)
        torch.mm(self.items[rows], self.items[cols].T, out=self.spare[shape])
        return self.spare[shape].view(torch.int16).numpy()


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

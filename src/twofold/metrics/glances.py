"""Scores that can be had roughly in a fraction of the time: what ranks are counted from where there are many."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

__all__ = ["Glances", "Span"]

Span = tuple[int, int]
"""Items from one position to before another."""


@runtime_checkable
class Glances(Protocol):
    """Scores that can also be had roughly, in a fraction of the time, with an error that is known.

    Most pairs then get one rough look, and the few that may matter an exact one. What a rough look
    sees is a number of any numpy type, larger for larger scores.
    """

    def __call__(self, rows: Int[np.ndarray, "rows"], cols: Int[np.ndarray, "cols"]) -> np.ndarray:
        """Exact scores of a tile, as any `ScoreBlock` gives them."""
        ...

    def pairs(self, a: Int[np.ndarray, "n"], b: Int[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """Exact scores of listed pairs: the same for the same two items, whatever else is asked with them."""
        ...

    def arranged(self, order: Int[np.ndarray, "n"]) -> Callable[[slice, slice], np.ndarray]:
        """A function that takes a rough look at a tile, where `order[i]` is the item at place i."""
        ...

    def each(self, function: Callable[[Span], Any], spans: Sequence[Span]) -> Iterator[Any]:
        """A function of each span, in their order; several at once, if that is faster."""
        ...

    def least(self, scores: Float[np.ndarray, "n"]) -> np.ndarray:
        """What a pair of such a score, or a higher one, looks like at least."""
        ...

    def surely(self, looks: np.ndarray) -> Float[np.ndarray, "n"]:
        """The score that a pair that looks so has at least."""
        ...

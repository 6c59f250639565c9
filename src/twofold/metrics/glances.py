"""Scores with a fast approximation, from which ranks are counted if there are many items."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

__all__ = ["Glances", "Span"]

Span = tuple[int, int]
"""Items from one position to before another."""


@runtime_checkable
class Glances(Protocol):
    """Scores that also have a fast approximation with a known error.

    Most pairs then get one rough look, and the few that may matter an exact one. A look is a number
    of any numpy type, larger for larger scores.
    """

    def __call__(self, rows: Int[np.ndarray, "rows"], cols: Int[np.ndarray, "cols"]) -> np.ndarray:
        """Exact scores of a tile, as any `ScoreBlock` gives them."""
        ...

    def pairs(self, a: Int[np.ndarray, "n"], b: Int[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """Exact scores of listed pairs, which do not depend on the other pairs of the call."""
        ...

    def arranged(self, order: Int[np.ndarray, "n"]) -> Callable[[slice, slice], np.ndarray]:
        """A function that takes a rough look at a tile, where `order[i]` is the item at place i."""
        ...

    def each(self, function: Callable[[Span], Any], spans: Sequence[Span]) -> Iterator[Any]:
        """Apply a function to each span, in order; several at once if that is faster."""
        ...

    def least(self, scores: Float[np.ndarray, "n"]) -> np.ndarray:
        """The least look of pairs with at least these scores."""
        ...

    def surely(self, looks: np.ndarray) -> Float[np.ndarray, "n"]:
        """The least score of pairs with these looks."""
        ...

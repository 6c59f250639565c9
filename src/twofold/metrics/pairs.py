"""Scored pairs in blocks: what every verification number is counted from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from twofold.errors import DataError

__all__ = ["AllPairs", "PairBlock", "PairList", "PairSource", "ScoreBlock", "finite"]

ScoreBlock = Callable[[Int[np.ndarray, "rows"], Int[np.ndarray, "cols"]], Float[np.ndarray, "rows cols"]]
"""Scores of the items `rows` with the items `cols` (indices)."""


@dataclass(frozen=True, kw_only=True)
class PairBlock:
    """Some pairs: their scores, whether they are genuine, and the units (0-based codes) of their two items."""

    scores: Float[np.ndarray, "n"]
    same: Bool[np.ndarray, "n"]
    first: Int[np.ndarray, "n"]
    second: Int[np.ndarray, "n"]


@runtime_checkable
class PairSource(Protocol):
    """Pairs that can be gone through several times, block by block; `units` identities take part."""

    @property
    def units(self) -> int: ...

    def __iter__(self) -> Iterator[PairBlock]: ...


class PairList:
    """Pairs listed one by one.

    Args:
        scores: larger is more alike.
        same: True for genuine pairs.
        first, second: identity (or whatever is to be resampled) of either item, any integers.

    Raises:
        DataError: a score is not finite.
    """

    def __init__(
        self,
        scores: Float[np.ndarray, "n"],
        same: Bool[np.ndarray, "n"],
        *,
        first: Int[np.ndarray, "n"],
        second: Int[np.ndarray, "n"],
    ) -> None:
        names, codes = np.unique(np.concatenate([first, second]), return_inverse=True)
        low, high = codes[: len(first)], codes[len(first) :]
        self._block = PairBlock(scores=finite(scores), same=same, first=low, second=high)
        self._units = len(names)

    @property
    def units(self) -> int:
        """How many identities take part."""
        return self._units

    def __iter__(self) -> Iterator[PairBlock]:
        yield self._block


class AllPairs:
    """Every unordered pair of different items, scored in row blocks by a function.

    Two items are genuine when their labels are equal; a skilled forgery has a label of its own and the identity of
    the writer it imitates, so that it is an impostor of that writer and is resampled with them.

    Args:
        score: scores of items `rows` with items `cols`, both given as indices.
        labels: class of every item.
        identity: what is resampled; None: the labels.
        block: about how many pairs are scored at once.

    Raises:
        DataError: a score is not finite (raised while iterating).
    """

    def __init__(
        self,
        score: ScoreBlock,
        labels: Int[np.ndarray, "n"],
        *,
        identity: Int[np.ndarray, "n"] | None = None,
        block: int = 1 << 20,
    ) -> None:
        names, codes = np.unique(labels if identity is None else identity, return_inverse=True)
        # items of an identity side by side: a block then holds few identities in `first`
        self._order = np.argsort(codes, kind="stable")
        self._codes, self._labels = codes[self._order], labels[self._order]
        self._score, self._block, self._units = score, block, len(names)

    @property
    def units(self) -> int:
        """How many identities take part."""
        return self._units

    def __iter__(self) -> Iterator[PairBlock]:
        items = len(self._order)
        start = 0
        while start < items - 1:
            stop = min(start + max(self._block // (items - start), 1), items - 1)
            yield self._rows(start, stop)
            start = stop

    def _rows(self, start: int, stop: int) -> PairBlock:
        rows, cols = np.arange(start, stop), np.arange(start, len(self._order))
        scores = self._score(self._order[rows], self._order[cols])
        upper = np.nonzero(cols[None, :] > rows[:, None])
        first, second = upper[0] + start, upper[1] + start
        return PairBlock(
            scores=finite(scores[upper]),
            same=self._labels[first] == self._labels[second],
            first=self._codes[first],
            second=self._codes[second],
        )


def finite(scores: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """The scores as float64, if all of them are numbers.

    Raises:
        DataError: a score is NaN or infinite.
    """
    wrong = scores[~np.isfinite(scores)]
    if len(wrong):
        raise DataError(
            f"{len(wrong)} of {scores.size} scores are not finite (the first is {wrong[0]}): look at the "
            "vectors they come from"
        )
    return scores.astype(np.float64, copy=False)

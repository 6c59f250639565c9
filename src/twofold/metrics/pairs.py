"""Scored pairs in blocks, from which every verification number is counted.

Law 2 rules here: a rate is a rate over pairs of *identities*, so that an identity with many items
counts once. A pair therefore carries a weight (see `pair_weights`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from twofold.errors import DataError
from twofold.metrics.pair_weights import Weigh, Weights, listed_weights

__all__ = [
    "AllPairs",
    "Impostors",
    "OneKind",
    "PairBlock",
    "PairList",
    "PairSource",
    "ScoreBlock",
    "Weigh",
    "fair",
    "finite",
    "of_kinds",
    "upper",
]

BLOCK = 1 << 20
"""Pairs scored at once, about: 8 MB of scores in float64, beside codes and weights of the same
length."""

ScoreBlock = Callable[
    [Int[np.ndarray, "rows"], Int[np.ndarray, "cols"]], Float[np.ndarray, "rows cols"]
]
"""Scores of the items `rows` with the items `cols` (indices)."""


Impostors = Literal["random", "skilled"]
"""Items of two identities; or a forgery made to look like an identity, and an item of it."""


@dataclass(frozen=True, kw_only=True)
class PairBlock:
    """Some pairs: their scores, whether they are genuine, the units (0-based codes) of their two items, their weights.

    An impostor pair within one unit is a skilled forgery with an item of the writer it imitates.
    """

    scores: Float[np.ndarray, "n"]
    same: Bool[np.ndarray, "n"]
    first: Int[np.ndarray, "n"]
    second: Int[np.ndarray, "n"]
    weights: Float[np.ndarray, "n"]


@runtime_checkable
class PairSource(Protocol):
    """Pairs that can be iterated several times, block by block.

    `units` is the number of identities, `crossed` the same if all of them were compared with each
    other, else 0.
    """

    @property
    def units(self) -> int: ...

    @property
    def crossed(self) -> int: ...

    def __iter__(self) -> Iterator[PairBlock]: ...


def of_kinds(block: PairBlock) -> Iterator[tuple[bool, Float[np.ndarray, "n"]]]:
    """True with the weights of genuine pairs, False with those of impostors; else 0.

    To count a pair with weight 0 is much faster than to leave it out.
    """
    yield True, np.where(block.same, block.weights, 0.0)
    yield False, np.where(block.same, 0.0, block.weights)


class OneKind:
    """The genuine pairs of a source, and its impostor pairs of one kind.

    A rate that mixes random and skilled impostors says little about either: there are far more of
    the first.
    """

    def __init__(self, pairs: PairSource, kind: Impostors) -> None:
        self._pairs, self._kind = pairs, kind

    @property
    def units(self) -> int:
        """How many identities take part."""
        return self._pairs.units

    @property
    def crossed(self) -> int:
        """How many identities, if every two of them were compared; else 0."""
        return self._pairs.crossed if self._kind == "random" else 0

    def __iter__(self) -> Iterator[PairBlock]:
        for block in self._pairs:
            kept = block.same | ((block.first == block.second) == (self._kind == "skilled"))
            if kept.all():
                yield block
                continue
            yield PairBlock(**{name: each[kept] for name, each in vars(block).items()})


class PairList:
    """Pairs listed one by one.

    Args:
        scores: larger is more alike.
        same: True for genuine pairs.
        first, second: identity (or another unit to be resampled) of either item, any integers.
        weigh: what counts once.

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
        weigh: Weigh = "identities",
    ) -> None:
        names, codes = np.unique(np.concatenate([first, second]), return_inverse=True)
        low, high = codes[: len(first)], codes[len(first) :]
        weights = np.ones(len(first)) if weigh == "pairs" else listed_weights(same, low, high)
        self._block = PairBlock(
            scores=finite(scores), same=same, first=low, second=high, weights=weights
        )
        self._units = len(names)
        apart = ~same & (low != high)
        ends = np.sort(np.stack([low[apart], high[apart]]), axis=0)
        self._couples = np.unique(ends, axis=1).shape[1]

    @property
    def units(self) -> int:
        """How many identities take part."""
        return self._units

    @property
    def crossed(self) -> int:
        """How many identities, if every two of them were compared; else 0."""
        return self._units if self._couples == self._units * (self._units - 1) // 2 else 0

    def __iter__(self) -> Iterator[PairBlock]:
        yield self._block


class AllPairs:
    """Every unordered pair of different items, scored in row blocks by a function.

    Two items are genuine when their labels are equal. A skilled forgery has a label of its own and
    the identity of the writer it imitates: it is an impostor of that writer, is resampled with
    them, and is compared with nothing else.

    Args:
        score: scores of items `rows` with items `cols`, both given as indices.
        labels: class of every item.
        identity: what is resampled; None: the labels.
        forged: which items are skilled forgeries; None: none.
        source: the recording of every item: near-equal items of one identity and one recording
            count as one item and form no genuine pairs. None: each item is a recording of its own.
        weigh: what counts once.
        block: about how many pairs are scored at once.
        progress: called with (done, total) pairs in every pass.

    Raises:
        DataError: a score is not finite (raised while iterating).
    """

    def __init__(
        self,
        score: ScoreBlock,
        labels: Int[np.ndarray, "n"],
        *,
        identity: Int[np.ndarray, "n"] | None = None,
        forged: Bool[np.ndarray, "n"] | None = None,
        source: Int[np.ndarray, "n"] | None = None,
        weigh: Weigh = "identities",
        block: int = BLOCK,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        names, codes = np.unique(labels if identity is None else identity, return_inverse=True)
        # items of an identity are adjacent, so that a block has few identities in `first`
        self._order = np.argsort(codes, kind="stable")
        self._codes, self._labels = codes[self._order], labels[self._order]
        self._forged = np.zeros(len(codes), dtype=bool) if forged is None else forged[self._order]
        self._score, self._block, self._units = score, block, len(names)
        bursts = None if source is None else source[self._order]
        self._weights = Weights(self._codes, self._labels, self._forged, weigh, source=bursts)
        self._progress = progress

    @property
    def units(self) -> int:
        """How many identities take part."""
        return self._units

    @property
    def crossed(self) -> int:
        """How many identities were compared with each other."""
        return self._weights.present

    @property
    def one_kind(self) -> bool:
        """Whether no impostor pair is one of a single identity, so that all are random ones."""
        classes = np.unique(np.stack([self._codes, self._labels]), axis=1)
        return not self._forged.any() and classes.shape[1] == self._units

    def __iter__(self) -> Iterator[PairBlock]:
        done, items = 0, len(self._order)
        even = not self._forged.any() and not self._weights.bursts
        for block in self._rectangles() if even else self._listed():
            done += len(block.scores)
            if self._progress:
                self._progress(done, items * (items - 1) // 2)
            yield block

    def _rectangles(self) -> Iterator[PairBlock]:
        """Some rows with all later items: several times as fast as pair by pair."""
        items, start = len(self._order), 0
        while start < items - 1:
            stop = min(start + max(self._block // (items - start), 1), items - 1)
            scores = self._score(self._order[start:stop], self._order[start:])
            rows, cols = np.arange(start, stop)[:, None], np.arange(start, items)
            same = self._labels[rows] == self._labels[cols]
            weights = self._weights.between(self._codes[rows], self._codes[cols], same)
            ends = np.broadcast_arrays(self._codes[rows], self._codes[cols])
            fields = ("scores", "same", "first", "second", "weights")
            told = zip(fields, (scores, same, *ends, weights), strict=True)
            inside = np.triu_indices(stop - start, 1)
            block = {name: _flat(each, inside, stop - start) for name, each in told}
            yield PairBlock(**block | {"scores": finite(block["scores"])})
            start = stop

    def _listed(self) -> Iterator[PairBlock]:
        """As `_rectangles`, where some pairs are left out."""
        for first, second, scores in upper(self._score, self._order, self._block):
            same = self._labels[first] == self._labels[second]
            if self._forged.any():
                alike = self._codes[first] == self._codes[second]
                kept = fair(self._forged[first], self._forged[second], alike)
                first, second, same, scores = first[kept], second[kept], same[kept], scores[kept]
            weights = self._weights.of(same, first, second)
            if self._weights.bursts:
                kept = weights > 0
                first, second, same, scores = first[kept], second[kept], same[kept], scores[kept]
                weights = weights[kept]
            low, high = self._codes[first], self._codes[second]
            yield PairBlock(scores=scores, same=same, first=low, second=high, weights=weights)


def _flat(
    values: Shaped[np.ndarray, "rows cols"], inside: tuple[np.ndarray, ...], side: int
) -> Shaped[np.ndarray, "pairs"]:
    """Values of the first square at the places `inside`, and all beyond the square."""
    beyond = values[:, side:]
    found = np.empty(len(inside[0]) + beyond.size, values.dtype)
    found[: len(inside[0])] = values[:, :side][inside]
    found[len(inside[0]) :].reshape(beyond.shape)[...] = beyond
    return found


def fair(
    forged: Bool[np.ndarray, "n"],
    other: Bool[np.ndarray, "n"],
    same_identity: Bool[np.ndarray, "n"],
) -> Bool[np.ndarray, "n"]:
    """Which pairs are compared: a forgery with what it imitates, never with another forgery."""
    return ~(forged | other) | (same_identity & (forged != other))


def upper(
    score: ScoreBlock, members: Int[np.ndarray, "n"], block: int
) -> Iterator[
    tuple[Int[np.ndarray, "pairs"], Int[np.ndarray, "pairs"], Float[np.ndarray, "pairs"]]
]:
    """Every unordered pair of members as two places and a score, about `block` at a time."""
    items, start = len(members), 0
    while start < items - 1:
        stop = min(start + max(block // (items - start), 1), items - 1)
        scores = score(members[start:stop], members[start:])
        first, second = np.nonzero(
            np.arange(items - start)[None, :] > np.arange(stop - start)[:, None]
        )
        yield first + start, second + start, finite(scores[first, second])
        start = stop


def finite(scores: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """The scores as float64, if all are finite.

    Raises:
        DataError: a score is NaN or infinite.
    """
    wrong = scores[~np.isfinite(scores)]
    if len(wrong):
        raise DataError(
            f"{len(wrong)} of {scores.size} scores are not finite (the first is {wrong[0]}): "
            "check the vectors they come from"
        )
    return scores.astype(np.float64, copy=False)

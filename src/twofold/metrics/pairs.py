"""Scored pairs in blocks, from which every verification number is counted.

Law 2 rules here: a rate is a rate over pairs of *identities*, so that an identity with many items
counts once. A pair therefore carries a weight (see `pair_weights`).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from twofold.errors import DataError
from twofold.metrics.pair_weights import Weigh, Weights, listed_weights

__all__ = [
    "AllPairs",
    "Impostors",
    "OneKind",
    "PairBlock",
    "PairList",
    "PairSource",
    "SampledPairs",
    "ScoreBlock",
    "Weigh",
    "finite",
]

BLOCK = 1 << 20
HAND = 256

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

    def __iter__(self) -> Iterator[PairBlock]:
        done, items = 0, len(self._order)
        for first, second, scores in _upper(self._score, self._order, self._block):
            done += len(scores)
            if self._progress:
                self._progress(done, items * (items - 1) // 2)
            same = self._labels[first] == self._labels[second]
            if self._forged.any():
                alike = self._codes[first] == self._codes[second]
                kept = _fair(self._forged[first], self._forged[second], alike)
                first, second, same, scores = first[kept], second[kept], same[kept], scores[kept]
            weights = self._weights.of(same, first, second)
            if self._weights.bursts:
                kept = weights > 0
                first, second, same, scores = first[kept], second[kept], same[kept], scores[kept]
                weights = weights[kept]
            low, high = self._codes[first], self._codes[second]
            yield PairBlock(scores=scores, same=same, first=low, second=high, weights=weights)


class SampledPairs:
    """All genuine pairs of very many items, and impostor pairs drawn by chance: 10^6 items make 5 * 10^11 pairs.

    The items are shuffled and dealt into hands, and every impostor pair within a hand is scored:
    each pair has the same chance to be drawn, and each item takes part in about as many. If even
    the genuine pairs are more than `most`, each item draws a number, and genuine pairs with equal
    numbers are scored: again each has the same chance. The same seed draws the same pairs in every
    pass.

    Args:
        score: scores of items `rows` with items `cols`, both given as indices.
        labels: class of every item.
        identity: what is resampled; None: the labels.
        forged: which items are skilled forgeries; None: none.
        source: as in `AllPairs`.
        most: about how many genuine and how many impostor pairs are scored.
        progress: called with (done, total) items in every pass.

    Attributes:
        genuine, impostor: numbers of all pairs, of which a part is scored.

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
        seed: int = 0,
        most: int = 1 << 24,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        names, self._codes = np.unique(
            labels if identity is None else identity, return_inverse=True
        )
        self._labels = np.unique(labels, return_inverse=True)[1]
        self._forged = np.zeros(len(labels), dtype=bool) if forged is None else forged
        self._weights = Weights(
            self._codes, self._labels, self._forged, "identities", source=source
        )
        self._score, self._units, self._seed, self._most = score, len(names), seed, most
        self._progress = progress
        self.genuine, self.impostor = self._weights.genuine_pairs, self._weights.impostor_pairs

    @property
    def units(self) -> int:
        """How many identities take part."""
        return self._units

    @property
    def crossed(self) -> int:
        """0: a sample does not compare every two identities."""
        return 0

    def __iter__(self) -> Iterator[PairBlock]:
        generator = np.random.default_rng(self._seed)
        items, parts = len(self._labels), max(-(-self.genuine // self._most), 1)
        number = generator.integers(0, parts, items) if parts > 1 else np.zeros(items, np.int64)
        hands = max(-(-(items**2) // (items + 2 * self._most)), 1)
        dealt = np.array_split(generator.permutation(items), hands)
        yield from _joined(self._among(_kin(self._labels * parts + number), number, same=True))
        yield from _joined(self._among(dealt, self._labels, same=False))

    def _among(
        self, hands: Iterable[np.ndarray], key: np.ndarray, *, same: bool
    ) -> Iterator[PairBlock]:
        """The genuine or the impostor pairs of every hand; genuine ones only if their keys are equal, too."""
        done, items = 0, len(self._labels)
        for members in hands:
            for low, high, scores in _upper(self._score, members, BLOCK):
                first, second = members[low], members[high]
                genuine = self._labels[first] == self._labels[second]
                fair = _fair(
                    self._forged[first],
                    self._forged[second],
                    self._codes[first] == self._codes[second],
                )
                kept = np.flatnonzero(
                    fair & (genuine & (key[first] == key[second]) if same else ~genuine)
                )
                kind = np.full(len(kept), same)
                weights = self._weights.of(kind, first[kept], second[kept])
                kept, kind, weights = (each[weights > 0] for each in (kept, kind, weights))
                low, high = self._codes[first[kept]], self._codes[second[kept]]
                yield PairBlock(
                    scores=scores[kept], same=kind, first=low, second=high, weights=weights
                )
            done += len(members)
            if self._progress:
                self._progress(done if same else items + done, 2 * items)


def _fair(
    forged: Bool[np.ndarray, "n"],
    other: Bool[np.ndarray, "n"],
    same_identity: Bool[np.ndarray, "n"],
) -> Bool[np.ndarray, "n"]:
    """Which pairs are compared: a forgery with what it imitates, never with another forgery."""
    return ~(forged | other) | (same_identity & (forged != other))


def _kin(keys: Int[np.ndarray, "n"]) -> list[Int[np.ndarray, "hand"]]:
    """Items grouped by shared keys into hands; small hands are joined, to be scored in one call."""
    _, codes, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    order = np.argsort(codes, kind="stable")
    begin = np.repeat(np.cumsum(sizes) - sizes, sizes)
    shared = np.repeat(sizes, sizes) > 1
    return np.split(order[shared], np.flatnonzero(np.diff(begin[shared] // HAND)) + 1)


def _upper(
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


def _joined(blocks: Iterable[PairBlock]) -> Iterator[PairBlock]:
    """The same pairs in blocks of at least `BLOCK` (the last may be smaller), since every block has a fixed cost."""
    waiting, count = [], 0
    for block in blocks:
        waiting.append(block)
        count += len(block.scores)
        if count >= BLOCK:
            yield _one(waiting)
            waiting, count = [], 0
    if waiting:
        yield _one(waiting)


def _one(blocks: list[PairBlock]) -> PairBlock:
    fields = ("scores", "same", "first", "second", "weights")
    return PairBlock(
        **{field: np.concatenate([getattr(block, field) for block in blocks]) for field in fields}
    )


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

"""Pairs of very many items, drawn by chance: every genuine one, and some of the impostor ones."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from jaxtyping import Bool, Int

from twofold.metrics.pair_weights import Weights
from twofold.metrics.pairs import BLOCK, PairBlock, ScoreBlock, fair, upper

__all__ = ["SampledPairs"]

HAND = 256
"""Items that are compared with each other, at most, where genuine pairs are looked for."""


class SampledPairs:
    """All genuine pairs of very many items, and impostor pairs drawn by chance.

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
        genuine, impostor: how many pairs there are, of which a part is scored.

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
        """The genuine or the impostor pairs of every hand; genuine ones of equal keys only."""
        done, items = 0, len(self._labels)
        for members in hands:
            for low, high, scores in upper(self._score, members, BLOCK):
                first, second = members[low], members[high]
                genuine = self._labels[first] == self._labels[second]
                fit = fair(
                    self._forged[first],
                    self._forged[second],
                    self._codes[first] == self._codes[second],
                )
                kept = np.flatnonzero(
                    fit & (genuine & (key[first] == key[second]) if same else ~genuine)
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


def _kin(keys: Int[np.ndarray, "n"]) -> list[Int[np.ndarray, "hand"]]:
    """Items whose keys are shared, those of equal keys in one hand; small ones together."""
    _, codes, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    order = np.argsort(codes, kind="stable")
    begin = np.repeat(np.cumsum(sizes) - sizes, sizes)
    shared = np.repeat(sizes, sizes) > 1
    return np.split(order[shared], np.flatnonzero(np.diff(begin[shared] // HAND)) + 1)


def _joined(blocks: Iterable[PairBlock]) -> Iterator[PairBlock]:
    """The same pairs in blocks of at least `BLOCK`, the last one apart."""
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

"""Sets of references beside single probes: the pairs from which a threshold for several references is counted."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

from twofold.errors import NotEnoughData, UsageError
from twofold.metrics.pairs import PairBlock, ScoreBlock, finite

__all__ = ["ReferencePairs", "reference_sets"]

BLOCK = 1 << 20
"""Pairs that are scored at once, about: their scores and codes take some tens of MB."""

SETS = 4
"""Sets of references that are drawn of one identity at most: each is compared with every probe."""


def reference_sets(
    labels: Int[np.ndarray, "n"],
    count: int,
    *,
    usable: Bool[np.ndarray, "n"] | None = None,
    seed: int = 0,
) -> Int[np.ndarray, "sets references"]:
    """Disjoint sets of `count` items of one class, drawn by chance: up to four for each class that has so many.

    Args:
        usable: items that may be references (no forgeries); None: all.

    Raises:
        UsageError: `count` is below 2.
        NotEnoughData: no class has more than `count` items, so that no genuine pair is left.
    """
    if count < 2:
        raise UsageError(f"{count} references: several are at least 2")
    dealt = np.random.default_rng(seed).permutation(len(labels))
    dealt = dealt if usable is None else dealt[usable[dealt]]
    members = dealt[np.argsort(labels[dealt], kind="stable")]
    _, sizes = np.unique(labels[members], return_counts=True)
    if not (sizes > count).any():
        raise NotEnoughData(
            f"{count} references and a probe take {count + 1} items of an identity: the largest has "
            f"{int(sizes.max(initial=0))}. Give more items of each, or ask for fewer references"
        )
    place = np.arange(len(members)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    whole = np.repeat(np.minimum(sizes // count, SETS) * count, sizes)
    return members[place < whole].reshape(-1, count)


class ReferencePairs:
    """Every set of references beside every item that is not in it.

    Law 2: the genuine pairs of an identity share one weight, and so do the impostor pairs of two
    identities, whichever of them the references are of. Weights of each kind have the mean 1. A
    skilled forgery is compared with the references of whom it imitates alone.

    Args:
        score: scores of the sets `rows` with the items `cols`, both given as indices.
        sets: the items of each set, all of one class.
        labels: class of every item; equal ones are genuine.
        identity: what is resampled; None: the labels.
        forged: which items are skilled forgeries; None: none.
        source: the recording of every item; what is of one recording with a reference of its own
            identity is not compared with it. None: each item is a recording of its own.

    Raises:
        DataError: a score is not finite (raised while iterating).
    """

    def __init__(
        self,
        score: ScoreBlock,
        sets: Int[np.ndarray, "sets references"],
        labels: Int[np.ndarray, "n"],
        *,
        identity: Int[np.ndarray, "n"] | None = None,
        forged: Bool[np.ndarray, "n"] | None = None,
        source: Int[np.ndarray, "n"] | None = None,
    ) -> None:
        names, codes = np.unique(labels if identity is None else identity, return_inverse=True)
        self._score, self._sets, self._labels, self._codes = score, sets, labels, codes
        self._forged = np.zeros(len(labels), dtype=bool) if forged is None else forged
        self._recording = np.arange(len(labels)) if source is None else source
        self._owner = codes[sets[:, 0]]
        self._units = len(names)
        self._sets_of = np.bincount(self._owner, minlength=self._units).astype(float)
        self._genuine, self._skilled = self._inside()
        probes = np.bincount(codes[~self._forged], minlength=self._units).astype(float)
        self._probes = probes
        present, bare = (
            np.count_nonzero(probes),
            np.count_nonzero((probes > 0) & (self._sets_of == 0)),
        )
        couples = (present * (present - 1) - bare * (bare - 1)) // 2
        met_pairs = self._sets_of.sum() * probes.sum() - float(self._sets_of @ probes)
        self._apart = met_pairs / max(couples, 1)

    @property
    def units(self) -> int:
        """How many identities take part."""
        return self._units

    @property
    def crossed(self) -> int:
        """How many identities, if every two of them were compared; else 0."""
        return self._units if np.count_nonzero(self._sets_of == 0) <= 1 else 0

    def __iter__(self) -> Iterator[PairBlock]:
        for rows in self._chunks():
            first, second = np.nonzero(self._kept(rows))
            scores = finite(self._score(rows, np.arange(len(self._labels)))[first, second])
            same = self._same(rows)[first, second]
            low, high = self._owner[rows[first]], self._codes[second]
            yield PairBlock(
                scores=scores, same=same, first=low, second=high, weights=self._of(same, low, high)
            )

    def _chunks(self) -> list[Int[np.ndarray, "rows"]]:
        parts = max(-(-len(self._sets) * len(self._labels) // BLOCK), 1)
        return np.array_split(np.arange(len(self._sets)), parts)

    def _same(self, rows: Int[np.ndarray, "rows"]) -> Bool[np.ndarray, "rows n"]:
        return self._labels[self._sets[rows, 0]][:, None] == self._labels[None]

    def _kept(self, rows: Int[np.ndarray, "rows"]) -> Bool[np.ndarray, "rows n"]:
        """Which items each set is compared with: none of its own recordings, and no forgery of another."""
        own = self._owner[rows][:, None] == self._codes[None]
        kept = own | ~self._forged[None]
        for place, row in enumerate(rows):
            mine = np.flatnonzero(own[place] & ~self._forged)
            known = np.isin(self._recording[mine], self._recording[self._sets[row]])
            kept[place, mine[known]] = False
        return kept

    def _inside(self) -> tuple[Float[np.ndarray, "units"], Float[np.ndarray, "units"]]:
        """The weight of a genuine pair of each identity, and that of a skilled forgery of it."""
        genuine, skilled = np.zeros(self._units), np.zeros(self._units)
        for rows in self._chunks():
            kept, same = self._kept(rows), self._same(rows)
            own = self._owner[rows][:, None] == self._codes[None]
            np.add.at(genuine, self._owner[rows], (kept & same).sum(axis=1))
            np.add.at(skilled, self._owner[rows], (kept & own & ~same).sum(axis=1))
        return _shared(genuine), _shared(skilled)

    def _of(
        self, same: Bool[np.ndarray, "n"], low: Int[np.ndarray, "n"], high: Int[np.ndarray, "n"]
    ) -> Float[np.ndarray, "n"]:
        met = self._sets_of[low] * self._probes[high] + self._sets_of[high] * self._probes[low]
        apart = np.where(low == high, self._skilled[low], self._apart / np.maximum(met, 1.0))
        return np.where(same, self._genuine[low], apart)


def _shared(pairs: Float[np.ndarray, "units"]) -> Float[np.ndarray, "units"]:
    """What one of so many pairs of each identity weighs, so that every identity weighs the same."""
    total = pairs.sum() / max(np.count_nonzero(pairs), 1)
    return np.divide(total, pairs, out=np.zeros(len(pairs)), where=pairs > 0)

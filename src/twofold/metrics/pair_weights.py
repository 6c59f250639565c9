"""Weights of pairs, so that every identity counts once (law 2), however many items it has."""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

__all__ = ["Weigh", "Weights", "listed_weights"]

Weigh = Literal["identities", "pairs"]
"""What counts once: every identity (its genuine pairs share a weight) and every two identities (so
do their impostor pairs), or every pair, as the protocols of public pair lists have it. Weights of
each kind have the mean 1, so that identities with equal numbers of items give weights of exactly
1."""


class Weights:
    """Weights of pairs, from the numbers of items of identities and recordings alone.

    Without recordings they have the mean 1 over all genuine pairs, over all of random impostors,
    and over all of skilled ones. With recordings they add up to what the numbers of pairs would be
    with one item of each.

    Args:
        codes: identity of every item, 0-based.
        labels: class of every item; two items are genuine when these are equal.
        forged: which items are skilled forgeries.
        source: recording of every item, of which an identity's items count as one; None: each is
            its own.
    """

    def __init__(
        self,
        codes: Int[np.ndarray, "n"],
        labels: Int[np.ndarray, "n"],
        forged: Bool[np.ndarray, "n"],
        weigh: Weigh,
        *,
        source: Int[np.ndarray, "n"] | None = None,
    ) -> None:
        units = int(codes.max(initial=-1)) + 1
        self.bursts, self._codes, self._burst = source is not None, codes, np.arange(len(codes))
        self._item = np.ones(len(codes))
        if source is not None:
            self._burst, self._item = _recordings(codes, labels, forged, source)
        kind = (codes[~forged], labels[~forged])
        forgeries = np.bincount(codes[forged], minlength=units)
        apart, genuine, within = _numbers(*kind, np.ones(len(kind[0])), forgeries)
        self.genuine_pairs, self.impostor_pairs = int(genuine.sum()), int(apart + within.sum())
        apart, genuine, within = _numbers(*kind, self._item[~forged], forgeries)
        sizes = np.bincount(kind[0], weights=self._item[~forged], minlength=units)
        self.present = int(np.count_nonzero(sizes))
        classes = np.unique(np.stack(kind), axis=1)
        # a class in several units: its pairs are counted apart, too
        spread_out = classes.shape[1] > len(np.unique(classes[1]))
        self._even = weigh == "pairs" or spread_out
        self._sizes = np.where(sizes > 0, sizes, 1.0)
        self._apart = apart / max(self.present * (self.present - 1) / 2, 1)
        self._genuine = _shared(genuine.sum() / max(np.count_nonzero(genuine), 1), genuine)
        self._within = _shared(within.sum() / max(np.count_nonzero(within), 1), within)

    def between(
        self,
        rows: Int[np.ndarray, "rows 1"],
        cols: Int[np.ndarray, "cols"],
        same: Bool[np.ndarray, "rows cols"],
    ) -> Float[np.ndarray, "rows cols"]:
        """The weights of all pairs of these identities, ascending, as `of`; without recordings."""
        if self._even:
            return np.ones(same.shape)
        found = self._apart / (self._sizes[rows] * self._sizes[cols])
        near = slice(0, int(np.searchsorted(cols, rows[-1, 0], side="right")))
        own, other = np.nonzero(rows == cols[near])
        found[own, other] = self._within[rows[own, 0]]
        own, other = np.nonzero(same[:, near])
        found[own, other] = self._genuine[rows[own, 0]]
        return found

    def of(
        self, same: Bool[np.ndarray, "n"], first: Int[np.ndarray, "n"], second: Int[np.ndarray, "n"]
    ) -> Float[np.ndarray, "n"]:
        """The weights of pairs of these items; 0 for two items of one recording."""
        found = np.ones(len(same))
        if not self._even:
            low, high = self._codes[first], self._codes[second]
            found = self._apart / (self._sizes[low] * self._sizes[high])
            found = np.where(low == high, self._within[low], found)
            found = np.where(same, self._genuine[low], found)
        if not self.bursts:
            return found
        one = self._burst[first] == self._burst[second]
        return np.where(
            one, 0.0, found if self._even else found * self._item[first] * self._item[second]
        )


def _numbers(
    codes: Int[np.ndarray, "n"],
    labels: Int[np.ndarray, "n"],
    item: Float[np.ndarray, "n"],
    forgeries: Int[np.ndarray, "identities"],
) -> tuple[float, Float[np.ndarray, "identities"], Float[np.ndarray, "identities"]]:
    """Impostor pairs of different identities; genuine and impostor pairs inside each identity: weighted by `item`."""
    units = len(forgeries)
    sizes = np.bincount(codes, weights=item, minlength=units).astype(np.float64)
    classes, place = np.unique(np.stack([codes, labels]), axis=1, return_inverse=True)
    of_class = np.bincount(place.reshape(-1), weights=item, minlength=classes.shape[1])
    genuine = np.bincount(
        classes[0], weights=of_class * (of_class - 1) / 2, minlength=units
    ).astype(np.float64)
    # different items of one unit: a forgery and what it imitates, or classes that share a unit
    within = sizes * (sizes - 1) / 2 - genuine + sizes * forgeries
    return float(sizes.sum() ** 2 - (sizes**2).sum()) / 2, genuine, within


def _recordings(
    codes: Int[np.ndarray, "n"],
    labels: Int[np.ndarray, "n"],
    forged: Bool[np.ndarray, "n"],
    source: Int[np.ndarray, "n"],
) -> tuple[Int[np.ndarray, "n"], Float[np.ndarray, "n"]]:
    """A code for each recording of a class, and the weight of its items; forgeries are counted singly."""
    own = np.where(forged, np.arange(len(codes)), -1)
    rows = np.stack([codes, labels, source, own])
    _, burst, count = np.unique(rows, axis=1, return_inverse=True, return_counts=True)
    burst = burst.reshape(-1)
    return burst, 1.0 / count[burst]


def _shared(
    total: float, among: Float[np.ndarray, "identities"]
) -> Float[np.ndarray, "identities"]:
    """The weight of a pair, if identities with so many pairs share `total` equally."""
    return np.divide(total, among, out=np.zeros(len(among)), where=among > 0)


def listed_weights(
    same: Bool[np.ndarray, "n"], first: Int[np.ndarray, "n"], second: Int[np.ndarray, "n"]
) -> Float[np.ndarray, "n"]:
    """Weights of listed pairs: each kind's pairs of the same two identities share one weight."""
    weights = np.ones(len(same))
    for kind in (True, False):
        rows = np.flatnonzero(same == kind)
        ends = np.sort(np.stack([first[rows], second[rows]]), axis=0)
        _, couple, count = np.unique(ends, axis=1, return_inverse=True, return_counts=True)
        if len(rows):
            weights[rows] = len(rows) / len(count) / count[couple.reshape(-1)]
    return weights

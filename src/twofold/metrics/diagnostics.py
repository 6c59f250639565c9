"""What in the calibration data makes a certificate doubtful: rare bad identities, one that dominates, unequal numbers.

These are symptoms. If the identities that would cause most false accepts are missing from the data,
so is every sign of them: no diagnostic sees that, and only a guarantee covers it
(docs/standings.md).
"""

from dataclasses import dataclass

import numpy as np

from twofold.metrics.pairs import PairSource

__all__ = ["Symptoms", "symptoms"]

SHAPE = 3.5
"""The statistic at which identities are reported to have heavy tails: of 101 identities whose
effects are normal, at most one set in ten has so large a statistic (bench/standings.py,
"warnings")."""

MOST = 200
"""Identities that count in the statistic, at most: a slight skewness is harmless, however certain
it is."""

FEWEST = 30
"""Fewest identities that tell anything about tails."""

DOMINATES = 0.3
"""Share of the false accepts at which one identity is reported: .12 is usual at 101 identities, .25
if one in twenty is near everybody."""

APART = 2.0
"""Factor between the rates over items and over identities that is reported."""


@dataclass(frozen=True, kw_only=True)
class Symptoms:
    """What identities' impostor scores look like at a threshold.

    Attributes:
        skewness, kurtosis: of identities' mean impostor scores; 0 and 0 for normal ones.
        shape: `min(M, 200) / 6 * (skewness^2 + max(kurtosis, 0)^2 / 4)`, after Jarque & Bera 1980;
            0 of few identities.
        largest: share of the false accepts in which a single identity takes part.
        rate, by_items: false-accept rate over couples of identities, and over pairs of items.
    """

    skewness: float
    kurtosis: float
    shape: float
    largest: float
    rate: float
    by_items: float
    identities: int

    def warnings(self, *, certified: bool, needed: int) -> tuple[str, ...]:
        """A sentence for each symptom, with what to do about it.

        Args:
            certified: the rate is; tails do not matter to a guarantee, and an estimate promises
                nothing.
            needed: identities that make a guarantee practical.
        """
        found = []
        remedy = f"give more identities; with about {needed:,} --standing guaranteed covers that"
        if self.shape > SHAPE and certified:
            found.append(
                f"identities differ more than usual (skewness {self.skewness:.1f}, excess "
                f"kurtosis {self.kurtosis:.1f} of their mean impostor scores): rare ones may make "
                f"most false accepts, and these {self.identities} may miss them; {remedy}"
            )
        if self.largest > DOMINATES and certified:
            found.append(
                f"a single identity takes part in {self.largest:.0%} "
                f"of the false accepts: look at its items, or {remedy}"
            )
        if not self.rate / APART <= self.by_items <= self.rate * APART:
            found.append(
                "identities with many items differ from the others: counted by pairs of items the "
                f"rate is {self.by_items:.2g} in place of {self.rate:.2g}; every identity counts "
                "once here. If production compares items in such numbers, it will see the first"
            )
        return tuple(found)


def symptoms(pairs: PairSource, threshold: float) -> Symptoms:
    """Look at the impostor pairs once.

    Args:
        pairs: impostor pairs of one kind.
    """
    units = pairs.units
    sums, weights, accepted = np.zeros(units), np.zeros(units), np.zeros(units)
    total, reached, items, taken = 0.0, 0.0, 0, 0
    for block in pairs:
        weight = np.where(block.same, 0.0, block.weights)
        hit = np.flatnonzero((block.scores >= threshold) & ~block.same)
        scored = weight * block.scores
        for end in (block.first, block.second):
            sums += np.bincount(end, weights=scored, minlength=units)
            weights += np.bincount(end, weights=weight, minlength=units)
            accepted += np.bincount(end[hit], weights=weight[hit], minlength=units)
        total, reached = total + float(weight.sum()), reached + float(weight[hit].sum())
        items, taken = items + int(np.count_nonzero(~block.same)), taken + len(hit)
    known = weights > 0
    skewness, kurtosis = _shape(sums[known] / weights[known])
    size = min(int(known.sum()), MOST)
    return Symptoms(
        skewness=skewness,
        kurtosis=kurtosis,
        shape=size / 6.0 * (skewness**2 + max(kurtosis, 0.0) ** 2 / 4.0) if size >= FEWEST else 0.0,
        largest=float(accepted.max(initial=0.0)) / reached if reached else 0.0,
        rate=reached / max(total, 1e-300),
        by_items=taken / max(items, 1),
        identities=int(known.sum()),
    )


def _shape(values: np.ndarray) -> tuple[float, float]:
    """Skewness and excess kurtosis; 0 where nothing varies."""
    moved = values - values.mean() if len(values) else values
    spread = float(moved.std()) if len(values) else 0.0
    if not spread > 0:
        return 0.0, 0.0
    return float(((moved / spread) ** 3).mean()), float(((moved / spread) ** 4).mean()) - 3.0

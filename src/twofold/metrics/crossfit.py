"""Cross-fitted scores: every identity is scored by a model that has not seen it, so that few identities suffice.

Law 2 rules: identities of different folds are never compared, since no model is new to both.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from twofold.errors import NotEnoughData
from twofold.metrics.pairs import PairBlock, PairList
from twofold.metrics.verification import tally, threshold_at_far

__all__ = ["CrossFit", "spread_of_folds"]

DISAGREEING = 5.0
"""Times the asked rate in one fold at which the folds disagree. A judgement, not a measurement:
chance gives two or three."""


@dataclass(frozen=True, kw_only=True)
class CrossFit:
    """Pairs inside each fold, scored by the model of all other folds; a `PairSource`.

    Attributes:
        scores: larger is more alike. same: True for genuine pairs.
        first, second: codes of the identities of either side, from 0 on without gaps.
        fold: which fold a pair is of.
    """

    scores: Float[np.ndarray, "n"]
    same: Bool[np.ndarray, "n"]
    first: Int[np.ndarray, "n"]
    second: Int[np.ndarray, "n"]
    fold: Int[np.ndarray, "n"]

    @property
    def units(self) -> int:
        """Identities that take part."""
        return int(max(self.first.max(), self.second.max())) + 1 if len(self.scores) else 0

    @property
    def crossed(self) -> int:
        """0: identities of different folds are not compared."""
        return 0

    @property
    def folds(self) -> int:
        """How many folds there are."""
        return len(np.unique(self.fold))

    @property
    def impostor_identity_pairs(self) -> int:
        """Pairs of different identities that were compared."""
        low, high = np.minimum(self.first, self.second), np.maximum(self.first, self.second)
        return len(np.unique((low * self.units + high)[low != high]))

    def __iter__(self) -> Iterator[PairBlock]:
        yield from self._listed(self.scores)

    def beyond_thresholds(self, far: float) -> PairList:
        """Scores less the threshold at `far` that all other folds give: no pair is judged by a threshold made from it.

        Raises:
            NotEnoughData: without one fold no genuine or no impostor pair is left.
        """
        return self._listed(self._beyond(far))

    def rates_of_folds(self, far: float) -> Float[np.ndarray, " folds"]:
        """False-accept rate inside each fold at the threshold at `far` that all other folds give.

        Raises:
            NotEnoughData: as `beyond_thresholds`.
        """
        accepted = self._beyond(far) >= 0.0
        impostors = [(self.fold == code) & ~self.same for code in np.unique(self.fold)]
        return np.array([accepted[chosen].mean() for chosen in impostors if chosen.any()])

    def _beyond(self, far: float) -> Float[np.ndarray, "n"]:
        scores = self.scores.astype(np.float64)
        for code in np.unique(self.fold):
            inside = self.fold == code
            scores[inside] -= float(threshold_at_far(tally(self._of(~inside)), far))
        return scores

    def _of(self, chosen: Bool[np.ndarray, "n"]) -> PairList:
        return PairList(
            self.scores[chosen].astype(np.float64),
            self.same[chosen],
            first=self.first[chosen],
            second=self.second[chosen],
        )

    def _listed(self, scores: Float[np.ndarray, "n"]) -> PairList:
        return PairList(scores.astype(np.float64), self.same, first=self.first, second=self.second)


def spread_of_folds(judged: CrossFit, far: float) -> tuple[str, ...]:
    """A warning if the models of the folds disagree so much that the final one may be far from all of them."""
    try:
        rates = judged.rates_of_folds(far)
    except NotEnoughData:
        return ()
    if rates.max(initial=0.0) < DISAGREEING * far:
        return ()
    return (
        f"fold by fold {rates.min():.2g} to {rates.max():.2g} of impostors are accepted at a "
        "threshold from the other folds: the models disagree, and the true rate of the final one "
        f"may be as far from {far:g}. Train longer (--set epochs=N), or on more items",
    )

"""The time that a tuning may take: no trial eats up what it takes to confirm the best."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from twofold.errors import UsageError
from twofold.results import Progress

__all__ = ["TrialTime"]

TOLD_FROM = 0.1
"""Share of a training from which on its speed says how long it will take."""

LONGER = 1.15
"""Times as long as its trial a confirming training is taken to be: pairs are scored after it, and a shared machine is
not always equally fast. Without it a tuning of 1,500 s took 1,633 s."""

FEWEST_TRAININGS = 10
"""Of a tuning that has something to choose from: four trials, and six trainings that confirm."""


@dataclass(frozen=True, kw_only=True)
class TrialTime:
    """Until when a tuning may take, and how much of that is kept free.

    What the methods are given as `seconds` is how long each training took that would be confirmed
    now: of the recipe as it is, then of the best trials, the best first. Before the first trial has
    ended there is none.

    Attributes:
        until: the end (`time.monotonic`); None: no limit.
        folds: trainings that confirm one of them.
    """

    until: float | None
    folds: int

    def allows_another(self, seconds: Sequence[float]) -> bool:
        """Whether a trial may begin.

        Raises:
            UsageError: the first trial has ended, and what is left is too short to confirm anything.
        """
        if self.until is None:
            return True
        if len(seconds) == 1:
            self._refuse_if_short(seconds[0], seconds[0] * self.folds)
        usual = sum(seconds) / max(len(seconds), 1)
        return time.monotonic() + usual + LONGER * sum(seconds) * self.folds < self.until

    def too_slow(self, progress: Progress, seconds: Sequence[float]) -> bool:
        """Whether a trial could not be confirmed in time beside the recipe as it is and the best one.

        Args:
            progress: where its training stands.

        Raises:
            UsageError: that is so for the first trial, which leaves the recipe as it is.
        """
        if self.until is None:
            return False
        epochs = progress.epoch - 1 + progress.step / max(progress.steps, 1)
        if epochs < TOLD_FROM * progress.epochs and time.monotonic() < self.until:
            return False
        whole = progress.seconds + progress.seconds_left
        if not seconds:
            self._refuse_if_short(whole, progress.seconds_left + whole * self.folds)
            return False
        after = LONGER * (sum(seconds[:2]) + whole) * self.folds
        return time.monotonic() + progress.seconds_left + after > self.until

    def at_most(self, seconds: float) -> float:
        """So many seconds, or those until the end if they are fewer."""
        if self.until is None:
            return seconds
        return min(seconds, max(self.until - time.monotonic(), 0.0))

    def _refuse_if_short(self, whole: float, needed: float) -> None:
        """Raise UsageError where the recipe as it is, which takes `whole`, cannot be confirmed in time."""
        if self.until is not None and time.monotonic() + needed > self.until:
            enough = whole * FEWEST_TRAININGS
            raise UsageError(
                f"one training takes about {whole:.0f} s here, and the time is not enough to try "
                f"and confirm anything: give --max-time {enough:.0f} or more, or shorter trainings "
                f"(--set epochs=N)"
            )

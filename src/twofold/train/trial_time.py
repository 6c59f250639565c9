"""The time that a tuning may take: no trial eats up what it takes to confirm the best."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from twofold.errors import UsageError
from twofold.results import Progress

__all__ = ["TrialTime"]

TOLD_FROM = 0.1
"""Share of a training from which on its speed says how long it will take."""


@dataclass(frozen=True, kw_only=True)
class TrialTime:
    """Until when a tuning may take, and how much of that is kept free.

    Attributes:
        until: the end (`time.monotonic`); None: no limit.
        own, confirming: trainings that confirm the recipe as it is alone, and it with the best.
    """

    until: float | None
    own: int
    confirming: int

    def allows_another(self, seconds: Sequence[float]) -> bool:
        """Whether a trial may begin.

        Args:
            seconds: that each finished trial took.

        Raises:
            UsageError: the first trial has ended, and what is left is too short to confirm anything.
        """
        if self.until is None:
            return True
        longest = max(seconds, default=0.0)
        if len(seconds) == 1:
            self._refuse_if_short(longest, longest * self.own)
        return time.monotonic() + longest * (1 + self.confirming) < self.until

    def too_slow(self, progress: Progress, seconds: Sequence[float]) -> bool:
        """Whether a trial leaves too little time to confirm the best, itself perhaps among them.

        Args:
            progress: where its training stands. seconds: that each finished trial took.

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
            self._refuse_if_short(whole, progress.seconds_left + whole * self.own)
            return False
        after = max(whole, *seconds) * self.confirming
        return time.monotonic() + progress.seconds_left + after > self.until

    def _refuse_if_short(self, whole: float, needed: float) -> None:
        """Raise UsageError where the recipe as it is, which takes `whole`, cannot be confirmed in time."""
        if self.until is not None and time.monotonic() + needed > self.until:
            # two trials more, so that there is something to choose from
            enough = whole * (1 + 2 + self.confirming)
            raise UsageError(
                f"one training takes about {whole:.0f} s here, and the time is not enough to try "
                f"and confirm anything: give --max-time {enough:.0f} or more, or shorter trainings "
                f"(--set epochs=N)"
            )

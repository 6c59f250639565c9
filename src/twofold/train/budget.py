"""The time that a training may take: counted from the start of the command, and left with its learning rate annealed.

When four fifths of the time for training are over and the rest of the schedule does not fit into
what is left, the learning rate falls to its end over the last fifth (a cool-down; Haegele et al.
2024, section 3). The state before the cool-down is the one that a training continues from, so that
more time later gives exactly the weights of one that was never cut (law 11).
"""

import time
from dataclasses import dataclass

__all__ = ["Budget"]

COOL_DOWN = 0.2
"""Share of the training time in which the learning rate falls to its end; that of the paper."""


@dataclass(kw_only=True)
class Budget:
    """Seconds for one command.

    Attributes:
        seconds: how many there are; None: no limit.
        began: when the command started, by `time.monotonic`.
        first: seconds that were over at the first step; None: there was none yet.
        cooling: seconds that were over when the cool-down began; None: it has not.
        reserve: seconds at the end for a last look at the validation items; as long as the look
            before took.
    """

    seconds: float | None
    began: float
    first: float | None = None
    cooling: float | None = None
    reserve: float = 0.0

    @property
    def limit(self) -> float | None:
        """Seconds after which no step is begun; None: no limit."""
        return None if self.seconds is None else max(self.seconds - self.reserve, 0.0)

    @property
    def spent(self) -> bool:
        """Whether no further step may begin."""
        return self.limit is not None and self.over >= self.limit

    @property
    def over(self) -> float:
        """Seconds since the command started."""
        return time.monotonic() - self.began

    @property
    def left(self) -> float | None:
        """Seconds that are left; None: no limit."""
        return None if self.seconds is None else max(self.seconds - self.over, 0.0)

    def must_cool(self, over: float, *, done: float, before: float) -> bool:
        """Whether the cool-down begins now; once it has begun it goes on.

        Args:
            over: seconds that are over, the same in all processes.
            done: share of all steps that is done. before: share that was done when this command
                began to train.
        """
        if self.limit is None or self.cooling is not None:
            return False
        if self.first is None:
            self.first = over
        spent, whole = over - self.first, self.limit - self.first
        if spent < (1 - COOL_DOWN) * whole:
            return False
        needed = (1 - done) * spent / max(done - before, 1e-9)
        if needed <= self.limit - over:
            return False  # the schedule ends in time by itself
        self.cooling = over
        return True

    def cooled(self, over: float) -> float:
        """How much of the cool-down is over, from 0 to 1."""
        if self.cooling is None or self.limit is None:
            return 0.0
        return min((over - self.cooling) / max(self.limit - self.cooling, 1e-9), 1.0)

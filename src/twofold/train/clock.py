"""What a training costs, in seconds of the clock and of the processor, however many commands it took."""

import time
from typing import NamedTuple

__all__ = ["Clock", "Seconds"]


class Seconds(NamedTuple):
    """Seconds of the clock on the wall, and of all threads of the processor, whatever else the machine does."""

    wall: float = 0.0
    core: float = 0.0

    @classmethod
    def now(cls) -> "Seconds":
        """A moment, to be subtracted from a later one."""
        return cls(time.monotonic(), time.process_time())

    def __add__(self, other: "Seconds") -> "Seconds":  # type: ignore[override] - not a longer tuple
        return Seconds(self.wall + other.wall, self.core + other.core)

    def __sub__(self, other: "Seconds") -> "Seconds":
        return Seconds(self.wall - other.wall, self.core - other.core)


class Clock:
    """Time before the first step and since.

    Attributes:
        prepared: what came before the first step: features that are made once, and the folds that
            judge. The time that is left is told from the steps alone.
        started: when the steps began, or went on.
    """

    def __init__(self) -> None:
        self.prepared, self.started, self._before = Seconds(), Seconds.now(), Seconds()

    @property
    def stepping(self) -> Seconds:
        """Since the first step, with the steps of earlier commands."""
        return self._before + (Seconds.now() - self.started)

    @property
    def whole(self) -> Seconds:
        """All of it."""
        return self.prepared + self.stepping

    def prepared_since(self, began: Seconds) -> None:
        """All since `began` was preparation, up to the first step."""
        self.prepared += self.started - began

    def step_on(self, before: Seconds) -> None:
        """Go on after steps that took `before`."""
        self._before, self.started = before, Seconds.now()

"""How quickly an epoch goes."""

import time

__all__ = ["Pace"]


class Pace:
    """How quickly an epoch goes.

    Attributes:
        losses: of its steps.
        waited: seconds for which the steps stood still until their data was there.
    """

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.losses: list[float] = []
        self.items = self.pairs = 0
        self.waited = 0.0

    def take(self, loss: float, *, items: int, pairs: int, waited: float) -> None:
        """Count one step; `waited` is what the whole epoch has waited so far."""
        self.losses.append(loss)
        self.items, self.pairs, self.waited = self.items + items, self.pairs + pairs, waited

    @property
    def seconds(self) -> float:
        return max(time.monotonic() - self.started, 1e-9)

    @property
    def items_per_second(self) -> float:
        return self.items / self.seconds

    @property
    def pairs_per_second(self) -> float:
        return self.pairs / self.seconds

    @property
    def waiting(self) -> float:
        """Share of the time in which the arithmetic stood still for data."""
        return self.waited / self.seconds

    def numbers(self) -> dict[str, float]:
        """For the log."""
        return {
            "items_per_second": round(self.items_per_second, 1),
            "pairs_per_second": round(self.pairs_per_second, 1),
            "waiting": round(self.waiting, 4),
        }

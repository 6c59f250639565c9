"""When the state of a training is kept, and what is left behind when something goes wrong."""

import json
import time
from collections.abc import Sequence

from twofold.errors import Interrupted, TrainingError
from twofold.files import write_atomically
from twofold.train import checkpoint
from twofold.train.checkpoint import Checkpoints
from twofold.train.feed import Batches, ItemFeed
from twofold.train.run import Run

__all__ = ["Keeper"]

LARGE = 32 << 20
"""Bytes of weights from which on not every epoch is kept: of few items an epoch may take less than its state."""

APART = 30.0
"""Seconds between the states of large weights that the ends of epochs give."""

GOOD_STEPS = 500
"""Steps between two states in memory that an alarm can go back to, beside the ends of epochs."""


class Keeper:
    """Keeps the state of `run` in memory for alarms and, where there are `checkpoints`, on disk for the next start.

    Args:
        ids: of the training items, to name them.
    """

    def __init__(
        self, run: Run, checkpoints: Checkpoints | None, *, ids: Sequence[str] = ()
    ) -> None:
        self.run, self.ids = run, ids
        self.checkpoints = checkpoints if run.processes.first else None
        self.asked = checkpoints.asked if checkpoints else None
        self.kept = time.monotonic()
        self.frozen: int | None = None
        self.large = sum(each.nbytes for each in run.twin.parameters()) >= LARGE
        if self.checkpoints and not self.checkpoints.resume:
            checkpoint.drop(self.checkpoints.states)
        run.remember_good()

    def keep(self) -> None:
        """The state as it is now."""
        self.run.remember_good()
        if self.checkpoints and self.frozen is None:
            checkpoint.keep(self.checkpoints, self.run.tensors(), self.run.numbers())
        self.kept = time.monotonic()

    def after_epoch(self) -> None:
        """Keep the state; of large weights at the end of the training, or half a minute after the last time."""
        over = bool(self.run.stopped) or self.run.epoch == self.run.recipe.epochs
        if over or not self.large or time.monotonic() - self.kept >= APART:
            self.keep()

    def freeze(self) -> None:
        """Keep the state as it is now, and none after it: no training continues from a cool-down, which comes next."""
        self.keep()
        self.frozen = self.run.step

    def after_step(self) -> None:
        """Keep the state if it is time to.

        Raises:
            Interrupted: the training was asked to end.
        """
        if self.run.processes.agreed(self.asked is not None and self.asked()):
            self.keep()
            step = self.run.step if self.frozen is None else self.frozen
            raise Interrupted(
                f"training was asked to end at step {self.run.step}; --resume continues from step "
                f"{step}"
            )
        if self.checkpoints and time.monotonic() - self.kept > self.checkpoints.seconds:
            self.keep()
        elif self.run.index % GOOD_STEPS == 0:
            self.run.remember_good()

    def culprit(self, alarm: TrainingError, feed: Batches) -> None:
        """Write down which items stood in the batch that raised an alarm: their ids and classes.

        The batch itself can be made again from them: what an item looks like depends on (seed,
        epoch, item) alone.
        """
        if not self.checkpoints or not isinstance(feed, ItemFeed):
            return
        run = self.run
        planned = feed.plan(run.epoch, run.groups)[run.index]
        told = {
            "alarm": str(alarm),
            "seed": run.seed,
            "epoch": run.epoch,
            "step": run.step,
            "items": [self.ids[index // feed.variants] for index in planned],
            "variants": [int(index % feed.variants) for index in planned],
            "labels": [int(label) for label in feed.labels[planned]],
        }
        self.checkpoints.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(
            self.checkpoints.folder / "culprit.json", json.dumps(told, indent=1).encode()
        )

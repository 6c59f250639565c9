"""The epochs of a training: step, look, validate, keep."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from twofold.errors import NotEnoughData, TrainingError
from twofold.results import Progress
from twofold.train.feed import Ahead, Batches
from twofold.train.freezing import stay_still
from twofold.train.keeper import Keeper
from twofold.train.run import Run
from twofold.train.validate import Looking

__all__ = ["Take", "Watch", "learn"]

Watch = Callable[[Progress], None]

Take = Callable[[Any, Any, Sequence[int]], float]
"""One step on a batch, its targets and the share of each process; returns the loss before it."""


def learn(
    run: Run,
    feed: Batches,
    take: Take,
    *,
    keeper: Keeper,
    validation: Looking | None,
    watch: Watch | None,
) -> None:
    """All epochs that are left, a look at unseen identities after each.

    Args:
        take: does a step.
    """
    while run.epoch < run.recipe.epochs and not run.stopped:
        try:
            _one_epoch(run, feed, take, keeper=keeper, watch=watch)
        except TrainingError as alarm:
            keeper.culprit(alarm, feed)
            run.roll_back(alarm)
            continue
        if run.cut:
            keeper.keep()  # before the look: to go on is to do the rest of this epoch
        run.look(validation, last=bool(run.stopped) or run.epoch + 1 == run.recipe.epochs)
        if not run.cut:
            keeper.after_epoch()


def _one_epoch(run: Run, feed: Batches, take: Take, *, keeper: Keeper, watch: Watch | None) -> None:
    epoch, plan = run.epoch, _planned(run, feed)
    if not plan:
        raise NotEnoughData(
            "not one batch can be filled: lower p or k, or give more items per identity"
        )
    run.twin.train()
    stay_still(run.frozen)
    batches = Ahead(lambda indices: feed.batch(indices, epoch), plan[run.index :])
    for batch, targets in batches:
        done = (epoch + run.index / len(plan)) / run.recipe.epochs
        if run.must_cool(done):
            keeper.freeze()
        run.set_learning_rate(done)
        sizes = feed.sizes(plan[run.index])
        loss = take(batch, targets, sizes)
        run.index += 1
        run.pace.take(loss, items=sum(sizes), pairs=feed.pairs(targets), waited=batches.waited)
        if watch:
            watch(_progress(run, len(plan)))
        keeper.after_step()
        if run.late and run.index < len(plan):
            run.stopped, run.cut = f"the {run.recipe.max_seconds:g} seconds are over", True
            return
    if run.late:
        run.stopped = f"the {run.recipe.max_seconds:g} seconds are over"


def _planned(run: Run, feed: Batches) -> list[np.ndarray]:
    """This epoch's batches, of the classes that the model finds most alike if the recipe wants that."""
    run.begin()
    return feed.plan(run.epoch, run.groups)


def _progress(run: Run, steps: int) -> Progress:
    done = (run.epoch + run.index / steps) / run.recipe.epochs
    left = run.seconds * (1 - done) / max(done, 1e-9)
    if run.budget.left is not None:
        left = min(left, run.budget.left)
    shown = [line[run.recipe.monitor] for line in run.history if run.recipe.monitor in line]
    return Progress(
        epoch=run.epoch + 1,
        epochs=run.recipe.epochs,
        step=run.index,
        steps=steps,
        loss=run.pace.losses[-1],
        monitor=run.recipe.monitor,
        monitored=shown[-1] if shown else None,
        best=run.best,
        items_per_second=run.pace.items_per_second,
        pairs_per_second=run.pace.pairs_per_second,
        waiting=run.pace.waiting,
        seconds=run.seconds,
        seconds_left=left,
    )

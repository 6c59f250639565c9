"""What the trainings of change and of tracking share: their loss is a mean over items, each process takes its own."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from twofold import build
from twofold.config import Recipe
from twofold.data.footage import Footage
from twofold.data.scenes import Scenes
from twofold.errors import DataError, SlowPrecision
from twofold.precision import slowdown
from twofold.provenance import Provenance
from twofold.train import checkpoint
from twofold.train.checkpoint import State
from twofold.train.freezing import frozen
from twofold.train.run import Run
from twofold.train.step import RANKS_APART, update
from twofold.twin import ChangeTwin, TrackTwin

__all__ = ["begun", "descend", "forwarding", "provenance_of", "told"]


def provenance_of(
    parts: Mapping[str, Scenes] | Mapping[str, Footage], state: State | None
) -> Provenance:
    """What the bundle will remember; of a training that continues, what it began with.

    Raises:
        DataError: the data has changed since the training began.
    """
    earlier = None if state is None else checkpoint.provenance(state.tensors)
    known = Provenance() if earlier is None else Provenance(salt=earlier.salt)
    for name, part in parts.items():
        known = known.with_part(name, part)
    if earlier is not None and known.parts != earlier.parts:
        raise DataError(
            "the data has changed since the training began: restore it, or train without --resume"
        )
    return known


@contextmanager
def begun(
    twin: ChangeTwin | TrackTwin,
    recipe: Recipe,
    *,
    seed: int,
    state: State | None,
    provenance: Provenance,
    began: float,
) -> Iterator[Run]:
    """A run from its first step, or from a kept state; within it the recipe's frozen layers are held."""
    with frozen(twin, recipe.freeze) as still:
        run = Run(twin, [], recipe, seed)
        run.frozen, run.provenance, run.budget.began = still, provenance, began
        if state is not None:
            run.resume(state)
        if (slow := slowdown(run.precision, twin.device)) and slow not in run.notes:
            run.notes.append(slow)
            # this frame, that of `with`, that of fit_*, and who has called it
            warnings.warn(slow, SlowPrecision, stacklevel=4)
        yield run


@contextmanager
def forwarding(run: Run) -> Iterator[None]:
    """A pass forward: in the run's precision, with dropout of this step and process, and without older gradients."""
    run.optimiser.zero_grad(set_to_none=True)
    device = run.twin.device.type
    seed = run.seed * 1_000_003 + run.step + run.processes.rank * RANKS_APART
    with (
        build.seeded(seed),
        torch.autocast(device, torch.bfloat16, enabled=run.precision == "bfloat16"),
    ):
        yield


def descend(run: Run, loss: Tensor) -> float:
    """Change the weights a little; returns the loss of the whole batch, of which this process has its share."""
    part = loss / run.processes.count
    value = float(run.processes.total(part.detach()))
    run.alarms.loss(value)
    part.backward()
    run.processes.add_gradients(run.twin.parameters())
    update(run)
    return value


def told(run: Run) -> dict[str, Any]:
    """How the training went, for the bundle."""
    return {
        "seed": run.seed,
        "epochs": run.epoch,
        "steps": run.step,
        "seconds": round(run.seconds, 1),
        "core_seconds": round(run.core_seconds, 1),
        "stopped": run.stopped or "all epochs done",
        "best": {run.recipe.monitor: run.best},
        "history": run.history,
        "loss": run.recipe.loss.name,
        "precision": run.precision,
        "profile": checkpoint.profile(),
        "notes": run.notes,
    }

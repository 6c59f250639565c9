"""One step of training: the embeddings of a batch, the loss of all its pairs, gradients, new weights.

The loss is taken at the embeddings alone, and its gradient by them is then carried back through the
encoder. So a batch may be embedded in pieces that are embedded again when their gradient is known
(cached gradients; Gao et al. 2021), or by several processes; the loss sees all of it and does not
know.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from twofold import build
from twofold.losses.pairing import Share, sharing
from twofold.train.objective import Objective
from twofold.train.run import Run

__all__ = ["RANKS_APART", "gradients", "step", "update"]

Replay = Callable[[Tensor], object]

RANKS_APART = 2_654_435_769
"""Between the seeds of two processes: 2^32 over the golden ratio, so that no step of one has the seed of another's. It
must differ in the low 32 bits: torch's generator on the processor takes no others."""


def step(run: Run, batch: Any, targets: Any, aim: Objective, *, sizes: Sequence[int]) -> float:
    """Change the weights a little; returns the loss of the whole batch before.

    Args:
        batch: this process's part of it.
        targets: of the whole batch.
        sizes: how many items of the batch each process has.

    Raises:
        TrainingError: an alarm (see `train.alarms`); the weights are as they were.
    """
    run.optimiser.zero_grad(set_to_none=True)
    value = gradients(run, batch, targets, aim, sizes=sizes)
    update(run)
    return value


def update(run: Run) -> None:
    """Change the weights by their gradients; the learning rate, the average and the count of steps go along.

    Raises:
        TrainingError: the gradient is not finite; the weights are as they were.
    """
    parameters = [*run.twin.parameters(), *run.modules.parameters()]
    run.alarms.gradient(float(_clipped(parameters, run.recipe.clip_norm)))
    run.optimiser.step()
    run.processes.average(run.twin.buffers())
    if run.average:
        run.average.update(run.twin)
    run.step += 1


def gradients(run: Run, batch: Any, targets: Any, aim: Objective, *, sizes: Sequence[int]) -> float:
    """The loss of the whole batch; its gradient is added to that of every parameter, alike in all processes."""
    seed, rank = run.seed * 1_000_003 + run.step, run.processes.rank
    # every process drops other features, and every piece does when it is embedded again what it did
    # before
    embeddings, replay = _embedded(run, batch.to(run.twin.device), seed + rank * RANKS_APART)
    whole = run.processes.gather(embeddings.detach(), sizes).requires_grad_()
    with build.seeded(seed):
        value = _loss(run, whole, targets.to(run.twin.device), aim)
    gradient = whole.new_zeros(whole.shape) if whole.grad is None else whole.grad
    replay(run.processes.total(gradient).split(list(sizes))[rank])
    run.processes.add_gradients([*run.twin.parameters(), *run.modules.parameters()])
    return value


def _loss(run: Run, whole: Float[Tensor, "batch dim"], targets: Any, aim: Objective) -> float:
    """Takes the loss back to the embeddings; of several processes each does its rows, or its share of what has none."""
    processes = run.processes
    run.alarms.embeddings(whole.detach(), targets, step=run.step)
    if aim.margin:
        aim.margin(run.progress)
    if aim.in_rows and processes.count > 1:
        with sharing(Share(processes.rank, processes.count, processes.total)):
            part = aim.loss(whole, targets, run.references)
    else:
        part = aim.loss(whole, targets, run.references) / processes.count
    value = float(processes.total(part.detach()))
    run.alarms.loss(value, comparable=run.progress >= run.recipe.margin_growth)
    part.backward()
    if run.memory:
        run.memory.add(whole.detach(), targets)
    if run.prototypes:
        run.prototypes.update(whole, targets)
    return value


def _embedded(run: Run, batch: Any, seed: int) -> tuple[Float[Tensor, "n dim"], Replay]:
    """The embeddings, and a function that takes their gradient back to the weights."""
    size = run.recipe.micro_batch or len(batch)
    pieces = [batch[start : start + size] for start in range(0, len(batch), size)]
    if len(pieces) == 1:
        embeddings = _embed(run, batch, seed)
        return embeddings, embeddings.backward
    # the running statistics of batch normalisation move in the second pass only
    buffers = [buffer.clone() for buffer in run.twin.buffers()]
    with torch.no_grad():
        found = torch.cat([_embed(run, piece, seed + index) for index, piece in enumerate(pieces)])
    for buffer, before in zip(run.twin.buffers(), buffers, strict=True):
        buffer.copy_(before)

    def replay(gradient: Tensor) -> None:
        for index, (piece, share) in enumerate(zip(pieces, gradient.split(size), strict=True)):
            _embed(run, piece, seed + index).backward(share)

    return found, replay


def _embed(run: Run, batch: Any, seed: int) -> Float[Tensor, "n dim"]:
    halved = torch.autocast(
        run.twin.device.type, torch.bfloat16, enabled=run.precision == "bfloat16"
    )
    with build.seeded(seed), halved:
        embeddings = run.forward(batch)
    return embeddings.float() if embeddings.dtype in (torch.bfloat16, torch.float16) else embeddings


def _clipped(parameters: Sequence[nn.Parameter], largest: float | None) -> Tensor:
    """The length of the gradient, which is shortened to `largest` where it is longer."""
    if largest is not None:
        return nn.utils.clip_grad_norm_(parameters, largest)
    return nn.utils.get_total_norm(
        [parameter.grad for parameter in parameters if parameter.grad is not None]
    )

"""Optimisers, learning-rate schedules and the moving average of weights."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from twofold.config import Optimiser, Schedule

__all__ = ["Average", "Plateau", "learning_rate_factor", "optimiser"]


def optimiser(
    settings: Optimiser, modules: Iterable[nn.Module], factors: Mapping[int, float] | None = None
) -> torch.optim.Optimizer:
    """The optimiser over all parameters of `modules` that learn; vectors (norms, biases) are not decayed.

    Args:
        factors: of the learning rate, by the `id` of a parameter; 1 where it is not named.
    """
    parameters = [
        parameter
        for module in modules
        for parameter in module.parameters()
        if parameter.requires_grad
    ]
    factor = {id(p): (factors or {}).get(id(p), 1.0) for p in parameters}
    groups = [
        {
            "params": [p for p in parameters if p.ndim > 1 and factor[id(p)] == rate],
            "weight_decay": settings.weight_decay,
            "lr": settings.learning_rate * rate,
        }
        for rate in sorted(set(factor.values()), reverse=True)
    ]
    groups += [
        {
            "params": [p for p in parameters if p.ndim <= 1 and factor[id(p)] == rate],
            "weight_decay": 0.0,
            "lr": settings.learning_rate * rate,
        }
        for rate in sorted(set(factor.values()), reverse=True)
    ]
    groups = [group for group in groups if group["params"]]
    if settings.name == "sgd":
        return torch.optim.SGD(
            groups,
            lr=settings.learning_rate,
            momentum=settings.momentum,
            nesterov=settings.momentum > 0,
            fused=True,
        )
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def learning_rate_factor(schedule: Schedule, progress: float) -> float:
    """Share of the peak learning rate at `progress` in [0, 1] of the training.

    Cosine: final + (1 - final) (1 + cos(pi t)) / 2 after the warm-up (Loshchilov & Hutter 2017, eq.
    5, one cycle).
    """
    if progress < schedule.warmup:
        return max(progress / schedule.warmup, 1e-3)
    after = (progress - schedule.warmup) / (1 - schedule.warmup)
    if schedule.name == "cosine":
        return schedule.final + (1 - schedule.final) * (1 + math.cos(math.pi * min(after, 1.0))) / 2
    if schedule.name == "step":
        return schedule.factor ** sum(progress >= share for share in schedule.at)
    return 1.0


class Plateau:
    """How often the monitored number has stood still: each time multiplies the learning rate by `factor`."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.waited = 0
        self.factor = 1.0

    def look(self, improved: bool) -> None:
        """Take note of one validation."""
        self.waited = 0 if improved else self.waited + 1
        if self.schedule.name == "plateau" and self.waited >= self.schedule.patience:
            self.factor *= self.schedule.factor
            self.waited = 0


class Average:
    """Exponential moving average of a module's weights and buffers, kept beside it (Polyak & Juditsky 1992).

    The decay grows with the number of steps, min(decay, (1 + steps) / (10 + steps)), so that the
    random start is soon forgotten. Integer buffers (counters) are copied.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.weights = {
            name: tensor.detach().clone() for name, tensor in module.state_dict().items()
        }
        self.frozen = {
            name for name, weight in module.named_parameters() if not weight.requires_grad
        }

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move towards the module's present weights."""
        self.steps += 1
        weight = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        present = module.state_dict()
        present = {name: tensor for name, tensor in present.items() if name not in self.frozen}
        floats = [name for name, tensor in present.items() if tensor.is_floating_point()]
        torch._foreach_lerp_(
            [self.weights[name] for name in floats], [present[name] for name in floats], weight
        )
        for name in present.keys() - set(floats):
            self.weights[name].copy_(present[name])

    def load(self, weights: dict[str, Tensor], steps: int) -> None:
        """Continue from a checkpoint."""
        self.steps = steps
        for name, tensor in weights.items():
            self.weights[name].copy_(tensor)

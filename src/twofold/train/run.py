"""All that changes while a twin is trained: what a step moves, and what a checkpoint must hold."""

import os
import shutil
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from twofold.config import Recipe
from twofold.errors import RecipeError, TrainingError
from twofold.losses.pairing import References
from twofold.precision import resolved
from twofold.provenance import HASH_BYTES, Provenance
from twofold.train import checkpoint
from twofold.train.alarms import Alarms
from twofold.train.budget import Budget
from twofold.train.clock import Clock, Seconds
from twofold.train.distributed import Processes
from twofold.train.freezing import rate_factors
from twofold.train.memory import Memory
from twofold.train.optim import Average, Plateau, learning_rate_factor, optimiser
from twofold.train.pace import Pace
from twofold.train.prototypes import Prototypes
from twofold.train.validate import Looking
from twofold.twin import ChangeTwin, TrackTwin, Twin

__all__ = ["Run"]


class Run:
    """Weights, optimiser, average, memory, schedule and best so far of one training; alike in all its processes.

    Attributes:
        frozen: modules that are not trained, and stay in eval mode.
        epoch, index: how many epochs are over, and how many steps of the present one.
        ancestor: fingerprint of the bundle that gave the first weights; None: they were drawn.
        provenance: what the bundle will remember of the data. class_names: keyed hashes of what
            class codes mean.
        groups: which classes stand together in this epoch's batches; None: the data says, or
            nobody.
        budget: the seconds that this command has. cooled: how much of its cool-down is over, from 0
            to 1.
        rate: what alarms have left of the learning rate.
        precision: `float32` or `bfloat16`, of the encoder.
        named: what should be said with names of identities, which no state and no bundle keeps.
        notes: what happened on the way that a reader of the bundle should know.
        stopped: why training has ended before its last epoch; empty while it goes on.
        cut: it ended inside an epoch, for time; going on later is still possible.
    """

    def __init__(
        self,
        twin: Twin | ChangeTwin | TrackTwin,
        modules: list[nn.Module],
        recipe: Recipe,
        seed: int,
        *,
        classes: int = 0,
    ) -> None:
        self.twin, self.modules, self.recipe, self.seed = twin, nn.ModuleList(modules), recipe, seed
        self.processes = Processes.present()
        self.precision = self.processes.agreed(resolved(recipe.precision, twin.device))
        self._lay_out()
        self.forward: Callable[..., Any] = _compiled(twin) if recipe.compile else twin.forward
        factors = rate_factors(twin, recipe.layer_decay)
        self.optimiser = optimiser(recipe.optimiser, [twin, *modules], factors)
        self.frozen: tuple[nn.Module, ...] = ()
        self.peaks = [group["lr"] for group in self.optimiser.param_groups]
        self.average = Average(twin, recipe.ema) if recipe.ema else None
        dim = twin.dim if isinstance(twin, Twin) else 0  # maps of change have no memory
        self.memory = Memory(recipe.memory, dim, twin.device) if recipe.memory else None
        self.prototypes = Prototypes(classes, dim) if recipe.hard_classes else None
        self.groups: np.ndarray | None = None
        self.ancestor: str | None = None
        self.provenance, self.class_names = (
            Provenance(),
            torch.zeros((0, HASH_BYTES), dtype=torch.uint8),
        )
        self.plateau = Plateau(recipe.schedule)
        self.alarms = Alarms()
        self.notes: list[str] = []
        self.named: tuple[str, ...] = ()
        self.rate, self.progress, self.cooled = 1.0, 0.0, 0.0
        self.epoch = self.index = self.step = self.stale = 0
        self.best: float | None = None
        self.best_weights: dict[str, Tensor] = {}
        self.history: list[dict[str, Any]] = []
        self.clock = Clock()
        self.budget = Budget(seconds=recipe.max_seconds, began=self.clock.started.wall)
        self.done_before, self.pace = 0.0, Pace()
        self.stopped, self.cut = "", False
        self._good: tuple[dict[str, Tensor], dict[str, Any]] = {}, {}

    def _lay_out(self) -> None:
        """Weights in the order that batches come in: for half precision, channels beside each other, a fifth faster."""
        reorder(
            self.twin,
            torch.channels_last if self.precision == "bfloat16" else torch.contiguous_format,
        )

    @property
    def seconds(self) -> float:
        """Since the first step, over all commands of this training."""
        return self.clock.stepping.wall

    @property
    def core_seconds(self) -> float:
        """Processor time of all threads, with what came before the first step."""
        return self.clock.whole.core

    @property
    def late(self) -> bool:
        """Whether no further step may begin."""
        return self.budget.seconds is not None and self.processes.agreed(self.budget.spent)

    def must_cool(self, done: float) -> bool:
        """Whether the learning rate begins to fall now, since the time will not do for all steps."""
        if self.budget.seconds is None:
            return False
        over = self.processes.agreed(self.budget.over)
        begins = self.budget.must_cool(over, done=done, before=self.done_before)
        self.cooled = self.budget.cooled(over)
        return begins

    @property
    def weights(self) -> dict[str, Tensor]:
        """What is validated and kept: the moving average if there is one."""
        return self.average.weights if self.average else self.twin.state_dict()

    @property
    def references(self) -> References:
        """Past embeddings for the loss to compare with: none during the warm-up, when they change too quickly."""
        return (
            self.memory.references
            if self.memory and self.progress >= self.recipe.schedule.warmup
            else None
        )

    def set_learning_rate(self, progress: float) -> None:
        """Where the schedule says it stands at this share of the training."""
        self.progress = progress
        factor = (
            learning_rate_factor(self.recipe.schedule, progress) * self.plateau.factor * self.rate
        )
        factor -= self.cooled * max(factor - self.recipe.schedule.final, 0.0)
        for group, peak in zip(self.optimiser.param_groups, self.peaks, strict=True):
            group["lr"] = peak * factor

    def begin(self) -> None:
        """Before an epoch, or what is left of one."""
        if self.index == 0:
            self.pace = Pace()
            self.groups = None
            # at first nothing is known
            if self.prototypes and self.recipe.hard_classes and self.epoch > 0:
                self.groups = self.prototypes.groups(
                    self.recipe.hard_classes, seed=self.seed, epoch=self.epoch
                )

    def look(self, validation: Looking | None, *, last: bool) -> None:
        """After an epoch: validate, remember the best, decide whether to stop."""
        self.epoch, self.index = self.epoch + 1, 0
        line: dict[str, Any] = {
            "epoch": self.epoch,
            "step": self.step,
            "loss": float(np.mean(self.pace.losses)),
        }
        if validation and (last or self.epoch % self.recipe.validate_every == 0):
            line |= (
                self.processes.agreed(self._measured(validation) if self.processes.first else None)
                or {}
            )
            self._remember(line[self.recipe.monitor])
        line |= {
            "learning_rate": self.optimiser.param_groups[0]["lr"],
            "seconds": round(self.seconds, 2),
        }
        line |= self.pace.numbers()
        self.history.append(line)

    def _measured(self, validation: Looking) -> dict[str, float]:
        """What the weights do on the validation items; on few of them where time is over and nothing is compared."""
        began = time.monotonic()
        quick = self.cut and self.best is None
        found = validation.measure(self.twin, self.weights, precision=self.precision, quick=quick)
        self.budget.reserve = time.monotonic() - began
        return found

    def _remember(self, value: float) -> None:
        lower_is_better = self.recipe.monitor == "eer"
        improved = self.best is None or (
            value < self.best if lower_is_better else value > self.best
        )
        # a tie goes to the later weights: they have seen more, and a saturated number says nothing
        if improved or value == self.best:
            self.best_weights = {name: tensor.clone() for name, tensor in self.weights.items()}
        if improved:
            self.best, self.stale = value, 0
        else:
            self.stale += 1
        self.plateau.look(improved)
        if self.recipe.patience is not None and self.stale >= self.recipe.patience:
            self.stopped = f"no better {self.recipe.monitor} for {self.stale} validations"

    def tensors(self) -> dict[str, Tensor]:
        """Everything with a shape, by flat names."""
        parts = {
            "twin": self.twin.state_dict(),
            "loss": self.modules.state_dict(),
            "optimiser": checkpoint.optimiser_state(self.optimiser),
            "average": self.average.weights if self.average else {},
            "best": self.best_weights,
            "memory": self.memory.state() if self.memory else {},
            "prototypes": self.prototypes.state() if self.prototypes else {},
            "provenance": {
                name: torch.from_numpy(array.copy())
                for name, array in self.provenance.arrays().items()
            },
            "classes": {"names": self.class_names},
            "present": {} if self.groups is None else {"groups": torch.from_numpy(self.groups)},
        }
        return {
            f"{part}.{name}": tensor
            for part, tensors in parts.items()
            for name, tensor in tensors.items()
        }

    def numbers(self) -> dict[str, Any]:
        """Everything without a shape."""
        return {
            "epoch": self.epoch,
            "index": self.index,
            "losses": list(self.pace.losses),
            "step": self.step,
            "stale": self.stale,
            "best": self.best,
            "stopped": "" if self.cut else self.stopped,
            "history": list(self.history),
            "notes": list(self.notes),
            "rate": self.rate,
            "alarms": [list(self.alarms.losses), self.alarms.collapsed],
            "precision": self.precision,
            "profile": checkpoint.profile(),
            "seconds": self.seconds,
            "core_seconds": self.clock.stepping.core,
            "prepared": list(self.clock.prepared),
            "plateau": [self.plateau.waited, self.plateau.factor],
            "average_steps": self.average.steps if self.average else 0,
            "seed": self.seed,
            "recipe": _trained_by(self.recipe),
            "ancestor": self.ancestor,
            "done": self.progress,
        }

    def restore(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Stand where a checkpoint stood."""
        if numbers["seed"] != self.seed or not _same_training(
            numbers["recipe"], _trained_by(self.recipe)
        ):
            raise RecipeError(
                "the checkpoint was made with another recipe or seed: use those, or train without "
                "--resume"
            )
        before = numbers.get("ancestor")
        if self.ancestor not in (None, before):
            raise RecipeError(
                "the training began with another bundle: give that one, or train without --resume"
            )
        self.ancestor = before
        # states of before `auto` say it in their recipe alone
        self.precision = numbers.get("precision") or numbers["recipe"]["precision"]
        self._lay_out()
        self.twin.load_state_dict(checkpoint.under("twin", tensors))
        same_classes = self._check_classes(checkpoint.under("classes", tensors).get("names"))
        self.modules.load_state_dict(checkpoint.under("loss", tensors))
        checkpoint.restore_optimiser(self.optimiser, checkpoint.under("optimiser", tensors))
        if self.average:
            self.average.load(checkpoint.under("average", tensors), numbers["average_steps"])
        if self.memory and same_classes:
            self.memory.load(checkpoint.under("memory", tensors))
        if self.prototypes and same_classes:
            self.prototypes.load(checkpoint.under("prototypes", tensors))
        groups = checkpoint.under("present", tensors).get("groups") if same_classes else None
        self.groups = None if groups is None else groups.numpy()
        self.best_weights = checkpoint.under("best", tensors)
        for name in (
            "epoch",
            "index",
            "step",
            "stale",
            "best",
            "stopped",
            "history",
            "notes",
            "rate",
        ):
            setattr(self, name, numbers[name])
        self.pace = Pace()
        self.pace.losses = list(numbers["losses"])
        self.done_before = numbers.get("done", 0.0)
        self.plateau.waited, self.plateau.factor = numbers["plateau"]
        self.alarms.losses, self.alarms.collapsed = list(numbers["alarms"][0]), numbers["alarms"][1]
        self.clock.step_on(Seconds(numbers["seconds"], numbers["core_seconds"]))

    def _check_classes(self, before: Tensor | None) -> bool:
        """Whether class codes mean what they meant in a checkpoint.

        Raises:
            RecipeError: they do not, and the loss has weights for each class.
        """
        if before is None or torch.equal(before, self.class_names):
            return True
        if len(self.modules):
            raise RecipeError(
                f"the data has changed since the training began ({len(before)} classes then, "
                f"{len(self.class_names)} "
                "now), and the loss has weights for each class: restore the data, or train "
                "without --resume"
            )
        return False

    def resume(self, state: checkpoint.State) -> None:
        """Go on from a state; what is other than it was is noted."""
        tensors, numbers, damaged = state
        self.restore(tensors, numbers)
        self.clock.prepared += Seconds(*numbers.get("prepared", (0.0, 0.0)))
        now, then = checkpoint.profile(), numbers["profile"]
        changed = [
            f"{name} was {then[name]}, is {now[name]}"
            for name in now
            if now[name] != then.get(name, now[name])
        ]
        self.notes += damaged
        if self.precision != (here := resolved(self.recipe.precision, self.twin.device)):
            self.notes.append(
                f"went on in {self.precision}, in which the training began; here "
                f"{self.recipe.precision} means {here}"
            )
        if changed:
            self.notes.append(
                f"resumed on another profile, so not bit for bit as in one go: {'; '.join(changed)}"
            )

    def remember_good(self) -> None:
        """Take the present state as one to come back to."""
        self._good = (
            {name: tensor.clone() for name, tensor in self.tensors().items()},
            self.numbers(),
        )

    def roll_back(self, alarm: TrainingError) -> None:
        """Back to the last good state with half of the learning rate, once.

        Raises:
            TrainingError: the alarm, if it is not the first.
        """
        if self.rate < 1:
            raise alarm
        stepping, step = self.clock.stepping, self.step
        self.restore(*self._good)
        self.clock.step_on(stepping)
        self.rate = 0.5
        self.notes.append(
            f"step {step}: {alarm} (went back to step {self.step} with half of the learning rate)"
        )


def reorder(twin: Twin | ChangeTwin | TrackTwin, order: torch.memory_format) -> None:
    """Put the numbers of every weight into another order in memory."""
    twin.to(memory_format=order)  # pyright: ignore[reportCallIssue] - torch's stubs do not know it


def _compiled(twin: Twin | ChangeTwin | TrackTwin) -> Callable[..., Any]:
    if twin.device.type == "cpu" and not any(
        map(shutil.which, (os.environ.get("CXX", "c++"), "g++", "clang++"))
    ):
        raise RecipeError(
            "compile = true needs a C++ compiler, and there is none: install g++, or leave "
            "compile out"
        )
    return torch.compile(twin.forward)


def _same_training(then: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether two recipes train alike; where one leaves the precision open, the other's will do."""
    usual = Recipe().model_dump(mode="json")  # of settings that came after the state was kept
    then = {name: usual[name] for name in now.keys() & usual.keys()} | then
    if "auto" in (then["precision"], now["precision"]):
        then, now = then | {"precision": "auto"}, now | {"precision": "auto"}
    return then == now


def _trained_by(recipe: Recipe) -> dict[str, Any]:
    """The recipe without what may differ between a run and its continuation, and without what `epochs` says."""
    return recipe.model_dump(mode="json", exclude={"max_seconds", "fewest_steps"})

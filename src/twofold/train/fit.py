"""fit: items or pairs in, a trained and not yet calibrated bundle out."""

import json
import math
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from twofold import __version__, build
from twofold.bundle import Bundle
from twofold.config import Piece, Recipe
from twofold.data.items import Items, Pairs
from twofold.embedding import autocast
from twofold.errors import IdentityOverlap, NotEnoughData, RecipeError, TrainingError
from twofold.nn.builder import built_from
from twofold.results import Progress
from twofold.train import checkpoint
from twofold.train.checkpoint import Checkpoints
from twofold.train.feed import Feed, ItemFeed, PairFeed, ahead
from twofold.train.objective import Objective, objective
from twofold.train.optim import Average, Plateau, learning_rate_factor, optimiser
from twofold.train.validate import Validation
from twofold.twin import Twin

__all__ = ["fit", "fit_recipe"]

Watch = Callable[[Progress], None]


def fit(
    twin: Twin,
    train: Items | Pairs,
    valid: Items | None = None,
    *,
    recipe: Recipe | None = None,
    seed: int = 0,
    loss: Callable[..., Tensor] | None = None,
    checkpoints: Checkpoints | None = None,
    watch: Watch | None = None,
) -> Bundle:
    """Train `twin` so that what is the same in `train` comes close together; the twin itself is changed.

    Args:
        valid: items of identities that are not in `train`; the weights that do best on them are kept. None: the last.
        recipe: loss, batches, optimiser, and so on; its input, encoder and comparison give way to those of `twin`.
        seed: of data order, augmentation and dropout. The same seed gives the same weights on the same machine.
        loss: your own loss(embeddings, labels, *, comparison) instead of the recipe's (`losses.external` wraps others).
        checkpoints: where to keep the state after every epoch, and whether to go on from there.
        watch: called after every step.

    Returns:
        An uncalibrated bundle: embeddings and scores, but no verdicts yet; `calibrate` comes next.

    Raises:
        NotEnoughData: batches cannot be filled. RecipeError: pieces that do not fit. TrainingError: the loss is not
        finite. IdentityOverlap is raised later, if data of these identities is used to calibrate or evaluate.
    """
    recipe = _of(twin, recipe or Recipe())
    if isinstance(valid, Items) and isinstance(train, Items):
        _refuse_shared(train, valid)
    feed: Feed = (ItemFeed if isinstance(train, Items) else PairFeed)(train, twin.input, recipe, seed)  # type: ignore[arg-type]
    with build.seeded(seed):
        aim, modules = objective(recipe, twin, classes=feed.classes, loss=loss)
    run = _Run(twin, modules, recipe, seed)
    validation = None if valid is None else Validation(valid, twin.input, recipe)
    if checkpoints and checkpoints.resume:
        run.restore(*checkpoint.load(checkpoints.last))
    for epoch in range(run.epoch, recipe.epochs):
        if run.done:
            break
        _one_epoch(run, feed, aim, epoch, watch)
        run.look(validation, last=run.done or epoch + 1 == recipe.epochs)
        if checkpoints:
            _keep(run, checkpoints)
    twin.load_state_dict(run.best_weights if validation else run.weights)
    twin.eval()
    return _bundle(run, train, valid)


@dataclass
def fit_recipe(
    recipe: Recipe,
    items: Items,
    *,
    seed: int = 0,
    device: str | None = None,
    checkpoints: Checkpoints | None = None,
    watch: Watch | None = None,
) -> Bundle:
    """Split `items` by identity as the recipe says, build its twin, train it, and write down what was kept aside.

    Args:
        device: "cpu", "cuda", ...; None: the accelerator if there is one.
    """
    shares = recipe.split
    parts = items.split(
        shares.train,
        shares.valid,
        calibrate=shares.calibrate,
        test=shares.test,
        seed=seed,
        by="group" if shares.by_group else "identity",
    )
    twin = build.twin(recipe, seed=seed).to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    valid = parts.valid if len(parts.valid) else None
    bundle = fit(twin, parts.train, valid, recipe=recipe, seed=seed, checkpoints=checkpoints, watch=watch)
    return replace(bundle, parts=parts.names())


class _Run:
    """What changes while training: all that a checkpoint must hold."""

    def __init__(self, twin: Twin, modules: list[nn.Module], recipe: Recipe, seed: int) -> None:
        self.twin, self.modules, self.recipe, self.seed = twin, nn.ModuleList(modules), recipe, seed
        self.optimiser = optimiser(recipe.optimiser, [twin, *modules])
        self.peaks = [group["lr"] for group in self.optimiser.param_groups]
        self.average = Average(twin, recipe.ema) if recipe.ema else None
        self.plateau = Plateau(recipe.schedule)
        self.epoch = self.step = self.stale = 0
        self.best: float | None = None
        self.best_weights: dict[str, Tensor] = {}
        self.history: list[dict[str, Any]] = []
        self.seconds_before = 0.0
        self.started = time.monotonic()
        self.losses: list[float] = []
        self.items = self.pairs = 0
        self.stopped = ""

    @property
    def seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started

    @property
    def late(self) -> bool:
        return self.recipe.max_seconds is not None and self.seconds >= self.recipe.max_seconds

    @property
    def done(self) -> bool:
        return bool(self.stopped)

    @property
    def weights(self) -> dict[str, Tensor]:
        """What is validated and kept: the moving average if there is one."""
        return self.average.weights if self.average else self.twin.state_dict()

    def set_learning_rate(self, progress: float) -> None:
        factor = learning_rate_factor(self.recipe.schedule, progress) * self.plateau.factor
        for group, peak in zip(self.optimiser.param_groups, self.peaks, strict=True):
            group["lr"] = peak * factor

    def look(self, validation: Validation | None, *, last: bool) -> None:
        """After an epoch: validate, remember the best, decide whether to stop."""
        self.epoch += 1
        line: dict[str, Any] = {"epoch": self.epoch, "step": self.step, "loss": float(np.mean(self.losses))}
        if validation and (last or self.epoch % self.recipe.validate_every == 0):
            line |= validation.measure(self.twin, self.weights)
            self._remember(line[self.recipe.monitor])
        line |= {"learning_rate": self.optimiser.param_groups[0]["lr"], "seconds": round(self.seconds, 2)}
        self.history.append(line)

    def _remember(self, value: float) -> None:
        lower_is_better = self.recipe.monitor == "eer"
        improved = self.best is None or (value < self.best if lower_is_better else value > self.best)
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
        }
        return {f"{part}.{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}

    def numbers(self) -> dict[str, Any]:
        """Everything without a shape."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "stale": self.stale,
            "best": self.best,
            "stopped": self.stopped,
            "history": self.history,
            "seconds": self.seconds,
            "plateau": [self.plateau.waited, self.plateau.factor],
            "average_steps": self.average.steps if self.average else 0,
            "seed": self.seed,
            "recipe": _trained_by(self.recipe),
        }

    def restore(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Stand where a checkpoint stood."""
        if numbers["seed"] != self.seed or numbers["recipe"] != _trained_by(self.recipe):
            raise RecipeError(
                "the checkpoint was made with another recipe or seed: use those, or train without --resume"
            )
        self.twin.load_state_dict(checkpoint.under("twin", tensors))
        self.modules.load_state_dict(checkpoint.under("loss", tensors))
        checkpoint.restore_optimiser(self.optimiser, checkpoint.under("optimiser", tensors))
        if self.average:
            self.average.load(checkpoint.under("average", tensors), numbers["average_steps"])
        self.best_weights = checkpoint.under("best", tensors)
        self.epoch, self.step, self.stale = numbers["epoch"], numbers["step"], numbers["stale"]
        self.best, self.stopped, self.history = numbers["best"], numbers["stopped"], numbers["history"]
        self.plateau.waited, self.plateau.factor = numbers["plateau"]
        self.seconds_before = numbers["seconds"]


def _one_epoch(run: _Run, feed: Feed, aim: Objective, epoch: int, watch: Watch | None) -> None:
    plan = feed.plan(epoch)
    if not plan:
        raise NotEnoughData("not one batch can be filled: lower p or k, or give more items an identity")
    run.losses, run.items, run.pairs = [], 0, 0
    started = time.monotonic()
    run.twin.train()
    for index, (batch, targets) in enumerate(ahead(lambda indices: feed.batch(indices, epoch), plan)):
        run.set_learning_rate((epoch + index / len(plan)) / run.recipe.epochs)
        run.losses.append(_one_step(run, batch, targets, aim))
        run.items += len(batch)
        run.pairs += len(targets.targets) if feed.classes == 0 else len(batch) * (len(batch) - 1) // 2
        if watch:
            watch(_progress(run, (index + 1, len(plan)), time.monotonic() - started))
        if run.late:
            run.stopped = f"the {run.recipe.max_seconds:g} seconds are over"
            break


def _one_step(run: _Run, batch: Any, targets: Any, aim: Objective) -> float:
    twin, recipe = run.twin, run.recipe
    with build.seeded(run.seed * 1_000_003 + run.step):
        with autocast(twin.device, recipe.precision):
            embeddings = twin.embed(batch.to(twin.device))
        loss = aim(embeddings.float(), targets)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise TrainingError(
            f"the loss is {value} at step {run.step}: lower optimiser.learning_rate "
            f"({recipe.optimiser.learning_rate:g}), or set clip_norm = 1.0"
        )
    run.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    if recipe.clip_norm is not None:
        nn.utils.clip_grad_norm_([*twin.parameters(), *run.modules.parameters()], recipe.clip_norm)
    run.optimiser.step()
    if run.average:
        run.average.update(twin)
    run.step += 1
    return value


def _progress(run: _Run, step: tuple[int, int], seconds: float) -> Progress:
    done = (run.epoch + step[0] / step[1]) / run.recipe.epochs
    left = run.seconds * (1 - done) / done
    if run.recipe.max_seconds is not None:
        left = min(left, max(run.recipe.max_seconds - run.seconds, 0.0))
    shown = [line[run.recipe.monitor] for line in run.history if run.recipe.monitor in line]
    return Progress(
        epoch=run.epoch + 1,
        epochs=run.recipe.epochs,
        step=step[0],
        steps=step[1],
        loss=run.losses[-1],
        monitor=run.recipe.monitor,
        monitored=shown[-1] if shown else None,
        best=run.best,
        items_per_second=run.items / seconds,
        pairs_per_second=run.pairs / seconds,
        seconds=run.seconds,
        seconds_left=left,
    )


def _keep(run: _Run, checkpoints: Checkpoints) -> None:
    checkpoints.folder.mkdir(parents=True, exist_ok=True)
    checkpoint.save(checkpoints.last, run.tensors(), run.numbers())
    lines = "".join(json.dumps(line) + "\n" for line in run.history)
    checkpoints.log.write_text(lines, encoding="utf-8")


def _of(twin: Twin, recipe: Recipe) -> Recipe:
    """The recipe with the pieces that the twin is really made of."""
    encoder = built_from(twin.encoder) or {"name": type(twin.encoder).__name__}
    pieces = {
        "input": Piece(name=twin.input.name, **twin.input.arguments()),
        "encoder": Piece(**encoder),
        "comparison": Piece(name=twin.comparison.name, **twin.comparison.arguments()),
    }
    return recipe.model_copy(update=pieces)


def _trained_by(recipe: Recipe) -> dict[str, Any]:
    """The recipe without what may differ between a run and its continuation."""
    return recipe.model_dump(mode="json", exclude={"max_seconds"})


def _refuse_shared(train: Items, valid: Items) -> None:
    if shared := sorted(set(train.identities) & set(valid.identities)):
        raise IdentityOverlap(
            f"{len(shared)} identities stand in both train and valid ({', '.join(shared[:3])}, ...): "
            "split by identity, as Items.split does"
        )


def _bundle(run: _Run, train: Items | Pairs, valid: Items | None) -> Bundle:
    parts = {"train": _identities(train)} | ({"valid": _identities(valid)} if valid is not None else {})
    contents = {content for part in (train, valid) if part is not None for content in part.content_hashes()}
    training = {
        "seed": run.seed,
        "epochs": run.epoch,
        "steps": run.step,
        "seconds": round(run.seconds, 1),
        "stopped": run.stopped or "all epochs done",
        "best": {run.recipe.monitor: run.best},
        "history": run.history,
        "profile": profile(),
    }
    return Bundle(twin=run.twin, recipe=run.recipe, parts=parts, trained=frozenset(contents), training=training)


def _identities(part: Items | Pairs) -> tuple[str, ...]:
    return tuple(part.identities)


def profile() -> dict[str, Any]:
    """What the exact numbers of a run depend on beside its seed."""
    return {
        "twofold": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }

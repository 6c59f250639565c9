"""fit_scenes: scenes in, a trained twin of change out, with a threshold from validation scenes."""

import copy
from collections.abc import Sequence
from time import monotonic
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from twofold import build
from twofold.change_bundle import ChangeBundle
from twofold.config import Recipe
from twofold.data.scenes import Scenes
from twofold.devices import training_device
from twofold.errors import DataError, NotEnoughData
from twofold.metrics import scene_threshold, spatial
from twofold.plurals import counted
from twofold.results.change import ChangeThreshold
from twofold.scene import Scene, opened, probabilities
from twofold.train import checkpoint
from twofold.train.checkpoint import Checkpoints
from twofold.train.distributed import Processes
from twofold.train.epochs import Watch, learn
from twofold.train.keeper import Keeper
from twofold.train.network_run import begun, descend, forwarding, provenance_of, told
from twofold.train.run import Run, reorder
from twofold.train.tiles import TileBatch, TileFeed, TileTruth
from twofold.twin import ChangeTwin

__all__ = ["SceneValidation", "fit_scenes", "threshold_on"]

GUIDE = 0.3
"""Weight of each coarser map of logits beside the final one (deep supervision; Lee et al. 2015)."""


def fit_scenes(
    recipe: Recipe,
    scenes: Scenes,
    *,
    valid: Scenes | None = None,
    fixed: Sequence[str] = (),
    seed: int = 0,
    device: str | None = None,
    checkpoints: Checkpoints | None = None,
    watch: Watch | None = None,
) -> ChangeBundle:
    """Split by place, train, choose the threshold on the validation scenes, and write down what was kept aside.

    Args:
        valid: scenes that choose among epochs and give the threshold; then all of `scenes` train.
            None: the recipe's split.
        fixed: settings that must not be adapted to the data, by their names for --set ("epochs").
        seed: of the split, data order, augmentation and dropout: the same seed gives the same
            weights on the same machine.
        device: "cpu", "cuda", "cuda:1" or "mps"; None: a CUDA card if there is one, else the
            processor.

    Raises:
        NotEnoughData: less than two places, or nothing that changed. DataError: scenes that cannot
            be used, or a training continues with other data.
        TrainingError: the loss is not finite.
    """
    began = monotonic() if checkpoints is None or checkpoints.began is None else checkpoints.began
    parts = _parts(recipe, scenes, valid, seed)
    state = checkpoint.newest(checkpoints) if checkpoints and checkpoints.resume else None
    provenance = provenance_of(parts, state)
    twin = build.change_twin(recipe, seed=seed).to(training_device(device))
    train = _changing(list(opened(parts["train"], twin)))
    judged = list(opened(parts["valid"], twin)) if "valid" in parts else []
    recipe, adapted = _long_enough(recipe, train, fixed)
    with begun(twin, recipe, seed=seed, state=state, provenance=provenance, began=began) as run:
        _learn(run, train, judged, checkpoints=checkpoints, watch=watch)
    threshold = threshold_on(judged, twin) if judged else None
    training = told(run) | {"adapted": adapted, "scenes": {n: len(p) for n, p in parts.items()}}
    return ChangeBundle(
        twin=twin, recipe=recipe, threshold=threshold, provenance=provenance, training=training
    )


class SceneValidation:
    """Validation scenes in memory, and a second twin to try weights on."""

    def __init__(self, scenes: Sequence[Scene]) -> None:
        self.scenes = scenes
        self.twin: ChangeTwin | None = None

    def measure(
        self, twin: ChangeTwin, weights: dict[str, Tensor], *, precision: str, quick: bool = False
    ) -> dict[str, float]:
        """The F1 of the pooled pixels at the threshold that a bundle of these weights would have.

        Args:
            quick: of the first scene alone.
        """
        if self.twin is None:
            self.twin = copy.deepcopy(twin).eval()
        self.twin.load_state_dict(weights)
        tables = _tables(self.scenes[: 1 if quick else None], self.twin)
        return {"f1": scene_threshold.best(tables).f1}


def threshold_on(scenes: Sequence[Scene], twin: ChangeTwin) -> ChangeThreshold:
    """The threshold of the best F1 on these scenes, and its rate of false change, scene by scene."""
    still = max(
        float(probabilities(twin, date, date)[scene.valid].max(initial=0.0))
        for scene in scenes
        for date in (scene.before, scene.after)
    )
    return scene_threshold.best(_tables(scenes, twin), still=still)


def _tables(scenes: Sequence[Scene], twin: ChangeTwin) -> list[np.ndarray]:
    return [
        spatial.histogram(probabilities(twin, each.before, each.after), each.truth, each.valid)
        for each in scenes
    ]


def _parts(recipe: Recipe, scenes: Scenes, valid: Scenes | None, seed: int) -> dict[str, Scenes]:
    if valid is None:
        return scenes.split(recipe.split, seed=seed)
    if both := set(scenes.group) & set(valid.group):
        raise DataError(f"the place {min(both)} both trains and chooses: keep places apart")
    return {"train": scenes, "valid": valid}


def _changing(scenes: list[Scene]) -> list[Scene]:
    if not any((scene.truth & scene.valid).any() for scene in scenes):
        raise NotEnoughData(
            f"no pixel has changed in {counted(len(scenes), 'training scene')}: is 255 (or 1) "
            f"what changed in the masks?"
        )
    return scenes


def _long_enough(
    recipe: Recipe, train: list[Scene], fixed: Sequence[str]
) -> tuple[Recipe, list[str]]:
    """More epochs where few scenes make few steps."""
    steps = TileFeed(train, recipe, 0).steps
    epochs = -(-recipe.fewest_steps // steps)
    if "epochs" in fixed or epochs <= recipe.epochs:
        return recipe, []
    note = (
        f"epochs = {epochs} in place of {recipe.epochs}, for {recipe.fewest_steps} steps of "
        f"{recipe.tiles.count} tiles (--set epochs={recipe.epochs} keeps them)"
    )
    return recipe.model_copy(update={"epochs": epochs}), [note]


def _learn(
    run: Run,
    train: Sequence[Scene],
    valid: Sequence[Scene],
    *,
    checkpoints: Checkpoints | None,
    watch: Watch | None,
) -> None:
    """All epochs; the twin has the best weights at the end."""
    processes = Processes.present()
    feed = TileFeed(train, run.recipe, run.seed, share=(processes.rank, processes.count))
    loss = build.map_loss(run.recipe.loss)
    validation = SceneValidation(valid) if valid else None

    def take(batch: TileBatch, targets: TileTruth, sizes: Sequence[int]) -> float:
        return _step(run, batch, targets, loss)

    keeper = Keeper(run, checkpoints)
    learn(run, feed, take, keeper=keeper, validation=validation, watch=watch)
    run.twin.load_state_dict(run.best_weights if validation else run.weights)
    reorder(run.twin.eval(), torch.contiguous_format)


def _step(run: Run, batch: TileBatch, targets: TileTruth, loss: Any) -> float:
    """Change the weights a little; returns the loss of the whole batch before."""
    batch, targets = batch.to(run.twin.device), targets.to(run.twin.device)
    with forwarding(run):
        maps = run.forward(batch.before, batch.after)
    return descend(run, _guided(maps, targets, loss))


def _guided(maps: Sequence[Tensor], targets: TileTruth, loss: Any) -> Tensor:
    """The loss of the final map, and that of the coarser ones that guide it, brought to its size."""
    final, *guides = (each.float() for each in maps)
    total = loss(final, targets.changed, targets.valid)
    for guide in guides:
        wide = F.interpolate(
            guide[:, None], size=final.shape[1:], mode="bilinear", align_corners=False
        )[:, 0]
        total = total + GUIDE * loss(wide, targets.changed, targets.valid)
    return total / (1 + GUIDE * len(guides))

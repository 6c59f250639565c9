"""fit_tracks: footage in, a trained twin of tracking out."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from twofold import build
from twofold.calibration.track import calibrate_track
from twofold.config import Recipe
from twofold.data.footage import Footage
from twofold.data.motion_films import motion_films
from twofold.devices import training_device
from twofold.nn.track_lite0 import TrackLite0
from twofold.track_bundle import TrackBundle
from twofold.train import checkpoint
from twofold.train.checkpoint import Checkpoints
from twofold.train.distributed import Processes
from twofold.train.epochs import Watch, learn
from twofold.train.footage import material_of
from twofold.train.freezing import whole_trunk
from twofold.train.keeper import Keeper
from twofold.train.motion_feed import Material, MotionBatch, MotionFeed, batch_of, motion_of
from twofold.train.motion_maps import MotionMaps, StillFeed
from twofold.train.network_run import begun, descend, forwarding, provenance_of, told
from twofold.train.run import Run, reorder
from twofold.twin import TrackMaps, TrackTwin

__all__ = ["PairValidation", "best_boxes", "fit_tracks", "overlaps"]

VALID_PAIRS = 192
"""Pairs that choose among epochs: the mean overlap of so many has a standard error of about 0.02."""

CALIBRATION_SEED = 1000
"""Of the films that calibrate; the benchmark's films have another."""

CALIBRATION_SIZE = 270, 480
"""Height and width of these films: they are drawn in half of the time of those of 640 x 360."""

CALIBRATION_TURNING = 0.4
"""Widths by which objects turn out of the picture's plane in them, at most: real ones do."""

QUICK_PAIRS = 32
"""Pairs of a look for which there is no time."""


def fit_tracks(
    recipe: Recipe,
    footage: Footage,
    *,
    seed: int = 0,
    device: str | None = None,
    checkpoints: Checkpoints | None = None,
    watch: Watch | None = None,
) -> TrackBundle:
    """Split by picture and sequence, train on pairs, choose among epochs on pairs of others.

    Args:
        seed: of the split, the pairs and the first weights: the same seed gives the same weights on
            the same machine.
        device: "cpu", "cuda", "cuda:1" or "mps"; None: a CUDA card if there is one, else the
            processor.

    Raises:
        NotEnoughData: too few pictures or sequences. DataError: files that cannot be used, or a
            training continues with other data.
        TrainingError: the loss is not finite.
    """
    began = monotonic() if checkpoints is None or checkpoints.began is None else checkpoints.began
    parts = footage.split(recipe.split, seed=seed)
    state = checkpoint.newest(checkpoints) if checkpoints and checkpoints.resume else None
    provenance = provenance_of(parts, state)
    twin = build.track_twin(recipe, seed=seed).to(training_device(device))
    material = {
        name: material_of(parts[name], exemplar_side=twin.exemplar_side)
        for name in ("train", "valid")
        if name in parts
    }
    with begun(twin, recipe, seed=seed, state=state, provenance=provenance, began=began) as run:
        _learn(run, twin, material, checkpoints=checkpoints, watch=watch)
    training = told(run) | {"pictures": {name: len(part) for name, part in parts.items()}}
    bundle = TrackBundle(twin=twin, recipe=recipe, provenance=provenance, training=training)
    return _calibrated(bundle, parts.get("calibrate"))


class PairValidation:
    """Pairs of footage that does not train, the same at each look, and a second twin to try weights on."""

    def __init__(self, material: Material, recipe: Recipe, twin: TrackTwin) -> None:
        motion = motion_of(recipe)
        pairs = [
            material.pair(
                motion,
                np.random.default_rng((number, 4)),
                exemplar_side=twin.exemplar_side,
                search_side=twin.search_side,
            )
            for number in range(VALID_PAIRS)
        ]
        size = recipe.windows.count
        self.batches = [batch_of(pairs[at : at + size]) for at in range(0, len(pairs), size)]
        self.twin: TrackTwin | None = None

    def measure(
        self, twin: TrackTwin, weights: dict[str, Tensor], *, precision: str, quick: bool = False
    ) -> dict[str, float]:
        """overlap: the mean over objects that are there, of the box at the best place. presence_auc: how
        often the best score of a window with the object is above that of one without it.

        Args:
            quick: of a few pairs.
        """
        if self.twin is None:
            self.twin = copy.deepcopy(twin).eval()
        self.twin.load_state_dict(weights)
        shares, scores, there = [], [], []
        size = len(self.batches[0][0])
        for batch, boxes in self.batches[: -(-QUICK_PAIRS // size) if quick else None]:
            with torch.no_grad():
                moved = batch.to(self.twin.device)
                maps = self.twin(moved.exemplars, moved.sizes, moved.windows)
            found, best = best_boxes(maps, self.twin.stride)
            shares.append(overlaps(found.cpu(), boxes))
            scores.append(best.cpu())
            there.append(boxes.isfinite().all(1))
        present = torch.cat(there)
        return {
            "overlap": float(torch.cat(shares)[present].mean()),
            "presence_auc": _auc(torch.cat(scores), present),
        }


def best_boxes(
    maps: TrackMaps, stride: int
) -> tuple[Float[Tensor, "batch 4"], Float[Tensor, "batch"]]:
    """The box at the best place of each window (left, upper, right, lower edge in its pixels), and the score there."""
    scores, columns = maps.scores.flatten(1), maps.scores.shape[2]
    best, place = scores.max(1)
    sides = maps.sides.flatten(2)[torch.arange(len(place)), :, place]
    x, y = (place % columns + 0.5) * stride, (place // columns + 0.5) * stride
    edges = (x - sides[:, 0], y - sides[:, 1], x + sides[:, 2], y + sides[:, 3])
    return torch.stack(edges, 1), best


def overlaps(one: Float[Tensor, "n 4"], other: Float[Tensor, "n 4"]) -> Float[Tensor, "n"]:
    """Intersection over union of boxes given by their edges; NaN where one of them is."""
    low, high = torch.maximum(one[:, :2], other[:, :2]), torch.minimum(one[:, 2:], other[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    areas = [(each[:, 2:] - each[:, :2]).clamp(min=0).prod(1) for each in (one, other)]
    return shared / (areas[0] + areas[1] - shared)


def _auc(scores: Float[Tensor, "n"], present: Tensor) -> float:
    above = scores[present][:, None] - scores[~present][None]
    return float(((above > 0).double() + (above == 0).double() / 2).mean())


def _calibrated(bundle: TrackBundle, footage: Footage | None) -> TrackBundle:
    """With a confidence from synthetic films, partly of pictures that did not train."""
    if not bundle.recipe.windows.films:
        return bundle
    known = None
    if footage is not None and footage.pictures:
        known = material_of(footage, exemplar_side=bundle.twin.exemplar_side).pictures
    films = motion_films(
        bundle.recipe.windows.films,
        seed=CALIBRATION_SEED,
        size=CALIBRATION_SIZE,
        pictures=() if known is None else known.scenes,
        turning=CALIBRATION_TURNING,
    )
    return replace(bundle, confidence=calibrate_track(bundle, films))


def _learn(
    run: Run,
    twin: TrackTwin,
    material: dict[str, Material],
    *,
    checkpoints: Checkpoints | None,
    watch: Watch | None,
) -> None:
    """All epochs; the twin has the best weights at the end."""
    processes = Processes.present()
    sides = twin.exemplar_side, twin.search_side
    share = processes.rank, processes.count
    feed = MotionFeed(material["train"], run.recipe, run.seed, sides=sides, share=share)
    loss = build.track_loss(run.recipe.loss)
    validation = (
        PairValidation(material["valid"], run.recipe, twin) if "valid" in material else None
    )
    network = twin.network
    if isinstance(network, TrackLite0) and whole_trunk(twin.encoder, run.recipe.freeze):
        network.hold_trunk(True)
        feed = StillFeed(feed, twin, network, run.recipe.windows.repeats)

    def take(batch: MotionBatch | MotionMaps, targets: Tensor, sizes: Sequence[int]) -> float:
        return _step(run, batch, targets, partial(loss, stride=twin.stride))

    keeper = Keeper(run, checkpoints)
    learn(run, feed, take, keeper=keeper, validation=validation, watch=watch)
    if isinstance(network, TrackLite0):
        network.hold_trunk(False)
    twin.load_state_dict(run.best_weights if validation else run.weights)
    reorder(twin.eval(), torch.contiguous_format)


def _step(
    run: Run, batch: MotionBatch | MotionMaps, boxes: Float[Tensor, "batch 4"], loss: Any
) -> float:
    """Change the weights a little; returns the loss of the whole batch before."""
    batch, boxes = batch.to(run.twin.device), boxes.to(run.twin.device)
    with forwarding(run):
        scores, sides = (
            batch.compared(run.twin.encoder)
            if isinstance(batch, MotionMaps)
            else _compared(run.forward(batch.exemplars, batch.sizes, batch.windows))
        )
    return descend(run, loss(scores.float(), sides.float(), boxes))


def _compared(maps: TrackMaps) -> tuple[Tensor, Tensor]:
    return maps.scores, maps.sides

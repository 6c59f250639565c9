"""Batches of tiles cut from scenes: half of them around changed pixels, all augmented by their own key."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from twofold.config import Recipe
from twofold.errors import NotEnoughData, RecipeError, nearest
from twofold.scene import Scene
from twofold.train.feed import parts_of_batch
from twofold.train.tile_augment import TileAugmentation

__all__ = ["TileBatch", "TileFeed", "TileTruth", "augmentation"]


@dataclass(frozen=True, kw_only=True)
class TileBatch:
    """Tiles of both dates."""

    before: Float[Tensor, "batch bands height width"]
    after: Float[Tensor, "batch bands height width"]

    def __len__(self) -> int:
        return len(self.before)

    def to(self, device: torch.device) -> "TileBatch":
        """The same on another device."""
        return TileBatch(before=self.before.to(device), after=self.after.to(device))


@dataclass(frozen=True, kw_only=True)
class TileTruth:
    """What changed in a batch of tiles, and which pixels lie inside their scene and hold a value."""

    changed: Float[Tensor, "batch height width"]
    valid: Bool[Tensor, "batch height width"]

    def to(self, device: torch.device) -> "TileTruth":
        """The same on another device."""
        return TileTruth(changed=self.changed.to(device), valid=self.valid.to(device))


def augmentation(recipe: Recipe) -> TileAugmentation:
    """What `[augment]` of a recipe says of tiles.

    Raises:
        RecipeError: a setting that tiles do not have.
    """
    known = TileAugmentation.__dataclass_fields__
    for name, value in recipe.augment.items():
        if name not in known:
            raise RecipeError(f"augment.{name}: {nearest(name, known)}")
        flag = isinstance(known[name].default, bool)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if (flag and not isinstance(value, bool)) or (not flag and not (number and value >= 0)):
            wanted = "true or false" if flag else "a number of 0 or more"
            raise RecipeError(f"augment.{name} = {value!r}: must be {wanted}")
    return TileAugmentation(**recipe.augment)


class TileFeed:
    """Batches of tiles of scenes that are in memory.

    Attributes:
        share: (rank, world): which of how many processes this one is; it makes the rank-th part of
            every batch.
    """

    def __init__(
        self, scenes: Sequence[Scene], recipe: Recipe, seed: int, *, share: tuple[int, int] = (0, 1)
    ) -> None:
        self.scenes, self.tiles, self.seed, self.share = tuple(scenes), recipe.tiles, seed, share
        if recipe.tiles.count < share[1]:
            raise NotEnoughData(
                f"a batch of {recipe.tiles.count} tiles cannot be shared by {share[1]} processes: "
                f"raise tiles.count, or start fewer processes"
            )
        self.augment = augmentation(recipe)
        self.dates = [
            tuple(torch.from_numpy(date)[None] for date in (scene.before, scene.after))
            for scene in scenes
        ]
        self.masks = [
            torch.from_numpy(np.stack([scene.truth & scene.valid, scene.valid]).astype(np.float32))
            for scene in scenes
        ]
        self.changed = [np.flatnonzero(scene.truth & scene.valid) for scene in scenes]
        areas = np.array([scene.valid.sum() for scene in scenes], np.float64)
        if not areas.sum():
            raise NotEnoughData("no pixel of the training scenes holds a value at both dates")
        self.areas = areas / areas.sum()
        # some scenes show no change: they give tiles without any, and no others
        counts = np.array([len(each) ** 0.5 for each in self.changed])
        self.changes = counts / counts.sum() if counts.sum() else self.areas
        self.steps = max(1, round(areas.sum() / recipe.tiles.size**2 / recipe.tiles.count))

    def plan(self, epoch: int, groups: None = None) -> list[Int[np.ndarray, "count 4"]]:
        """The batches of an epoch: scene, row and column of the middle, and number, of each tile.

        A scene's share of the tiles with change grows with the root of its changed pixels, so that
        one large site does not fill them all.
        """
        rng = np.random.default_rng((self.seed, epoch, 1))
        count = self.steps * self.tiles.count
        with_change = rng.permutation(count) < round(self.tiles.changed * count)
        rows = [self._drawn(bool(each), rng) for each in with_change]
        plan = np.concatenate([np.array(rows, np.int64), np.arange(count)[:, None]], axis=1)
        return list(plan.reshape(self.steps, self.tiles.count, 4))

    def _drawn(self, with_change: bool, rng: np.random.Generator) -> tuple[int, int, int]:
        shares = self.changes if with_change else self.areas
        scene = int(rng.choice(len(shares), p=shares))
        height, width = self.scenes[scene].truth.shape
        if with_change and len(self.changed[scene]):
            row, column = divmod(int(rng.choice(self.changed[scene])), width)
            apart = self.tiles.size // 4  # what changed is not always in the middle
            row, column = (int(each + rng.integers(-apart, apart + 1)) for each in (row, column))
            return scene, row, column
        return scene, int(rng.integers(height)), int(rng.integers(width))

    def sizes(self, planned: Int[np.ndarray, "count 4"]) -> list[int]:
        """How many tiles of a planned batch each process makes, in the order of their ranks."""
        return parts_of_batch(len(planned), self.share[1])

    def pairs(self, targets: Any) -> int:
        """Pairs that a batch compares: pixels of its tiles."""
        return targets.valid.numel()

    def batch(self, planned: Int[np.ndarray, "count 4"], epoch: int) -> tuple[TileBatch, TileTruth]:
        """This process's tiles of one planned batch, and what changed in them."""
        ends = np.cumsum([0, *self.sizes(planned)])
        mine = planned[ends[self.share[0]] : ends[self.share[0] + 1]]
        made = [self._tile(row, epoch) for row in mine.tolist()]
        before, after, masks = (torch.stack(each) for each in zip(*made, strict=True))
        truth = TileTruth(changed=masks[:, 0], valid=masks[:, 1] > 0.5)
        return TileBatch(before=before, after=after), truth

    def _tile(self, row: list[int], epoch: int) -> tuple[Tensor, Tensor, Tensor]:
        scene, middle_row, middle_column, number = row
        rng = np.random.default_rng((self.seed, epoch, 2, number))
        height, width = self.scenes[scene].truth.shape
        grid = _grid(
            self.augment.geometry(rng),
            (middle_row, middle_column),
            self.tiles.size,
            (height, width),
        )
        dates = [_cut(date, grid, "bilinear", "reflection") for date in self.dates[scene]]
        masks = _cut(self.masks[scene][None], grid, "nearest", "zeros")
        dates = [self.augment.light(date, rng) for date in dates]
        if self.augment.swaps(rng):
            dates.reverse()
        return dates[0], dates[1], masks


def _grid(
    linear: np.ndarray, middle: tuple[int, int], size: int, scene: tuple[int, int]
) -> Float[Tensor, "1 size size 2"]:
    """Where each pixel of a tile lies in its scene, in the coordinates of `grid_sample`."""
    places = (
        np.arange(size) - size // 2
    )  # whole pixels: where nothing is turned, nothing is blurred
    columns, rows = np.meshgrid(places, places)
    across = linear[0, 0] * columns + linear[0, 1] * rows + middle[1]
    down = linear[1, 0] * columns + linear[1, 1] * rows + middle[0]
    height, width = scene
    grid = np.stack([(2 * across + 1) / width - 1, (2 * down + 1) / height - 1], axis=2)
    return torch.from_numpy(grid.astype(np.float32))[None]


def _cut(
    whole: Float[Tensor, "1 bands height width"], grid: Tensor, mode: str, padding: str
) -> Float[Tensor, "bands size size"]:
    return F.grid_sample(whole, grid, mode=mode, padding_mode=padding, align_corners=False)[0]

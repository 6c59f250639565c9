"""Batches of synthetic motion: pairs of an object and a window, each drawn by its own key."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from twofold.config import Recipe
from twofold.data.clip_pairs import Clip, clip_pair
from twofold.data.motion import Motion, MotionPair, Pictures, motion_pair
from twofold.errors import NotEnoughData, RecipeError, nearest
from twofold.train.feed import parts_of_batch

__all__ = ["Material", "MotionBatch", "MotionFeed", "batch_of", "motion_of"]


@dataclass(frozen=True, kw_only=True)
class MotionBatch:
    """Objects and the windows in which they are looked for."""

    exemplars: UInt8[Tensor, "batch 3 side side"]
    sizes: Float[Tensor, "batch 2"]
    windows: UInt8[Tensor, "batch 3 height width"]

    def __len__(self) -> int:
        return len(self.exemplars)

    def to(self, device: torch.device) -> "MotionBatch":
        """The same on another device."""
        return MotionBatch(
            exemplars=self.exemplars.to(device),
            sizes=self.sizes.to(device),
            windows=self.windows.to(device),
        )


@dataclass(frozen=True, kw_only=True)
class Material:
    """What pairs are made of: pictures, and clips of sequences.

    Attributes:
        real: share of the pairs that are of clips.
    """

    pictures: Pictures | None = None
    clips: tuple[Clip, ...] = ()
    real: float = 0.0

    def pair(
        self,
        motion: Motion,
        rng: np.random.Generator,
        *,
        exemplar_side: int,
        search_side: int,
    ) -> MotionPair:
        """A pair, all of it drawn from `rng`."""
        sides = {"exemplar_side": exemplar_side, "search_side": search_side}
        if self.clips and (self.pictures is None or rng.random() < self.real):
            return clip_pair(self.clips, motion, rng, **sides)
        if self.pictures is None:
            raise NotEnoughData("no picture and no sequence is left to learn from")
        return motion_pair(self.pictures, motion, rng, **sides)


def motion_of(recipe: Recipe) -> Motion:
    """What `[augment]` of a recipe says of motion.

    Raises:
        RecipeError: a setting that motion does not have, or a value that does not fit.
    """
    known = Motion.__dataclass_fields__
    for name, value in recipe.augment.items():
        if name not in known:
            raise RecipeError(f"augment.{name}: {nearest(name, known)}")
        whole = isinstance(known[name].default, int)
        number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not (number and value >= 0):
            wanted = "a whole number" if whole else "a number"
            raise RecipeError(f"augment.{name} = {value!r}: must be {wanted} of 0 or more")
    return Motion(**recipe.augment)


def batch_of(pairs: Sequence[MotionPair]) -> tuple[MotionBatch, Float[Tensor, "batch 4"]]:
    """Pairs as one batch, and their boxes."""
    crops, windows = (
        torch.from_numpy(np.stack([getattr(pair, name) for pair in pairs])).permute(0, 3, 1, 2)
        for name in ("exemplar", "window")
    )
    sizes = torch.from_numpy(np.stack([pair.size for pair in pairs])).float()
    boxes = torch.from_numpy(np.stack([pair.box for pair in pairs])).float()
    return MotionBatch(exemplars=crops, sizes=sizes, windows=windows), boxes


class MotionFeed:
    """Batches of pairs; those of an epoch are drawn anew.

    Attributes:
        share: (rank, world): which of how many processes this one is; it makes the rank-th part of
            every batch.
    """

    def __init__(
        self,
        material: Material,
        recipe: Recipe,
        seed: int,
        *,
        sides: tuple[int, int],
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self.material, self.seed, self.share, self.sides = material, seed, share, sides
        self.windows, self.motion = recipe.windows, motion_of(recipe)
        if recipe.windows.count < share[1]:
            raise NotEnoughData(
                f"a batch of {recipe.windows.count} pairs cannot be shared by {share[1]} "
                f"processes: raise windows.count, or start fewer processes"
            )

    def plan(self, epoch: int, groups: None = None) -> list[Int[np.ndarray, "count"]]:
        """The batches of an epoch: the numbers of their pairs."""
        count = self.windows.count * self.windows.steps
        return list(np.arange(count).reshape(self.windows.steps, self.windows.count))

    def sizes(self, planned: Int[np.ndarray, "count"]) -> list[int]:
        """How many pairs of a planned batch each process makes, in the order of their ranks."""
        return parts_of_batch(len(planned), self.share[1])

    def pairs(self, targets: Any) -> int:
        """Pairs that a batch compares."""
        return len(targets)

    def batch(
        self, planned: Int[np.ndarray, "count"], epoch: int
    ) -> tuple[MotionBatch, Float[Tensor, "batch 4"]]:
        """This process's pairs of one planned batch, and where their objects are."""
        ends = np.cumsum([0, *self.sizes(planned)])
        mine = planned[ends[self.share[0]] : ends[self.share[0] + 1]]
        return batch_of([self._pair(epoch, int(number)) for number in mine])

    def _pair(self, epoch: int, number: int) -> MotionPair:
        rng = np.random.default_rng((self.seed, epoch, 3, number))
        exemplar_side, search_side = self.sides
        return self.material.pair(
            self.motion, rng, exemplar_side=exemplar_side, search_side=search_side
        )

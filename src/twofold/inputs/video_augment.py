"""Training-time changes to clips: those of pictures, held fixed over a clip, and a crop in time."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from twofold.errors import RecipeError
from twofold.inputs.image_augment import Augment
from twofold.inputs.keyed_random import streams, uniform

if TYPE_CHECKING:
    from twofold.inputs.image import Image

__all__ = ["VideoAugment", "video_augmentation"]

LARGEST_CROP = 0.9
"""Of a clip's time that may be cut away: a tenth is left."""

_LENGTH, _START = 1 << 20, (1 << 20) + 1
"""Slots of random numbers that no picture's augmentation uses."""


@dataclass(frozen=True, kw_only=True)
class VideoAugment:
    """What may happen to a clip in training.

    Attributes:
        picture: happens to every frame of a clip alike.
        time_crop: fraction of the clip's time; a part of it, shorter by up to this much, is shown
            in its place, with frames repeated.
    """

    picture: Augment
    time_crop: float = 0.0

    def __post_init__(self) -> None:
        value = self.time_crop
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RecipeError(f"augment.time_crop = {value!r} is not a number")
        if not 0 <= value <= LARGEST_CROP:
            raise RecipeError(
                f"augment.time_crop = {value} is not possible: a number from 0 (off) to "
                f"{LARGEST_CROP}"
            )

    @property
    def variants(self) -> int:
        """How many classes a clip makes: as of pictures."""
        return self.picture.variants

    def __call__(
        self,
        batch: UInt8[Tensor, "batch frames channels height width"],
        keys: Int[np.ndarray, "batch 4"],
    ) -> UInt8[Tensor, "batch frames channels height width"]:
        """Changes a batch; what happens to a clip depends on the clip and its key alone.

        Args:
            keys: (seed, epoch, item, variant) of each clip.
        """
        if self.time_crop:
            batch = _cropped(batch, keys, self.time_crop)
        frames = batch.shape[1]
        changed = self.picture(batch.flatten(0, 1), np.repeat(keys, frames, axis=0))
        return changed.unflatten(0, (-1, frames))


def video_augmentation(settings: dict[str, Any], picture: "Image") -> VideoAugment:
    """The augmentation of clips whose frames are of the given type.

    Raises:
        RecipeError: an unknown setting, or a value that does not fit.
    """
    rest = {name: value for name, value in settings.items() if name != "time_crop"}
    return VideoAugment(
        picture=picture.augmentation(**rest), time_crop=settings.get("time_crop", 0.0)
    )


def _cropped(
    batch: UInt8[Tensor, "batch frames channels height width"],
    keys: Int[np.ndarray, "batch 4"],
    largest: float,
) -> UInt8[Tensor, "batch frames channels height width"]:
    """A part of each clip, stretched to its length; the nearest frames are taken."""
    draws, count = streams(keys), batch.shape[1]
    length = 1 - largest * uniform(draws, _LENGTH)
    start = (1 - length) * uniform(draws, _START)
    middles = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    places = ((start[:, None] + length[:, None] * middles) * count).long().clamp(max=count - 1)
    rows = torch.arange(len(batch))[:, None]
    return batch[rows.to(batch.device), places.to(batch.device)]

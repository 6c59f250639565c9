"""Augmentation of tiles: one geometry for both dates and the mask, other light for each date."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

__all__ = ["TileAugmentation"]

BLURRED = 0.8
"""Pixels of deviation of the blur that stands for a worse focus or another instrument."""


@dataclass(frozen=True, kw_only=True)
class TileAugmentation:
    """What a recipe's `augment` may say of tiles; everything is off by default.

    Attributes:
        turn: turn by quarters and mirror.
        rotation: turn by up to so many degrees besides.
        scale: make larger or smaller by up to this share.
        brightness, contrast: of a whole date, in deviations of the scene.
        colour: of each band of a date by itself, as seasons and haze do.
        blur: probability that a date is blurred a little.
        noise: deviation of noise on each pixel.
        swap: exchange the dates in half of the tiles.
    """

    turn: bool = False
    rotation: float = 0.0
    scale: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    colour: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    swap: bool = False

    def geometry(self, rng: np.random.Generator) -> Float[np.ndarray, "2 2"]:
        """A linear map of a tile's coordinates to those of the scene, for both dates and the mask."""
        angle = math.radians(self.rotation) * rng.uniform(-1, 1)
        mirror = 1.0
        if self.turn:
            angle += math.pi / 2 * int(rng.integers(4))
            mirror = float(rng.choice([-1.0, 1.0]))
        factor = math.exp(math.log1p(self.scale) * rng.uniform(-1, 1))
        cosine, sine = math.cos(angle), math.sin(angle)
        return factor * np.array([[cosine * mirror, -sine], [sine * mirror, cosine]])

    def light(
        self, tile: Float[Tensor, "bands height width"], rng: np.random.Generator
    ) -> Float[Tensor, "bands height width"]:
        """One date in another light."""
        bands = len(tile)
        gain = np.exp(self.contrast * rng.normal() + self.colour * rng.normal(size=bands) / 2)
        offset = self.brightness * rng.normal() + self.colour * rng.normal(size=bands)
        shape = (bands, 1, 1)
        tile = tile * torch.from_numpy(gain.astype(np.float32)).reshape(shape)
        tile = tile + torch.from_numpy(offset.astype(np.float32)).reshape(shape)
        if rng.uniform() < self.blur:
            tile = _blurred(tile)
        if self.noise:
            tile = tile + torch.from_numpy(rng.normal(0, self.noise, tile.shape).astype(np.float32))
        return tile

    def swaps(self, rng: np.random.Generator) -> bool:
        """Whether a tile's dates are exchanged."""
        return self.swap and bool(rng.integers(2))


def _blurred(tile: Float[Tensor, "bands height width"]) -> Float[Tensor, "bands height width"]:
    places = torch.arange(-2, 3, dtype=torch.float32)
    line = torch.exp(-(places**2) / (2 * BLURRED**2))
    line = line / line.sum()
    padded = F.pad(tile[:, None], (2, 2, 2, 2), mode="reflect")
    rows = F.conv2d(padded, line.reshape(1, 1, 5, 1))
    return F.conv2d(rows, line.reshape(1, 1, 1, 5))[:, 0]

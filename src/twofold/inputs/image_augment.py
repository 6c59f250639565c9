"""Training-time changes to pictures: one fused affine warp a batch, then blur, light, noise and erasing."""

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

from twofold.errors import RecipeError, UsageError, nearest
from twofold.inputs.image_warp import backward_map, rotations, warp
from twofold.inputs.keyed_random import normal, streams, uniform

__all__ = ["Augment", "augmentation"]

FILLS = ("border", "background")

LIMITS = {
    "rotation": 180.0,
    "scale": 0.9,
    "aspect": 0.9,
    "shear": 0.9,
    "shift": 1.0,
    "crop": 0.9,
    "contrast": 1.0,
    "brightness": 1.0,
    "blur": 20.0,
    "noise": 1.0,
    "erasing": 0.9,
}
"""The largest value of each setting; the smallest is 0, which turns it off."""

MOVES = ("rotation", "flip", "scale", "aspect", "shear", "shift", "crop")

# Each random number has its own slot, so that switching one setting on leaves what the others do as
# it was.
_SLOTS = (
    *(
        "rotation",
        "flip",
        "scale",
        "aspect",
        "shear_x",
        "shear_y",
        "shift_x",
        "shift_y",
        "crop",
        "crop_x",
        "crop_y",
    ),
    *(
        "contrast",
        "brightness",
        "blur",
        "noise",
        "pixels",
        "erasing",
        "erasing_shape",
        "erasing_x",
        "erasing_y",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Augment:
    """What may happen to a picture in training. Every setting is off at first; each picture draws its own amounts.

    Attributes:
        rotation: degrees; turned by up to this much either way.
        flip: whether every other picture, by chance, is mirrored left to right.
        scale: fraction; grown or shrunk to between 1 - scale and 1 + scale.
        aspect: fraction; width / height changes by a factor of 1 - aspect to 1 + aspect at the same
            area.
        shear: fraction; x slides with y, and y with x, each by up to this many pixels a pixel.
        shift: fraction of the side; moved by up to this much, each way.
        crop: fraction of the side; a window somewhere inside, smaller by up to this much, is shown
            in full size.
        contrast: fraction; distances from the picture's mean change by a factor of 1 - contrast to
            1 + contrast.
        brightness: fraction of the full range (white minus black) that is added or taken, at most.
        blur: pixels; the largest standard deviation of a Gaussian blur.
        noise: fraction of the full range; the largest standard deviation of Gaussian noise on every
            sample.
        erasing: fraction of the area; the largest rectangle that is painted over.
        fill: what appears beyond the border of a warped picture: "border" repeats its pixels and
            "background" is the input type's background. Erased rectangles get the picture's mean
            with the first, else the background.
        quarter_turns_as_classes: an item turned by 90, 180 and 270 degrees counts as three further
            classes (Santoro et al. 2016, section 4.1): the label-changing variants 1, 2 and 3. For
            square pictures.
        background: grey value in [0, 255]; comes from the input type.
    """

    rotation: float = 0.0
    flip: bool = False
    scale: float = 0.0
    aspect: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    crop: float = 0.0
    contrast: float = 0.0
    brightness: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    erasing: float = 0.0
    fill: str = "border"
    quarter_turns_as_classes: bool = False
    background: int = 255

    def __post_init__(self) -> None:
        for name, limit in LIMITS.items():
            value = getattr(self, name)
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not 0 <= value <= limit
            ):
                raise RecipeError(
                    f"augment.{name} = {value!r} is not possible: a number from 0 (off) to "
                    f"{limit:g}"
                )
        if self.fill not in FILLS:
            raise RecipeError(
                f"augment.fill = {self.fill!r} is not possible: {nearest(str(self.fill), FILLS)}"
            )
        for name in ("flip", "quarter_turns_as_classes"):
            if not isinstance(value := getattr(self, name), bool):
                raise RecipeError(f"augment.{name} = {value!r} is not possible: true or false")

    @property
    def variants(self) -> int:
        """How many classes an item makes: 4 with `quarter_turns_as_classes`, else 1."""
        return 4 if self.quarter_turns_as_classes else 1

    def __call__(
        self, batch: UInt8[Tensor, "batch channels height width"], keys: Int[np.ndarray, "batch 4"]
    ) -> UInt8[Tensor, "batch channels height width"]:
        """Changes a batch; what happens to a picture depends on the picture and its key alone.

        Args:
            batch: uint8 in [0, 255], as `Image.stack` makes it.
            keys: (seed, epoch, item, variant) of each picture.

        Returns:
            uint8 in [0, 255] on the batch's device; the batch itself when every setting is off.

        Raises:
            UsageError: a variant that there is not.
        """
        _check_variants(keys[:, 3], self.variants)
        if not (self.variants > 1 or self.flip or any(getattr(self, name) for name in LIMITS)):
            return batch
        draw = _Draws(streams(keys))
        pictures = batch.float()
        if self.variants > 1 or any(getattr(self, name) for name in MOVES):
            fill = None if self.fill == "border" else float(self.background)
            pictures = warp(
                pictures, _map(self, draw, variants=keys[:, 3], size=pictures.shape[2:]), fill=fill
            )
        if self.blur:
            pictures = _blurred(
                pictures, draw.between("blur", 0.0, self.blur), reach=math.ceil(3 * self.blur)
            )
        if self.contrast or self.brightness:
            factor = 1 + draw.around_zero("contrast", self.contrast)
            pictures = _lit(pictures, factor, 255 * draw.around_zero("brightness", self.brightness))
        if self.noise:
            pictures = pictures + _noise(
                draw, 255 * draw.between("noise", 0.0, self.noise), pictures
            )
        if self.erasing:
            paint = (
                _means(pictures)
                if self.fill == "border"
                else torch.full_like(pictures[:, :, :1, :1], self.background)
            )
            pictures = torch.where(_rectangles(draw, self.erasing, pictures), paint, pictures)
        return pictures.round_().clamp_(0, 255).to(torch.uint8)


def augmentation(settings: dict[str, Any], *, size: tuple[int, int], background: int) -> Augment:
    """An `Augment` from a recipe's settings.

    Raises:
        RecipeError: an unknown setting, or a value that does not fit.
    """
    known = {field.name for field in fields(Augment)} - {"background"}
    for name in settings:
        if name not in known:
            raise RecipeError(
                f"augment.{name} is not a setting for pictures: {nearest(name, known)}"
            )
    augment = Augment(**settings, background=background)
    if augment.quarter_turns_as_classes and size[0] != size[1]:
        raise RecipeError(
            f"augment.quarter_turns_as_classes needs square pictures, and these are {size[0]} x "
            f"{size[1]}: "
            "set the input's size to one number, or leave it out"
        )
    return augment


class _Draws:
    """The random numbers of a batch's pictures, by name."""

    def __init__(self, streams: Int[Tensor, "batch"]):
        self.streams = streams
        # all slots in one pass: on batches of small pictures most of the time went into these short
        # vectors
        slots = streams + torch.arange(len(_SLOTS))[:, None]
        self.uniforms = uniform(slots.reshape(-1), 0).view(slots.shape)

    def between(self, name: str, low: float, high: float) -> Float64[Tensor, "batch"]:
        return low + (high - low) * self.uniforms[_SLOTS.index(name)]

    def around_zero(self, name: str, amount: float) -> Float64[Tensor, "batch"]:
        return self.between(name, -amount, amount)

    def two_around_zero(self, name: str, amount: float) -> Float64[Tensor, "batch 2"]:
        return torch.stack(
            [self.around_zero(f"{name}_x", amount), self.around_zero(f"{name}_y", amount)], dim=1
        )


def _check_variants(asked: Int[np.ndarray, "batch"], variants: int) -> None:
    if len(asked) and not (asked.min() >= 0 and asked.max() < variants):
        raise UsageError(
            f"variants {asked.min()} to {asked.max()} were asked for, and there are {variants}, "
            "numbered from 0: quarter_turns_as_classes makes 4"
        )


def _map(
    augment: Augment, draw: _Draws, *, variants: Int[np.ndarray, "batch"], size: tuple[int, ...]
) -> Float64[Tensor, "batch 2 3"]:
    side = torch.tensor([size[1], size[0]], dtype=torch.float64)
    mirror = 1 - 2 * (draw.between("flip", 0.0, 1.0) < 0.5 * augment.flip).double()
    scale = 1 + draw.around_zero("scale", augment.scale)
    aspect = (1 + draw.around_zero("aspect", augment.aspect)).sqrt()
    zoom = 1 - draw.between("crop", 0.0, augment.crop)
    return backward_map(
        rotations(
            draw.around_zero("rotation", augment.rotation),
            torch.from_numpy(variants.astype(np.int64)),
        ),
        scale=torch.stack([mirror * scale * aspect, scale / aspect], dim=1),
        shear=draw.two_around_zero("shear", augment.shear),
        shift=draw.two_around_zero("shift", augment.shift) * side,
        zoom=zoom,
        centre=draw.two_around_zero("crop", 1.0) * (1 - zoom)[:, None] / 2 * side,
    )


def _each(numbers: Float64[Tensor, "batch"], pictures: Tensor) -> Float[Tensor, "batch 1 1 1"]:
    """One number per picture, to be multiplied with it."""
    return numbers.float().to(pictures.device).view(-1, 1, 1, 1)


def _means(
    pictures: Float[Tensor, "batch channels height width"],
) -> Float[Tensor, "batch channels 1 1"]:
    # Whole numbers, since a sum of floats may round otherwise in another batch.
    return pictures.round().int().sum(dim=(2, 3), keepdim=True) / (
        pictures.shape[2] * pictures.shape[3]
    )


def _blurred(
    pictures: Float[Tensor, "batch channels height width"],
    sigma: Float64[Tensor, "batch"],
    *,
    reach: int,
) -> Float[Tensor, "batch channels height width"]:
    """A Gaussian of each picture's own width, along the rows and then the columns; the border is repeated."""
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float64)
    weights = torch.exp(-0.5 * (offsets / sigma.clamp(min=1e-3)[:, None]) ** 2)
    weights = weights / weights.sum(dim=1, keepdim=True)
    for axis, margin in ((3, (reach, reach, 0, 0)), (2, (0, 0, reach, reach))):
        padded, length = F.pad(pictures, margin, mode="replicate"), pictures.shape[axis]
        pictures = _each(weights[:, 0], pictures) * padded.narrow(axis, 0, length)
        for start in range(1, len(offsets)):
            pictures.addcmul_(
                _each(weights[:, start], pictures), padded.narrow(axis, start, length)
            )
    return pictures


def _lit(
    pictures: Float[Tensor, "batch channels height width"],
    contrast: Float64[Tensor, "batch"],
    brightness: Float64[Tensor, "batch"],
) -> Float[Tensor, "batch channels height width"]:
    factor = _each(contrast, pictures)
    mean = _means(pictures).mean(dim=1, keepdim=True)
    return factor * pictures + ((1 - factor) * mean + _each(brightness, pictures))


def _noise(
    draw: _Draws,
    deviation: Float64[Tensor, "batch"],
    pictures: Float[Tensor, "batch channels height width"],
) -> Float[Tensor, "batch channels height width"]:
    samples = normal(draw.streams.to(pictures.device), _SLOTS.index("pixels"), pictures[0].numel())
    return samples.view(pictures.shape) * _each(deviation, pictures)


def _rectangles(
    draw: _Draws, area: float, pictures: Float[Tensor, "batch channels height width"]
) -> Bool[Tensor, "batch 1 height width"]:
    """Where each picture's rectangle lies, of up to `area` of the picture, sides 1:2 to 2:1 (Zhong et al. 2020)."""
    covered = draw.between("erasing", 0.0, area)
    shape = torch.exp(draw.around_zero("erasing_shape", math.log(2.0)) / 2)
    inside = []
    for axis, part in ((2, covered.sqrt() * shape), (3, covered.sqrt() / shape)):
        part = part.clamp(max=1.0)
        start = draw.between("erasing_y" if axis == 2 else "erasing_x", 0.0, 1.0) * (1 - part)
        middles = (torch.arange(pictures.shape[axis], dtype=torch.float64) + 0.5) / pictures.shape[
            axis
        ]
        inside.append((middles >= start[:, None]) & (middles < (start + part)[:, None]))
    return (inside[0][:, None, :, None] & inside[1][:, None, None, :]).to(pictures.device)

"""Pictures: the input type that decodes, resizes, stacks and normalises them."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import PIL.Image
import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from twofold.errors import RecipeError, UnreadableInput, nearest
from twofold.inputs.image_augment import Augment, augmentation
from twofold.inputs.image_colour import PAPER
from twofold.inputs.image_decoding import RULES, decode, describe
from twofold.inputs.image_margins import trimmed
from twofold.inputs.image_traits import traits

__all__ = ["Image"]

SMALLEST = 8
"""Pixels a side from which on a picture has traits."""

FITS = ("stretch", "pad", "crop")


@dataclass(frozen=True, kw_only=True)
class Image:
    """Pictures of one size. Every constant that turns a file into what the encoder sees stands here.

    Attributes:
        size: height and width in pixels, or one number for both.
        channels: 1 (grey, ITU-R 601 luma) or 3 (RGB).
        fit: how another shape is brought to `size`: "stretch" both sides, "pad" with the
            background, or "crop" the middle.
        background: grey value in [0, 255] behind transparent pixels and beside padded ones; 255 is
            white paper. Where a drawing on transparency could not be seen on it, its opposite is
            taken (rules 2).
        mean: subtracted from pixels in [0, 1]; one number, or one per channel. `mean=1.0` makes
            white paper zero.
        std: divides the rest; one number, or one per channel.
        max_pixels: larger pictures are refused from their header, before a pixel is decoded. The
            environment variable TWOFOLD_MAX_PIXELS overrides it.
        trim: whether plain margins are cut off, as those of a product on white: what is left is the
            smallest frame of the shape of `size` around everything else.
        proportions: of what `trim` leaves, the shorter side as a share of the longer is raised to
            this power: 1 keeps it, 0.5 takes its square root, 0 makes the sides alike. Drawn
            characters vary in width and height (aspect ratio adaptive normalisation, Liu et al.
            2004). Below 1 a picture without a margin counts as cut out already, and is not
            stretched by `fit`.
        rules: version of the rules by which a file becomes pixels. 1, of bundles from before there
            were two: colour profiles count for nothing, and transparent pixels always lie on
            `background`.

    Raises:
        RecipeError: a field that does not fit.
    """

    size: int | Sequence[int] = 112
    channels: int = 3
    fit: str = "stretch"
    background: int = 255
    mean: float | Sequence[float] = 0.5
    std: float | Sequence[float] = 0.25
    max_pixels: int = 25_000_000
    trim: bool = False
    proportions: float = 1.0
    rules: int = RULES

    name: ClassVar[str] = "Image"
    left_out: ClassVar[dict[str, Any]] = {"rules": 1, "trim": False, "proportions": 1.0}
    """What a description that lacks a field means by it."""

    def __post_init__(self) -> None:
        # lists come from JSON and TOML; tuples compare and hash
        for field in ("size", "mean", "std"):
            value = getattr(self, field)
            if not isinstance(value, int | float):
                object.__setattr__(self, field, tuple(value))
        _check_fields(self)

    @property
    def version(self) -> int:
        """Which rules read a file; part of a bundle's fingerprint."""
        return self.rules

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = (self.size, self.size) if isinstance(self.size, int) else self.size
        return height, width

    def read(self, value: object) -> UInt8[np.ndarray, "height width channels"]:
        """Decodes one picture to the array that may be cached.

        Args:
            value: a path, the bytes of a file, an array or a Pillow image. Arrays are (height,
                width) or (height, width, channels) of uint8, bool, uint16 (mapped linearly) or
                floats in [0, 1].

        Returns:
            HWC uint8 in [0, 255] of this type's size and channels.

        Raises:
            UnreadableInput: with the picture's name, what is wrong, and what to do.
        """
        picture = decode(
            value,
            side=max(self.shape),
            background=self.background,
            max_pixels=self.max_pixels,
            rules=self.rules,
        )
        picture = picture.convert("L" if self.channels == 1 else "RGB")
        if self.trim:
            picture = trimmed(
                picture, self.shape, proportions=self.proportions, background=self.background
            )
        return np.array(_fitted(picture, self), dtype=np.uint8).reshape(*self.shape, self.channels)

    def stack(self, arrays: Sequence[np.ndarray]) -> UInt8[Tensor, "batch channels height width"]:
        """Arrays of `read` as one batch, uint8 in [0, 255].

        Raises:
            UnreadableInput: an array is not of this type's size; what `read` returns is.
        """
        expected = (*self.shape, self.channels)
        for array in arrays:
            if array.shape != expected or array.dtype != np.uint8:
                raise UnreadableInput(
                    f"{describe(array)} cannot be stacked: {expected} of uint8 is needed; use "
                    f"`read`"
                )
        return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)

    def normalise(
        self, batch: Shaped[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """What the encoder sees: (x / 255 - mean) / std in float32, on the batch's device."""
        if isinstance(self.mean, int | float) and isinstance(self.std, int | float):
            return batch.float().mul(1 / (255 * self.std)).sub(self.mean / self.std)
        mean = torch.tensor(self.mean, dtype=torch.float32, device=batch.device).view(-1, 1, 1)
        std = torch.tensor(self.std, dtype=torch.float32, device=batch.device).view(-1, 1, 1)
        return (batch.float() / 255 - mean) / std

    def example(self) -> UInt8[np.ndarray, "height width channels"]:
        """A blank picture, to find dimensions and to export."""
        return np.full((*self.shape, self.channels), self.background, dtype=np.uint8)

    def facts(self) -> dict[str, Any]:
        """What a builder of encoders may want to know."""
        return {"kind": "pictures", "channels": self.channels, "size": self.shape}

    def arguments(self) -> dict[str, Any]:
        """Flat values that rebuild this type, also after a trip through JSON: `Image(**arguments)`."""
        fields = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }
        # as it was before there were others, so that old bundles keep their fingerprint
        if self.rules == 1:
            del fields["rules"]
        if not self.trim:
            del fields["trim"]
        if self.proportions == 1:
            del fields["proportions"]
        return fields

    def show(self, value: object, *, side: int | None = None) -> UInt8[np.ndarray, "..."] | None:
        """A picture as the encoder sees it; with `side` in its own shape, no larger than that; None: it is not there.

        Raises:
            UnreadableInput: without `side`, as `read`.
        """
        if side is None:
            array = self.read(value)
            return array[:, :, 0] if self.channels == 1 else array
        try:
            picture = decode(value, side=side, background=255)
        except UnreadableInput:
            return None
        picture.thumbnail((side, side))
        return np.asarray(picture)

    def quality(self, array: UInt8[np.ndarray, "height width channels"]) -> dict[str, float]:
        """Sharpness, contrast and brightness.

        sharpness: variance of the Laplacian of the grey picture in [0, 255] (Pech-Pacheco et al.
        2000); a blurred picture of the same scene has less. contrast: standard deviation of its
        grey values. brightness: their mean.
        """
        grey = array.mean(axis=2, dtype=np.float64)
        inner = grey[1:-1, 1:-1]
        laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
        sharpness = float(laplacian.var()) if laplacian.size else 0.0
        return {
            "sharpness": sharpness,
            "contrast": float(grey.std()),
            "brightness": float(grey.mean()),
        }

    def traits(
        self, value: object, array: UInt8[np.ndarray, "height width channels"]
    ) -> dict[str, tuple[float, ...]]:
        """Light, colour and the file's own numbers; of pictures of some pixels only."""
        return traits(value, array) if min(array.shape[:2]) >= SMALLEST else {}

    def augmentation(self, **settings: Any) -> Augment:
        """This type's training-time augmentation; the settings are the fields of `Augment`.

        Raises:
            RecipeError: an unknown setting, or a value that does not fit.
        """
        return augmentation(settings, size=self.shape, background=self.background)


def _check_fields(image: Image) -> None:
    if image.fit not in FITS:
        raise RecipeError(
            f"fit = {image.fit!r} is not a way to fit a picture: {nearest(image.fit, FITS)}"
        )
    if image.channels not in (1, 3):
        raise RecipeError(f"channels = {image.channels} is not possible: 1 (grey) or 3 (RGB)")
    if not isinstance(image.size, int) and len(image.size) != 2:
        raise RecipeError(
            f"size = {list(image.size)} is not possible: one number, or height and width"
        )
    if min(image.shape) < 1 or image.max_pixels < 1:
        raise RecipeError(
            f"size = {image.size} and max_pixels = {image.max_pixels} must be positive"
        )
    if image.rules not in range(1, RULES + 1):
        raise RecipeError(f"rules = {image.rules} is unknown: this twofold knows 1 to {RULES}")
    if not 0 <= image.background <= 255:
        raise RecipeError(
            f"background = {image.background} is not a grey value: 0 (black) to 255 (white)"
        )
    _check_proportions(image)
    for name, value in (("mean", image.mean), ("std", image.std)):
        numbers = (value,) if isinstance(value, int | float) else tuple(value)
        if len(numbers) not in (1, image.channels) or not all(map(math.isfinite, numbers)):
            raise RecipeError(
                f"{name} = {value} does not fit {image.channels} channels: one number, or one per "
                f"channel"
            )
        if name == "std" and min(numbers) <= 0:
            raise RecipeError(f"std = {value} must be positive")


def _check_proportions(image: Image) -> None:
    if not 0 <= image.proportions <= 1:
        raise RecipeError(
            f"proportions = {image.proportions} is not possible: 0 (both sides alike) to 1 (as "
            f"they are)"
        )
    if image.proportions != 1 and not image.trim:
        raise RecipeError(
            f"proportions = {image.proportions} is of what trim leaves: set trim = true, or "
            f"proportions = 1"
        )


def _fitted(picture: PIL.Image.Image, image: Image) -> PIL.Image.Image:
    height, width = image.shape
    if picture.size == (width, height):
        return picture
    if image.fit == "stretch":
        return _resized(picture, (width, height))
    if image.fit == "crop":
        scale = min(picture.width / width, picture.height / height)
        left, top = (picture.width - scale * width) / 2, (picture.height - scale * height) / 2
        return _resized(
            picture, (width, height), box=(left, top, left + scale * width, top + scale * height)
        )
    scale = min(width / picture.width, height / picture.height)
    small = _resized(
        picture, (max(1, round(scale * picture.width)), max(1, round(scale * picture.height)))
    )
    paper = picture.info.get(PAPER, image.background)
    page = PIL.Image.new(picture.mode, (width, height), (paper,) * len(picture.getbands()))
    page.paste(small, ((width - small.width) // 2, (height - small.height) // 2))
    return page


def _resized(
    picture: PIL.Image.Image,
    size: tuple[int, int],
    box: tuple[float, float, float, float] | None = None,
) -> PIL.Image.Image:
    # Both filters average over the whole area that a pixel shrinks from; Hamming's is the sharper
    # one (thin strokes stay dark) and never negative (no halos), but has steps where a picture
    # grows.
    shrinks = size[0] < picture.width or size[1] < picture.height
    resample = PIL.Image.Resampling.HAMMING if shrinks else PIL.Image.Resampling.BILINEAR
    return picture.resize(size, resample, box=box)

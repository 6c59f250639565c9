"""Video: the input type that samples frames of a clip and brings them to one size."""

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import PIL.Image
import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from twofold.errors import RecipeError, UnreadableInput
from twofold.inputs.image import Image
from twofold.inputs.video_augment import VideoAugment, video_augmentation
from twofold.inputs.video_decoding import film

__all__ = ["Video"]

SHOWN = 6
"""Frames of a clip that a page shows beside each other."""

STILL = 1e-3
"""Smallest deviation of differences by which they are divided."""

MOST_SAMPLED = 4096
"""Frames that are sampled from a film at most: they are held in memory, as bytes, at the input's size."""


@dataclass(frozen=True, kw_only=True)
class Video:
    """Clips: frames at equal distances in time, each brought to one size (extra `video`).

    Frames are taken by their time stamps, so a variable frame rate changes nothing, and they are
    turned as the film's metadata says.

    Attributes:
        frames: sampled from each clip. A film with fewer of them repeats some.
        clips: equal parts into which a film is cut; its vector is the mean of theirs. Training
            reads the one in the middle.
        size: height and width of a frame in pixels, or one number for both.
        channels: 1 (grey) or 3 (RGB).
        fit: how another shape is brought to `size`: "stretch", "pad" or "crop", as of `Image`.
        mean: subtracted from pixels in [0, 1]; one number, or one per channel.
        std: divides the rest.
        differences: the encoder sees how much each frame differs from the next, and not the frames:
            what moves, and not the scene. The differences of a clip have mean 0 and deviation 1.
        max_pixels: films with larger frames are refused before one is decoded.

    Raises:
        RecipeError: a field that does not fit.
    """

    frames: int = 16
    clips: int = 1
    size: int | Sequence[int] = 112
    channels: int = 3
    fit: str = "stretch"
    mean: float | Sequence[float] = 0.5
    std: float | Sequence[float] = 0.25
    differences: bool = False
    max_pixels: int = 25_000_000

    name: ClassVar[str] = "Video"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        # lists come from JSON and TOML; tuples compare and hash
        for field in ("size", "mean", "std"):
            value = getattr(self, field)
            if not isinstance(value, int | float):
                object.__setattr__(self, field, tuple(value))
        if min(self.frames, self.clips) < 1 or self.frames * self.clips > MOST_SAMPLED:
            raise RecipeError(
                f"frames = {self.frames} and clips = {self.clips}: both are positive, and at most "
                f"{MOST_SAMPLED:,} frames are sampled from a film"
            )
        if self.differences and self.frames < 2:
            raise RecipeError("differences are of two frames or more: --set input.frames=16")
        _ = self.picture  # which checks the other fields

    @functools.cached_property
    def picture(self) -> Image:
        """The type of a frame."""
        names = ("size", "channels", "fit", "mean", "std", "max_pixels")
        return Image(**{name: getattr(self, name) for name in names})

    def read(self, value: object) -> UInt8[np.ndarray, "frames height width channels"]:
        """The sampled frames of one film, `clips` x `frames` of them.

        Args:
            value: a path, the bytes of a file, or an array (frames, height, width[, channels]) of
                uint8, whose frames are taken to be at equal distances in time.

        Returns:
            FHWC uint8 in [0, 255] of this type's size and channels.

        Raises:
            UnreadableInput: it cannot be read, or breaks off; names it.
            MissingExtra: a file, without the extra `video`.
        """
        count = self.frames * self.clips
        if isinstance(value, np.ndarray):
            pictures = [value[place] for place in _spread(value, count)]
        else:
            with film(value, max_pixels=self.max_pixels) as opened:
                pictures = [PIL.Image.fromarray(frame.picture) for frame in opened.spread(count)]
        found = np.stack([self.picture.read(picture) for picture in pictures])
        if self.differences and (found == found[0]).all():
            raise UnreadableInput(
                "nothing moves in the film, and this bundle looks at what moves: leave it out"
            )
        return found

    def windows_of(
        self, array: UInt8[np.ndarray, "frames height width channels"]
    ) -> list[np.ndarray]:
        """The clips of what was read."""
        return [array[start : start + self.frames] for start in range(0, len(array), self.frames)]

    def stack(
        self, arrays: Sequence[np.ndarray]
    ) -> UInt8[Tensor, "batch frames channels height width"]:
        """Arrays of `read` as one batch, uint8 in [0, 255]; of several clips the one in the middle.

        Raises:
            UnreadableInput: an array is not of this type's size.
        """
        rows = []
        for array in arrays:
            if array.ndim != 4 or not len(array) or len(array) % self.frames:
                raise UnreadableInput(
                    f"an array of shape {array.shape} is not clips of {self.frames} frames: use "
                    f"`read`"
                )
            clips = self.windows_of(array)
            rows.append(self.picture.stack(list(clips[len(clips) // 2])))
        return torch.stack(rows)

    def normalise(
        self, batch: Shaped[Tensor, "batch frames channels height width"]
    ) -> Float[Tensor, "batch frames channels height width"]:
        """What the encoder sees: (x / 255 - mean) / std in float32; or the differences of that, the last one twice."""
        found = self.picture.normalise(batch.flatten(0, 1)).unflatten(0, batch.shape[:2])
        if not self.differences:
            return found
        moved = (found[:, 1:] - found[:, :-1]).abs()
        moved = moved - moved.mean(dim=(1, 2, 3, 4), keepdim=True)
        spread = moved.square().mean(dim=(1, 2, 3, 4), keepdim=True).sqrt()
        return torch.cat([moved, moved[:, -1:]], dim=1) / spread.clamp(min=STILL)

    def example(self) -> UInt8[np.ndarray, "frames height width channels"]:
        """A blank clip, in which nothing moves."""
        return np.stack([self.picture.example()] * self.frames)

    def facts(self) -> dict[str, Any]:
        """What a builder of encoders may want to know."""
        return {"kind": "clips", "channels": self.channels, "size": self.picture.shape}

    def arguments(self) -> dict[str, Any]:
        """Flat values that rebuild this type."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    def thing(self, value: object) -> object:
        """A string is a path."""
        return Path(value) if isinstance(value, str) else value

    def show(self, value: object, *, side: int | None = None) -> UInt8[np.ndarray, "..."] | None:
        """Some frames beside each other; with `side` so many pixels high; None: it cannot be read (any more).

        Raises:
            UnreadableInput: without `side`, as `read`.
        """
        wide = Video(
            frames=SHOWN,
            size=self.picture.shape if side is None else _shown(self.picture.shape, side),
            channels=self.channels,
            fit=self.fit,
        )
        try:
            strip = np.concatenate(list(wide.read(value)), axis=1)
        except UnreadableInput:
            if side is None:
                raise
            return None
        return strip[:, :, 0] if self.channels == 1 else strip

    def quality(self, array: UInt8[np.ndarray, "frames height width channels"]) -> dict[str, float]:
        """Sharpness, contrast and brightness, means over the frames; motion.

        motion: mean absolute difference of neighbouring frames in grey values of [0, 255].
        """
        each = [self.picture.quality(frame) for frame in array]
        found = {name: float(np.mean([one[name] for one in each])) for name in each[0]}
        moved = np.abs(np.diff(array.astype(np.float32), axis=0))
        return found | {"motion": float(moved.mean()) if len(moved) else 0.0}

    def traits(
        self, value: object, array: UInt8[np.ndarray, "frames height width channels"]
    ) -> dict[str, tuple[float, ...]]:
        """Light and colour of the frame in the middle."""
        middle = array[len(array) // 2]
        return self.picture.traits(middle, middle)

    def augmentation(self, **settings: Any) -> VideoAugment:
        """The augmentation of pictures, the same for all frames of a clip; the settings are those of `VideoAugment`.

        Raises:
            RecipeError: an unknown setting, or a value that does not fit.
        """
        return video_augmentation(settings, self.picture)


def _spread(array: Shaped[np.ndarray, "frames ..."], count: int) -> list[int]:
    """Places of `count` frames in the middles of equal parts."""
    if array.ndim not in (3, 4) or not len(array):
        raise UnreadableInput(
            f"an array of shape {array.shape} is not a clip: (frames, height, width[, channels]) is "
            f"needed"
        )
    return [int((place + 0.5) * len(array) / count) for place in range(count)]


def _shown(shape: tuple[int, int], side: int) -> tuple[int, int]:
    """Height and width of each frame of a strip: the strip is twice as wide as a picture would be."""
    scale = 2 * side / (SHOWN * max(shape))
    return max(8, round(shape[0] * scale)), max(8, round(shape[1] * scale))

"""Pairs of a real sequence: the object in one frame, and a window of another frame of the same film."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import PIL.Image
from jaxtyping import Float, UInt8

from twofold.data.cutouts import levels, turned, view
from twofold.data.motion import Motion, MotionPair, crop_side, seen

__all__ = ["REACH", "Clip", "ClipFrame", "clip_frame", "clip_pair"]

REACH = 3.0
"""Sides of the exemplar's crop that are kept of a frame: the window, twice as wide, moves within it."""


@dataclass(frozen=True, kw_only=True)
class ClipFrame:
    """A part of a frame with the object in its middle.

    Attributes:
        picture: `REACH` times the exemplar's side. size: of the box, in its pixels.
    """

    picture: UInt8[np.ndarray, "side side 3"]
    size: Float[np.ndarray, "2"]

    @cached_property
    def levels(self) -> tuple[PIL.Image.Image, ...]:
        """The picture and its halves."""
        return levels(PIL.Image.fromarray(self.picture))


Clip = tuple[ClipFrame, ...]
"""Frames of one sequence, in their order."""


def clip_frame(
    frame: UInt8[np.ndarray, "height width 3"],
    box: Float[np.ndarray, "4"],
    *,
    exemplar_side: int,
) -> ClipFrame:
    """What a training keeps of a frame.

    Args:
        box: x, y, width and height in its pixels.
    """
    side = round(REACH * exemplar_side)
    scale = exemplar_side / crop_side(float(box[2]), float(box[3]))
    middle = box[:2] + box[2:] / 2
    picture = view(levels(PIL.Image.fromarray(frame)), np.eye(2) * scale, middle, side)
    return ClipFrame(picture=picture, size=box[2:] * scale)


def clip_pair(
    clips: tuple[Clip, ...],
    motion: Motion,
    rng: np.random.Generator,
    *,
    exemplar_side: int,
    search_side: int,
) -> MotionPair:
    """The object of a clip in one frame and in another one; or, for the share `absent`, in a frame of another clip."""
    number = int(rng.integers(len(clips)))
    clip = clips[number]
    first, second = (clip[int(rng.integers(len(clip)))] for _ in range(2))
    gone = len(clips) > 1 and rng.random() < motion.absent
    if gone:
        other = clips[(number + int(rng.integers(1, len(clips)))) % len(clips)]
        second = other[int(rng.integers(len(other)))]
    mirror = np.diag([rng.choice([-1.0, 1.0]), 1.0])
    middle = np.full(2, first.picture.shape[0] / 2)
    exemplar = view(first.levels, mirror, middle, exemplar_side)
    scale = math.exp(rng.normal() * motion.scale / 2)
    linear = turned(rng.normal() * motion.rotation / 4, scale) @ mirror
    reach = motion.shift * exemplar_side * (0.2 if rng.random() < motion.near else 1.0)
    # no further than there is something to be seen
    reach = min(reach, (REACH * exemplar_side - search_side) / 2)
    shift = rng.uniform(-reach, reach, 2)
    window = view(second.levels, linear, middle - np.linalg.solve(linear, shift), search_side)
    half = second.size * scale / 2
    at = search_side / 2 + shift
    box = np.full(4, np.nan) if gone else np.concatenate([at - half, at + half])
    pair = MotionPair(exemplar=exemplar, size=first.size, window=window, box=box)
    return seen(pair, motion, rng)

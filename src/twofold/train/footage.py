"""What a training keeps of footage in memory: pictures, cut-outs, and parts of frames around objects."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import PIL.Image
from jaxtyping import UInt8

from twofold.data.clip_pairs import Clip, clip_frame
from twofold.data.cutouts import Cutout, cutout
from twofold.data.footage import Footage
from twofold.data.motion import Pictures
from twofold.data.sequences import TrackedSequence
from twofold.errors import NotEnoughData
from twofold.inputs.image_decoding import decode, stored
from twofold.inputs.video_decoding import film
from twofold.plurals import counted
from twofold.train.motion_feed import Material

__all__ = ["material_of"]

LONGEST_SIDE = 800
"""Pixels of a whole picture: a window of 160 shows a fifth of its width."""

LONGEST_CUTOUT = 192
"""Pixels of a cut-out: objects are shown at up to about this size."""

SMALLEST_SIDE = 128
"""Pixels of the shorter side of a whole picture; smaller ones are left out."""

LEAST_CONTRAST = 12.0
"""Grey values of 255: a picture with a smaller standard deviation shows next to nothing."""

LEAST_CLEAR = 0.05
"""Share of transparent pixels from which on a picture is a cut-out."""

MOST_FRAMES = 2000
"""Parts of frames that are kept of all sequences together: 170 KB each, 350 MB."""

FRAMES_PER_SEQUENCE = 24
"""Frames of a sequence, evenly spaced: neighbours look alike."""


def material_of(footage: Footage, *, exemplar_side: int) -> Material:
    """The pictures and clips of footage.

    Raises:
        NotEnoughData: no picture is large enough and shows something, and there is no sequence.
        UnreadableInput: a file cannot be decoded.
    """
    scenes, things = _read(footage.pictures)
    count = max(2, min(FRAMES_PER_SEQUENCE, MOST_FRAMES // max(1, len(footage.sequences))))
    clips = [
        clip
        for each in footage.sequences
        if len(clip := _clip(each, count, exemplar_side=exemplar_side)) > 1
    ]
    if not scenes and not clips:
        raise NotEnoughData(
            f"nothing to learn from in {counted(len(footage), 'file')}: a tracker needs pictures "
            f"of {SMALLEST_SIDE} pixels a side or more (without transparency; those with it are "
            f"the objects before them), or sequences with two boxes or more"
        )
    pictures = Pictures(scenes=tuple(scenes), things=tuple(things)) if scenes else None
    return Material(pictures=pictures, clips=tuple(clips), real=1.0 if clips else 0.0)


def _read(paths: Iterable[Path]) -> tuple[list[UInt8[np.ndarray, "_ _ 3"]], list[Cutout]]:
    """Whole pictures, and cut-outs."""
    scenes, things = [], []
    for path in paths:
        found = stored(path)
        if _transparent(found):
            found = found.convert("RGBA")
            found.thumbnail((LONGEST_CUTOUT, LONGEST_CUTOUT))
            if (thing := cutout(np.asarray(found))) is not None:
                things.append(thing)
            continue
        whole = decode(path, side=LONGEST_SIDE, background=255).convert("RGB")
        whole.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        pixels = np.asarray(whole)
        if min(pixels.shape[:2]) >= SMALLEST_SIDE and pixels.std() >= LEAST_CONTRAST:
            scenes.append(pixels)
    return scenes, things


def _transparent(picture: PIL.Image.Image) -> bool:
    if "A" not in picture.getbands() and "transparency" not in picture.info:
        return False
    opacity = np.asarray(picture.convert("RGBA"))[:, :, 3]
    return float((opacity < 128).mean()) >= LEAST_CLEAR


def _clip(sequence: TrackedSequence, count: int, *, exemplar_side: int) -> Clip:
    """Evenly spaced frames in which the object is there."""
    there = np.flatnonzero((sequence.boxes[:, 2:] > 1).all(1))  # NaN is not
    if len(there) < 2:
        return ()
    numbers = there[np.unique(np.linspace(0, len(there) - 1, count).round().astype(int))].tolist()
    return tuple(
        clip_frame(frame, sequence.boxes[number], exemplar_side=exemplar_side)
        for number, frame in zip(numbers, _frames(sequence, numbers), strict=True)
    )


def _frames(sequence: TrackedSequence, numbers: list[int]) -> Iterator[UInt8[np.ndarray, "_ _ 3"]]:
    if isinstance(sequence.frames, Path):
        with film(sequence.frames) as open_film:
            for frame in open_film.at(numbers):
                yield frame.picture
        return
    for number in numbers:
        # boxes are in pixels of the whole picture
        picture = stored(sequence.frames[number])
        yield np.asarray(picture.convert("RGB"))

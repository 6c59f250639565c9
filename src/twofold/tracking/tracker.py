"""Tracker: follows objects from one example each, says how sure it is, and finds them again."""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from twofold.devices import device_of
from twofold.errors import DataError, NotEnoughData, UsageError
from twofold.inputs.video_decoding import Frame
from twofold.plurals import counted
from twofold.results.track import Tracked
from twofold.track_bundle import TrackBundle
from twofold.tracking.readings import Reading, look, read
from twofold.tracking.targets import Settings, Sighting, Target
from twofold.tracking.windows import Window, around, context_side, crops, mean_colour

__all__ = ["Tracker"]

Picture = UInt8[np.ndarray, "_ _ 3"]
Box = Sequence[float] | Float[np.ndarray, "4"]

SHARES = (1.0, 0.75, 0.625)
"""Sides of the search windows for one, two, and more objects, over the network's own: four of .625 have 1.6
times the pixels of one of 1."""

LOST = (math.nan, math.nan, math.nan, math.nan)

RATE = 25.0
"""Frames per second, where frames come without times."""


class Tracker:
    """Follows one object or several through frames.

    The examples are state of the tracker, never of the bundle; nothing of it grows with the film.

    Args:
        bundle: of kind track. device: as for every verb.
        settings: how it decides.

    Raises:
        UsageError: a device that is not there.
    """

    def __init__(
        self, bundle: TrackBundle, *, device: str | None = None, settings: Settings | None = None
    ) -> None:
        self._twin = bundle.twin.folded().to(device_of(device))
        self._confidence = bundle.confidence
        self._settings = settings or Settings()
        self._size = (0, 0)
        self._frame = -1
        self._pixels = self._twin.search_side
        self.targets: list[Target] = []

    def follow(
        self, frames: Iterable[Picture | Frame], box: Box | Sequence[Box], *, rate: float = RATE
    ) -> Iterator[Tracked | tuple[Tracked, ...]]:
        """What is found in each frame, the first one included, as the frames come.

        Args:
            frames: HWC uint8 RGB pictures, or `Frame`s, which know their times.
            box: (x, y, width, height) in the first frame, in pixels, 0-based; or several.
            rate: frames per second, where they come without times.

        Yields:
            A `Tracked` per frame; a tuple of them, in the order of the boxes, where `box` is several.

        Raises:
            UsageError: a box that does not lie in the frame. DataError: a frame of another size.
            NotEnoughData: not a single frame.
        """
        boxes = _boxes(box)
        several = boxes.ndim == 2
        for number, given in enumerate(frames):
            picture = given.picture if isinstance(given, Frame) else given
            seconds = given.seconds if isinstance(given, Frame) else number / rate
            found = (
                self.step(picture, seconds) if number else self.start(picture, np.atleast_2d(boxes))
            )
            yield found if several else found[0]
        if self._frame < 0:
            raise NotEnoughData("there is no frame: the first one shows the object")

    @torch.inference_mode()
    def start(
        self, frame: np.ndarray, boxes: Sequence[Box] | Float[np.ndarray, "objects 4"]
    ) -> tuple[Tracked, ...]:
        """Take the examples of the objects from the first frame.

        Raises:
            UsageError: a box that does not lie in the frame.
        """
        _check_frame(frame)
        self._size, self._frame = frame.shape[:2], 0
        known = [checked_box(each, self._size) for each in boxes]
        share = SHARES[min(len(known), len(SHARES)) - 1]
        many = self._twin.multiple
        self._pixels = many * round(self._twin.search_side * share / many)
        centred = [np.concatenate([each[:2] + each[2:] / 2, each[2:]]) for each in known]
        fill = mean_colour(frame)
        windows = [self._near(each) for each in centred]
        maps = self._twin.features(self._crops(frame, windows, fill))
        self.targets = []
        for place, (box, window) in enumerate(zip(centred, windows, strict=True)):
            first = self._example(frame, [box], fill)
            self.targets.append(
                Target(
                    box=box,
                    size=box[2:].copy(),
                    first=first,
                    example=first,
                    looks=[look(maps, window.to_crop(box), self._pixels, place)],
                    settings=self._settings,
                )
            )
        return tuple(self._told(each, number, 0.0) for number, each in enumerate(self.targets))

    @torch.inference_mode()
    def step(self, frame: np.ndarray, seconds: float | None = None) -> tuple[Tracked, ...]:
        """Follow all objects into the next frame.

        Raises:
            DataError: it has another size than the frames before it.
            UsageError: there was no first frame.
        """
        if not self.targets:
            raise UsageError("nothing is followed yet: call start with the first frame and boxes")
        _check_frame(frame)
        self._frame += 1
        if frame.shape[:2] != self._size:
            (height, width), (rows, columns) = self._size, frame.shape[:2]
            raise DataError(
                f"frame {self._frame} is {columns} x {rows} pixels, and the frames before it are "
                f"{width} x {height}: cut the film there, or bring its frames to one size"
            )
        fill = mean_colour(frame)
        reach = self._reach()
        asked = [each.windows(self._size, self._pixels, reach) for each in self.targets]
        found = self._sightings(frame, asked, fill)
        for target, sightings in zip(self.targets, found, strict=True):
            target.take(sightings)
        self._renew(frame, fill)
        when = self._frame / RATE if seconds is None else seconds
        return tuple(self._told(each, number, when) for number, each in enumerate(self.targets))

    def _sightings(
        self, frame: Picture, asked: Sequence[Sequence[Window]], fill: UInt8[Tensor, "3"]
    ) -> list[list[Sighting]]:
        """The best place of every window of every object, in one pass of the twin."""
        windows = [window for each in asked for window in each]
        owners = [t for t, each in zip(self.targets, asked, strict=True) for _ in each]
        features = self._twin.features(self._crops(frame, windows, fill))
        template = [torch.cat(parts) for parts in zip(*(t.example for t in owners), strict=True)]
        maps = self._twin.compare(template, features)
        scores, sides = maps.scores.float().cpu().numpy(), maps.sides.float().cpu().numpy()
        places = iter(range(len(windows)))
        found = []
        for target, each in zip(self.targets, asked, strict=True):
            sightings = []
            for order, window in enumerate(each):
                place = next(places)
                expected = window.to_crop(target.box)[2:]
                reading = read(
                    scores[place],
                    sides[place],
                    stride=self._twin.stride,
                    expected=(float(expected[0]), float(expected[1])),
                    smoothing=self._settings.smoothing,
                    windowed=not target.lost,
                )
                now = look(features, reading.box, self._pixels, place)
                sightings.append(self._sighting(target, window, reading, now, near=order == 0))
            found.append(sightings)
        return found

    def _sighting(
        self,
        target: Target,
        window: Window,
        reading: Reading,
        now: Sequence[Float[Tensor, "values"]],
        *,
        near: bool,
    ) -> Sighting:
        values = (
            reading.logit,
            reading.margin,
            target.likeness(now),
            reading.size,
            reading.spread,
            target.carried(now),
        )
        known = self._confidence
        return Sighting(
            box=window.to_frame(reading.box),
            readings=values,
            confidence=_logistic(reading.logit) if known is None else known.probability(values),
            score=reading.score,
            near=near,
            look=now,
        )

    def _renew(self, frame: Picture, fill: UInt8[Tensor, "3"]) -> None:
        for target in self.targets:
            if target.due():
                target.renew(self._example(frame, [target.box], fill))

    def _example(
        self,
        frame: Picture,
        boxes: Sequence[Float[np.ndarray, "4"]],
        fill: UInt8[Tensor, "3"],
    ) -> Sequence[Tensor]:
        """The template of what lies in a box."""
        pixels = self._twin.exemplar_side
        windows = [around(x, y, context_side(w, h), pixels) for x, y, w, h in boxes]
        sizes = [
            window.to_crop(box)[2:].tolist() for window, box in zip(windows, boxes, strict=True)
        ]
        return self._twin.exemplar(
            self._crops(frame, windows, fill), torch.tensor(sizes, device=self._twin.device)
        )

    def _crops(
        self, frame: Picture, windows: Sequence[Window], fill: UInt8[Tensor, "3"]
    ) -> UInt8[Tensor, "windows 3 pixels pixels"]:
        return crops(frame, windows, fill).to(self._twin.device)

    def _reach(self) -> float:
        """The side of a search window over that of the exemplar."""
        return self._pixels / self._twin.exemplar_side

    def _near(self, box: Float[np.ndarray, "4"]) -> Window:
        side = context_side(box[2], box[3]) * self._reach()
        return around(box[0], box[1], side, self._pixels)

    def _told(self, target: Target, number: int, seconds: float) -> Tracked:
        x, y, width, height = map(float, target.box)
        guess = (x - width / 2, y - height / 2, width, height)
        return Tracked(
            frame=self._frame,
            seconds=seconds,
            box=LOST if target.lost else guess,
            confidence=target.confidence,
            lost=target.lost,
            guess=guess,
            object=number,
        )


def _boxes(box: Box | Sequence[Box]) -> Float[np.ndarray, "..."]:
    """One box, or several, as numbers."""
    try:
        found = np.asarray(box, np.float64)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        found = np.zeros(0)
    if found.ndim not in (1, 2) or found.shape[-1] != 4 or not len(found):
        raise UsageError(f"a box is x, y, width, height, not {box!r}")
    return found


def checked_box(box: Box, size: tuple[int, int]) -> Float[np.ndarray, "4"]:
    """(x, y, width, height) as numbers, cut off at the frame's border.

    Raises:
        UsageError: not four numbers, no area, or it does not lie in the frame.
    """
    found = np.asarray(box, np.float64)
    said = ",".join(f"{value:g}" for value in found.ravel())
    if found.shape != (4,) or not np.isfinite(found).all():
        raise UsageError(f"the box {said} is not x,y,w,h: four finite numbers in pixels")
    if found[2] <= 0 or found[3] <= 0:
        raise UsageError(f"the box {said} has no area: w and h must be above 0")
    height, width = size
    low = np.maximum(found[:2], 0)
    high = np.minimum(found[:2] + found[2:], [width, height])
    if (high - low < 1).any():
        raise UsageError(
            f"the box {said} lies outside the frame, which is {width} x {height} pixels: x counts "
            f"from its left edge and y from its top"
        )
    return np.concatenate([low, high - low])


def _check_frame(frame: object) -> None:
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3:
        raise DataError(f"a frame is a uint8 array (height, width, 3), not {_kind(frame)}")
    if frame.shape[2] != 3 or 0 in frame.shape:
        raise DataError(f"a frame has three colours: (height, width, 3), not {frame.shape}")


def _kind(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of {counted(value.ndim, 'dimension')}"
    return f"a {type(value).__name__}"


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-min(max(value, -30.0), 30.0)))

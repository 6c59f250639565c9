"""Synthetic motion: an object as it is first seen, and a search window with the same object moved, changed or gone."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import PIL.Image
from jaxtyping import Float, UInt8

from twofold.data import camera
from twofold.data.cutouts import Cutout, bent, drawn_shape, levels, paste, turned, view

__all__ = ["Motion", "MotionPair", "Pictures", "crop_side", "motion_pair", "seen"]

Picture = UInt8[np.ndarray, "_ _ 3"]
Linear = Float[np.ndarray, "2 2"]
Point = Float[np.ndarray, "2"]

TRIES = 8
"""Places that are tried for something that must not lie on the object, before it is left out."""

SHAPES = 400
"""Shapes that are drawn of a set of pictures, once: as many as there are cut-outs in a small collection."""

LEAST_DETAIL = 3.0
"""Pixels of a crop per pixel of the film: an object of 13 pixels in a crop that shows it with 40."""

FLAT = 12.0
"""Grey values of 255: a region with a smaller standard deviation looks like any other."""


@dataclass(frozen=True, kw_only=True)
class Motion:
    """How far both pictures of a pair lie apart; the settings of `[augment]` in a recipe of tracking.

    Attributes:
        absent: share of pairs without the object.
        cutouts, shapes: shares of the objects that are cut-outs, where there are any, and drawn
            shapes; the others are regions of a picture, which move with their surroundings.
        shift: how far the object's middle may lie from that of the window, in shares of the
            exemplar's side. near: share of the pairs in which it lies within a fifth of that.
        scale: spread of the logarithm of the object's size; half of it for its two sides against
            each other. rotation: spread of its turn in degrees. shear: spread of its shear.
        bent: share of the things whose parts have moved against each other and that are lit from
            another side. bend: by how much, see `cutouts.bent`.
        other_scene: share of the pairs before another picture. camera: how far the same picture
            moves behind the object, in shares of `shift`.
        distractors: up to so many other things beside the object.
        occluded: share of the pairs with something before the object.
        light: strength of changes of brightness, contrast and colour.
        detail: share of the pairs that are seen with less detail. motion_blur: share of the windows
            that are smeared. grey, noise: shares of the pairs without colour, and with
            noise.
    """

    absent: float = 0.25
    cutouts: float = 0.45
    shapes: float = 0.25
    shift: float = 0.65
    near: float = 0.5
    scale: float = 0.3
    rotation: float = 15.0
    shear: float = 0.08
    bent: float = 0.6
    bend: float = 0.25
    other_scene: float = 0.3
    camera: float = 0.5
    distractors: int = 3
    occluded: float = 0.3
    light: float = 0.2
    detail: float = 0.5
    motion_blur: float = 0.2
    grey: float = 0.1
    noise: float = 0.3


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What synthetic motion is made of.

    Attributes:
        scenes: whole pictures, one or more. things: cut-outs.
    """

    scenes: tuple[Picture, ...]
    things: tuple[Cutout, ...] = ()

    @cached_property
    def levels(self) -> tuple[tuple[PIL.Image.Image, ...], ...]:
        """Each whole picture and its halves."""
        return tuple(levels(PIL.Image.fromarray(scene)) for scene in self.scenes)

    @cached_property
    def shapes(self) -> tuple[Cutout, ...]:
        """Drawn shapes with textures of the pictures; drawing one takes as long as all else of a pair."""
        rng = np.random.default_rng(len(self.scenes))
        return tuple(
            drawn_shape(rng, self.levels[int(rng.integers(len(self.levels)))])
            for _ in range(SHAPES)
        )


@dataclass(frozen=True, kw_only=True)
class MotionPair:
    """An object and a window.

    Attributes:
        exemplar: the object in the middle of its crop. size: width and height of its box there.
        window: where it is looked for.
        box: its left, upper, right and lower edge in the window's pixels; NaN where it is absent.
    """

    exemplar: Picture
    size: Point
    window: Picture
    box: Float[np.ndarray, "4"]


@dataclass(frozen=True, kw_only=True)
class _Place:
    """A picture and how it is seen: `anchor`, a point of it, in the middle of what is seen."""

    scene: int
    linear: Linear
    anchor: Point


@dataclass(frozen=True, kw_only=True)
class _Pose:
    """How a thing lies in a crop."""

    linear: Linear
    middle: Point


def crop_side(width: float, height: float) -> float:
    """The side of an exemplar's crop around a box: sqrt((w + p)(h + p)), p = (w + h) / 2 (Bertinetto et al. 2016)."""
    around = (width + height) / 2
    return math.sqrt((width + around) * (height + around))


def motion_pair(
    pictures: Pictures,
    motion: Motion,
    rng: np.random.Generator,
    *,
    exemplar_side: int,
    search_side: int,
) -> MotionPair:
    """A pair, all of it drawn from `rng`."""
    maker = _Maker(pictures, motion, rng, exemplar_side=exemplar_side, search_side=search_side)
    kind = rng.random()
    if kind < motion.cutouts and pictures.things:
        pair = maker.of_thing(pictures.things[int(rng.integers(len(pictures.things)))])
    elif kind < motion.cutouts + motion.shapes:
        pair = maker.of_thing(maker.shape())
    else:
        pair = maker.of_region()
    return seen(pair, motion, rng)


def seen(pair: MotionPair, motion: Motion, rng: np.random.Generator) -> MotionPair:
    """As a camera shows both pictures: each in its own light, with as much detail."""
    found = [pair.exemplar, pair.window]
    if rng.random() < motion.detail:
        factor = math.exp(rng.uniform(0, math.log(LEAST_DETAIL)))
        found = [
            camera.with_less_detail(each, max(1.0, factor * math.exp(rng.normal() * 0.15)))
            for each in found
        ]
    if rng.random() < motion.motion_blur:
        found[1] = camera.moved(found[1], rng, rng.uniform(3, 16))
    found = [camera.lit(each, rng, motion.light) for each in found]
    if rng.random() < motion.grey:
        found = [np.repeat(each.mean(2, keepdims=True), 3, 2).astype(np.uint8) for each in found]
    if rng.random() < motion.noise:
        found = [camera.noisy(each, rng) for each in found]
    return replace(pair, exemplar=found[0], window=found[1])


class _Maker:
    """The state of one pair: what it is drawn from, and how large its pictures are."""

    def __init__(
        self,
        pictures: Pictures,
        motion: Motion,
        rng: np.random.Generator,
        *,
        exemplar_side: int,
        search_side: int,
    ) -> None:
        self.pictures, self.motion, self.rng = pictures, motion, rng
        self.exemplar_side, self.search_side = exemplar_side, search_side

    def of_thing(self, thing: Cutout) -> MotionPair:
        """A thing before a picture, and later before the same or another one."""
        rng, motion = self.rng, self.motion
        linear = turned(rng.normal() * 8, 1.0, rng.normal() * 0.05)
        linear = linear @ np.diag([rng.choice([-1.0, 1.0]), 1.0])
        linear = linear * (self.exemplar_side / crop_side(*thing.box(linear, np.zeros(2))[2:]))
        before = _centred(thing, linear, self.exemplar_side / 2)
        place = self._place()
        exemplar = self._surroundings(place, self.exemplar_side, thing, before)
        exemplar = paste(exemplar, thing, before.linear, before.middle)
        size = np.array(thing.box(before.linear, before.middle)[2:])
        if rng.random() < motion.bent:
            thing = bent(thing, rng, motion.bend)
        after = self._moved(thing, before, size)
        if rng.random() < motion.other_scene:
            place = self._place()
        else:
            drift = rng.normal(size=2) * motion.camera * motion.shift * self.exemplar_side
            turn = turned(rng.normal() * 4, math.exp(rng.normal() * 0.08))
            anchor = place.anchor + np.linalg.solve(place.linear, drift)
            place = replace(place, linear=turn @ place.linear, anchor=anchor)
        window = self._surroundings(place, self.search_side, thing, after)
        if rng.random() < motion.absent:
            return self._pair(exemplar, size, window, thing=thing, after=None)
        window = paste(window, thing, after.linear, after.middle)
        return self._pair(exemplar, size, window, thing=thing, after=after)

    def of_region(self) -> MotionPair:
        """A part of a picture, which moves with all that is around it."""
        rng, motion = self.rng, self.motion
        thing = self._oval()
        before = _Pose(linear=np.eye(2), middle=np.full(2, self.exemplar_side / 2))
        size = np.array(thing.box(before.linear, before.middle)[2:])
        place, exemplar = self._textured(thing)
        after = self._moved(thing, before, size, turning=0.5)
        if rng.random() < motion.absent:
            elsewhere = self._elsewhere(place)
            window = self._surroundings(elsewhere, self.search_side, thing, after)
            return self._pair(exemplar, size, window, thing=thing, after=None)
        linear = after.linear @ place.linear
        away = np.full(2, self.search_side / 2) - after.middle
        there = replace(place, linear=linear, anchor=place.anchor + np.linalg.solve(linear, away))
        window = self._surroundings(there, self.search_side, thing, after, covering=False)
        return self._pair(exemplar, size, window, thing=thing, after=after)

    def shape(self) -> Cutout:
        """A drawn shape with the texture of any picture."""
        return self.pictures.shapes[int(self.rng.integers(SHAPES))]

    def _pair(
        self,
        exemplar: Picture,
        size: Point,
        window: Picture,
        *,
        thing: Cutout,
        after: _Pose | None,
    ) -> MotionPair:
        """The pair, with something before the object now and then, and its boxes."""
        box = np.full(4, np.nan)
        if after is not None:
            window = self._occluded(window, thing, after)
            x, y, width, height = thing.box(after.linear, after.middle)
            box = np.array([x, y, x + width, y + height])
        return MotionPair(exemplar=exemplar, size=size, window=window, box=box)

    def _place(self) -> _Place:
        """Somewhere in a picture, at a scale that the picture is sharp at."""
        rng = self.rng
        scene = int(rng.integers(len(self.pictures.scenes)))
        height, width = self.pictures.scenes[scene].shape[:2]
        widest = min(height, width) / self.search_side
        scale = math.exp(rng.uniform(math.log(1 / max(widest, 1.1)), math.log(1.6)))
        linear = turned(rng.normal() * 5, scale) @ np.diag([rng.choice([-1.0, 1.0]), 1.0])
        return _Place(
            scene=scene,
            linear=linear,
            anchor=np.array([width, height]) * rng.uniform(0.15, 0.85, 2),
        )

    def _textured(self, thing: Cutout) -> tuple[_Place, Picture]:
        """Somewhere in a picture, and how it looks there: not all of one colour, if that is to be found."""
        width, height = (thing.size / 2).astype(int)
        middle = self.exemplar_side // 2
        tries = 0
        while True:
            place, tries = self._place(), tries + 1
            seen = view(self._levels(place), place.linear, place.anchor, self.exemplar_side)
            inner = seen[middle - height : middle + height, middle - width : middle + width]
            if inner.std((0, 1)).max() > FLAT or tries == TRIES:
                return place, seen

    def _elsewhere(self, place: _Place) -> _Place:
        """Where nothing is seen of what is seen at `place`; a drawn picture has no elsewhere but others."""
        apart = (self.exemplar_side + self.search_side) / 2
        for _ in range(TRIES):
            other = self._place()
            scale = math.sqrt(abs(np.linalg.det(place.linear @ other.linear)))
            if other.scene != place.scene:
                return other
            if scale * np.abs(other.anchor - place.anchor).max() > apart:
                return other
        return replace(place, scene=(place.scene + 1) % len(self.pictures.scenes))

    def _levels(self, place: _Place) -> tuple[PIL.Image.Image, ...]:
        return self.pictures.levels[place.scene]

    def _oval(self) -> Cutout:
        """An outline alone, whose crop has the exemplar's side: what is inside is what is already there."""
        tall = math.exp(self.rng.normal() * 0.45)
        angles = np.linspace(0, 2 * math.pi, 32, endpoint=False)
        outline = np.stack([np.cos(angles) / tall**0.5, np.sin(angles) * tall**0.5], 1)
        outline *= self.exemplar_side / crop_side(*np.ptp(outline, axis=0))
        return Cutout(pixels=np.zeros((1, 1, 4), np.uint8), outline=outline)

    def _moved(self, thing: Cutout, before: _Pose, size: Point, *, turning: float = 1.0) -> _Pose:
        """The same thing later, in the search window.

        What turns or bends has a larger box. That is taken out again: boxes that grow on average
        would teach a tracker to let them grow in every frame.

        Args:
            size: width and height of its box before.
        """
        rng, motion = self.rng, self.motion
        scale = math.exp(rng.normal() * motion.scale)
        flat = math.exp(rng.normal() * motion.scale / 2)
        degrees = rng.normal() * motion.rotation * turning * (6 if rng.random() < 0.1 else 1)
        change = turned(degrees, (flat, 1 / flat), rng.normal() * motion.shear) @ before.linear
        alone = thing.box(change, np.zeros(2))[2:]
        scale *= math.sqrt(size[0] * size[1] / (alone[0] * alone[1]))
        reach = motion.shift * self.exemplar_side * (0.2 if rng.random() < motion.near else 1.0)
        pose = _centred(thing, change * scale, self.search_side / 2)
        return replace(pose, middle=pose.middle + rng.uniform(-reach, reach, 2))

    def _surroundings(
        self, place: _Place, side: int, thing: Cutout, pose: _Pose, *, covering: bool = True
    ) -> Picture:
        """A picture with other things in it.

        Args:
            covering: whether they may lie where the object will be.
        """
        rng = self.rng
        canvas = view(self._levels(place), place.linear, place.anchor, side)
        x, y, width, height = thing.box(pose.linear, pose.middle)
        middle, reach = np.array([x + width / 2, y + height / 2]), np.array([width, height]) / 2
        for _ in range(int(rng.integers(self.motion.distractors + 1))):
            other = self._other(thing)
            size = math.sqrt(width * height) * math.exp(rng.uniform(math.log(0.4), math.log(1.7)))
            linear = turned(rng.normal() * 15, size / math.sqrt(float(np.prod(other.size))))
            where = rng.uniform(0, side, 2)
            clear = 0.8 if covering else 1 + 0.5 * size / reach.min()
            if (np.abs(where - middle) > reach * clear).any():
                canvas = paste(canvas, other, linear, where)
        return canvas

    def _other(self, thing: Cutout) -> Cutout:
        """Something else; now and then the same thing in other colours."""
        rng, things = self.rng, self.pictures.things
        if thing.pixels.size > 4 and rng.random() < 0.15:
            order = [*(np.arange(3) + rng.integers(1, 3)) % 3, 3]
            return Cutout(pixels=thing.pixels[:, :, order], outline=thing.outline)
        if len(things) > 1 and rng.random() < 0.6:
            other = things[int(rng.integers(len(things)))]
            if other is not thing:
                return other
        return self.shape()

    def _occluded(self, window: Picture, thing: Cutout, pose: _Pose) -> Picture:
        """With something before a part of the object, which leaves a third of it to be seen or more."""
        rng = self.rng
        if rng.random() >= self.motion.occluded:
            return window
        x, y, width, height = thing.box(pose.linear, pose.middle)
        other = self._other(thing)
        angle = rng.uniform(0, 2 * math.pi)
        edge = np.array([math.cos(angle) * width, math.sin(angle) * height]) / 2
        size = np.array([width, height]).min() * rng.uniform(0.4, 1.0)
        linear = turned(rng.uniform(-30, 30), size / float(other.size.max()))
        middle = np.array([x + width / 2, y + height / 2]) + edge * rng.uniform(0.5, 1.1)
        return paste(window, other, linear, middle)


def _centred(thing: Cutout, linear: Linear, middle: float) -> _Pose:
    """Such that the box around the thing has its middle there."""
    x, y, width, height = thing.box(linear, np.zeros(2))
    return _Pose(linear=linear, middle=middle - np.array([x + width / 2, y + height / 2]))

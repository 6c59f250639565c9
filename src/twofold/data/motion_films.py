"""Synthetic films with boxes: an object moves over a backdrop, leaves and returns elsewhere, or is hidden for a while.

They are drawn, frame by frame, from a seed: the same seed gives the same films. Confidence is
calibrated on them, because in real sequences at hand objects hardly ever leave.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import PIL.Image
import PIL.ImageChops
import PIL.ImageDraw
from jaxtyping import Float, UInt8

from twofold.data.textures import clutter, texture

__all__ = ["Event", "MotionFilm", "motion_films"]

Event = Literal["stays", "hidden", "leaves"]
Generator = np.random.Generator

RATE = 25
"""Frames per second."""

ABSENT = 2 * RATE
"""Frames for which an object that leaves is away: two seconds."""

BEFORE = 40, 70
"""Frames before something happens."""

AFTER = 40
"""Frames that are left when it is over."""

HIDDEN = 8, 20
"""Frames for which something lies in front of the object."""

SIZES = 30, 110
"""Root of the area of an object's box, in pixels of a frame of 640 x 360."""

TURNS = 10.0, 60.0
"""Degrees up to which objects turn from upright."""

SPRITE = 160
"""Side of the picture of an object before it is scaled."""

THERE = 0.25
"""Share of the object that is seen, below which it counts as absent."""

SHARE_OF_CUTS = 0.4
"""Absences that begin or end from one frame to the next; the others take the object over the border."""

GRAIN, MIDDLE, SPARE = 3.0, 32, 32
"""Spread of a camera's noise, its middle while it is stored in bytes, and by how many pixels it may be shifted."""


@dataclass(frozen=True, kw_only=True)
class Sprite:
    """An object: its picture with transparency, and where it is in each frame.

    Attributes:
        places: centre x and y, factor of the size, degrees.
        shown: share of opacity, frame by frame.
        skin: of an object that turns out of the picture's plane: its surface, wider than what is
            seen at once. sides: what of it is at the left edge in each frame, in pixels.
    """

    picture: PIL.Image.Image
    places: Float[np.ndarray, "frames 4"]
    shown: Float[np.ndarray, "frames"]
    skin: PIL.Image.Image | None = None
    sides: Float[np.ndarray, "frames"] | None = None

    def look(self, number: int) -> PIL.Image.Image:
        """The object's picture in a frame."""
        if self.skin is None or self.sides is None:
            return self.picture
        left, (width, height) = round(float(self.sides[number])), self.picture.size
        seen = self.skin.crop((left, 0, left + width, height))
        seen.putalpha(self.picture.getchannel("A"))
        return seen


@dataclass(frozen=True, kw_only=True)
class MotionFilm:
    """A film that is drawn when it is asked for.

    Attributes:
        boxes: (x, y, width, height) in pixels, 0-based; NaN where less than a quarter is seen.
        visible: share of the object that is seen.
        seed: of everything in it.
    """

    name: str
    event: Event
    size: tuple[int, int]
    boxes: Float[np.ndarray, "frames 4"]
    visible: Float[np.ndarray, "frames"]
    backdrop: UInt8[np.ndarray, "rows columns 3"]
    pan: Float[np.ndarray, "frames 2"]
    light: Float[np.ndarray, "frames"]
    sprites: Sequence[Sprite]
    seed: int

    def __len__(self) -> int:
        return len(self.boxes)

    def frames(self) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """HWC uint8 RGB, one after the other."""
        draw = np.random.default_rng((self.seed, 1))
        height, width = self.size
        shape = (height + SPARE, width + SPARE)
        grain = PIL.Image.fromarray(
            draw.normal(MIDDLE, GRAIN, shape).clip(0, 2 * MIDDLE).astype(np.uint8)
        ).convert("RGB")
        for number in range(len(self)):
            x, y = self.pan[number].round().astype(int)
            frame = PIL.Image.fromarray(self.backdrop[y : y + height, x : x + width])
            for sprite in self.sprites:
                _paste(frame, sprite, number)
            left, top = draw.integers(0, SPARE, 2).tolist()
            noise = grain.crop((left, top, left + width, top + height))
            lit = PIL.ImageChops.add(frame, noise, 1.0, round(self.light[number]) - MIDDLE)
            yield np.asarray(lit)


def motion_films(
    count: int,
    *,
    seed: int = 0,
    events: Sequence[Event] = ("leaves", "leaves", "hidden", "stays"),
    size: tuple[int, int] = (360, 640),
    pictures: Sequence[UInt8[np.ndarray, "rows columns 3"]] = (),
    turning: float = 0.0,
) -> Iterator[MotionFilm]:
    """Films, one after the other; the events take turns.

    Args:
        size: height and width of a frame.
        turning: how far objects turn out of the picture's plane at most, in their widths: at 1 all
            that was seen at first is out of sight.
        pictures: backdrops and surfaces are cut from them in half of the films; the others are all
            drawn.
    """
    for number in range(count):
        event = events[number % len(events)]
        yield _film(event, (seed, number), size, pictures, turning=turning)


def _film(
    event: Event,
    seed: tuple[int, int],
    size: tuple[int, int],
    pictures: Sequence[UInt8[np.ndarray, "rows columns 3"]],
    *,
    turning: float,
) -> MotionFilm:
    draw = np.random.default_rng((*seed, 0))
    start = int(draw.integers(*BEFORE))
    away = {"leaves": ABSENT, "hidden": int(draw.integers(*HIDDEN)), "stays": 0}[event]
    count = start + away + AFTER
    used = pictures if draw.random() < 0.5 else ()
    height, width = size
    backdrop = clutter(draw, (height + 120, width + 160), used)
    pan = _smooth(draw, count, np.array([[0.0, 160.0], [0.0, 120.0]]), draw.uniform(0, 1.5))
    target = _sprite(draw, count, size, used)
    sprites = [_sprite(draw, count, size, used) for _ in range(int(draw.integers(1, 4)))]
    if event == "leaves":
        _leave(draw, target, slice(start, start + away), size)
    boxes, visible = _truth(target, size)
    # its own draws: films in which nothing turns stay as they are
    aside = np.random.default_rng((*seed, 2))
    sprites.append(_turning(aside, target, turning, used) if turning else target)
    if event == "hidden":
        cover = _cover(draw, target, slice(start, start + away), used)
        sprites.append(cover)
        visible = visible * (1 - cover.shown)
    boxes[visible < THERE] = np.nan
    return MotionFilm(
        name=f"{event}-{seed[0]}-{seed[1]}",
        event=event,
        size=size,
        boxes=boxes,
        visible=visible,
        backdrop=backdrop,
        pan=pan,
        light=_smooth(draw, count, np.array([[-25.0, 25.0]]), 0.7)[:, 0],
        sprites=sprites,
        seed=int(draw.integers(2**31)),
    )


def _sprite(
    draw: Generator,
    count: int,
    size: tuple[int, int],
    pictures: Sequence[UInt8[np.ndarray, "rows columns 3"]],
) -> Sprite:
    """An object with a surface, a shape, and a way through the film."""
    scale = min(size) / 360
    side = np.exp(draw.uniform(*np.log(SIZES))) * scale
    bounds = np.array([[0.1, 0.9], [0.1, 0.9]]) * np.array([[size[1]], [size[0]]])
    way = _smooth(draw, count, bounds, draw.uniform(0.5, 4.0) * scale)
    swell = np.exp(_smooth(draw, count, np.array([[-0.35, 0.35]]), 0.01))
    most = draw.uniform(*TURNS)
    turn = _smooth(draw, count, np.array([[-most, most]]), most / 30)
    return Sprite(
        picture=_surface(draw, pictures),
        places=np.concatenate([way, swell * side / SPRITE, turn], axis=1),
        shown=np.ones(count),
    )


def _turning(
    draw: Generator,
    target: Sprite,
    most: float,
    pictures: Sequence[UInt8[np.ndarray, "rows columns 3"]],
) -> Sprite:
    """The same object, which shows other sides while it moves: its surface slides below its outline."""
    width, height = target.picture.size
    room = round(width * draw.uniform(0, most))
    skin = PIL.Image.fromarray(texture(draw, (height, width + 2 * room), pictures))
    skin.paste(target.picture.convert("RGB"), (room, 0))
    way = _smooth(draw, len(target.places), np.array([[0.0, 2.0 * room]]), room / 25)[:, 0]
    return replace(target, skin=skin, sides=(room + way - way[0]).clip(0, 2 * room))


def _surface(
    draw: Generator, pictures: Sequence[UInt8[np.ndarray, "rows columns 3"]]
) -> PIL.Image.Image:
    """A textured blob with details on it, on transparent ground."""
    aspect = np.exp(draw.uniform(-0.6, 0.6))
    width, height = round(SPRITE * aspect**0.5), round(SPRITE / aspect**0.5)
    colours = PIL.Image.fromarray(texture(draw, (height, width), pictures))
    pen = PIL.ImageDraw.Draw(colours)
    for _ in range(int(draw.integers(2, 6))):
        x, y = draw.uniform(0.15, 0.85, 2) * (width, height)
        reach = draw.uniform(0.08, 0.25, 2) * (width, height)
        ink = tuple(map(int, draw.integers(0, 256, 3)))
        shape = (pen.ellipse, pen.rectangle)[int(draw.integers(2))]
        shape([x - reach[0], y - reach[1], x + reach[0], y + reach[1]], fill=ink)
    mask = PIL.Image.new("L", (width, height), 0)
    PIL.ImageDraw.Draw(mask).polygon(_outline(draw, width, height), fill=255)
    colours.putalpha(mask)
    return colours


def _outline(draw: Generator, width: int, height: int) -> list[tuple[float, float]]:
    """A blob that touches all four sides of its picture."""
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radius = 1 + sum(
        draw.uniform(0, 0.25) / k * np.cos(k * angles + draw.uniform(0, 2 * np.pi))
        for k in (2, 3, 4, 5)
    )
    points = np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1)
    points = (points - points.min(0)) / np.ptp(points, axis=0)
    return [(float(x), float(y)) for x, y in points * (width - 1, height - 1)]


def _smooth(
    draw: Generator, count: int, bounds: Float[np.ndarray, "values 2"], speed: float
) -> Float[np.ndarray, "frames values"]:
    """Values that wander within bounds, by about `speed` a frame, and turn back at them."""
    pushes = draw.normal(0, 0.35, (count, len(bounds)))
    pace = draw.normal(0, 1, len(bounds))
    value = draw.uniform(bounds[:, 0], bounds[:, 1])
    found = np.empty((count, len(bounds)))
    for number in range(count):
        found[number] = value
        pace = np.clip(0.96 * pace + pushes[number], -2, 2)
        value = value + pace * speed
        out = (value < bounds[:, 0]) | (value > bounds[:, 1])
        pace = np.where(out, -pace, pace)
        value = value.clip(bounds[:, 0], bounds[:, 1])
    return found


def _leave(draw: Generator, target: Sprite, away: slice, size: tuple[int, int]) -> None:
    """Out of sight, and back at another place: over the border, or from one frame to the next."""
    height, width = size
    places, first, last = target.places, away.start, away.stop
    elsewhere = _far_from(draw, places[first - 1, :2], size)
    places[last:, :2] += elsewhere - places[last, :2]
    margin = np.array([0.1, 0.1]) * (width, height)
    places[last:, :2] = places[last:, :2].clip(margin, np.array([width, height]) - margin)
    target.shown[away] = 0.0
    for cut in (first, last):
        if draw.random() < SHARE_OF_CUTS:
            continue
        steps = int(draw.integers(5, 12))
        beyond = _beyond(places[min(cut, last) - (cut == first), :2], target, cut, size)
        share = np.linspace(0, 1, steps + 1)[1:, None]
        if cut == first:
            span = slice(first - steps, first)
            places[span, :2] += share * (beyond - places[first - 1, :2])
        else:
            span = slice(last, last + steps)
            places[span, :2] += (1 - share) * (beyond - places[last, :2])


def _far_from(
    draw: Generator, place: Float[np.ndarray, "2"], size: tuple[int, int]
) -> Float[np.ndarray, "2"]:
    """A point at least a third of the frame away."""
    span = np.array([size[1], size[0]], np.float64)
    points = draw.uniform(0.15, 0.85, (64, 2)) * span
    far = np.linalg.norm((points - place) / span, axis=1) > 1 / 3
    return points[int(far.argmax())]


def _beyond(
    place: Float[np.ndarray, "2"], target: Sprite, frame: int, size: tuple[int, int]
) -> Float[np.ndarray, "2"]:
    """Just outside the nearest border."""
    reach = SPRITE * target.places[frame, 2]
    ways = [
        (place[0], (-reach, place[1])),
        (size[1] - place[0], (size[1] + reach, place[1])),
        (place[1], (place[0], -reach)),
        (size[0] - place[1], (place[0], size[0] + reach)),
    ]
    return np.array(min(ways)[1])


def _cover(
    draw: Generator,
    target: Sprite,
    away: slice,
    pictures: Sequence[UInt8[np.ndarray, "rows columns 3"]],
) -> Sprite:
    """Something larger that passes in front of the object and hides all of it for some frames."""
    count = len(target.places)
    side = int(SPRITE * target.places[:, 2].max() * 2.2)
    board = PIL.Image.fromarray(texture(draw, (side, side), pictures)).convert("RGBA")
    middle = (away.start + away.stop) / 2
    speed = side / max(away.stop - away.start, 1)
    shift = (np.arange(count) - middle)[:, None] * _direction(draw) * speed
    places = np.concatenate(
        [target.places[:, :2] + shift, np.ones((count, 1)), np.zeros((count, 1))], 1
    )
    apart = np.abs(shift).max(1)
    reach = SPRITE * target.places[:, 2] * 0.7
    hidden = ((side / 2 + reach - apart) / (2 * reach)).clip(0, 1)
    return Sprite(picture=board, places=places, shown=hidden)


def _direction(draw: Generator) -> Float[np.ndarray, "2"]:
    return np.array([1.0, 0.0] if draw.random() < 0.7 else [0.0, 1.0]) * draw.choice([-1, 1])


def _paste(frame: PIL.Image.Image, sprite: Sprite, number: int) -> None:
    """Draw a sprite where it is in this frame; a cover is opaque, whatever it hides."""
    if not sprite.shown[number] and sprite.picture.size[0] != sprite.picture.size[1]:
        return
    x, y, factor, degrees = sprite.places[number]
    size = [max(2, round(side * factor)) for side in sprite.picture.size]
    small = sprite.look(number).resize((size[0], size[1]), PIL.Image.Resampling.BILINEAR)
    if degrees:
        small = small.rotate(degrees, PIL.Image.Resampling.BILINEAR, expand=True)
    corner = round(x - small.size[0] / 2), round(y - small.size[1] / 2)
    frame.paste(small, corner, small)


def _truth(
    target: Sprite, size: tuple[int, int]
) -> tuple[Float[np.ndarray, "frames 4"], Float[np.ndarray, "frames"]]:
    """The boxes of what is drawn, and which share of each lies in the frame."""
    boxes = np.empty((len(target.places), 4))
    outline = np.argwhere(np.asarray(target.picture.getchannel("A")) > 127)[:, ::-1]
    middle = outline - (np.array(target.picture.size) - 1) / 2
    for number, (x, y, factor, degrees) in enumerate(target.places):
        angle = -np.deg2rad(degrees)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        points = middle @ turn * factor
        low, high = points.min(0), points.max(0) + factor
        boxes[number] = [x + low[0], y + low[1], *(high - low)]
    border = np.array([size[1], size[0]])
    inside = np.minimum(boxes[:, :2] + boxes[:, 2:], border) - np.maximum(boxes[:, :2], 0)
    share = (inside.clip(0).prod(1) / boxes[:, 2:].prod(1)).clip(0, 1)
    return boxes, share * target.shown

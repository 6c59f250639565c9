"""Things to move over pictures: cut-outs, drawn shapes and textures, and how they are pasted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import PIL.Image
import PIL.ImageDraw
from jaxtyping import Bool, Float, UInt8

__all__ = [
    "Cutout",
    "bent",
    "cutout",
    "drawn_shape",
    "drawn_texture",
    "levels",
    "paste",
    "turned",
    "view",
]

Picture = UInt8[np.ndarray, "_ _ 3"]
Linear = Float[np.ndarray, "2 2"]
Levels = Sequence[PIL.Image.Image]

BEARINGS = 32
"""Directions in which a cut-out's outermost point is kept; between two of them the outline bulges by 0.5 % at most."""

SOLID = 128
"""Opacity of 255 from which on a pixel belongs to a cut-out."""

SHAPE_SIDE = 160
"""Pixels of a drawn shape: objects are shown at up to about this size in a search window."""

MESH = 3
"""Patches on each side of a thing that is bent: an animal's head, trunk and legs go their own ways."""

PADDING = 0.2
"""Room about a thing that is bent, in shares of its sides."""

SHRINK = 1.6
"""From this factor on a picture is halved before it is sampled, so that no fine texture turns into noise."""


@dataclass(frozen=True, kw_only=True)
class Cutout:
    """A picture of one thing without its surroundings.

    Attributes:
        pixels: HWC uint8, colours multiplied by their opacity, and the opacity.
        outline: its outermost points in all directions, (x, y) in pixels from the middle of the
            picture.
    """

    pixels: UInt8[np.ndarray, "height width 4"]
    outline: Float[np.ndarray, "points 2"]

    @cached_property
    def levels(self) -> tuple[PIL.Image.Image, ...]:
        """The picture, and halves of it down to 16 pixels."""
        return levels(_four_channels(self.pixels))

    @property
    def size(self) -> Float[np.ndarray, "2"]:
        """Width and height of the box around it."""
        return np.ptp(self.outline, axis=0)

    def box(
        self, linear: Linear, middle: Float[np.ndarray, "2"]
    ) -> tuple[float, float, float, float]:
        """x, y, width and height of the box around it where it is pasted."""
        points = self.outline @ linear.T + middle
        (left, top), (right, bottom) = points.min(0), points.max(0)
        return float(left), float(top), float(right - left), float(bottom - top)


def cutout(pixels: UInt8[np.ndarray, "height width 4"]) -> Cutout | None:
    """The thing in an RGBA picture, cropped to what is solid; None: hardly anything, or nearly all of it, is solid."""
    opacity = pixels[:, :, 3:].astype(np.uint16)
    colours = (pixels[:, :, :3] * opacity // 255).astype(np.uint8)
    return _trimmed(np.concatenate([colours, pixels[:, :, 3:]], axis=2))


def bent(thing: Cutout, rng: np.random.Generator, strength: float) -> Cutout:
    """The same thing later: its parts have moved against each other, and the light falls from another side.

    Args:
        strength: standard deviation of how far each corner of a patch moves, in shares of its side, and
            of the logarithm of the light from one end of the thing to the other.
    """
    height, width = thing.pixels.shape[:2]
    room = np.array([width, height]) * PADDING
    size = np.ceil(np.array([width, height]) + 2 * room).astype(int)
    line = np.linspace(0, 1, MESH + 1)
    corners = np.stack(np.meshgrid(line, line), axis=-1) * size
    sources = corners - room + rng.normal(size=corners.shape) * strength * size / MESH
    mesh = [
        (
            tuple(corners[y, x].round().astype(int))
            + tuple(corners[y + 1, x + 1].round().astype(int)),
            tuple(sources[[y, y + 1, y + 1, y], [x, x, x + 1, x + 1]].ravel().tolist()),
        )
        for y in range(MESH)
        for x in range(MESH)
    ]
    kind = PIL.Image.Resampling.BILINEAR
    found = thing.levels[0].transform(
        (int(size[0]), int(size[1])), PIL.Image.Transform.MESH, mesh, resample=kind
    )
    pixels = np.array(found)
    angle = rng.uniform(0, 2 * math.pi)
    down, across = (np.linspace(-0.5, 0.5, side)[:, None] for side in (size[1], size[0]))
    slope = down * math.sin(angle) + across.T * math.cos(angle)
    light = np.exp(rng.normal() * strength * slope)[:, :, None]
    pixels[:, :, :3] = np.minimum(pixels[:, :, :3] * light, pixels[:, :, 3:])
    return _trimmed(pixels) or thing


def drawn_shape(rng: np.random.Generator, texture: Levels) -> Cutout:
    """A blob or a polygon of one or two parts, cut from a picture of which halves are known."""
    side = SHAPE_SIDE
    mask = PIL.Image.new("L", (side, side))
    pen = PIL.ImageDraw.Draw(mask)
    for _ in range(int(rng.integers(1, 3))):
        pen.polygon([tuple(point) for point in _ring(rng, side)], fill=255)
    scale = math.exp(rng.uniform(math.log(0.5), math.log(2.0)))
    middle = np.array(texture[0].size) * rng.uniform(0.2, 0.8, 2)
    colours = view(texture, np.eye(2) * scale, middle, side)
    if rng.random() < 0.4:  # colours of its own
        colours = colours[:, :, rng.permutation(3)]
    made = cutout(np.concatenate([colours, np.asarray(mask)[:, :, None]], axis=2))
    assert made is not None, "a ring covers more than 8 pixels a side"
    return made


def drawn_texture(rng: np.random.Generator, side: int) -> Picture:
    """Colours that vary in patches of several sizes, with stripes across some of them."""
    total = np.zeros((side, side, 3), np.float32)
    for cells in (2, 4, 9, 20, 45):
        coarse = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        kind = PIL.Image.Resampling.BICUBIC if rng.random() < 0.7 else PIL.Image.Resampling.NEAREST
        fine = PIL.Image.fromarray(coarse).resize((side, side), kind)
        total += (np.asarray(fine, np.float32) - 127.5) * rng.uniform(0.1, 0.8)
    if rng.random() < 0.4:
        down, across = np.mgrid[:side, :side]
        angle, length = rng.uniform(0, math.pi), rng.uniform(6, 40)
        wave = np.sin((down * math.sin(angle) + across * math.cos(angle)) * 2 * math.pi / length)
        total += (wave[:, :, None] * rng.uniform(-70, 70, 3)).astype(np.float32)
    return (total + rng.uniform(60, 195, 3)).clip(0, 255).astype(np.uint8)


def turned(
    degrees: float, scale: float | tuple[float, float] = 1.0, shear: float = 0.0
) -> Float[np.ndarray, "2 2"]:
    """The matrix that scales, shears and then turns (x, y), y down."""
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return turn @ np.array([[1.0, shear], [0.0, 1.0]]) @ np.diag(np.broadcast_to(scale, 2))


def paste(
    canvas: Picture, thing: Cutout, linear: Linear, middle: Float[np.ndarray, "2"]
) -> Picture:
    """A picture with a thing on it.

    Args:
        linear: of the thing's pixels, about its middle. middle: where that comes to lie, in pixels
            of the canvas.
    """
    x, y, width, height = thing.box(linear, middle)
    left, top = max(0, math.floor(x) - 1), max(0, math.floor(y) - 1)
    right = min(canvas.shape[1], math.ceil(x + width) + 1)
    bottom = min(canvas.shape[0], math.ceil(y + height) + 1)
    if right <= left or bottom <= top:
        return canvas
    layer = _sampled(
        thing.levels, linear, middle - np.array([left, top]), (right - left, bottom - top)
    ).astype(np.uint16)
    found = canvas.copy()
    below = found[top:bottom, left:right].astype(np.uint16)
    mixed = layer[:, :, :3] + below * (255 - layer[:, :, 3:]) // 255
    found[top:bottom, left:right] = mixed.clip(0, 255).astype(np.uint8)
    return found


def view(
    picture: Levels,
    linear: Linear,
    middle: Float[np.ndarray, "2"],
    side: int,
) -> Picture:
    """A square window of a picture; outside it has the picture's mean colour.

    Args:
        picture: it and its halves.
        linear: from the picture's pixels to those of the window. middle: what of the picture lies
            in the window's middle.
    """
    centre = np.array([side / 2, side / 2])
    shift = centre - linear @ (middle - np.array(picture[0].size) / 2)
    mean = np.asarray(picture[-1]).mean((0, 1)).astype(int)
    return _sampled(picture, linear, shift, (side, side), fill=tuple(mean.tolist()))


def levels(picture: PIL.Image.Image) -> tuple[PIL.Image.Image, ...]:
    """A picture and its halves, as long as a side has 32 pixels or more."""
    found = [picture]
    while min(found[-1].size) >= 64:
        found.append(found[-1].reduce(2))
    return tuple(found)


def _sampled(
    halves: Levels,
    linear: Linear,
    middle: Float[np.ndarray, "2"],
    size: tuple[int, int],
    *,
    fill: tuple[int, ...] | None = None,
) -> UInt8[np.ndarray, "height width channels"]:
    """A picture as it lies on a canvas of `size`, its middle at `middle`; `fill` or 0 around it."""
    shrink = 1 / max(math.sqrt(abs(np.linalg.det(linear))), 1e-6)
    level = 0
    while shrink > SHRINK and level + 1 < len(halves):
        level, shrink = level + 1, shrink / 2
    picture = halves[level]
    factor = np.array(halves[0].size) / np.array(picture.size)
    back = np.linalg.inv(linear) / factor[:, None]
    offset = np.array(picture.size) / 2 - back @ middle
    (a, b), (d, e) = back
    data = (a, b, offset[0], d, e, offset[1])
    kind = PIL.Image.Resampling.BILINEAR
    found = picture.transform(size, PIL.Image.Transform.AFFINE, data, resample=kind, fillcolor=fill)
    return np.asarray(found)


def _trimmed(pixels: UInt8[np.ndarray, "height width 4"]) -> Cutout | None:
    """Pixels of a cut-out, cropped to what is solid; None where that is hardly anything."""
    solid = pixels[:, :, 3] >= SOLID
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    if len(rows) < 8 or len(columns) < 8:
        return None
    inside = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    if solid[inside].mean() < 0.05:
        return None
    return Cutout(pixels=np.ascontiguousarray(pixels[inside]), outline=_outline(solid[inside]))


def _four_channels(pixels: UInt8[np.ndarray, "height width 4"]) -> PIL.Image.Image:
    """A picture whose fourth channel Pillow does not take for opacity: colours are multiplied by it already."""
    height, width = pixels.shape[:2]
    return PIL.Image.frombytes("CMYK", (width, height), np.ascontiguousarray(pixels).tobytes())


def _outline(solid: Bool[np.ndarray, "height width"]) -> Float[np.ndarray, "points 2"]:
    """The outermost corner of a pixel in each direction."""
    height, width = solid.shape
    rows = np.flatnonzero(solid.any(1))
    first, last = solid[rows].argmax(1), width - solid[rows, ::-1].argmax(1)
    corners = np.concatenate(
        [np.stack([x, rows + below], 1) for x in (first, last) for below in (0, 1)]
    ) - np.array([width / 2, height / 2])
    angles = np.arange(BEARINGS) * (2 * math.pi / BEARINGS)
    reach = corners @ np.stack([np.cos(angles), np.sin(angles)])
    return corners[reach.argmax(0)].astype(np.float64)


def _ring(rng: np.random.Generator, side: int) -> Float[np.ndarray, "points 2"]:
    """Points around a middle: a smooth ring, or a few corners."""
    count = int(rng.integers(3, 8)) if rng.random() < 0.4 else 40
    angles = np.linspace(0, 2 * math.pi, count, endpoint=False) + rng.uniform(0, math.pi)
    reach = np.ones(count)
    for waves in (2, 3, 4, 6):
        amount = 0.35 * rng.random() / waves**0.5
        reach += amount * np.sin(waves * angles + rng.uniform(0, 2 * math.pi))
    reach *= side * 0.36 / max(reach.max(), 1e-6)
    flat = np.array([1.0, math.exp(rng.uniform(-1.1, 0.3))])[rng.permutation(2)]
    around = np.stack([np.cos(angles), np.sin(angles)], 1) * reach[:, None] * flat
    return around @ turned(rng.uniform(-20, 20)).T + side / 2 + rng.uniform(-0.1, 0.1, 2) * side

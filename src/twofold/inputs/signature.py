"""Signatures: the input type that takes ink from paper, and cuts it out."""

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import PIL.Image
from jaxtyping import Bool, Float, Shaped, UInt8
from PIL import ImageFilter
from torch import Tensor

from twofold.errors import RecipeError, UnreadableInput
from twofold.inputs.image import Image
from twofold.inputs.image_augment import Augment
from twofold.inputs.image_decoding import decode, describe

__all__ = ["Signature", "ink"]

LOOKED_AT = 1024
"""Longer side in pixels at which ink is told from paper; larger pictures are shrunk to it."""

PEN_LOOKED_AT = 512
"""The same, where only the mean colour of the ink is wanted."""

PAPER = 1 / 24
"""Of the longer side: how far around it paper is looked for. Wider than any stroke, narrower than a shadow."""

FAINTEST = 0.12
"""Ink is this much darker than paper at least; JPEG and the grain of paper stay below it."""

MOST_INK = 0.5
"""Share of the picture that ink may cover: more is a dark picture and no writing."""

LEAST_INK = 20
"""Pixels of ink, at `LOOKED_AT`, of the shortest signature."""

LONG, THIN = 0.8, 6
"""A printed line: a run of ink over this share of the width (or height), in so many rows at most."""

AROUND, COMPANY = 7, 0.025
"""A pixel of ink is a speck unless this share of the pixels so far around it is ink."""

RULES = 1
"""Version of all that turns a picture into a signature."""


@dataclass(frozen=True, kw_only=True)
class Signature:
    """Signatures on paper: shadows, colour and strength of the ink, specks and printed lines are taken away.

    Who signs with another pen, or is scanned on another day, must not look like another person; and
    a forger must not be told by his pen. Slant and proportions stay: they belong to the writer.

    Attributes:
        size: height and width in pixels, or one number for both.
        clean: whether ink is looked for. False: pictures are clean already, dark on white, and are
            only brought to `size` with their margins.
        mean: subtracted from pixels in [0, 1], of which 1 is paper. std: divides the rest.
        max_pixels: larger pictures are refused from their header, before a pixel is decoded.
        rules: version of the rules by which a picture becomes a signature.

    Raises:
        RecipeError: a field that does not fit.
    """

    size: int | Sequence[int] = (64, 128)
    clean: bool = True
    mean: float = 1.0
    std: float = 0.25
    max_pixels: int = 25_000_000
    rules: int = RULES

    name: ClassVar[str] = "Signature"

    def __post_init__(self) -> None:
        if not isinstance(self.size, int):  # lists come from JSON and TOML; tuples compare and hash
            object.__setattr__(self, "size", tuple(self.size))
        if self.rules != RULES:
            raise RecipeError(f"rules = {self.rules} is unknown: this twofold knows {RULES}")
        _ = self.picture  # which checks the other fields

    @functools.cached_property
    def picture(self) -> Image:
        """The type of the cut-out signatures."""
        return Image(
            size=self.size,
            channels=1,
            fit="pad",
            mean=self.mean,
            std=self.std,
            max_pixels=self.max_pixels,
        )

    @property
    def version(self) -> int:
        """Which rules turn a picture into a signature; part of a bundle's fingerprint."""
        return self.rules

    def read(self, value: object) -> UInt8[np.ndarray, "height width 1"]:
        """The ink of a picture, cut out and brought to `size` in its own proportions.

        Args:
            value: a path, the bytes of a file, an array or a Pillow image, as `Image.read` takes
                them.

        Returns:
            HWC uint8: ink is 0, paper 255, edges of strokes are between them.

        Raises:
            UnreadableInput: the picture cannot be decoded, is blank, or is not writing on paper.
        """
        if not self.clean:
            return self.picture.read(value)
        drawn = ink(value, max_pixels=self.max_pixels)
        return self.picture.read(np.where(_cut_out(drawn), np.uint8(0), np.uint8(255)))

    def stack(self, arrays: Sequence[np.ndarray]) -> UInt8[Tensor, "batch 1 height width"]:
        """Arrays of `read` as one batch, uint8 in [0, 255].

        Raises:
            UnreadableInput: an array is not of this type's size.
        """
        return self.picture.stack(arrays)

    def normalise(
        self, batch: Shaped[Tensor, "batch 1 height width"]
    ) -> Float[Tensor, "batch 1 height width"]:
        """What the encoder sees: (x / 255 - mean) / std in float32; paper is 0 by default."""
        return self.picture.normalise(batch)

    def example(self) -> UInt8[np.ndarray, "height width 1"]:
        """A blank picture, to find dimensions and to export."""
        return self.picture.example()

    def facts(self) -> dict[str, Any]:
        """What a builder of encoders may want to know."""
        return self.picture.facts()

    def arguments(self) -> dict[str, Any]:
        """Flat values that rebuild this type: `Signature(**arguments)`."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    def show(self, value: object, *, side: int | None = None) -> UInt8[np.ndarray, "..."] | None:
        """The ink as the encoder sees it; with `side` the picture as it is; None: it is not there."""
        if side is None:
            return self.read(value)[:, :, 0]
        return self.picture.show(value, side=side)

    def quality(self, array: UInt8[np.ndarray, "height width channels"]) -> dict[str, float]:
        """Sharpness, contrast and brightness of the cut-out signature."""
        return self.picture.quality(array)

    def traits(
        self, value: object, array: UInt8[np.ndarray, "height width channels"]
    ) -> dict[str, tuple[float, ...]]:
        """How much ink there is, its colour and darkness on the page, and the file's own numbers."""
        return self.picture.traits(value, array) | _pen(value, max_pixels=self.max_pixels)

    def augmentation(self, **settings: Any) -> Augment:
        """The training-time augmentation of pictures; the settings are the fields of `Augment`.

        Raises:
            RecipeError: an unknown setting, or a value that does not fit.
        """
        return self.picture.augmentation(**settings)


def ink(value: object, *, max_pixels: int = 25_000_000) -> Bool[np.ndarray, "height width"]:
    """Which pixels of a picture are ink, at a longer side of `LOOKED_AT` at most.

    Ink is darker than the paper around it in some colour. Otsu's threshold (1979) tells them apart,
    of the darkness of each pixel beside that paper. Then printed lines and specks are taken away.

    Raises:
        UnreadableInput: the picture cannot be decoded, is blank, or is not writing on paper.
    """
    picture = decode(value, side=LOOKED_AT, background=255, max_pixels=max_pixels)
    picture.thumbnail((LOOKED_AT, LOOKED_AT), PIL.Image.Resampling.BOX)
    darkness = _darkness(np.asarray(picture))
    drawn = darkness > max(_otsu(darkness), FAINTEST)
    if drawn.mean() > MOST_INK:
        raise UnreadableInput(
            f"{describe(value)} is dark on {drawn.mean():.0%} of its area, which is not writing on "
            f"paper: cut the signature out, or leave it out"
        )
    drawn = _without_specks(_without_lines(_without_lines(drawn).T).T)
    if drawn.sum() < LEAST_INK:
        raise UnreadableInput(
            f"{describe(value)} shows no ink: the page is blank or only lines are on it; scan it "
            f"again, or leave it out"
        )
    return drawn


def _pen(value: object, *, max_pixels: int) -> dict[str, tuple[float, ...]]:
    """Colour of the ink, as what it differs from grey, and how much darker than the paper it is: 0 to 255, 0 to 1."""
    picture = decode(value, side=LOOKED_AT, background=255, max_pixels=max_pixels).convert("RGB")
    picture.thumbnail((PEN_LOOKED_AT, PEN_LOOKED_AT), PIL.Image.Resampling.BOX)
    pixels = np.asarray(picture)
    darkness = _darkness(pixels)
    drawn = darkness > max(_otsu(darkness), FAINTEST)
    if not drawn.any():
        return {}
    red, green, blue = pixels[drawn].mean(axis=0, dtype=np.float64)
    return {
        "ink colour": (float(red - green), float(blue - green)),
        "ink darkness": (float(darkness[drawn].mean()),),
    }


def _darkness(pixels: UInt8[np.ndarray, "height width *channels"]) -> Float[np.ndarray, "h w"]:
    """How much darker than the paper around it each pixel is, in its darkest colour: 0 to 1."""
    seen = pixels if pixels.ndim == 2 else pixels.min(axis=2)
    page = PIL.Image.fromarray(seen)
    reach = max(round(PAPER * max(page.size)), 1)
    # the brightest pixel of each small square, and of the squares beside it: that is paper
    small = page.reduce(max(reach // 4, 1))
    paper = small.filter(ImageFilter.MaxFilter(9)).filter(ImageFilter.GaussianBlur(3))
    light = np.asarray(paper.resize(page.size, PIL.Image.Resampling.BILINEAR), np.float32)
    return np.clip(1 - seen / np.maximum(light, 1), 0, 1)


def _otsu(values: Float[np.ndarray, "..."]) -> float:
    """The threshold that parts values in [0, 1] into the two most different groups (Otsu 1979)."""
    counts, edges = np.histogram(values, bins=256, range=(0, 1))
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1 + int(np.nanargmax(np.nan_to_num(between)))])


def _without_lines(drawn: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    """Ink without printed lines along the rows, with strokes that cross them."""
    long = drawn.mean(axis=1) > LONG
    edges = np.flatnonzero(np.diff(np.concatenate([[0], long, [0]])))
    kept = drawn.copy()
    for first, end in edges.reshape(-1, 2):
        if end - first > THIN:
            continue
        # a line's own edges are rougher than its middle
        top, bottom = max(first - 2, 0), min(end + 2, len(drawn))
        above = drawn[max(top - 2, 0) : top].any(axis=0)
        below = drawn[bottom : bottom + 2].any(axis=0)
        kept[top:bottom, ~(above | below)] = False
    return kept


def _without_specks(drawn: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    """Ink without pixels that have little other ink around them."""
    page = PIL.Image.fromarray(drawn.astype(np.uint8) * 255)
    company = np.asarray(page.filter(ImageFilter.BoxBlur(AROUND)))
    return drawn & (company > COMPANY * 255)


def _cut_out(drawn: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "h w"]:
    rows, columns = (np.flatnonzero(drawn.any(axis=axis)) for axis in (1, 0))
    return drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]

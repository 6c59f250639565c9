"""Faces: the input type that finds a face in a photograph and aligns it as dlib's network wants it."""

import functools
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import PIL.Image
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from twofold.errors import RecipeError, SeveralFaces, UnreadableInput
from twofold.inputs.face_alignment import aligned
from twofold.inputs.face_detector import DetectedFace, detector
from twofold.inputs.image import Image
from twofold.inputs.image_augment import Augment
from twofold.inputs.image_decoding import decode, describe
from twofold.plurals import counted

__all__ = ["AlignedFace", "Face"]

LOOKED_AT = 1024
"""Longer side in pixels of the picture in which faces are looked for; larger ones are shrunk to it."""

SMALLEST = 32
"""Side in pixels of the smallest face that is looked for, in the picture of `LOOKED_AT`."""

BORDER = 0.25
"""Of the sides: what is added around a picture in which no face was found, in case that it is cut tightly."""

MEAN = (122.782 / 255, 117.001 / 255, 104.298 / 255)
"""Of red, green and blue (dlib/dnn/input.h)."""

RULES = 1
"""Version of all that turns a picture into an aligned face: detector, landmarks and warp."""


@dataclass(frozen=True, kw_only=True)
class AlignedFace:
    """One face of a picture, as `Face.read` returns it; it can be read again, and stays as it is.

    Attributes:
        place: where it is, in pixels of the upright picture as wide as `decode` made it.
        array: the face upright and cut out, HWC uint8.
    """

    place: DetectedFace
    array: UInt8[np.ndarray, "height width channels"]


@dataclass(frozen=True, kw_only=True)
class Face:
    """Photographs of people: the largest face is found, turned upright and cut out (extra `faces`).

    Attributes:
        size: height and width of the aligned face in pixels.
        detect: whether faces are looked for. False: pictures are faces already, cut out and
            upright, and are only brought to `size`.
        mean: of red, green and blue in [0, 1], which is subtracted.
        std: divides the rest.
        max_pixels: larger pictures are refused from their header, before a pixel is decoded.
        rules: version of the rules by which a picture becomes a face.

    Raises:
        RecipeError: a field that does not fit.
    """

    size: int = 150
    detect: bool = True
    mean: float | Sequence[float] = MEAN
    std: float | Sequence[float] = 256 / 255
    max_pixels: int = 25_000_000
    rules: int = RULES

    name: ClassVar[str] = "Face"

    def __post_init__(self) -> None:
        for field in ("mean", "std"):  # lists come from JSON and TOML; tuples compare and hash
            value = getattr(self, field)
            if not isinstance(value, int | float):
                object.__setattr__(self, field, tuple(value))
        if self.rules != RULES:
            raise RecipeError(f"rules = {self.rules} is unknown: this twofold knows {RULES}")
        _ = self.picture  # which checks the other fields

    @functools.cached_property
    def picture(self) -> Image:
        """The type of the aligned faces."""
        return Image(size=self.size, mean=self.mean, std=self.std, max_pixels=self.max_pixels)

    @property
    def version(self) -> int:
        """Which rules turn a picture into a face; part of a bundle's fingerprint."""
        return self.rules

    def read(self, value: object) -> UInt8[np.ndarray, "height width channels"]:
        """The largest face of a picture, aligned.

        Args:
            value: a path, the bytes of a file, an array or a Pillow image, as `Image.read` takes
                them; or one of `faces`.

        Returns:
            HWC uint8 in [0, 255] of this type's size. A warning, `SeveralFaces`, says so where the
            picture shows others.

        Raises:
            UnreadableInput: the picture cannot be decoded, or shows no face.
            MissingExtra: the detector is not installed.
        """
        if isinstance(value, AlignedFace):
            return value.array
        if not self.detect:
            return self.picture.read(value)
        found = self.faces(value)
        if len(found) > 1:
            warnings.warn(
                f"{describe(value)} shows {counted(len(found), 'face')}: the largest is taken",
                SeveralFaces,
                stacklevel=2,
            )
        return found[0].array

    def parts(self, value: object) -> dict[str, AlignedFace]:
        """All faces of a picture by a name that says where each is, from the left to the right."""
        faces = sorted(self.faces(value), key=lambda face: face.place.box[0])
        return {
            f"face {number} of {len(faces)} at {face.place.box[0]:.0f}, {face.place.box[1]:.0f}": face
            for number, face in enumerate(faces, start=1)
        }

    def faces(self, value: object) -> list[AlignedFace]:
        """All faces of a picture, the largest first.

        Raises:
            UnreadableInput, MissingExtra: as `read`.
        """
        picture = decode(
            value, side=LOOKED_AT, background=self.picture.background, max_pixels=self.max_pixels
        ).convert("RGB")
        found = _found(picture)
        if not found:
            raise UnreadableInput(
                f"{describe(value)} shows no face that can be found: take a picture in which both "
                f"eyes are seen and the face is 40 pixels wide or more, or leave it out (if your "
                f"pictures are cut-out faces: twofold train face DATA --set input.detect=false)"
            )
        return [
            AlignedFace(
                place=face, array=np.array(aligned(picture, face.landmarks, size=self.size))
            )
            for face in found
        ]

    def stack(self, arrays: Sequence[np.ndarray]) -> UInt8[Tensor, "batch channels height width"]:
        """Arrays of `read` as one batch, uint8 in [0, 255].

        Raises:
            UnreadableInput: an array is not of this type's size.
        """
        return self.picture.stack(arrays)

    def normalise(
        self, batch: Shaped[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """What the encoder sees: (x / 255 - mean) / std in float32."""
        return self.picture.normalise(batch)

    def example(self) -> UInt8[np.ndarray, "height width channels"]:
        """A blank picture, to find dimensions and to export."""
        return self.picture.example()

    def facts(self) -> dict[str, Any]:
        """What a builder of encoders may want to know."""
        return self.picture.facts()

    def arguments(self) -> dict[str, Any]:
        """Flat values that rebuild this type: `Face(**arguments)`."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    def show(self, value: object, *, side: int | None = None) -> UInt8[np.ndarray, "..."] | None:
        """The aligned face; with `side` the whole picture, no larger than that; None: it is not there."""
        return self.read(value) if side is None else self.picture.show(value, side=side)

    def whole(
        self, value: object, array: UInt8[np.ndarray, "height width channels"]
    ) -> UInt8[np.ndarray, "height width channels"]:
        """The picture around the face, of this type's size: what is black beyond its border was never lost."""
        return self.picture.read(value) if self.detect else array

    def quality(self, array: UInt8[np.ndarray, "height width channels"]) -> dict[str, float]:
        """Sharpness, contrast and brightness of the aligned face."""
        return self.picture.quality(array)

    def traits(
        self, value: object, array: UInt8[np.ndarray, "height width channels"]
    ) -> dict[str, tuple[float, ...]]:
        """Light, colour and the file's own numbers."""
        return self.picture.traits(value, array)

    def augmentation(self, **settings: Any) -> Augment:
        """The training-time augmentation of pictures; the settings are the fields of `Augment`.

        Raises:
            RecipeError: an unknown setting, or a value that does not fit.
        """
        return self.picture.augmentation(**settings)


def _found(picture: PIL.Image.Image) -> list[DetectedFace]:
    """The faces in a picture, the largest first; once more with a border around it where there is none."""
    small = picture.copy()
    small.thumbnail((LOOKED_AT, LOOKED_AT), PIL.Image.Resampling.BILINEAR)
    scale = picture.width / small.width
    if faces := detector()(small, SMALLEST):
        return [_scaled(face, scale, 0, 0) for face in faces]
    left, top = (round(BORDER * side) for side in small.size)
    wide = PIL.Image.new("RGB", (small.width + 2 * left, small.height + 2 * top))
    wide.paste(small, (left, top))
    return [_scaled(face, scale, left, top) for face in detector()(wide, SMALLEST)]


def _scaled(face: DetectedFace, scale: float, left: int, top: int) -> DetectedFace:
    """The face in a picture of another scale, without the border that was at its left and its top."""

    def moved(x: float, y: float) -> tuple[float, float]:
        return (x - left) * scale, (y - top) * scale

    return DetectedFace(
        box=moved(*face.box[:2]) + moved(*face.box[2:]),
        landmarks=tuple(moved(*point) for point in face.landmarks),
        confidence=face.confidence,
    )

"""Rasters: pictures of the Earth or of anything else, any number of bands, values as they are stored."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import PIL.Image
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from twofold.errors import MissingExtra, RecipeError, UnreadableInput
from twofold.inputs import image_tiff_tags as tag
from twofold.inputs.image_decoding import describe, format_of, stored
from twofold.inputs.image_limits import check_size, pixel_limit
from twofold.inputs.image_tiff_samples import UNPACKED, samples
from twofold.inputs.image_tiff_tags import Tags
from twofold.inputs.raster_source import ArraySource, Source
from twofold.inputs.raster_tiff import TiffSource, rasterio_is_there, tiff_tags

__all__ = ["MOST_BANDS", "Raster", "open_raster"]

MOST_BANDS = 1024
"""Hyperspectral instruments have a few hundred."""

LEAST_DEVIATION = 1e-6
"""In units of the stored values: a band that is constant is divided by it, and stays zero."""

TIFF_ENDINGS = (".tif", ".tiff", ".gtif", ".gtiff")

EXTRA = "pip install 'twofold[raster]'"


@dataclass(frozen=True, kw_only=True)
class Raster:
    """Rasters of some number of bands and of any size; normalisation belongs to the model.

    Attributes:
        bands: how many a file must have, transparency not counted. A grey picture is not taken for
            a coloured one.
        max_pixels: larger files are not decoded as a whole (`read`, and formats other than TIFF).
            The environment variable TWOFOLD_MAX_PIXELS overrides it.

    Raises:
        RecipeError: a field that does not fit.
    """

    bands: int = 3
    max_pixels: int = 25_000_000

    name: ClassVar[str] = "Raster"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not 1 <= self.bands <= MOST_BANDS:
            raise RecipeError(f"bands = {self.bands} is not possible: 1 to {MOST_BANDS}")
        if self.max_pixels < 1:
            raise RecipeError(f"max_pixels = {self.max_pixels} must be positive")

    def open(self, value: object) -> Source:
        """A file or an array, (bands, height, width), to be read by windows; close it, or use `with`.

        Raises:
            UnreadableInput: it cannot be read, or has another number of bands.
            MissingExtra: a GeoTIFF, and rasterio is not installed.
        """
        source = open_raster(value, max_pixels=self.max_pixels)
        if source.bands != self.bands:
            with source:
                raise UnreadableInput(
                    f"{describe(value)} has {source.bands} band{'s'[: source.bands != 1]}, and "
                    f"this model reads {self.bands}: give a file of those bands"
                )
        return source

    def read(self, value: object) -> Shaped[np.ndarray, "bands height width"]:
        """All values of a file or an array, as stored.

        Raises:
            UnreadableInput, MissingExtra: as `open`; or it has more than `max_pixels`.
        """
        with self.open(value) as source:
            try:
                check_size(source.width, source.height, pixel_limit(self.max_pixels))
            except UnreadableInput as error:
                raise UnreadableInput(f"{describe(value)} {error}") from None
            return np.array(source.window(0, 0, source.height, source.width))

    def stack(self, arrays: Sequence[np.ndarray]) -> Shaped[Tensor, "batch bands height width"]:
        """Arrays of one size as a batch of float32.

        Raises:
            UnreadableInput: they differ in size.
        """
        shapes = {array.shape for array in arrays}
        if len(shapes) != 1:
            raise UnreadableInput(
                f"rasters of {', '.join(map(str, sorted(shapes)))} cannot be stacked: cut them to "
                f"one size"
            )
        return torch.from_numpy(np.stack([array.astype(np.float32) for array in arrays]))

    def normalise(
        self, batch: Float[Tensor, "batch bands height width"]
    ) -> Float[Tensor, "batch bands height width"]:
        """Each band of each raster with mean 0 and deviation 1; a model of change takes the whole scene's."""
        centred = batch - batch.mean(dim=(2, 3), keepdim=True)
        deviation = centred.square().mean(dim=(2, 3), keepdim=True).sqrt()
        return centred / deviation.clamp(min=LEAST_DEVIATION)

    def example(self) -> Float[np.ndarray, "bands 64 64"]:
        """An empty raster."""
        return np.zeros((self.bands, 64, 64), np.float32)

    def facts(self) -> dict[str, Any]:
        """What a builder of networks may want to know."""
        return {"kind": "rasters", "channels": self.bands}

    def arguments(self) -> dict[str, Any]:
        """Flat values that rebuild this type."""
        return asdict(self)

    def augmentation(self, **settings: Any) -> Any:
        """None of its own: pairs of rasters are augmented together, by the training of change."""
        if settings:
            raise RecipeError(
                f"augment: {', '.join(settings)}: single rasters are not augmented; leave it out"
            )
        return _unchanged


class _Unchanged:
    """An augmentation that leaves a batch as it is."""

    variants = 1

    def __call__(self, batch: Any, keys: np.ndarray) -> Any:
        return batch


_unchanged = _Unchanged()


def open_raster(value: object, *, max_pixels: int = 25_000_000) -> Source:
    """A file or an array, (bands, height, width), to be read by windows, with any number of bands.

    TIFF is read by rasterio where it is installed; other pictures, and plain TIFF without it, are
    decoded as a whole here, and held in memory.

    Args:
        max_pixels: of what is decoded as a whole.

    Raises:
        UnreadableInput: it cannot be read. MissingExtra: it needs rasterio, which is not installed.
    """
    if isinstance(value, np.ndarray):
        return ArraySource(array=_checked_array(value))
    if not isinstance(value, str | Path):
        raise UnreadableInput(
            f"{describe(value)} is not a raster: give a path or an array (bands, height, width)"
        )
    path = Path(value)
    kind = format_of(path)
    if kind != "TIFF":
        if path.suffix.lower() in TIFF_ENDINGS:
            raise UnreadableInput(
                f"{path} is called a TIFF and is a {kind} file, without a place on the map: rename "
                f"it if it is what you mean, else fetch the TIFF"
            )
        return _decoded(path, max_pixels)
    if rasterio_is_there():
        return TiffSource(path)
    return _plain_tiff(path, tiff_tags(path), max_pixels)


def _checked_array(array: np.ndarray) -> np.ndarray:
    if array.ndim != 3 or not array.size or array.dtype.kind not in "uif":
        raise UnreadableInput(
            f"{describe(array)} is not a raster: give numbers, (bands, height, width)"
        )
    return array


def _decoded(path: Path, max_pixels: int) -> ArraySource:
    """A picture file: 8 or 16 bits as stored; transparency says which pixels are valid."""
    image = stored(path, max_pixels=max_pixels)
    if image.mode in ("I", "I;16", "I;16B", "F"):
        array = np.asarray(image)
        array = array.astype(np.uint16) if image.mode != "F" else array
        return ArraySource(array=array[None], path=path)
    grey = image.mode in ("1", "L", "LA", "La")
    mask = None
    if image.has_transparency_data:
        mask = np.asarray(image.convert("RGBA").getchannel("A")) > 0
    array = np.asarray(_opaque(image, "L" if grey else "RGB"))
    _refuse_lost_bits(path)
    bands = array[None] if grey else np.ascontiguousarray(array.transpose(2, 0, 1))
    return ArraySource(array=bands, mask=mask, path=path)


def _opaque(image: PIL.Image.Image, mode: str) -> PIL.Image.Image:
    """The colours themselves, whatever lies in the transparency."""
    return (
        image.convert("LA").getchannel("L") if image.mode in ("LA", "La") else image.convert(mode)
    )


def _refuse_lost_bits(path: Path) -> None:
    """Refuse a PNG of 16 bits in colour or with transparency: Pillow keeps the upper 8."""
    with path.open("rb") as file:
        start = file.read(26)
    if start.startswith(b"\x89PNG") and start[24] == 16:
        raise UnreadableInput(
            f"{path} is a PNG with 16 bits per sample in colour or with transparency, of which 8 would be lost: "
            f"save it as TIFF"
        )


def _plain_tiff(path: Path, tags: Tags, max_pixels: int) -> ArraySource:
    """A TIFF without a place on the map, without rasterio."""
    width, height = tags.size
    placed = [
        name
        for name, number in (
            ("scale", tag.PIXEL_SCALE),
            ("transform", tag.AFFINE),
            ("CRS", tag.GEO_KEYS),
        )
        if number in tags.values
    ]
    if placed:
        raise MissingExtra(
            f"{path} is a GeoTIFF (it has a {' and a '.join(placed)}), which rasterio reads: {EXTRA}"
        )
    deep = not tags.bits or max(tags.bits) > 16 or bool(tags.formats - {1, 2})
    if deep or tags.one(tag.COMPRESSION, 1) not in UNPACKED or len(set(tags.bits)) != 1:
        if not deep and len(tags.bits) in (1, 3) and max(tags.bits) == 8:
            return _decoded(path, max_pixels)
        raise MissingExtra(f"{path} is a TIFF of a kind that only rasterio reads: {EXTRA}")
    if width * height > pixel_limit(max_pixels):
        raise MissingExtra(
            f"{path} has {width * height / 1e6:,.0f} million pixels, which only rasterio reads in "
            f"parts: {EXTRA}"
        )
    with path.open("rb") as file:
        try:
            found = samples(file, tags)
        except UnreadableInput as error:
            raise UnreadableInput(f"{path} {error}") from None
    found, mask = _without_alpha(found, tags)
    bands = np.ascontiguousarray(found.transpose(2, 0, 1))
    if bands.dtype == np.int32:  # signed samples of up to 16 bits
        bands = bands.astype(np.int16)
    return ArraySource(array=bands, mask=mask, path=path)


def _without_alpha(
    found: Shaped[np.ndarray, "height width samples"], tags: Tags
) -> tuple[np.ndarray, np.ndarray | None]:
    extra = [int(each) for each in tags.values.get(tag.EXTRA, ())]
    alpha = [k for k, each in enumerate(extra) if each in (1, 2)]
    if not alpha:
        return found, None
    place = found.shape[2] - len(extra) + alpha[0]
    return np.delete(found, place, axis=2), found[:, :, place] > 0

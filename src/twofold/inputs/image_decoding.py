"""Picture files, bytes, arrays and Pillow images -> one upright grey or RGB Pillow image.

Nothing is guessed: the format is read from the first bytes and must be on the list, sizes are read
from the header and checked before a pixel is decoded, and what has no declared meaning (floats
beyond [0, 1]) is refused, as is a file of which a part is missing.
"""

import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import PIL.Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from twofold.errors import UnreadableInput, UsageError
from twofold.inputs.image_bmp import bmp_image
from twofold.inputs.image_colour import flat, to_bytes
from twofold.inputs.image_gif import gif_image
from twofold.inputs.image_jpeg import jpeg_image
from twofold.inputs.image_limits import LONGEST_SIDE, check_bytes, check_size, pixel_limit
from twofold.inputs.image_png import png_image
from twofold.inputs.image_pnm import pnm_image
from twofold.inputs.image_tiff import tiff_image
from twofold.inputs.image_tiff_tags import read_tags
from twofold.inputs.image_webp import webp_image
from twofold.plurals import counted

__all__ = ["FORMATS", "RULES", "decode", "describe", "format_of", "header_size", "stored"]

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "PGM/PPM", "TIFF", "AVIF", "HEIC")
"""What is read; anything else (EPS, PDF, SVG, icons ...) is refused by its first bytes, whatever its name says."""

RULES = 2
"""The newest rules by which a file becomes pixels; bundles keep those that they were trained with."""

_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"BM": "BMP",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    **{b"P%d" % digit: "PNM" for digit in range(1, 7)},
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"II+\x00": "TIFF",
    b"MM\x00+": "TIFF",
}

_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys(
        (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIC"
    ),
}

_HEADERS: dict[str, type[ImageFile]] = {
    "PNG": PngImageFile,
    "JPEG": JpegImageFile,
    "WEBP": WebPImageFile,
    "BMP": BmpImageFile,
    "GIF": GifImageFile,
    "PNM": PpmImageFile,
    "TIFF": TiffImageFile,
}

_TURNS = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what brings the picture upright (EXIF 2.3, tag 0x0112)."""


def decode(
    value: object, *, side: int, background: int, max_pixels: int = 25_000_000, rules: int = RULES
) -> PIL.Image.Image:
    """One raw picture as an upright Pillow image of mode L or RGB.

    Args:
        value: a path, the bytes of a file, an array (height, width[, channels]) or a Pillow image.
        side: the longer side in pixels that will be asked of the picture; a large JPEG is decoded
            at a half, a quarter or an eighth of its size where that leaves at least twice this, or
            this where it is too large otherwise.
        background: grey value in [0, 255] behind transparent pixels.
        max_pixels: the largest width x height that is decoded, read from the header.
        rules: by which profiles and transparency are applied (`image_colour.flat`).

    Raises:
        UnreadableInput: with the picture's name, what is wrong, and what to do.
    """
    with _named(value):
        if isinstance(value, np.ndarray):
            return flat(_from_array(value), background=background, rules=rules)
        image = _loaded(value, side=side, limit=pixel_limit(max_pixels))
        return _upright(flat(image, background=background, rules=rules), image)


def stored(value: object, *, max_pixels: int = 25_000_000) -> PIL.Image.Image:
    """A picture file as an upright Pillow image in its own mode: its depth and its transparency are kept.

    Raises:
        UnreadableInput: as `decode`.
    """
    with _named(value):
        image = _loaded(value, side=LONGEST_SIDE, limit=pixel_limit(max_pixels))
        return _upright(image, image)


def format_of(path: Path) -> str:
    """The format of a file by its first bytes: PNG, JPEG, TIFF ...; its name's ending counts for nothing.

    Raises:
        UnreadableInput: the file is missing or not a picture.
    """
    with _named(path), _opened(path) as file:
        return _kind(file)


@contextlib.contextmanager
def _named(value: object) -> Iterator[None]:
    """Errors about a picture, with its name."""
    try:
        yield
    except UsageError:
        raise
    except UnreadableInput as error:
        raise UnreadableInput(f"{describe(value)} {error}") from error.__cause__
    # Pillow meets broken files with a dozen kinds, MemoryError and struct.error among them
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise UnreadableInput(
            f"{describe(value)} cannot be decoded ({reason}): replace it or leave it out"
        ) from error


def describe(value: object) -> str:
    """How an error calls a raw picture: its path, or what it is."""
    if isinstance(value, str | Path):
        return str(value)
    if isinstance(value, bytes):
        return f"a picture of {counted(len(value), 'byte')}"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    if isinstance(value, PIL.Image.Image):
        return f"a Pillow image of {value.width} x {value.height} in mode {value.mode}"
    return f"a value of type {type(value).__name__}"


def header_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture file, as its header says; nothing is decoded."""
    with path.open("rb") as file:
        kind = _kind(file)
        if kind == "TIFF":
            return read_tags(file).size
        return (_iso_reader(kind) if kind in ("AVIF", "HEIC") else _HEADERS[kind])(file).size


def _loaded(value: object, *, side: int, limit: int) -> PIL.Image.Image:
    if isinstance(value, PIL.Image.Image):
        if isinstance(value, ImageFile):  # of which no pixel need have been decoded
            check_size(*value.size, limit)
        value.load()
        return value
    with _opened(value) as file:
        kind = _kind(file)
        if kind == "TIFF":  # only the first page of a file of any length is read
            return tiff_image(file, limit=limit)
        check_bytes(file.seek(0, io.SEEK_END), limit)
        file.seek(0)
        data = file.read()
    if kind == "JPEG":
        return jpeg_image(data, side=side, limit=limit)
    if kind in _WHOLE:
        return _WHOLE[kind](data, limit=limit)
    image = _iso_reader(kind)(io.BytesIO(data))
    check_size(*image.size, limit)
    image.load()
    return image


_WHOLE: dict[str, Callable[..., PIL.Image.Image]] = {
    "PNG": png_image,
    "PNM": pnm_image,
    "WEBP": webp_image,
    "BMP": bmp_image,
    "GIF": gif_image,
}


def _opened(value: object) -> io.BufferedIOBase:
    if isinstance(value, bytes):
        return io.BytesIO(value)
    if not isinstance(value, str | Path):
        raise UnreadableInput("is not a picture: give a path, bytes, an array or a Pillow image")
    path = Path(value)
    if path.is_dir():
        raise UnreadableInput("is a folder, not a picture")
    if not path.is_file():
        raise UnreadableInput("does not exist (or is not a regular file): check the path")
    return path.open("rb")


def _kind(file: io.BufferedIOBase) -> str:
    """The format by the file's first bytes; the name's ending counts for nothing."""
    start = file.read(64)
    file.seek(0)
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WEBP"
    if start[4:8] == b"ftyp" and start[8:12] in _BRANDS:
        return "AVIF" if b"avif" in start else _BRANDS[start[8:12]]
    for magic, kind in _MAGIC.items():
        if start.startswith(magic):
            return kind
    if not start:
        raise UnreadableInput("is empty: replace it or leave it out")
    raise UnreadableInput(
        f"is not a picture (it begins with {start[:16]!r}): these are read: {', '.join(FORMATS)}"
    )


def _iso_reader(kind: str) -> type[ImageFile]:
    """The reader of AVIF, which most builds of Pillow have, or of HEIC, from an extra."""
    if kind == "AVIF":
        try:
            from PIL.AvifImagePlugin import AvifImageFile
        except ImportError:
            raise UnreadableInput(
                "is an AVIF picture, which needs Pillow 11.3 or later: save it as PNG"
            ) from None
        return AvifImageFile
    try:
        from pillow_heif.as_plugin import HeifImageFile
    except ImportError:
        raise UnreadableInput(
            "is a HEIC photograph, which needs the extra heic: pip install 'twofold[heic]', or "
            "save it as JPEG "
            "(on an iPhone: Settings, Camera, Formats, Most Compatible)"
        ) from None
    return HeifImageFile


def _upright(image: PIL.Image.Image, source: PIL.Image.Image) -> PIL.Image.Image:
    try:
        turn = _TURNS.get(source.getexif().get(0x0112, 1))
    # a damaged EXIF block says nothing about the orientation; the pixels are sound
    except Exception:
        turn = None
    return image if turn is None else image.transpose(turn)


def _from_array(array: np.ndarray) -> PIL.Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise UnreadableInput(
            "is not a picture: give (height, width) or (height, width, channels) with 1, 3 or 4 "
            "channels"
        )
    return PIL.Image.fromarray(np.ascontiguousarray(_eight_bits(array)))


def _eight_bits(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.newbyteorder("=") == np.uint16:
        return to_bytes(array)
    if not np.issubdtype(array.dtype, np.floating):
        raise UnreadableInput(
            "has no declared range: give uint8, uint16, bool, or floats in [0, 1]"
        )
    low, high = float(array.min()), float(array.max())
    if not (low >= 0.0 and high <= 1.0):  # NaN fails both
        raise UnreadableInput(
            f"has values from {low:g} to {high:g}: floats must lie in [0, 1]; divide by the maximum"
        )
    return np.rint(array * 255.0).astype(np.uint8)

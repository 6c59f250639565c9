"""Picture files, bytes, arrays and Pillow images -> one upright grey or RGB Pillow image.

Nothing is guessed: the format is read from the first bytes and must be on the list, the size is read from the header
and checked before a pixel is decoded, and what has no declared meaning (32-bit samples, floats beyond [0, 1]) is
refused.
"""

import io
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

from twofold.errors import UnreadableInput

__all__ = ["FORMATS", "decode", "describe"]

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "PGM/PPM", "TIFF")
"""What is read; anything else (EPS, PDF, SVG, icons ...) is refused by its first bytes, whatever its name says."""

_READERS: dict[bytes, type[ImageFile]] = {
    b"\x89PNG\r\n\x1a\n": PngImageFile,
    b"\xff\xd8\xff": JpegImageFile,
    b"RIFF": WebPImageFile,
    b"BM": BmpImageFile,
    b"GIF87a": GifImageFile,
    b"GIF89a": GifImageFile,
    **{b"P%d" % digit: PpmImageFile for digit in range(1, 7)},
    b"II*\x00": TiffImageFile,
    b"MM\x00*": TiffImageFile,
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


def decode(value: object, *, side: int, background: int, max_pixels: int) -> PIL.Image.Image:
    """One raw picture as an upright Pillow image of mode L or RGB.

    Args:
        value: a path, the bytes of a file, an array (height, width[, channels]) or a Pillow image.
        side: the longer side in pixels that will be asked of the picture; a large JPEG is decoded at a half, a quarter
            or an eighth of its size where that leaves at least twice this.
        background: grey value in [0, 255] behind transparent pixels.
        max_pixels: the largest width x height that is decoded, read from the header.

    Raises:
        UnreadableInput: with the picture's name, what is wrong, and what to do.
    """
    try:
        if isinstance(value, np.ndarray):
            return _opaque(_from_array(value), background)
        if isinstance(value, PIL.Image.Image):
            return _finish(value, value, background=background, max_pixels=max_pixels)
        with _opened(value) as file:
            image = _reader(file)(file)
            if isinstance(image, JpegImageFile) and image.width * image.height <= max_pixels:
                image.draft(None, (2 * side, 2 * side))
            return _finish(value, image, background=background, max_pixels=max_pixels)
    except UnreadableInput as error:
        raise UnreadableInput(f"{describe(value)} {error}") from error.__cause__
    except Exception as error:  # Pillow meets broken files with a dozen kinds, MemoryError and struct.error among them
        reason = str(error) or type(error).__name__
        raise UnreadableInput(f"{describe(value)} cannot be decoded ({reason}): replace it or leave it out") from error


def describe(value: object) -> str:
    """How an error calls a raw picture: its path, or what it is."""
    if isinstance(value, str | Path):
        return str(value)
    if isinstance(value, bytes):
        return f"a picture of {len(value)} bytes"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    if isinstance(value, PIL.Image.Image):
        return f"a Pillow image of {value.width} x {value.height} in mode {value.mode}"
    return f"a value of type {type(value).__name__}"


def _opened(value: object) -> io.BytesIO | io.BufferedReader:
    if isinstance(value, bytes):
        return io.BytesIO(value)
    if not isinstance(value, str | Path):
        raise UnreadableInput("is no picture: give a path, bytes, an array or a Pillow image")
    path = Path(value)
    if path.is_dir():
        raise UnreadableInput("is a folder, not a picture")
    if not path.is_file():
        raise UnreadableInput("does not exist (or is no regular file): check the path")
    return path.open("rb")


def _reader(file: io.BytesIO | io.BufferedReader) -> type[ImageFile]:
    """The reader by the file's first bytes; the name's ending counts for nothing."""
    start = file.read(16)
    file.seek(0)
    for magic, reader in _READERS.items():
        if start.startswith(magic) and (magic != b"RIFF" or start[8:12] == b"WEBP"):
            return reader
    if not start:
        raise UnreadableInput("is empty: replace it or leave it out")
    raise UnreadableInput(f"is no picture (it begins with {start!r}): what is read is {', '.join(FORMATS)}")


def _finish(value: object, image: PIL.Image.Image, *, background: int, max_pixels: int) -> PIL.Image.Image:
    if isinstance(image, ImageFile):
        _check_size(image, max_pixels)
    image.load()
    return _upright(_opaque(image, background), image)


def _check_size(image: PIL.Image.Image, max_pixels: int) -> None:
    pixels = image.width * image.height
    if pixels > max_pixels:
        raise UnreadableInput(
            f"has {image.width} x {image.height} = {pixels / 1e6:.1f} million pixels, over the limit of "
            f"{max_pixels / 1e6:.1f} million: shrink it, or raise `max_pixels` of Image if you trust the file"
        )


def _upright(image: PIL.Image.Image, source: PIL.Image.Image) -> PIL.Image.Image:
    try:
        turn = _TURNS.get(source.getexif().get(0x0112, 1))
    except Exception:  # a damaged EXIF block says nothing about the orientation; the pixels are sound
        turn = None
    return image if turn is None else image.transpose(turn)


def _opaque(image: PIL.Image.Image, background: int) -> PIL.Image.Image:
    """Any mode as L or RGB: transparency laid on the background, 16 bits mapped linearly."""
    if image.mode.startswith("I") or image.mode == "F":
        return _from_deep(image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        paper = PIL.Image.new("RGBA", layer.size, (background, background, background, 255))
        flat = PIL.Image.alpha_composite(paper, layer).convert("RGB")
        return flat.convert("L") if image.mode in ("L", "LA", "La", "1") else flat
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _from_deep(image: PIL.Image.Image) -> PIL.Image.Image:
    # Pillow's own conversion clips: 40000 of 65535 becomes 255. Mode I is how it hands over a 16-bit PGM.
    if image.mode == "F" or (image.mode == "I" and image.format not in ("PPM", "PNG")):
        raise UnreadableInput(
            f"has 32-bit samples (mode {image.mode}) whose range is not declared: save it with 8 or 16 bits a sample"
        )
    return PIL.Image.fromarray(_to_bytes(np.asarray(image).astype(np.uint16)))


def _to_bytes(samples: np.ndarray) -> np.ndarray:
    """0..65535 -> 0..255 linearly, rounded: v / 257."""
    return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _from_array(array: np.ndarray) -> PIL.Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise UnreadableInput(
            "is no picture: give (height, width) or (height, width, channels) with 1, 3 or 4 channels"
        )
    return PIL.Image.fromarray(np.ascontiguousarray(_eight_bits(array)))


def _eight_bits(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        return _to_bytes(array)
    if not np.issubdtype(array.dtype, np.floating):
        raise UnreadableInput("has no declared range: give uint8, uint16, bool, or floats in [0, 1]")
    low, high = float(array.min()), float(array.max())
    if not (low >= 0.0 and high <= 1.0):  # NaN fails both
        raise UnreadableInput(f"has values from {low:g} to {high:g}: floats must lie in [0, 1]; divide by the maximum")
    return np.rint(array * 255.0).astype(np.uint8)

"""TIFF: what Pillow reads rightly it reads; all other depths, orders and arrangements are read here, or refused.

Pillow shows 12 bits almost black and 16-bit pictures with white zeros as negatives, lets signed
samples wrap, and takes a fourth sample for transparency that nobody declared.
"""

import io

import numpy as np
import PIL.Image
from jaxtyping import Shaped, UInt8
from PIL.TiffImagePlugin import TiffImageFile

from twofold.errors import UnreadableInput
from twofold.inputs import image_tiff_tags as tag
from twofold.inputs.image_levels import levels
from twofold.inputs.image_limits import BYTES_PER_PIXEL, check_size
from twofold.inputs.image_tiff_messages import damage_refused
from twofold.inputs.image_tiff_samples import DEFLATE, UNPACKED, checked_block, samples
from twofold.inputs.image_tiff_tags import Tags, read_tags

__all__ = ["tiff_image"]

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK, CMYK, YCBCR, LAB = 0, 1, 2, 3, 4, 5, 6, 8
_COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3, LAB: 3}
ASSOCIATED, UNASSOCIATED = 1, 2

HOLE = bytes(64)
"""More zeros than any of the codes `WITHOUT_HOLES` can have in a row."""

WITHOUT_HOLES = {4, 5, 7}
"""Group 4, LZW, JPEG: libtiff takes zeros in place of data for the end of the picture, or for samples."""


def tiff_image(file: io.BufferedIOBase, *, limit: int) -> PIL.Image.Image:
    """The first page, in one of Pillow's modes.

    Raises:
        UnreadableInput: too large, cut, or of a kind whose meaning is not declared.
    """
    tags = read_tags(file)
    width, height = tags.size
    check_size(width, height, limit)
    if not tags.bits or width * height * sum(tags.bits) > 8 * BYTES_PER_PIXEL * limit:
        raise UnreadableInput(
            f"has {len(tags.bits)} samples of {max(tags.bits, default=0)} bits per pixel: save it "
            f"as RGB"
        )
    _refuse_undeclared(tags)
    checked_block(tags)
    _refuse_holes(file, tags)
    if tags.one(tag.COMPRESSION, 1) not in UNPACKED or _is_plain(tags):
        file.seek(0)
        with damage_refused():
            image = TiffImageFile(file)  # pyright: ignore[reportArgumentType]
            image.load()
        return image
    image = _coloured(samples(file, tags), tags)
    if tag.PROFILE in tags.values:
        image.info["icc_profile"] = tags.values[tag.PROFILE][0]
    image.getexif()[0x0112] = tags.one(tag.ORIENTATION, 1)
    return image


def _photometric(tags: Tags) -> int:
    return tags.one(tag.PHOTOMETRIC, WHITE_IS_ZERO)


def _alpha(tags: Tags) -> int:
    """How the sample after the colours is declared, 0 for no transparency."""
    extra = tags.one(tag.EXTRA, 0)
    return extra if extra in (ASSOCIATED, UNASSOCIATED) else 0


def _refuse_undeclared(tags: Tags) -> None:
    kind = "floating-point" if 3 in tags.formats else "signed" if 2 in tags.formats else "unsigned"
    if max(tags.bits) > 16 or 3 in tags.formats:
        raise UnreadableInput(
            f"has {max(tags.bits)}-bit samples ({kind}) whose range is not declared: "
            "save it with 8 or 16 bits per sample"
        )
    if kind == "signed" and not (tag.LOWEST in tags.values and tag.HIGHEST in tags.values):
        raise UnreadableInput(
            f"has signed {max(tags.bits)}-bit samples, and does not declare which of them are "
            f"black and white "
            "(SMinSampleValue, SMaxSampleValue): save it with unsigned samples"
        )
    if _photometric(tags) not in _COLOURS:
        raise UnreadableInput(
            f"has colours of kind {_photometric(tags)}, which are not read: save it as RGB"
        )


def _refuse_holes(file: io.BufferedIOBase, tags: Tags) -> None:
    if tags.one(tag.COMPRESSION, 1) not in WITHOUT_HOLES:
        return
    for start, length in tags.places:
        file.seek(start)
        if HOLE in file.read(length):
            raise UnreadableInput(
                "is damaged: zeros stand in place of data; replace it or leave it out"
            )


def _is_plain(tags: Tags) -> bool:
    """Whether Pillow's own reader gives the declared values."""
    kind, colours = _photometric(tags), _COLOURS[_photometric(tags)]
    ordinary = (
        not tags.big
        and tags.formats == {1}
        and tags.one(tag.FILL_ORDER, 1) == 1
        and tags.one(tag.PLANAR, 1) == 1
    )
    if not ordinary or len(set(tags.bits)) != 1 or tag.MAX_SAMPLE in tags.values:
        return False
    if tags.one(tag.COMPRESSION, 1) in DEFLATE and kind != LAB:
        return False
    if kind in (YCBCR, LAB):
        return kind == LAB and tags.bits == (8, 8, 8)
    deep = tags.bits[0] == 16 and kind in (RGB, CMYK)  # both take the upper 8 bits
    samples_fit = len(tags.bits) == colours + len(tags.values.get(tag.EXTRA, ()))
    return (
        samples_fit
        and len(tags.bits) <= colours + 1
        and (tags.bits[0] == 8 or deep)
        and kind != WHITE_IS_ZERO
    )


def _coloured(found: Shaped[np.ndarray, "height width samples"], tags: Tags) -> PIL.Image.Image:
    """Samples as an image of mode L, RGB or CMYK, or with transparency LA or RGBA."""
    kind, colours = _photometric(tags), _COLOURS[_photometric(tags)]
    if found.shape[2] < colours:
        raise UnreadableInput(
            f"has {found.shape[2]} samples per pixel, {colours} are needed: replace it or leave "
            f"it out"
        )
    alpha = _alpha(tags)
    if kind == PALETTE:
        levels = _looked_up(found[:, :, 0], tags)
        alpha = 0
    else:
        kept = (
            found[:, :, : colours + 1]
            if alpha and found.shape[2] > colours
            else found[:, :, :colours]
        )
        levels = _scaled(kept, tags)
        if kind == WHITE_IS_ZERO:
            levels[:, :, 0] = 255 - levels[:, :, 0]
    if kind == CMYK:
        return PIL.Image.frombytes(
            "CMYK", levels.shape[1::-1], np.ascontiguousarray(levels[:, :, :4]).tobytes()
        )
    if kind == YCBCR:
        return _from_luminance(levels, tags)
    if kind == LAB:
        raise UnreadableInput(f"has L*a*b* colours of {tags.bits[0]} bits: save it as RGB")
    return _image(levels, associated=alpha == ASSOCIATED)


def _image(
    levels: UInt8[np.ndarray, "height width samples"], *, associated: bool
) -> PIL.Image.Image:
    mode = {1: "L", 2: "La" if associated else "LA", 3: "RGB", 4: "RGBa" if associated else "RGBA"}[
        levels.shape[2]
    ]
    image = PIL.Image.frombytes(mode, levels.shape[1::-1], np.ascontiguousarray(levels).tobytes())
    return image.convert(mode.upper()) if associated and mode.endswith("a") else image


def _scaled(
    found: Shaped[np.ndarray, "height width samples"], tags: Tags
) -> UInt8[np.ndarray, "..."]:
    """Samples as 0..255, linear between the declared black and white, rounded."""
    low, high = 0, (1 << tags.bits[0]) - 1
    if tags.formats == {2}:
        low, high = int(tags.values[tag.LOWEST][0]), int(tags.values[tag.HIGHEST][0])
        if high <= low:
            raise UnreadableInput(
                f"declares black as {low} and white as {high}: save it with unsigned samples"
            )
    most = tags.one(tag.MAX_SAMPLE, high)
    if (
        tags.formats == {1}
        and tags.bits[0] == 16
        and most < high
        and most & (most + 1) == 0
        and most >= 255
    ):
        high = most  # 10 or 12 bits in samples of 16
    if tags.bits[0] == 16 and tags.formats == {1} and _photometric(tags) in (RGB, CMYK):
        return (found >> 8).astype(np.uint8)  # as Pillow does
    if (low, high) == (0, 255):
        return found.astype(np.uint8)
    return levels(found, low, high)


def _looked_up(
    found: Shaped[np.ndarray, "height width"], tags: Tags
) -> UInt8[np.ndarray, "height width 3"]:
    table = np.array(tags.values.get(tag.COLOUR_MAP, ()), np.int64)
    if len(table) < 3 << tags.bits[0]:
        raise UnreadableInput("has a palette that is too short: replace it or leave it out")
    colours = table[: 3 << tags.bits[0]].reshape(3, -1).T
    return (colours >> 8 if colours.max() > 255 else colours).astype(np.uint8)[found]


def _from_luminance(levels: UInt8[np.ndarray, "height width 3"], tags: Tags) -> PIL.Image.Image:
    if tags.values.get(tag.SUBSAMPLING, (2, 2)) != (1, 1):
        raise UnreadableInput(
            "has YCbCr colours at a lower resolution without JPEG: save it as RGB"
        )
    return PIL.Image.frombytes(
        "YCbCr", levels.shape[1::-1], np.ascontiguousarray(levels[:, :, :3]).tobytes()
    )

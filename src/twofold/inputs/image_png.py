"""PNG: its checksums are compared, its texts are passed over, and every kind of transparency is applied.

Pillow skips the checksums of pixel data, refuses a picture for the size of a comment, and compares
the transparent grey of 1, 2 and 4 bits with samples that it has scaled to 8.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import PIL.Image
from jaxtyping import Bool
from PIL.PngImagePlugin import PngImageFile

from twofold.errors import UnreadableInput
from twofold.inputs.image_levels import levels
from twofold.inputs.image_limits import check_size

__all__ = ["png_image"]

MOST_CHUNKS = 200_000
"""Writers put 8 kB or more into a chunk; at 1 kB this is 200 MB."""

LARGEST_PROFILE = 4 * 2**20
"""An ICC profile of a printing process has up to 3 MB."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEPT = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
_READ = {b"tRNS", b"iCCP", b"eXIf"}
GREY, COLOUR, PALETTE = 0, 2, 3


@dataclass(kw_only=True)
class _Chunks:
    """What a file holds that says what its pixels are."""

    pixels: list[bytes] = field(default_factory=list)
    others: dict[bytes, bytes] = field(default_factory=dict)


def png_image(data: bytes, *, limit: int) -> PIL.Image.Image:
    """The picture in Pillow's modes, transparency in a band of its own; the first of an animation.

    Raises:
        UnreadableInput: too large, cut, or a checksum does not fit.
    """
    width, height = (
        struct.unpack_from(">II", data, 16) if data[12:16] == b"IHDR" and len(data) > 24 else (0, 0)
    )
    if width and height:
        check_size(width, height, limit)
    found = _chunks(data)
    depth, colour = found.others[b"IHDR"][8:10]
    transparent = found.others.get(b"tRNS")
    if transparent is not None and colour == PALETTE:
        found.pixels = _with_palette_alpha(found.pixels, transparent)
    image = PngImageFile(io.BytesIO(_SIGNATURE + b"".join(found.pixels)))
    image.load()
    profile = _profile(found.others.get(b"iCCP", b""))
    if transparent is not None and colour in (GREY, COLOUR):
        image = _masked(image, _transparent(image, depth, colour, transparent))
    if b"eXIf" in found.others:
        image.info["exif"] = b"Exif\0\0" + found.others[b"eXIf"]
    if profile:
        image.info["icc_profile"] = profile
    return image


def _chunks(data: bytes) -> _Chunks:
    found = _Chunks()
    for kind, start, end in _walk(data):
        if kind in _KEPT or kind in _READ:
            if zlib.crc32(memoryview(data)[start - 4 : end]) != int.from_bytes(data[end : end + 4]):
                raise UnreadableInput(
                    f"is damaged: the checksum of its {kind.decode()} chunk does not fit; replace "
                    f"it or leave it out"
                )
            if kind in _KEPT:
                found.pixels.append(data[start - 8 : end + 4])
            if kind != b"IDAT":
                found.others.setdefault(kind, data[start:end])
    if len(found.others.get(b"IHDR", b"")) != 13 or b"IEND" not in found.others:
        raise UnreadableInput("is cut: it has no end; replace it or leave it out")
    return found


def _walk(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end of the content) of each chunk up to the last."""
    place = len(_SIGNATURE)
    for _ in range(MOST_CHUNKS):
        kind = data[place + 4 : place + 8]
        start = place + 8
        end = start + int.from_bytes(data[place : place + 4])
        if end + 4 > len(data):
            raise UnreadableInput("is cut: it has no end; replace it or leave it out")
        yield kind, start, end
        if kind == b"IEND":
            return
        place = end + 4
    raise UnreadableInput(f"has more than {MOST_CHUNKS:,} chunks: save it anew")


def _with_palette_alpha(pixels: list[bytes], transparent: bytes) -> list[bytes]:
    """The chunks with the palette's transparency, which Pillow applies itself, before the pixels."""
    content = b"tRNS" + transparent
    chunk = struct.pack(">I", len(transparent)) + content + struct.pack(">I", zlib.crc32(content))
    first = next(place for place, each in enumerate(pixels) if each[4:8] in (b"IDAT", b"IEND"))
    return [*pixels[:first], chunk, *pixels[first:]]


def _transparent(
    image: PIL.Image.Image, depth: int, colour: int, chunk: bytes
) -> Bool[np.ndarray, "height width"]:
    """Where the samples have the one transparent value. Of colours with 16 bits Pillow keeps the upper 8."""
    samples = np.asarray(image)
    if colour == GREY:
        value = int.from_bytes(chunk[:2]) & ((1 << depth) - 1)
        if depth == 1:
            return np.asarray(image.convert("L")) == 255 * value
        return samples == (value if depth == 16 else value * 255 // ((1 << depth) - 1))
    values = [int.from_bytes(chunk[k : k + 2]) >> (8 if depth == 16 else 0) for k in (0, 2, 4)]
    return (samples == np.array(values, np.uint8)).all(axis=2)


def _masked(
    image: PIL.Image.Image, transparent: Bool[np.ndarray, "height width"]
) -> PIL.Image.Image:
    alpha = PIL.Image.fromarray(np.where(transparent, np.uint8(0), np.uint8(255)))
    if image.mode.startswith("I"):
        image = PIL.Image.fromarray(levels(np.asarray(image), 0, 65535))
    grey = image.mode in ("1", "L")
    masked = image.convert("LA" if grey else "RGBA")
    masked.putalpha(alpha)
    return masked


def _profile(chunk: bytes) -> bytes:
    """The ICC profile of an iCCP chunk (name, 0, method 0, compressed profile); nothing where it is broken or huge."""
    name = chunk.find(b"\0")
    if name < 0:
        return b""
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(chunk[name + 2 :], LARGEST_PROFILE)
    except zlib.error:
        return b""
    return profile if unpacker.eof else b""

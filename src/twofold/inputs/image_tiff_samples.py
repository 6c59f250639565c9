"""The samples of a TIFF as an array, whatever their depth, order and arrangement; libtiff only unpacks bytes."""

import io
import math
import struct
import zlib

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL.TiffImagePlugin import TiffImageFile

from twofold.errors import UnreadableInput
from twofold.inputs import image_tiff_tags as tag
from twofold.inputs.image_tiff_messages import damage_refused
from twofold.inputs.image_tiff_tags import Tags

__all__ = ["DEFLATE", "UNPACKED", "checked_block", "samples"]

UNPACKED = {1, 5, 8, 32773, 32946, 34925, 50000}
"""Compressions whose result is plain bytes: none, LZW, deflate, PackBits, LZMA, Zstandard."""

DEFLATE = {8, 32946}

PADDING = 4
"""Tiles may have this many times the pixels of the picture, or a million: 16 x 16 is the smallest tile."""

BITS_TOGETHER = 2**24
"""Samples of odd depths are spread to one byte a bit, in blocks of rows of this size."""

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def samples(file: io.BufferedIOBase, tags: Tags) -> Shaped[np.ndarray, "height width samples"]:
    """All samples, unsigned or signed as they are declared, not yet scaled.

    Raises:
        UnreadableInput: samples are missing or of a kind that is not read.
    """
    width, height = tags.size
    bits, count = tags.bits[0], len(tags.bits)
    if (
        set(tags.bits) != {bits}
        or not 1 <= bits <= 16
        or tags.formats - {1, 2}
        or len(tags.formats) != 1
    ):
        raise UnreadableInput(
            f"has {max(tags.bits)}-bit samples of a kind that is not read: save it with 8 or 16 "
            f"bits per sample"
        )
    planes = count if tags.one(tag.PLANAR, 1) == 2 else 1
    across, down = (
        math.ceil(side / block)
        for side, block in zip((width, height), checked_block(tags), strict=True)
    )
    if len(tags.places) < across * down * planes:
        raise UnreadableInput(
            "is cut: some of its strips or tiles are missing; replace it or leave it out"
        )
    parts = []
    for plane in range(planes):
        places = tags.places[plane * across * down : (plane + 1) * across * down]
        parts.append(_plane(file, tags, places, count // planes))
    found = np.concatenate(parts, axis=2) if planes > 1 else parts[0]
    if tags.formats == {2}:
        found = found.astype(np.int32)
        found -= (found >> bits - 1) << bits
    return found


def checked_block(tags: Tags) -> tuple[int, int]:
    """Width and height of a tile or strip; raises UnreadableInput where tiles are out of proportion to the picture."""
    width, height = tags.block
    if width < 1 or height < 1:
        raise UnreadableInput("has tiles without a size: it is damaged; replace it or leave it out")
    padded = math.ceil(tags.size[0] / width) * width * math.ceil(tags.size[1] / height) * height
    if tags.tiled and padded > max(PADDING * tags.size[0] * tags.size[1], 2**20):
        raise UnreadableInput(
            f"has tiles of {width} x {height} for {tags.size[0]} x {tags.size[1]} pixels: save it "
            f"anew"
        )
    return width, height


def _plane(
    file: io.BufferedIOBase, tags: Tags, places: tuple[tuple[int, int], ...], count: int
) -> Shaped[np.ndarray, "height width count"]:
    """One plane of `count` samples per pixel."""
    width, height = tags.size
    block_width, block_height = tags.block
    down, across = math.ceil(height / block_height), math.ceil(width / block_width)
    rows = down * across * block_height if tags.tiled else height
    line = (block_width * count * tags.bits[0] + 7) // 8
    parts = []
    for start, length in places:
        file.seek(start)
        part = file.read(length)
        parts.append(part.translate(_REVERSED) if tags.one(tag.FILL_ORDER, 1) == 2 else part)
    unpacked = _bytes(parts, tags, (rows, line), block_height)
    found = _whole_samples(unpacked, tags, block_width * count).reshape(rows, block_width, count)
    if tags.one(tag.PREDICTOR, 1) == 2 and tags.one(tag.COMPRESSION, 1) != 1:
        if tags.bits[0] not in (8, 16):
            raise UnreadableInput(
                f"has a predictor for samples of {tags.bits[0]} bits: save it without"
            )
        found = np.cumsum(found, axis=1, dtype=found.dtype)
    if not tags.tiled:
        return found
    tiles = found.reshape(down, across, block_height, block_width, count).transpose(0, 2, 1, 3, 4)
    return tiles.reshape(down * block_height, across * block_width, count)[:height, :width]


def _bytes(
    parts: list[bytes], tags: Tags, shape: tuple[int, int], rows: int
) -> UInt8[np.ndarray, "rows line"]:
    """The strips or tiles of a plane unpacked, one below the other."""
    compression = tags.one(tag.COMPRESSION, 1)
    whole = rows * shape[1]
    if compression == 1:
        data = b"".join(part[:whole] for part in parts)
        if len(data) < shape[0] * shape[1] or any(len(part) < whole for part in parts[:-1]):
            raise UnreadableInput("is cut: samples are missing; replace it or leave it out")
        return np.frombuffer(data, np.uint8, shape[0] * shape[1]).reshape(shape)
    if compression in DEFLATE:
        wanted = [
            min(whole, shape[0] * shape[1] - start)
            for start in range(0, shape[0] * shape[1], whole)
        ]
        data = b"".join(
            _inflated(part, size, whole) for part, size in zip(parts, wanted, strict=True)
        )
        return np.frombuffer(data, np.uint8).reshape(shape)
    # libtiff unpacks any of these; what it is given is a grey picture of bytes, a strip for each
    # strip or tile
    grey = io.BytesIO(_grey_tiff(parts, shape, rows, compression))
    with damage_refused(), TiffImageFile(grey) as image:
        image.load()
        return np.asarray(image)


def _inflated(part: bytes, size: int, whole: int) -> bytes:
    """`size` bytes of a deflated strip or tile, whose checksum libtiff does not compare.

    Args:
        whole: bytes of a full strip; some writers fill the last one up.
    """
    most = min(whole, PADDING * size)
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(part, most + 1)
    except zlib.error as error:
        raise UnreadableInput(f"is damaged ({error}): replace it or leave it out") from None
    if len(data) < size:
        raise UnreadableInput("is cut: samples are missing; replace it or leave it out")
    if not unpacker.eof or len(data) > most:
        raise UnreadableInput(
            "is damaged: a strip does not end where it should; replace it or leave it out"
        )
    return data[:size]


def _grey_tiff(parts: list[bytes], shape: tuple[int, int], rows: int, compression: int) -> bytes:
    count = len(parts)
    lists = 8 + 2 + 12 * 9 + 4  # header, number of entries, entries, no next directory
    start = lists + 8 * count
    offsets = start + np.cumsum([0, *map(len, parts)])[:-1]
    lengths = [len(part) for part in parts]
    entries = [
        (tag.WIDTH, 4, 1, shape[1]),
        (tag.LENGTH, 4, 1, shape[0]),
        (tag.BITS, 3, 1, 8),
        (tag.COMPRESSION, 3, 1, compression),
        (tag.PHOTOMETRIC, 3, 1, 1),
        (tag.STRIP_OFFSETS, 4, count, lists if count > 1 else int(offsets[0])),
        (tag.SAMPLES, 3, 1, 1),
        (tag.ROWS, 4, 1, rows),
        (tag.STRIP_BYTES, 4, count, lists + 4 * count if count > 1 else lengths[0]),
    ]
    head = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    head += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    return head + struct.pack(f"<{2 * count}I", *offsets.tolist(), *lengths) + b"".join(parts)


def _whole_samples(
    unpacked: UInt8[np.ndarray, "rows line"], tags: Tags, across: int
) -> Shaped[np.ndarray, "rows across"]:
    """Samples of 1 to 16 bits as uint8 or uint16; all but those of 16 bits are packed from the highest bit on."""
    bits = tags.bits[0]
    if bits == 8:
        return unpacked
    if bits == 16:
        return unpacked.view(f"{tags.order}u2").astype(np.uint16)
    found = np.empty((len(unpacked), across), np.uint8 if bits < 8 else np.uint16)
    weights = (1 << np.arange(bits)[::-1]).astype(found.dtype)
    step = max(1, BITS_TOGETHER // max(1, 8 * unpacked.shape[1]))
    for row in range(0, len(unpacked), step):
        spread = np.unpackbits(unpacked[row : row + step], axis=1)[:, : across * bits]
        found[row : row + step] = np.einsum("rab,b->ra", spread.reshape(-1, across, bits), weights)
    return found

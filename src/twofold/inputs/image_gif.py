"""GIF: the first frame, whose data must be whole and end where the picture does.

The format has no checksum. Pillow stops where the picture is complete, whatever is left of the data
by then.
"""

import io

import PIL.Image
from PIL.GifImagePlugin import GifImageFile

from twofold.errors import UnreadableInput
from twofold.inputs.image_limits import check_size

__all__ = ["gif_image"]

SPARE = 4
"""Bytes that may follow the last pixel: the code of the end, with a code that clears the table before it."""

ONE_BY_ONE = 512
"""Bytes handed on one by one, to see which of them completes the picture: more than the largest block."""

LARGEST_BLOCK = 255
EXTENSION, FRAME, INTERLACED = 0x21, 0x2C, 0x40


def gif_image(data: bytes, *, limit: int) -> PIL.Image.Image:
    """The first frame, in Pillow's modes.

    Raises:
        UnreadableInput: too large, cut, or damaged so that its data does not end where the picture
            does.
    """
    check_size(*_sizes(data, 6), limit)
    place = _first_frame(data)
    (left, top), size, flags = _sizes(data, place + 1), _sizes(data, place + 5), data[place + 9]
    check_size(left + size[0], top + size[1], limit)
    codes, _ = _blocks(data, place + 11 + _table(flags))
    image = GifImageFile(io.BytesIO(data))
    image.load()
    bits = data[place + 10 + _table(flags)]
    if _left(codes, size, bits, interlaced=bool(flags & INTERLACED)) > SPARE:
        raise UnreadableInput(
            "is damaged: its data goes on after the picture is complete; replace it or leave it out"
        )
    return image


def _first_frame(data: bytes) -> int:
    """Where the description of the first frame begins."""
    place = 13 + _table(data[10])
    while place < len(data) and data[place] == EXTENSION:
        place = _blocks(data, place + 2)[1]
    if place + 10 >= len(data) or data[place] != FRAME:
        raise UnreadableInput("holds no picture: replace it or leave it out")
    return place


def _sizes(data: bytes, place: int) -> tuple[int, int]:
    first, second = (int.from_bytes(data[place + k : place + k + 2], "little") for k in (0, 2))
    return first, second


def _table(flags: int) -> int:
    """Bytes of a colour table."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _blocks(data: bytes, place: int) -> tuple[bytes, int]:
    """The content of the blocks that begin here, and where they end."""
    parts = []
    while place < len(data) and data[place]:
        parts.append(data[place + 1 : place + 1 + data[place]])
        place += 1 + data[place]
    if place >= len(data):
        raise UnreadableInput(
            "is cut: its data ends before its own length; replace it or leave it out"
        )
    return b"".join(parts), place + 1


def _left(codes: bytes, size: tuple[int, int], bits: int, *, interlaced: bool) -> int:
    """How many bytes of the data are left when the picture is complete.

    Pillow's decoder takes whole blocks and does not tell where in a block it was done: the last
    blocks have one byte.
    """
    image = PIL.Image.new("P", size)
    decoder = PIL.Image._getdecoder("P", "gif", (bits, interlaced, -1))
    decoder.setimage(image.im, (0, 0, *size))
    cut = max(0, len(codes) - ONE_BY_ONE)
    starts = [*range(0, cut, LARGEST_BLOCK), *range(cut, len(codes))]
    try:
        for start, end in zip(starts, [*starts[1:], len(codes)], strict=True):
            block = codes[start : min(end, start + LARGEST_BLOCK)]
            if decoder.decode(bytes((len(block),)) + block)[0] < 0:
                return len(codes) - end
    finally:
        decoder.cleanup()
    return 0

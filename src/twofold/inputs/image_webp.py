"""WebP: sizes and lengths are compared with the file first, and the data must end where the picture does.

The format has no checksum. Wrong data mostly ends too early or too late, and libwebp notices only
the first.
"""

import io
from collections.abc import Iterator

import PIL.Image
from PIL.WebPImagePlugin import WebPImageFile

from twofold.errors import UnreadableInput
from twofold.inputs.image_limits import check_size

__all__ = ["webp_image"]

SPARE = 32
"""Bytes at the end of the data without which no whole picture can be decoded: libwebp pads with up to 4. Of 939 damaged
lossy pictures that it decoded, 813 did not need their last 19 bytes."""

HOLE = bytes(1024)
"""Holes of a broken copy have 4,096 bytes or more. Compressed data has no such row of zeros."""

FRAME_HEADER = 16
"""Bytes of an ANMF chunk before the chunks of its frame."""

_CUT = "is cut: its data ends before its own length; replace it or leave it out"


def webp_image(data: bytes, *, limit: int) -> PIL.Image.Image:
    """The picture, or the first of an animation.

    Raises:
        UnreadableInput: too large, cut, or damaged so that its data does not end where the picture
            does.
    """
    kind, start, stop = _first_picture(data, limit)
    image = WebPImageFile(io.BytesIO(data))
    check_size(*image.size, limit)
    image.load()
    if data.find(HOLE, start, stop) >= 0:
        raise UnreadableInput(
            "is damaged: zeros stand in place of data; replace it or leave it out"
        )
    if stop - start > SPARE and _decodes(_still(kind, data[start : stop - SPARE])):
        raise UnreadableInput(
            "is damaged: its data goes on after the picture is complete; replace it or leave it out"
        )
    return image


def _first_picture(data: bytes, limit: int) -> tuple[bytes, int, int]:
    """Kind, start and end of the first picture's data; all sizes and lengths are checked."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise UnreadableInput(_CUT)
    found = list(_chunks(data, 12, end))
    for kind, start, stop in found:
        if kind == b"VP8X":
            check_size(*_sizes(data, start + 4), limit)
        elif kind == b"ANMF":
            check_size(*_sizes(data, start + 6), limit)
            found += _chunks(data, start + FRAME_HEADER, stop)
        elif kind == b"VP8 ":
            width, height = (
                int.from_bytes(data[start + k : start + k + 2], "little") & 0x3FFF for k in (6, 8)
            )
            check_size(width, height, limit)
            if 10 + (int.from_bytes(data[start : start + 3], "little") >> 5) > stop - start:
                raise UnreadableInput(_CUT)
        elif kind == b"VP8L":
            bits = int.from_bytes(data[start + 1 : start + 5], "little")
            check_size(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), limit)
    pictures = [each for each in found if each[0] in (b"VP8 ", b"VP8L")]
    if not pictures:
        raise UnreadableInput("holds no picture: replace it or leave it out")
    return pictures[0]


def _sizes(data: bytes, place: int) -> tuple[int, int]:
    width, height = (1 + int.from_bytes(data[place + k : place + k + 3], "little") for k in (0, 3))
    return width, height


def _chunks(data: bytes, place: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    while place + 8 <= end:
        start, size = place + 8, int.from_bytes(data[place + 4 : place + 8], "little")
        if start + size > end:
            raise UnreadableInput(_CUT)
        yield data[place : place + 4], start, start + size
        place = start + size + size % 2


def _still(kind: bytes, content: bytes) -> bytes:
    """A WebP file of one picture."""
    body = b"WEBP" + kind + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def _decodes(data: bytes) -> bool:
    try:
        WebPImageFile(io.BytesIO(data)).load()
    except Exception:  # there are as many kinds as ways to be incomplete
        return False
    return True

"""BMP: lengths are compared with the file first; run lengths are decoded here, where Pillow fills and cuts them.

Pillow's decoder of run lengths takes a second for 2 MB and for some small files of 25 million
pixels, too.
"""

import io

import numpy as np
import PIL.Image
from jaxtyping import UInt8
from PIL.BmpImagePlugin import BmpImageFile

from twofold.errors import UnreadableInput
from twofold.inputs.image_limits import check_size

__all__ = ["bmp_image"]

LARGEST_RUNS = 4 * 2**20
"""Bytes of a file of run lengths: some two million runs, about a second of Python."""

SPARE = 3
"""Bytes by which a file may be longer than it says: some writers pad to four."""

CORE_HEADER = 12
"""Bytes of OS/2's header, whose palette has three bytes for each colour."""

RLE8, RLE4 = 1, 2
UNCODED = (0, 3, 6)
"""No coding; or bit masks, without and with transparency."""

END_OF_ROW, END_OF_PICTURE, DELTA = 0, 1, 2

_CUT = "is cut: its data ends before its own length; replace it or leave it out"
_NO_END = "is cut: its run lengths have no end; replace it or leave it out"


def bmp_image(data: bytes, *, limit: int) -> PIL.Image.Image:
    """The picture in Pillow's modes; as RGB if it is coded in run lengths.

    Raises:
        UnreadableInput: too large, or shorter or longer than its header says.
    """
    size, offset, header = (int.from_bytes(data[k : k + 4], "little") for k in (2, 10, 14))
    if header == CORE_HEADER:
        width, height, bits = (int.from_bytes(data[k : k + 2], "little") for k in (18, 20, 24))
        coding = 0
    else:
        width, height = (int.from_bytes(data[k : k + 4], "little", signed=True) for k in (18, 22))
        bits, coding = int.from_bytes(data[28:30], "little"), int.from_bytes(data[30:34], "little")
    check_size(width, abs(height), limit)
    if size > len(data):
        raise UnreadableInput(_CUT)
    if coding in (RLE8, RLE4):
        return _run_length_image(data, width, height, four=coding == RLE4)
    needed = offset + (width * bits + 31) // 32 * 4 * abs(height)
    if coding in UNCODED and needed > len(data):
        raise UnreadableInput(_CUT)
    if coding in UNCODED and needed <= size <= needed + SPARE and len(data) > size + SPARE:
        raise UnreadableInput(
            f"is damaged: it has {len(data):,} bytes, and {size:,} by its header and its pixels; "
            f"replace it"
        )
    image = BmpImageFile(io.BytesIO(data))
    image.load()
    return image


def _run_length_image(data: bytes, width: int, height: int, *, four: bool) -> PIL.Image.Image:
    """Rows are stored from the bottom up; what no run covers has the first colour."""
    if len(data) > LARGEST_RUNS:
        raise UnreadableInput(f"has {len(data) / 1e6:,.0f} MB of run lengths: save it as PNG")
    if height < 0:
        raise UnreadableInput(
            "has run lengths from the top down, which the format does not allow: save it as PNG"
        )
    start, header, colours = (int.from_bytes(data[k : k + 4], "little") for k in (10, 14, 46))
    most = 16 if four else 256
    palette = _palette(data, 14 + header, min(colours or most, most))
    rows = np.frombuffer(_pixels(data, start, width, height, four=four), np.uint8).reshape(
        height, width
    )
    return PIL.Image.fromarray(palette[rows[::-1]])


def _palette(data: bytes, place: int, colours: int) -> UInt8[np.ndarray, "256 3"]:
    """Colours as RGB; an index that has no colour is black."""
    if place + 4 * colours > len(data):
        raise UnreadableInput(_CUT)
    palette = np.zeros((256, 3), np.uint8)
    palette[:colours] = np.frombuffer(data, np.uint8, 4 * colours, place).reshape(colours, 4)[
        :, 2::-1
    ]
    return palette


def _pixels(data: bytes, place: int, width: int, height: int, *, four: bool) -> bytearray:
    """One byte for each pixel. Where two share a byte, a run may be one pixel longer than its row."""
    pixels, x, y = bytearray(width * height), 0, 0
    while place + 1 < len(data):
        count, value = data[place], data[place + 1]
        place += 2
        if count:
            run = bytes((value >> 4, value & 15)) * 128 if four else bytes((value,)) * count
        elif value > DELTA:
            count, length = value, (value + 1) // 2 if four else value
            run = data[place : place + length]
            run = (
                bytes(nibble for byte in run for nibble in (byte >> 4, byte & 15)) if four else run
            )
            place += length + length % 2  # padded to 16 bits
        elif value == DELTA and place + 1 < len(data):
            x, y, place = x + data[place], y + data[place + 1], place + 2
            continue
        elif value == END_OF_ROW:
            x, y = 0, y + 1
            continue
        elif value == END_OF_PICTURE:
            return pixels
        else:
            break
        if y >= height or x + count > width + four:
            raise UnreadableInput(
                "is damaged: its run lengths do not fit its rows; replace it or leave it out"
            )
        end = min(x + count, width)
        if len(run) < end - x:
            break
        pixels[y * width + x : y * width + end] = run[: end - x]
        x = end
    raise UnreadableInput(_NO_END)

"""WebP, BMP and GIF: their lengths and sizes are compared with the file before anything is decoded."""

from collections.abc import Iterator

from twofold.errors import UnreadableInput
from twofold.inputs.image_limits import check_size

__all__ = ["check_bmp", "check_gif", "check_webp"]

LARGEST_RUN_LENGTH = 8 * 2**20
"""Bytes of a run-length coded BMP, which Pillow decodes in Python: some three seconds."""

_CUT = "is cut: its data ends before its own length; replace it or leave it out"


def check_webp(data: bytes, limit: int) -> None:
    """Raise UnreadableInput where a chunk is longer than the file, or the canvas or a frame too large."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise UnreadableInput(_CUT)
    pictures = 0
    for kind, start, stop in _riff(data, 12, end):
        if kind == b"VP8X":
            width, height = (1 + int.from_bytes(data[start + k : start + k + 3], "little") for k in (4, 7))
            check_size(width, height, limit)
        elif kind == b"ANMF":
            width, height = (1 + int.from_bytes(data[start + k : start + k + 3], "little") for k in (6, 9))
            check_size(width, height, limit)
            pictures += 1
        elif kind == b"VP8 ":
            width, height = (int.from_bytes(data[start + k : start + k + 2], "little") & 0x3FFF for k in (6, 8))
            check_size(width, height, limit)
            first = int.from_bytes(data[start : start + 3], "little") >> 5
            if 10 + first > stop - start:
                raise UnreadableInput(_CUT)
            pictures += 1
        elif kind == b"VP8L":
            bits = int.from_bytes(data[start + 1 : start + 5], "little")
            check_size(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), limit)
            pictures += 1
    if not pictures:
        raise UnreadableInput("holds no picture: replace it or leave it out")


def _riff(data: bytes, place: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    while place + 8 <= end:
        start, size = place + 8, int.from_bytes(data[place + 4 : place + 8], "little")
        if start + size > end:
            raise UnreadableInput(_CUT)
        yield data[place : place + 4], start, start + size
        place = start + size + size % 2


def check_bmp(data: bytes, limit: int) -> None:
    """Raise UnreadableInput where the file is shorter than its header says, or than its pixels need."""
    size, offset, header = (int.from_bytes(data[k : k + 4], "little") for k in (2, 10, 14))
    if header == 12:
        width, height, bits = (int.from_bytes(data[k : k + 2], "little") for k in (18, 20, 24))
        coding = 0
    else:
        width, height = (int.from_bytes(data[k : k + 4], "little", signed=True) for k in (18, 22))
        bits, coding = int.from_bytes(data[28:30], "little"), int.from_bytes(data[30:34], "little")
    check_size(width, abs(height), limit)
    if size > len(data):
        raise UnreadableInput(_CUT)
    if coding in (0, 3, 6) and offset + (width * bits + 31) // 32 * 4 * abs(height) > len(data):
        raise UnreadableInput(_CUT)
    if coding in (1, 2):
        _check_run_lengths(data)


def _check_run_lengths(data: bytes) -> None:
    if len(data) > LARGEST_RUN_LENGTH:
        raise UnreadableInput(f"has {len(data) / 1e6:,.0f} MB of run lengths: save it as PNG")
    if b"\0\1" not in data[-8:]:
        raise UnreadableInput("is cut: its run lengths have no end; replace it or leave it out")


def check_gif(data: bytes, limit: int) -> None:
    """Raise UnreadableInput where the first frame's data has no end, or the canvas or the frame is too large."""
    width, height = (int.from_bytes(data[k : k + 2], "little") for k in (6, 8))
    check_size(width, height, limit)
    place = 13 + _table(data[10])
    while place < len(data):
        if data[place] == 0x2C:
            left, top, width, height = (int.from_bytes(data[place + k : place + k + 2], "little") for k in (1, 3, 5, 7))
            check_size(left + width, top + height, limit)
            _after_blocks(data, place + 11 + _table(data[place + 9]))
            return
        if data[place] != 0x21:
            break
        place = _after_blocks(data, place + 2)
    raise UnreadableInput("holds no picture: replace it or leave it out")


def _table(flags: int) -> int:
    """Bytes of a colour table."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(data: bytes, place: int) -> int:
    while place < len(data) and data[place]:
        place += 1 + data[place]
    if place >= len(data):
        raise UnreadableInput(_CUT)
    return place + 1

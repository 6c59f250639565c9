"""The first directory of a TIFF or BigTIFF (TIFF 6.0, section 2), read with bounds."""

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from twofold.errors import UnreadableInput

__all__ = ["Tags", "read_tags"]

WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS, STRIP_BYTES = 273, 274, 277, 278, 279
MAX_SAMPLE, PLANAR, PREDICTOR, COLOUR_MAP = 281, 284, 317, 320
TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_BYTES = 322, 323, 324, 325
EXTRA, FORMAT, LOWEST, HIGHEST, SUBSAMPLING, PROFILE = 338, 339, 340, 341, 530, 34675
PIXEL_SCALE, TIE_POINTS, AFFINE, GEO_KEYS = 33550, 33922, 34264, 34735  # GeoTIFF 1.1, section 7

_USED = {
    name: value
    for name, value in list(globals().items())
    if name.isupper() and isinstance(value, int)
}
_TYPES = {
    1: "B",
    2: "c",
    3: "H",
    4: "I",
    6: "b",
    7: "B",
    8: "h",
    9: "i",
    11: "f",
    12: "d",
    16: "Q",
    17: "q",
}

MOST_ENTRIES = 4096
MOST_VALUES = 300_000
"""Strips of one row, in four planes of 65,535 rows, have as many places; a colour map has 196,608 colours."""

LARGEST_PROFILE = 4 * 2**20
"""Bytes of an ICC profile."""


@dataclass(frozen=True, kw_only=True)
class Tags:
    """What a directory says of its picture; `places` of its strips or tiles are (offset, bytes)."""

    order: str
    big: bool
    values: Mapping[int, tuple]
    places: tuple[tuple[int, int], ...]

    def one(self, tag: int, otherwise: int) -> int:
        """The first value of a tag."""
        found = self.values.get(tag)
        return int(found[0]) if found else otherwise

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as stored."""
        return self.one(WIDTH, 0), self.one(LENGTH, 0)

    @property
    def bits(self) -> tuple[int, ...]:
        """Of each sample of a pixel."""
        found = tuple(int(each) for each in self.values.get(BITS, (1,)))
        samples = self.one(SAMPLES, len(found))
        return found * samples if len(found) == 1 and samples < 256 else found[:samples]

    @property
    def formats(self) -> set[int]:
        """1 unsigned, 2 signed, 3 floating point."""
        return {1 if int(each) == 4 else int(each) for each in self.values.get(FORMAT, (1,))}

    @property
    def tiled(self) -> bool:
        return TILE_OFFSETS in self.values

    @property
    def block(self) -> tuple[int, int]:
        """Width and height of a tile, or of a strip."""
        width, height = self.size
        if self.tiled:
            return self.one(TILE_WIDTH, 0), self.one(TILE_LENGTH, 0)
        return width, max(1, min(self.one(ROWS, height), height))


def read_tags(file: io.BufferedIOBase, *, most: int = MOST_VALUES) -> Tags:
    """The tags that matter for the pixels, and those that say where on Earth they lie.

    Args:
        most: values of one tag; a scene has more tiles than a picture.

    Raises:
        UnreadableInput: the file is cut or damaged.
    """
    start = file.read(16)
    order = "<" if start[:2] == b"II" else ">"
    big = start[2:4] in (b"+\0", b"\0+")
    offset_code = "Q" if big else "I"
    (place,) = struct.unpack_from(order + offset_code, start, 8 if big else 4)
    count_code = "Q" if big else "H"
    (count,) = struct.unpack(order + count_code, _read(file, place, struct.calcsize(count_code)))
    if count > MOST_ENTRIES:
        raise UnreadableInput(
            f"has a directory of {count:,} entries: it is damaged; replace it or leave it out"
        )
    form = struct.Struct(f"{order}HH{offset_code}{8 if big else 4}s")
    table = _read(file, place + struct.calcsize(count_code), count * form.size)
    values: dict[int, tuple] = {}
    for tag, kind, number, inline in form.iter_unpack(table):
        if tag in _USED.values() and kind in _TYPES and tag not in values:
            _check_count(tag, number, most)
            values[tag] = _values(file, order + offset_code, (tag, kind, number), inline)
    return Tags(order=order, big=big, values=values, places=_places(file, values))


def _check_count(tag: int, number: int, most: int) -> None:
    if number > (LARGEST_PROFILE if tag == PROFILE else most):
        raise UnreadableInput(
            f"has {number:,} values of tag {tag}: it is damaged; replace it or leave it out"
        )


def _values(
    file: io.BufferedIOBase, codes: str, entry: tuple[int, int, int], inline: bytes
) -> tuple:
    tag, kind, number = entry
    code = _TYPES[kind]
    size = number * struct.calcsize("=" + code)
    data = (
        inline[:size] if size <= len(inline) else _read(file, struct.unpack(codes, inline)[0], size)
    )
    if tag == PROFILE:
        return (data,)
    return struct.unpack(f"{codes[0]}{number}{code}", data)


def _read(file: io.BufferedIOBase, place: int, size: int) -> bytes:
    file.seek(place)
    data = file.read(size)
    if len(data) < size:
        raise UnreadableInput(
            "is cut: its directory or its data lies beyond its end; replace it or leave it out"
        )
    return data


def _places(file: io.BufferedIOBase, values: Mapping[int, tuple]) -> tuple[tuple[int, int], ...]:
    end = file.seek(0, 2)
    offsets = values.get(TILE_OFFSETS) or values.get(STRIP_OFFSETS) or ()
    lengths = values.get(TILE_BYTES) if TILE_OFFSETS in values else values.get(STRIP_BYTES)
    if not lengths and len(offsets) == 1:  # old writers leave it out for a single strip
        lengths = (end - offsets[0],)
    if not offsets or not lengths or len(offsets) != len(lengths):
        raise UnreadableInput(
            "does not say where its pixels are: it is damaged; replace it or leave it out"
        )
    if any(start + length > end for start, length in zip(offsets, lengths, strict=True)):
        raise UnreadableInput("is cut: its data lies beyond its end; replace it or leave it out")
    return tuple(zip(offsets, lengths, strict=True))

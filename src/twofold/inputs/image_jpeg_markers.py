"""What the markers of a JPEG say (ITU-T T.81): its frame, its scans, and whether they make a whole picture."""

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from twofold.errors import UnreadableInput

__all__ = [
    "BASELINE",
    "PROGRESSIVE",
    "Frame",
    "Scan",
    "Structure",
    "check_restarts",
    "check_whole",
    "structure",
]

BASELINE, PROGRESSIVE = (0xC0, 0xC1), 0xC2
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_APPLICATION = {0xE1, 0xE2}
_NO_MARKER = {0x00, 0xFF}
_ALONE = {0x01, *range(0xD0, 0xD9)}
_NEXT_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")

COEFFICIENTS = 64
WINDOW = 2**20
"""Bytes that are searched for a marker at once."""


MOST_SCANS = 32
"""Scans x pixels may be this many times the limit. Encoders write 10 to 17; 500 scans of 16 million took 25 s."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A start of frame. `sampling`: component -> (horizontal, vertical) factors."""

    kind: int
    width: int
    height: int
    sampling: dict[int, tuple[int, int]]


@dataclass(frozen=True, kw_only=True)
class Scan:
    """Coded data from `start` to `end`.

    Attributes:
        components: whose coefficients it holds, `band[0]` to `band[1]` in zigzag order.
        precision: the lowest bit that it gives (the point transform).
        interval: units between two restart markers, 0 for none.
        zeros: whether a long run of zero bits may be a flat area.
    """

    start: int
    end: int
    components: bytes
    band: tuple[int, int]
    precision: int
    interval: int
    zeros: bool


@dataclass(kw_only=True)
class Structure:
    """`end` is the place after the marker that ends the picture; what follows is not part of it.

    `exif` begins with its own name, as Pillow wants it; `profile` holds the numbered parts of an
    ICC profile.
    """

    frame: Frame
    scans: list[Scan] = field(default_factory=list)
    end: int = 0
    exif: bytes = b""
    profile: list[bytes] = field(default_factory=list)


def structure(data: bytes, limit: int) -> Structure:
    """Read the markers of a file, from the first to the end of the picture.

    Raises:
        UnreadableInput: the file is cut, or has so many scans that decoding them would take very
            long.
    """
    found = Structure(frame=Frame(kind=0, width=0, height=0, sampling={}))
    interval = 0
    tables: dict[int, int] = {}
    for marker, start, end, stop in _segments(data):
        if marker in _FRAMES:
            found.frame = _frame(marker, data[start:end])
        elif marker == 0xDD:
            interval = int.from_bytes(data[start : start + 2])
        elif marker == 0xC4:
            tables |= _first_symbols(data[start:end])
        elif marker == 0xDA:
            found.scans.append(_scan(data[start:end], (end, stop), interval, tables))
            _check_work(found, limit)
        elif marker in _APPLICATION:
            _keep_metadata(found, data[start:end])
        elif marker == 0xD9:
            found.end = start
    if not found.scans or not found.end or not found.frame.sampling:
        raise UnreadableInput("is cut: its data has no end; replace it or leave it out")
    return found


def _keep_metadata(found: Structure, segment: bytes) -> None:
    if segment.startswith(b"Exif\0\0") and not found.exif:
        found.exif = segment
    elif segment.startswith(b"ICC_PROFILE\0"):
        found.profile.append(segment[12:])


def _segments(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """(marker, start and end of its parameters, end of the coded data that follows)."""
    place = 2
    while 0 <= place < len(data) - 1:
        if data[place] != 0xFF or data[place + 1] in _NO_MARKER:
            found = _NEXT_MARKER.search(data, place)
            if found is None:
                return
            place = found.end() - 2
        marker = data[place + 1]
        place += 2
        if marker == 0xD9:
            yield marker, place, place, place
            return
        if marker in _ALONE:
            continue
        length = int.from_bytes(data[place : place + 2])
        if length < 2 or place + length > len(data):
            raise UnreadableInput("is cut within its header: replace it or leave it out")
        stop = _end_of_data(data, place + length) if marker == 0xDA else place + length
        yield marker, place + 2, place + length, stop
        place = stop


def _end_of_data(data: bytes, start: int) -> int:
    """The marker after a scan's coded data; -1 if there is none. Restart markers and escaped bytes belong to it.

    In windows and by arrays: one of 100 coded bytes or so is 0xFF, which makes any other search
    slow.
    """
    codes = np.frombuffer(data, np.uint8)
    for place in range(start, len(data) - 1, WINDOW):
        part = codes[place : place + WINDOW + 1]
        marks = np.flatnonzero(part[:-1] == 0xFF)
        after = part[marks + 1]
        ends = marks[(after != 0) & (after != 0xFF) & (after & 0xF8 != 0xD0)]
        if len(ends):
            end = place + int(ends[0])
            while end > start and data[end - 1] == 0xFF:
                end -= 1
            return end
    return -1


def _frame(kind: int, segment: bytes) -> Frame:
    height, width = struct.unpack_from(">HH", segment, 1)
    parts = range(6, len(segment) - 2, 3)
    sampling = {
        segment[k]: (max(1, segment[k + 1] >> 4), max(1, segment[k + 1] & 15)) for k in parts
    }
    return Frame(kind=kind, width=width, height=height, sampling=sampling)


def _scan(header: bytes, coded: tuple[int, int], interval: int, tables: dict[int, int]) -> Scan:
    if coded[1] < 0 or len(header) < 6 or len(header) < 4 + 2 * header[0]:
        raise UnreadableInput("is cut: its data has no end; replace it or leave it out")
    first, last, bits = header[1 + 2 * header[0] : 4 + 2 * header[0]]
    only_means, refines = last == 0, bits >> 4
    used = [0x10 | selector & 15 for selector in header[2 : 2 + 2 * header[0] : 2]]
    # A code of zeros that stands for a coefficient of -1, over and over, is not a picture of
    # anything.
    flat = all(tables.get(table, 0) & 15 == 0 for table in used)
    return Scan(
        start=coded[0],
        end=coded[1],
        components=header[1 : 1 + 2 * header[0] : 2],
        band=(first, min(last, COEFFICIENTS - 1)),
        precision=bits & 15,
        interval=interval,
        zeros=bool(only_means or refines or flat),
    )


def _first_symbols(tables: bytes) -> dict[int, int]:
    """Class and number of each Huffman table -> the symbol whose code is all zeros (B.2.4.2)."""
    found, place = {}, 0
    while place + 17 < len(tables):
        found[tables[place]] = tables[place + 17]
        place += 17 + sum(tables[place + 1 : place + 17])
    return found


def _check_work(found: Structure, limit: int) -> None:
    frame = found.frame
    if len(found.scans) * frame.width * frame.height > MOST_SCANS * limit:
        raise UnreadableInput(
            f"has {len(found.scans)} scans or more of {frame.width} x {frame.height} pixels, "
            f"which takes very long to "
            "decode: save it again as a baseline JPEG"
        )


def check_whole(frame: Frame, scans: list[Scan]) -> None:
    """Raise UnreadableInput if the scans leave coefficients out: the file was cut between two of them, and closed."""
    missing = dict.fromkeys(frame.sampling, (1 << COEFFICIENTS) - 1)
    for scan in scans:
        if scan.precision == 0:
            given = (1 << scan.band[1] + 1) - (1 << scan.band[0])
            for component in scan.components:
                missing[component] = missing.get(component, 0) & ~given
    if any(missing.values()):
        raise UnreadableInput("is cut: some of its scans are missing; replace it or leave it out")


def check_restarts(data: bytes, frame: Frame, scan: Scan) -> None:
    """Raise UnreadableInput where restart markers are missing or out of order: libjpeg skips to the next it finds."""
    if not scan.interval:
        return
    found = b"".join(_RESTART.findall(data, scan.start, scan.end))
    expected = max(0, math.ceil(_units(frame, scan) / scan.interval) - 1)
    if len(found) != expected or any(
        each != 0xD0 + number % 8 for number, each in enumerate(found)
    ):
        raise UnreadableInput(
            f"is damaged: its restart markers are not the {expected} that its size needs; replace "
            f"it or leave it out"
        )


def _units(frame: Frame, scan: Scan) -> int:
    """Minimum coded units of a scan (A.2)."""
    across = max(each for each, _ in frame.sampling.values())
    down = max(each for _, each in frame.sampling.values())
    if len(scan.components) > 1:
        return math.ceil(frame.width / (8 * across)) * math.ceil(frame.height / (8 * down))
    own = frame.sampling.get(scan.components[0], (1, 1))
    blocks = math.ceil(math.ceil(frame.width * own[0] / across) / 8)
    return blocks * math.ceil(math.ceil(frame.height * own[1] / down) / 8)

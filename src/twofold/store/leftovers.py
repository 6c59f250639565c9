"""Leftovers of deletions: byte strings of deleted rows, looked for in every file of an index.

secure_delete overwrites a deleted row where it stands. What it leaves are copies: when SQLite
splits or joins pages, it moves rows, and the place a row has moved away from is only marked as
free. So a page is read as SQLite lays it out (sqlite.org/fileformat2.html, 1.6): what is found
between its cells is a leftover, what is found in a cell belongs to a living row that shares those
bytes.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from twofold.files import remove_abandoned, spares
from twofold.store.sqlite.connection import TRUTH
from twofold.store.sqlite.rows import Row

__all__ = ["Search", "look", "pieces_of", "sweep"]

SHORTEST = 6  # bytes: a shorter string occurs in a large file by chance
LONGEST_NAME = 256  # bytes; of a longer one its end
WINDOW, STRIDE = 8, 16  # of a vector, a piece of 8 bytes every 16: no rest of 24 bytes escapes
MOST_PIECES = 20_000  # pieces; of more rows at once fewer pieces each
CHUNK = 1 << 25  # bytes read at a time
DESCRIPTORS = Path("/dev/fd")  # of this process, where there is such a folder
TREES = (2, 5, 10, 13)  # first byte of a page that holds cells
HEADER = 100  # bytes of the file before the first page's own


@dataclass(frozen=True, kw_only=True)
class Search:
    """What was looked for in the files of an index, and what was found; see `results.Erasure`."""

    pieces: int = 0
    files: int = 0
    searched: int = 0
    leftovers: int = 0
    swept: int = 0
    left: int = 0


def pieces_of(rows: Sequence[Row], others: Sequence[bytes] = ()) -> list[bytes]:
    """Byte strings by which remains of these rows are recognised: whole names, and pieces all along a vector.

    Args:
        others: more that must be gone: keys, say.
    """
    names = {name.encode() for row in rows for name in (row.id, row.label)}
    found = {name[-LONGEST_NAME:] for name in names if len(name) >= SHORTEST}
    found.update(record for row in rows for record in short_records(row))
    long = [row.vector for row in rows] + list(others)
    stride = max(STRIDE, STRIDE * (sum(map(len, long)) // STRIDE // MOST_PIECES))
    for each in long:
        windows = (
            each[place : place + WINDOW] for place in range(0, len(each) - WINDOW + 1, stride)
        )
        # zeros and ones occur everywhere
        found.update(window for window in windows if len(set(window)) > 3)
    return sorted(found)


def short_records(row: Row) -> Iterator[bytes]:
    """A short id or label with its row number, as SQLite's index has it: long enough to be unique."""
    for name in (row.id.encode(), row.label.encode()):
        if len(name) < SHORTEST:
            size = (row.number.bit_length() + 8) // 8  # with a sign
            kind, size = (size, size) if size <= 4 else (5, 6) if size <= 6 else (6, 8)
            record = bytes([3, 13 + 2 * len(name), kind]) + name + row.number.to_bytes(size)
            if len(record) >= SHORTEST:
                yield record
            # and in the table itself
            yield row.id.encode() + row.label.encode() + row.added.encode()


def look(folder: Path, pieces: Sequence[bytes], *, rewritten: bool = False) -> Search:
    """Read every file under a folder and count the places outside living rows where a piece occurs.

    Copies beside the folder that could not be deleted are read, too.

    Args:
        rewritten: the database has just been rewritten, so pages without cells are continuations of
            living rows.
    """
    files = [
        path
        for place in (folder, *spares(folder))
        for path in sorted(place.rglob("*"))
        if path.is_file()
    ]
    left = searched = 0
    for path in files:
        with opened(path) as handle:
            found = list(places(handle, pieces))
            searched += os.fstat(handle).st_size
            left += (
                unclaimed(handle, found, rewritten=rewritten)
                if path == folder / TRUTH
                else len(found)
            )
    return Search(pieces=len(pieces), files=len(files), searched=searched, left=left)


def sweep(folder: Path) -> int:
    """Delete the copies of an index that killed calls have left beside it; returns how many.

    A repair writes a whole index beside the old one before it replaces that. A repair in progress
    is left alone.
    """
    return sum(remove_abandoned(path) for path in spares(folder))


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor to read a file with: SQLite's own, if the file is open in this process.

    To open the file once more and close it would drop SQLite's locks on it
    (sqlite.org/howtocorrupt.html, 2.2).
    """
    known = known_descriptor(path)
    if known is not None:
        yield known
        return
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        yield handle
    finally:
        os.close(handle)


def known_descriptor(path: Path) -> int | None:
    """The descriptor with which this process has a file open; None: it is not open, or the system does not tell."""
    wanted = path.stat()
    for entry in DESCRIPTORS.iterdir() if DESCRIPTORS.is_dir() else ():
        with contextlib.suppress(OSError):
            found = os.fstat(int(entry.name))
            if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                return int(entry.name)
    return None


def places(handle: int, pieces: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Where pieces occur in a file: place and length."""
    groups = [Group.of(length, pieces) for length in sorted({len(piece) for piece in pieces})]
    first = np.zeros(1 << 16, np.uint32)
    for number, group in enumerate(groups):
        first[group.starts] |= np.uint32(1 << number % 32)
    origin, overlap = 0, max([len(piece) for piece in pieces], default=1) - 1
    while content := pread(handle, CHUNK + overlap, origin):
        near, marks = suspects(content, first)
        for number, group in enumerate(groups):
            for place in group.found(
                content, near[(marks >> np.uint32(number % 32)) & np.uint32(1) == 1]
            ):
                if place < CHUNK:
                    yield origin + place, group.length
        origin += CHUNK


@dataclass(frozen=True)
class Group:
    """Pieces of one length.

    Attributes:
        starts: their first two bytes. keys: of their words, ascending.
    """

    length: int
    pieces: frozenset[bytes]
    starts: np.ndarray
    keys: np.ndarray

    @classmethod
    def of(cls, length: int, pieces: Sequence[bytes]) -> "Group":
        """Those of the pieces that have this length."""
        own = frozenset(piece for piece in pieces if len(piece) == length)
        rows = np.array(
            [np.frombuffer(piece.ljust(WINDOW, b"\0"), np.uint8) for piece in sorted(own)]
        )
        starts = rows[:, 0].astype(np.int64) + 256 * rows[:, 1].astype(np.int64)
        keys = [words_at(row, np.zeros(1, np.int64), length)[0] for row in rows]
        return cls(length, own, starts, np.sort(np.array(keys, np.uint64)))

    def found(self, content: bytes, near: np.ndarray) -> Iterator[int]:
        """The places among these at which a piece occurs."""
        near = near[near <= len(content) - self.length]
        if len(near):
            words = words_at(np.frombuffer(content + bytes(WINDOW), np.uint8), near, self.length)
            order = np.minimum(np.searchsorted(self.keys, words), len(self.keys) - 1)
            for place in near[self.keys[order] == words].tolist():
                if content[place : place + self.length] in self.pieces:
                    yield place


FACTORS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)


def words_at(content: np.ndarray, near: np.ndarray, length: int) -> np.ndarray:
    """One number for the bytes at each place, from eight at the start, in the middle and at the end."""
    words = np.ndarray((len(content) - WINDOW + 1,), "<u8", content, strides=(1,))
    if length < WINDOW:
        return words[near] & np.uint64((1 << 8 * length) - 1)
    offsets = (0, (length - WINDOW) // 2, length - WINDOW)
    parts = [words[near + offset] * factor for offset, factor in zip(offsets, FACTORS, strict=True)]
    return parts[0] ^ parts[1] ^ parts[2]


def suspects(content: bytes, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places whose two bytes begin a piece, and the groups of such pieces as bits: rules out nearly all at once."""
    padded = np.frombuffer(content + b"\0", np.uint8)
    any_of_them, near, marks = first > 0, [], []
    for odd in (0, 1):
        pairs = padded[odd : odd + (len(padded) - odd) // 2 * 2].view("<u2")
        places = np.flatnonzero(any_of_them[pairs])
        near.append(2 * places + odd)
        marks.append(first[pairs[places]])
    return np.concatenate(near), np.concatenate(marks)


def pread(handle: int, size: int, place: int) -> bytes:
    """Bytes of a file, from a place on; fewer at its end."""
    if hasattr(os, "pread"):
        return os.pread(handle, size, place)
    os.lseek(handle, place, os.SEEK_SET)
    return os.read(handle, size)


def unclaimed(handle: int, found: Iterable[tuple[int, int]], *, rewritten: bool) -> int:
    """Number of places in a database file that are not inside the cell of a living row."""
    size = int.from_bytes(pread(handle, 2, 16))
    size = 65536 if size == 1 else size
    pages: dict[int, list[tuple[int, int]]] = {}
    count = 0
    for place, length in found:
        number, start = divmod(place, size)
        if number not in pages:
            page = pread(handle, size, number * size)
            pages[number] = free(page, HEADER if number == 0 else 0, rewritten=rewritten)
        count += any(start < end and begin < start + length for begin, end in pages[number])
    return count


def free(page: bytes, header: int, *, rewritten: bool) -> list[tuple[int, int]]:
    """The places of a page between its cells; all of a page that holds none, unless it is known to be in use."""
    kind = page[header]
    if kind not in TREES:
        return [] if rewritten else [(0, len(page))]
    numbers = 12 if kind in (2, 5) else 8
    cells, begin = (
        int.from_bytes(page[header + 3 : header + 5]),
        int.from_bytes(page[header + 5 : header + 7]),
    )
    gaps = [(header + numbers + 2 * cells, begin or 65536)]
    block = int.from_bytes(page[header + 1 : header + 3])
    while 0 < block <= len(page) - 4 and len(gaps) < len(page) // 4:
        gaps.append((block, block + int.from_bytes(page[block + 2 : block + 4])))
        block = int.from_bytes(page[block : block + 2])
    return gaps

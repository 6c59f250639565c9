"""What a deletion may have left behind: byte strings of rows that are gone, looked for in every file of an index.

secure_delete overwrites a deleted row where it stands. What it leaves are copies: when SQLite splits or joins pages, it
moves rows, and the place a row has moved away from is only marked as free. So a page is read as SQLite lays it out
(sqlite.org/fileformat2.html, 1.6): what is found between its cells is a leftover, what is found in a cell belongs to a
living row that shares those bytes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from twofold.store.connection import TRUTH
from twofold.store.rows import Row

__all__ = ["Search", "look", "pieces_of"]

SHORTEST = 6  # bytes: a shorter string stands in a large file by chance
LONGEST_NAME = 256  # bytes; of a longer one its end
WINDOW, STRIDE = 8, 16  # of a vector, a piece of 8 bytes every 16: no rest of 24 bytes escapes
MOST = 20_000  # pieces; of more rows at once fewer pieces each
CHUNK = 1 << 25  # bytes read at a time
TREES = (2, 5, 10, 13)  # first byte of a page that holds cells
HEADER = 100  # bytes of the file before the first page's own


@dataclass(frozen=True, kw_only=True)
class Search:
    """What was looked for in the files of an index, and what was found; see `results.Erasure`."""

    pieces: int = 0
    files: int = 0
    searched: int = 0
    leftovers: int = 0
    left: int = 0


def pieces_of(rows: Sequence[Row], others: Sequence[bytes] = ()) -> list[bytes]:
    """Byte strings by which something of these rows would be recognised: names whole, vectors wherever a part stands.

    Args:
        others: more that must be gone: keys, say.
    """
    names = {name.encode() for row in rows for name in (row.id, row.label)}
    found = {name[-LONGEST_NAME:] for name in names if len(name) >= SHORTEST}
    found.update(record for row in rows for record in short_records(row))
    long = [row.vector for row in rows] + list(others)
    stride = max(STRIDE, STRIDE * (sum(map(len, long)) // STRIDE // MOST))
    for each in long:
        windows = (each[place : place + WINDOW] for place in range(0, len(each) - WINDOW + 1, stride))
        found.update(window for window in windows if len(set(window)) > 3)  # zeros and ones stand everywhere
    return sorted(found)


def short_records(row: Row) -> Iterator[bytes]:
    """How a short id or label stands in SQLite's index, with the number of its row: long enough to be told apart."""
    for name in (row.id.encode(), row.label.encode()):
        if len(name) < SHORTEST:
            size = (row.number.bit_length() + 8) // 8  # with a sign
            kind, size = (size, size) if size <= 4 else (5, 6) if size <= 6 else (6, 8)
            record = bytes([3, 13 + 2 * len(name), kind]) + name + row.number.to_bytes(size)
            if len(record) >= SHORTEST:
                yield record
            yield row.id.encode() + row.label.encode() + row.added.encode()  # and in the table itself


def look(folder: Path, pieces: Sequence[bytes], *, rewritten: bool = False) -> Search:
    """Read every file under a folder, and count the places outside living rows in which a piece stands.

    Args:
        rewritten: the database has just been written anew, so that pages without cells hold ends of living rows.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    left = searched = 0
    for path in files:
        found = list(places(path, pieces))
        searched += path.stat().st_size
        left += unclaimed(path, found, rewritten=rewritten) if path == folder / TRUTH else len(found)
    return Search(pieces=len(pieces), files=len(files), searched=searched, left=left)


def places(path: Path, pieces: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Where in a file pieces stand: place and length."""
    starts = sorted({piece[:SHORTEST] for piece in pieces})
    longest = max(map(len, pieces), default=0)
    by_start: dict[bytes, list[bytes]] = {start: [] for start in starts}
    for piece in pieces:
        by_start[piece[:SHORTEST]].append(piece)
    keys = np.array(sorted(int.from_bytes(start, "little") for start in starts), np.uint64)
    first = np.zeros(1 << 16, bool)
    first[(keys & np.uint64(0xFFFF)).astype(np.int64)] = True
    with path.open("rb") as stream:
        origin, content = 0, stream.read(CHUNK)
        while content:
            for place in suspects(content, first, keys):
                for piece in by_start.get(content[place : place + SHORTEST], ()):
                    if content.startswith(piece, place):
                        yield origin + place, len(piece)
            more = stream.read(CHUNK)
            kept = content[-(longest - 1) :] if more and longest > 1 else b""
            origin, content = origin + len(content) - len(kept), kept + more if more else b""


def suspects(content: bytes, first: np.ndarray, keys: np.ndarray) -> list[int]:
    """Places at which the six bytes of a key stand: a table of two bytes rules out nearly all at once."""
    count = len(content) - SHORTEST + 1
    if count <= 0 or not len(keys):
        return []
    padded = np.frombuffer(content + bytes(8), np.uint8)
    near = []
    for odd in (0, 1):
        pairs = padded[odd : odd + (len(padded) - odd) // 2 * 2].view("<u2")
        near.append(2 * np.flatnonzero(first[pairs]) + odd)
    candidates = np.concatenate(near)
    candidates = candidates[candidates < count]
    words = np.ndarray((len(padded) - 7,), "<u8", padded, strides=(1,))[candidates] & np.uint64((1 << 48) - 1)
    order = np.minimum(np.searchsorted(keys, words), len(keys) - 1)
    return np.sort(candidates[keys[order] == words]).tolist()


def unclaimed(path: Path, found: Iterable[tuple[int, int]], *, rewritten: bool) -> int:
    """How many of the places in a database file are not inside the cell of a living row."""
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(18)[16:18]) or 1
        size = 65536 if size == 1 else size
        pages: dict[int, list[tuple[int, int]]] = {}
        count = 0
        for place, length in found:
            number, start = divmod(place, size)
            if number not in pages:
                stream.seek(number * size)
                pages[number] = free(stream.read(size), HEADER if number == 0 else 0, rewritten=rewritten)
            count += any(start < end and begin < start + length for begin, end in pages[number])
        return count


def free(page: bytes, header: int, *, rewritten: bool) -> list[tuple[int, int]]:
    """The places of a page between its cells; all of a page that holds none, unless it is known to be in use."""
    kind = page[header]
    if kind not in TREES:
        return [] if rewritten else [(0, len(page))]
    numbers = 12 if kind in (2, 5) else 8
    cells, begin = int.from_bytes(page[header + 3 : header + 5]), int.from_bytes(page[header + 5 : header + 7])
    gaps = [(header + numbers + 2 * cells, begin or 65536)]
    block = int.from_bytes(page[header + 1 : header + 3])
    while 0 < block <= len(page) - 4 and len(gaps) < len(page) // 4:
        gaps.append((block, block + int.from_bytes(page[block + 2 : block + 4])))
        block = int.from_bytes(page[block : block + 2])
    return gaps

"""Power cuts, without pulling a plug: what SQLite writes is recorded at its own border to the system, and every state
that a disk may legally be in after a cut is made from it.

A virtual file system around the default one (sqlite.org/vfs.html) notes writes, truncations,
deletions and syncs of the very SQLite that Python uses. After a cut a file holds what was synced;
of what was written since, each sector of 512 bytes may have arrived or not, in any order, and so
may a truncation, a new file or a deletion.
"""

import _sqlite3
import contextlib
import ctypes
import sqlite3  # noqa: F401  loads the library whose functions are found below
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Disk", "Event", "recorded", "states"]

SECTOR = 512
NAMES = ("truth.sqlite", "truth.sqlite-wal")

Pointer = ctypes.c_void_p


class Vfs(ctypes.Structure):
    """sqlite3_vfs, versions 1 to 3."""


Vfs._fields_ = [
    ("version", ctypes.c_int),
    ("file_size", ctypes.c_int),
    ("longest", ctypes.c_int),
    ("next", Pointer),
    ("name", ctypes.c_char_p),
    ("data", Pointer),
    ("open", Pointer),
    ("delete", Pointer),
    ("rest", Pointer * 16),
]

METHODS = ("close", "read", "write", "truncate", "sync")


class Methods(ctypes.Structure):
    """sqlite3_io_methods, versions 1 to 3."""

    _fields_ = (
        ("version", ctypes.c_int),
        *[(name, Pointer) for name in METHODS],
        ("rest", Pointer * 13),
    )


# names are handed on as pointers: SQLite keeps them
OPEN = ctypes.CFUNCTYPE(ctypes.c_int, Pointer, Pointer, Pointer, ctypes.c_int, Pointer)
DELETE = ctypes.CFUNCTYPE(ctypes.c_int, Pointer, Pointer, ctypes.c_int)
WRITE = ctypes.CFUNCTYPE(ctypes.c_int, Pointer, Pointer, ctypes.c_int, ctypes.c_int64)
TRUNCATE = ctypes.CFUNCTYPE(ctypes.c_int, Pointer, ctypes.c_int64)
SYNC = ctypes.CFUNCTYPE(ctypes.c_int, Pointer, ctypes.c_int)


@dataclass(frozen=True)
class Event:
    """One thing that SQLite did to a file, or a note of the caller's: write, truncate, sync, delete, note."""

    kind: str
    name: str
    place: int = 0
    content: bytes = b""


class Recorder:
    """The functions that stand in for the default ones; it must live as long as the file system is registered."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.events: list[Event] = []
        self.names: dict[int, str] = {}
        self.methods: dict[int, Methods] = {}
        library.sqlite3_vfs_find.restype = Pointer
        library.sqlite3_vfs_find.argtypes = [ctypes.c_char_p]
        self.default = library.sqlite3_vfs_find(None)
        self.vfs = Vfs.from_buffer_copy(ctypes.cast(self.default, ctypes.POINTER(Vfs)).contents)
        self.real_open, self.real_delete = OPEN(self.vfs.open), DELETE(self.vfs.delete)
        self.vfs.name = b"recorder"
        self.kept: list[Any] = [OPEN(self.open), DELETE(self.delete)]
        self.vfs.open, self.vfs.delete = (ctypes.cast(each, Pointer).value for each in self.kept)

    def open(self, vfs: int, name: int | None, file: int, flags: int, out: int) -> int:  # noqa: PLR0917
        """Open a file, and put our functions into it."""
        code = self.real_open(self.default, name, file, flags, out)
        place = ctypes.cast(file, ctypes.POINTER(Pointer))
        if code == 0 and name and place.contents.value:
            self.names[file] = base(name)
            place.contents.value = ctypes.addressof(self.patched(place.contents.value))
        return code

    def patched(self, real: int) -> Methods:
        """A table of functions with ours for writing, truncating and syncing."""
        if real not in self.methods:
            table = Methods.from_buffer_copy(ctypes.cast(real, ctypes.POINTER(Methods)).contents)
            write, truncate, sync = WRITE(table.write), TRUNCATE(table.truncate), SYNC(table.sync)

            def noted_write(file: int, content: int, size: int, offset: int) -> int:
                self.note("write", file, offset, ctypes.string_at(content, size))
                return write(file, content, size, offset)

            def noted_truncate(file: int, size: int) -> int:
                self.note("truncate", file, size)
                return truncate(file, size)

            def noted_sync(file: int, flags: int) -> int:
                code = sync(file, flags)
                self.note("sync", file)
                return code

            ours = WRITE(noted_write), TRUNCATE(noted_truncate), SYNC(noted_sync)
            self.kept += [*ours, write, truncate, sync]
            table.write, table.truncate, table.sync = (
                ctypes.cast(each, Pointer).value for each in ours
            )
            self.methods[real] = table
        return self.methods[real]

    def note(self, kind: str, file: int, place: int = 0, content: bytes = b"") -> None:
        """Keep an event of a file that matters."""
        if self.names.get(file) in NAMES:
            self.events.append(Event(kind, self.names[file], place, content))

    def delete(self, vfs: int, name: int, synced: int) -> int:
        """Delete a file."""
        if base(name) in NAMES:
            self.events.append(Event("delete", base(name)))
        return self.real_delete(self.default, name, synced)


def base(name: int) -> str:
    """The last part of a path of SQLite's."""
    return Path(ctypes.string_at(name).decode()).name


@contextlib.contextmanager
def recorded() -> Iterator[list[Event]]:
    """Record what SQLite does to the files of an index inside the block; the caller may put notes between."""
    library = ctypes.CDLL(_sqlite3.__file__)
    library.sqlite3_vfs_register.argtypes = [Pointer, ctypes.c_int]
    library.sqlite3_vfs_unregister.argtypes = [Pointer]
    recorder = Recorder(library)
    library.sqlite3_vfs_register(ctypes.addressof(recorder.vfs), 1)
    try:
        yield recorder.events
    finally:
        library.sqlite3_vfs_unregister(ctypes.addressof(recorder.vfs))
        library.sqlite3_vfs_register(recorder.default, 1)


@dataclass
class Disk:
    """What is on the disk for sure, and what was done since to each file.

    Attributes:
        durable: content of each file that exists for sure. pending: events since its last sync.
    """

    durable: dict[str, bytes]
    pending: dict[str, list[Event]] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Let an event happen."""
        if event.kind == "sync":
            content = self.durable.get(event.name)
            for each in self.pending.pop(event.name, []):
                content = done(content, each)
            self.durable[event.name] = content or b""
        else:
            self.pending.setdefault(event.name, []).append(event)

    def cut(self, random: np.random.Generator) -> dict[str, bytes]:
        """One legal state after a cut at this moment."""
        found = {}
        for name in NAMES:
            content = self.durable.get(name)
            for event in legal(self.pending.get(name, []), random):
                content = done(content, event)
            if content is not None:
                found[name] = content
        return found


def done(content: bytes | None, event: Event) -> bytes | None:
    """A file after an event; None: there is no such file."""
    if event.kind == "delete":
        return None
    content = content or b""
    if event.kind == "truncate":
        return content[: event.place]
    if event.place > len(content):
        content += bytes(event.place - len(content))
    return content[: event.place] + event.content + content[event.place + len(event.content) :]


def legal(events: list[Event], random: np.random.Generator) -> list[Event]:
    """Of events that nobody waited for: none, all, the first few, or any, in any order, torn into sectors."""
    way = int(random.integers(5))
    if way == 0 or not events:
        return []
    if way == 1:
        return events
    first = events[: int(random.integers(len(events) + 1))]
    if way == 2:
        return first
    sectors = [piece for event in (first if way == 3 else events) for piece in torn(event)]
    kept = [
        piece
        for piece, keep in zip(sectors, random.random(len(sectors)) < random.random(), strict=True)
        if keep
    ]
    if way == 3:
        return kept
    return [kept[place] for place in random.permutation(len(kept))]


def torn(event: Event) -> Iterator[Event]:
    """A write as its sectors."""
    if event.kind != "write":
        yield event
        return
    start = event.place
    while start < event.place + len(event.content):
        end = min((start // SECTOR + 1) * SECTOR, event.place + len(event.content))
        yield Event(
            "write", event.name, start, event.content[start - event.place : end - event.place]
        )
        start = end


def states(
    durable: dict[str, bytes], events: list[Event], count: int, *, seed: int
) -> Iterator[tuple[int, dict[str, bytes]]]:
    """Legal states after a cut: number of events before it, and the files; every event is followed by some."""
    random = np.random.default_rng(seed)
    places = [place for place, event in enumerate(events) if event.kind != "note"]
    share = np.bincount(random.permutation(count) % len(places), minlength=len(places))
    times = dict(zip(places, share.tolist(), strict=True))
    disk = Disk(dict(durable))
    for place, event in enumerate(events):
        if event.kind != "note":
            disk.take(event)
            for _ in range(times[place]):
                yield place + 1, disk.cut(random)

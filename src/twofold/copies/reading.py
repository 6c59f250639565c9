"""Reading a collection: each file is read once, and a few kilobytes of it are kept."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from jaxtyping import Bool, Float, Int, Shaped, UInt8

from twofold.bundle import Bundle
from twofold.copies.alignment import SIDE
from twofold.copies.hashing import grey_plane
from twofold.data.hashes import content_hash
from twofold.data.items import Items
from twofold.errors import UnreadableInput
from twofold.inputs import Input
from twofold.inputs.image import Image
from twofold.inputs.image_decoding import decode, header_size
from twofold.plurals import counted

__all__ = ["Collection", "Seen", "collect", "distinct", "pages_of", "picture_seen"]

READ_AT_ONCE = 64
"""Things read at once, and embedded together."""

LOOKED = 128
"""Pixels per side at which a picture is read for candidates; the judge reads it again if it has
to."""

MAX_PIXELS = 100_000_000
"""Pixels of the largest picture that is decoded: as in `dedup`."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What is known of one thing.

    Attributes:
        content: SHA-256 of its bytes as they are. pixels: width x height, 0 where it is not a
            picture.
        size, time, stamp: bytes; last change in seconds, and in nanoseconds.
        frames: pages or frames. plane: grey; None where it is not a picture.
        box: left, top, right, bottom of what is inside bars and borders, as shares; inner: its
            plane, None without one.
        light: mean of the plane. sharpness: its mean second difference, to its spread.
    """

    content: str
    pixels: int
    size: int
    time: float
    stamp: int
    frames: int = 1
    plane: UInt8[np.ndarray, "64 64"] | None = None
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    inner: UInt8[np.ndarray, "64 64"] | None = None
    light: float = 0.0
    sharpness: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Collection:
    """What is known of each thing that could be read.

    Attributes:
        ids, values: its name, and what it was read from. seen: what is known of it.
        vectors: float16 (a copy's cosine changes by 1e-4), or None without a bundle.
        unreadable: name -> reason, of the others.
    """

    ids: tuple[str, ...]
    values: tuple[Any, ...]
    seen: tuple[Seen, ...]
    vectors: Shaped[np.ndarray, "n dim"] | None = None
    unreadable: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def contents(self) -> tuple[str, ...]:
        """SHA-256 of each thing's bytes."""
        return tuple(each.content for each in self.seen)

    @property
    def pixels(self) -> Int[np.ndarray, "n"]:
        """Width x height of each."""
        return np.array([each.pixels for each in self.seen], np.int64)

    @property
    def size(self) -> Int[np.ndarray, "n"]:
        """Bytes of each."""
        return np.array([each.size for each in self.seen], np.int64)

    @property
    def time(self) -> Float[np.ndarray, "n"]:
        """Seconds of each one's last change."""
        return np.array([each.time for each in self.seen], np.float64)

    @property
    def pictures(self) -> Bool[np.ndarray, "n"]:
        """Which are pictures."""
        return np.array([each.plane is not None for each in self.seen], bool)


def distinct(items: Items) -> tuple[Items, tuple[str, ...]]:
    """The items without links and second names of the same file; and notes on what was left out."""
    kept: list[int] = []
    links: list[str] = []
    twice: list[str] = []
    files: dict[tuple[int, int], str] = {}
    folders: dict[Path, bool] = {}
    for place, (name, value) in enumerate(zip(items.ids, items.values, strict=True)):
        if isinstance(value, Path):
            if _through_a_link(value, name, folders):
                links.append(name)
                continue
            stat = value.stat() if value.exists() else None
            if stat is not None and files.setdefault((stat.st_dev, stat.st_ino), name) != name:
                twice.append(f"{name} = {files[stat.st_dev, stat.st_ino]}")
                continue
        kept.append(place)
    notes = []
    if links:
        notes.append(f"{counted(len(links), 'link')} left out: {_few(links)}")
    if twice:
        notes.append(
            f"{counted(len(twice), 'further name')} of the same file left out: {_few(twice)}"
        )
    return (items if len(kept) == len(items) else items.take(kept)), tuple(notes)


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _through_a_link(value: Path, name: str, folders: dict[Path, bool]) -> bool:
    """Whether the file, or a folder of its name below the data, is a link."""
    if value.is_symlink():
        return True
    depth = len(Path(name).parts) - 1
    for folder in list(value.parents)[:depth]:
        if folder not in folders:
            folders[folder] = folder.is_symlink()
        if folders[folder]:
            return True
    return False


def collect(
    items: Items,
    reader: Input | Bundle,
    *,
    embed: Callable[[Bundle, Sequence[np.ndarray]], Float[np.ndarray, "n dim"]],
    cached: Callable[[str], tuple[Seen, np.ndarray | None] | None] = lambda content: None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Collection, int]:
    """Read every item once, in order; also returns how many were not cached. `unreadable` names the rest.

    Args:
        reader: an input type; or a bundle, whose own input type reads and whose encoder gives
            vectors.
        embed: vectors of a bundle for arrays that its input type has read.
        cached: what is already known of a content, with its vector.
        progress: called with (done, total).
    """
    bundle = reader if isinstance(reader, Bundle) else None
    input = reader.twin.input if isinstance(reader, Bundle) else reader
    key = reader.fingerprint if isinstance(reader, Bundle) else ""
    places: list[int] = []
    seen: list[Seen] = []
    unreadable: dict[str, str] = {}
    vectors = np.zeros((len(items), bundle.twin.dim), np.float16) if bundle else None
    new = 0
    look = partial(_look, input=input, cached=cached, key=key, keep=bundle is not None)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for start in range(0, len(items), READ_AT_ONCE):
            part = range(start, min(start + READ_AT_ONCE, len(items)))
            looked = pool.map(look, (items.values[place] for place in part))
            waiting: list[tuple[int, np.ndarray]] = []
            for place, found in zip(part, looked, strict=True):
                if isinstance(found, str):
                    unreadable[items.ids[place]] = found
                    new += 1
                    continue
                what, array, vector = found
                new += vector is None and array is not None
                if vectors is not None and vector is not None:
                    vectors[len(places)] = vector
                elif vectors is not None and array is not None:
                    waiting.append((len(places), array))
                places.append(place)
                seen.append(what)
            if bundle and vectors is not None and waiting:
                vectors[[row for row, _ in waiting]] = embed(
                    bundle, [array for _, array in waiting]
                )
            if progress:
                progress(part[-1] + 1, len(items))
    known = Collection(
        ids=tuple(items.ids[place] for place in places),
        values=tuple(items.values[place] for place in places),
        seen=tuple(seen),
        vectors=None if vectors is None else vectors[: len(places)],
        unreadable=unreadable,
    )
    return known, new


def _look(
    value: Any,
    input: Input,
    cached: Callable[[str], tuple[Seen, np.ndarray | None] | None],
    *,
    key: str,
    keep: bool,
) -> tuple[Seen, np.ndarray | None, np.ndarray | None] | str:
    """(what is known, array for an encoder, known vector), or why it cannot be read."""
    try:
        content = content_hash(value, key=key)
        old = cached(content)
        if old is not None and (old[1] is not None or not keep):
            return _dated(old[0], value), None, old[1] if old[1] is not None else np.zeros(0)
        array = input.read(value) if keep or not isinstance(input, Image) else None
        if isinstance(input, Image):
            return (
                picture_seen(value, content, input),
                array if array is not None else np.zeros(0),
                None,
            )
    except UnreadableInput as error:
        return str(error)
    size, time, stamp = _dates(value, array.nbytes if array is not None else 0)
    return Seen(content=content, pixels=0, size=size, time=time, stamp=stamp), array, None


def _dates(value: Any, size: int) -> tuple[int, float, int]:
    if isinstance(value, Path):
        found = value.stat()
        return found.st_size, found.st_mtime, found.st_mtime_ns
    return size, 0.0, 0


def _dated(seen: Seen, value: Any) -> Seen:
    """The same content as another file."""
    size, time, stamp = _dates(value, seen.size)
    return replace(seen, size=size, time=time, stamp=stamp)


def picture_seen(value: Any, content: str, input: Image) -> Seen:
    """What is known of a picture after one look at it."""
    drawn = decode(value, side=LOOKED, background=input.background, max_pixels=input.max_pixels)
    array = np.asarray(
        drawn.convert("RGB").resize(
            (LOOKED, LOOKED), PIL.Image.Resampling.BILINEAR, reducing_gap=2.0
        )
    )
    size, time, stamp = _dates(value, array.nbytes)
    pixels, frames = _header(value, drawn)
    box = inner_box(array)
    inner = None
    if box != (0.0, 0.0, 1.0, 1.0):
        edges = [round(share * LOOKED) for share in box]
        inner = grey_plane(
            np.ascontiguousarray(array[edges[1] : edges[3], edges[0] : edges[2]]), SIDE
        )
    plane = grey_plane(array, SIDE)
    grey = plane.astype(np.float32)
    return Seen(
        content=content,
        pixels=pixels,
        size=size,
        time=time,
        stamp=stamp,
        frames=frames,
        plane=plane,
        box=box,
        inner=inner,
        light=float(grey.mean()),
        sharpness=float(np.abs(np.diff(grey, 2, axis=1)).mean() / max(float(grey.std()), 4.0)),
    )


def _header(value: Any, drawn: PIL.Image.Image) -> tuple[int, int]:
    """Pixels of the whole file, and its frames; only its header is read."""
    if not isinstance(value, Path):
        shape = value.shape if isinstance(value, np.ndarray) else drawn.size
        return int(shape[0] * shape[1]), 1
    width, height = header_size(value)
    with value.open("rb") as file:
        start = file.read(4)
    if not start.startswith(_PAGED):
        return width * height, 1
    try:
        with PIL.Image.open(value) as image:
            return width * height, int(getattr(image, "n_frames", 1))
    # read by our own reader, unknown to Pillow: one page, as far as we know
    except (OSError, ValueError, SyntaxError):
        return width * height, 1


_PAGED = (b"GIF8", b"II", b"MM", b"RIFF", b"\x89PNG")
"""How files begin that may hold several pages or frames."""


def pages_of(value: Any, most: int) -> list[PIL.Image.Image]:
    """The pages or frames of a file, at most `most`."""
    with PIL.Image.open(value) as image:
        found = []
        for page in range(min(int(getattr(image, "n_frames", 1)), most)):
            image.seek(page)
            found.append(decode(image.copy(), side=1024, background=255, max_pixels=MAX_PIXELS))
        return found


FLAT, NEAR = 0.65, 10
"""A row belongs to a bar or border if this share of it has one colour, within so many grey
values."""


def inner_box(array: UInt8[np.ndarray, "128 128 3"]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom, as shares, of what lies inside flat bars and borders; else of the whole picture.

    A status bar with a clock is flat, too: two thirds of each of its rows have one colour.
    """
    top, bottom, left, right = 0, array.shape[0], 0, array.shape[1]
    for _ in range(2):
        rows = _flat(array[:, left:right])
        while top < bottom and rows[top]:
            top += 1
        while bottom > top and rows[bottom - 1]:
            bottom -= 1
        columns = (
            _flat(array[top:bottom].transpose(1, 0, 2))
            if bottom > top
            else np.ones(array.shape[1], bool)
        )
        while left < right and columns[left]:
            left += 1
        while right > left and columns[right - 1]:
            right -= 1
    height, width = array.shape[:2]
    share = (bottom - top) * (right - left) / (height * width)
    if not 0.06 < share < 0.95 or bottom - top < 16 or right - left < 16:
        return (0.0, 0.0, 1.0, 1.0)
    return (left / width, top / height, right / width, bottom / height)


def _flat(rows: UInt8[np.ndarray, "rows across 3"]) -> Bool[np.ndarray, "rows"]:
    if rows.shape[1] == 0:
        return np.ones(len(rows), bool)
    middle = np.median(rows, axis=1, keepdims=True)
    near = (np.abs(rows.astype(np.int16) - middle) <= NEAR).all(axis=2)
    return near.mean(axis=1) >= FLAT

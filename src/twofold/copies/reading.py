"""What is kept of things to find copies among them: read once, a few kilobytes each, in memory or in a folder."""

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt8

from twofold.bundle import Bundle
from twofold.copies.alignment import SIDE
from twofold.copies.hashing import grey_plane
from twofold.data.hashes import content_hash
from twofold.data.items import Items
from twofold.errors import BundleError, NewerFormat, UnreadableInput
from twofold.files import new_folder
from twofold.inputs import Input
from twofold.inputs.image_decoding import header_size
from twofold.strict_json import plain_object

__all__ = ["MARKER", "Collection", "collect", "load_arrays", "save_arrays"]

MARKER = "dedup.json"
FORMAT = 1
TOGETHER = 64


@dataclass(frozen=True, kw_only=True)
class Collection:
    """What is known of each thing that could be read.

    Attributes:
        ids: its name. contents: SHA-256 of what was decoded.
        pixels: width x height of the file; 0 where it is none. size: bytes. time: of its last change, seconds.
        pictures: whether it is a picture. planes: grey, zeros where it is none.
        vectors: float16 (a copy's cosine changes by 1e-4), or None without a bundle.
        unreadable: name -> reason, of the others.
    """

    ids: tuple[str, ...]
    contents: tuple[str, ...]
    pixels: Int[np.ndarray, "n"]
    size: Int[np.ndarray, "n"]
    time: Float[np.ndarray, "n"]
    pictures: Bool[np.ndarray, "n"]
    planes: UInt8[np.ndarray, "n 64 64"]
    vectors: Shaped[np.ndarray, "n dim"] | None
    unreadable: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def joined(self, more: "Collection") -> "Collection":
        """With the things of another behind."""
        arrays = {name: np.concatenate([getattr(self, name), getattr(more, name)]) for name in _ARRAYS}
        vectors = None
        if self.vectors is not None and more.vectors is not None:
            vectors = np.concatenate([self.vectors, more.vectors])
        return Collection(
            ids=self.ids + more.ids,
            contents=self.contents + more.contents,
            vectors=vectors,
            unreadable=self.unreadable | more.unreadable,
            **arrays,
        )


_ARRAYS = ("pixels", "size", "time", "pictures", "planes")


def collect(
    items: Items,
    reader: Input | Bundle,
    *,
    embed: Callable[[Bundle, Sequence[np.ndarray]], Float[np.ndarray, "n dim"]],
    progress: Callable[[int, int], None] | None = None,
) -> Collection:
    """Read every item once, in order; what cannot be read is named.

    Args:
        reader: an input type; or a bundle, whose own input type reads and whose encoder gives vectors.
        embed: vectors of a bundle for arrays that its input type has read.
        progress: called with (done, total).
    """
    bundle = reader if isinstance(reader, Bundle) else None
    input = bundle.twin.input if bundle else reader
    kept: list[int] = []
    unreadable: dict[str, str] = {}
    facts: list[tuple[str, int, int, float, bool]] = []
    planes = np.zeros((len(items), SIDE, SIDE), np.uint8)
    vectors = np.zeros((len(items), bundle.twin.dim), np.float16) if bundle else None

    def look(place: int) -> "_Seen | str":
        return _seen(input, items.values[place], keep_array=bundle is not None)  # pyright: ignore[reportArgumentType]

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for start in range(0, len(items), TOGETHER):
            arrays: list[np.ndarray] = []
            places = range(start, min(start + TOGETHER, len(items)))
            for place, seen in zip(places, pool.map(look, places), strict=True):
                if isinstance(seen, str):
                    unreadable[items.ids[place]] = seen
                    continue
                if seen.plane is not None:
                    planes[len(kept)] = seen.plane
                if seen.array is not None:
                    arrays.append(seen.array)
                facts.append((seen.content, *seen.facts, seen.plane is not None))
                kept.append(place)
            if bundle and vectors is not None and arrays:
                vectors[len(kept) - len(arrays) : len(kept)] = embed(bundle, arrays)
            if progress:
                progress(places[-1] + 1, len(items))
    contents, pixels, size, time, pictures = zip(*facts, strict=True) if facts else [()] * 5
    return Collection(
        ids=tuple(items.ids[place] for place in kept),
        contents=tuple(contents),
        pixels=np.array(pixels, np.int64),
        size=np.array(size, np.int64),
        time=np.array(time, np.float64),
        pictures=np.array(pictures, bool),
        planes=planes[: len(kept)],
        vectors=None if vectors is None else vectors[: len(kept)],
        unreadable=unreadable,
    )


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """One thing that was read: (pixels, bytes, time), the hash of its content, its grey plane if it is a picture."""

    content: str
    facts: tuple[int, int, float]
    plane: UInt8[np.ndarray, "64 64"] | None
    array: np.ndarray | None


def _seen(input: Input, value: Any, *, keep_array: bool) -> _Seen | str:
    """What there is to know of a thing, or why it cannot be read. Decoders and hashes let other threads run."""
    try:
        array = input.read(value)
    except UnreadableInput as error:
        return str(error)
    picture = _is_picture(array)
    return _Seen(
        content=content_hash(array),
        facts=_file_facts(value, array, picture=picture),
        plane=grey_plane(array, SIDE) if picture else None,
        array=array if keep_array else None,
    )


def _is_picture(array: np.ndarray) -> bool:
    return array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] in (1, 3) and min(array.shape[:2]) > 7


def _file_facts(value: Any, array: np.ndarray, *, picture: bool) -> tuple[int, int, float]:
    """(pixels, bytes, time of the last change)."""
    pixels, size, time = (int(np.prod(array.shape[:2])) if picture else 0), array.nbytes, 0.0
    if isinstance(value, np.ndarray) and picture:
        pixels = int(np.prod(value.shape[:2]))
    if isinstance(value, Path):
        found = value.stat()
        size, time = found.st_size, found.st_mtime
        if picture:
            width, height = header_size(value)
            pixels = width * height
    return pixels, size, time


def save_arrays(path: str | Path, known: Collection, told: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write a collection, and what else was found, as a folder of npy files; whole or not at all."""
    names = {name: getattr(known, name) for name in _ARRAYS} | arrays
    if known.vectors is not None:
        names["vectors"] = known.vectors
    with new_folder(path, marker=MARKER, private=True) as folder:
        for name, array in names.items():
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
        table = {"ids": known.ids, "contents": known.contents, "unreadable": known.unreadable}
        text = json.dumps({"format": FORMAT, **table, **told, "arrays": sorted(names)}, allow_nan=False)
        (folder / MARKER).write_text(text, encoding="utf-8")


def load_arrays(path: str | Path) -> tuple[Collection, dict[str, Any], dict[str, np.ndarray]]:
    """What `save_arrays` wrote; large arrays are mapped, not read.

    Raises:
        BundleError: no such folder, or not one of ours. NewerFormat: a later version wrote it.
    """
    folder = Path(path)
    try:
        told = plain_object((folder / MARKER).read_bytes())
        if told["format"] > FORMAT:
            raise NewerFormat(f"{path} has format {told['format']}, this twofold reads {FORMAT}: update twofold")
        found = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in told["arrays"]}
        own = {name: found.pop(name) for name in _ARRAYS}
        known = Collection(
            ids=tuple(told.pop("ids")),
            contents=tuple(told.pop("contents")),
            unreadable=told.pop("unreadable"),
            vectors=found.pop("vectors", None),
            **own,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path} is no memory of an earlier dedup ({error}): name another, or a new place") from None
    return known, told, found

"""One pass over the items, for the checkup: each is read once, and what is kept of it does not grow with its size."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8

from twofold.apps.diagnosis import Reading
from twofold.bundle import Bundle
from twofold.copies.hashing import SIDE, grey_plane
from twofold.data.hashes import content_hash
from twofold.embedding import embed_arrays
from twofold.errors import UnreadableInput
from twofold.inputs import Input
from twofold.inputs.optional import traits, whole

__all__ = ["Survey", "survey"]

ARRAYS_HELD = 256
"""Arrays that wait to be embedded together: all that is held of the items at a time."""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What is kept of every item: about a kilobyte of a picture.

    Attributes:
        reading: contents, and what cannot be read.
        pictures: which items are pictures.
        planes: grey on a grid of 32 x 32; zeros where there is no picture.
        described: which items have traits.
        traits: name -> numbers of each item, of those traits that all of these have; zeros
            elsewhere.
        vectors: of the bundle's encoder; zeros where unreadable; None without a bundle.
    """

    reading: Reading
    pictures: Bool[np.ndarray, "n"]
    planes: UInt8[np.ndarray, "n 32 32"]
    described: Bool[np.ndarray, "n"]
    traits: dict[str, Float[np.ndarray, "n _"]]
    vectors: Float[np.ndarray, "n dim"] | None

    @property
    def readable(self) -> Bool[np.ndarray, "n"]:
        """Which items could be read."""
        able = np.ones(len(self.pictures), dtype=bool)
        able[list(self.reading.unreadable)] = False
        return able


def survey(
    values: Sequence[Any],
    reader: Input | Bundle,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Survey:
    """Read every value once, in order.

    Args:
        reader: an input type; or a bundle, whose own input type reads and whose encoder gives
            vectors.
        progress: called with (done, total) after every item.
    """
    bundle = reader if isinstance(reader, Bundle) else None
    input = reader.twin.input if isinstance(reader, Bundle) else reader
    same: dict[str, list[int]] = defaultdict(list)
    unreadable: dict[int, str] = {}
    planes = np.zeros((len(values), SIDE, SIDE), np.uint8)
    pictures = np.zeros(len(values), dtype=bool)
    told: dict[int, dict[str, tuple[float, ...]]] = {}
    embedder = _Embedder(bundle, len(values)) if bundle else None
    for place, value in enumerate(values):
        try:
            array = input.read(value)
            same[content_hash(array)].append(place)
            if known := traits(input, value, array):
                told[place] = known
            if _is_picture(array):
                planes[place] = grey_plane(whole(input, value, array))
                pictures[place] = True
            if embedder:
                embedder.add(place, array)
        except UnreadableInput as error:
            unreadable[place] = str(error)
        if progress:
            progress(place + 1, len(values))
    described = np.zeros(len(values), dtype=bool)
    described[list(told)] = True
    return Survey(
        reading=Reading(same=dict(same), unreadable=unreadable),
        pictures=pictures,
        planes=planes,
        described=described,
        traits=_columns(told, len(values)),
        vectors=embedder.finished() if embedder else None,
    )


class _Embedder:
    """Vectors in batches, so that a batch of arrays is held and no more."""

    def __init__(self, bundle: Bundle, count: int) -> None:
        self.twin = bundle.twin
        self.vectors = np.zeros((count, bundle.twin.dim), np.float32)
        self.places: list[int] = []
        self.arrays: list[np.ndarray] = []

    def add(self, place: int, array: np.ndarray) -> None:
        self.places.append(place)
        self.arrays.append(array)
        if len(self.arrays) == ARRAYS_HELD:
            self.finished()

    def finished(self) -> Float[np.ndarray, "n dim"]:
        if self.arrays:
            self.vectors[self.places] = embed_arrays(self.twin, self.arrays)
        self.places, self.arrays = [], []
        return self.vectors


def _is_picture(array: np.ndarray) -> bool:
    return (
        array.dtype == np.uint8
        and array.ndim == 3
        and array.shape[2] in (1, 3)
        and min(array.shape[:2]) > 7
    )


def _columns(
    told: dict[int, dict[str, tuple[float, ...]]], count: int
) -> dict[str, Float[np.ndarray, "n _"]]:
    """One array per trait, of the traits that all have."""
    shared = set.intersection(*(set(each) for each in told.values())) if told else set()
    found = {}
    for name in next(iter(told.values()), {}):
        if name in shared:
            values = np.array([told[place][name] for place in told])
            column = np.zeros((count, values.shape[1]))
            column[list(told)] = values
            found[name] = column
    return found

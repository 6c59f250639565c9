"""What a training reads again and again: decoded items, in memory or in a file without a name."""

import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from twofold.embedding import read_all
from twofold.inputs import Input

__all__ = ["MEMORY", "Stored"]

MEMORY = 4 << 30
"""Bytes of decoded items that are kept in memory."""

MAPPED = 64 << 30
"""Bytes of decoded items that are kept in a file without a name; larger data is decoded again in each epoch."""

READING = 0.3
"""Share of a training's time that reading everything ahead may take; else each batch is read when it is due."""

TRIED = 64
"""Items that are read to learn how long all of them will take."""

TOGETHER = 256
"""Items that are read at a time, where all are wanted once."""

SIZED = 4
"""Items that are read to learn how much memory all of them will take."""


class Stored:
    """The arrays of raw things: decoded once if they fit into memory or into a file, else whenever they are asked for.

    Where `seconds` limits the training and reading everything would take much of that, they are
    read when asked for. Those that are `known` already, all of them, are taken as they are.

    The file has no name from the start, so that nothing of the raw things stays behind, however the
    training ends (law 7). It is only made where all arrays differ in length at most and half of the
    free disk holds them.
    """

    def __init__(
        self,
        input: Input,
        values: Sequence[Any],
        *,
        memory: int = MEMORY,
        mapped: int = MAPPED,
        seconds: float | None = None,
        known: Mapping[Any, np.ndarray] | None = None,
    ) -> None:
        self.input = input
        self.values = values
        self.threads = max(2, os.cpu_count() or 2)
        self.arrays: Sequence[np.ndarray] | None = None
        if known and all(value in known for value in values):
            self.arrays = [known[value] for value in values]
            return
        took, size = self._tried(SIZED if seconds is None else TRIED)
        if seconds is not None and took > READING * seconds:
            # each batch is read when it is due: more steps than if most of the time went into
            # reading ahead
            return
        if 0 < size <= memory:
            self.arrays = list(read_all(input, values, self.threads))
        elif 0 < size <= min(mapped, shutil.disk_usage(tempfile.gettempdir()).free // 2):
            self.arrays = _in_nameless_file(read_all(input, values, self.threads), len(values))

    def _tried(self, count: int) -> tuple[float, float]:
        """About how many seconds it will take to read everything, and how many bytes that will be, by `count` items."""
        places = np.linspace(0, len(self.values) - 1, min(count, len(self.values))).astype(int)
        began = time.perf_counter()
        sizes = [
            array.nbytes
            for array in read_all(self.input, [self.values[i] for i in places], self.threads)
        ]
        share = len(self.values) / max(len(places), 1)
        return (time.perf_counter() - began) * share, sum(sizes) * share

    def some(self, most: int) -> Iterator[np.ndarray]:
        """The arrays of all values, or of so many spread over them."""
        places = self.spread(most)
        for start in range(0, len(places), TOGETHER):
            yield from self.take(places[start : start + TOGETHER])

    def spread(self, most: int) -> Int[np.ndarray, "places"]:
        """All places, or so many spread over them."""
        return np.unique(
            np.linspace(0, len(self.values) - 1, min(most, len(self.values))).astype(int)
        )

    def take(self, indices: Int[np.ndarray, "n"]) -> list[np.ndarray]:
        """The arrays at `indices`."""
        if self.arrays is not None:
            return [self.arrays[index] for index in indices]
        return list(read_all(self.input, [self.values[index] for index in indices], self.threads))


class _Mapped(Sequence[np.ndarray]):
    """Arrays of one dtype in a file without a name, which differ in length at most, one after the other."""

    def __init__(self, rows: np.ndarray, ends: Int[np.ndarray, " n"]) -> None:
        self.rows, self.ends = rows, ends

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[(self.ends[index - 1] if index else 0) : self.ends[index]]


def _in_nameless_file(arrays: Iterator[np.ndarray], count: int) -> _Mapped | None:
    """The arrays as a memory map; None where they differ in more than their length, or the disk is full."""
    with tempfile.TemporaryFile(prefix="twofold-") as file:
        first = next(arrays)
        lengths = []
        try:
            for array in itertools.chain([first], arrays):
                if array.shape[1:] != first.shape[1:] or array.dtype != first.dtype:
                    return None
                file.write(np.ascontiguousarray(array).data)
                lengths.append(len(array))
            file.flush()
        except OSError:
            return None
        ends = np.cumsum(lengths)
        return _Mapped(
            np.memmap(file, first.dtype, "r", shape=(int(ends[-1]), *first.shape[1:])), ends
        )

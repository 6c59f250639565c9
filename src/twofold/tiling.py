"""A scene in tiles that overlap and are blended; the answer is that of the whole scene at once.

A tile's outer `margin`, where a network misses what lies beyond, counts for nothing; in the next
`RAMP` pixels two tiles are mixed. At the sides of the scene a tile counts to its edge, as the whole
scene would. Memory depends on the tile and on the width of a strip, not on the scene.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Shaped, UInt16

from twofold.inputs.raster_source import Statistics
from twofold.metrics.spatial import NOTHING, levels_of, probabilities_of
from twofold.twin import ChangeTwin

__all__ = ["Area", "Grid", "Judge", "TwinJudge", "Windows", "pieces", "probabilities"]

RAMP = 32
"""Pixels over which neighbouring tiles are mixed, linearly."""

TILE = 1024
"""Pixels a side of a tile: with a margin of 96, 1.6 pixels are computed for each that counts. `change_unet` then takes
about 700 MB."""

ROWS_AT_ONCE = 256
"""Rows whose missing values are looked for at once."""

TILES_PER_STRIP = 8
"""Tiles side by side in a strip: one in eight is computed twice, and a strip takes 50 MB of sums."""

Area = tuple[int, int, int, int]
"""First row, first column, height and width."""


@runtime_checkable
class Judge(Protocol):
    """Says of each pixel of two windows how probable a change is.

    Attributes:
        stride: the sides of a window are multiples of it. margin: see `ChangeNetwork`.
    """

    @property
    def stride(self) -> int: ...

    @property
    def margin(self) -> int: ...

    def normalise(
        self,
        pixels: Shaped[np.ndarray, "bands height width"],
        statistics: Statistics,
        valid: Bool[np.ndarray, "height width"] | None = None,
    ) -> Float[np.ndarray, "bands height width"]:
        """Stored values as the network takes them; what is not valid becomes the mean."""
        ...

    def __call__(
        self,
        before: Float[np.ndarray, "bands height width"],
        after: Float[np.ndarray, "bands height width"],
    ) -> Float32[np.ndarray, "height width"]:
        """Values in [0, 1] of two normalised windows; the same if they are swapped."""
        ...


@runtime_checkable
class Windows(Protocol):
    """A scene that is read a window at a time: of files (`maps.dates`) or in memory (`scene`)."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        ...

    def valid(self, area: Area) -> Bool[np.ndarray, "height width"]:
        """Which pixels hold a value in both dates."""
        ...

    def values(
        self, area: Area, judge: Judge
    ) -> Sequence[Float[np.ndarray, "bands height width"]] | None:
        """Both windows as the judge takes them; None where no pixel has a value in both."""
        ...


class TwinJudge:
    """A trained twin, one window at a time.

    Args:
        device: where the twin goes; None: it stays.
    """

    def __init__(self, twin: ChangeTwin, device: torch.device | None = None) -> None:
        self.twin = (twin if device is None else twin.to(device)).eval()
        self.device = twin.device
        self.stride, self.margin = twin.stride, twin.margin
        self.normalise: Callable[..., Float[np.ndarray, "bands height width"]] = twin.normalise

    def __call__(
        self,
        before: Float[np.ndarray, "bands height width"],
        after: Float[np.ndarray, "bands height width"],
    ) -> Float32[np.ndarray, "height width"]:
        dates = (
            torch.from_numpy(np.ascontiguousarray(each))[None].to(self.device)
            for each in (before, after)
        )
        with torch.inference_mode():
            return self.twin.logits(*dates)[0].float().sigmoid().cpu().numpy()


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Where the tiles of a scene lie, and which rows and columns each of them decides.

    Attributes:
        tile: side of a tile; a multiple of `stride`, like `step`, the way from one to the next.
    """

    height: int
    width: int
    stride: int
    margin: int
    tile: int
    step: int

    @classmethod
    def of(cls, size: tuple[int, int], judge: Judge, *, tile: int | None = None) -> "Grid":
        """The grid for a scene.

        Args:
            tile: the side of a tile; larger where a margin leaves too little of it. None: `TILE`.
        """
        stride = judge.stride
        margin = -(-judge.margin // stride) * stride
        wanted = TILE if tile is None else tile
        side = max(-(-wanted // stride), -(-(2 * margin + RAMP) // stride) + 1) * stride
        step = (side - 2 * margin - RAMP) // stride * stride
        height, width = size
        return cls(
            height=height,
            width=width,
            stride=stride,
            margin=margin,
            tile=side,
            step=max(step, stride),
        )

    @property
    def rows(self) -> int:
        """Tiles below each other."""
        return self._count(self.height)

    @property
    def columns(self) -> int:
        """Tiles beside each other."""
        return self._count(self.width)

    @property
    def strips(self) -> int:
        """Groups of columns that are computed one after the other."""
        return -(-self.columns // TILES_PER_STRIP)

    def decided_rows(self, number: int) -> tuple[int, int]:
        """First row, and one more than the last, that are whole once row `number` of tiles is done."""
        return self._start(number, self.height), self._start(number + 1, self.height)

    def strip_columns(self, strip: int) -> tuple[int, int]:
        """First column of a strip, and one more than the last."""
        first, last = strip * TILES_PER_STRIP, (strip + 1) * TILES_PER_STRIP
        return self._start(first, self.width), self._start(last, self.width)

    def tiles_of(self, strip: int) -> range:
        """The columns of tiles that a strip needs: one of its neighbour's reaches into it."""
        first = strip * TILES_PER_STRIP
        return range(max(first - 1, 0), min(first + TILES_PER_STRIP, self.columns))

    def place(self, number: int, length: int) -> tuple[int, int]:
        """First pixel and side of a tile along an axis; the last one ends at the padded end."""
        first = number * self.step
        return first, min(self.tile, self._padded(length) - first)

    def weights(self, number: int, length: int) -> tuple[int, Float32[np.ndarray, "support"]]:
        """The first pixel where a tile counts, and its weights from there; they sum to 1 over tiles."""
        low = self._start(number, length)
        if number == self._count(length) - 1:
            weights = np.ones(length - low, np.float32)
        else:
            high = self._start(number + 1, length) + self._ramp
            weights = np.ones(high - low, np.float32)
            weights[-self._ramp :] = 1 - self._rise
        if number:
            weights[: self._ramp] = self._rise
        return low, weights

    @property
    def _ramp(self) -> int:
        return self.tile - 2 * self.margin - self.step

    @property
    def _rise(self) -> Float32[np.ndarray, "ramp"]:
        return ((np.arange(self._ramp) + 0.5) / self._ramp).astype(np.float32)

    def _padded(self, length: int) -> int:
        return -(-length // self.stride) * self.stride

    def _count(self, length: int) -> int:
        return 1 + max(0, -(-(self._padded(length) - self.tile) // self.step))

    def _start(self, number: int, length: int) -> int:
        """The first pixel that tile `number` decides; beyond the last tile, the end."""
        if number >= self._count(length):
            return length
        return number * self.step + self.margin if number else 0


def pieces(
    scene: Windows, judge: Judge, grid: Grid, *, strip: int, first: int = 0
) -> Iterator[tuple[int, UInt16[np.ndarray, "rows columns"]]]:
    """The decided rows of a strip, one row of tiles after the other, from number `first` on.

    Yields:
        The number of the row of tiles, and probabilities in levels, `NOTHING` where a date
        has no value.
    """
    left, right = grid.strip_columns(strip)
    carry = None
    if 0 < first < grid.rows:
        low, high = grid.decided_rows(first - 1)
        carry = _sums(scene, judge, grid, (strip, first - 1))[high - low :]
    for number in range(first, grid.rows):
        low, high = grid.decided_rows(number)
        sums = _sums(scene, judge, grid, (strip, number))
        if carry is not None:
            sums[: len(carry)] += carry
        carry = sums[high - low :]
        found = levels_of(sums[: high - low])
        for top in range(low, high, ROWS_AT_ONCE):
            rows = min(ROWS_AT_ONCE, high - top)
            valid = scene.valid((top, left, rows, right - left))
            found[top - low : top - low + rows][~valid] = NOTHING
        yield number, found


def _sums(
    scene: Windows, judge: Judge, grid: Grid, place: tuple[int, int]
) -> Float32[np.ndarray, "rows columns"]:
    """What one row of tiles adds to a strip, from the first row that it decides to its last.

    Args:
        place: the strip, and the number of the row.
    """
    strip, number = place
    left, right = grid.strip_columns(strip)
    top, down = grid.weights(number, grid.height)
    sums = np.zeros((len(down), right - left), np.float32)
    for column in grid.tiles_of(strip):
        start, across = grid.weights(column, grid.width)
        low, high = max(start, left), min(start + len(across), right)
        found = _tile(scene, judge, grid, (number, column))
        if found is None or low >= high:
            continue
        first_row, first_column = number * grid.step, column * grid.step
        part = found[
            top - first_row : top - first_row + len(down), low - first_column : high - first_column
        ]
        weighted = part * across[low - start : high - start]
        weighted *= down[:, None]
        sums[:, low - left : high - left] += weighted
    return sums


def _tile(
    scene: Windows, judge: Judge, grid: Grid, place: tuple[int, int]
) -> Float32[np.ndarray, "rows columns"] | None:
    """The probabilities of one tile; None where no pixel of it holds a value in both dates."""
    top, height = grid.place(place[0], grid.height)
    left, width = grid.place(place[1], grid.width)
    area = (top, left, min(height, grid.height - top), min(width, grid.width - left))
    if (values := scene.values(area, judge)) is None:
        return None
    below, beside = height - area[2], width - area[3]
    # what fills the last tiles up to a multiple of the stride mirrors the scene's edge, as `evaluate` does
    if below or beside:
        values = [
            np.pad(each, ((0, 0), (0, below), (0, beside)), mode="symmetric") for each in values
        ]
    return judge(*values)


def probabilities(
    scene: Windows, judge: Judge, *, tile: int | None = None
) -> Float[np.ndarray, "height width"]:
    """The whole map in memory, for scenes of ordinary size; NaN where a date has no value."""
    grid = Grid.of(scene.size, judge, tile=tile)
    strips = []
    for strip in range(grid.strips):
        found = [piece for _, piece in pieces(scene, judge, grid, strip=strip)]
        strips.append(np.concatenate(found))
    return probabilities_of(np.concatenate(strips, axis=1))

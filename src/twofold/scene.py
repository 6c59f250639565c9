"""A scene in memory: both dates as a model takes them, the truth, and what the model says of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped

from twofold import tiling
from twofold.data.scenes import Scenes
from twofold.errors import DataError
from twofold.inputs import Raster
from twofold.inputs.raster import open_raster
from twofold.inputs.raster_source import Source, statistics
from twofold.tiling import Area, Judge, TwinJudge
from twofold.twin import ChangeTwin

__all__ = ["Scene", "opened", "probabilities", "read_mask"]

OSCD_VALUES = (1, 2)
"""OSCD's masks: 1 is unchanged, 2 is changed."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One place at two dates.

    Attributes:
        before, after: normalised (`ChangeTwin.normalise`).
        truth: what changed. valid: pixels that hold a value at both dates.
    """

    id: str
    before: Float[np.ndarray, "bands height width"]
    after: Float[np.ndarray, "bands height width"]
    truth: Bool[np.ndarray, "height width"]
    valid: Bool[np.ndarray, "height width"]


def opened(scenes: Scenes, twin: ChangeTwin) -> Iterator[Scene]:
    """Each scene in turn, read and checked.

    Raises:
        DataError: dates or a mask of another size, or a mask with other values than it may have.
        UnreadableInput: a file that cannot be read, or has other bands than the model.
    """
    for before, after, mask, name in zip(
        scenes.before, scenes.after, scenes.mask, scenes.ids, strict=True
    ):
        with _source(before, twin.input) as one, _source(after, twin.input) as other:
            size, second = (one.height, one.width), (other.height, other.width)
            if size != second:
                raise DataError(
                    f"scene {name}: the dates have {_said(size)} and {_said(second)} pixels: cut "
                    f"them to one size"
                )
            valid = one.valid(0, 0, *size) & other.valid(0, 0, *size)
            truth = read_mask(mask, name)
            if truth.shape != size:
                raise DataError(
                    f"scene {name}: the mask has {_said(truth.shape)} pixels and the pictures "
                    f"{_said(size)}: they must be the same"
                )
            yield Scene(
                id=name,
                before=_normalised(one, twin, valid),
                after=_normalised(other, twin, valid),
                truth=truth,
                valid=valid,
            )


def read_mask(value: Any, name: str) -> Bool[np.ndarray, "height width"]:
    """What a mask says: 1 and 255 are change, 0 is none; in OSCD's way 2 is change and 1 is none.

    Raises:
        DataError: several different bands, or other values.
    """
    with open_raster(value) as source:
        bands = source.window(0, 0, source.height, source.width)
    if (bands != bands[:1]).any():
        raise DataError(f"scene {name}: the mask {value} is in colours; give one band of 0 and 255")
    found = np.unique(bands[0])
    if 2 in found and set(found.tolist()) <= set(OSCD_VALUES):
        return bands[0] == OSCD_VALUES[1]
    # where OSCD's way is not used, a mask that is 1 throughout is change throughout
    if not set(found.tolist()) <= {0, 1, 255}:
        odd = ", ".join(f"{each:g}" for each in found if each not in (0, 1, 255))
        raise DataError(
            f"scene {name}: the mask {value} has the values {odd[:60]}; a mask has 0 and 255 (or 0 "
            f"and 1): was it saved as JPEG, or resized?"
        )
    return bands[0] > 0


def probabilities(
    twin: ChangeTwin,
    before: Float[np.ndarray, "bands height width"],
    after: Float[np.ndarray, "bands height width"],
) -> Float[np.ndarray, "height width"]:
    """How probable change is at each pixel of normalised dates; large scenes go through in tiles."""
    return tiling.probabilities(_InMemory(before, after), TwinJudge(twin))


@dataclass(frozen=True)
class _InMemory:
    """Normalised dates as `tiling.Windows`: what has no value is there as the mean."""

    before: Float[np.ndarray, "bands height width"]
    after: Float[np.ndarray, "bands height width"]

    @property
    def size(self) -> tuple[int, int]:
        return self.before.shape[1], self.before.shape[2]

    def valid(self, area: Area) -> Bool[np.ndarray, "height width"]:
        return np.ones(area[2:], bool)

    def values(self, area: Area, judge: Judge) -> list[Float[np.ndarray, "bands height width"]]:
        row, column, height, width = area
        place = (slice(None), slice(row, row + height), slice(column, column + width))
        return [self.before[place], self.after[place]]


def _source(value: Any, input: Raster) -> Source:
    """A picture, or several files of single bands as one."""
    if not isinstance(value, tuple):
        return input.open(value)
    bands = []
    for each in value:
        with open_raster(each) as source:
            bands.append(source.window(0, 0, source.height, source.width))
    return input.open(np.concatenate(bands))


def _normalised(
    source: Source, twin: ChangeTwin, valid: Bool[np.ndarray, "height width"]
) -> Float[np.ndarray, "bands height width"]:
    pixels: Shaped[np.ndarray, "bands height width"] = source.window(
        0, 0, source.height, source.width
    )
    return twin.normalise(pixels, statistics(source), valid)


def _said(size: tuple[int, ...]) -> str:
    return f"{size[1]} x {size[0]}"

"""Time series: the input type that reads one or more channels of numbers over time, of any length."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float

from twofold.errors import RecipeError, UnreadableInput
from twofold.inputs.padded import Padded, padded
from twofold.inputs.series_augment import SeriesAugment, series_augmentation
from twofold.inputs.windows import windows
from twofold.places import file_at
from twofold.plurals import counted
from twofold.series_formats import parsed, read_one, shaped

__all__ = ["Series"]

MOST_CHANNELS = 4096
"""Channels of a series: more are vectors, or a table with rows and columns exchanged."""

FEWEST = 2
"""Values of a series: one is a measurement, and has no course."""

CONSTANT = 1e-9
"""A channel whose standard deviation is below this share of its largest value does not move."""

DRAWN = 400
"""Places of a series that a page draws; of more, the smallest and the largest value of each stretch."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """Channels of numbers over time. Every choice that turns a series into what the encoder sees stands here.

    Values that are missing (NaN) lie on a line between the known ones beside them; before the first
    and after the last known value they are equal to it.

    Attributes:
        channels: numbers at each time. The commands and `fit_recipe` take it from the data.
        scaling: "series": each channel of a series is brought to mean 0 and standard deviation 1
            (z-normalisation), so that neither level nor scale counts; "none": values as they are.
        longest: a series of more values is divided into windows of so many, whose vectors are
            averaged. Training reads the first window.
        missing: share of the values of a channel that may be missing.

    Raises:
        RecipeError: a field that does not fit.
    """

    channels: int = 1
    scaling: Literal["series", "none"] = "series"
    longest: int = 1024
    missing: float = 0.5

    name: ClassVar[str] = "Series"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not 1 <= self.channels <= MOST_CHANNELS:
            raise RecipeError(f"channels = {self.channels} must be from 1 to {MOST_CHANNELS:,}")
        if self.scaling not in ("series", "none"):
            raise RecipeError(f"scaling = {self.scaling!r}: series or none")
        if self.longest < FEWEST:
            raise RecipeError(f"longest = {self.longest} must be {FEWEST} or more")
        if not 0 <= self.missing < 1:
            raise RecipeError(f"missing = {self.missing} must be from 0 to less than 1")

    def read(self, value: object) -> Float[np.ndarray, "length channels"]:
        """One series, float32, without missing values, and scaled as `scaling` says.

        Args:
            value: an array or a list of numbers, length or length x channels; a series as text
                (`series_formats.parsed`); or the path of a file of one series (a `pathlib.Path`).

        Raises:
            UnreadableInput: not a series, another number of channels, a single value, infinity, too
                many values missing, or nothing but constants where scaling would divide by zero.
        """
        raw = self._checked(_raw(value))
        values = np.stack([self._filled(channel) for channel in raw.T], axis=1)
        if self.scaling == "none":
            return values.astype(np.float32)
        centred = values - values.mean(axis=0)
        spread = centred.std(axis=0)
        moving = spread > CONSTANT * np.abs(values).max(axis=0)
        if not moving.any():
            raise UnreadableInput(
                f"the series is constant ({values[0, 0]:g}): nothing is left when its level and "
                f"scale are taken out; leave it out, or train with --set input.scaling=none"
            )
        return np.where(moving, centred / np.where(moving, spread, 1.0), 0.0).astype(np.float32)

    def _checked(self, raw: Float[np.ndarray, "length given"]) -> np.ndarray:
        length, given = raw.shape
        if given != self.channels:
            raise UnreadableInput(
                f"the series has {counted(given, 'channel')}, and {self.channels} "
                f"{'is' if self.channels == 1 else 'are'} wanted (arrays are length x channels)"
            )
        if length < FEWEST:
            raise UnreadableInput(
                f"the series has {counted(length, 'value')}: {FEWEST} are the fewest"
            )
        if np.isinf(raw).any():
            time, channel = np.argwhere(np.isinf(raw))[0]
            raise UnreadableInput(
                f"value {time + 1} of channel {channel + 1} is infinite: write NaN for what is "
                f"missing"
            )
        share = np.isnan(raw).mean(axis=0)
        if (share > self.missing).any():
            worst = int(share.argmax())
            raise UnreadableInput(
                f"{share[worst]:.0%} of the values of channel {worst + 1} are missing, and at most "
                f"{self.missing:.0%} may be (input.missing): leave the series out"
            )
        return raw

    @staticmethod
    def _filled(channel: Float[np.ndarray, "length"]) -> Float[np.ndarray, "length"]:
        known = np.flatnonzero(~np.isnan(channel))
        if len(known) == len(channel):
            return channel
        return np.interp(np.arange(len(channel)), known, channel[known])

    def stack(self, arrays: Sequence[np.ndarray]) -> Padded:
        """Arrays of `read` as one batch, each cut to its first window."""
        return padded([array[: self.longest] for array in arrays])

    def windows_of(self, array: Float[np.ndarray, "length channels"]) -> list[np.ndarray]:
        """What `read` returned in parts of at most `longest` values."""
        return windows(array, self.longest)

    def normalise(self, batch: Padded) -> Padded:
        """Values were scaled when they were read, each series as a whole."""
        return batch

    def example(self) -> Float[np.ndarray, "2 channels"]:
        """The shortest series."""
        return np.tile(np.array([[-1.0], [1.0]], np.float32), (1, self.channels))

    def facts(self) -> dict[str, Any]:
        """What a builder of encoders may want to know."""
        return {"kind": "series", "channels": self.channels}

    def arguments(self) -> dict[str, Any]:
        """Flat values that rebuild this type."""
        return asdict(self)

    def argument(self, word: str) -> object:
        """A word of the command line as a series: [0.5, 1.25, 2], or the name of a file that holds one.

        Raises:
            UnreadableInput: neither of them.
        """
        path = Path(word.removeprefix("@"))
        if word.startswith("@") or file_at(path):
            return path
        if not word.lstrip(" -[").startswith(tuple("0123456789.")):
            raise UnreadableInput(
                f"{word[:60]} is not a series: write [0.5, 1.25, 2], the name of a file of one "
                f"series, or FILE#N for the Nth of many"
            )
        return parsed(word)

    def show(
        self, value: object, *, side: int | None = None
    ) -> Float[np.ndarray, "places channels"] | None:
        """The course as it is read, thinned out for a drawing; None where it cannot be read (any more)."""
        try:
            return _thinned(self.read(value))
        except UnreadableInput:
            return None

    def quality(self, array: Float[np.ndarray, "length channels"]) -> dict[str, float]:
        """length: values; moving: the share of them that differ from the one before in some channel."""
        moving = (np.diff(array, axis=0) != 0).any(axis=1)
        return {"length": float(len(array)), "moving": float(moving.mean())}

    def traits(
        self, value: object, array: Float[np.ndarray, "length channels"]
    ) -> dict[str, tuple[float, ...]]:
        """Length, gaps, level and scale: what says how something was recorded, and often not what."""
        raw = _raw(value)
        level, spread = np.nanmean(raw, axis=0), np.nanstd(raw, axis=0)
        return {
            "length of the series": (float(np.log1p(len(raw))),),
            "share of missing values": (float(np.isnan(raw).mean()),),
            "level of the series": (float(np.arcsinh(level).mean()),),
            "scale of the series": (float(np.log1p(spread).mean()),),
        }

    def identifier(self, value: object, *, key: str) -> str:
        """The name of a file; of numbers a keyed digest, 12 hexadecimal digits."""
        if isinstance(value, Path):
            return value.name
        content = self.read(value).tobytes()
        return hashlib.blake2b(content, digest_size=6, key=key.encode()[:64]).hexdigest()

    def augmentation(self, **settings: Any) -> SeriesAugment:
        """This type's training-time augmentation; the settings are the fields of `SeriesAugment`.

        Raises:
            RecipeError: an unknown setting, or a value that does not fit.
        """
        return series_augmentation(settings)


def _raw(value: object) -> Float[np.ndarray, "length channels"]:
    """A series as it is given, float64."""
    if isinstance(value, Path):
        return read_one(value)
    if isinstance(value, str):
        return parsed(value)
    if isinstance(value, list | tuple):
        try:
            value = np.array(value, np.float64)
        except (ValueError, TypeError):
            raise UnreadableInput(
                "a series is a list of numbers, or of lists of one length: one per time"
            ) from None
    if not isinstance(value, np.ndarray):
        raise UnreadableInput(
            f"a {type(value).__name__} is not a series: give an array, a list of numbers, or a "
            f"pathlib.Path"
        )
    return shaped(value, "the array")


def _thinned(array: Float[np.ndarray, "length channels"]) -> Float[np.ndarray, "places channels"]:
    """At most `DRAWN` places; of each stretch of a longer series the smallest and the largest value, in turns."""
    if len(array) <= DRAWN:
        return array
    ends = np.linspace(0, len(array), DRAWN // 2 + 1).astype(int)[:-1]
    low, high = np.minimum.reduceat(array, ends), np.maximum.reduceat(array, ends)
    return np.stack([low, high], axis=1).reshape(-1, array.shape[1])

"""Sounds: the input type that reads a recording and turns it into mel bands or cepstra over time."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float32
from torch import Tensor

from twofold.errors import RecipeError, UnreadableInput, nearest
from twofold.inputs.audio_augment import AudioAugment, audio_augmentation
from twofold.inputs.audio_drawing import drawn
from twofold.inputs.audio_features import (
    SOFTEST,
    cepstra,
    levelled,
    mel_bank,
    mel_frames,
    stretched,
)
from twofold.inputs.audio_files import opened, sound_blocks, wav_of
from twofold.inputs.optional import Playable
from twofold.inputs.padded import Padded, padded
from twofold.inputs.windows import windows
from twofold.places import file_at

__all__ = ["Audio"]

FEATURES = ("log_mel", "mel", "mfcc")
LEVELS = ("none", "mean", "mean_std")
FILLS = ("none", "zeros", "repeat")

SILENT = 10 ** (-90 / 20)
"""Peak below which nothing was recorded: less than three steps of 16 bits."""

LEAD = 60.0
"""Seconds of silence before a sound that are read to be trimmed."""

TRIMMED_IN = 0.01
"""Seconds of the pieces by whose loudness silence is found."""

PLAYED = 4.0
"""Seconds of a sound that a page holds."""

MOST_HERTZ = 192_000
"""Largest sampling rate of an input: twice what any microphone is made for."""

Wave = Float32[np.ndarray, "samples"]
Made = Float32[np.ndarray, "made"]


@dataclass(frozen=True, kw_only=True)
class Audio:
    """Recordings. Every choice that turns a sound into what the encoder sees stands here.

    Channels are averaged, and any sampling rate becomes `rate`.

    Attributes:
        rate: samples per second.
        longest: seconds; a longer sound is cut there, or divided into windows of that length.
        windows: so many times `longest` seconds are read, and the vectors of their windows
            averaged.
        trim: silence at both ends is left out: what is so many dB softer than the loudest 10 ms; 0
            keeps it.
        level: sounds whose RMS is below this level are raised to it, in dB below full scale (-30);
            0 leaves the loudness as it is.
        fill: what stands in a sound up to `longest`: "none" (it stays as short as it is), "zeros",
            or "repeat" (the sound again and again).
        features: "log_mel", "mel" (the power of the bands) or "mfcc".
        bands: of the mel scale, between `low` and `high` hertz; high = 0 is half the rate.
        coefficients: of "mfcc".
        window, step: seconds of a frame, and from one frame to the next.
        norm: of each band over a sound: "none", "mean" (0) or "mean_std" (0, and a deviation of 1).
        frames: a sound becomes a picture of so many frames, for encoders of pictures: long ones are
            compressed, short ones stretched; 0 keeps the frames as a series.

    Raises:
        RecipeError: a field that does not fit.
    """

    rate: int = 16_000
    longest: float = 4.0
    windows: int = 1
    trim: float = 0.0
    level: float = 0.0
    fill: Literal["none", "zeros", "repeat"] = "none"
    features: Literal["log_mel", "mel", "mfcc"] = "log_mel"
    bands: int = 40
    low: float = 0.0
    high: float = 0.0
    coefficients: int = 20
    window: float = 0.025
    step: float = 0.010
    norm: Literal["none", "mean", "mean_std"] = "none"
    frames: int = 0

    name: ClassVar[str] = "Audio"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        for field, known in (("features", FEATURES), ("norm", LEVELS), ("fill", FILLS)):
            if (value := getattr(self, field)) not in known:
                raise RecipeError(f"{field} = {value!r}: {nearest(str(value), known)}")
        if not 1000 <= self.rate <= MOST_HERTZ:
            raise RecipeError(f"rate = {self.rate}: 1,000 to {MOST_HERTZ:,} samples per second")
        if not 0 < self.step <= self.window <= self.longest:
            raise RecipeError(
                f"step = {self.step}, window = {self.window}, longest = {self.longest}: seconds, "
                "each at most the next"
            )
        if self.windows < 1 or self.bands < 1 or self.frames < 0:
            raise RecipeError("windows and bands must be positive, and frames not negative")
        if self.features == "mfcc" and not 1 <= self.coefficients <= self.bands:
            raise RecipeError(f"coefficients = {self.coefficients}: 1 to bands = {self.bands}")
        if not 0 <= self.low < self._high <= self.rate / 2:
            raise RecipeError(
                f"low = {self.low:g}, high = {self._high:g}: hertz, at most half the rate"
            )
        if self.level > 0 or self.trim < 0:
            raise RecipeError(
                f"level = {self.level:g} is in dB below full scale, such as -30; "
                f"trim = {self.trim:g} in dB below the loudest part, such as 40"
            )
        if not self._bank.any(axis=1).all():
            raise RecipeError(
                f"bands = {self.bands} are too many for windows of {self.window:g} s at "
                f"{self.rate} Hz: some hold no frequency; take fewer, or a longer window"
            )

    def read(self, value: object) -> Wave:
        """One recording as samples in [-1, 1] at the input's rate, mono.

        Args:
            value: a path or the bytes of a sound file; or an array of samples at the input's rate,
                (samples,) or (samples, channels), whole numbers of 16 bits or fractions.

        Raises:
            UnreadableInput: not a sound, truncated, shorter than a window, or silence.
            MissingExtra: a file without the extra `audio`.
        """
        wave = _trimmed(self._samples(value), self.rate, self.trim)[: self._most]
        if len(wave) < self._least:
            raise UnreadableInput(
                f"the sound has {len(wave)} samples at {self.rate:,} per second, "
                f"{1000 * len(wave) / self.rate:.1f} ms: at least {1000 * self.window:g} ms are "
                "needed"
            )
        if float(np.abs(wave).max()) < SILENT:
            raise UnreadableInput("the sound is silence: leave it out")
        if self.level:
            loud = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))
            wave = wave * np.float32(max(10 ** (self.level / 20) / loud, 1.0))
        return self._filled(wave)

    def _samples(self, value: object) -> Wave:
        """So many samples as are needed at most; a long file is never held as it is stored."""
        most = self._most + (round(LEAD * self.rate) if self.trim else 0)
        if isinstance(value, np.ndarray):
            return _of_array(value)[:most]
        if isinstance(value, str):
            value = Path(value)
        if not isinstance(value, Path | bytes):
            raise UnreadableInput(
                f"a {type(value).__name__} is not a sound: give a path, bytes or an array of "
                "samples"
            )
        with opened(value) as file:
            expected = file.frames * self.rate // file.samplerate + 1
            found = np.empty(min(most, max(expected, 1)), np.float32)
            count = 0
            for block in sound_blocks(file, self.rate):
                taken = block[: len(found) - count]
                found[count : count + len(taken)] = taken
                count += len(taken)
                if count == most:
                    break
        return found[:count]

    def blocks(self, value: Path | bytes) -> Iterator[np.ndarray]:
        """A recording of any length as blocks at the input's rate, as it is.

        Raises:
            UnreadableInput, MissingExtra: as `read`.
        """
        with opened(value) as file:
            yield from sound_blocks(file, self.rate)

    def seconds(self, value: Path | bytes) -> float:
        """How long a recording is, by its header."""
        with opened(value) as file:
            return file.frames / file.samplerate

    def _filled(self, wave: Wave) -> Made:
        size = self._window
        if self.fill == "none" or len(wave) >= size:
            return wave
        if self.fill == "zeros":
            return np.concatenate([wave, np.zeros(size - len(wave), np.float32)])
        return np.resize(wave, size)

    @property
    def _window(self) -> int:
        return round(self.longest * self.rate)

    @property
    def _most(self) -> int:
        return self._window * self.windows

    @property
    def _high(self) -> float:
        return self.high or self.rate / 2

    @property
    def _bank(self) -> Float32[np.ndarray, "bands bins"]:
        return mel_bank(self.rate, self._least, self.bands, (self.low, self._high))

    def stack(self, arrays: Sequence[np.ndarray]) -> Padded:
        """Arrays of `read` as one batch, each cut to its first window."""
        return padded([array[: self._window] for array in arrays])

    def windows_of(self, array: Wave) -> list[np.ndarray]:
        """What `read` returned in parts of at most `longest` seconds."""
        return windows(array, self._window)

    def normalise(self, batch: Padded) -> Padded | Tensor:
        """Samples as what the encoder sees: features over time, or a picture of them.

        The features that an augmentation has made already are taken as they are.
        """
        found = batch if batch.values.ndim == 3 else self.bands_of(batch)
        if self.features == "mfcc":
            found = Padded(cepstra(found.values, self.coefficients), found.lengths)
        if self.norm != "none":
            found = levelled(found, deviation=self.norm == "mean_std")
        return stretched(found, self.frames) if self.frames else found

    def bands_of(self, batch: Padded) -> Padded:
        """Samples as power in mel bands, or its logarithm: what SpecAugment changes."""
        found = mel_frames(
            batch.values,
            batch.lengths,
            window=self._least,
            step=round(self.step * self.rate),
            bank=self._bank,
        )
        if self.features == "mel":
            return found
        return Padded((found.values + SOFTEST).log(), found.lengths)

    def example(self) -> Wave:
        """A short sound."""
        return np.full(self._window if self.fill != "none" else 2 * self._least, 0.1, np.float32)

    @property
    def _least(self) -> int:
        return round(self.window * self.rate)

    def facts(self) -> dict[str, Any]:
        """What a builder of encoders may want to know."""
        rows = self.coefficients if self.features == "mfcc" else self.bands
        if self.frames:
            return {"kind": "pictures", "channels": 1, "size": (rows, self.frames)}
        return {"kind": "series", "channels": rows}

    def arguments(self) -> dict[str, Any]:
        """Flat values that rebuild this type."""
        return asdict(self)

    def argument(self, word: str) -> Path:
        """A word of the command line as a sound: the path of a file.

        Raises:
            UnreadableInput: there is no such file.
        """
        path = Path(word.removeprefix("@"))
        if not file_at(path):
            raise UnreadableInput(f"there is no file {word}: this bundle compares sounds")
        return path

    def show(self, value: object, *, side: int | None = None) -> Playable | None:
        """The waveform above the spectrogram, and the sound's first seconds; None where it cannot be read."""
        try:
            wave = self._samples(value)[: round(PLAYED * self.rate)]
            return Playable(picture=drawn(wave, self.rate), sound=wav_of(wave, self.rate))
        except UnreadableInput:
            return None

    def quality(self, array: Wave) -> dict[str, float]:
        """seconds; level: RMS in dB below full scale; clipped: share of samples at full scale."""
        loud = float(np.sqrt(np.mean(np.square(array, dtype=np.float64))))
        return {
            "seconds": len(array) / self.rate,
            "level": 20 * float(np.log10(max(loud, SILENT))),
            "clipped": float(np.mean(np.abs(array) >= 1 - 2**-15)),
        }

    def traits(self, value: object, array: Wave) -> dict[str, tuple[float, ...]]:
        """Length and loudness: what says how something was recorded, and not what."""
        known = self.quality(array)
        return {
            "length of the sound": (float(np.log(known["seconds"])),),
            "loudness of the sound": (known["level"],),
        }

    def augmentation(self, **settings: Any) -> AudioAugment:
        """This type's training-time augmentation; the settings are the fields of `AudioAugment`.

        Raises:
            RecipeError: an unknown setting, or a value that does not fit.
        """
        return audio_augmentation(
            settings,
            logarithmic=self.features != "mel",
            most=self._window,
            bands_of=self.bands_of,
        )


def _of_array(value: np.ndarray) -> Wave:
    if np.issubdtype(value.dtype, np.integer):
        value = value / np.float32(2**15)
    if value.ndim == 2:
        value = value.mean(axis=1)
    if value.ndim != 1 or value.dtype.kind != "f" or not np.isfinite(value).all():
        raise UnreadableInput(
            f"an array of shape {value.shape} and type {value.dtype} is not a sound: give finite "
            "numbers, (samples,) or (samples, channels)"
        )
    return value.astype(np.float32)


def _trimmed(wave: Wave, rate: int, decibels: float) -> Made:
    """What lies between the first and the last piece that is not so much softer than the loudest."""
    size = round(TRIMMED_IN * rate)
    count = len(wave) // size
    if not decibels or not count:
        return wave
    power = np.square(wave[: count * size].reshape(count, size)).mean(axis=1)
    heard = np.flatnonzero(power > power.max() * 10 ** (-decibels / 10))
    if not len(heard):
        return wave
    end = len(wave) if heard[-1] == count - 1 else (int(heard[-1]) + 1) * size
    return wave[int(heard[0]) * size : end]

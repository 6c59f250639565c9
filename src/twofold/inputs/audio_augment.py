"""Changes to sounds in training: to their samples, then to their bands (SpecAugment; Park et al. 2019)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from twofold.errors import RecipeError, nearest
from twofold.inputs.padded import Padded, changed_each

__all__ = ["AudioAugment", "audio_augmentation"]

VOICES = (1.0, 0.86, 0.93, 1.07, 1.15)
"""Speeds at which a recording counts as one of another speaker (x-vector recipes take .9, 1 and 1.1; Snyder 2018)."""

ON_BANDS = (0, 0, 0, 1000)
"""Added to the variant in an item's key, so that bands have random numbers of their own."""

BOUNDS = {"gain": 60.0, "channel": 60.0, "noise": 10.0}
"""Largest values of what is not a share: decibels, and noise to sound."""

CURVE = 4
"""Points of the curve that a microphone and a room lay over the bands."""


@dataclass(frozen=True, kw_only=True)
class AudioAugment:
    """How a sound changes, in this order. All but the last three change the samples.

    Attributes:
        speed: it is played faster or slower by up to this share, which changes the pitch, too (Ko
            et al. 2015).
        crop: up to this share of it is left out, at both ends together.
        shift: it begins earlier or later by up to this share of its length; what is pushed out is
            lost, and silence follows.
        gain: decibels by which it gets louder or softer, at most.
        noise: white noise of up to this share of its RMS (.1 is 20 dB below it).
        warp: frequencies are stretched by up to this share, as by a longer or shorter vocal tract
            (Jaitly & Hinton 2013).
        channel: decibels by which a smooth curve over the bands changes them, at most.
        mask_bands, mask_time: a run of up to this share of the bands, or of the frames, takes the
            mean (SpecAugment).
        voices_as_classes: the same recording at five speeds counts as five speakers.
        reversed_as_classes: a word played backwards is another word.
    """

    speed: float = 0.0
    crop: float = 0.0
    shift: float = 0.0
    gain: float = 0.0
    noise: float = 0.0
    warp: float = 0.0
    channel: float = 0.0
    mask_bands: float = 0.0
    mask_time: float = 0.0
    voices_as_classes: bool = False
    reversed_as_classes: bool = False
    logarithmic: bool = field(default=True, metadata={"set": False})
    most: int = field(default=2**31, metadata={"set": False})
    bands_of: Callable[[Padded], Padded] | None = field(default=None, metadata={"set": False})

    SHARES: ClassVar[tuple[str, ...]] = (
        "speed",
        "crop",
        "shift",
        "warp",
        "mask_bands",
        "mask_time",
    )

    @property
    def variants(self) -> int:
        """Classes that are made of one."""
        voices = len(VOICES) if self.voices_as_classes else 1
        return voices * (2 if self.reversed_as_classes else 1)

    def __call__(self, batch: Padded, keys: Int[np.ndarray, "batch 4"]) -> Padded:
        """The batch changed; what happens to an item depends on its key (seed, epoch, item, variant) alone.

        Returns:
            samples, or bands where bands are changed: the input's `normalise` takes both.
        """
        variants = iter(keys[:, 3].tolist())
        found = changed_each(
            batch, keys, lambda wave, random: self._changed(wave, random, next(variants))
        )
        if self.bands_of is None or not any(
            (self.warp, self.channel, self.mask_bands, self.mask_time)
        ):
            return found
        return changed_each(self.bands_of(found), keys + np.array(ON_BANDS), self._on_bands)

    def _changed(self, wave: np.ndarray, random: np.random.Generator, variant: int) -> np.ndarray:
        speed = 1 + self.speed * random.uniform(-1, 1)
        if self.reversed_as_classes:
            variant, backwards = divmod(variant, 2)
            wave = wave[::-1] if backwards else wave
        if self.voices_as_classes:
            speed *= VOICES[variant]
        wave = _played(wave, speed)[: self.most]
        kept = max(round(len(wave) * (1 - self.crop * random.uniform())), 1)
        start = int(random.integers(len(wave) - kept + 1))
        wave = wave[start : start + kept]
        wave = _moved(wave, round(len(wave) * self.shift * random.uniform(-1, 1)))
        wave = wave * 10 ** (self.gain * random.uniform(-1, 1) / 20)
        loud = float(np.sqrt(np.mean(np.square(wave)))) * self.noise * random.uniform()
        if loud:
            wave = wave + loud * random.standard_normal(len(wave), np.float32)
        return wave.astype(np.float32)

    def _on_bands(
        self, bands: Float[np.ndarray, "frames bands"], random: np.random.Generator
    ) -> Float[np.ndarray, "frames bands"]:
        count = bands.shape[1]
        if self.warp:
            places = np.arange(count) * (1 + self.warp * random.uniform(-1, 1))
            below = np.minimum(places.astype(int), count - 1)
            share = (places - below).clip(0, 1).astype(np.float32)
            above = np.minimum(below + 1, count - 1)
            bands = bands[:, below] * (1 - share) + bands[:, above] * share
        if self.channel:
            points = random.uniform(-1, 1, CURVE) * self.channel * np.log(10) / 10
            curve = np.interp(np.linspace(0, CURVE - 1, count), np.arange(CURVE), points)
            bands = bands + curve if self.logarithmic else bands * np.exp(curve)
        return self._masked(bands.astype(np.float32), random)

    def _masked(
        self, bands: Float[np.ndarray, "frames bands"], random: np.random.Generator
    ) -> Float[np.ndarray, "frames bands"]:
        """Hidden frames take the mean of the others, hidden bands their own: norms make both zero."""
        hidden = _run(bands.shape[0], self.mask_time, random)
        if not hidden.all():
            bands[hidden] = bands[~hidden].mean(axis=0)
        hidden = _run(bands.shape[1], self.mask_bands, random)
        bands[:, hidden] = bands[:, hidden].mean(axis=0)
        return bands


def _run(size: int, share: float, random: np.random.Generator) -> Bool[np.ndarray, "places"]:
    """A run of places, at most that share of all."""
    count = int(size * share * random.uniform())
    start = int(random.integers(size - count + 1))
    places = np.arange(size)
    return (places >= start) & (places < start + count)


def _played(wave: np.ndarray, speed: float) -> np.ndarray:
    """The sound faster by a factor: its spectrum cut off or continued with zeros."""
    size = max(round(len(wave) / speed), 1)
    if size == len(wave):
        return wave
    spectrum = np.fft.rfft(wave)
    wanted = np.zeros(size // 2 + 1, spectrum.dtype)
    shared = min(len(spectrum), len(wanted))
    wanted[:shared] = spectrum[:shared]
    return np.fft.irfft(wanted, size) * (size / len(wave))


def _moved(wave: np.ndarray, places: int) -> np.ndarray:
    if not places:
        return wave
    silence = np.zeros(abs(places), wave.dtype)
    if places > 0:
        return np.concatenate([silence, wave[:-places]])
    return np.concatenate([wave[-places:], silence])


def audio_augmentation(
    settings: Mapping[str, Any],
    *,
    logarithmic: bool,
    most: int,
    bands_of: Callable[[Padded], Padded],
) -> AudioAugment:
    """`AudioAugment` of these settings.

    Args:
        logarithmic: whether bands are logarithms of power.
        most: samples of a sound at most.
        bands_of: samples -> bands, as the input makes them.

    Raises:
        RecipeError: an unknown setting, or a value that does not fit.
    """
    known = [each for each in fields(AudioAugment) if each.metadata.get("set", True)]
    kinds = {each.name: type(each.default) for each in known}
    for name, value in settings.items():
        if name not in kinds:
            raise RecipeError(f"augment.{name} is not a change of sounds: {nearest(name, kinds)}")
        if kinds[name] is bool:
            if not isinstance(value, bool):
                raise RecipeError(f"augment.{name} = {value!r}: true or false belongs there")
            continue
        top = 1.0 if name in AudioAugment.SHARES else BOUNDS[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= top:
            raise RecipeError(
                f"augment.{name} = {value!r}: a number from 0 to {top:g} belongs there"
            )
    return AudioAugment(**settings, logarithmic=logarithmic, most=most, bands_of=bands_of)

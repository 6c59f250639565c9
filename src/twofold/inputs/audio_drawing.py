"""A sound as a picture: the waveform above the spectrogram, time from left to right."""

from itertools import pairwise

import numpy as np
import PIL.Image
from jaxtyping import Float, Float32, UInt8

__all__ = ["drawn"]

WIDTH, WAVE_HEIGHT, SPECTRUM_HEIGHT = 240, 40, 80
"""Pixels."""

WINDOW = 0.025
"""Seconds of a frame."""

SHOWN_DECIBELS = 60.0
"""Between the loudest place of a spectrogram and its darkest colour."""

COLOURS = np.array(
    [[13, 8, 35], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], np.float64
)
"""From soft to loud."""

PAPER, INK = (245, 245, 247), (70, 90, 160)


def drawn(wave: Float32[np.ndarray, "samples"], rate: int) -> UInt8[np.ndarray, "height width 3"]:
    """A picture of 240 x 120 pixels; frequencies run from 0 at the bottom to half the rate at the top."""
    return np.concatenate([_waveform(wave), _coloured(_spectrum(wave, rate))])


def _waveform(wave: np.ndarray) -> UInt8[np.ndarray, "height width 3"]:
    picture = np.tile(np.array(PAPER, np.uint8), (WAVE_HEIGHT, WIDTH, 1))
    ends = np.linspace(0, len(wave), WIDTH + 1).astype(int)
    top = max(float(np.abs(wave).max()), 1e-9)
    middle = (WAVE_HEIGHT - 1) / 2
    for column, (start, end) in enumerate(pairwise(ends)):
        part = wave[start : max(end, start + 1)] / top
        if len(part):
            first = int(middle - part.max() * middle)
            picture[first : int(np.ceil(middle - part.min() * middle)) + 1, column] = INK
    return picture


def _spectrum(wave: np.ndarray, rate: int) -> Float[np.ndarray, "height width"]:
    """Loudness from 0 to 1, high frequencies above."""
    size = max(round(WINDOW * rate), 2)
    starts = np.linspace(0, max(len(wave) - 1, 0), WIDTH).astype(int)
    silent = np.concatenate([np.zeros(size // 2), wave, np.zeros(size)])
    frames = np.lib.stride_tricks.sliding_window_view(silent, size)[starts] * np.hanning(size)
    power = 10 * np.log10(np.square(np.abs(np.fft.rfft(frames, axis=1))).T[::-1] + 1e-10)
    loud = np.clip((power - power.max()) / SHOWN_DECIBELS + 1, 0, 1).astype(np.float32)
    image = PIL.Image.fromarray(loud).resize(
        (WIDTH, SPECTRUM_HEIGHT), PIL.Image.Resampling.BILINEAR
    )
    return np.asarray(image, np.float64)


def _coloured(shares: Float[np.ndarray, "height width"]) -> UInt8[np.ndarray, "height width 3"]:
    stops = np.linspace(0, 1, len(COLOURS))
    channels = [np.interp(shares, stops, COLOURS[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=2).round().astype(np.uint8)

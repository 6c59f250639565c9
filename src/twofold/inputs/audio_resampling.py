"""Another sampling rate: windowed sinc, block by block, so that a sound of any length takes little memory."""

import functools
import math
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Float32, Int

__all__ = ["resampled"]

ZERO_CROSSINGS = 16
"""Of the sinc at each side of a sample: aliases are 60 dB down beyond a tenth of the band."""

ROLL_OFF = 0.945
"""Cut-off frequency as a share of the lower of both Nyquist frequencies."""

KAISER_BETA = 8.6
"""Side lobes of the window 90 dB down (Kaiser 1974: beta = 0.1102 (90 - 8.7))."""

AT_ONCE = 2**14
"""Samples that are computed at once: some ten megabytes."""

Wave = Float32[np.ndarray, "samples"]


def resampled(blocks: Iterable[np.ndarray], rate: int, wanted: int) -> Iterator[np.ndarray]:
    """The same sound at the rate `wanted`; how it is divided into blocks changes nothing.

    Sample n of the result is the sum of the samples around n * rate / wanted, weighted by a sinc
    that is cut off below the lower of both Nyquist frequencies. There is silence before and after
    the sound. A sound of n samples becomes one of ceil(n * wanted / rate).

    Args:
        blocks: the samples in order.
        rate, wanted: samples per second.
    """
    if rate == wanted:
        yield from blocks
        return
    shared = math.gcd(rate, wanted)
    up, down = wanted // shared, rate // shared
    table = _weights(up, down)
    half = table.shape[1] // 2
    held, first = np.zeros(half - 1, np.float32), 1 - half
    done = given = 0
    for block in blocks:
        given += len(block)
        held = np.concatenate([held, block])
        # the last sample whose neighbours are all there
        ready = max(((given - half) * up - 1) // down + 1, done)
        yield _sums(held, table, np.arange(done, ready), (up, down, first))
        done = ready
        gone = max(done * down // up - half + 1 - first, 0)
        held, first = held[gone:], first + gone
    held = np.concatenate([held, np.zeros(half + 1, np.float32)])
    yield _sums(held, table, np.arange(done, -(-given * up // down)), (up, down, first))


def _sums(
    held: Wave,
    table: Float32[np.ndarray, "phases taps"],
    places: Int[np.ndarray, "wanted"],
    ratio: tuple[int, int, int],
) -> Float32[np.ndarray, "wanted"]:
    """The samples at some places of the result.

    Args:
        ratio: steps up and down, and which sample of the sound `held` begins with.
    """
    up, down, first = ratio
    half = table.shape[1] // 2
    around = np.lib.stride_tricks.sliding_window_view(held, table.shape[1]) if len(places) else held
    found = np.empty(len(places), np.float32)
    for start in range(0, len(places), AT_ONCE):
        at = places[start : start + AT_ONCE] * down
        weights = table[at % up] if up > 1 else table
        samples = around[at // up - half + 1 - first]
        found[start : start + len(at)] = (samples * weights).sum(axis=1)
    return found


@functools.lru_cache(maxsize=4)
def _weights(up: int, down: int) -> Float32[np.ndarray, "phases taps"]:
    """The windowed sinc at the distances of the neighbours, for each place between two samples."""
    cut_off = ROLL_OFF * min(1.0, up / down)
    half = math.ceil(ZERO_CROSSINGS / cut_off)
    between = np.arange(up)[:, None] / up
    distances = np.arange(1 - half, half + 1) - between
    window = np.i0(KAISER_BETA * np.sqrt(np.clip(1 - (distances / half) ** 2, 0, 1)))
    weights = cut_off * np.sinc(cut_off * distances) * window
    # a constant stays what it is
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)

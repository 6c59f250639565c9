"""Spectrograms on torch: mel bands (Slaney 1998) and cepstra (MFCC; Davis & Mermelstein 1980) of padded batches."""

import functools
import math

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor
from torch.nn import functional as F

from twofold.inputs.padded import Padded

__all__ = ["cepstra", "levelled", "mel_bank", "mel_frames", "stretched"]

LINEAR_MEL = 200 / 3
"""Hertz of one mel below 1 kHz, in Slaney's Auditory Toolbox (1998)."""

BEND = 1000.0
"""Hertz above which mels are logarithmic."""

LOGARITHMIC_MEL = math.log(6.4) / 27
"""Of the frequency's logarithm, per mel above the bend."""

SOFTEST = 1e-6
"""Power that is added below a logarithm: some 40 dB below a band of speech at -30 dBFS."""

STEADY = 1e-3
"""Smallest deviation by which a band is divided: bands of silence would else become noise."""


def mel_frames(
    waves: Float[Tensor, "items samples"],
    lengths: Int[Tensor, "items"],
    *,
    window: int,
    step: int,
    bank: Float32[np.ndarray, "bands bins"],
) -> Padded:
    """Power of the mel bands in frames of Hann windows; frame i is centred on sample i * step.

    There is silence before and after a sound. Frames are as many as have their centre inside it.

    Args:
        waves: what stands beyond a length has no meaning.
        window, step: in samples.
        bank: weights of each frequency in each band.
    """
    inside = torch.arange(waves.shape[1], device=waves.device) < lengths[:, None]
    frames = -(-lengths // step)
    most = int(frames.max())
    beyond = max((most - 1) * step + window - waves.shape[1] - window // 2, 0)
    silent = F.pad(waves.masked_fill(~inside, 0), (window // 2, beyond))
    shape = torch.hann_window(window, device=waves.device)
    spectrum = torch.stft(silent, window, step, window=shape, center=False, return_complex=True)
    power = torch.view_as_real(spectrum).square().sum(dim=-1)[:, :, :most]
    weights = torch.from_numpy(bank).to(waves.device)
    return Padded((weights @ power).mT, frames)


@functools.lru_cache(maxsize=8)
def mel_bank(
    rate: int, window: int, bands: int, between: tuple[float, float]
) -> Float32[np.ndarray, "bands bins"]:
    """Triangles of equal area on the mel scale (Slaney 1998): the weight of each frequency in each band.

    Args:
        between: lowest and highest hertz.
    """
    low, high = between
    edges = _hertz(np.linspace(_mel(low), _mel(high), bands + 2))
    frequencies = np.arange(window // 2 + 1) * rate / window
    widths = np.diff(edges)[:, None]
    rising = (frequencies - edges[:-2, None]) / widths[:-1]
    falling = (edges[2:, None] - frequencies) / widths[1:]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * (2 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


def _mel(hertz: float) -> float:
    if hertz < BEND:
        return hertz / LINEAR_MEL
    return BEND / LINEAR_MEL + math.log(hertz / BEND) / LOGARITHMIC_MEL


def _hertz(mel: np.ndarray) -> np.ndarray:
    bend = BEND / LINEAR_MEL
    return np.where(
        mel < bend, mel * LINEAR_MEL, BEND * np.exp(LOGARITHMIC_MEL * np.maximum(mel - bend, 0))
    )


def cepstra(bands: Float[Tensor, "items frames bands"], count: int) -> Tensor:
    """The first coefficients of the orthonormal cosine transform of logarithmic bands (DCT-II)."""
    size = bands.shape[2]
    places = torch.arange(size, device=bands.device) + 0.5
    orders = torch.arange(count, device=bands.device)
    waves = torch.cos(math.pi / size * orders[:, None] * places) * math.sqrt(2 / size)
    waves[0] /= math.sqrt(2)
    return bands @ waves.T


def levelled(batch: Padded, *, deviation: bool) -> Padded:
    """Each band of each item with a mean of 0 over the item's frames and, if asked, a deviation of 1."""
    mask = batch.mask[..., None]
    values = batch.values.masked_fill(~mask, 0)
    count = batch.lengths[:, None, None]
    centred = (values - values.sum(dim=1, keepdim=True) / count).masked_fill(~mask, 0)
    if deviation:
        variance = centred.square().sum(dim=1, keepdim=True) / count
        centred = centred / variance.sqrt().clamp(min=STEADY)
    return Padded(centred, batch.lengths)


def stretched(batch: Padded, frames: int) -> Float[Tensor, "items 1 bands frames"]:
    """Each item with `frames` frames, interpolated: a picture of its bands (rows) over time (columns)."""
    ends = (batch.lengths - 1).clamp(min=0)[:, None]
    places = torch.linspace(0, 1, frames, device=batch.values.device) * ends
    before = places.floor().long()
    after = torch.minimum(before + 1, ends)
    rows = torch.arange(len(batch), device=batch.values.device)[:, None]
    share = (places - before)[..., None].to(batch.values.dtype)
    found = batch.values[rows, before] * (1 - share) + batch.values[rows, after] * share
    return found.mT[:, None]

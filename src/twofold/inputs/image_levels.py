"""Samples of any depth as levels from 0 to 255, a block at a time: pictures of 25 million pixels fit into memory."""

import numpy as np
from jaxtyping import Shaped, UInt8

__all__ = ["levels"]

BLOCK = 2**20
"""Samples that are computed together, in 64 bits each."""


def levels(samples: Shaped[np.ndarray, "..."], low: int, high: int) -> UInt8[np.ndarray, "..."]:
    """low..high -> 0..255 linearly, rounded; what lies beyond counts as the end."""
    if samples.dtype == np.uint8 and (low, high) == (0, 255):
        return samples
    found = np.empty(samples.shape, np.uint8)
    flat, out, span = samples.reshape(-1), found.reshape(-1), high - low
    for start in range(0, len(flat), BLOCK):
        spread = np.clip(flat[start : start + BLOCK].astype(np.int64) - low, 0, span)
        out[start : start + BLOCK] = (510 * spread + span) // (2 * span)
    return found

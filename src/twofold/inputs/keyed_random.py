"""Random numbers that are a function of a key, so that what happens to an item depends on nothing else.

A key is (seed, epoch, item, variant). Neither the batch that an item stands in, nor the order of
calls, nor the device or the number of workers changes what it gets (law 11).
"""

import functools

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

__all__ = ["normal", "streams", "uniform"]

# Constants of splitmix64 (Steele, Lea & Flood 2014, figure 15), as two's complement: torch has no
# unsigned shifts.
_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_FIRST = 0xBF58476D1CE4E5B9 - (1 << 64)
_SECOND = 0x94D049BB133111EB - (1 << 64)


def streams(keys: Int[np.ndarray, "batch 4"]) -> Int[Tensor, "batch"]:
    """One 64-bit state a key, from which `uniform` and `normal` draw."""
    parts = torch.from_numpy(keys.astype(np.int64))
    state = torch.zeros(len(keys), dtype=torch.int64)
    for part in parts.unbind(1):
        state = _mix(state ^ part)
    return state


def uniform(streams: Int[Tensor, "batch"], slot: int) -> Float64[Tensor, "batch"]:
    """Numbers in [0, 1), one a stream; another slot gives independent ones."""
    return _shift_right(_mix(streams + slot), 11).double() * 2.0**-53


def normal(streams: Int[Tensor, "batch"], slot: int, count: int) -> Float[Tensor, "batch count"]:
    """Standard normal numbers, `count` a stream, on the streams' device; 65,536 levels between -4.3 and 4.3."""
    states = _mix(streams + slot)
    places = torch.arange((count + 3) // 4, device=streams.device)
    lanes = _mix(states[:, None] + places).view(torch.int16)[:, :count]
    return _quantiles().to(streams.device)[lanes.int() + 32768]


@functools.cache
def _quantiles() -> Float[Tensor, "levels"]:
    """The normal quantile at the middle of each of 65,536 equal steps: one look-up a number."""
    levels = torch.arange(65536, dtype=torch.float64)
    return torch.special.ndtri((levels + 0.5) / 65536).float()


def _mix(state: Tensor) -> Tensor:
    state = state + _GOLDEN
    state = (state ^ _shift_right(state, 30)) * _FIRST
    state = (state ^ _shift_right(state, 27)) * _SECOND
    return state ^ _shift_right(state, 31)


def _shift_right(state: Tensor, bits: int) -> Tensor:
    return (state >> bits) & ((1 << (64 - bits)) - 1)

"""Numbers by key: always the same, evenly spread, and independent over keys, slots and pixels."""

import numpy as np
import pytest
import torch

from twofold.inputs.keyed_random import normal, streams, uniform


def keys(count: int, varying: int) -> np.ndarray:
    table = np.tile(np.array([3, 0, 7, 0], np.int64), (count, 1))
    table[:, varying] = np.arange(count)
    return table


def splitmix64(state: int) -> int:
    """One step of the generator as its authors print it, in Python's whole numbers."""
    mask = (1 << 64) - 1
    state = (state + 0x9E3779B97F4A7C15) & mask
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
    return state ^ (state >> 31)


def test_against_whole_numbers():
    table = np.array([[0, 1, 2, 3], [-5, 10**12, 0, 1]], np.int64)
    for row, state in zip(table, streams(table).tolist(), strict=True):
        expected = 0
        for part in row.tolist():
            expected = splitmix64(expected ^ (part % (1 << 64)))
        assert state % (1 << 64) == expected
        slot = 11
        number = (splitmix64((expected + slot) % (1 << 64)) >> 11) * 2.0**-53
        assert uniform(streams(row[None]), slot).item() == number


def test_the_published_first_output():
    assert splitmix64(1234567) == 6457827717110365317


@pytest.mark.parametrize("varying", range(4))
def test_uniform_is_uniform_and_slots_are_independent(varying):
    state = streams(keys(20_000, varying))
    numbers = torch.stack([uniform(state, slot) for slot in range(20)])
    assert numbers.min() >= 0 and numbers.max() < 1
    counts = torch.stack([torch.histc(row, 20, 0, 1) for row in numbers])
    # 19 degrees of freedom: mean 19, deviation 6.2
    chi_square = ((counts - 1000) ** 2 / 1000).sum(dim=1)
    assert chi_square.max() < 50
    others = torch.corrcoef(numbers) - torch.eye(20)
    assert others.abs().max() < 5 / 20_000**0.5


def test_normal_is_normal_and_pixels_are_independent():
    samples = normal(streams(keys(400, 2)), 14, 1225)
    assert samples.shape == (400, 1225)
    assert samples.mean().abs() < 5 / samples.numel() ** 0.5
    assert samples.var().item() == pytest.approx(1, abs=0.01)
    assert (samples**4).mean().item() == pytest.approx(3, abs=0.05)
    for lag in (1, 2, 3, 4, 35):
        assert (samples[:, lag:] * samples[:, :-lag]).mean().abs() < 0.01
    assert (samples[1:] * samples[:-1]).mean().abs() < 0.01


def test_a_stream_depends_on_its_own_key_alone():
    table = keys(50, 2)
    some = np.array([31, 4, 17])
    assert torch.equal(normal(streams(table), 5, 30)[some], normal(streams(table[some]), 5, 30))
    assert torch.equal(normal(streams(table), 5, 30)[:, :7], normal(streams(table), 5, 7))

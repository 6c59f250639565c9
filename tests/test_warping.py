"""Time warping as a comparison: what its definition says, in both directions, with gradients, in every verb."""

import numpy as np
import pytest
import torch

from twofold.comparison import Warping, named
from twofold.errors import UsageError
from twofold.warping import aligned


def slow(costs: torch.Tensor, band: int) -> float:
    """The recursion, cell by cell."""
    rows, cols = costs.shape
    total = np.full((rows + 1, cols + 1), np.inf)
    total[0, 0] = 0
    for i in range(rows):
        for j in range(cols):
            if abs(i - j) <= band:
                before = min(total[i, j], total[i, j + 1], total[i + 1, j])
                total[i + 1, j + 1] = float(costs[i, j]) + before
    return total[-1, -1] / (rows + cols)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("band", [0, 1, 3, 20])
def test_the_best_path_by_its_definition(band):
    costs = drawn(5, 7, 7).abs()
    expected = torch.tensor([slow(each, band) for each in costs], dtype=torch.float64)
    torch.testing.assert_close(aligned(costs, band=band), expected)


def test_distances_are_symmetric_and_zero_for_equal_sequences(monkeypatch):
    comparison = Warping(12, frames=4, band=2)
    a, b = drawn(5, 12), drawn(6, 12, seed=1)
    found = comparison.block(a, b)
    torch.testing.assert_close(found, comparison.block(b, a).mT)
    torch.testing.assert_close(found[:, :5].diagonal(), comparison.pairs(a, b[:5]))
    torch.testing.assert_close(comparison.pairs(a, a), torch.zeros(5).double(), atol=1e-12, rtol=0)
    monkeypatch.setattr("twofold.warping.PAIRS", 4)
    torch.testing.assert_close(comparison.block(a, b), found)
    torch.testing.assert_close(comparison.pairs(a, b[:5]), found[:, :5].diagonal())
    assert comparison.block(a[:0], b).shape == (0, 6)
    assert comparison.pairs(a[:0], b[:0]).shape == (0,)


def test_a_sequence_that_runs_late_is_nearer_than_frame_by_frame():
    frames = drawn(8, 3)
    late = torch.cat([frames[:1], frames[:-1]])
    a, b = frames.flatten()[None], late.flatten()[None]
    warped = Warping(24, frames=8, band=2).pairs(a, b)
    stiff = Warping(24, frames=8, band=0).pairs(a, b)
    assert float(warped) < 0.2 * float(stiff)


def test_gradients():
    comparison = Warping(8, frames=4, band=1)
    inputs = (drawn(3, 8).requires_grad_(), drawn(2, 8, seed=1).requires_grad_())
    assert torch.autograd.gradcheck(comparison.block, inputs)


def test_half_precision_is_raised():
    comparison = Warping(8, frames=4)
    a = drawn(3, 8).bfloat16()
    assert comparison.block(a, a).dtype == torch.float32


def test_numbers_that_do_not_fit():
    with pytest.raises(UsageError, match="embedding of 10 numbers"):
        named("Warping", dim=10, frames=4)
    with pytest.raises(UsageError, match=r"comparison\.band = -1"):
        named("Warping", dim=8, frames=4, band=-1)
    with pytest.raises(UsageError, match=r"comparison\.frames = 2\.5"):
        named("Warping", dim=8, frames=2.5)

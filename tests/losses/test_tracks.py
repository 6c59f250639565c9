"""Losses over maps of tracking: what is right costs least."""

import pytest
import torch

from twofold.errors import BatchError, UsageError
from twofold.losses import tracks

STRIDE = 8
BOXES = torch.tensor([[20.0, 24.0, 44.0, 56.0], [torch.nan] * 4])


def maps(middle: tuple[int, int], *, height: float = 6.0) -> tuple[torch.Tensor, torch.Tensor]:
    """A peak at a cell in both windows, and everywhere the sides of the first box about its middle."""
    scores = torch.full((2, 10, 10), -6.0)
    scores[0, middle[0], middle[1]] = height
    place = (torch.arange(10) + 0.5) * STRIDE
    x, y = place[None, :].expand(10, 10), place[:, None].expand(10, 10)
    left, top, right, bottom = BOXES[0]
    sides = torch.stack([x - left, y - top, right - x, bottom - y])
    return scores, sides[None].repeat(2, 1, 1, 1)


@pytest.mark.parametrize("name", tracks.__all__)
def test_a_peak_at_the_middle_costs_least(name: str):
    loss = getattr(tracks, name)
    right = loss(*maps((4, 3)), BOXES, STRIDE)
    assert float(right) < float(loss(*maps((4, 8)), BOXES, STRIDE))
    scores, sides = maps((4, 3))
    seen = scores.clone()
    seen[1, 5, 5] = 6.0
    assert float(right) < float(loss(seen, sides, BOXES, STRIDE))


def test_wrong_boxes_cost_more():
    scores, sides = maps((4, 3))
    right = tracks.peak_and_box(scores, sides, BOXES, STRIDE)
    assert float(tracks.peak_and_box(scores, sides * 1.3, BOXES, STRIDE)) > float(right) + 0.1
    free = tracks.peak_and_box(scores, sides * 1.3, BOXES, STRIDE, box_weight=0.0)
    torch.testing.assert_close(
        free, tracks.peak_and_box(scores, sides, BOXES, STRIDE, box_weight=0.0)
    )


@pytest.mark.parametrize("name", tracks.__all__)
def test_gradients_are_finite_where_nothing_is_there(name: str):
    scores, sides = (each.requires_grad_() for each in maps((4, 3)))
    getattr(tracks, name)(scores, sides, BOXES[[1, 1]], STRIDE).backward()
    assert scores.grad is not None and bool(scores.grad.isfinite().all())


@pytest.mark.parametrize("name", tracks.__all__)
def test_what_does_not_fit_is_refused(name: str):
    scores, sides = maps((4, 3))
    with pytest.raises(BatchError, match="maps of one size and a box each"):
        getattr(tracks, name)(scores, sides[:, :, :5], BOXES, STRIDE)


def test_numbers_out_of_their_range():
    with pytest.raises(UsageError, match="spread"):
        tracks.peak_and_box(*maps((4, 3)), BOXES, STRIDE, spread=0.0)

"""What is read from maps: the box about the peak, its lead, and the penalties."""

import numpy as np
import pytest
import torch

from twofold.tracking.readings import Smoothing, look, read

PLAIN = Smoothing(window=0.0, change=0.0, rate=1.0)


def maps(rows: int = 16, *, peak: tuple[int, int], box: tuple[float, float, float, float]):
    """Scores with one peak, and sides that all say the same box (centre x, y, width, height), 8 pixels a cell."""
    scores = np.full((rows, rows), -6.0)
    scores[peak] = 3.0
    x, y, width, height = box
    across = (np.arange(rows) + 0.5) * 8
    left, top = across[None] - (x - width / 2), across[:, None] - (y - height / 2)
    right, bottom = (x + width / 2) - across[None], (y + height / 2) - across[:, None]
    shape = (rows, rows)
    sides = np.stack([np.broadcast_to(each, shape) for each in (left, top, right, bottom)])
    return scores, sides


def reading(scores, sides, *, smoothing=PLAIN, windowed=False, expected=(30.0, 20.0)):
    return read(scores, sides, stride=8, expected=expected, smoothing=smoothing, windowed=windowed)


def test_the_box_of_the_peak():
    scores, sides = maps(peak=(5, 9), box=(77.0, 45.0, 30.0, 20.0))
    found = reading(scores, sides)
    assert np.allclose(found.box, [77, 45, 30, 20])
    assert found.logit == 3.0 and found.margin == 9.0
    assert found.size == pytest.approx(1.0) and found.spread == pytest.approx(0.0, abs=1e-9)


def test_a_second_object_takes_the_lead_away():
    scores, sides = maps(peak=(5, 9), box=(77.0, 45.0, 30.0, 20.0))
    scores[13, 2] = 2.5
    assert reading(scores, sides).margin == 0.5


def test_cells_of_the_same_object_are_no_second_one():
    scores, sides = maps(peak=(5, 9), box=(77.0, 45.0, 30.0, 20.0))
    scores[6, 10] = 2.9
    assert reading(scores, sides).margin == 9.0


def test_the_middle_is_preferred_only_where_it_is_asked():
    scores, sides = maps(peak=(1, 1), box=(64.0, 64.0, 30.0, 20.0))
    scores[8, 8] = 2.0
    heavy = Smoothing(window=0.5, change=0.0, rate=1.0)
    assert reading(scores, sides, smoothing=heavy).logit == 3.0
    assert reading(scores, sides, smoothing=heavy, windowed=True).logit == 2.0


def test_a_change_of_size_costs():
    scores, sides = maps(peak=(5, 9), box=(77.0, 45.0, 30.0, 20.0))
    sides[:, 5, 9] *= 2
    scores[12, 3] = 2.5
    strict = Smoothing(window=0.0, change=1.0, rate=1.0)
    assert reading(scores, sides).logit == 3.0
    assert reading(scores, sides, smoothing=strict).logit == 2.5


def test_a_look_is_taken_at_the_box():
    features = torch.zeros(2, 3, 16, 16)
    features[1, :, 4:8, 8:12] = torch.tensor([1.0, 2.0, 2.0])[:, None, None]
    inside, outside = (
        look([features], np.array([x, y, 12.0, 12.0]), 128, 1)[0] for x, y in ((80, 48), (20, 100))
    )
    assert torch.linalg.vector_norm(inside) == pytest.approx(1.0, abs=1e-5)
    assert torch.allclose(
        inside.view(3, 25)[:, 0] * 3 * 5, torch.tensor([1.0, 2.0, 2.0]), atol=1e-4
    )
    assert outside.abs().max() == 0

"""What the two average-precision losses promise of the average precision itself."""

import pytest
import torch

from twofold import losses
from twofold.comparison import Plain
from twofold.errors import UsageError

LABELS = torch.arange(24) % 5
COSINE = Plain("cosine")


def average_precision(x):
    """Mean over anchors, by the definition: sort, and count the positives at each positive's place."""
    block, found = COSINE.block(x, x), []
    for i in range(len(x)):
        order = [j for j in block[i].argsort().tolist() if j != i]
        places = [place for place, j in enumerate(order, 1) if LABELS[j] == LABELS[i]]
        found.append(sum(count / place for count, place in enumerate(places, 1)) / len(places))
    return sum(found) / len(found)


@pytest.mark.parametrize("temperature", [1e-3, 1e-2, 0.1])
def test_roadmap_bounds_the_average_precision_from_above(temperature, batch):
    for seed in range(3):
        x = batch(24, 6, seed)
        bound = losses.roadmap(
            x, LABELS, comparison=COSINE, temperature=temperature, calibration=0.0
        )
        assert float(bound) >= 1 - average_precision(x)


def test_smooth_ap_comes_close_to_it(batch):
    x = batch(24, 6)
    assert float(losses.smooth_ap(x, LABELS, comparison=COSINE, temperature=1e-4)) == pytest.approx(
        1 - average_precision(x), abs=1e-3
    )


def test_roadmap_still_has_a_slope_where_smooth_ap_is_flat():
    """A positive far behind a negative: the sigmoid is 1 and flat there, the bound a line."""
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]], dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 0, 1])
    (flat,) = torch.autograd.grad(losses.smooth_ap(x, labels, comparison=COSINE), x)
    (steep,) = torch.autograd.grad(losses.roadmap(x, labels, comparison=COSINE, calibration=0.0), x)
    assert float(flat.abs().max()) < 1e-6 and float(steep.abs().max()) > 1e-2


def test_what_is_refused(batch):
    with pytest.raises(UsageError, match=r"calibration must be a number from 0 to 1, not 1.5"):
        losses.roadmap(batch(24), LABELS, comparison=COSINE, calibration=1.5)
    with pytest.raises(UsageError, match=r"positive_margin 0.5 is beyond negative_margin 0.4"):
        losses.roadmap(batch(24), LABELS, comparison=COSINE, positive_margin=0.5)

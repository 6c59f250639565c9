"""Losses over maps: loops from their equations, gradients, pixels without a value, and what is refused."""

import math

import pytest
import torch
from torch import Tensor

from twofold.errors import BatchError, UsageError
from twofold.losses import maps

LOSSES = maps.__all__


def batch(seed: int = 0, *, changed: float = 0.3) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    distances = torch.randn(2, 5, 6, generator=generator, dtype=torch.float64) * 2
    targets = (torch.rand(2, 5, 6, generator=generator) < changed).double()
    return distances, targets, torch.rand(2, 5, 6, generator=generator) < 0.8


def pixels(distances: Tensor, targets: Tensor, valid: Tensor) -> list[tuple[float, float]]:
    each = zip(distances.flatten(), targets.flatten(), valid.flatten(), strict=True)
    return [(float(d), float(t)) for d, t, v in each if v]


def by_loop(name: str, cells: list[tuple[float, float]]) -> float:
    """The loss with its usual settings, one pixel at a time."""
    said = [(1 / (1 + math.exp(-d)), t) for d, t in cells]
    entropy = [-math.log(p if t else 1 - p) for p, t in said]
    both, sizes = sum(p * t for p, t in said), sum(p + t for p, t in said)
    dice = 1 - (2 * both + 1) / (sizes + 1)
    if name == "focal":
        missing = [1 - math.exp(-each) for each in entropy]
        return sum(0.5 * m**2 * e for m, e in zip(missing, entropy, strict=True)) / len(cells)
    if name == "contrastive":
        over = [max(d + 1, 0) ** 2 for d, t in cells if not t]
        short = [max(1 - d, 0) ** 2 for d, t in cells if t]
        return sum(over) / max(len(over), 1) + sum(short) / max(len(short), 1)
    mean = sum(entropy) / len(cells)
    return {"cross_entropy": mean, "dice": dice, "cross_entropy_dice": (mean + dice) / 2}[name]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("changed", [0.3, 0.0, 1.0])
def test_the_value_is_that_of_a_loop(name: str, changed: float):
    made = batch(1, changed=changed)
    found = float(getattr(maps, name)(*made))
    assert found == pytest.approx(by_loop(name, pixels(*made)), rel=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients(name: str):
    distances, targets, valid = batch(2)
    distances.requires_grad_()
    loss = getattr(maps, name)
    assert torch.autograd.gradcheck(lambda d: loss(d, targets, valid), (distances,))
    loss(distances, targets, valid).backward()
    assert distances.grad is not None and not bool(distances.grad[~valid].any())


@pytest.mark.parametrize("name", LOSSES)
def test_pixels_without_a_value_count_nowhere(name: str):
    distances, targets, valid = batch(3)
    loss = getattr(maps, name)
    other = torch.where(valid, distances, 50.0), torch.where(valid, targets, 1 - targets), valid
    assert float(loss(distances, targets, valid)) == float(loss(*other))
    nothing = torch.zeros_like(valid)
    assert math.isfinite(float(loss(distances, targets, nothing)))


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_right_and_sure_costs_little(name: str):
    _, targets, valid = batch(4)
    right, wrong = (targets * 2 - 1) * 20, (1 - targets * 2) * 20
    loss = getattr(maps, name)
    assert float(loss(right, targets, valid)) < 0.02 < 0.4 < float(loss(wrong, targets, valid))
    far = torch.full_like(targets, 1e4)
    for extreme in (far, -far):
        extreme.requires_grad_()
        loss(extreme, targets, valid).backward()
        assert extreme.grad is not None and bool(extreme.grad.isfinite().all())


@pytest.mark.parametrize("name", LOSSES)
def test_maps_of_other_sizes_are_refused(name: str):
    distances, targets, valid = batch()
    with pytest.raises(BatchError, match="maps of one size"):
        getattr(maps, name)(distances, targets[:, :4], valid)


def test_weights_weigh():
    distances, targets, valid = batch()
    heavy = maps.cross_entropy(distances, targets, valid, positive_weight=3.0)
    plain = maps.cross_entropy(distances, targets, valid)
    alone = maps.cross_entropy(distances, targets, valid & (targets == 1))
    share = float((valid & (targets == 1)).sum() / valid.sum())
    assert float(heavy) == pytest.approx(float(plain) + 2 * share * float(alone))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("cross_entropy", {"positive_weight": -1.0}),
        ("focal", {"gamma": -1.0}),
        ("focal", {"alpha": 2.0}),
        ("cross_entropy_dice", {"share": 1.5}),
        ("contrastive", {"positive_margin": 2.0, "negative_margin": 1.0}),
    ],
)
def test_settings_out_of_range_are_refused(name: str, settings: dict[str, float]):
    with pytest.raises(UsageError, match="must be a number from"):
        getattr(maps, name)(*batch(), **settings)

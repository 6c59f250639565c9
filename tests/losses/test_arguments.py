"""Every argument of every loss is bounded, and refused in one line with its name, its value and its range."""

import inspect
import math

import pytest
import torch

from twofold import losses
from twofold.comparison import Plain
from twofold.errors import BatchError, UsageError

GIVEN = {
    "embeddings",
    "labels",
    "comparison",
    "references",
    "distances",
    "targets",
    "triplets",
    "mining",
}
"""What is not a number and no flag; tests of batches and of triplets see to these."""

CASES = [
    (name, argument)
    for name in losses.__all__
    for argument in inspect.signature(getattr(losses, name)).parameters
    if argument not in GIVEN
]


def call(name, **settings):
    if name.startswith("pair_"):
        return getattr(losses, name)(torch.tensor([0.1, 0.9]), torch.tensor([1.0, 0.0]), **settings)
    if not name.islower():
        return getattr(losses, name)(**{"dim": 4, "classes": 3} | settings)
    x = torch.eye(4).repeat(2, 1) + 0.1
    return getattr(losses, name)(x, torch.arange(8) % 3, comparison=Plain("cosine"), **settings)


@pytest.mark.parametrize(("name", "argument"), CASES)
def test_out_of_range(name, argument, unchecked):
    usual = inspect.signature(getattr(losses, name)).parameters[argument].default
    kind = "True or False" if isinstance(usual, bool) else "a (whole )?number from"
    wrong = [
        math.nan,
        math.inf,
        -math.inf,
        1e30,
        -1e30,
        "0.1",
        None,
        *([2, "no"] if isinstance(usual, bool) else [True]),
    ]
    for value in wrong:
        with pytest.raises(
            UsageError, match=f"{argument} must be {kind}.*, not {value!r}".replace("+", r"\+")
        ):
            call(name, **{argument: value})
    call(name)


@pytest.mark.parametrize("name", ["nt_xent", "supcon", "smooth_ap", "roadmap"])
@pytest.mark.parametrize("temperature", [0, -0.1, 1e-9])
def test_a_temperature_is_above_zero(name, temperature):
    with pytest.raises(UsageError, match=r"temperature must be a number from 0.0001 to 1e\+06"):
        call(name, temperature=temperature)


def test_a_margin_that_teaches_nothing():
    for name, settings in (
        ("triplet", {"margin": -5}),
        ("triplet", {"margin": 0.0, "mining": "semi_hard"}),
        ("contrastive", {"negative_margin": 0.0}),
        ("roadmap", {"positive_margin": -0.1}),
    ):
        with pytest.raises(UsageError, match="margin must be a number from"):
            call(name, **settings)


@pytest.mark.parametrize("name", ["pair_contrastive", "pair_cross_entropy", "pair_regression"])
def test_pairs_are_tensors_of_floats(name, unchecked):
    with pytest.raises(BatchError, match="distances must be a tensor of floats, not list"):
        getattr(losses, name)([0.1, 0.9], torch.ones(2))
    with pytest.raises(BatchError, match=r"targets must be a tensor of floats, not torch.int64"):
        getattr(losses, name)(torch.ones(2), torch.ones(2, dtype=torch.int64))


def test_triplets_are_three_tensors(unchecked):
    for triplets in (
        (torch.zeros(1).long(),) * 2,
        ([0], [1], [2]),
        (torch.zeros(1),) * 3,
        (torch.zeros(1).long(), torch.zeros(1).long(), torch.zeros(2).long()),
    ):
        with pytest.raises(BatchError, match="triplets must be three tensors of whole numbers"):
            call("triplet", triplets=triplets)

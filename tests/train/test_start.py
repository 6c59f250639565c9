"""A training that made the weights of others worse says so, and names the bundle that has them."""

from types import SimpleNamespace

import pytest
import torch

from twofold import recipes
from twofold.data.synthetic import glyphs
from twofold.metrics.crossfit import CrossFit
from twofold.train import start
from twofold.train.start import worse_than_start

CPU = torch.device("cpu")


@pytest.fixture
def before(monkeypatch):
    """The equal error rate of the weights as they came is .02."""
    twin = SimpleNamespace(to=lambda device: twin, input=None, state_dict=dict)
    look = SimpleNamespace(measure=lambda *_, **__: {"eer": 0.02})
    monkeypatch.setattr(start.build, "twin", lambda recipe: twin)
    monkeypatch.setattr(start, "Validation", lambda items, input: look)
    return glyphs(6, 4, seed=0)


def test_worse_is_said_with_both_rates_and_the_way_back(before):
    (said,) = worse_than_start(recipes.face_head(), before, 0.05, CPU)
    assert "made it worse: on 6 identities" in said
    assert "is 0.0500, and 0.0200 with the weights as they came" in said
    assert "twofold calibrate face DATA --out BUNDLE" in said


@pytest.mark.parametrize("after", [0.02, 0.01])
def test_as_good_or_better_needs_no_word(before, after):
    assert worse_than_start(recipes.face_head(), before, after, CPU) == ()


def test_cross_fitted_scores_are_judged_by_their_own_rate(before):
    scores = CrossFit(
        scores=torch.tensor([0.9, 0.1, 0.2, 0.8]).numpy(),
        same=torch.tensor([True, True, False, False]).numpy(),
        first=torch.tensor([0, 1, 0, 0]).numpy(),
        second=torch.tensor([0, 1, 1, 1]).numpy(),
        fold=torch.zeros(4, dtype=torch.int64).numpy(),
    )
    assert "0.5000" in worse_than_start(recipes.face_head(), before, scores, CPU)[0]


def test_a_training_from_scratch_has_nothing_to_compare_with(before):
    assert worse_than_start(recipes.generic(), before, 0.5, CPU) == ()

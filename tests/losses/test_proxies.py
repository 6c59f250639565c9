"""Losses with weights: what they refuse, and how they fit behind the one door."""

import pytest
import torch

from twofold import losses
from twofold.comparison import Plain, WeightedL1
from twofold.errors import BatchError, UsageError

WEIGHTED = [name for name in losses.__all__ if not name.islower()]
LABELS = torch.tensor([0, 1, 0, 1, 2, 2])


@pytest.mark.parametrize("name", WEIGHTED)
def test_what_is_refused(name, batch, unchecked):
    loss, x = getattr(losses, name)(4, 3).double(), batch(6)
    with pytest.raises(
        BatchError, match="row 4 has label 3, but there are proxies for the classes 0 to 2"
    ):
        loss(x, torch.tensor([0, 1, 0, 1, 3, 2]))
    with pytest.raises(BatchError, match="embeddings have 3 numbers each, but the proxies 4"):
        loss(x[:, :3], LABELS)
    with pytest.raises(UsageError, match="weights of WeightedL1 would learn nothing"):
        loss(x, LABELS, comparison=WeightedL1(4))
    with pytest.raises(UsageError, match="not with references"):
        loss(x, LABELS, references=(x, LABELS))


@pytest.mark.parametrize("name", WEIGHTED)
def test_every_proxy_that_is_met_learns(name, batch):
    loss = getattr(losses, name)(4, 5).double()
    loss(batch(6), LABELS).backward()
    assert bool(loss.proxies.grad.abs().sum(1).gt(0).all())


def test_arc_face_with_an_item_on_its_proxy():
    loss = losses.ArcFace(4, 3)
    x = loss.proxies.detach()[LABELS].clone().requires_grad_()
    loss(x, LABELS).backward()
    assert bool(x.grad.isfinite().all())


def test_external_trains_the_weights_of_what_it_wraps(batch):
    class Theirs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()).double())

        def forward(self, embeddings, labels):
            return self.scale * embeddings.square().mean()

    wrapped = losses.external(Theirs())
    assert len(list(wrapped.parameters())) == 1
    wrapped(batch(6), LABELS, comparison=Plain("cosine")).backward()
    assert wrapped.loss.scale.grad is not None


def test_external_answers_with_one_finite_number(batch, unchecked):
    for wrong in (lambda x, y: x.sum(1), lambda x, y: x.sum() * torch.nan, lambda x, y: 1.0):
        with pytest.raises(BatchError, match="must return one finite number"):
            losses.external(wrong)(batch(6), LABELS)
    with pytest.raises(UsageError, match="leave the references out"):
        losses.external(lambda x, y: x.sum())(batch(6), LABELS, references=(batch(6), LABELS))

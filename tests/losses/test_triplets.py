"""Triplets: listed ones, the two ways of counting, and what is refused."""

import pytest
import torch

from twofold import losses
from twofold.comparison import Plain, WeightedL1
from twofold.errors import BatchError, UsageError
from twofold.losses import mining, pairing
from twofold.losses import triplets as module
from twofold.losses.pairing import Share, sharing

LABELS = torch.tensor([0, 1, 0, 1, 2, 2, 0, 1])


def test_listed_triplets_follow_the_definition(batch):
    x, comparison = batch(8), WeightedL1(4).double()
    chosen = mining.semi_hard(x, LABELS, comparison=comparison)
    d = comparison.block(x, x)
    gaps = [d[a, p] - d[a, n] + 0.2 for a, p, n in zip(*chosen, strict=True)]
    active = [gap for gap in gaps if gap > 0]
    loss = losses.triplet(x, LABELS, comparison=comparison, triplets=chosen)
    torch.testing.assert_close(loss, sum(active) / len(active))
    soft = losses.triplet(x, LABELS, comparison=comparison, triplets=chosen, soft=True)
    torch.testing.assert_close(
        soft, sum(torch.nn.functional.softplus(gap) for gap in gaps) / len(gaps)
    )


def test_listed_triplets_reach_into_the_references(batch):
    x = batch(8)
    chosen = mining.batch_hard(
        x[:4], LABELS[:4], comparison=Plain("cosine"), references=(x[4:], LABELS[4:])
    )
    settings = {"comparison": Plain("cosine"), "references": (x[4:], LABELS[4:])}
    torch.testing.assert_close(
        losses.triplet(x[:4], LABELS[:4], triplets=chosen, **settings),
        losses.triplet(x[:4], LABELS[:4], mining="hard", **settings),
    )


@pytest.mark.parametrize("mining_name", ["all", "semi_hard"])
def test_sorting_counts_like_the_loop(mining_name, batch, monkeypatch):
    x = batch(40).requires_grad_()
    labels = torch.tensor([0, 1, 1, 2] * 10)
    results = []
    for few in (80, 0):
        monkeypatch.setattr(module, "LOOPED", few)
        loss = losses.triplet(x, labels, comparison=Plain("euclidean"), mining=mining_name)
        results.append((loss, *torch.autograd.grad(loss, x)))
    torch.testing.assert_close(results[0], results[1])


def test_ties_count_once_in_both_ways(monkeypatch):
    x = torch.tensor([[0.0], [1.0], [1.0], [-1.0], [2.0]], dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, 1, 1])
    values = []
    for few in (80, 0):
        monkeypatch.setattr(module, "LOOPED", few)
        values.append(
            losses.triplet(x, labels, comparison=Plain("euclidean"), mining="semi_hard", margin=1.0)
        )
    torch.testing.assert_close(values[0], values[1])


@pytest.mark.parametrize(
    "comparison", [Plain("euclidean"), Plain("cosine"), WeightedL1(4).double()]
)
@pytest.mark.parametrize("mining_name", ["all", "semi_hard"])
def test_halves_are_the_whole(mining_name, comparison, batch, monkeypatch):
    """In blocks of eight rows, with classes of many sizes that stand across their borders, and items alone."""
    monkeypatch.setattr(pairing, "_block_bytes", lambda device: 1)
    x, labels = (
        batch(50).requires_grad_(),
        torch.tensor([0, 0, 1, 2, 3, 1, 0, 4, 0, 1] * 4 + list(range(5, 15))),
    )
    inputs, results = (
        [x, *(comparison.parameters() if isinstance(comparison, WeightedL1) else ())],
        [],
    )
    for many in (1000, 2):
        monkeypatch.setattr(module, "HALVED", many)
        loss = losses.triplet(x, labels, comparison=comparison, mining=mining_name)
        results.append((loss, *torch.autograd.grad(loss, inputs, materialize_grads=True)))
    torch.testing.assert_close(results[0], results[1], rtol=1e-10, atol=1e-13)


def test_halves_are_taken_only_where_they_are_safe(batch, monkeypatch):
    """Never with references, which are no rows, nor where processes share the rows, whose counts come in turn."""

    def refuse(*_, **__):
        raise RuntimeError("by halves")

    monkeypatch.setattr(pairing, "_block_bytes", lambda device: 1)
    monkeypatch.setattr(module, "HALVED", 2)
    monkeypatch.setattr(module, "_hinges_by_halves", refuse)
    x, labels = batch(26), torch.arange(26) % 7
    losses.triplet(x, labels, comparison=Plain("cosine"), references=(x, labels))
    with sharing(Share(0, 2, lambda part: part)):
        losses.triplet(x, labels, comparison=Plain("cosine"))
    with pytest.raises(RuntimeError, match="by halves"):
        losses.triplet(x, labels, comparison=Plain("cosine"))


def test_all_margins_kept_is_a_true_zero_with_a_gradient():
    x = (torch.eye(2, 4).repeat(3, 1) * 5).requires_grad_()
    for mining_name in ("all", "hard", "semi_hard"):
        loss = losses.triplet(
            x, torch.tensor([0, 1] * 3), comparison=Plain("euclidean"), mining=mining_name
        )
        (gradient,) = torch.autograd.grad(loss, x)
        assert loss.item() == 0 and not bool(gradient.any())


def test_what_is_refused(batch):
    x, cosine = batch(8), Plain("cosine")
    none = torch.zeros(0, dtype=torch.int64)
    with pytest.raises(BatchError, match="no triplets were given"):
        losses.triplet(x, LABELS, comparison=cosine, triplets=(none, none, none))
    with pytest.raises(BatchError, match="negative index 8 is beyond the 8 items"):
        losses.triplet(
            x, LABELS, comparison=cosine, triplets=tuple(torch.tensor([i]) for i in (0, 1, 8))
        )
    with pytest.raises(BatchError, match="anchor index -1 is beyond"):
        losses.triplet(
            x, LABELS, comparison=cosine, triplets=tuple(torch.tensor([i]) for i in (-1, 1, 2))
        )
    with pytest.raises(UsageError, match="soft has no margin"):
        losses.triplet(x, LABELS, comparison=cosine, mining="semi_hard", soft=True)


def test_unknown_mining(batch, unchecked):
    with pytest.raises(
        UsageError, match=r"no mining is called 'semihard': did you mean 'semi_hard'\?"
    ):
        losses.triplet(batch(8), LABELS, comparison=Plain("cosine"), mining="semihard")

"""Supervised contrastive by halves: the same numbers in two sweeps over half of the matrix."""

import pytest
import torch

from twofold import losses
from twofold.comparison import Plain
from twofold.losses import pairing
from twofold.losses import softmax as module
from twofold.losses.pairing import Share, sharing

COSINE = Plain("cosine")
LABELS = torch.tensor([0, 0, 1, 2, 3, 1, 0, 4, 5, 1, 6, 2] * 2 + [7, 8])  # with singletons


@pytest.fixture
def both_ways(monkeypatch):
    """Value and gradient by the whole matrix and by halves, in blocks of eight rows."""
    monkeypatch.setattr(pairing, "_block_bytes", lambda device: 1)

    def ways(x, **settings):
        found = []
        for many in (1000, 2):
            monkeypatch.setattr(module, "HALVED", many)
            y = x.clone().requires_grad_()
            value = losses.supcon(y, LABELS, comparison=COSINE, **settings)
            found.append((value.detach(), *torch.autograd.grad(value, y)))
        return found

    return ways


@pytest.mark.parametrize("temperature", [0.026, 0.1, 3.0])
def test_halves_are_the_whole(temperature, batch, both_ways):
    torch.testing.assert_close(
        *both_ways(batch(26), temperature=temperature), rtol=1e-10, atol=1e-13
    )


@pytest.mark.parametrize("temperature", [0.026, 0.1])
def test_in_float32_too_and_where_vectors_are_opposite(temperature, batch, both_ways):
    spread = batch(26).float()
    opposite = torch.where(LABELS[:, None] == 0, -1.0, 1.0) * torch.ones(26, 4) + 1e-3 * spread
    for x in (spread, opposite):
        torch.testing.assert_close(*both_ways(x, temperature=temperature), rtol=1e-4, atol=1e-5)


def test_halves_are_taken_only_where_they_are_safe(batch, both_ways, monkeypatch):
    def refuse(*_):
        raise RuntimeError("by halves")

    x = batch(26)
    monkeypatch.setattr(module, "_supcon_by_halves", refuse)
    both_ways(x, temperature=0.02)
    losses.supcon(x, LABELS, comparison=Plain("euclidean"))
    losses.supcon(x, LABELS, comparison=COSINE, references=(x, LABELS))
    with pytest.raises(RuntimeError, match="by halves"):
        losses.supcon(x, LABELS, comparison=COSINE)


def test_processes_share_the_halves(batch, monkeypatch):
    monkeypatch.setattr(pairing, "_block_bytes", lambda device: 1)
    monkeypatch.setattr(module, "HALVED", 2)
    x = batch(26)
    whole = losses.supcon(x, LABELS, comparison=COSINE)
    asked = [[], []]
    # each process's own sums and counts, of which the others then know the totals
    for rank in range(2):
        with sharing(
            Share(rank, 2, lambda part, rank=rank: asked[rank].append(part.clone()) or part)
        ):
            losses.supcon(x, LABELS, comparison=COSINE)
    totals = [sum(parts) for parts in zip(*asked, strict=True)]
    value = 0.0
    for rank in range(2):
        left = list(totals)
        with sharing(Share(rank, 2, lambda part, left=left: left.pop(0))):
            value += losses.supcon(x, LABELS, comparison=COSINE)
    torch.testing.assert_close(value, whole)

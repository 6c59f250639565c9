"""The engine: memory linear in the batch, weights of a learned comparison, a gradient that is asked for once."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from twofold import losses
from twofold.comparison import Plain, WeightedL1
from twofold.losses import mining, pairing, prototypes, triplets

BATCH = [name for name in losses.__all__ if name.islower() and not name.startswith("pair_")]


class Largest(TorchDispatchMode):
    """The largest tensor that any operation returned."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.numbers = max(self.numbers, result.numel())
        return result


@pytest.mark.parametrize("name", BATCH + mining.__all__)
@pytest.mark.parametrize("comparison", ["euclidean", "WeightedL1"])
def test_nothing_is_as_large_as_a_matrix_of_all_pairs(name, comparison, batch, monkeypatch):
    if name == "distance_weighted":
        comparison = "cosine"
    monkeypatch.setattr(pairing, "_block_bytes", lambda device: 2**12)
    monkeypatch.setattr(triplets, "COMPARED", 2**10)
    monkeypatch.setattr(prototypes, "AT_ONCE", 2**10)
    compared = WeightedL1(4).double() if comparison == "WeightedL1" else Plain(comparison)
    x, labels = batch(256).requires_grad_(), torch.arange(256) % 64
    with Largest() as largest:
        result = getattr(losses if name in BATCH else mining, name)(x, labels, comparison=compared)
        if name in BATCH:
            result.backward()
    assert largest.numbers <= 256 * 16


def test_frozen_weights_get_no_gradient(batch):
    comparison = WeightedL1(4).double()
    comparison.bias.requires_grad_(False)
    x = batch(8).requires_grad_()
    losses.binary_cross_entropy(x, torch.arange(8) % 3, comparison=comparison).backward()
    assert (
        comparison.bias.grad is None and comparison.weight.grad is not None and x.grad is not None
    )


def test_the_gradient_scales_with_what_comes_after(batch):
    x = batch(8).requires_grad_()
    loss = losses.nt_xent(x, torch.arange(8) % 3, comparison=Plain("cosine"))
    (once,) = torch.autograd.grad(loss, x, retain_graph=True)
    (thrice,) = torch.autograd.grad(3 * loss, x)
    torch.testing.assert_close(thrice, 3 * once)


def test_the_embeddings_are_not_changed(batch):
    x = batch(8)
    kept = x.clone()
    for name in BATCH:
        getattr(losses, name)(x, torch.arange(8) % 3, comparison=Plain("euclidean"))
    assert torch.equal(x, kept)

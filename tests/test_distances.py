"""Every distance of `__all__`, against numpy written from the definition, and against what a distance must be."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import config
from torch.utils._python_dispatch import TorchDispatchMode

from twofold import distances
from twofold.errors import BatchError, UnknownName

NAMES = distances.__all__
SLOW = {
    "cosine": lambda a, b: 1 - a @ b / np.sqrt((a @ a) * (b @ b)),
    "euclidean": lambda a, b: np.sqrt(((a - b) ** 2).sum()),
    "manhattan": lambda a, b: np.abs(a - b).sum(),
    "squared_euclidean": lambda a, b: ((a - b) ** 2).sum(),
}
ROTATES = ["cosine", "euclidean", "squared_euclidean"]
SHIFTS = ["euclidean", "manhattan", "squared_euclidean"]


def vectors(
    n: int, dim: int = 5, seed: int = 0, dtype: torch.dtype = torch.float64
) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, dim))).to(dtype)


@pytest.fixture
def unchecked():
    """Without the shape checks that only tests have: what a user's mistake really meets."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


def test_every_distance_has_a_slow_definition():
    assert set(SLOW) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_pairs_and_block_follow_the_definition(name):
    a, b = vectors(7), vectors(7, seed=1)
    slow = torch.tensor(
        [[SLOW[name](x, y) for y in b.numpy()] for x in a.numpy()], dtype=torch.float64
    )
    torch.testing.assert_close(distances.pairs(name, a, b), slow.diagonal())
    torch.testing.assert_close(distances.block(name, a, b), slow)
    torch.testing.assert_close(getattr(distances, name)(a, b), slow.diagonal())


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(
    data=st.lists(st.floats(-100, 100, width=32), min_size=6, max_size=6),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
def test_symmetric_and_zero_at_itself_exactly(name, data, dtype):
    a, b = torch.tensor([data[:3]], dtype=dtype), torch.tensor([data[3:]], dtype=dtype)
    assert torch.equal(distances.pairs(name, a, b), distances.pairs(name, b, a))
    assert distances.pairs(name, a, a).item() == (1 if name == "cosine" and not a.any() else 0)
    assert distances.pairs(name, a, b).item() >= 0


def test_a_vector_without_direction_is_like_nothing():
    a = torch.stack([torch.zeros(4), torch.ones(4)])
    assert distances.pairs("cosine", a[[0, 0, 1]], a[[0, 1, 1]]).tolist() == [1, 1, 0]
    assert distances.block("cosine", a, a).tolist() == [[1, 1], [1, 0]]


@pytest.mark.parametrize("name", NAMES)
def test_block_is_symmetric_and_zero_at_itself(name):
    a = vectors(30, 16, dtype=torch.float32)
    block = distances.block(name, a, a)
    torch.testing.assert_close(block, block.T, rtol=1e-5, atol=1e-6)
    exact = name in ("euclidean", "manhattan")
    assert block.diagonal().max() <= (0 if exact else 1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_gradients(name):
    a, b = vectors(4).requires_grad_(), vectors(4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: distances.pairs(name, a, b), (a, b))
    assert torch.autograd.gradcheck(lambda a, b: distances.block(name, a, b[:3]), (a, b))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_gradient_is_finite_at_equal_vectors(name, value):
    a = torch.full((3, 4), value, requires_grad=True)
    (
        distances.pairs(name, a, a.detach()).sum() + distances.block(name, a, a.detach()).sum()
    ).backward()
    assert a.grad is not None and bool(a.grad.isfinite().all())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["pairs", "block"])
def test_precision_is_at_least_float32(name, kind):
    a = vectors(5, dtype=torch.bfloat16)
    function = getattr(distances, kind)
    raised = function(name, a, a.flip(0))
    assert raised.dtype == torch.float32
    assert torch.equal(raised, function(name, a.float(), a.float().flip(0)))
    assert function(name, a.double(), a.double()).dtype == torch.float64
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(function(name, a.float(), a.float().flip(0)), raised)


@pytest.mark.parametrize("name", SHIFTS)
def test_an_offset_of_a_thousand_costs_no_digits(name):
    a, b = vectors(20, 32, dtype=torch.float32) + 1000, vectors(30, 32, 1, torch.float32) + 1000
    exact = distances.block(name, a.double(), b.double())
    torch.testing.assert_close(distances.block(name, a, b).double(), exact, rtol=1e-5, atol=1e-5)


def test_near_neighbours_keep_their_digits():
    a = vectors(20, 32, dtype=torch.float32)
    b = a + 1e-4 * vectors(20, 32, 1, torch.float32)
    exact = distances.block("euclidean", a.double(), b.double())
    torch.testing.assert_close(
        distances.block("euclidean", a, b).double(), exact, rtol=1e-3, atol=0
    )


@pytest.mark.parametrize("name", SHIFTS)
def test_translation_changes_nothing(name):
    a, b, shift = vectors(6), vectors(5, seed=1), vectors(1, seed=2)
    torch.testing.assert_close(
        distances.block(name, a + shift, b + shift), distances.block(name, a, b)
    )


@pytest.mark.parametrize("name", ROTATES)
def test_rotation_changes_nothing(name):
    a, b = vectors(6), vectors(5, seed=1)
    rotation = torch.linalg.qr(vectors(5, seed=2)).Q
    torch.testing.assert_close(
        distances.block(name, a @ rotation, b @ rotation), distances.block(name, a, b)
    )


@pytest.mark.parametrize("name", NAMES)
def test_no_cube_is_made(name):
    class Largest(TorchDispatchMode):
        numbers = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                self.numbers = max(self.numbers, result.numel())
            return result

    a = vectors(64, 16).requires_grad_()
    with Largest() as largest:
        distances.block(name, a, a).sum().backward()
    assert largest.numbers <= 64 * 64


def test_unknown_name_and_shapes_that_do_not_fit(unchecked):
    a = vectors(3)
    with pytest.raises(
        UnknownName, match=r"no distance is called 'cosin': did you mean 'cosine'\?"
    ):
        distances.pairs("cosin", a, a)
    with pytest.raises(BatchError, match="vectors of 5 and of 4 numbers cannot be compared"):
        distances.block("cosine", a, a[:, :4])
    with pytest.raises(BatchError, match="3 and 2 vectors make no pairs"):
        distances.pairs("cosine", a, a[:2])

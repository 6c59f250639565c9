"""How far apart two embeddings are: for lists of pairs, and for all pairs of two sets in one block.

`__all__` is the table of names that a recipe can say. Half-precision input is raised to float32, float64 stays, and
autocast is switched off inside: a distance never has fewer digits than float32 (law: precision is explicit).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from twofold.errors import BatchError, UnknownName, nearest

__all__ = ["cosine", "euclidean", "manhattan", "squared_euclidean"]

Vectors = tuple[Tensor, Tensor]


def cosine(a: Float[Tensor, "n dim"], b: Float[Tensor, "n dim"]) -> Float[Tensor, "n"]:
    """One minus the cosine of the angle: 1 - a.b / (|a| |b|), in [0, 2].

    Computed as |a/|a| - b/|b||^2 / 2, the same number, which is exactly 0 for equal vectors and keeps its digits near
    0. A zero vector has no direction: it is at 1, not alike, from everything, itself included.
    """
    a, b = _unit(_precise(a)), _unit(_precise(b))
    lost = (a == 0).all(-1).to(a) + (b == 0).all(-1).to(a)
    return (squared_euclidean(a, b) + lost) / 2


def euclidean(a: Float[Tensor, "n dim"], b: Float[Tensor, "n dim"]) -> Float[Tensor, "n"]:
    """Length of the difference, |a - b|; its gradient at equal vectors is 0."""
    return torch.linalg.vector_norm(_precise(a) - _precise(b), dim=-1)


def manhattan(a: Float[Tensor, "n dim"], b: Float[Tensor, "n dim"]) -> Float[Tensor, "n"]:
    """Sum of the absolute differences, sum_k |a_k - b_k|; its gradient at equal vectors is 0."""
    return (_precise(a) - _precise(b)).abs().sum(-1)


def squared_euclidean(a: Float[Tensor, "n dim"], b: Float[Tensor, "n dim"]) -> Float[Tensor, "n"]:
    """Squared length of the difference, |a - b|^2."""
    return (_precise(a) - _precise(b)).square().sum(-1)


def pairs(name: str, a: Float[Tensor, "n dim"], b: Float[Tensor, "n dim"]) -> Float[Tensor, "n"]:
    """Distance `name` between a[i] and b[i], for each i.

    Raises:
        UnknownName: no such distance.
        BatchError: the two lists do not fit.
    """
    _check(name, a, b)
    if len(a) != len(b):
        raise BatchError(f"{len(a)} and {len(b)} vectors make no pairs: give two lists of equal length")
    return _FUNCTIONS[name](a, b)


def block(name: str, a: Float[Tensor, "rows dim"], b: Float[Tensor, "cols dim"]) -> Float[Tensor, "rows cols"]:
    """Distance `name` between every a[i] and every b[j]; nothing of size rows x cols x dim is made.

    Raises:
        UnknownName: no such distance.
        BatchError: the dimensions differ.
    """
    _check(name, a, b)
    with torch.autocast(a.device.type, enabled=False):
        rows, columns = prepare(name, a, b)
        return _Block.apply(kernel(name), rows, columns)


@dataclass(frozen=True)
class Kernel:
    """A distance block and its gradient, on prepared vectors, outside autograd: what the loss engine runs on.

    Attributes:
        distances: (rows, inner), (cols, inner) -> (rows, cols).
        gradients: gradient of the block, the block, the vectors -> gradients of the vectors.
    """

    distances: Callable[[Tensor, Tensor], Tensor]
    gradients: Callable[[Tensor, Tensor, Vectors], Vectors]


def prepare(
    name: str, a: Float[Tensor, "rows dim"], b: Float[Tensor, "cols dim"]
) -> tuple[Float[Tensor, "rows inner"], Float[Tensor, "cols inner"]]:
    """Vectors on which `kernel(name)` works: once a batch, differentiable, so that a block is one matrix product.

    The Gram forms |a|^2 + |b|^2 - 2 a.b and 1 - a.b become one product of (-2 a, |a|^2, 1) with (b, 1, |b|^2), and of
    (-a, 1) with (b, 1). Euclidean vectors are centred first: without it a common offset of 1000 eats every digit.
    """
    a, b = _precise(a), _precise(b)
    if name == "manhattan":
        return a, b
    if name == "cosine":
        return _beside(-_unit(a), 1.0), _beside(_unit(b), 1.0)
    centre = b.detach().mean(0)
    a, b = a - centre, b - centre
    return (
        _beside(-2 * a, a.square().sum(1, keepdim=True), 1.0),
        _beside(b, 1.0, b.square().sum(1, keepdim=True)),
    )


def kernel(name: str) -> Kernel:
    """The kernel of a distance of `__all__`."""
    return _KERNELS[name]


def _product(a: Float[Tensor, "rows inner"], b: Float[Tensor, "cols inner"]) -> Float[Tensor, "rows cols"]:
    """Squared Euclidean and cosine are the product itself."""
    return (a @ b.T).clamp_(min=0)


def _product_gradients(
    gradient: Float[Tensor, "rows cols"], distances: Float[Tensor, "rows cols"], vectors: Vectors
) -> Vectors:
    a, b = vectors
    return gradient @ b, gradient.T @ a


def _root(a: Float[Tensor, "rows inner"], b: Float[Tensor, "cols inner"]) -> Float[Tensor, "rows cols"]:
    """Euclidean: the root of the product, whose small values are computed again from the differences.

    The Gram form leaves an error of about eps |a|^2, the root of which is far from small: near neighbours are worth
    the second look, and a vector is at exactly 0 from itself.
    """
    squared = a @ b.T
    near = squared < 4 * torch.finfo(a.dtype).eps ** 0.5 * a[:, -2:-1]
    for some in near.nonzero().split(max(1, 2**18 // a.shape[1])):
        i, j = some.unbind(1)
        squared[i, j] = (a[i, :-2] / -2 - b[j, :-2]).square().sum(1)
    return squared.clamp_(min=0).sqrt_()


def _root_gradients(
    gradient: Float[Tensor, "rows cols"], distances: Float[Tensor, "rows cols"], vectors: Vectors
) -> Vectors:
    # A subgradient of 0 at equal vectors: 0 / 0 is taken as 0.
    through = (gradient / (2 * distances)).masked_fill_(distances == 0, 0)
    return _product_gradients(through, distances, vectors)


def _manhattan(a: Float[Tensor, "rows inner"], b: Float[Tensor, "cols inner"]) -> Float[Tensor, "rows cols"]:
    """`cdist` with p=1 has no matrix mode, so it is exact, and it makes no cube."""
    return torch.cdist(a, b, p=1.0)  # noqa: TID251


def _manhattan_gradients(
    gradient: Float[Tensor, "rows cols"], distances: Float[Tensor, "rows cols"], vectors: Vectors
) -> Vectors:
    a, b = vectors
    backward = torch.ops.aten._cdist_backward
    there, back = gradient.contiguous(), gradient.T.contiguous()
    return backward(there, a, b, 1.0, distances), backward(back, b, a, 1.0, distances.T.contiguous())


class _Block(torch.autograd.Function):
    """A kernel as a differentiable function."""

    @staticmethod
    def forward(ctx: Any, of: Kernel, *vectors: Tensor) -> Tensor:
        distances = of.distances(*vectors)
        ctx.kernel = of
        ctx.save_for_backward(distances, *vectors)
        return distances

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        distances, *vectors = ctx.saved_tensors
        return None, *ctx.kernel.gradients(gradients[0], distances, tuple(vectors))


def _precise(x: Float[Tensor, "n dim"]) -> Float[Tensor, "n dim"]:
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def _unit(x: Float[Tensor, "n dim"]) -> Float[Tensor, "n dim"]:
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / torch.where(norm > 0, norm, 1)


def _beside(x: Float[Tensor, "n dim"], *columns: float | Float[Tensor, "n 1"]) -> Float[Tensor, "n inner"]:
    """`x` with further columns; a number fills its column."""
    one = x.new_ones(len(x), 1)
    return torch.cat([x, *(c if isinstance(c, Tensor) else c * one for c in columns)], 1)


def _check(name: str, a: Float[Tensor, "rows dim1"], b: Float[Tensor, "cols dim2"]) -> None:
    if name not in _FUNCTIONS:
        raise UnknownName(f"no distance is called {name!r}: {nearest(name, __all__)}")
    if a.shape[1] != b.shape[1]:
        raise BatchError(f"vectors of {a.shape[1]} and of {b.shape[1]} numbers cannot be compared")


_FUNCTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {name: globals()[name] for name in __all__}
_KERNELS = {
    "cosine": Kernel(_product, _product_gradients),
    "euclidean": Kernel(_root, _root_gradients),
    "manhattan": Kernel(_manhattan, _manhattan_gradients),
    "squared_euclidean": Kernel(_product, _product_gradients),
}

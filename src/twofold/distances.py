"""How far apart two embeddings are: for lists of pairs, and for all pairs of two sets in one block.

`__all__` is the table of names that a recipe can say. Half-precision input is raised to float32, float64 stays, and
autocast is switched off inside: a distance never has fewer digits than float32 (law: precision is explicit).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from twofold.errors import BatchError, UnknownName, nearest

__all__ = ["cosine", "euclidean", "manhattan", "squared_euclidean"]

Vectors = tuple[Tensor, Tensor]
Listed = tuple[Tensor, Tensor]


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
        dtype = torch.promote_types(a.dtype, b.dtype)
        return _Block.apply(name, len(a), torch.cat([a.to(dtype), b.to(dtype)]))


@dataclass(frozen=True)
class Kernel:
    """A distance block and its gradient, on prepared vectors, outside autograd: what the loss engine runs on.

    Attributes:
        turned: the rows' side of prepared vectors; linear and its own adjoint, so it also turns a gradient back.
        distances: (rows, inner) turned, (cols, inner), room for the result or None -> (rows, cols), fast, with the
            error of the Gram form: near 0 about 1e-7 of the squared length, of either sign, and its root for the
            Euclidean one.
        add_gradients: gradient of the block (which it may overwrite), the block, the vectors, and the sum over
            columns to which it adds; returns the gradient of the turned rows.
        refined: writes those distances of a table again that the error of the Gram form would spoil: the table, the
            columns that it is about (rows, places), and the vectors. None: there is no such error, and
            `add_gradients` does not look at the block. Otherwise it finds no slope where a distance is infinite.
        add_listed_gradients: the same as `add_gradients` for a narrow table of distances and its columns alone.
    """

    turned: Callable[[Tensor], Tensor]
    distances: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    add_gradients: Callable[[Tensor, Tensor, Vectors, Tensor], Tensor]
    refined: Callable[[Tensor, Tensor, Vectors], None] | None = None
    add_listed_gradients: Callable[[Tensor, Listed, Vectors, Tensor], Tensor] | None = None


def prepare(
    name: str, x: Float[Tensor, "n dim"]
) -> tuple[Float[Tensor, "n inner"], Callable[[Float[Tensor, "n inner"]], Float[Tensor, "n dim"]]]:
    """Vectors on which `kernel` works, once a batch, and the way back for their gradient.

    A block is then one matrix product: the Gram forms |a|^2 + |b|^2 - 2 a.b and 1/2 + 1/2 - a.b are the product of
    the turned (-2 a, |a|^2, 1) or (-a, 1/2, 1) with (b, 1, |b|^2) or (b, 1, 1/2). Euclidean vectors are centred
    first: without it a common offset of 1000 eats every digit. Any other comparison takes the vectors as they are.
    """
    x, dtype = _precise(x.detach()), x.dtype
    if name not in ("cosine", "euclidean", "squared_euclidean"):
        return x, lambda gradient: gradient.to(dtype)
    one = x.new_ones(len(x), 1)
    if name == "cosine":
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        norm.masked_fill_(norm == 0, 1)
        unit = x / norm
        return torch.cat([unit, one, one / 2], 1), partial(_from_unit, dtype, unit, norm)
    x = x - x.mean(0)
    return torch.cat([x, one, x.square().sum(1, keepdim=True)], 1), partial(_from_square, dtype, x)


def _from_unit(dtype: torch.dtype, unit: Tensor, norm: Tensor, gradient: Tensor) -> Tensor:
    """A length changes no direction: what points along the vector is taken away."""
    gradient = gradient[:, :-2]
    along = (gradient * unit).sum(1, keepdim=True)
    return torch.addcmul(gradient, unit, along, value=-1).div_(norm).to(dtype)


def _from_square(dtype: torch.dtype, x: Tensor, gradient: Tensor) -> Tensor:
    return torch.addcmul(gradient[:, :-2], gradient[:, -1:], x, value=2).to(dtype)


def kernel(name: str, vectors: Float[Tensor, "n inner"]) -> Kernel:
    """The kernel of a distance of `__all__`, for these prepared vectors."""
    if name == "manhattan":
        return Kernel(lambda x: x, _manhattan, _add_manhattan_gradients)
    if name == "cosine":
        return Kernel(partial(_turned, 1), _product, _add_product_gradients, None, _add_listed_gradients)
    if name == "squared_euclidean":
        return Kernel(partial(_turned, 2), _product, _add_product_gradients, None, _add_listed_gradients)
    # No distance is less than the product's own error, by which a gradient would otherwise be divided.
    floor = torch.finfo(vectors.dtype).eps * float(vectors[:, -1].max()) + 1e-30
    root = partial(_root, floor)
    return Kernel(partial(_turned, 2), root, _add_root_gradients, _refined_root, _add_listed_root_gradients)


def _turned(scale: float, x: Float[Tensor, "n inner"]) -> Float[Tensor, "n inner"]:
    return torch.cat([x[:, :-2] * -scale, x[:, -1:], x[:, -2:-1]], 1)


def _product(
    a: Float[Tensor, "rows inner"], b: Float[Tensor, "cols inner"], out: Tensor | None
) -> Float[Tensor, "rows cols"]:
    return torch.mm(a, b.T, out=out)


def _add_product_gradients(gradient: Tensor, distances: Tensor, vectors: Vectors, of_columns: Tensor) -> Tensor:
    a, b = vectors
    of_columns.addmm_(gradient.T, a)
    return gradient @ b


def _add_listed_gradients(gradient: Tensor, listed: Listed, vectors: Vectors, of_columns: Tensor) -> Tensor:
    (_, columns), (a, b) = listed, vectors
    of_columns.index_add_(0, columns.reshape(-1), (gradient[:, :, None] * a[:, None]).flatten(0, 1))
    theirs = b.index_select(0, columns.reshape(-1)).view(*columns.shape, -1)
    return torch.bmm(gradient[:, None], theirs)[:, 0]


def _root(
    floor: float, a: Float[Tensor, "rows inner"], b: Float[Tensor, "cols inner"], out: Tensor | None
) -> Float[Tensor, "rows cols"]:
    return _product(a, b, out).clamp_(min=floor).sqrt_()


def _add_root_gradients(gradient: Tensor, distances: Tensor, vectors: Vectors, of_columns: Tensor) -> Tensor:
    a, b = vectors
    gradient.div_(distances)
    of_columns.addmm_(gradient.T, a, alpha=0.5)
    return (gradient @ b).div_(2)


def _add_listed_root_gradients(gradient: Tensor, listed: Listed, vectors: Vectors, of_columns: Tensor) -> Tensor:
    table = listed[0]
    return _add_listed_gradients((gradient / (2 * table)).masked_fill_(table == 0, 0), listed, vectors, of_columns)


def _refined_root(table: Float[Tensor, "rows places"], columns: Int[Tensor, "rows places"], vectors: Vectors) -> None:
    """Small distances from the differences, a bounded number at a time; a vector is at exactly 0 from itself."""
    a, b = vectors
    near = (table < 2 * torch.finfo(a.dtype).eps ** 0.25 * a[:, -2:-1].sqrt() + 2e-15).nonzero()
    for some in near.split(max(1, 2**18 // a.shape[1])) if len(near) else ():
        i, place = some.unbind(1)
        differences = a[i, :-2] / -2 - b[columns[i, place], :-2]
        table[i, place] = torch.linalg.vector_norm(differences, dim=1)


def _manhattan(
    a: Float[Tensor, "rows inner"], b: Float[Tensor, "cols inner"], out: Tensor | None
) -> Float[Tensor, "rows cols"]:
    """`cdist` with p=1 has no matrix mode, so it is exact, and it makes no cube; nor does it know an `out`."""
    return torch.cdist(a, b, p=1.0)  # noqa: TID251


def _add_manhattan_gradients(gradient: Tensor, distances: Tensor, vectors: Vectors, of_columns: Tensor) -> Tensor:
    a, b = vectors
    backward = torch.ops.aten._cdist_backward
    of_columns += backward(gradient.T.contiguous(), b, a, 1.0, distances.T.contiguous())
    return backward(gradient.contiguous(), a, b, 1.0, distances)


class _Block(torch.autograd.Function):
    """A block as a differentiable function of rows and columns in one tensor."""

    @staticmethod
    def forward(ctx: Any, name: str, rows: int, x: Tensor) -> Tensor:
        vectors, ctx.back = prepare(name, x)
        of = kernel(name, vectors)
        a, b = of.turned(vectors[:rows]), vectors[rows:]
        distances = of.distances(a, b, None)
        if of.refined:
            of.refined(distances, torch.arange(len(b), device=b.device).expand_as(distances), (a, b))
        ctx.kernel = of
        ctx.save_for_backward(distances, a, b)
        return distances.clamp(min=0)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        distances, a, b = ctx.saved_tensors
        of_b = torch.zeros_like(b)
        distances = distances.masked_fill(distances == 0, torch.inf)
        of_a = ctx.kernel.add_gradients(gradients[0].clone(), distances, (a, b), of_b)
        return None, None, ctx.back(torch.cat([ctx.kernel.turned(of_a), of_b]))


def _precise(x: Float[Tensor, "n dim"]) -> Float[Tensor, "n dim"]:
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def _unit(x: Float[Tensor, "n dim"]) -> Float[Tensor, "n dim"]:
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / norm.masked_fill(norm == 0, 1)


def _check(name: str, a: Float[Tensor, "rows dim1"], b: Float[Tensor, "cols dim2"]) -> None:
    if name not in _FUNCTIONS:
        raise UnknownName(f"no distance is called {name!r}: {nearest(name, __all__)}")
    if a.shape[1] != b.shape[1]:
        raise BatchError(f"vectors of {a.shape[1]} and of {b.shape[1]} numbers cannot be compared")


_FUNCTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {name: globals()[name] for name in __all__}

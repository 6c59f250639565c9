"""How far apart two embeddings are: for lists of pairs, and for all pairs of two sets in one block.

`__all__` is the table of names that a recipe can say. Half-precision input is raised to float32,
float64 stays, and autocast is switched off inside: a distance never has fewer digits than float32
(law: precision is explicit).
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

PRODUCTS = ("cosine", "euclidean", "squared_euclidean")
"""Distances whose block is one matrix product."""

WIDER, ONE, SQUARE = 8, -8, -7
"""Behind a prepared vector stand a 1, half its square or its square, and zeros: rows of the usual lengths then begin at
32 bytes, without which both products of the gradient take a fifth longer (measured with AVX2)."""

ROUNDINGS = 64
"""A distance of the Gram form is off by no more than so many roundings of the largest one (measured: 5 to 50)."""


def cosine(a: Float[Tensor, "n dim"], b: Float[Tensor, "n dim"]) -> Float[Tensor, "n"]:
    """One minus the cosine of the angle: 1 - a.b / (|a| |b|), in [0, 2].

    Computed as |a/|a| - b/|b||^2 / 2, the same number, which is exactly 0 for equal vectors and
    keeps its digits near
    0. A zero vector has no direction: it is at 1, not alike, from everything, itself included.
    """
    a, b = _unit(_precise(a)), _unit(_precise(b))
    lost = (a == 0).all(-1).to(a) + (b == 0).all(-1).to(a)
    return ((a - b).square().sum(-1) + lost) / 2


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
        raise BatchError(
            f"{len(a)} and {len(b)} vectors make no pairs: give two lists of equal length"
        )
    return _FUNCTIONS[name](a, b)


def block(
    name: str, a: Float[Tensor, "rows dim"], b: Float[Tensor, "cols dim"]
) -> Float[Tensor, "rows cols"]:
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
        turned: the rows' side of prepared vectors.
        distances: (rows, inner) turned, (cols, inner), room for the result or None -> (rows, cols),
            fast, with the error of the Gram form: near 0 about 1e-7 of the squared length, of
            either sign, and its root for the Euclidean one.
        add_gradients: gradient of the block (which it may overwrite), the block, the vectors, and
            the sums over rows and over columns to which it adds.
        add_listed_gradients: the same for a narrow table of distances and its columns alone.
        refined: writes those distances of a table again that the error of the Gram form would
            spoil: the table, the columns that it is about (rows, places; None: all), and the
            vectors. None: there is no such error, and `add_gradients` does not look at the block.
            Otherwise it finds no slope where a distance is infinite.
        tie: two distances are equal if they differ by no more than this, which rounding alone can
            do.
        near: no distance above this needs to be refined.
    """

    turned: Callable[[Tensor], Tensor]
    distances: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    add_gradients: Callable[[Tensor, Tensor, Vectors, Any], None]
    add_listed_gradients: Callable[[Tensor, Listed, Vectors, Any], None] | None = None
    refined: Callable[[Tensor, Tensor | None, Vectors], None] | None = None
    tie: float = 0.0
    near: float = 0.0


def prepare(
    name: str, x: Float[Tensor, "n dim"]
) -> tuple[Float[Tensor, "n inner"], Callable[[Float[Tensor, "n inner"]], Float[Tensor, "n dim"]]]:
    """Vectors on which `kernel` works, once per batch, and the way back for their gradient.

    A block is then one matrix product: the Gram forms |a|^2 + |b|^2 - 2 a.b and 1/2 + 1/2 - a.b are
    the product of the turned (-2 a, |a|^2, 1) or (-a, 1/2, 1) with (b, 1, |b|^2) or (b, 1, 1/2).
    Euclidean vectors are centred first: without it a common offset of 1000 eats every digit. Any
    other comparison takes the vectors as they are.
    """
    x, dtype = _precise(x.detach()), x.dtype
    if name not in PRODUCTS:
        return x, lambda gradient: gradient.to(dtype)
    if name == "cosine":
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        norm.masked_fill_(norm == 0, 1)
        unit = x / norm
        return _widened(unit, torch.full_like(norm, 0.5)), partial(_from_unit, dtype, unit, norm)
    x = x - x.mean(0)
    return _widened(x, x.square().sum(1, keepdim=True)), partial(_from_square, dtype, x)


def _widened(x: Float[Tensor, "n dim"], square: Float[Tensor, "n 1"]) -> Float[Tensor, "n inner"]:
    return torch.cat([x, torch.ones_like(square), square, x.new_zeros(len(x), WIDER - 2)], 1)


def _from_unit(dtype: torch.dtype, unit: Tensor, norm: Tensor, gradient: Tensor) -> Tensor:
    """A length changes no direction: what points along the vector is taken away."""
    gradient = gradient[:, :-WIDER]
    along = (gradient * unit).sum(1, keepdim=True)
    return torch.addcmul(gradient, unit, along, value=-1).div_(norm).to(dtype)


def _from_square(dtype: torch.dtype, x: Tensor, gradient: Tensor) -> Tensor:
    return torch.addcmul(gradient[:, :-WIDER], gradient[:, SQUARE, None], x, value=2).to(dtype)


def kernel(name: str, vectors: Float[Tensor, "n inner"]) -> Kernel:
    """The kernel of a distance of `__all__`, for these prepared vectors."""
    if name == "manhattan":
        return Kernel(lambda x: x, _manhattan, _add_manhattan_gradients)
    eps = torch.finfo(vectors.dtype).eps
    length = float(vectors[:, SQUARE].max()) ** 0.5
    turned = partial(_turned, 1 if name == "cosine" else 2)
    if name == "euclidean":
        # No distance is less than the product's own error, by which a gradient would otherwise be
        # divided.
        root = partial(_root, eps * length**2 + 1e-30)
        near = 2 * eps**0.25 * length + 2e-15
        parts = root, _add_root_gradients, _add_listed_root_gradients, partial(_refined_root, near)
        return Kernel(turned, *parts, tie=ROUNDINGS * eps * length, near=near)
    slopes: dict[str, float] = {"scale": 1} if name == "cosine" else {"scale": 2, "squares": 1}
    parts = (
        _product,
        partial(_add_product_gradients, **slopes),
        partial(_add_listed_gradients, **slopes),
    )
    return Kernel(turned, *parts, tie=2 * ROUNDINGS * eps * length**2)


def _turned(scale: float, x: Float[Tensor, "n inner"]) -> Float[Tensor, "n inner"]:
    turned = x * -scale
    turned[:, ONE : SQUARE + 1] = x[:, ONE : SQUARE + 1].flip(1)
    return turned


def _product(
    a: Float[Tensor, "rows inner"], b: Float[Tensor, "cols inner"], out: Tensor | None
) -> Float[Tensor, "rows cols"]:
    return torch.mm(a, b.T, out=out)


def _add_product_gradients(
    gradient: Tensor,
    distances: Tensor,
    vectors: Vectors,
    sums: Vectors,
    *,
    scale: float,
    squares: float = 0,
) -> None:
    """d = -scale a.b + ..., where `a` is turned, that is -scale a; squares: the slope by |a|^2 and by |b|^2."""
    (a, b), (of_rows, of_columns) = vectors, sums
    of_columns[:, :-WIDER].addmm_(gradient.T, a[:, :-WIDER], alpha=squares or 1)
    of_rows[:, :-WIDER].addmm_(gradient, b[:, :-WIDER], alpha=-scale * (squares or 1))
    if squares:
        of_columns[:, SQUARE].add_(gradient.sum(0), alpha=squares)
        of_rows[:, SQUARE].add_(gradient.sum(1), alpha=squares)


def _add_listed_gradients(
    gradient: Tensor,
    listed: Listed,
    vectors: Vectors,
    sums: Vectors,
    *,
    scale: float,
    squares: float = 0,
) -> None:
    (_, columns), (a, b), (of_rows, of_columns) = listed, vectors, sums
    each, weight = columns.reshape(-1), gradient * (squares or 1)
    of_columns[:, :-WIDER].index_add_(
        0, each, (weight[:, :, None] * a[:, None, :-WIDER]).flatten(0, 1)
    )
    theirs = b.index_select(0, each).view(*columns.shape, -1)[:, :, :-WIDER]
    of_rows[:, :-WIDER].add_(torch.bmm(weight[:, None], theirs)[:, 0], alpha=-scale)
    if squares:
        of_columns[:, SQUARE].index_add_(0, each, weight.reshape(-1))
        of_rows[:, SQUARE] += weight.sum(1)


def _root(
    floor: float, a: Float[Tensor, "rows inner"], b: Float[Tensor, "cols inner"], out: Tensor | None
) -> Float[Tensor, "rows cols"]:
    return _product(a, b, out).clamp_(min=floor).sqrt_()


def _add_root_gradients(
    gradient: Tensor, distances: Tensor, vectors: Vectors, sums: Vectors
) -> None:
    _add_product_gradients(gradient.div_(distances), distances, vectors, sums, scale=2, squares=0.5)


def _add_listed_root_gradients(
    gradient: Tensor, listed: Listed, vectors: Vectors, sums: Vectors
) -> None:
    table = listed[0]
    slopes = (gradient / table).masked_fill_(table == 0, 0)
    _add_listed_gradients(slopes, listed, vectors, sums, scale=2, squares=0.5)


def _refined_root(
    limit: float,
    table: Float[Tensor, "rows places"],
    columns: Int[Tensor, "rows places"] | None,
    vectors: Vectors,
) -> None:
    """Small distances from the differences, a bounded number at a time; a vector is at exactly 0 from itself."""
    a, b = vectors
    near = (table < limit).nonzero()
    for some in near.split(max(1, 2**18 // a.shape[1])) if len(near) else ():
        i, place = some.unbind(1)
        differences = (
            a[i, :-WIDER] / -2 - b[place if columns is None else columns[i, place], :-WIDER]
        )
        table[i, place] = torch.linalg.vector_norm(differences, dim=1)


def _manhattan(
    a: Float[Tensor, "rows inner"], b: Float[Tensor, "cols inner"], out: Tensor | None
) -> Float[Tensor, "rows cols"]:
    """`cdist` with p=1 has no matrix mode, so it is exact, and it makes no cube; nor does it know an `out`."""
    return torch.cdist(a, b, p=1.0)  # noqa: TID251


def _add_manhattan_gradients(
    gradient: Tensor, distances: Tensor, vectors: Vectors, sums: Vectors
) -> None:
    (a, b), (of_rows, of_columns) = vectors, sums
    backward = torch.ops.aten._cdist_backward
    of_columns += backward(gradient.T.contiguous(), b, a, 1.0, distances.T.contiguous())
    of_rows += backward(gradient.contiguous(), a, b, 1.0, distances)


def listed(
    name: str, x: Float[Tensor, "n dim"], partner: Int[Tensor, "n places"]
) -> Float[Tensor, "n places"]:
    """Distance `name`, one of `PRODUCTS`, between each item and its partners, from the differences; no gradient."""
    vectors, _ = prepare(name, x)
    vectors, table = vectors[:, :-WIDER].contiguous(), vectors.new_empty(partner.shape)
    for place, others in enumerate(partner.unbind(1)):
        differences = vectors.index_select(0, others).sub_(vectors)
        table[:, place] = torch.linalg.vector_norm(differences, dim=1)
    if name == "euclidean":
        return table
    if name == "squared_euclidean":
        return table.square_()
    lost = (vectors == 0).all(1).to(table)
    return table.square_().add_(lost[:, None]).add_(lost[partner]).div_(2)


def sum_of_listed(
    name: str,
    x: Float[Tensor, "n dim"],
    partner: Int[Tensor, "n places"],
    weighted: tuple[Tensor, Tensor],
) -> Float[Tensor, ""]:
    """Sum of the weighted distances between each item and its partners, differentiable by the items.

    Args:
        weighted: what `listed` said of them, and the weights, both (n, places).
    """
    return _Listed.apply(name, x, (partner, *weighted))


class _Listed(torch.autograd.Function):
    """Place by place, so that nothing is larger than the vectors."""

    @staticmethod
    def forward(ctx: Any, name: str, x: Tensor, weighted: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        partner, table, weight = weighted
        vectors, ctx.back = prepare(name, x)
        scale = weight * 2 if name == "squared_euclidean" else weight
        scale = (weight / table).masked_fill_(table == 0, 0) if name == "euclidean" else scale
        sums = torch.zeros_like(vectors)
        own, vectors = sums[:, :-WIDER], vectors[:, :-WIDER]
        for others, slope in zip(partner.unbind(1), scale.split(1, 1), strict=True):
            differences = (vectors - vectors.index_select(0, others)).mul_(slope)
            own += differences
            own.index_add_(0, others, differences, alpha=-1)
        ctx.sums = sums
        return (table.double() * weight).sum().to(table.dtype)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *scale: Tensor
    ) -> tuple[Tensor | None, ...]:
        return None, ctx.back(ctx.sums * scale[0]), None


class _Block(torch.autograd.Function):
    """A block as a differentiable function of rows and columns in one tensor."""

    @staticmethod
    def forward(ctx: Any, name: str, rows: int, x: Tensor) -> Tensor:
        vectors, ctx.back = prepare(name, x)
        of = kernel(name, vectors)
        a, b = of.turned(vectors[:rows]), vectors[rows:]
        distances = of.distances(a, b, None)
        if of.refined:
            of.refined(distances, None, (a, b))
        ctx.kernel = of
        ctx.save_for_backward(distances, a, b)
        return distances.clamp(min=0)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        distances, a, b = ctx.saved_tensors
        sums = a.new_zeros(len(a) + len(b), a.shape[1])
        distances = distances.masked_fill(distances == 0, torch.inf)
        ctx.kernel.add_gradients(
            gradients[0].clone(), distances, (a, b), (sums[: len(a)], sums[len(a) :])
        )
        return None, None, ctx.back(sums)


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


_FUNCTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    name: globals()[name] for name in __all__
}

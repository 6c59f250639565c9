"""The engine under the batch losses: value and gradient, block of rows by block of rows, in the forward pass.

A loss is a short function from the distances of some rows to `Term`s; the engine walks the rows, carries the gradient
from the distances to the embeddings (two matrix products a block) and to the weights of a learned comparison, and
keeps nothing larger than the embeddings (law 4).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from twofold import distances
from twofold.pairing import Comparison, Pairing, Rows, look

__all__ = ["Term", "over_rows"]


class Term(NamedTuple):
    """A sum over a block, by what it will be divided, and the gradient of the sum; the loss is sum of total / divisor.

    Attributes:
        positive, negative: gradients by `Rows.positive` and `Rows.negative`; None = zero. Where not `valid`, and
            where FAR, they must be 0.
    """

    total: Tensor
    divisor: Tensor | float
    positive: Float[Tensor, "rows same"] | None
    negative: Float[Tensor, "rows cols"] | None


RowLoss = Callable[[Rows], tuple[Term, ...]]


def over_rows(pairing: Pairing, comparison: Comparison, loss: RowLoss, *, symmetric: bool = False) -> Tensor:
    """The loss of all rows, with its gradient already computed.

    Args:
        symmetric: each pair counts alike from both ends, so half the block is enough (without references).

    Returns:
        A scalar of the embeddings' dtype (float32 for half precision).
    """
    with torch.autocast(pairing.rows.device.type, enabled=False):
        half = symmetric and len(pairing.rows) == len(pairing.columns)
        if comparison.name in distances.__all__:
            kernel = distances.kernel(comparison.name)
            vectors = distances.prepare(comparison.name, pairing.rows, pairing.columns)
        else:
            kernel = _Learned(comparison)
            precise = torch.promote_types(pairing.rows.dtype, torch.float32)
            vectors = pairing.rows.to(precise), pairing.columns.to(precise), *kernel.weights
        return _OverRows.apply(_Walk(pairing, kernel, loss, half), *vectors)


class _OverRows(torch.autograd.Function):
    """A walk as a differentiable function; its gradient is there before it is asked for."""

    @staticmethod
    def forward(ctx: Any, walk: "_Walk", *inputs: Tensor) -> Tensor:
        total, ctx.gradients = walk(inputs)
        return total

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *scale: Tensor
    ) -> tuple[Tensor | None, ...]:
        return None, *(gradient * scale[0] for gradient in ctx.gradients)


class _Learned:
    """A learned comparison with the interface of `distances.Kernel`: one block's graph at a time, by autograd."""

    def __init__(self, comparison: Comparison) -> None:
        weights = comparison.parameters() if isinstance(comparison, nn.Module) else ()
        self.comparison = comparison
        self.weights = tuple(weight for weight in weights if weight.requires_grad)

    def distances(self, a: Float[Tensor, "rows dim"], b: Float[Tensor, "cols dim"]) -> Float[Tensor, "rows cols"]:
        with torch.enable_grad():
            self.vectors = a.detach().requires_grad_(), b.detach().requires_grad_()
            self.block = self.comparison.block(*self.vectors)
        return self.block.detach().clone()

    def gradients(self, gradient: Tensor, distances: Tensor, vectors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        inputs = (*self.vectors, *self.weights)
        return torch.autograd.grad(self.block, inputs, gradient.to(self.block), retain_graph=True)


class _Walk(NamedTuple):
    """All that the walk over the rows needs, and the walk."""

    pairing: Pairing
    kernel: Any
    loss: RowLoss
    half: bool

    def __call__(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        sums: list[_Sum] = []
        for rows in self.pairing.blocks():
            skipped = rows.start if self.half else 0
            a, b = inputs[0][rows], inputs[1][skipped:]
            block = self.kernel.distances(a, b)
            seen = look(self.pairing, rows, block, half=self.half)
            terms = self.loss(seen)
            block.scatter_(1, seen.partner, seen.positive)
            sums = sums or [_Sum.empty(inputs) for _ in terms]
            for so_far, term in zip(sums, terms, strict=True):
                gradient = _scattered(term, seen, block)
                so_far.add(term, (rows, slice(skipped, None)), *self.kernel.gradients(gradient, block, (a, b)))
        return _together(sums, inputs[0].dtype)


class _Sum:
    """One term over the blocks so far: float64 for the sums, the inputs' dtype for the gradients."""

    def __init__(self, total: Tensor, count: Tensor, gradients: tuple[Tensor, ...]) -> None:
        self.total, self.count, self.gradients = total, count, gradients

    @classmethod
    def empty(cls, inputs: tuple[Tensor, ...]) -> "_Sum":
        zero = torch.zeros((), dtype=torch.float64, device=inputs[0].device)
        return cls(zero, zero.clone(), tuple(torch.zeros_like(x) for x in inputs))

    def add(self, term: Term, where: tuple[slice, slice], *gradients: Tensor) -> None:
        self.total += term.total
        self.count += term.divisor
        places = *where, *[...] * (len(gradients) - 2)
        for place, mine, further in zip(places, self.gradients, gradients, strict=True):
            mine[place] += further


def _scattered(term: Term, seen: Rows, block: Tensor) -> Tensor:
    gradient = torch.zeros_like(block) if term.negative is None else term.negative
    return gradient if term.positive is None else gradient.scatter_add_(1, seen.partner, term.positive * seen.valid)


def _together(sums: list[_Sum], dtype: torch.dtype) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Each term by its count; a term that counts nothing is 0."""
    counts = [one.count.clamp(min=1) for one in sums]
    total = torch.stack([one.total / count for one, count in zip(sums, counts, strict=True)]).sum()
    scaled = ([gradient / count for gradient in one.gradients] for one, count in zip(sums, counts, strict=True))
    return total.to(dtype), tuple(torch.stack(parts).sum(0) for parts in zip(*scaled, strict=True))

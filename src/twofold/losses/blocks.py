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
            where FAR, they must be 0. `negative` may be overwritten.
    """

    total: Tensor
    divisor: Tensor | float
    positive: Float[Tensor, "rows same"] | None
    negative: Float[Tensor, "rows cols"] | None


FEW = 16
"""A table of partners this many times narrower than the block is not worth a matrix product."""

RowLoss = Callable[[Rows], tuple[Term, ...]]


def over_rows(pairing: Pairing, comparison: Comparison, loss: RowLoss, *, symmetric: bool = False) -> Tensor:
    """The loss of all rows, with its gradient already computed.

    Args:
        symmetric: each pair counts alike from both ends, so half the block is enough (without references).

    Returns:
        A scalar of the embeddings' dtype (float32 for half precision).
    """
    with torch.autocast(pairing.columns.device.type, enabled=False):
        kernel: Any
        if comparison.name in distances.__all__:
            vectors = distances.prepare(comparison.name, pairing.columns)
            kernel, weights = distances.kernel(comparison.name, vectors), ()
        else:
            vectors = pairing.columns.to(torch.promote_types(pairing.columns.dtype, torch.float32))
            kernel = _Learned(comparison)
            weights = kernel.weights
        half = symmetric and len(pairing.first) == len(pairing.columns) and len(list(pairing.blocks())) > 1
        return _OverRows.apply(_Walk(pairing, kernel, loss, half), vectors, *weights)


class _OverRows(torch.autograd.Function):
    """A walk as a differentiable function; its gradient is there before it is asked for."""

    @staticmethod
    def forward(ctx: Any, walk: "_Walk", *inputs: Tensor) -> Tensor:
        ctx.sums = walk(inputs, any(ctx.needs_input_grad))
        # A term that counts nothing is 0.
        ctx.divisors = [torch.as_tensor(one.divisor).clamp(min=1) for one in ctx.sums]
        totals = (one.total / divisor for one, divisor in zip(ctx.sums, ctx.divisors, strict=True))
        return sum(totals, inputs[0].new_zeros((), dtype=torch.float64)).to(inputs[0].dtype)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *scale: Tensor
    ) -> tuple[Tensor | None, ...]:
        weights = ((scale[0] / divisor).to(scale[0]) for divisor in ctx.divisors)
        scaled = ([g * weight for g in one.gradients] for one, weight in zip(ctx.sums, weights, strict=True))
        first, *others = scaled
        for other in others:
            for so_far, more in zip(first, other, strict=True):
                so_far += more
        return None, *first


class _Walk(NamedTuple):
    """All that the walk over the rows needs, and the walk."""

    pairing: Pairing
    kernel: Any
    loss: RowLoss
    half: bool

    def __call__(self, inputs: tuple[Tensor, ...], differentiate: bool) -> list["_Sum"]:
        kernel, vectors = self.kernel, inputs[0]
        sums: list[_Sum] = []
        for rows in self.pairing.blocks():
            skipped = rows.start if self.half else 0
            both = kernel.turned(vectors[rows]), vectors[skipped:]
            block = kernel.distances(*both)
            seen = look(self.pairing, rows, block, half=self.half)
            if kernel.refined:
                kernel.refined(seen.positive, seen.partner, both)
            terms = self.loss(seen)
            sums = sums or [_Sum(inputs if differentiate else ()) for _ in terms]
            for so_far, term in zip(sums, terms, strict=True):
                so_far.count(term)
            if differentiate:
                if kernel.refined:
                    # At equal vectors a distance has no slope: an infinite one says so to the kernel.
                    block.scatter_(1, seen.partner, seen.positive.masked_fill(seen.positive == 0, torch.inf))
                for so_far, term in zip(sums, terms, strict=True):
                    of_columns, *of_weights = so_far.gradients
                    of_rows = self._add(term, seen, (block, *both), (of_columns[skipped:], *of_weights))
                    of_columns[rows].add_(kernel.turned(of_rows))
        return sums

    def _add(self, term: Term, seen: Rows, blocks: tuple[Tensor, ...], sums: tuple[Tensor, ...]) -> Tensor:
        """Adds a block's gradient to the sums of columns and weights; returns that of the turned rows."""
        block, both, kernel = blocks[0], blocks[1:], self.kernel
        narrow = FEW * seen.valid.shape[1] < block.shape[1]
        if term.negative is None and narrow and kernel.add_listed_gradients:
            return kernel.add_listed_gradients(term.positive, (seen.positive, seen.partner), both, *sums)
        gradient = torch.zeros_like(block) if term.negative is None else term.negative
        if term.positive is not None:
            gradient.scatter_add_(1, seen.partner, term.positive)
        return kernel.add_gradients(gradient, block, both, *sums)


class _Sum:
    """One term over the blocks so far: the sum in float64, the gradients in the inputs' dtype."""

    def __init__(self, inputs: tuple[Tensor, ...]) -> None:
        self.total: Tensor | float = 0.0
        self.divisor: Tensor | float = 0
        self.gradients = tuple(torch.zeros_like(x) for x in inputs)

    def count(self, term: Term) -> None:
        self.total = self.total + term.total.double()
        self.divisor = self.divisor + term.divisor


class _Learned:
    """A learned comparison with the interface of `distances.Kernel`: one block's graph at a time, by autograd."""

    refined = add_listed_gradients = None

    def __init__(self, comparison: Comparison) -> None:
        weights = comparison.parameters() if isinstance(comparison, nn.Module) else ()
        self.comparison = comparison
        self.weights = tuple(weight for weight in weights if weight.requires_grad)

    def turned(self, x: Tensor) -> Tensor:
        return x

    def distances(self, a: Float[Tensor, "rows dim"], b: Float[Tensor, "cols dim"]) -> Float[Tensor, "rows cols"]:
        with torch.enable_grad():
            self.vectors = a.detach().requires_grad_(), b.detach().requires_grad_()
            self.block = self.comparison.block(*self.vectors)
        return self.block.detach().clone()

    def add_gradients(self, gradient: Tensor, distances: Tensor, vectors: Any, *sums: Tensor) -> Tensor:
        inputs = (*self.vectors, *self.weights)
        of_rows, *further = torch.autograd.grad(self.block, inputs, gradient.to(self.block), retain_graph=True)
        for so_far, more in zip(sums, further, strict=True):
            so_far += more
        return of_rows

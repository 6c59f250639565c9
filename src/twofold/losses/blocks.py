"""The engine under the batch losses: value and gradient, block of rows by block of rows, in the forward pass.

A loss is a short function from the distances of some rows to `Term`s; the engine walks the rows,
carries the gradient from the distances to the embeddings (two matrix products per block) and to the
weights of a learned comparison, and keeps nothing larger than the embeddings (law 4).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from twofold import distances
from twofold.comparison import Comparison
from twofold.losses.arguments import is_plain
from twofold.losses.distance_blocks import Room, Rows, look_at
from twofold.losses.lanes import few_threads, in_lanes
from twofold.losses.pairing import Pairing, Share

__all__ = ["Term", "at_once", "over_rows"]


class Term(NamedTuple):
    """A sum over a block, by what it will be divided, and the gradient of the sum; the loss is sum of total / divisor.

    Attributes:
        positive, negative: gradients by `Rows.positive` and `Rows.negative`; None = zero. Where not
            `valid`, and where FAR, they must be 0. `negative` may be overwritten.
    """

    total: Tensor
    divisor: Tensor | float
    positive: Float[Tensor, "rows same"] | None
    negative: Float[Tensor, "rows cols"] | None


NARROW = 64
"""A table of partners this many times narrower than the columns is not worth two matrix products (measured)."""

RowLoss = Callable[[Rows], tuple[Term, ...]]


def over_rows(
    pairing: Pairing, comparison: Comparison, loss: RowLoss, *, symmetric: bool = False
) -> Tensor:
    """The loss of all rows, with its gradient already computed.

    Args:
        symmetric: each impostor pair counts alike from both ends, so half of the matrix is enough;
            where it is taken (see `Pairing.halves`), rows come in class order, genuine pairs still
            from both ends.

    Returns:
        A scalar of the embeddings' dtype (float32 for half precision).
    """
    is_plain(comparison)
    half = symmetric and pairing.halves
    pairing = pairing.by_class() if half else pairing
    with torch.autocast(pairing.columns.device.type, enabled=False):
        return _OverRows.apply(
            _Task(pairing, comparison, loss, half), pairing.columns, *_trained(comparison)
        )


def at_once(loss: Callable[[Tensor], Tensor], comparison: Comparison, columns: Tensor) -> Tensor:
    """A differentiable loss of the columns, its gradient computed with it, in few threads.

    Adding up gradients by index, autograd divides even a small batch among all threads.
    """
    return _AtOnce.apply(loss, columns, *_trained(comparison))


class _AtOnce(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, loss: Callable[[Tensor], Tensor], columns: Tensor, *weights: Tensor
    ) -> Tensor:
        with few_threads(), torch.enable_grad():
            own = columns.detach().requires_grad_()
            value = loss(own)
            if any(ctx.needs_input_grad):
                ctx.gradients = torch.autograd.grad(value, (own, *weights), materialize_grads=True)
        return value.detach()

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *scale: Tensor
    ) -> tuple[Tensor | None, ...]:
        return None, *(gradient * scale[0].to(gradient) for gradient in ctx.gradients)


def _trained(comparison: Comparison) -> list[Tensor]:
    weights = comparison.parameters() if isinstance(comparison, nn.Module) else ()
    return [weight for weight in weights if weight.requires_grad]


class _Task(NamedTuple):
    """What to walk over."""

    pairing: Pairing
    comparison: Comparison
    loss: RowLoss
    half: bool


class _OverRows(torch.autograd.Function):
    """The walk as a differentiable function; its gradient is there before it is asked for."""

    @staticmethod
    def forward(ctx: Any, task: _Task, columns: Tensor, *weights: Tensor) -> Tensor:
        with few_threads():
            vectors, ctx.back = distances.prepare(task.comparison.name, columns)
        inputs = [vectors, *weights] if any(ctx.needs_input_grad) else []
        ctx.sums, *others = in_lanes(
            partial(_walk, task, vectors, weights, inputs=inputs), task.pairing.lanes
        )
        for other in others:
            for so_far, more in zip(ctx.sums, other, strict=True):
                so_far.join(more)
        ctx.divisors = [
            _divisor(one.divisor, task.pairing.share, columns.device) for one in ctx.sums
        ]
        first, *further = (
            one.total / divisor for one, divisor in zip(ctx.sums, ctx.divisors, strict=True)
        )
        value: Any = sum(further, first)
        return value.to(vectors.dtype)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *scale: Tensor
    ) -> tuple[Tensor | None, ...]:
        with few_threads():
            shares = [scale[0] / divisor for divisor in ctx.divisors]
            first, *others = (
                [g * share for g in one.gradients]
                for one, share in zip(ctx.sums, shares, strict=True)
            )
            for other in others:
                for so_far, more in zip(first, other, strict=True):
                    so_far += more
            return None, ctx.back(first[0]), *first[1:]


def _divisor(counted: Tensor | float, share: Share, device: torch.device) -> Tensor | float:
    """The count of all processes; a term that counts nothing is 0."""
    if share.processes > 1:
        counted = share.total(torch.as_tensor(counted, device=device))
    return counted.clamp(min=1) if isinstance(counted, Tensor) else max(1, counted)


def _walk(
    task: _Task, vectors: Tensor, weights: tuple[Tensor, ...], lane: int, *, inputs: list[Tensor]
) -> list["_Sum"]:
    """Block after block: distances, what the loss says of them, and its gradient by the inputs (none: not wanted)."""
    sums: list[_Sum] = []
    name, room = task.comparison.name, Room(task.pairing, vectors, lane)
    kernel = (
        distances.kernel(name, vectors)
        if name in distances.__all__
        else _Learned(task.comparison, weights)
    )
    for rows in task.pairing.blocks(lane):
        seen, both = look_at(task.pairing, rows, room, (kernel, vectors), half=task.half)
        terms = task.loss(seen)
        if len(terms) > 1 and len(task.pairing.starts) == task.pairing.share.processes == 1:
            terms = (_merged(terms),)
        sums = sums or [_Sum(inputs) for _ in terms]
        block = room.block(*seen.negative.shape)
        if kernel.refined and inputs:
            # At equal vectors a distance has no slope: an infinite one says so to the kernel.
            if seen.at_zero:
                block.masked_fill_(block == 0, torch.inf)
            block.scatter_(
                1, seen.partner, seen.positive.masked_fill(seen.positive == 0, torch.inf)
            )
        for so_far, term in zip(sums, terms, strict=True):
            so_far.add(term, kernel, _View(seen, block, both))
    return sums


def _merged(terms: tuple[Term, ...]) -> Term:
    """One block is the whole batch: what to divide by is known, and one way back serves all terms."""
    divisors = [torch.as_tensor(term.divisor).clamp(min=1) for term in terms]
    totals = [term.total.double() / by for term, by in zip(terms, divisors, strict=True)]
    of_pairs = [
        term.positive / by
        for term, by in zip(terms, divisors, strict=True)
        if term.positive is not None
    ]
    of_rows = [
        term.negative.div_(by)
        for term, by in zip(terms, divisors, strict=True)
        if term.negative is not None
    ]
    positive, negative = (sum(some[1:], some[0]) if some else None for some in (of_pairs, of_rows))
    return Term(sum(totals[1:], totals[0]), 1, positive, negative)


class _View(NamedTuple):
    """A block, and of which vectors it is."""

    seen: Rows
    block: Tensor
    both: tuple[Tensor, Tensor]

    def near(self) -> "_View":
        """The columns only among which the genuine pairs are."""
        a, b = self.both
        return self._replace(block=self.block[:, : self.seen.near], both=(a, b[: self.seen.near]))


class _Sum:
    """One term over the blocks so far: the sum in float64, the gradients in the vectors' dtype."""

    def __init__(self, inputs: list[Tensor]) -> None:
        self.total: Any = None  # then a float64 scalar
        self.divisor: Tensor | float = 0
        self.gradients = [torch.zeros_like(x) for x in inputs]

    def add(self, term: Term, kernel: Any, view: _View) -> None:
        self.count(term.total.double(), term.divisor)
        if not self.gradients:
            return
        view = view.near() if term.negative is None else view
        start, cols = view.seen.columns.start, view.block.shape[1]
        first, *further = self.gradients
        sums = first[view.seen.place], first[start : start + cols], *further
        few = NARROW * view.seen.partner.shape[1] < cols
        if term.negative is None and few and kernel.add_listed_gradients:
            kernel.add_listed_gradients(
                term.positive, (view.seen.positive, view.seen.partner), view.both, sums
            )
        else:
            kernel.add_gradients(_scattered(term, view), view.block, view.both, sums)

    def count(self, total: Tensor, divisor: Tensor | float) -> None:
        self.divisor = divisor if self.total is None else self.divisor + divisor
        self.total = total if self.total is None else self.total + total

    def join(self, other: "_Sum") -> None:
        """Adds what another lane found."""
        self.count(other.total, other.divisor)
        for so_far, more in zip(self.gradients, other.gradients, strict=True):
            so_far += more


def _scattered(term: Term, view: _View) -> Tensor:
    gradient = torch.zeros_like(view.block) if term.negative is None else term.negative
    return (
        gradient
        if term.positive is None
        else gradient.scatter_add_(1, view.seen.partner, term.positive)
    )


class _Learned:
    """A learned comparison with the interface of `distances.Kernel`: one block's graph at a time, by autograd."""

    refined = add_listed_gradients = None
    tie = 0.0

    def __init__(self, comparison: Comparison, weights: tuple[Tensor, ...]) -> None:
        self.comparison, self.weights = comparison, weights

    def turned(self, x: Tensor) -> Tensor:
        return x

    def distances(
        self, a: Float[Tensor, "rows dim"], b: Float[Tensor, "cols dim"], out: Tensor
    ) -> Float[Tensor, "rows cols"]:
        with torch.enable_grad():
            self.vectors = a.detach().requires_grad_(), b.detach().requires_grad_()
            self.block = self.comparison.block(*self.vectors)
        return out.copy_(self.block.detach())

    def add_gradients(
        self, gradient: Tensor, distances: Tensor, vectors: Any, sums: tuple[Tensor, ...]
    ) -> None:
        inputs = (*self.vectors, *self.weights)
        whole = functional.pad(
            gradient.to(self.block), (0, self.block.shape[1] - gradient.shape[1])
        )
        # weights that make rows, as those of maps, are not in the graph of their distances
        found = torch.autograd.grad(
            self.block, inputs, whole, retain_graph=True, materialize_grads=True
        )
        for so_far, more in zip(sums, found, strict=True):
            so_far += more[: len(so_far)] if so_far.ndim else more

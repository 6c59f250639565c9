"""All pairs of a batch: checked (law 6), and walked in blocks of rows that fit the cache (law 4).

Losses and miners both stand on it. Rows are the embeddings of the batch (anchors); columns are the same embeddings,
followed by the references.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from math import isfinite
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from twofold import distances
from twofold.errors import BatchError

__all__ = [
    "FAR",
    "Comparison",
    "Pairing",
    "References",
    "Room",
    "Rows",
    "Share",
    "check",
    "distance_rows",
    "hardest",
    "look",
    "pair_up",
    "sharing",
]

FAR = 1e30
"""Stands in `Rows.negative` where the column is of the row's own class: no hinge, exponential or minimum sees it."""

References = tuple[Float[Tensor, "m dim"], Int[Tensor, "m"]] | None


@runtime_checkable
class Comparison(Protocol):
    """The little that losses and miners need of a comparison (see `twofold.comparison.Comparison`)."""

    @property
    def name(self) -> str: ...

    def pairs(self, a: Float[Tensor, "n dim"], b: Float[Tensor, "n dim"]) -> Float[Tensor, "n"]: ...

    def block(self, a: Float[Tensor, "rows dim"], b: Float[Tensor, "cols dim"]) -> Float[Tensor, "rows cols"]: ...


class Share(NamedTuple):
    """Which of the row blocks this process walks, where several have the same batch (see `sharing`).

    Attributes:
        rank, processes: it walks every `processes`-th block, from the `rank`-th on.
        total: the sum of a tensor over all processes.
    """

    rank: int
    processes: int
    total: Callable[[Tensor], Tensor]


_ALONE = Share(0, 1, lambda count: count)
_share = ContextVar("share", default=_ALONE)


@contextmanager
def sharing(share: Share) -> Iterator[None]:
    """Inside, losses and miners walk this process's row blocks only; a loss is then this process's part of the loss.

    Counts that a sum is divided by are those of all processes, so the parts, and their gradients, add up to what one
    process would have found.
    """
    token = _share.set(share)
    try:
        yield
    finally:
        _share.reset(token)


@dataclass(frozen=True, eq=False)
class Pairing:
    """Rows, columns, and for each row where the columns of its class are.

    Attributes:
        columns: embeddings of the batch, then the references.
        order: columns sorted by label.
        first: for each row, where in `order` its class begins.
        size: for each row, the number of columns of its class, the row itself included.
        rank: for each row, its own place in its class.
        genuine: number of (row, column) pairs of one class, without the pairs of an item with itself.
        impostor: number of (row, column) pairs of two classes.
        share: which row blocks are this process's.
        in_class_order: whether the items stand class by class (see `by_class`).
    """

    columns: Float[Tensor, "cols dim"]
    order: Int[Tensor, "cols"]
    first: Int[Tensor, "rows"]
    size: Int[Tensor, "rows"]
    rank: Int[Tensor, "rows"]
    genuine: int
    impostor: int
    share: Share = field(default_factory=_share.get)
    in_class_order: bool = False

    @property
    def rows(self) -> Float[Tensor, "rows dim"]:
        """Embeddings of the batch."""
        return self.columns[: len(self.first)]

    @property
    def starts(self) -> range:
        """First rows of the blocks whose distances are at home in the cache, or a few of it if the rows are long.

        As many rows as fill it were the best, and 128 where that is more (measured at 1024 to 4096 columns): fewer make
        many small operations, of which two threads have little. Each process that shares the work has a block at least.
        """
        row, count = len(self.columns) * max(4, self.columns.element_size()), len(self.first)
        room = _cache_bytes(self.columns.device.type)
        step = max(8, room // row, min(128, 4 * room // row))
        return range(0, count, min(step, max(1, count // self.share.processes)))

    @property
    def halves(self) -> bool:
        """Whether impostor pairs can be met once instead of from both ends: no references, and more than one block."""
        return len(self.first) == len(self.columns) and len(self.starts) > 1

    @property
    def most(self) -> int:
        """The most partners that a row has."""
        return int(self.size.max()) - 1

    def by_class(self) -> "Pairing":
        """The same pairs, the items class by class: genuine pairs then stand along the diagonal (no references)."""
        if self.in_class_order:
            return self
        columns, first, size, rank = (
            one.index_select(0, self.order) for one in (self.columns, self.first, self.size, self.rank)
        )
        order = torch.arange(len(columns), device=columns.device)
        return replace(self, columns=columns, order=order, first=first, size=size, rank=rank, in_class_order=True)

    def span(self, rows: slice, *, half: bool) -> slice:
        """The columns of a block; of a half, in class order, they begin with the class of the first row."""
        return slice(int(self.first[rows.start]) if half else 0, len(self.columns))

    def blocks(self) -> Iterator[slice]:
        """Slices of rows, one block each; of several processes, those of this one."""
        for start in self.starts[self.share.rank :: self.share.processes]:
            yield slice(start, min(start + self.starts.step, len(self.first)))

    def partners(self, rows: slice) -> tuple[Int[Tensor, "some width"], Bool[Tensor, "some width"]]:
        """The other columns of each row's class, padded with columns of that class; and which are no padding."""
        others, rank = self.size[rows, None] - 1, self.rank[rows, None]
        place = torch.arange(max(1, int(others.max())), device=others.device)
        beyond = torch.minimum(place + (place >= rank), others)
        return self.order[self.first[rows, None] + beyond], place < others


class Room:
    """Memory for the blocks of one walk, used for each anew: fresh pages cost as much as what is written to them."""

    def __init__(self, pairing: Pairing, like: Tensor) -> None:
        self._first = like.new_empty(min(pairing.starts.step, len(pairing.first)) * len(pairing.columns))

    def block(self, rows: int, cols: int) -> Float[Tensor, "rows cols"]:
        """A block of this size, with anything in it."""
        return self._first[: rows * cols].view(rows, cols)

    def spare(self, rows: int, cols: int) -> Float[Tensor, "rows cols"]:
        """Another one."""
        return self._second[: rows * cols].view(rows, cols)

    @cached_property
    def _second(self) -> Tensor:
        return torch.empty_like(self._first)


class Rows(NamedTuple):
    """The distances of a block of rows, genuine ones gathered in a narrow table.

    Attributes:
        partner: columns of the row's class, padded with columns of the same class.
        valid: which of those are genuine partners.
        positive: distances to the columns of `partner`.
        negative: distances to `columns`, FAR where the column is of the row's class, or the pair was met before.
        place: which rows these are.
        columns: which columns; `partner` counts from the first of them.
        near: within how many columns all of `partner` is.
        ends: from how many of its ends an impostor pair is met, 2 or 1.
        room: where the block is.
    """

    partner: Int[Tensor, "rows same"]
    valid: Bool[Tensor, "rows same"]
    positive: Float[Tensor, "rows same"]
    negative: Float[Tensor, "rows cols"]
    place: slice
    columns: slice
    near: int
    ends: int
    room: Room

    @property
    def spare(self) -> Float[Tensor, "rows cols"]:
        """Room of the size of `negative`, with anything in it, for a gradient."""
        return self.room.spare(*self.negative.shape)


def look(pairing: Pairing, rows: slice, block: Float[Tensor, "some cols"], room: Room, *, half: bool = False) -> Rows:
    """A block of distances to the columns of `Pairing.span`, as losses and miners see it; it becomes `negative`.

    Args:
        room: where the block is.
        half: all on and left of the diagonal is out, so that each impostor pair is met once.
    """
    columns, near = pairing.span(rows, half=half), block.shape[1]
    partner, valid = pairing.partners(rows)
    if half:
        partner -= columns.start
        near = int(pairing.first[rows.stop - 1] + pairing.size[rows.stop - 1]) - columns.start
    positive = block.gather(1, partner)
    block.scatter_(1, partner, FAR)
    if half:
        corner = block[:, : rows.stop - columns.start]
        corner += torch.full_like(corner, FAR).tril_(rows.start - columns.start)
    else:
        block.diagonal(rows.start).fill_(FAR)
    return Rows(partner, valid, positive, block, rows, columns, near, 1 if half else 2, room)


def distance_rows(
    pairing: Pairing, comparison: Comparison, name: str | None = None, *, half: bool = False
) -> Iterator[tuple[slice, Rows]]:
    """Block after block of the distances (`name`: of that plain one instead), without gradient; `half`: see `look`.

    A block is overwritten by the next one.
    """
    name = name or comparison.name
    columns, plain = pairing.columns.detach(), name in distances.__all__
    vectors, _ = distances.prepare(name, columns)
    room = Room(pairing, vectors)
    for rows in pairing.blocks():
        span = pairing.span(rows, half=half)
        with torch.autocast(columns.device.type, enabled=False), torch.no_grad():
            if not plain:
                seen = look(pairing, rows, comparison.block(columns[rows], columns[span]), room, half=half)
            else:
                kernel = distances.kernel(name, vectors)
                both = kernel.turned(vectors[rows]), vectors[span]
                block = kernel.distances(*both, room.block(len(both[0]), len(both[1])))
                seen = look(pairing, rows, block, room, half=half)
                if kernel.refined:
                    kernel.refined(seen.positive, seen.partner, both)
        yield rows, seen


def hardest(pairing: Pairing, comparison: Comparison) -> tuple[Int[Tensor, "t"], Int[Tensor, "t"], Int[Tensor, "t"]]:
    """Each anchor with its farthest positive and its nearest negative; anchors without either are left out."""
    found = []
    # The square has the same order, and needs no root.
    name = "squared_euclidean" if comparison.name == "euclidean" else comparison.name
    for rows, seen in distance_rows(pairing, comparison, name):
        far, place = seen.positive.masked_fill(~seen.valid, -FAR).max(1)
        near, negative = _row_minimum(seen.negative)
        anchor = ((far > -FAR) & (near < FAR)).nonzero()[:, 0]
        positive = seen.partner[anchor, place[anchor]]
        found.append((anchor + rows.start, positive, negative[anchor]))
    anchors, positives, negatives = (torch.cat(some) for some in zip(*found, strict=True))
    return anchors, positives, negatives


def pair_up(
    embeddings: Float[Tensor, "n dim"],
    labels: Int[Tensor, "n"],
    references: References,
    *,
    genuine: bool = True,
    impostor: bool = True,
) -> Pairing:
    """Rows and columns of a batch, checked.

    Args:
        references: further columns with their labels.
        genuine, impostor: whether the caller cannot answer without pairs of one class, of two classes.

    Raises:
        BatchError: shapes, types, a number that is not finite, or a batch without the pairs that are needed.
    """
    check(embeddings, labels, "embeddings")
    columns, column_labels = embeddings, labels
    if references is not None:
        check(*references, "references")
        if references[0].shape[1] != embeddings.shape[1]:
            raise BatchError(
                f"references have {references[0].shape[1]} numbers each, embeddings {embeddings.shape[1]}: "
                "both must come from the same encoder"
            )
        columns = torch.cat([embeddings, references[0].to(embeddings)])
        column_labels = torch.cat([labels, references[1].to(labels)])
    ordered, order = column_labels.sort(stable=True)
    first = torch.searchsorted(ordered, labels)
    size = torch.searchsorted(ordered, labels, right=True) - first
    rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
    same, rank = int(size.sum()), rank[: len(first)] - first
    pairing = Pairing(columns, order, first, size, rank, same - len(labels), len(labels) * len(columns) - same)
    _check_pairs(pairing, genuine, impostor)
    return pairing


def check(embeddings: Float[Tensor, "n dim"], labels: Int[Tensor, "n"], what: str = "embeddings") -> None:
    """Refuses what no loss can answer for: shapes and types that do not fit, and numbers that are not finite.

    Raises:
        BatchError: with what is wrong, and the first row that is.
    """
    if embeddings.ndim != 2 or not embeddings.is_floating_point():
        raise BatchError(
            f"{what} must be floats of shape (batch, dim), not {embeddings.dtype} of shape {tuple(embeddings.shape)}"
        )
    if labels.ndim != 1 or len(labels) != len(embeddings):
        raise BatchError(
            f"{len(embeddings)} {what} need {len(embeddings)} labels in one row, not shape {tuple(labels.shape)}"
        )
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise BatchError(f"labels of {what} must be integers (class codes), not {labels.dtype}: give labels.long()")
    if not len(embeddings):
        raise BatchError(f"no {what}: a batch needs at least one item")
    # The sum is finite if all are; if it is not, a sum of large numbers may have run over.
    if not isfinite(float(embeddings.detach().sum())) and not bool(embeddings.isfinite().all()):
        row = int((~embeddings.isfinite().all(1)).nonzero()[0])
        raise BatchError(
            f"row {row} of the {what} (label {int(labels[row])}) holds NaN or infinity: look at that input, "
            "or lower the learning rate"
        )


def _check_pairs(pairing: Pairing, genuine: bool, impostor: bool) -> None:
    if genuine and not pairing.genuine:
        raise BatchError(
            f"no two of {len(pairing.columns)} items share a label, so nothing can be pulled together: "
            "give at least two items of a class (P x K batches with K >= 2)"
        )
    if impostor and not pairing.impostor:
        raise BatchError(
            f"all {len(pairing.columns)} items have one label, so nothing can be pushed apart: "
            "give at least two classes a batch"
        )


def _row_minimum(block: Float[Tensor, "rows cols"], width: int = 64) -> tuple[Tensor, Tensor]:
    """`block.min(1)` in half the time: torch's minimum with an index is ten times slower than without (measured).

    First the minimum of every `width`-th column, which is one of whole vectors, then of the columns of the best.
    """
    whole = block.shape[1] // width * width
    if whole < 12 * width:
        return block.min(1)
    best = block[:, :whole].unflatten(1, (-1, width)).amin(1).argmin(1, keepdim=True)
    columns = best + torch.arange(0, whole, width, device=block.device)
    rest = torch.arange(whole, block.shape[1], device=block.device).expand(len(block), -1)
    columns = torch.cat([columns, rest], 1)
    least, place = block.gather(1, columns).min(1)
    return least, columns.gather(1, place[:, None])[:, 0]


@cache
def _cache_bytes(device: str) -> int:
    """Memory that one block may fill: a core's second-level cache, or what keeps an accelerator busy."""
    if device != "cpu":
        return 2**26
    try:
        kilobytes = int(Path("/sys/devices/system/cpu/cpu0/cache/index2/size").read_text().strip().removesuffix("K"))
    except (OSError, ValueError):
        return 2**20
    return max(2**19, kilobytes * 2**10)

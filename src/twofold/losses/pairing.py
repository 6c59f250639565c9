"""All pairs of a batch: checked (law 6), and divided into blocks of rows that fit the cache (law 4).

Losses and miners both stand on it, by way of `distance_blocks`. Rows are the embeddings of the
batch (anchors); columns are the same embeddings, followed by the references.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from math import isfinite
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from twofold.errors import BatchError
from twofold.losses.lanes import LANES, few_threads

__all__ = [
    "Pairing",
    "References",
    "Share",
    "check",
    "pair_up",
    "sharing",
]

References = tuple[Float[Tensor, "m dim"], Int[Tensor, "m"]] | None


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

    Counts that a sum is divided by are those of all processes, so the parts, and their gradients,
    add up to what one process would have found.
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
        genuine: number of (row, column) pairs of one class, without the pairs of an item with
            itself.
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

    @cached_property
    def starts(self) -> range:
        """First rows of the blocks.

        All in one block where that is small; otherwise as many rows as fill `_block_bytes`, but two
        blocks for each lane at least, as many for each of them, and one for each process that
        shares the work.
        """
        row, count = len(self.columns) * max(4, self.columns.element_size()), len(self.first)
        room, least = _block_bytes(self.columns.device.type), 2 * LANES
        blocks = 1 if least * count * row <= room else max(least, -(-count // max(8, room // row)))
        step = -(-count // (blocks + blocks % LANES if blocks > 1 else 1))
        return range(0, count, max(1, min(step, count // self.share.processes)))

    @property
    def lanes(self) -> int:
        """How many lanes there is work for in this process."""
        return max(1, min(LANES, len(self.starts[self.share.rank :: self.share.processes])))

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
            one.index_select(0, self.order)
            for one in (self.columns, self.first, self.size, self.rank)
        )
        order = torch.arange(len(columns), device=columns.device)
        return replace(
            self,
            columns=columns,
            order=order,
            first=first,
            size=size,
            rank=rank,
            in_class_order=True,
        )

    def span(self, rows: slice, *, half: bool) -> slice:
        """The columns of a block; of a half, in class order, they begin with the class of the first row."""
        return slice(int(self.first[rows.start]) if half else 0, len(self.columns))

    def blocks(self, lane: int | None = None) -> Iterator[slice]:
        """Slices of rows, one block each; of several processes, those of this one, and of one lane, its own.

        Lanes take them in turns 0, 1, 1, 0, so that both have as much of a half, whose blocks
        become smaller.
        """
        for place, start in enumerate(self.starts[self.share.rank :: self.share.processes]):
            if lane is None or (place + place // LANES) % self.lanes == lane:
                yield slice(start, min(start + self.starts.step, len(self.first)))

    def partners(self, rows: slice) -> tuple[Int[Tensor, "some width"], Bool[Tensor, "some width"]]:
        """The other columns of each row's class, padded with columns of that class; and which of them count."""
        others, rank = self.size[rows, None] - 1, self.rank[rows, None]
        place = torch.arange(max(1, int(others.max())), device=others.device)
        beyond = torch.minimum(place + (place >= rank), others)
        return self.order[self.first[rows, None] + beyond], place < others


@few_threads()
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
        genuine, impostor: whether the caller cannot answer without pairs of one class, of two
            classes.

    Raises:
        BatchError: shapes, types, a number that is not finite, or a batch without the pairs that
            are needed.
    """
    check(embeddings, labels, "embeddings")
    columns, column_labels = embeddings, labels
    if references is not None:
        if not isinstance(references, tuple | list) or len(references) != 2:
            raise BatchError("references must be two tensors: further embeddings, and their labels")
        check(*references, "references")
        if references[0].shape[1] != embeddings.shape[1]:
            raise BatchError(
                f"references have {references[0].shape[1]} numbers each, embeddings "
                f"{embeddings.shape[1]}: "
                "both must come from the same encoder"
            )
        columns = torch.cat([embeddings, references[0].to(embeddings)])
        column_labels = torch.cat([labels, references[1].to(labels)])
    ordered, order = column_labels.sort(stable=True)
    first = torch.searchsorted(ordered, labels)
    size = torch.searchsorted(ordered, labels, right=True) - first
    rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
    same, rank = int(size.sum()), rank[: len(first)] - first
    pairing = Pairing(
        columns, order, first, size, rank, same - len(labels), len(labels) * len(columns) - same
    )
    _check_pairs(pairing, genuine, impostor)
    return pairing


def check(
    embeddings: Float[Tensor, "n dim"], labels: Int[Tensor, "n"], what: str = "embeddings"
) -> None:
    """Refuses what no loss can answer for: shapes and types that do not fit, and numbers that are not finite.

    Raises:
        BatchError: with what is wrong, and the first row that is.
    """
    for name, values in ((what, embeddings), (f"labels of {what}", labels)):
        if not isinstance(values, Tensor):
            raise BatchError(
                f"{name} must be a tensor, not {type(values).__name__}: give torch.as_tensor(...)"
            )
    if embeddings.device != labels.device:
        raise BatchError(
            f"{what} are on {embeddings.device}, their labels on {labels.device}: move the labels "
            f"there"
        )
    if embeddings.ndim != 2 or not embeddings.is_floating_point():
        raise BatchError(
            f"{what} must be floats of shape (batch, dim), not {embeddings.dtype} of shape "
            f"{tuple(embeddings.shape)}"
        )
    if labels.ndim != 1 or len(labels) != len(embeddings):
        raise BatchError(
            f"{len(embeddings)} {what} need {len(embeddings)} labels in one row, not shape "
            f"{tuple(labels.shape)}"
        )
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise BatchError(
            f"labels of {what} must be integers (class codes), not {labels.dtype}: give "
            f"labels.long()"
        )
    if not len(embeddings):
        raise BatchError(f"no {what}: a batch needs at least one item")
    # The sum is finite if all are; if it is not, a sum of large numbers may have run over.
    if not isfinite(float(embeddings.detach().sum())) and not bool(embeddings.isfinite().all()):
        row = int((~embeddings.isfinite().all(1)).nonzero()[0])
        raise BatchError(
            f"row {row} of the {what} (label {int(labels[row])}) holds NaN or infinity: check "
            f"that input, "
            "or lower the learning rate"
        )


def _check_pairs(pairing: Pairing, genuine: bool, impostor: bool) -> None:
    if genuine and not pairing.genuine:
        raise BatchError(
            f"no two of {len(pairing.columns)} items share a label, so nothing can be pulled "
            f"together: "
            "give at least two items of a class (P x K batches with K >= 2)"
        )
    if impostor and not pairing.impostor:
        raise BatchError(
            f"all {len(pairing.columns)} items have one label, so nothing can be pushed apart: "
            "give at least two classes per batch"
        )


@cache
def _block_bytes(device: str) -> int:
    """Memory that one block may fill: a core's second-level cache, 2 MB at least; or what keeps an accelerator busy.

    With a second-level cache of 512 KB blocks of 2 MB are better than those that fit it: half as
    many operations are worth more than the way to the third level (blocks of 1 MB took 10 to 25 %
    longer).
    """
    if device != "cpu":
        return 2**26
    try:
        kilobytes = int(
            Path("/sys/devices/system/cpu/cpu0/cache/index2/size")
            .read_text()
            .strip()
            .removesuffix("K")
        )
    except (OSError, ValueError):
        return 2**21
    return max(2**21, kilobytes * 2**10)

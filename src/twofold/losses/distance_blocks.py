"""The distances of a pairing, block after block of rows, as losses and miners see them (law 4)."""

from collections.abc import Iterator
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from twofold import distances
from twofold.comparison import Comparison
from twofold.losses.lanes import in_lanes
from twofold.losses.pairing import Pairing

__all__ = ["FAR", "Room", "Rows", "distance_rows", "hardest", "look_at"]

FAR = 1e30
"""Stands in `Rows.negative` where the column is of the row's own class: no hinge, exponential or minimum sees it."""


class Room:
    """Memory for the blocks of one walk, reused for each: fresh pages cost as much as what is written to them."""

    def __init__(self, pairing: Pairing, like: Tensor, lane: int = 0) -> None:
        self.lane = lane
        self._second = self._third = like.new_empty(0)
        self._first = like.new_empty(
            min(pairing.starts.step, len(pairing.first)) * len(pairing.columns)
        )

    def block(self, rows: int, cols: int) -> Float[Tensor, "rows cols"]:
        """A block of this size, with anything in it."""
        return self._first[: rows * cols].view(rows, cols)

    def spare(self, rows: int, cols: int) -> Float[Tensor, "rows cols"]:
        """Another one."""
        if not self._second.numel():
            self._second = torch.empty_like(self._first)
        return self._second[: rows * cols].view(rows, cols)

    def third(self, numbers: int) -> Float[Tensor, "numbers"]:
        """Room of any size."""
        if self._third.numel() < numbers:
            self._third = self._first.new_empty(numbers)
        return self._third[:numbers]


class Rows(NamedTuple):
    """The distances of a block of rows, genuine ones gathered in a narrow table.

    Attributes:
        partner: columns of the row's class, padded with columns of the same class.
        valid: which of those are genuine partners.
        positive: distances to the columns of `partner`.
        negative: distances to `columns`, FAR where the column is of the row's class, or the pair
            was met before.
        place: which rows these are.
        columns: which columns; `partner` counts from the first of them.
        near: within how many columns all of `partner` is.
        ends: from how many of its ends an impostor pair is met, 2 or 1.
        room: where the block is.
        tie: two distances are equal if they differ by no more than this: rounding, which depends on
            where in the batch an item stands, must not decide what counts.
        at_zero: whether some impostors may be at distance 0.
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
    tie: float = 0.0
    at_zero: bool = False

    @property
    def spare(self) -> Float[Tensor, "rows cols"]:
        """Room of the size of `negative`, with anything in it, for a gradient."""
        return self.room.spare(*self.negative.shape)


def look(
    pairing: Pairing,
    rows: slice,
    block: Float[Tensor, "some cols"],
    room: Room,
    *,
    half: bool = False,
) -> Rows:
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


def look_at(
    pairing: Pairing, rows: slice, room: Room, of: tuple[Any, Tensor], *, half: bool = False
) -> tuple[Rows, tuple[Tensor, Tensor]]:
    """The block of a kernel and its vectors, small distances exact, and the vectors of its two sides."""
    kernel, vectors = of
    both = kernel.turned(vectors[rows]), vectors[pairing.span(rows, half=half)]
    block = kernel.distances(*both, room.block(len(both[0]), len(both[1])))
    seen = look(pairing, rows, block, room, half=half)._replace(tie=kernel.tie)
    if kernel.refined:
        kernel.refined(seen.positive, seen.partner, both)
        # Impostors that near are few or none, and one minimum says so.
        seen = seen._replace(at_zero=float(block.amin()) < kernel.near)
        if seen.at_zero:
            kernel.refined(block, None, both)
    return seen, both


def distance_rows(
    pairing: Pairing,
    comparison: Comparison,
    name: str | None = None,
    *,
    half: bool = False,
    lane: int | None = None,
) -> Iterator[tuple[slice, Rows]]:
    """Block after block of the distances (`name`: of that plain one instead), without gradient; `half`: see `look`.

    A block is overwritten by the next one.

    Args:
        lane: the blocks of this one only (see `lanes.in_lanes`).
    """
    name = name or comparison.name
    columns, plain = pairing.columns.detach(), name in distances.__all__
    vectors, _ = distances.prepare(name, columns)
    kernel = distances.kernel(name, vectors) if plain else None
    room = Room(pairing, vectors, lane or 0)
    for rows in pairing.blocks(lane):
        with torch.autocast(columns.device.type, enabled=False), torch.no_grad():
            if kernel:
                seen, _ = look_at(pairing, rows, room, (kernel, vectors), half=half)
            else:
                block = comparison.block(columns[rows], columns[pairing.span(rows, half=half)])
                seen = look(pairing, rows, block, room, half=half)
        yield rows, seen


def hardest(
    pairing: Pairing, comparison: Comparison
) -> tuple[Int[Tensor, "t"], Int[Tensor, "t"], Int[Tensor, "t"]]:
    """Each anchor with its farthest positive and its nearest negative; anchors without either are left out."""
    # The square has the same order, and needs no root.
    name = "squared_euclidean" if comparison.name == "euclidean" else comparison.name

    def of_lane(lane: int) -> list[tuple[int, tuple[Tensor, Tensor, Tensor]]]:
        return [
            (rows.start, _hardest(seen))
            for rows, seen in distance_rows(pairing, comparison, name, lane=lane)
        ]

    found = sorted(chain.from_iterable(in_lanes(of_lane, pairing.lanes)), key=itemgetter(0))
    anchors, positives, negatives = (
        torch.cat(some) for some in zip(*(each for _, each in found), strict=True)
    )
    return anchors, positives, negatives


def _hardest(seen: Rows) -> tuple[Tensor, Tensor, Tensor]:
    far, place = seen.positive.masked_fill(~seen.valid, -FAR).max(1)
    near, negative = _row_minimum(seen.negative)
    anchor = ((far > -FAR) & (near < FAR)).nonzero()[:, 0]
    return anchor + seen.place.start, seen.partner[anchor, place[anchor]], negative[anchor]


def _row_minimum(block: Float[Tensor, "rows cols"], width: int = 64) -> tuple[Tensor, Tensor]:
    """`block.min(1)` in half the time: torch's minimum with an index is ten times slower than without (measured).

    First the minimum of every `width`-th column, which is one of whole vectors, then of the columns
    of the best.
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

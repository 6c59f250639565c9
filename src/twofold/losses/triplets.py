"""Triplet losses: all triplets of a batch without listing them, or those that were mined."""

from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from twofold.errors import BatchError, UsageError, nearest
from twofold.losses.blocks import Term, over_rows
from twofold.pairing import FAR, Comparison, Pairing, References, Rows, hardest, pair_up

__all__ = ["triplet"]

FEW = 80
"""Up to so many positives a loop over them beats sorting (measured)."""

MANY = 8
"""From so many blocks on, half of the matrix and all genuine pairs cost less than the whole (measured)."""

AT_ONCE = 2**16
"""Distances at a time that one pass writes and the next one reads: a quarter of a megabyte."""

COMPARED = 2**18
"""Comparisons at a time: a megabyte (measured: 2^15 to 2^19)."""

Listed = tuple[Int[Tensor, "t"], Int[Tensor, "t"], Int[Tensor, "t"]]


def triplet(
    embeddings: Float[Tensor, "n dim"],
    labels: Int[Tensor, "n"],
    *,
    comparison: Comparison,
    references: References = None,
    margin: float = 0.2,
    mining: Literal["all", "hard", "semi_hard"] = "all",
    soft: bool = False,
    triplets: Listed | None = None,
) -> Float[Tensor, ""]:
    """An anchor closer to a positive than to a negative, by a margin (Schroff et al. 2015, eq. 3).

    mean of max(0, d_ap - d_an + margin) over the triplets for which it is not 0 (Hermans et al. 2017 call it the
    non-zero mean); `soft` takes log(1 + e^(d_ap - d_an + margin)) of all of them instead (margin=0 for Hermans' form).

    The margin is in units of the comparison's distance.

    Args:
        references: further columns with their labels; triplets may take positives and negatives there.
        mining: "all" triplets of the batch; "hard": of each anchor the farthest positive and the nearest negative
            (batch-hard, Hermans et al. 2017, eq. 5); "semi_hard": all triplets with d_ap < d_an < d_ap + margin.
        triplets: anchor, positive and negative indices instead; anchors count the batch, the others also the
            references behind it.

    Returns:
        A scalar; a true 0 if all triplets keep the margin.

    Raises:
        BatchError: no triplet in the batch, an index beyond it, or a batch that is not fit (see `pairing.pair_up`).
        UsageError: an unknown mining.
    """
    if mining not in ("all", "hard", "semi_hard"):
        raise UsageError(f"no mining is called {mining!r}: {nearest(mining, ('all', 'hard', 'semi_hard'))}")
    pairing = pair_up(embeddings, labels, references)
    if triplets is not None or mining == "hard":
        chosen = hardest(pairing, comparison) if triplets is None else _checked(triplets, pairing)
        return _listed(pairing, comparison, chosen, margin=margin, soft=soft)
    if soft and mining == "semi_hard":
        raise UsageError("soft has no margin for a negative to lie in: take mining 'all' or 'hard' with soft")
    if soft:
        return over_rows(pairing, comparison, partial(_soft_triplets, margin=margin))
    semi_hard = mining == "semi_hard"
    comparing = _Comparing(margin if semi_hard else None)
    if pairing.halves and pairing.share.processes == 1 and len(pairing.starts) >= MANY and pairing.most <= FEW:
        return _hinges_by_halves(pairing, comparison, comparing, margin=margin)
    hinges = partial(_hinge_triplets, comparing=comparing, margin=margin, semi_hard=semi_hard)
    return over_rows(pairing, comparison, hinges)


def _listed(pairing: Pairing, comparison: Comparison, triplets: Listed, *, margin: float, soft: bool) -> Tensor:
    of, near, far = (pairing.columns.index_select(0, index.long()) for index in triplets)
    near, far = comparison.pairs(of, near), comparison.pairs(of, far)
    violation = functional.softplus(near - far + margin) if soft else (near - far + margin).clamp(min=0)
    count = torch.tensor(len(violation), device=far.device) if soft else violation.count_nonzero()
    return violation.sum() / pairing.share.total(count).clamp(min=1)


def _checked(triplets: Listed, pairing: Pairing) -> Listed:
    for name, index, limit in zip(
        ("anchor", "positive", "negative"), triplets, (len(pairing.first), *2 * [len(pairing.columns)]), strict=True
    ):
        if not len(index) and pairing.share.processes == 1:
            raise BatchError("no triplets were given: mine a batch that has some, or leave it out")
        if bool((index < 0).any()) or bool((index >= limit).any()):
            wrong = int(index[(index < 0) | (index >= limit)][0])
            raise BatchError(f"{name} index {wrong} is beyond the {limit} items that it counts")
    return triplets


def _soft_triplets(rows: Rows, *, margin: float) -> tuple[Term, ...]:
    total = torch.zeros((), dtype=torch.float64, device=rows.negative.device)
    positive, negative = torch.zeros_like(rows.positive), torch.zeros_like(rows.negative)
    for p in range(rows.valid.shape[1]):
        gap = rows.positive[:, p, None] - rows.negative + margin
        gap.masked_fill_(~rows.valid[:, p, None], -FAR)
        total += functional.softplus(gap).sum()
        slope = gap.sigmoid_()
        negative -= slope
        positive[:, p] = slope.sum(1)
    count = (rows.valid.sum(1) * (rows.negative < FAR).sum(1)).sum()
    return (Term(total, count, positive, negative),)


def _hinge_triplets(rows: Rows, *, comparing: "_Comparing", margin: float, semi_hard: bool) -> tuple[Term, ...]:
    """All triplets of an anchor at once: sum over p, n of max(0, t_p - d_n) with thresholds t_p = d_p + margin.

    It needs no triplet, only how many thresholds each negative is below (its gradient) and how many negatives each
    threshold is above (that positive's): the sum is then linear in both.
    """
    threshold = (rows.positive + margin).masked_fill_(~rows.valid, -FAR)
    floor = rows.positive.masked_fill(~rows.valid, FAR) if semi_hard else None
    if threshold.shape[1] > FEW:
        above, below = _count(threshold, floor, rows.negative)
    else:
        bound, below = threshold if floor is None else floor, torch.zeros_like(threshold)
        above = comparing.count(rows, (bound[:, :, None], below[:, :, None]))
    return (_hinged(rows, above, below, threshold=threshold, near=threshold.amax(1, keepdim=True)),)


def _hinges_by_halves(pairing: Pairing, comparison: Comparison, comparing: "_Comparing", *, margin: float) -> Tensor:
    """The same, each distance of two classes computed once, and counted from both of its ends.

    The thresholds of all rows are found first. A block is counted for the thresholds of its rows and of its columns,
    and these are rows of later blocks: when one is reached, all that came before has been counted for it.
    """
    pairing = pairing.by_class()
    floor = _genuine(pairing, comparison)
    threshold = (floor + margin).masked_fill_(floor == FAR, -FAR)
    bound, counted = threshold if comparing.within is None else floor, torch.zeros_like(floor)
    middle = threshold[floor < FAR].mean()

    def of_rows(rows: Rows) -> tuple[Term, ...]:
        mine = bound[:, rows.place].T[:, :, None], counted[:, rows.place].T[:, :, None]
        theirs = bound[None, :, rows.columns], counted[None, :, rows.columns]
        above, places = comparing.count(rows, mine, theirs), slice(rows.valid.shape[1])
        below, thresholds = (table[places, rows.place].T for table in (counted, threshold))
        return (_hinged(rows, above, below, threshold=thresholds, near=middle),)

    return over_rows(pairing, comparison, of_rows, symmetric=True)


def _hinged(rows: Rows, above: Tensor, below: Tensor, *, threshold: Tensor, near: Tensor) -> Term:
    # Measured from a threshold, the row's largest or the mean of all: two large sums of distances would cancel.
    total = -_dot(near, rows.negative, above) - ((near - threshold) * below).sum()
    return Term(total, below.sum(), below, above)


def _genuine(pairing: Pairing, comparison: Comparison) -> Float[Tensor, "places n"]:
    """The distances of each item to its positives, FAR where it has no more."""
    columns = pairing.columns.detach()
    columns = columns.to(torch.promote_types(columns.dtype, torch.float32))
    partner, valid = pairing.partners(slice(0, len(columns)))
    own = torch.arange(len(columns), device=columns.device)[:, None].expand_as(partner)
    some = max(1, AT_ONCE // columns.shape[1])
    listed = zip(own.reshape(-1).split(some), partner.reshape(-1).split(some), strict=True)
    with torch.autocast(columns.device.type, enabled=False), torch.no_grad():
        found = [comparison.pairs(*(columns.index_select(0, end) for end in ends)) for ends in listed]
    return torch.cat(found).view_as(partner).masked_fill_(~valid, FAR).T.contiguous()


def _dot(near: Tensor, value: Tensor, weight: Tensor) -> Tensor:
    """Sum of (near - value) * weight, some rows at a time, whose differences stay in the cache."""
    few = max(8, AT_ONCE // value.shape[1])
    parts = zip(near.expand(len(value), 1).split(few), value.split(few), weight.split(few), strict=True)
    return torch.stack([torch.dot((a - b).view(-1), c.view(-1)) for a, b, c in parts]).sum()


def _count(threshold: Tensor, floor: Tensor | None, value: Tensor) -> tuple[Tensor, Tensor]:
    """For each value of a row minus the thresholds above it, for each threshold the values below (above its floor)."""
    above, below = _count_sorted(threshold, value, closed=False)
    if floor is not None:
        beneath, under = _count_sorted(floor.masked_fill(floor == FAR, -FAR), value, closed=True)
        above, below = above.sub_(beneath), below.sub_(under)
    return above.neg_(), below


def _count_sorted(threshold: Tensor, value: Tensor, *, closed: bool) -> tuple[Tensor, Tensor]:
    ordered, order = threshold.sort(1)
    passed = torch.searchsorted(ordered, value, right=not closed)
    places = threshold.new_zeros(len(threshold), threshold.shape[1] + 1)
    places.scatter_add_(1, passed, torch.ones_like(value))
    below = torch.empty_like(threshold).scatter_(1, order, places.cumsum(1)[:, :-1])
    return (threshold.shape[1] - passed).to(value.dtype), below


class _Comparing:
    """The same by comparing all with all, into floats: four times as fast as into booleans (measured).

    Some rows at a time, so that the comparisons stay in the cache, and in the same room from block to block: fresh
    pages would cost as much as all else.
    """

    def __init__(self, within: float | None) -> None:
        """`within`: a value counts if it is beyond a bound by less than this; None: if it is below the bound."""
        self.within = within
        self.room = torch.empty(0)

    def count(self, rows: Rows, *ends: tuple[Tensor, Tensor]) -> Tensor:
        """For each negative minus the number of bounds for which it counts, in the room of `rows.spare`.

        Args:
            ends: bounds, and where is added how many values count for each: both (rows, places, 1) if they are the
                rows', (1, places, cols) if they are the columns'.
        """
        places, cols = ends[0][0].shape[1], rows.negative.shape[1]
        few = min(len(rows.negative), max(1, COMPARED // (places * cols)))
        if self.room.numel() < few * places * cols:
            self.room = rows.negative.new_empty(few * places * cols)
        room, one = self.room[: few * places * cols].view(few, places, cols), self.room.new_ones(few, places, 1)
        above = rows.spare
        for start in range(0, len(above), few):
            some = slice(start, start + few)
            values, sums = rows.negative[some, None], above[some, None]
            for which, end in enumerate(ends):
                bounds, counted = (table if len(table) == 1 else table[some] for table in end)
                counts = self._compared(values, bounds, one[: len(values)], room[: len(values)])
                # A product, since a sum over the middle takes twice the time.
                sums.baddbmm_(one[: len(values)].mT, counts, beta=min(which, 1), alpha=-1)
                counted += counts.sum_to_size(counted.shape)
        return above

    def _compared(self, values: Tensor, bounds: Tensor, one: Tensor, out: Tensor) -> Tensor:
        if self.within is None:
            return torch.lt(values, bounds, out=out)
        beyond = torch.sub(values, bounds, out=out)
        # The slope of a hard tanh, 1 between its ends and 0 elsewhere, is two comparisons and their product in a pass.
        return torch.ops.aten.hardtanh_backward(one.expand_as(out), beyond, 0.0, self.within, grad_input=beyond)

"""Triplet losses: all triplets of a batch without listing them, or those that were mined."""

from functools import partial
from itertools import repeat
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from twofold import distances
from twofold.comparison import Comparison
from twofold.errors import BatchError, UsageError, nearest
from twofold.losses.arguments import check_flag, check_number, is_plain
from twofold.losses.blocks import Term, at_once, over_rows
from twofold.losses.distance_blocks import FAR, Rows, hardest
from twofold.losses.lanes import LANES, few_threads
from twofold.losses.pairing import Pairing, References, pair_up

__all__ = ["triplet"]

LOOPED = 80
"""Up to so many positives a loop over them beats sorting (measured)."""

HALVED = 8
"""From this many blocks on, half of the matrix and the genuine pairs cost less than the whole (measured)."""

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

    mean of max(0, d_ap - d_an + margin) over the triplets for which it is not 0 (Hermans et al.
    2017 call it the non-zero mean); `soft` takes log(1 + e^(d_ap - d_an + margin)) of all of them
    instead (margin=0 for Hermans' form).

    The margin is in units of the comparison's distance.

    Args:
        references: further columns with their labels; triplets may take positives and negatives
            there.
        mining: "all" triplets of the batch; "hard": of each anchor the farthest positive and the
            nearest negative (batch-hard, Hermans et al. 2017, eq. 5); "semi_hard": all triplets
            with d_ap < d_an < d_ap + margin.
        triplets: anchor, positive and negative indices instead; anchors count the batch, the others
            also the references behind it.

    Returns:
        A scalar; a true 0 if all triplets keep the margin.

    Raises:
        BatchError: no triplet in the batch, an index beyond it, or a batch that is not fit (see
            `pairing.pair_up`).
        UsageError: an unknown mining, or a margin out of its range.
    """
    if mining not in ("all", "hard", "semi_hard"):
        raise UsageError(
            f"no mining is called {mining!r}: {nearest(mining, ('all', 'hard', 'semi_hard'))}"
        )
    is_plain(comparison)
    check_flag("soft", soft)
    # No negative lies between a positive and a margin of 0.
    check_number("margin", margin, 1e-6 if mining == "semi_hard" else 0)
    pairing = pair_up(embeddings, labels, references)
    if triplets is not None or mining == "hard":
        chosen = hardest(pairing, comparison) if triplets is None else _checked(triplets, pairing)
        return _listed(pairing, comparison, chosen, margin=margin, soft=soft)
    if soft and mining == "semi_hard":
        raise UsageError(
            "soft has no margin for a negative to lie in: take mining 'all' or 'hard' with soft"
        )
    if soft:
        return over_rows(pairing, comparison, partial(_soft_triplets, margin=margin))
    semi_hard = mining == "semi_hard"
    if _by_halves(pairing, comparison):
        return _hinges_by_halves(pairing.by_class(), comparison, margin=margin, semi_hard=semi_hard)
    return over_rows(
        pairing, comparison, partial(_hinge_triplets, margin=margin, semi_hard=semi_hard)
    )


def _by_halves(pairing: Pairing, comparison: Comparison) -> bool:
    """Whether the hinges of a batch of many small classes are summed by halves, which is faster."""
    many = len(pairing.starts) >= HALVED and pairing.most <= LOOPED
    product = comparison.name in distances.PRODUCTS
    return many and product and pairing.halves and pairing.share.processes == 1


def _listed(
    pairing: Pairing, comparison: Comparison, triplets: Listed, *, margin: float, soft: bool
) -> Tensor:
    def hinge(columns: Tensor) -> Tensor:
        of, near, far = (columns.index_select(0, index.long()) for index in triplets)
        gap = comparison.pairs(of, near) - comparison.pairs(of, far) + margin
        violation = functional.softplus(gap) if soft else gap.clamp(min=0)
        count = (
            torch.tensor(len(violation), device=gap.device) if soft else violation.count_nonzero()
        )
        return violation.sum() / pairing.share.total(count).clamp(min=1)

    return at_once(hinge, comparison, pairing.columns)


def _checked(triplets: Listed, pairing: Pairing) -> Listed:
    fit = len(triplets) == 3 and all(
        isinstance(index, Tensor) and index.ndim == 1 for index in triplets
    )
    whole = fit and not any(
        index.is_floating_point() or index.dtype == torch.bool for index in triplets
    )
    if not whole or len({len(index) for index in triplets}) > 1:
        raise BatchError(
            "triplets must be three tensors of whole numbers, as many anchors as positives and "
            "negatives"
        )
    for name, index, limit in zip(
        ("anchor", "positive", "negative"),
        triplets,
        (len(pairing.first), *2 * [len(pairing.columns)]),
        strict=True,
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


def _hinge_triplets(rows: Rows, *, margin: float, semi_hard: bool) -> tuple[Term, ...]:
    """All triplets of an anchor at once: sum over p, n of max(0, t_p - d_n) with thresholds t_p = d_p + margin.

    It needs no triplet, only how many thresholds each negative is below (its gradient) and how many
    negatives each threshold is above (that positive's): the sum is then linear in both.
    """
    threshold = (rows.positive + margin).masked_fill_(~rows.valid, -FAR)
    floor = rows.positive.masked_fill(~rows.valid, FAR)
    if threshold.shape[1] > LOOPED:
        above, below = _count_by_sorting(rows, threshold, floor if semi_hard else None)
    else:
        below = torch.zeros_like(threshold)
        bound = floor if semi_hard else threshold
        above = _count(rows, margin if semi_hard else None, (bound[:, :, None], below[:, :, None]))
    near = threshold.amax(1, keepdim=True)
    # Measured from a threshold, the row's largest or the mean of all: two large sums of distances
    # would cancel.
    total = -_dot(near, rows.negative, above) - ((near - threshold) * below).sum()
    return (Term(total, below.sum(), below, above),)


def _hinges_by_halves(
    pairing: Pairing, comparison: Comparison, *, margin: float, semi_hard: bool
) -> Tensor:
    """The same, each distance of two classes computed once, and counted for the thresholds of both of its ends.

    Only when all blocks are done, all negatives of a threshold are counted: the genuine pairs are
    then a sum of their own, weighted by these counts.
    """
    partner, valid = pairing.partners(slice(0, len(pairing.columns)))
    with few_threads():
        near = distances.listed(comparison.name, pairing.columns.detach(), partner)
    threshold = (near + margin).masked_fill_(~valid, -FAR)
    bound = (near.masked_fill(~valid, FAR) if semi_hard else threshold).T.contiguous()
    counted = bound.new_zeros(LANES, *bound.shape)
    middle = threshold[valid].mean()

    def of_rows(rows: Rows) -> tuple[Term, ...]:
        below = counted[rows.room.lane]
        mine = bound[:, rows.place].T[:, :, None], below[:, rows.place].T[:, :, None]
        theirs = bound[None, :, rows.columns], below[None, :, rows.columns]
        above = _count(rows, margin if semi_hard else None, mine, theirs)
        return (Term(-_dot(middle.expand(1, 1), rows.negative, above), 0, None, above),)

    pushed = over_rows(pairing, comparison, of_rows, symmetric=True)
    below = counted.sum(0).T
    with few_threads():
        pulled = distances.sum_of_listed(comparison.name, pairing.columns, partner, (near, below))
        rest = (margin - middle) * below.sum()
    return (pushed + pulled + rest) / below.sum().clamp(min=1)


def _dot(near: Tensor, value: Tensor, weight: Tensor) -> Tensor:
    """Sum of (near - value) * weight, some rows at a time, whose differences stay in the cache."""
    few = max(8, COMPARED // (4 * value.shape[1]))
    parts = zip(
        near.expand(len(value), 1).split(few), value.split(few), weight.split(few), strict=True
    )
    return torch.stack([torch.dot((a - b).view(-1), c.view(-1)) for a, b, c in parts]).sum()


def _count_by_sorting(rows: Rows, threshold: Tensor, floor: Tensor | None) -> tuple[Tensor, Tensor]:
    """For each value of a row minus the thresholds above it, for each threshold the values below (above its floor)."""
    above, below = _passed(threshold - rows.tie, rows.negative, closed=False)
    if floor is not None:
        floor = (floor + rows.tie).masked_fill_(~rows.valid, -FAR)
        beneath, under = _passed(floor, rows.negative, closed=True)
        above, below = above.sub_(beneath), below.sub_(under)
    return above.neg_(), below


def _passed(threshold: Tensor, value: Tensor, *, closed: bool) -> tuple[Tensor, Tensor]:
    ordered, order = threshold.sort(1)
    passed = torch.searchsorted(ordered, value, right=not closed)
    places = threshold.new_zeros(len(threshold), threshold.shape[1] + 1)
    places.scatter_add_(1, passed, torch.ones_like(value))
    below = torch.empty_like(threshold).scatter_(1, order, places.cumsum(1)[:, :-1])
    return (threshold.shape[1] - passed).to(value.dtype), below


def _count(rows: Rows, within: float | None, *ends: tuple[Tensor, Tensor]) -> Tensor:
    """For each negative minus the number of bounds for which it counts, in the room of `rows.spare`.

    Bounds are compared into floats, four times as fast as into booleans, some rows at a time, so
    that the comparisons stay in the cache.

    Args:
        within: a value counts if it is beyond a bound by less than this; None: if it is below the
            bound.
        ends: bounds, and where is added how many values count for each: both (rows, places, 1) if
            they are the rows', (1, places, cols) if they are the columns'.
    """
    places, cols = ends[0][0].shape[1], rows.negative.shape[1]
    few = min(len(rows.negative), max(1, COMPARED // (places * cols)))
    room, above = rows.room.third(few * places * cols).view(few, places, cols), rows.spare
    one = room.new_ones(few, places, 1)
    pieces = [rows.negative[:, None].split(few), above[:, None].split(few)]
    for bounds, counted in ends:
        pieces += [
            repeat(table) if len(table) == 1 else table.split(few) for table in (bounds, counted)
        ]
    for values, sums, *tables in zip(*pieces, strict=False):
        some = one[: len(values)]
        for place in range(0, len(tables), 2):
            bounds, counted = tables[place : place + 2]
            counts = _compared(
                values, bounds, some, room[: len(values)], within=within, tie=rows.tie
            )
            # A product, since a sum over the middle takes twice the time.
            sums.baddbmm_(some.mT, counts, beta=min(place, 1), alpha=-1)
            counted += counts.sum_to_size(counted.shape)
    return above


def _compared(
    values: Tensor, bounds: Tensor, one: Tensor, out: Tensor, *, within: float | None, tie: float
) -> Float[Tensor, "rows places cols"]:
    if within is None:
        return torch.lt(values, bounds - tie, out=out)
    beyond = torch.sub(values, bounds, out=out)
    # The slope of a hard tanh, 1 between its ends and 0 elsewhere, is two comparisons and their
    # product in a pass.
    return torch.ops.aten.hardtanh_backward(
        one.expand_as(out), beyond, tie, within - tie, grad_input=beyond
    )

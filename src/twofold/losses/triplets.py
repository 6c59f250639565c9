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

AT_ONCE = 2**16
"""Distances at a time that one pass writes and the next one reads: a quarter of a megabyte."""

COMPARED = 2**17
"""Comparisons at a time, of which two arrays are a megabyte (measured: 2^15 to 2^18)."""

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
    return over_rows(pairing, comparison, partial(_hinge_triplets, margin=margin, semi_hard=mining == "semi_hard"))


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


def _hinge_triplets(rows: Rows, *, margin: float, semi_hard: bool) -> tuple[Term, ...]:
    """All triplets of an anchor at once: sum over p, n of max(0, t_p - d_n) with thresholds t_p = d_p + margin.

    It needs no triplet, only how many thresholds each negative is below (its gradient) and how many negatives each
    threshold is above (that positive's): the sum is then linear in both.
    """
    threshold = (rows.positive + margin).masked_fill_(~rows.valid, -FAR)
    floor = rows.positive.masked_fill(~rows.valid, FAR) if semi_hard else None
    count = _count if threshold.shape[1] > FEW else _count_few
    above, below = count(threshold, floor, rows.negative, rows.spare)
    # Measured from the row's largest threshold: two large sums of distances would cancel.
    top = threshold.amax(1, keepdim=True)
    total = -_dot(top, rows.negative, above) - ((top - threshold) * below).sum()
    return (Term(total, below.sum(), below, above),)


def _dot(top: Tensor, value: Tensor, weight: Tensor) -> Tensor:
    """Sum of (top - value) * weight, some rows at a time, whose differences stay in the cache."""
    few = max(8, AT_ONCE // value.shape[1])
    parts = zip(top.split(few), value.split(few), weight.split(few), strict=True)
    return torch.stack([torch.dot((a - b).view(-1), c.view(-1)) for a, b, c in parts]).sum()


def _count(threshold: Tensor, floor: Tensor | None, value: Tensor, spare: Tensor) -> tuple[Tensor, Tensor]:
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


def _count_few(threshold: Tensor, floor: Tensor | None, value: Tensor, spare: Tensor) -> tuple[Tensor, Tensor]:
    """The same by comparing all with all, into floats: four times as fast as into booleans (measured).

    Some rows at a time, so that the comparisons stay in the cache. The first count takes the room of `spare`.
    """
    below = torch.empty_like(threshold)
    few = max(1, COMPARED // (threshold.shape[1] * value.shape[1]))
    inside, beyond = value.new_empty(2, min(few, len(value)), threshold.shape[1], value.shape[1])
    for start in range(0, len(value), few):
        rows = slice(start, start + few)
        values = value[rows, None]
        here, over = inside[: len(values)], beyond[: len(values)]
        torch.lt(values, threshold[rows, :, None], out=here)
        if floor is not None:
            here.mul_(torch.gt(values, floor[rows, :, None], out=over))
        torch.sum(here, 1, out=spare[rows])
        torch.sum(here, 2, out=below[rows])
    return spare.neg_(), below

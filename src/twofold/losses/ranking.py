"""Losses that look at the order of a row: average precision made smooth."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from twofold.losses.blocks import Term, over_rows
from twofold.pairing import Comparison, References, Rows, pair_up

__all__ = ["smooth_ap"]


def smooth_ap(
    embeddings: Float[Tensor, "n dim"],
    labels: Int[Tensor, "n"],
    *,
    comparison: Comparison,
    references: References = None,
    temperature: float = 0.01,
) -> Float[Tensor, ""]:
    """One minus the average precision of each anchor's ranking, with a sigmoid for "comes before" (Brown et al. 2020).

    mean over anchors that have positives of  1 - 1/|P| sum over p in P of  (1 + A_p) / (1 + A_p + B_p),  where
    A_p = sum over q in P, q != p, of sigmoid((d_p - d_q)/t) counts the positives before p, and B_p the negatives
    (eq. 5 and 6). The anchor itself is not part of its ranking, which it is in the authors' code.

    Args:
        references: further columns with their labels.
        temperature: t, in units of the distance.

    Raises:
        BatchError: no genuine or no impostor pairs, or a batch that is not fit (see `pairing.pair_up`).
    """

    def of_rows(rows: Rows) -> tuple[Term, ...]:
        partners = rows.valid.sum(1, keepdim=True)
        precision = torch.zeros_like(rows.positive)
        positive, negative = torch.zeros_like(rows.positive), torch.zeros_like(rows.negative)
        for p in range(rows.valid.shape[1]):
            here = rows.positive[:, p, None]
            weight = rows.valid[:, p, None].to(precision) / partners.clamp(min=1)
            before = ((here - rows.positive) / temperature).sigmoid_() * rows.valid
            before[:, p] = 0
            ahead = (here - rows.negative).div_(temperature).sigmoid_()
            good, bad = 1 + before.sum(1, keepdim=True), ahead.sum(1, keepdim=True)
            precision[:, p, None] = weight * good / (good + bad)
            scaled = weight / (temperature * (good + bad) ** 2)
            up = before.mul_(1 - before).mul_(-bad * scaled)
            down = ahead.addcmul_(ahead, ahead, value=-1).mul_(good * scaled)
            positive[:, p] += up.sum(1) + down.sum(1)
            positive -= up
            negative -= down
        anchors = (partners > 0).sum()
        return (Term(anchors - precision.sum(), anchors, positive, negative),)

    return over_rows(pair_up(embeddings, labels, references), comparison, of_rows)

"""Losses that look at the order of a row: average precision made smooth, or bounded with its parts apart."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from twofold.comparison import Comparison
from twofold.losses.arguments import COLDEST, check_number, is_plain
from twofold.losses.blocks import Term, over_rows
from twofold.losses.distance_blocks import Rows
from twofold.losses.pairing import References, pair_up
from twofold.losses.pairs import check_margins, hinges

__all__ = ["roadmap", "smooth_ap"]

REACH = 5.0
"""Where `roadmap`'s bound goes on as a line, in temperatures (delta = 0.05 at tau = 0.01 in the paper)."""


def roadmap(
    embeddings: Float[Tensor, "n dim"],
    labels: Int[Tensor, "n"],
    *,
    comparison: Comparison,
    references: References = None,
    temperature: float = 0.01,
    calibration: float = 0.5,
    positive_margin: float = 0.1,
    negative_margin: float = 0.4,
) -> Float[Tensor, ""]:
    """An upper bound of one minus the average precision, its ranks decoupled (ROADMAP; Ramzi et al. 2021, section 3).

    (1 - calibration) SupAP + calibration `contrastive(positive_margin, negative_margin)`.  SupAP is
    the mean over anchors that have positives of  1/|P| sum over p in P of  B_p / (1 + A_p + B_p):
    A_p counts the positives before p, exactly and without a gradient, so that no positive is pushed
    back for the sake of another; B_p = sum over negatives of H(d_p - d_n) bounds the number of
    negatives before p from above, and never saturates:  H(x) = sigmoid(min(x, 5t)/t) + 1/2 (if x >
    0) + max(0, x - 5t)/t.  The contrastive part holds all anchors to the same margins, without
    which the average precision of batches says little about that of the whole set.

    Made for the cosine distance: the paper's similarities 0.9 and 0.6 are its margins, its slope
    rho is 1/t.

    Args:
        references: further columns with their labels.
        temperature: t, in units of the distance.
        calibration: weight of the contrastive part, in [0, 1] (lambda in the paper).

    Raises:
        BatchError: no genuine or no impostor pairs, or a batch that is not fit (see
            `pairing.pair_up`).
        UsageError: a number out of its range, or margins in the wrong order.
    """
    check_number("temperature", temperature, COLDEST)
    check_number("calibration", calibration, 0, 1)
    check_margins(positive_margin, negative_margin, plain=is_plain(comparison))

    def of_rows(rows: Rows) -> tuple[Term, ...]:
        margins = hinges(rows, positive_margin, negative_margin)
        return _bounded_ap(rows, temperature, 1 - calibration), *(
            _scaled(term, calibration) for term in margins
        )

    return over_rows(pair_up(embeddings, labels, references), comparison, of_rows)


def _scaled(term: Term, weight: float) -> Term:
    positive, negative = (
        None if gradient is None else gradient * weight
        for gradient in (term.positive, term.negative)
    )
    return Term(term.total * weight, term.divisor, positive, negative)


def _bounded_ap(rows: Rows, temperature: float, weight: float) -> Term:
    partners = rows.valid.sum(1, keepdim=True)
    anchors = (partners > 0).sum()
    share = weight * rows.valid.to(rows.positive) / partners.clamp(min=1)
    total = rows.positive.new_zeros((), dtype=torch.float64)
    positive, negative = torch.zeros_like(rows.positive), torch.zeros_like(rows.negative)
    for p in range(rows.valid.shape[1]):
        here = rows.positive[:, p, None]
        good = 1 + ((rows.positive < here - rows.tie) & rows.valid).sum(1, keepdim=True)
        gap = (here - rows.negative).div_(temperature)
        over = (gap - REACH).clamp_(min=0)
        near = gap.clamp(max=REACH).sigmoid_()
        bad = (near + over).sum(1, keepdim=True) + (gap > rows.tie / temperature).sum(
            1, keepdim=True
        ) / 2
        total += (share[:, p, None] * bad / (good + bad)).sum()
        slope = near.addcmul_(near, near, value=-1).masked_fill_(gap > REACH, 1)
        slope *= share[:, p, None] * good / (temperature * (good + bad) ** 2)
        positive[:, p] = slope.sum(1)
        negative -= slope
    return Term(total, anchors, positive, negative)


def smooth_ap(
    embeddings: Float[Tensor, "n dim"],
    labels: Int[Tensor, "n"],
    *,
    comparison: Comparison,
    references: References = None,
    temperature: float = 0.01,
) -> Float[Tensor, ""]:
    """One minus the average precision of each anchor's ranking, with a sigmoid for "comes before" (Brown et al. 2020).

    mean over anchors that have positives of  1 - 1/|P| sum over p in P of  (1 + A_p) / (1 + A_p +
    B_p),  where A_p = sum over q in P, q != p, of sigmoid((d_p - d_q)/t) counts the positives
    before p, and B_p the negatives (eq. 5 and 6). The anchor itself is not part of its ranking,
    which it is in the authors' code.

    Args:
        references: further columns with their labels.
        temperature: t, in units of the distance.

    Raises:
        BatchError: no genuine or no impostor pairs, or a batch that is not fit (see
            `pairing.pair_up`).
        UsageError: a temperature out of its range.
    """

    check_number("temperature", temperature, COLDEST)

    def of_rows(rows: Rows) -> tuple[Term, ...]:
        partners = rows.valid.sum(1, keepdim=True)
        precision = torch.zeros_like(rows.positive)
        positive, negative = torch.zeros_like(rows.positive), rows.spare.zero_()
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

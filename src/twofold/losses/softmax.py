"""Losses that sum exponentials over a row of distances: NT-Xent, supervised contrastive, multi-similarity, circle."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from twofold.comparison import Comparison
from twofold.losses.arguments import COLDEST, LARGEST, check_number
from twofold.losses.blocks import Term, over_rows
from twofold.losses.distance_blocks import FAR, Rows, distance_rows
from twofold.losses.lanes import in_lanes
from twofold.losses.pairing import Pairing, References, pair_up

__all__ = ["circle", "multi_similarity", "nt_xent", "supcon"]

STEEPEST = 80.0
"""e^-80 is still a full float32 (the smallest is e^-87)."""

HALVED = 16
"""From this many blocks on, two sweeps over half of the matrix beat one over all of it (measured)."""


def nt_xent(
    embeddings: Float[Tensor, "n dim"],
    labels: Int[Tensor, "n"],
    *,
    comparison: Comparison,
    references: References = None,
    temperature: float = 0.07,
) -> Float[Tensor, ""]:
    """Each genuine pair against all impostors of its anchor (normalised temperature-scaled cross-entropy).

    mean over genuine pairs (i, p) of -log( e^(-d_ip/t) / (e^(-d_ip/t) + sum over impostors n of
    e^(-d_in/t)) ) (Chen et al. 2020, eq. 1; Sohn 2016; with labels instead of augmented twins,
    other positives are left out of the sum). With cosine distances -d differs from the similarity
    by a constant, which cancels.

    Args:
        references: further columns with their labels.
        temperature: t, in units of the distance.

    Raises:
        BatchError: no genuine or no impostor pairs, or a batch that is not fit (see
            `pairing.pair_up`).
        UsageError: a number out of its range.
    """

    check_number("temperature", temperature, COLDEST)

    def of_rows(rows: Rows) -> tuple[Term, ...]:
        rest, terms, sums = _decaying(rows, 1 / temperature)
        gap = rest + rows.positive / temperature
        weight = gap.sigmoid() * rows.valid / temperature
        total = (functional.softplus(gap) * rows.valid).sum()
        return (
            Term(total, rows.valid.sum(), weight, terms.mul_(-weight.sum(1, keepdim=True) / sums)),
        )

    return over_rows(pair_up(embeddings, labels, references), comparison, of_rows)


def supcon(
    embeddings: Float[Tensor, "n dim"],
    labels: Int[Tensor, "n"],
    *,
    comparison: Comparison,
    references: References = None,
    temperature: float = 0.1,
) -> Float[Tensor, ""]:
    """Each anchor's positives against everything else (supervised contrastive; Khosla et al. 2020, eq. 2, L_out).

    mean over anchors i that have positives of  -1/|P(i)| sum over p in P(i) of
    log( e^(-d_ip/t) / sum over all j != i of e^(-d_ij/t) ).

    Args:
        references: further columns with their labels.
        temperature: t, in units of the distance.

    Raises:
        BatchError: no genuine or no impostor pairs, or a batch that is not fit (see
            `pairing.pair_up`).
        UsageError: a number out of its range.
    """
    check_number("temperature", temperature, COLDEST)
    pairing = pair_up(embeddings, labels, references)
    many = pairing.halves and len(pairing.starts) >= HALVED
    if many and comparison.name == "cosine" and temperature * STEEPEST > 2:
        return _supcon_by_halves(pairing, comparison, temperature)

    def of_rows(rows: Rows) -> tuple[Term, ...]:
        near, near_share = _log_sum_exp(
            (rows.positive / -temperature).masked_fill_(~rows.valid, -FAR)
        )
        rest, terms, sums = _decaying(rows, 1 / temperature)
        everything = torch.logaddexp(near, rest)
        partners = rows.valid.sum(1, keepdim=True)
        counted = partners > 0
        even = rows.valid.to(near) / partners.clamp(min=1)
        value = everything + (rows.positive * even).sum(1, keepdim=True) / temperature
        positive = (even - near_share * (near - everything).exp() * counted) / temperature
        negative = terms.mul_((rest - everything).exp() * counted / (-temperature * sums))
        return (Term(value[counted].sum(), counted.sum(), positive, negative),)

    return over_rows(pairing, comparison, of_rows)


def _supcon_by_halves(pairing: Pairing, comparison: Comparison, temperature: float) -> Tensor:
    """The same for cosine distances, whose exponentials need no scale of the row's own, with two thirds of the work.

    One sweep over half of the matrix for the sums of all rows, one for the gradient of each pair
    from both ends: half a matrix product and three halves, where one sweep over the whole takes
    three.
    """
    pairing = pairing.by_class()
    partners = (pairing.size - 1)[:, None]
    sums = pairing.share.total(_sums_by_halves(pairing, comparison, temperature))
    slope = (partners[:, 0] > 0) / (-temperature * sums)

    def of_rows(rows: Rows) -> tuple[Term, ...]:
        others = partners[rows.place]
        counted = others[:, 0] > 0
        even = rows.valid.to(sums) / temperature / others.clamp(min=1)
        total = sums[rows.place].log()[counted].sum() + (rows.positive * even).sum()
        positive = (
            even + (rows.positive / -temperature).exp_() * rows.valid * slope[rows.place, None]
        )
        both = torch.add(slope[rows.place, None], slope[rows.columns], out=rows.spare)
        return (
            Term(
                total, counted.sum(), positive, rows.negative.div_(-temperature).exp_().mul_(both)
            ),
        )

    return over_rows(pairing, comparison, of_rows, symmetric=True)


def _sums_by_halves(
    pairing: Pairing, comparison: Comparison, temperature: float
) -> Float[Tensor, "n"]:
    """sum over j != i of e^(-d_ij / t), of every row i; each distance is computed once."""
    columns = pairing.columns

    def of_lane(lane: int) -> Tensor:
        sums = columns.new_zeros(
            len(columns), dtype=torch.promote_types(columns.dtype, torch.float32)
        )
        for rows, seen in distance_rows(pairing, comparison, half=True, lane=lane):
            for some in (seen.positive, seen.negative):
                some.div_(-temperature).exp_()
            sums[seen.columns] += seen.negative.sum(0)
            sums[rows] += (seen.positive * seen.valid).sum(1) + seen.negative.sum(1)
        return sums

    first, *others = in_lanes(of_lane, pairing.lanes)
    return sum(others, first)


def multi_similarity(
    embeddings: Float[Tensor, "n dim"],
    labels: Int[Tensor, "n"],
    *,
    comparison: Comparison,
    references: References = None,
    alpha: float = 2.0,
    beta: float = 50.0,
    base: float = 0.5,
) -> Float[Tensor, ""]:
    """Far positives and near negatives, each weighted by how it stands among the others (Wang et al. 2019, eq. 15).

    mean over anchors of  1/alpha log(1 + sum_p e^(alpha (d_p - base))) + 1/beta log(1 + sum_n
    e^(beta (base - d_n))). The paper's similarity threshold is 1 - base with cosine distances.

    Args:
        references: further columns with their labels.
        base: distance that divides near from far, in units of the comparison's distance.

    Raises:
        BatchError: no genuine or no impostor pairs, or a batch that is not fit (see
            `pairing.pair_up`).
        UsageError: a number out of its range.
    """

    check_number("alpha", alpha, 1e-3, 1 / COLDEST)
    check_number("beta", beta, 1e-3, 1 / COLDEST)
    check_number("base", base, -LARGEST)

    def of_rows(rows: Rows) -> tuple[Term, ...]:
        far = (alpha * (rows.positive - base)).masked_fill_(~rows.valid, -FAR)
        pull, pull_share = _log_sum_exp(far)
        push, terms, sums = _decaying(rows, beta)
        push = push + beta * base
        total = functional.softplus(pull).sum() / alpha + functional.softplus(push).sum() / beta
        return (
            Term(total, len(pull), pull_share * pull.sigmoid(), terms.mul_(-push.sigmoid() / sums)),
        )

    return over_rows(pair_up(embeddings, labels, references), comparison, of_rows)


def circle(
    embeddings: Float[Tensor, "n dim"],
    labels: Int[Tensor, "n"],
    *,
    comparison: Comparison,
    references: References = None,
    margin: float = 0.4,
    scale: float = 80.0,
) -> Float[Tensor, ""]:
    """Each pair weighted by how far it is from where it should be (circle loss; Sun et al. 2020, eq. 6 to 8).

    With similarities s = 1 - d: mean over anchors that have both of  log(1 + sum_n e^(scale w_n
    (s_n - margin)) sum_p e^(-scale w_p (s_p - 1 + margin))),  w_p = max(0, 1 + margin - s_p),  w_n
    = max(0, s_n + margin). As in the paper the weights w are constants to the gradient (section
    3.2).

    Made for the cosine distance, in [0, 2]; any other must have the same range to mean something.

    Args:
        references: further columns with their labels.
        margin: 0.25 for faces, 0.4 for fine-grained retrieval (the paper's values).
        scale: 256 for faces, 80 for fine-grained retrieval.

    Raises:
        BatchError: no genuine or no impostor pairs, or a batch that is not fit (see
            `pairing.pair_up`).
        UsageError: a number out of its range.
    """

    check_number("margin", margin, 0, 2)
    check_number("scale", scale, 1e-3, 1 / COLDEST)

    def of_rows(rows: Rows) -> tuple[Term, ...]:
        both = rows.valid.any(1, keepdim=True) & (rows.negative.amin(1, keepdim=True) < FAR)
        pull = (rows.positive + margin).clamp_(min=0).mul_(scale)
        push = (1 + margin - rows.negative).clamp_(min=0).mul_(scale)
        far, far_share = _log_sum_exp(
            (pull * (rows.positive - margin)).masked_fill_(~rows.valid, -FAR)
        )
        # Where the weight is 0 the exponent is 0, not minus infinity: columns of the row's class
        # are out by name.
        near = (push * (1 - margin - rows.negative)).masked_fill_(rows.negative == FAR, -FAR)
        near, near_share = _log_sum_exp(near)
        slope = (far + near).sigmoid() * both
        value = functional.softplus(far + near)[both].sum()
        return (
            Term(value, both.sum(), far_share * pull * slope, near_share.mul_(push).mul_(-slope)),
        )

    return over_rows(pair_up(embeddings, labels, references), comparison, of_rows)


def _decaying(
    rows: Rows, rate: float
) -> tuple[Float[Tensor, "rows 1"], Float[Tensor, "rows n"], Float[Tensor, "rows 1"]]:
    """log sum_j e^(-rate d_j) over the negatives of each row, its terms up to a factor of the row, and their sum."""
    nearest = rows.negative.amin(1, keepdim=True) * rate
    terms = torch.add(nearest, rows.negative, alpha=-rate, out=rows.spare).exp_()
    sums = terms.sum(1, keepdim=True)
    return sums.log() - nearest, terms, sums


def _log_sum_exp(
    exponent: Float[Tensor, "rows n"],
) -> tuple[Float[Tensor, "rows 1"], Float[Tensor, "rows n"]]:
    """log sum_j e^(z_j) of each row, and each term's share of the sum."""
    share = exponent.softmax(1)
    # The largest term says it all: its exponent is its share of the sum in logarithms.
    return exponent.amax(1, keepdim=True) - share.amax(1, keepdim=True).log(), share

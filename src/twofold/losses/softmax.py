"""Losses that put a softmax over a row of distances: NT-Xent, supervised contrastive."""

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from twofold.losses.blocks import Term, over_rows
from twofold.pairing import Comparison, References, Rows, pair_up

__all__ = ["nt_xent"]


def nt_xent(
    embeddings: Float[Tensor, "n dim"],
    labels: Int[Tensor, "n"],
    *,
    comparison: Comparison,
    references: References = None,
    temperature: float = 0.07,
) -> Float[Tensor, ""]:
    """Each genuine pair against all impostors of its anchor (normalised temperature-scaled cross-entropy).

    mean over genuine pairs (i, p) of -log( e^(-d_ip/t) / (e^(-d_ip/t) + sum over impostors n of e^(-d_in/t)) )
    (Chen et al. 2020, eq. 1; Sohn 2016; with labels instead of augmented twins, other positives are left out of the
    sum). With cosine distances -d differs from the similarity by a constant, which cancels.

    Args:
        references: further columns with their labels.
        temperature: t, in units of the distance.

    Raises:
        BatchError: no genuine or no impostor pairs, or a batch that is not fit (see `pairing.pair_up`).
    """

    def rows_loss(rows: Rows) -> tuple[Term, ...]:
        rest, share = _softmax(rows.negative, temperature)
        gap = rest + rows.positive / temperature
        weight = gap.sigmoid() * rows.valid / temperature
        total = (functional.softplus(gap) * rows.valid).sum()
        return (Term(total, rows.valid.sum(), weight, share.mul_(-weight.sum(1, keepdim=True))),)

    return over_rows(pair_up(embeddings, labels, references), comparison, rows_loss)


def _softmax(distances: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """log sum_j e^(-d_j/t) of each row, and each term's share of the sum."""
    nearest = distances.amin(1, keepdim=True)
    share = (distances - nearest).mul_(-1 / temperature).exp_()
    total = share.sum(1, keepdim=True)
    return total.log() - nearest / temperature, share.div_(total)

"""Losses that look at one pair at a time: contrastive, and cross-entropy for a learned comparison.

`contrastive` and `binary_cross_entropy` take a batch and use all its pairs (law 3); those named `pair_*` take distances
of pairs that somebody listed.
"""

from jaxtyping import Float, Int
from torch import Tensor

from twofold.errors import UsageError
from twofold.losses.blocks import Term, over_rows
from twofold.pairing import Comparison, References, Rows, pair_up

__all__ = ["contrastive"]


def contrastive(
    embeddings: Float[Tensor, "n dim"],
    labels: Int[Tensor, "n"],
    *,
    comparison: Comparison,
    references: References = None,
    positive_margin: float = 0.0,
    negative_margin: float = 1.0,
    squared: bool = False,
) -> Float[Tensor, ""]:
    """Genuine pairs closer than one margin, impostor pairs farther than another.

    mean of max(0, d - positive_margin) over genuine pairs + mean of max(0, negative_margin - d) over impostor pairs,
    each mean over the pairs that are not 0 yet (so that the few impostors inside the margin are not drowned by the
    many outside). `squared` squares both, as in Hadsell et al. 2006, eq. 4 (whose factor 1/2 is left out).

    The margins are distances of the comparison's own scale: unit vectors are at most 2 apart (cosine, Euclidean), 4
    in squared Euclidean; other embeddings have no bound.

    Args:
        references: further columns with their labels.

    Raises:
        BatchError: no genuine or no impostor pairs, or a batch that is not fit (see `pairing.pair_up`).
        UsageError: margins in the wrong order.
    """
    if positive_margin > negative_margin:
        raise UsageError(
            f"positive_margin {positive_margin} is beyond negative_margin {negative_margin}: "
            "genuine pairs must be allowed less distance than impostors"
        )

    def rows_loss(rows: Rows) -> tuple[Term, ...]:
        over = (rows.positive - positive_margin).clamp_(min=0) * rows.valid
        short = (negative_margin - rows.negative).clamp_(min=0)
        return _hinges(over, 1, squared), _hinges(short, -1, squared)

    return over_rows(pair_up(embeddings, labels, references), comparison, rows_loss, symmetric=True)


def _hinges(value: Tensor, sign: int, squared: bool) -> Term:
    active = value.sign()
    total = value.square().sum() if squared else value.sum()
    gradient = sign * (2 * value if squared else active)
    sides = (gradient, None) if sign > 0 else (None, gradient)
    return Term(total, active.sum(), *sides)

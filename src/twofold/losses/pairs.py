"""Losses that look at one pair at a time: contrastive, and cross-entropy for a learned comparison.

`contrastive` and `binary_cross_entropy` take a batch and use all its pairs (law 3); those named
`pair_*` take distances of pairs that somebody listed.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from twofold.comparison import Comparison
from twofold.errors import BatchError, UsageError
from twofold.losses.arguments import COLDEST, LARGEST, check_flag, check_number, is_plain
from twofold.losses.blocks import Term, over_rows
from twofold.losses.distance_blocks import Rows
from twofold.losses.pairing import References, pair_up

__all__ = [
    "binary_cross_entropy",
    "contrastive",
    "pair_contrastive",
    "pair_cosent",
    "pair_cross_entropy",
    "pair_regression",
]


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

    mean of max(0, d - positive_margin) over genuine pairs + mean of max(0, negative_margin - d)
    over impostor pairs, each mean over the pairs that are not 0 yet (so that the few impostors
    inside the margin are not drowned by the many outside). `squared` squares both, as in Hadsell et
    al. 2006, eq. 4 (whose factor 1/2 is left out).

    The margins are distances of the comparison's own scale: unit vectors are at most 2 apart
    (cosine, Euclidean), 4 in squared Euclidean; other embeddings have no bound.

    Args:
        references: further columns with their labels.

    Raises:
        BatchError: no genuine or no impostor pairs, or a batch that is not fit (see
            `pairing.pair_up`).
        UsageError: margins out of their range or in the wrong order.
    """
    check_flag("squared", squared)
    check_margins(positive_margin, negative_margin, plain=is_plain(comparison))

    def of_rows(rows: Rows) -> tuple[Term, ...]:
        return hinges(rows, positive_margin, negative_margin, squared=squared)

    return over_rows(pair_up(embeddings, labels, references), comparison, of_rows, symmetric=True)


def binary_cross_entropy(
    embeddings: Float[Tensor, "n dim"],
    labels: Int[Tensor, "n"],
    *,
    comparison: Comparison,
    references: References = None,
    balanced: bool = True,
) -> Float[Tensor, ""]:
    """How wrong P(same) = sigmoid(-distance) is, over all pairs of the batch (Koch et al. 2015, section 3.2).

    1/2 mean over genuine pairs of log(1 + e^d) + 1/2 mean over impostor pairs of log(1 + e^(-d));
    with balanced=False the plain mean over all pairs, of which genuine ones are few.

    For a learned comparison (WeightedL1), whose distance is a logit; a plain distance is never
    negative, so it could only say "different".

    Args:
        references: further columns with their labels.

    Raises:
        BatchError: no genuine or no impostor pairs, or a batch that is not fit (see
            `pairing.pair_up`).
    """
    check_flag("balanced", balanced)
    pairing = pair_up(embeddings, labels, references)
    pairs = pairing.genuine + pairing.impostor
    same, different = (
        pairs / (2 * side) if balanced else 1.0 for side in (pairing.genuine, pairing.impostor)
    )

    def of_rows(rows: Rows) -> tuple[Term, ...]:
        pull = same * rows.valid.to(rows.positive)
        weight = different * 2 / rows.ends
        push = functional.softplus(-rows.negative).sum().mul_(weight)
        total = (pull * functional.softplus(rows.positive)).sum() + push
        # The share of genuine pairs is known.
        seen = rows.valid.sum(dtype=torch.float64) * (pairs / pairing.genuine)
        slope = torch.sigmoid(-rows.negative).mul_(-weight)
        return (Term(total, seen, pull * rows.positive.sigmoid(), slope),)

    return over_rows(pairing, comparison, of_rows, symmetric=True)


def pair_contrastive(
    distances: Float[Tensor, "n"],
    targets: Float[Tensor, "n"],
    *,
    positive_margin: float = 0.0,
    negative_margin: float = 1.0,
    squared: bool = False,
) -> Float[Tensor, ""]:
    """`contrastive` over listed pairs: targets 1 = same, 0 = different (Hadsell et al. 2006, eq. 4).

    Raises:
        BatchError: lists that do not fit, a number that is not finite, or targets other than 0 and
            1.
        UsageError: margins out of their range or in the wrong order.
    """
    check_flag("squared", squared)
    check_margins(positive_margin, negative_margin)
    _check_pairs(distances, targets)
    wrong = ~((targets == 0) | (targets == 1))
    if bool(wrong.any()):
        raise BatchError(
            f"target {float(targets[wrong][0])} is neither 0 (different) nor 1 (same): "
            "for graded scores take pair_regression"
        )
    over = (distances[targets == 1] - positive_margin).clamp(min=0)
    short = (negative_margin - distances[targets == 0]).clamp(min=0)
    if squared:
        over, short = over.square(), short.square()
    return sum(
        (side.sum() / side.count_nonzero().clamp(min=1) for side in (over, short)),
        distances.new_zeros(()),
    )


def pair_cross_entropy(
    distances: Float[Tensor, "n"], targets: Float[Tensor, "n"], *, balanced: bool = False
) -> Float[Tensor, ""]:
    """`binary_cross_entropy` over listed pairs: targets are probabilities of "same".

    mean of t log(1 + e^d) + (1 - t) log(1 + e^(-d)); `balanced` gives both sides half of the
    weight.

    Raises:
        BatchError: lists that do not fit, a number that is not finite, targets beyond [0, 1], or
            balanced targets of one side only.
    """
    check_flag("balanced", balanced)
    _check_pairs(distances, targets)
    if bool(((targets < 0) | (targets > 1)).any()):
        raise BatchError(
            "targets must be probabilities in [0, 1]: for other scores take pair_regression"
        )
    pull, push = (
        targets * functional.softplus(distances),
        (1 - targets) * functional.softplus(-distances),
    )
    if not balanced:
        return (pull + push).mean()
    if not bool(targets.sum()) or not bool((1 - targets).sum()):
        raise BatchError(
            f"all {len(targets)} pairs have one target: balanced needs both sides in a batch"
        )
    return (pull.sum() / targets.sum() + push.sum() / (1 - targets).sum()) / 2


def pair_regression(
    distances: Float[Tensor, "n"],
    targets: Float[Tensor, "n"],
    *,
    best: float = 1.0,
    lowest: float = 0.0,
    highest: float = 1.0,
) -> Float[Tensor, ""]:
    """Graded scores: mean of (best - d - t)^2, t = (target - lowest) / (highest - lowest) (Reimers and Gurevych 2019,
    regression objective).

    Args:
        targets: similarity of each pair, larger is more alike.
        best: what `highest` becomes: 1 makes best - d the cosine similarity for cosine distances.
        lowest, highest: the grades of things that have nothing in common and of the same things: 1
            and 5 for grades from 1 to 5.

    Raises:
        BatchError: lists that do not fit, or a number that is not finite. UsageError: a number out
            of its range.
    """
    check_number("best", best, -LARGEST)
    check_number("lowest", lowest, -LARGEST)
    check_number("highest", highest, -LARGEST)
    if lowest >= highest:
        raise UsageError(
            f"lowest {lowest} is not below highest {highest}: the more alike, the higher the grade"
        )
    _check_pairs(distances, targets)
    return (best - distances - (targets - lowest) / (highest - lowest)).square().mean()


def pair_cosent(
    distances: Float[Tensor, "n"], targets: Float[Tensor, "n"], *, temperature: float = 0.05
) -> Float[Tensor, ""]:
    """Graded scores by their order alone: log(1 + sum over i, j with t_i > t_j of e^((d_i - d_j) / temperature)).

    A pair of pairs counts where the more alike one is farther apart (CoSENT; Su 2022). Memory is
    linear in n: sorted by target, the inner sum is a running one.

    Raises:
        BatchError: lists that do not fit, a number that is not finite, or targets that are all
            equal.
        UsageError: a temperature out of its range.
    """
    check_number("temperature", temperature, COLDEST)
    _check_pairs(distances, targets)
    order = torch.argsort(targets, stable=True)
    sorted_targets, scaled = targets[order], distances[order] / temperature
    # how many have a lower grade than each
    below = torch.searchsorted(sorted_targets, sorted_targets)
    graded = below > 0
    if not bool(graded.any()):
        raise BatchError(
            f"all {len(targets)} pairs of the batch have the same grade: an order takes two grades"
        )
    running = torch.logcumsumexp(-scaled, 0)
    return functional.softplus(torch.logsumexp(scaled[graded] + running[below[graded] - 1], 0))


def hinges(
    rows: Rows, positive_margin: float, negative_margin: float, *, squared: bool = False
) -> tuple[Term, Term]:
    """Both hinges of `contrastive`: genuine pairs, impostor pairs.

    A pair counts if it is more than `Rows.tie` on the wrong side of its margin: which of two equal
    vectors are not at 0 is for rounding to say, and each would count as much in the mean as one
    that is far off.
    """
    over = (rows.positive - (positive_margin + rows.tie)).clamp_(min=0) * rows.valid
    short = torch.sub(rows.negative, negative_margin - rows.tie, out=rows.spare).clamp_(max=0)
    return _hinge(over, 1, rows.tie, squared=squared), _hinge(short, -1, rows.tie, squared=squared)


def _hinge(beyond: Tensor, sign: int, tie: float, *, squared: bool) -> Term:
    """`beyond`: by how much more than a tie a distance is on the wrong side, with its sign."""
    if squared:
        gradient = beyond.sign()
        active, value = gradient.sum(), beyond.add_(gradient, alpha=tie)
        total, gradient = value.square().sum(), value.mul_(2)
    else:
        total, gradient = beyond.sum(), beyond.sign_()
        active = gradient.sum()
        total.add_(active, alpha=tie)
    if sign > 0:
        return Term(total, active, gradient, None)
    return Term(total if squared else total.neg_(), active.neg_(), None, gradient)


def check_margins(positive_margin: float, negative_margin: float, *, plain: bool = False) -> None:
    """Refuses margins that no pair could be held to.

    Args:
        plain: distances are never negative, so impostors need a margin above 0.

    Raises:
        UsageError: margins out of their range, or genuine pairs would be allowed more distance than
            impostors must have.
    """
    check_number("positive_margin", positive_margin, 0 if plain else -LARGEST)
    check_number("negative_margin", negative_margin, 1e-6 if plain else -LARGEST)
    if positive_margin > negative_margin:
        raise UsageError(
            f"positive_margin {positive_margin} is beyond negative_margin {negative_margin}: "
            "genuine pairs must be allowed less distance than impostors"
        )


def _check_pairs(distances: Tensor, targets: Tensor) -> None:
    for name, values in (("distances", distances), ("targets", targets)):
        if not isinstance(values, Tensor) or not values.is_floating_point():
            kind = values.dtype if isinstance(values, Tensor) else type(values).__name__
            raise BatchError(
                f"{name} must be a tensor of floats, not {kind}: give torch.tensor(..., "
                f"dtype=torch.float32)"
            )
    if distances.ndim != 1 or distances.shape != targets.shape or not len(distances):
        raise BatchError(
            f"pairs need one distance and one target each, not {tuple(distances.shape)} and "
            f"{tuple(targets.shape)}"
        )
    for name, values in (("distance", distances), ("target", targets)):
        if not bool(values.isfinite().all()):
            raise BatchError(
                f"the {name} of pair {int((~values.isfinite()).nonzero()[0])} is NaN or infinite"
            )

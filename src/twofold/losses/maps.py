"""Losses over maps: `loss(distances, targets, valid)`, a distance for each pixel in, a scalar out.

A map's distance is a logit of change: larger = more different, above 0 more likely changed than
not. Targets are 1 where something changed and 0 where not; `valid` says which pixels count. A
recipe of change names one of these, `loss = "dice"`.
"""

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from twofold.errors import BatchError
from twofold.losses.arguments import check_number

__all__ = ["contrastive", "cross_entropy", "cross_entropy_dice", "dice", "focal"]

Map = Float[Tensor, "batch height width"]
Truth = Float[Tensor, "_ _ _"]
Valid = Bool[Tensor, "_ _ _"]

FEW_PIXELS = 1.0
"""Pixels that are added to both sides of Dice's quotient: without a changed pixel it would be 0 / 0."""


def cross_entropy(
    distances: Map, targets: Truth, valid: Valid, *, positive_weight: float = 1.0
) -> Float[Tensor, ""]:
    """Mean of w t log(1 + e^-d) + (1 - t) log(1 + e^d) over the valid pixels.

    Args:
        positive_weight: w, of changed pixels.

    Raises:
        BatchError: maps that do not fit. UsageError: a weight out of its range.
    """
    check_number("positive_weight", positive_weight, 1e-6)
    _check(distances, targets, valid)
    weight = (1 + (positive_weight - 1) * targets) * valid
    each = F.binary_cross_entropy_with_logits(distances, targets, reduction="none")
    return (each * weight).sum() / valid.sum().clamp(min=1)


def focal(
    distances: Map, targets: Truth, valid: Valid, *, gamma: float = 2.0, alpha: float = 0.5
) -> Float[Tensor, ""]:
    """Mean of a_t (1 - p_t)^gamma (-log p_t), p_t the probability of what is true (Lin et al. 2017, eq. 5).

    Args:
        gamma: how much less a pixel counts that is right already. alpha: weight of changed pixels;
            the others have 1 - alpha.

    Raises:
        BatchError, UsageError: as `cross_entropy`.
    """
    check_number("gamma", gamma, 0, 10)
    check_number("alpha", alpha, 0, 1)
    _check(distances, targets, valid)
    wrong = F.binary_cross_entropy_with_logits(distances, targets, reduction="none")
    missing = 1 - (-wrong).exp()
    weight = (alpha * targets + (1 - alpha) * (1 - targets)) * valid
    # the slope of x^gamma is infinite at 0 for gamma < 1
    return (weight * missing.clamp(min=1e-6) ** gamma * wrong).sum() / valid.sum().clamp(min=1)


def dice(distances: Map, targets: Truth, valid: Valid) -> Float[Tensor, ""]:
    """1 - (2 sum p t + 1) / (sum p + sum t + 1) over all valid pixels of the batch (Milletari et al. 2016, eq. 2).

    p is the probability of change. One quotient for the batch, as F1 is pooled over pixels: tiles
    without change count by their false alarms.

    Raises:
        BatchError: maps that do not fit.
    """
    _check(distances, targets, valid)
    probability, truth = distances.sigmoid() * valid, targets * valid
    both = 2 * (probability * truth).sum() + FEW_PIXELS
    return 1 - both / (probability.sum() + truth.sum() + FEW_PIXELS)


def cross_entropy_dice(
    distances: Map,
    targets: Truth,
    valid: Valid,
    *,
    positive_weight: float = 1.0,
    share: float = 0.5,
) -> Float[Tensor, ""]:
    """`share` times `dice` and 1 - `share` times `cross_entropy`: steady gradients, and the number that is judged.

    Raises:
        BatchError, UsageError: as `cross_entropy`.
    """
    check_number("share", share, 0, 1)
    entropy = cross_entropy(distances, targets, valid, positive_weight=positive_weight)
    return share * dice(distances, targets, valid) + (1 - share) * entropy


def contrastive(
    distances: Map,
    targets: Truth,
    valid: Valid,
    *,
    positive_margin: float = -1.0,
    negative_margin: float = 1.0,
) -> Float[Tensor, ""]:
    """Mean of max(d - m+, 0)^2 over unchanged pixels, plus mean of max(m- - d, 0)^2 over changed ones.

    The contrastive loss with one pair per pixel, both dates of it (Hadsell et al. 2006, eq. 4; Zhan
    et al. 2017, eq. 2, with each side's mean so that the few changed pixels count). Margins are on
    the scale of the map: `change_metric` gives 4 (distance - 1).

    Raises:
        BatchError: maps that do not fit. UsageError: margins in the wrong order.
    """
    check_number("negative_margin", negative_margin, -1e6)
    check_number("positive_margin", positive_margin, -1e6, negative_margin)
    _check(distances, targets, valid)
    same, changed = (1 - targets) * valid, targets * valid
    over = (distances - positive_margin).clamp(min=0).square()
    short = (negative_margin - distances).clamp(min=0).square()
    pull = (over * same).sum() / same.sum().clamp(min=1)
    return pull + (short * changed).sum() / changed.sum().clamp(min=1)


def _check(distances: Tensor, targets: Tensor, valid: Tensor) -> None:
    if not distances.shape == targets.shape == valid.shape:
        raise BatchError(
            f"maps of one size are needed, not {tuple(distances.shape)}, {tuple(targets.shape)} "
            f"and {tuple(valid.shape)}"
        )

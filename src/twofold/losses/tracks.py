"""Losses over the maps of tracking: `loss(scores, sides, boxes, stride)`, maps of logits and boxes in, a scalar out.

A recipe of tracking names one of these, `loss = "peak_and_box"`. `boxes` are the left, upper, right
and lower edge of the object in the window's pixels, NaN where it is absent.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from twofold.errors import BatchError
from twofold.losses.arguments import check_number

__all__ = ["logistic", "peak_and_box"]

Scores = Float[Tensor, "batch rows columns"]
Sides = Float[Tensor, "_ _ _ _"]
Boxes = Float[Tensor, "_ _"]

NARROWEST = 0.75
"""Cells of the narrowest peak's spread: one cell and its neighbours."""

NEAR_MIDDLE = 0.3
"""Height of the peak from which on a cell learns the box."""


def peak_and_box(
    scores: Scores,
    sides: Sides,
    boxes: Boxes,
    stride: int,
    *,
    spread: float = 0.12,
    gamma: float = 2.0,
    box_weight: float = 1.0,
) -> Float[Tensor, ""]:
    """A peak at the object's middle, flat where it is absent, and the box around it.

    Scores: |t - p|^gamma times the cross entropy of p, a score's probability, against t, the height
    of a Gaussian peak (Li et al. 2020, eq. 3), summed over cells, per object of the batch. Boxes: 1
    - GIoU (Rezatofighi et al. 2019), the mean over cells near the middle by their height.

    Args:
        spread: standard deviation of the peak in shares of the object's sides.
        gamma: how much less a cell counts that is right already.
        box_weight: of the boxes beside the scores.

    Raises:
        BatchError: maps that do not fit. UsageError: a number out of its range.
    """
    check_number("spread", spread, 1e-3, 1)
    check_number("gamma", gamma, 0, 10)
    check_number("box_weight", box_weight, 0)
    _check(scores, sides, boxes)
    peak = _peaks(scores, boxes, stride, spread)
    wrong = F.binary_cross_entropy_with_logits(scores, peak, reduction="none")
    # the slope of x^gamma is infinite at 0 for gamma < 1
    apart = (peak - scores.sigmoid()).abs().clamp(min=1e-6)
    value = (apart**gamma * wrong).sum() / len(scores)
    weight = peak * (peak > NEAR_MIDDLE)
    if not bool(weight.any()):
        return value
    overlap = _generalised_overlap(sides, boxes.nan_to_num(), stride)
    return value + box_weight * ((1 - overlap) * weight).sum() / weight.sum()


def logistic(
    scores: Scores, sides: Sides, boxes: Boxes, stride: int, *, radius: float = 2.0
) -> Float[Tensor, ""]:
    """The mean of log(1 + e^-ys), y = 1 within `radius` cells of the middle and -1 elsewhere (Bertinetto et al. 2016).

    Both kinds of cells weigh the same in a window with the object; boxes are not learned.

    Raises:
        BatchError, UsageError: as `peak_and_box`.
    """
    check_number("radius", radius, 0.5)
    _check(scores, sides, boxes)
    across, down = _from_middle(scores, boxes, stride)
    near = ((across**2 + down**2).sqrt() <= radius * stride).to(scores.dtype)
    each = F.binary_cross_entropy_with_logits(scores, near, reduction="none")
    inside = near.sum((1, 2), keepdim=True)
    outside = near[0].numel() - inside
    both = near / inside.clamp(min=1) + (1 - near) / outside.clamp(min=1)
    return (each * both).sum((1, 2)).mean() / 2


def _peaks(scores: Tensor, boxes: Tensor, stride: int, spread: float) -> Scores:
    """1 at the middle of the object, and less by a Gaussian around it; 0 where it is absent."""
    across, down = _from_middle(scores, boxes, stride)
    width, height = (boxes[:, 2:] - boxes[:, :2]).nan_to_num(1.0)[:, :, None, None].unbind(1)
    narrow = NARROWEST * stride
    exponent = (across / (spread * width).clamp(min=narrow)) ** 2
    exponent = exponent + (down / (spread * height).clamp(min=narrow)) ** 2
    return (-exponent / 2).exp().nan_to_num()


def _from_middle(scores: Tensor, boxes: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Pixels from each cell to the object's middle, across and down; NaN where it is absent."""
    rows, columns = scores.shape[1:]
    x = (torch.arange(columns, device=scores.device) + 0.5) * stride
    y = (torch.arange(rows, device=scores.device) + 0.5) * stride
    middle = ((boxes[:, :2] + boxes[:, 2:]) / 2)[:, :, None, None]
    # an object that is absent is far from every cell
    middle = middle.nan_to_num(1e6)
    return x[None, None, :] - middle[:, 0], y[None, :, None] - middle[:, 1]


def _generalised_overlap(sides: Sides, boxes: Boxes, stride: int) -> Scores:
    """GIoU of the box that each cell says and the truth: IoU - (hull - union) / hull."""
    rows, columns = sides.shape[2:]
    x = ((torch.arange(columns, device=sides.device) + 0.5) * stride)[None, None, :]
    y = ((torch.arange(rows, device=sides.device) + 0.5) * stride)[None, :, None]
    left, top, right, bottom = (each[:, None, None] for each in boxes.unbind(1))
    said = (x - sides[:, 0], y - sides[:, 1], x + sides[:, 2], y + sides[:, 3])
    area = (said[2] - said[0]).clamp(min=0) * (said[3] - said[1]).clamp(min=0)
    shared_width = torch.minimum(said[2], right) - torch.maximum(said[0], left)
    shared_height = torch.minimum(said[3], bottom) - torch.maximum(said[1], top)
    shared = shared_width.clamp(min=0) * shared_height.clamp(min=0)
    union = area + (right - left) * (bottom - top) - shared
    hull_width = torch.maximum(said[2], right) - torch.minimum(said[0], left)
    hull_height = torch.maximum(said[3], bottom) - torch.minimum(said[1], top)
    hull = hull_width * hull_height
    tiny = 1e-6  # pixels; objects that are absent have no area, and their cells no weight
    return shared / union.clamp(min=tiny) - (hull - union) / hull.clamp(min=tiny)


def _check(scores: Tensor, sides: Tensor, boxes: Tensor) -> None:
    batch, rows, columns = scores.shape
    if sides.shape != (batch, 4, rows, columns) or boxes.shape != (batch, 4):
        raise BatchError(
            f"maps of one size and a box each are needed, not {tuple(scores.shape)}, "
            f"{tuple(sides.shape)} and {tuple(boxes.shape)}"
        )

"""One affine warp for a batch of pictures, whatever it is made of: rotation, scale, shear, shift, crop, mirror."""

import math

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor
from torch.nn import functional as F

__all__ = ["backward_map", "rotations", "warp"]


def rotations(
    degrees: Float64[Tensor, "batch"], quarters: Int[Tensor, "batch"]
) -> Float64[Tensor, "batch 2 2"]:
    """Matrices that turn a picture counter-clockwise by `degrees` and then by whole quarters of a turn, exactly.

    They act on (x, y) with y down, hence the signs of the sine.
    """
    angle = degrees * (math.pi / 180)
    cosine, sine = angle.cos(), angle.sin()
    for_quarters = torch.tensor(
        [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]], dtype=torch.float64
    )
    quarter_cosine, quarter_sine = for_quarters[quarters % 4].unbind(1)
    total_cosine = quarter_cosine * cosine - quarter_sine * sine
    total_sine = quarter_sine * cosine + quarter_cosine * sine
    return _matrix(total_cosine, total_sine, -total_sine, total_cosine)


def backward_map(
    turn: Float64[Tensor, "batch 2 2"],
    *,
    scale: Float64[Tensor, "batch 2"],
    shear: Float64[Tensor, "batch 2"],
    shift: Float64[Tensor, "batch 2"],
    zoom: Float64[Tensor, "batch"],
    centre: Float64[Tensor, "batch 2"],
) -> Float64[Tensor, "batch 2 3"]:
    """Where each pixel of the warped picture comes from.

    A point p of the picture, in pixels from its middle, x right and y down, goes to turn . [[1,
    shear_x], [shear_y, 1]] . diag(scale) . (p - centre) / zoom + shift; this is the inverse of
    that.

    Args:
        turn: rotation matrices.
        scale: factors of x and y; a negative one mirrors.
        shear: how far x moves with y, and y with x.
        shift: how far the picture moves, in pixels.
        zoom: the side of the window that is shown, as a fraction of the picture's.
        centre: the middle of that window, in pixels from the picture's middle.
    """
    one = torch.ones_like(zoom)
    forward = (
        _product(turn, _matrix(one, shear[:, 0], shear[:, 1], one))
        * (scale / zoom[:, None])[:, None, :]
    )
    (a, b), (c, d) = (row.unbind(1) for row in forward.unbind(1))
    # A closed form and no batched solver, whose last digit may depend on how many matrices it is
    # given.
    backward = _matrix(d, -b, -c, a) / (a * d - b * c)[:, None, None]
    offset = centre - (backward * shift[:, None, :]).sum(2)
    return torch.cat([backward, offset[:, :, None]], dim=2)


def warp(
    pictures: Float[Tensor, "batch channels height width"],
    backward: Float64[Tensor, "batch 2 3"],
    *,
    fill: float | None = None,
) -> Float[Tensor, "batch channels height width"]:
    """Samples every picture through its map, bilinearly, in one pass.

    Args:
        pictures: pixels; centre of pixel i at i + 0.5.
        backward: maps of `backward_map`.
        fill: the value beyond the border; None repeats the border's pixels.
    """
    height, width = pictures.shape[2:]
    grid = _grid(backward.float().to(pictures.device), height, width)
    if fill is None:
        return F.grid_sample(
            pictures, grid, mode="bilinear", padding_mode="border", align_corners=False
        )
    moved = F.grid_sample(
        pictures - fill, grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )
    return moved + fill


def _grid(
    backward: Float[Tensor, "batch 2 3"], height: int, width: int
) -> Float[Tensor, "batch height width 2"]:
    # affine_grid's product, with the sums of x and y kept apart until the last step: one pass over
    # the pixels.
    x = torch.arange(width, device=backward.device) + (0.5 - width / 2)
    y = torch.arange(height, device=backward.device) + (0.5 - height / 2)
    unit = backward * torch.tensor([[2 / width], [2 / height]], device=backward.device)
    along = unit[:, :, 0, None] * x
    down = unit[:, :, 1, None] * y + unit[:, :, 2, None]
    return along.mT[:, None, :, :] + down.mT[:, :, None, :]


def _matrix(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Float64[Tensor, "batch 2 2"]:
    return torch.stack([a, b, c, d], dim=1).view(-1, 2, 2)


def _product(
    a: Float64[Tensor, "batch 2 2"], b: Float64[Tensor, "batch 2 2"]
) -> Float64[Tensor, "batch 2 2"]:
    return (a[:, :, :, None] * b[:, None, :, :]).sum(2)

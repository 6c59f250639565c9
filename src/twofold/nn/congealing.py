"""Congealing: pictures of one kind of thing are turned, scaled and shifted until they look alike, without labels."""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Congealing"]

Poses = Float[Tensor, "batch 4"]
"""Angle in radians, logarithm of the scale, shift right and shift down in half sides of the picture."""

Model = tuple[Float[Tensor, "pixels"], Float[Tensor, "pixels components"]]
"""What aligned pictures look like: their mean, of length 1, and their first principal components."""

SIDE = 56
"""Pixels a side of the grey pictures that are looked at: small and blurred, so that the search finds its way."""

SEEN = 24
"""Pixels a side of what is compared."""

COMPONENTS = 12
"""Directions in which the things of a kind may differ: light, a turned head, an open mouth."""

MOST = 4000
"""Pictures at most that are fitted to; with 2,700 faces the search takes 10 processor seconds."""

ROUNDS = (
    (0, (0.08, 0.05)),
    (0, (0.05, 0.03)),
    (0, (0.05, 0.03)),
    (4, (0.05, 0.03)),
    (8, (0.04, 0.02)),
    (12, (0.03, 0.02)),
    (12, (0.02, 0.01)),
)
"""Components, and steps of the search, in each round of the fit: from coarse to fine."""

COARSE, FINE = (0.08, 0.04), (0.04, 0.02, 0.01)
"""Steps of the search in a new picture: for the mean alone, then with all components."""

LIKELY = (0.2, 0.15, 0.12, 0.12)
"""How far poses usually lie from that of the picture as it is; a detector leaves about half as much."""

SHRINKAGE = 0.004
"""Weight of the penalty on unlikely poses, beside a likeness of at most 1."""

FASTER_TURN = 1.5
"""A step of the angle against one of the others: what lies halfway to the border moves as far."""


class Congealing(nn.Module):
    """The middle of each picture, in the pose in which it looks most like the pictures that this was fitted to.

    Congealing (Learned-Miller 2006): every picture of a set is moved by a similarity until the set
    looks most alike, in turn with what it looks like. Here likeness is the share of a picture that
    the mean picture and its first principal components explain (eigenfaces; Turk & Pentland 1991),
    and the search goes along one coordinate at a time. Nothing is learned by gradients, and no
    labels or landmarks are needed. Before `fit` the middle is taken as it is.

    Args:
        window: side of the middle that is shown, as a share of the picture's.
        side: pixels a side of what is returned.
    """

    mean: Tensor
    components: Tensor

    def __init__(self, *, window: float = 0.72, side: int = 48) -> None:
        super().__init__()
        self.window, self.side = window, side
        self.register_buffer("mean", torch.zeros(SEEN * SEEN))
        self.register_buffer("components", torch.zeros(SEEN * SEEN, COMPONENTS))

    def forward(
        self, pictures: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels side side"]:
        with torch.no_grad(), torch.autocast(pictures.device.type, enabled=False):
            poses = self.poses(pictures)
        return sampled(pictures, poses, side=self.side, window=self.window)

    def poses(self, pictures: Float[Tensor, "batch channels height width"]) -> Poses:
        """The pose in which each picture looks most like those that were fitted to; before `fit`, that which it has.

        Outside training in float64: in float32 one picture in some hundreds finds another pose in
        another batch, since two poses are equal but for rounding.
        """
        exact = not self.training and pictures.device.type != "mps"  # which has no float64
        grey = small(pictures).to(torch.float64 if exact else torch.float32)
        mean, components = self.mean.to(grey), self.components.to(grey)
        poses = searched(grey, grey.new_zeros(grey.shape[0], 4), (mean, components[:, :0]), COARSE)
        return searched(grey, poses, (mean, components), FINE).float()

    @torch.no_grad()
    def fit(self, batches: Iterable[Float[Tensor, "batch channels height width"]]) -> None:
        """Learn what pictures look like once they are aligned; of many, evenly spaced ones count."""
        grey = torch.cat([small(batch) for batch in batches])
        grey = grey[:: max(-(-len(grey) // MOST), 1)]
        poses = grey.new_zeros(len(grey), 4)
        for components, steps in ROUNDS:
            model = eigenpictures(compared(grey, poses), components)
            poses = searched(grey, poses, model, steps)
            poses = poses - poses.mean(dim=0)  # else all of them may drift together
        mean, found = eigenpictures(compared(grey, poses), COMPONENTS)
        self.mean.copy_(mean)
        self.components[:, : found.shape[1]] = found


def small(
    pictures: Float[Tensor, "batch channels height width"],
) -> Float[Tensor, "batch 1 rows columns"]:
    """Grey pictures of `SIDE` x `SIDE`."""
    grey = pictures.float().mean(dim=1, keepdim=True)
    return F.interpolate(grey, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)


def searched(
    grey: Float[Tensor, "batch 1 rows columns"],
    poses: Poses,
    model: Model,
    steps: Sequence[float],
) -> Poses:
    """Better poses: each coordinate is moved up and down by each step, where that makes a picture more alike."""
    likely, (mean, components) = poses.new_tensor(LIKELY), model

    def worth(poses: Poses) -> Float[Tensor, "batch"]:
        seen = compared(grey, poses)
        along = seen @ mean
        rest = (seen - along[:, None] * mean) @ components
        share = along * along.abs() + rest.square().sum(dim=1)
        return share - SHRINKAGE * (poses / likely).square().sum(dim=1)

    best = worth(poses)
    turns = poses.new_tensor((FASTER_TURN, 1.0, 1.0, 1.0))
    for step in steps:
        for move in (sign * step * row for row in torch.diag(turns) for sign in (1, -1)):
            found = worth(poses + move)
            better = found > best
            poses = torch.where(better[:, None], poses + move, poses)
            best = torch.where(better, found, best)
    return poses


def compared(
    grey: Float[Tensor, "batch 1 rows columns"], poses: Poses
) -> Float[Tensor, "batch pixels"]:
    """The middles of pictures in these poses, without their brightness and contrast; of length 1."""
    weights = _oval(grey)
    seen = sampled(grey, poses, side=SEEN, window=WINDOW).flatten(1)
    seen = (seen - (seen * weights).sum(dim=1, keepdim=True)) * weights.sqrt()
    return F.normalize(seen, dim=1, eps=1e-6)


WINDOW = 0.7
"""Share of a picture's side that is compared: all of a face, and little of what is behind it."""


def _oval(like: Tensor) -> Float[Tensor, "pixels"]:
    """Weights of the compared pixels, which sum to 1: the corners show what is behind the thing."""
    across = torch.linspace(-1, 1, SEEN, dtype=like.dtype, device=like.device)
    weights = torch.exp(
        -(((across[None] / 0.8) ** 2 + (across[:, None] / 0.9) ** 2) ** 2)
    ).flatten()
    return weights / weights.sum()


def eigenpictures(seen: Float[Tensor, "batch pixels"], count: int) -> Model:
    """The mean of pictures, of length 1, and the first principal components of what it leaves."""
    mean = F.normalize(seen.mean(dim=0), dim=0)
    if not count:
        return mean, seen.new_zeros(len(mean), 0)
    rest = seen - (seen @ mean)[:, None] * mean
    values = torch.linalg.eigh(rest.T.double() @ rest.double())
    kept = values.eigenvectors[:, -count:].flip(1)
    # where there are fewer pictures than components, the rest explain nothing and stay 0
    return mean, (kept * (values.eigenvalues[-count:].flip(0) > 1e-9)).float()


def sampled(
    pictures: Float[Tensor, "batch channels height width"],
    poses: Poses,
    *,
    side: int,
    window: float,
) -> Float[Tensor, "batch channels side side"]:
    """The middle of each picture in its pose; beyond the border its last pixels are repeated."""
    turn = torch.polar(window * torch.exp(poses[:, 1]), poses[:, 0])
    first = torch.stack([turn.real, -turn.imag, poses[:, 2]], dim=1)
    second = torch.stack([turn.imag, turn.real, poses[:, 3]], dim=1)
    shape = [pictures.shape[0], 1, side, side]
    grid = F.affine_grid(torch.stack([first, second], dim=1), shape, align_corners=False)
    grid = grid.to(pictures.dtype)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)

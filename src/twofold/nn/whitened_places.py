"""Signatures from few writers: gradients and ImageNet's features in their places, whitened by the training classes."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from twofold.errors import RecipeError
from twofold.nn import efficientnet
from twofold.nn.aligned_gradients import blurred
from twofold.nn.builder import builder
from twofold.nn.fitted_head import FittedHead
from twofold.nn.whitening import within_class_whitening

__all__ = ["Places", "WhitenedPlaces", "whitened_places"]

DIRECTIONS, CELLS = 12, (5, 12)
"""Bins of the gradient's direction, and the cells that they are counted in, across the box around the ink."""

BOX = (128, 256)
"""Pixels that the box around the ink is brought to."""

COARSE = 4
"""Pixels a side over which directions are added up before they are blurred over a cell."""

GRADIENTS_AT_ONCE = 16
"""Pictures whose gradients are made together: at their full size they take 8 MB each."""

LEVELS = ((4, (3, 6)), (6, (3, 6)), (10, (3, 6)), (14, (2, 4)))
"""After which layers of the trunk its maps are taken, and in how many places: strokes, and what they make together."""

MAPS = {4: 24, 6: 40, 10: 80, 14: 192}

SHORTEST = 1e-6
"""A vector below this length has no direction."""

FITTED = 8000
"""Pictures at most that the whitening is fitted to, whose features take 150 MB."""

INK = 0.0
"""Normalised pixels below this are ink: the input has paper at 1 and ink at -1."""


class Places(nn.Module):
    """What is drawn where: histograms of gradients, and maps of EfficientNet-Lite0 at four levels; nothing learns.

    Gradients are counted in the box around the ink, stretched to one size; the maps see the
    proportions. Roots are taken, as of counts, and each kind has length 1.
    """

    def __init__(self, *, network: bool, weights: str | None) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        if network:
            layers = efficientnet.trunk(3)
            if weights is not None:
                efficientnet.load(layers, weights, channels=3)
            self.layers = nn.Sequential(*list(layers)[: LEVELS[-1][0] + 1])
        self.requires_grad_(False)
        self.train(False)

    @property
    def size(self) -> int:
        """How many features there are."""
        maps = sum(MAPS[level] * rows * columns for level, (rows, columns) in LEVELS)
        return DIRECTIONS * CELLS[0] * CELLS[1] + (maps if len(self.layers) else 0)

    def train(self, mode: bool = True) -> "Places":
        """The norms keep their statistics in training, too."""
        return super().train(False)

    def forward(
        self, pictures: Float[Tensor, "batch 1 height width"]
    ) -> Float[Tensor, "batch features"]:
        # an exported network takes batches of any length, which cannot be split into a known number
        few = (pictures,) if torch.compiler.is_exporting() else pictures.split(GRADIENTS_AT_ONCE)
        found = [torch.cat([_directions(_boxed(some)) for some in few])]
        places, maps = dict(LEVELS), pictures.expand(-1, 3, -1, -1)
        for number, layer in enumerate(self.layers):
            maps = layer(maps)
            if number in places:
                found.append(F.adaptive_avg_pool2d(maps, places[number]).flatten(1))
        return torch.cat(
            [F.normalize(one.sign() * one.abs().sqrt(), dim=1) for one in found], dim=1
        )


def _boxed(
    pictures: Float[Tensor, "batch 1 height width"],
) -> Float[Tensor, "batch 1 rows columns"]:
    """The box around the ink of each picture, at one size; of a blank one the whole picture."""
    drawn = pictures[:, 0] < INK
    (left, wide), (top, high) = (_span(drawn.any(dim=axis)) for axis in (1, 2))
    nothing = torch.zeros_like(left)
    theta = torch.stack([wide, nothing, left, nothing, high, top], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(theta, [pictures.shape[0], 1, *BOX], align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def _span(
    inked: Bool[Tensor, "batch side"],
) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
    """Where the middle of the ink is, in -1 to 1, and which share of the side it takes."""
    side = inked.shape[1]
    first = inked.float().argmax(dim=1)
    beyond = side - inked.flip(1).float().argmax(dim=1)
    return (first + beyond) / side - 1, (beyond - first) / side


def _directions(boxes: Float[Tensor, "batch 1 rows columns"]) -> Float[Tensor, "batch features"]:
    """Strength of gradients by direction, in cells that reach into each other (Dalal & Triggs 2005)."""
    soft = blurred(boxes, 1.0)
    across = F.pad((soft[..., 2:] - soft[..., :-2]) / 2, (1, 1))
    down = F.pad((soft[..., 2:, :] - soft[..., :-2, :]) / 2, (0, 0, 1, 1))
    turn = torch.atan2(down, across) * (DIRECTIONS / (2 * torch.pi))
    bins = torch.arange(DIRECTIONS, device=boxes.device).view(1, -1, 1, 1)
    away = ((turn - bins + DIRECTIONS / 2) % DIRECTIONS - DIRECTIONS / 2).abs()
    strength = (1 - away).clamp(min=0) * torch.hypot(across, down)
    small = F.avg_pool2d(strength, COARSE)
    reach = BOX[0] / COARSE / CELLS[0] / 2
    return F.adaptive_avg_pool2d(blurred(small, reach), CELLS).flatten(1)


class WhitenedPlaces(FittedHead):
    """Places, centred and whitened by the training classes.

    How far a signature is from the middle of all tells how much it has of its own, and so how far
    apart others of the writer may be. Vectors of their full length let that count for too much,
    those of length 1 not at all; with the root of their length the equal error rate against
    forgeries is that of the first and against strangers that of the second (docs/LOG.md).
    """

    name = "whitened_places"
    instead = "give a folder per writer, or take another encoder (--set encoder=resnet_small)"
    most = FITTED

    def __init__(self, trunk: Places, *, dim: int, unit_norm: bool) -> None:
        super().__init__(trunk, features=trunk.size, dim=dim, channels=1, unit_norm=unit_norm)

    def _finished(self, embedding: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Of length 1 where `unit_norm` is set, else of the root of the length."""
        embedding = super()._finished(embedding)
        if self.unit_norm:
            return embedding
        length = torch.linalg.vector_norm(embedding, dim=1, keepdim=True)
        return embedding / length.clamp(min=SHORTEST).sqrt()

    def solved(
        self, features: Float[Tensor, "n features"], labels: Int[Tensor, "n"]
    ) -> tuple[Float[Tensor, "dim features"], Float[Tensor, "dim"]]:
        """Whiten within the plane of the pictures, which is smaller than the features are many."""
        mean = features.mean(dim=0)
        plane = _plane(features - mean)
        middle, project = within_class_whitening((features - mean) @ plane.T, labels, dim=self.dim)
        return project @ plane, -project @ (middle + plane @ mean)


def _plane(values: Float[Tensor, "n features"]) -> Float[Tensor, "directions features"]:
    """Orthonormal directions that hold all of the centred values."""
    strength, sides = torch.linalg.eigh((values @ values.T).double())
    kept = strength > strength[-1] * 1e-9
    return (values.double().T @ (sides[:, kept] / strength[kept].sqrt())).T.float()


@builder
def whitened_places(
    dim: int = 512,
    *,
    channels: int = 1,
    network: bool = True,
    weights: str | None = None,
    unit_norm: bool = False,
) -> WhitenedPlaces:
    """Gradients and ImageNet's features in their places, whitened by the training classes: for signatures.

    Nothing but the head learns. It is fitted in closed form before the first step (within-class
    covariance normalisation; Hatch & Stolcke 2006), and the steps refine it. Pictures have paper at
    1 and ink at -1.

    Args:
        dim: length of an embedding; of as many principal components at most, of few pictures fewer.
        channels: channels of a picture, 1.
        network: whether EfficientNet-Lite0 looks, too, and not gradients alone.
        weights: "imagenet" (extra `weights`), or none, to try things out.
        unit_norm: whether embeddings have length 1; without the network that is better.

    Raises:
        RecipeError: unknown weights, or several channels.
        MissingExtra: the package of the weights is not installed.
    """
    if channels != 1:
        raise RecipeError(f"whitened_places takes pictures of 1 channel, not {channels}")
    return WhitenedPlaces(Places(network=network, weights=weights), dim=dim, unit_norm=unit_norm)

"""Photographs from few pictures: ImageNet's features of several levels, whitened by the training classes."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from twofold.errors import RecipeError
from twofold.metrics.pairs import AllPairs
from twofold.metrics.verification import auc, tally
from twofold.nn import efficientnet
from twofold.nn.builder import builder
from twofold.nn.fitted_head import FittedHead
from twofold.nn.whitening import within_class_whitening

__all__ = ["Levels", "WhitenedLevels", "whitened_levels"]

LOWER = 14
"""Layers of the trunk up to the end of its fifth stage, whose maps are 1/16 of the picture: textures, where the last
maps tell objects."""

LOWER_MAPS, UPPER_MAPS = 112, efficientnet.FEATURES

FEWEST_CLASSES = 8
"""Classes from which on they tell what varies within classes unlike them. Of 3 and 4 classes of aerial pictures a
whitening made unseen classes harder to tell apart, of 10 objects and of 30 groceries easier (docs/LOG.md)."""

MIDDLES = (0.5, 0.0)
"""Weights of the middle of pictures against the whole, from which training pictures choose."""

FEWEST_PICTURES, CHOOSING = 100, 1024
"""Training pictures from which on they choose, and how many at most: each is compared with each."""


class Levels(nn.Module):
    """EfficientNet-Lite0 with ImageNet's weights, which never learn: the mean of the maps of two levels.

    Each level has length 1, so that neither outweighs the other. With `middle` the same follows for
    the middle of each picture: things stand in the middle.
    """

    def __init__(self, *, middle: float, weights: str | None) -> None:
        super().__init__()
        layers = efficientnet.trunk(3)
        if weights is not None:
            efficientnet.load(layers, weights, channels=3)
        self.lower, self.upper = layers[:LOWER], layers[LOWER:]
        self.middle = middle
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> "Levels":
        """The norms keep their statistics in training, too."""
        return super().train(False)

    def forward(
        self, pictures: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch features"]:
        found = self._levels(pictures)
        if self.middle == 1:
            return found
        return torch.cat([found, self._levels(middle_of(pictures, self.middle))], dim=1)

    def _levels(self, pictures: Tensor) -> Tensor:
        lower = self.lower(pictures)
        levels = (lower, self.upper(lower))
        return torch.cat([F.normalize(maps.mean(dim=(2, 3)), dim=1) for maps in levels], dim=1)


def middle_of(
    pictures: Float[Tensor, "batch 3 height width"], share: float
) -> Float[Tensor, "batch 3 rows columns"]:
    """The middle of each picture, of so much of its height and width."""
    height, width = pictures.shape[2:]
    rows, columns = max(round(share * height), 1), max(round(share * width), 1)
    top, left = (height - rows) // 2, (width - columns) // 2
    return pictures[:, :, top : top + rows, left : left + columns]


class WhitenedLevels(FittedHead):
    """Levels, weighted, centred and whitened by the training classes; then length 1.

    Whether the middle of pictures counts is chosen by the training pictures: by how well pairs of one
    class are told from pairs of two (AUC), before anything is fitted.
    """

    name = "whitened_levels"
    instead = "give a folder per class, or take another encoder (--set encoder=efficientnet_lite0)"

    def __init__(self, trunk: Levels, *, dim: int, unit_norm: bool) -> None:
        looks = 2 if trunk.middle < 1 else 1
        features = (LOWER_MAPS + UPPER_MAPS) * looks
        super().__init__(trunk, features=features, dim=dim, channels=3, unit_norm=unit_norm)

    def solved(
        self, features: Float[Tensor, "n features"], labels: Int[Tensor, "n"]
    ) -> tuple[Float[Tensor, "dim features"], Float[Tensor, "dim"]]:
        """Of too few classes the components alone are taken, which change no angle between centred features."""
        mix = _chosen(features, labels)
        mixed = features @ mix.T
        if len(torch.unique(labels)) < FEWEST_CLASSES:
            labels = torch.arange(len(labels))
        mean, project = within_class_whitening(mixed, labels, dim=self.dim)
        return project @ mix, -project @ mean


def _chosen(
    features: Float[Tensor, "n features"], labels: Int[Tensor, "n"]
) -> Float[Tensor, "maps features"]:
    """The mix of looks that tells the classes of training pictures apart best; of few pictures the first one."""
    maps = LOWER_MAPS + UPPER_MAPS
    if features.shape[1] == maps:
        return torch.eye(maps)
    mixes = [
        torch.cat([(1 - part) * torch.eye(maps), part * torch.eye(maps)], 1) for part in MIDDLES
    ]
    some = torch.linspace(0, len(labels) - 1, min(len(labels), CHOOSING)).long()
    codes = labels[some].numpy()
    if len(labels) < FEWEST_PICTURES or not 1 < len(np.unique(codes)) < len(codes):
        return mixes[0]
    told = []
    for mix in mixes:
        mixed = features[some] @ mix.T
        vectors = F.normalize(mixed - mixed.mean(dim=0), dim=1).numpy()
        pairs = AllPairs(lambda rows, cols, of=vectors: of[rows] @ of[cols].T, codes)
        told.append(float(auc(tally(pairs))))
    return mixes[int(np.argmax(told))]


@builder
def whitened_levels(
    dim: int = 256,
    *,
    channels: int = 3,
    middle: float = 0.7,
    weights: str | None = "imagenet",
    unit_norm: bool = True,
) -> WhitenedLevels:
    """ImageNet's features of two levels, whitened by the training classes: for few pictures, in a minute.

    The trunk is EfficientNet-Lite0 and never learns. The head is fitted in closed form before the
    first step (within-class covariance normalisation; Hatch & Stolcke 2006), and the steps refine
    it. Fewer than eight classes do not tell what varies within others; then the features are only
    centred. Whether the middle of pictures counts is chosen by how well it tells the training
    classes apart, if there are 100 pictures or more.

    Args:
        dim: length of an embedding; of as many principal components at most, of few pictures fewer.
        channels: channels of a picture; ImageNet's weights want 3.
        middle: share of the sides that is looked at a second time, for things that stand in the
            middle; 1: the whole picture alone.
        weights: "imagenet" (extra `weights`), or none, to try things out.
        unit_norm: whether embeddings have length 1.

    Raises:
        RecipeError: unknown weights, other channels than 3, or a share out of its range.
        MissingExtra: the package of the weights is not installed.
    """
    if channels != 3:
        raise RecipeError(f"whitened_levels takes pictures of 3 channels, not {channels}")
    if not 0 < middle <= 1:
        raise RecipeError(f"middle = {middle} must be a share of the sides, from 0 to 1")
    return WhitenedLevels(Levels(middle=middle, weights=weights), dim=dim, unit_norm=unit_norm)

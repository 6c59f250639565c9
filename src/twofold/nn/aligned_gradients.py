"""Faces from few pictures: alignment without landmarks, histograms of gradients, a whitening fitted to labels."""

from collections.abc import Iterable
from itertools import islice

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from twofold.errors import RecipeError
from twofold.nn.builder import builder
from twofold.nn.congealing import Congealing
from twofold.nn.heads import check_pictures
from twofold.nn.whitening import within_class_whitening

__all__ = ["AlignedGradients", "aligned_gradients"]

DIRECTIONS = 8
"""Bins of the gradient's direction, all round: dark eyes on light skin differ from light ones on dark skin."""

FITTED = 8000
"""Pictures at most that alignment and whitening are fitted to, which takes some minutes and 500 MB."""

PATCHES = 10
"""Patches a side of which colours are taken."""

COLOUR = 1 / 30
"""Weight of colours (of pixels whose deviation is about 1) beside gradients; those of LFW then count for a quarter of
them, and the equal error rate of people unseen falls from .163 to .152 (docs/LOG.md)."""

AT_ONCE = 128
"""Pictures that are embedded at once while the whitening is fitted."""

WEAK = 0.1
"""Share of a picture's mean strength of gradients that is added to the local one, so that flat skin stays flat."""


class AlignedGradients(nn.Module):
    """Pictures -> aligned pictures -> histograms of gradients, colours -> whitened embeddings.

    Attributes:
        dim: length of an embedding.
        picture: the (channels, height, width) that it takes; any height and width will do.
        prepared_by_class: `prepare` is given the class of each picture, too.
    """

    mean: Tensor
    prepared_by_class = True

    def __init__(
        self, alignment: Congealing, *, dim: int, channels: int, cell: int, unit_norm: bool
    ) -> None:
        super().__init__()
        self.alignment, self.dim, self.cell, self.unit_norm = alignment, dim, cell, unit_norm
        self.picture: tuple[int, int | None, int | None] = (channels, None, None)
        cells = (alignment.side - 2) // cell
        colours = 2 * PATCHES * PATCHES if channels == 3 else 0
        self.register_buffer("mean", torch.zeros(DIRECTIONS * cells * cells + colours))
        self.project = nn.Linear(len(self.mean), dim, bias=False)

    def forward(self, batch: Float[Tensor, "batch *picture"]) -> Float[Tensor, "batch dim"]:
        """Embeds pictures; float32 also under autocast, of length 1 where `unit_norm` is set.

        Raises:
            UsageError: pictures of another number of channels than the encoder was built for.
        """
        check_pictures(batch, self.picture)
        embedding = self.project(self.features(batch) - self.mean).float()
        return F.normalize(embedding, dim=-1) if self.unit_norm else embedding

    def prepare(
        self,
        batches: Iterable[Float[Tensor, "batch *picture"]],
        labels: Int[np.ndarray, "n"] | None = None,
    ) -> None:
        """Fit alignment and whitening to the training pictures; what was fitted already stays.

        Raises:
            RecipeError: nobody knows the classes of the pictures, as in tables of pairs.
        """
        if bool(self.mean.any()):
            return
        if labels is None:
            raise RecipeError(
                "aligned_gradients learns from labelled items, and cannot train on pairs: give a "
                "folder per identity, or take another encoder (--set encoder=resnet_small)"
            )
        pictures = list(islice(batches, FITTED))
        self.alignment.fit(pictures)
        training = self.training
        self.eval()
        with torch.no_grad():
            together = [
                torch.cat(pictures[start : start + AT_ONCE])
                for start in range(0, len(pictures), AT_ONCE)
            ]
            features = torch.cat([self.features(some) for some in together])
            codes = torch.from_numpy(labels[: len(features)])
            mean, found = within_class_whitening(features, codes, dim=self.dim)
            self.mean.copy_(mean)
            self.project.weight.copy_(found)
        self.train(training)

    def features(self, batch: Float[Tensor, "batch *picture"]) -> Float[Tensor, "batch features"]:
        """Histograms of gradients and colours of each aligned picture, added to those of its mirror image."""
        with torch.autocast(batch.device.type, enabled=False):
            seen = self.alignment(batch.float())
            grey = seen.mean(dim=1, keepdim=True)
            one, other = (gradients(each, self.cell) for each in (grey, grey.flip(3)))
            found = F.normalize(one, dim=1) + F.normalize(other, dim=1)
            if seen.shape[1] == 1:
                return found
            apart = F.adaptive_avg_pool2d(seen[:, ::2] - grey, PATCHES)
            return torch.cat([found, COLOUR * (apart + apart.flip(3)).flatten(1)], dim=1)


def gradients(
    grey: Float[Tensor, "batch 1 side side"], cell: int
) -> Float[Tensor, "batch features"]:
    """Histograms of oriented gradients (Dalal & Triggs 2005): their strength by direction, in cells of so many pixels.

    Strengths are divided by those of the neighbourhood, against light from one side, and their root
    is taken, as of counts.
    """
    grey = blurred(grey, 1.0)
    across = (grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2]) / 2
    down = (grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]) / 2
    turn = torch.atan2(down, across) * (DIRECTIONS / (2 * torch.pi))
    bins = torch.arange(DIRECTIONS, device=grey.device).view(1, -1, 1, 1)
    away = ((turn - bins + DIRECTIONS / 2) % DIRECTIONS - DIRECTIONS / 2).abs()
    strength = (1 - away).clamp(min=0) * torch.hypot(across, down)
    found = F.avg_pool2d(blurred(strength, 0.4 * cell), cell, cell)
    around = blurred(found.square().sum(dim=1, keepdim=True), 1.0).sqrt()
    even = around.mean(dim=(1, 2, 3), keepdim=True)
    return (found / (around + WEAK * even).clamp(min=1e-9)).clamp(min=0).sqrt().flatten(1)


def blurred(
    maps: Float[Tensor, "batch maps rows columns"], deviation: float
) -> Float[Tensor, "batch maps rows columns"]:
    """Gaussian blur of each map; beyond the border its last numbers are repeated."""
    reach = max(int(2.5 * deviation), 1)
    places = torch.arange(-reach, reach + 1, device=maps.device)
    weights = torch.exp(-((places / deviation) ** 2) / 2)
    weights, count = (weights / weights.sum()).to(maps), maps.shape[1]
    across = weights.view(1, 1, 1, -1).expand(count, 1, 1, -1)
    maps = F.conv2d(F.pad(maps, (reach, reach, 0, 0), mode="replicate"), across, groups=count)
    down = weights.view(1, 1, -1, 1).expand(count, 1, -1, 1)
    return F.conv2d(F.pad(maps, (0, 0, reach, reach), mode="replicate"), down, groups=count)


@builder
def aligned_gradients(
    dim: int = 512,
    *,
    channels: int = 3,
    side: int = 90,
    window: float = 0.8,
    cell: int = 5,
    unit_norm: bool = True,
) -> AlignedGradients:
    """Whitened histograms of gradients of aligned pictures: for faces that a detector found, and few of each person.

    All of it is fitted before the first step of training (`congealing`, `whitening`), in a minute
    or two; the steps then refine the last layer. It suits things that look much alike and differ in
    place, angle and scale.

    Args:
        dim: length of an embedding; of as many principal components at most, of few pictures fewer.
        channels: channels of a picture; of 3 the colours of patches count, too.
        side: pixels a side of the aligned middle.
        window: share of a picture's side that the middle takes.
        cell: pixels a side of a histogram's cell.
        unit_norm: whether embeddings have length 1.
    """
    alignment = Congealing(window=window, side=side)
    return AlignedGradients(alignment, dim=dim, channels=channels, cell=cell, unit_norm=unit_norm)

"""Words as sequences of a few numbers per frame, found in closed form: what `comparison.Warping` aligns."""

from collections.abc import Iterable
from itertools import islice

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from twofold.errors import RecipeError
from twofold.inputs.audio_features import cepstra
from twofold.nn.builder import builder
from twofold.nn.heads import check_pictures

__all__ = ["word_frames"]

COEFFICIENTS = 13
"""Cepstra of a frame, as is usual."""

CONTEXT = 2
"""Frames at each side whose cepstra count, too: five frames together."""

TRACTS = (0.8, 0.86, 0.92, 1.0, 1.08, 1.16, 1.24)
"""Factors by which the bands are stretched while the directions are found: vocal tracts of other
speakers (Jaitly & Hinton 2013)."""

SHRINKAGE = 0.8
"""Share of a multiple of the identity in the covariance within, which few speakers tell badly; .3 to .8 were alike
(docs/LOG.md)."""

FITTED = 4000
"""Words at most that the directions are found from."""

STEADY = 1e-3
"""Smallest deviation by which a coefficient is divided."""

Pictures = Float[Tensor, "batch 1 bands frames"]


class WordFrames(nn.Module):
    """Bands over time -> cepstra of each frame and those beside it -> the directions that tell sounds apart.

    Each coefficient has a mean of 0 and a deviation of 1 over a word. The directions are those of
    Fisher's discriminant, where a class is one place in time of one word, said by all speakers, and
    by more speakers whose frequencies are stretched.

    Attributes:
        dim: length of an embedding, frames x width.
        frames: of each word, which `comparison.Warping` aligns.
        picture: the (channels, bands, frames) that it takes.
        prepared_by_class: `prepare` is given the class of each word, too.
    """

    prepared_by_class = True

    def __init__(self, *, bands: int, frames: int, width: int) -> None:
        super().__init__()
        self.dim, self.frames = frames * width, frames
        self.picture: tuple[int, int | None, int | None] = (1, bands, frames)
        self.project = nn.Linear(min(COEFFICIENTS, bands) * (2 * CONTEXT + 1), width, bias=False)
        nn.init.eye_(self.project.weight)
        self.register_buffer("prepared", torch.zeros(()))

    def forward(self, batch: Pictures) -> Float[Tensor, "batch dim"]:
        """Embeds words; float32 also under autocast. Each frame has the same length, the whole length 1.

        Raises:
            UsageError: pictures of another size than the encoder was built for.
        """
        check_pictures(batch, self.picture)
        with torch.autocast(batch.device.type, enabled=False):
            found = F.normalize(self.project(self.features(batch)), dim=2)
        return found.flatten(1) / found.shape[1] ** 0.5

    def features(
        self, batch: Pictures, *, tract: float = 1.0
    ) -> Float[Tensor, "batch frames features"]:
        """Cepstra of each frame and of those beside it."""
        bands = batch[:, 0].float().mT
        found = cepstra(_stretched(bands, tract), min(COEFFICIENTS, bands.shape[2]))
        found = found - found.mean(dim=1, keepdim=True)
        found = found / found.std(dim=1, keepdim=True, correction=0).clamp(min=STEADY)
        ends = F.pad(found.mT, (CONTEXT, CONTEXT), mode="replicate").mT
        return torch.cat(
            [ends[:, start : start + found.shape[1]] for start in range(2 * CONTEXT + 1)], dim=2
        )

    def prepare(
        self, batches: Iterable[Pictures], labels: Int[np.ndarray, "n"] | None = None
    ) -> None:
        """Find the directions from the training words; what was found already stays.

        Raises:
            RecipeError: nobody knows the classes of the words, as in tables of pairs.
        """
        if bool(self.prepared):
            return
        if labels is None:
            raise RecipeError(
                "word_frames learns from labelled words, and cannot train on pairs: give a folder "
                "per word, or take another encoder (--set encoder=resnet_small)"
            )
        device = self.prepared.device
        whole = torch.cat([each.to(device) for each in islice(batches, FITTED)])
        _, codes = np.unique(labels[: len(whole)], return_inverse=True)
        with torch.no_grad():
            seen = torch.cat([self.features(whole, tract=tract) for tract in TRACTS])
            every = torch.from_numpy(np.tile(codes.reshape(-1), len(TRACTS))).to(device)
            found = _directions(seen, every, count=len(self.project.weight))
            self.project.weight[: len(found)] = found
            self.prepared.fill_(1)


def _stretched(
    bands: Float[Tensor, "batch frames bands"], factor: float
) -> Float[Tensor, "batch frames bands"]:
    """Bands at factor times the frequency."""
    last = bands.shape[2] - 1
    places = (torch.arange(last + 1, device=bands.device) * factor).clamp(max=last)
    below = places.long()
    share = places - below
    return bands[..., below] * (1 - share) + bands[..., (below + 1).clamp(max=last)] * share


def _directions(
    values: Float[Tensor, "n frames features"], labels: Int[Tensor, "n"], *, count: int
) -> Float[Tensor, "count features"]:
    """At most so many directions, those with the most between classes first; a class is a place of a word."""
    values = values.double()
    sizes = torch.bincount(labels).double()
    sums = values.new_zeros(len(sizes), *values.shape[1:]).index_add_(0, labels, values)
    means = sums / sizes[:, None, None]
    apart = (values - means[labels]).flatten(0, 1)
    within = apart.T @ apart / len(apart)
    even = within.trace() / len(within) * torch.eye(len(within)).to(within)
    strength, axes = torch.linalg.eigh((1 - SHRINKAGE) * within + SHRINKAGE * even)
    white = axes / strength.sqrt()
    centres = means.flatten(0, 1)
    centres = (centres - centres.mean(dim=0)) @ white
    _, turned = torch.linalg.eigh(centres.T @ centres / len(centres))
    return (white @ turned.flip(1)[:, :count]).T.float()


@builder
def word_frames(
    *, size: tuple[int, int] = (40, 32), channels: int = 1, width: int = 12
) -> WordFrames:
    """Words of few speakers, in closed form: a few numbers per frame, for comparison = "Warping".

    Args:
        size: bands and frames of the input.
        channels: of a picture, 1.
        width: numbers of each frame.

    Raises:
        RecipeError: pictures of several channels.
    """
    if channels != 1:
        raise RecipeError(f"word_frames reads sounds as pictures of one channel, not of {channels}")
    return WordFrames(bands=size[0], frames=size[1], width=width)

"""Random convolutions: fixed kernels at many dilations, pooled, and a discriminant fitted on what they give.

The kernels are those of MiniRocket (Dempster, Schmidt & Webb 2021): nine places, three of weight 2
and six of weight -1, all 84 of them. Ours differ in the pooling: the thresholds are multiples of a
response's own root mean square, so nothing about the kernels depends on the data.
"""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from twofold.errors import UsageError
from twofold.inputs.padded import Padded
from twofold.nn.builder import builder

__all__ = ["RandomConvolutions", "random_convolutions"]

PLACES, HEAVY = 9, 3
"""Of a kernel, and those of weight 2: 84 kernels."""

KERNELS = 84

MOST_CHANNELS = 9
"""Channels that a kernel sees of a series of many, at most (Dempster et al. 2020, section 3)."""

POOLS = 2
"""Numbers of a response and a threshold: the share of places above, and how far above on average."""

VIEWS = 2
"""A series, and its steps from each value to the next (MultiRocket; Tan et al. 2022)."""

GOLDEN = (1 + 5**0.5) / 2
"""Thresholds are spread evenly by multiples of it (Dempster et al. 2021, section 3.1.3)."""

FARTHEST = 2.0
"""A threshold in root mean squares: farther ones are hardly ever passed."""

AT_ONCE = 2**21
"""Responses of all kernels that are held at once: 8 MB, which stay in a processor's cache between the pools."""

TINY = 1e-8

SHRINKAGE = 0.03
"""Share of the total variance that is added to the variance within classes, in every direction. Chosen by
cross-validation inside eight training sets of UCR: .03 to .1 were alike (docs/LOG.md)."""

KEPT = 512
"""Directions of the training features at most in which the discriminant is found."""

Features = Float[Tensor, "items features"]


class Kernels(nn.Module):
    """Fixed kernels, and the pooled responses of a batch to them.

    Attributes:
        kernels: (scales, kernels, channels, places); none of them learns.
        dilations: of each scale, by the length of the training series; 0: nothing is known yet.
    """

    dilations: Tensor
    thresholds: Tensor

    def __init__(self, channels: int, *, scales: int, thresholds: int):
        super().__init__()
        self.kernels = nn.Parameter(_kernels(channels, scales), requires_grad=False)
        self.register_buffer("dilations", torch.zeros(scales, dtype=torch.int64))
        self.register_buffer("thresholds", _thresholds(scales, thresholds))
        self.width = VIEWS * scales * KERNELS * (thresholds * POOLS + 1)

    def prepare(self, lengths: Sequence[int]) -> None:
        """Spread the dilations by the median length of the training series; what was set already stays."""
        if bool(self.dilations.any()) or not lengths:
            return
        largest = max((float(np.median(lengths)) - 1) / (PLACES - 1), 1.0)
        spread = np.floor(largest ** np.linspace(0, 1, len(self.dilations)))
        with torch.no_grad():
            self.dilations.copy_(torch.from_numpy(spread.astype(np.int64)))

    def forward(self, batch: Padded) -> Features:
        rows = max(AT_ONCE // (KERNELS * batch.values.shape[1]), 1)
        starts = range(0, len(batch), rows)
        return torch.cat([self._features(batch[start : start + rows]) for start in starts])

    def _features(self, batch: Padded) -> Features:
        across = batch.values.float().mT
        steps = (batch.lengths - 1).clamp(min=1)
        found = []
        for values, lengths in ((across, batch.lengths), (across.diff(dim=2), steps)):
            inside = torch.arange(values.shape[2], device=values.device) < lengths[:, None]
            values = values.masked_fill(~inside[:, None], 0)
            for scale, dilation in enumerate(self.dilations.clamp(min=1).tolist()):
                found.append(self._pooled(values, inside[:, None], scale, dilation))
        return torch.cat(found, dim=1)

    def _pooled(
        self,
        values: Float[Tensor, "items channels longest"],
        inside: Tensor,
        scale: int,
        dilation: int,
    ) -> Features:
        """Of each kernel: the log of its root mean square, and for each threshold its two numbers."""
        beside = dilation * (PLACES - 1) // 2
        found = F.conv1d(values, self.kernels[scale], dilation=dilation, padding=beside)
        found = found.masked_fill(~inside, 0)
        count = inside.sum(dim=2)
        size = (found.pow(2).sum(dim=2) / count).sqrt() + TINY
        found = found / size[..., None]
        numbers = [size.log()]
        for threshold in self.thresholds[scale].T:
            over = (found - threshold[None, :, None]).masked_fill(~inside, 0).clamp(min=0)
            above = (over > 0).sum(dim=2)
            numbers += [above / count, over.sum(dim=2) / above.clamp(min=1)]
        return torch.cat(numbers, dim=1)


class Discriminant(nn.Module):
    """Features, centred and scaled, in the directions that tell the training classes apart; then a turn that learns.

    The directions are those of Fisher's discriminant (1936) with the variance within classes shrunk
    (Friedman 1989), found in the span of the training features. They tell unseen classes apart, too:
    what varies within classes is made small (within-class covariance normalisation; Hatch &
    Stolcke 2006).
    """

    mean: Tensor
    directions: Tensor

    def __init__(self, features: int, dim: int, *, dropout: float):
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("directions", torch.zeros(dim, features))
        self.turn = nn.Linear(dim, dim, bias=False)
        nn.init.eye_(self.turn.weight)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Features) -> Float[Tensor, "items dim"]:
        return self.turn(self.dropout((features - self.mean) @ self.directions.mT))

    def fit(
        self, features: Float[np.ndarray, "items features"], labels: Int[np.ndarray, "items"] | None
    ) -> None:
        """Find the directions; what was found already stays.

        Args:
            labels: classes; None: the directions of the largest variance.
        """
        if bool(self.directions.any()):
            return
        mean, directions = discriminant(features, labels, most=len(self.directions))
        with torch.no_grad():
            self.mean.copy_(torch.from_numpy(mean))
            self.directions[: len(directions)] = torch.from_numpy(directions)


def discriminant(
    features: Float[np.ndarray, "items features"],
    labels: Int[np.ndarray, "items"] | None,
    *,
    most: int,
) -> tuple[Float[np.ndarray, "features"], Float[np.ndarray, "found features"]]:
    """The mean of the features, and at most so many directions, those with the most between classes first."""
    known = features.astype(np.float64)
    mean, spread = known.mean(axis=0), known.std(axis=0)
    scale = np.where(spread > TINY, 1 / np.maximum(spread, TINY), 0.0)
    scaled = (known - mean) * scale
    values, vectors = np.linalg.eigh(scaled @ scaled.T)  # items are fewer than features
    kept = np.flatnonzero(values > max(values[-1], TINY) * 1e-9)[::-1][:KEPT]
    base = scaled.T @ (vectors[:, kept] / np.sqrt(values[kept]))
    inside = scaled @ base
    total = inside.T @ inside / len(inside)
    if labels is None:
        return mean.astype(np.float32), (base * scale[:, None]).T[:most].astype(np.float32)
    within = inside - _class_means(inside, labels)
    within = within.T @ within / len(inside)
    shrunk = (1 - SHRINKAGE) * within + SHRINKAGE * np.trace(total) / len(total) * np.eye(
        len(total)
    )
    sizes, axes = np.linalg.eigh(shrunk)
    whitened = axes / np.sqrt(sizes)
    ratios, turned = np.linalg.eigh(whitened.T @ total @ whitened)
    chosen = whitened @ turned[:, np.argsort(ratios)[::-1][:most]]
    directions = (base @ chosen * scale[:, None]).T
    return mean.astype(np.float32), directions.astype(np.float32)


def _class_means(
    rows: Float[np.ndarray, "items found"], labels: Int[np.ndarray, "items"]
) -> Float[np.ndarray, "items found"]:
    codes = np.unique(labels, return_inverse=True)[1].reshape(-1)
    sums = np.zeros((codes.max() + 1, rows.shape[1]))
    np.add.at(sums, codes, rows)
    return (sums / np.bincount(codes)[:, None])[codes]


class RandomConvolutions(nn.Module):
    """Fixed kernels below a fitted discriminant.

    Attributes:
        dim: length of an embedding.
        on_features: `forward` is given what `features` returned.
        prepared_by_class: `prepare` wants the classes of the training series.
    """

    on_features = False
    prepared_by_class = True

    def __init__(self, trunk: Kernels, head: Discriminant, *, dim: int, unit_norm: bool):
        super().__init__()
        self.trunk, self.head = trunk, head
        self.dim, self.unit_norm = dim, unit_norm

    def forward(self, batch: object) -> Float[Tensor, "items dim"]:
        """Embeds a `Padded` batch of series, or their features; float32, of length 1 where `unit_norm` is set.

        Raises:
            UsageError: the batch is not one of sequences.
        """
        with torch.autocast(self.trunk.kernels.device.type, enabled=False):
            features = batch if self.on_features else self.features(batch)
            assert isinstance(features, Tensor)
            found = self.head(features.float())
        return F.normalize(found, dim=-1) if self.unit_norm else found

    def features(self, batch: object) -> Features:
        """What the kernels give.

        Raises:
            UsageError: the batch is not one of sequences.
        """
        if not isinstance(batch, Padded):
            raise UsageError(
                f"this encoder takes sequences (Padded), and was given a {type(batch).__name__}"
            )
        return self.trunk(batch)

    def prepare_features(self, batches: Iterable[Padded]) -> None:
        """Set the dilations by the lengths of the training series; what was set already stays."""
        self.trunk.prepare([int(length) for batch in batches for length in batch.lengths])

    def prepare(
        self, batches: Iterable[object], labels: Int[np.ndarray, "items"] | None = None
    ) -> None:
        """Set the dilations, and fit the discriminant to the training series or to their features, one in a batch.

        Args:
            labels: the class of each; None: nobody says.
        """
        if bool(self.head.directions.any()):
            return
        with torch.no_grad():
            if self.on_features:
                rows = [batch for batch in batches if isinstance(batch, Tensor)]
            else:
                series = [batch for batch in batches if isinstance(batch, Padded)]
                self.prepare_features(series)
                rows = [self.features(batch) for batch in series]
        self.head.fit(torch.cat(rows).numpy(), labels)


@builder(kinds=("series",))
def random_convolutions(
    *,
    channels: int = 1,
    dim: int = 128,
    scales: int = 8,
    thresholds: int = 4,
    dropout: float = 0.0,
    unit_norm: bool = True,
) -> RandomConvolutions:
    """Fixed random convolutions and a discriminant on them (MiniRocket; Dempster et al. 2021): trains in seconds.

    For small training sets. The kernels are never trained; without augmentation their features are
    made once.

    Args:
        channels: numbers at each place.
        dim: length of an embedding.
        scales: dilations of the kernels, up to the length of the training series.
        thresholds: of each kernel at each dilation.
        dropout: fraction of features that is dropped in training.
        unit_norm: whether embeddings have length 1.
    """
    trunk = Kernels(channels, scales=scales, thresholds=thresholds)
    head = Discriminant(trunk.width, dim, dropout=dropout)
    return RandomConvolutions(trunk, head, dim=dim, unit_norm=unit_norm)


def _kernels(channels: int, scales: int) -> Float[Tensor, "scales kernels channels places"]:
    """All kernels of two weights; of several channels each kernel sees some, drawn once and for all."""
    weights = np.full((KERNELS, PLACES), -1.0)
    for row, heavy in zip(weights, itertools.combinations(range(PLACES), HEAVY), strict=True):
        row[list(heavy)] = 2.0
    seen = np.ones((scales, KERNELS, channels))
    if channels > 1:
        draw = np.random.default_rng(0)
        most = np.log2(min(channels, MOST_CHANNELS) + 1)
        for each in seen.reshape(-1, channels):
            count = int(2 ** draw.uniform(0, most))
            each[:] = 0
            each[draw.choice(channels, count, replace=False)] = 1
    return torch.from_numpy(seen[..., None] * weights[:, None]).float()


def _thresholds(scales: int, count: int) -> Float[Tensor, "scales kernels count"]:
    """Normal quantiles of evenly spread shares."""
    shares = (np.arange(1, scales * KERNELS * count + 1) * GOLDEN) % 1.0
    quantiles = torch.special.ndtri(torch.from_numpy(shares)).clamp(-FARTHEST, FARTHEST)
    return quantiles.float().reshape(scales, KERNELS, count)

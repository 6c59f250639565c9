"""Change without labels: deep features of both dates compared, pixel by pixel (change-vector analysis).

d(x) = geometric mean over scales of |z_before(x) - z_after(x)| / sqrt(channels), where z are features
of EfficientNet-Lite0 trained on ImageNet, each channel standardised within its date (after Malila
1980 and Saha et al. 2019). The value of a pixel is d / (d + t): 0.5 at the threshold t = mean of d +
2 deviations, on a sample of the scene. It takes for granted that most of the scene stayed as it was.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from twofold.errors import NotEnoughData
from twofold.inputs.raster_source import Statistics
from twofold.maps.dates import Dates
from twofold.nn import efficientnet
from twofold.tiling import Area

__all__ = ["DeepFeatures"]

TAPS = (4, 6, 8, 11)
"""Modules of the trunk whose maps have 1/2, 1/4, 1/8 and 1/16 of the sides."""

SCALE = 0.5
"""Standardised pictures times this have the spread of what the weights were trained on."""

SAMPLE = 16
"""Windows of the sample: a million pixels."""

SAMPLE_SIDE = 256

LARGEST = 20.0
"""Deviations: beyond, a value is a dead pixel."""

LEAST_DEVIATION = 1e-6
"""Of a channel that is constant, and the smallest threshold: equal dates have no distance."""

MOSTLY_VALID = 0.5
"""Share of a window's pixels; where no window has as many, the best ones are taken."""

DEVIATIONS = 2.0
"""Above the mean. On 14 labelled pairs (docs/LOG.md) 2 gave F1 .31 to .35, 3 .24 to .33, Otsu's rule .13: it
divides the unchanged pixels where few have changed."""


class DeepFeatures:
    """Compares the features of two dates; see `tiling.Judge`.

    Args:
        dates: the scene that standardisation and threshold are found on.

    Raises:
        MissingExtra: the package of the weights is not installed.
        NotEnoughData: no window of the sample holds a value in both dates.
    """

    stride = 16
    margin = 96
    """73 pixels of the trunk's receptive field, and 16 of the coarsest maps as they are enlarged."""

    def __init__(self, dates: Dates, device: torch.device) -> None:
        self.device = device
        trunk = efficientnet.trunk(3)
        efficientnet.load(trunk, "imagenet", channels=3)
        layers = nn.Sequential(*list(trunk)[: TAPS[-1]])
        self._trunk = layers.eval().requires_grad_(False).to(device)
        areas = list(sample(dates))
        if not areas:
            raise NotEnoughData(
                "too few pixels hold a value in both dates to find a threshold: cut both to the area "
                "they share"
            )
        samples = [
            [torch.from_numpy(each)[None].to(device) for each in self._pair(dates, area)]
            for area in areas
        ]
        self._known = self._standards(samples)
        distances = np.concatenate(
            [
                self._distance(*pair).cpu().numpy()[: area[2], : area[3]][dates.valid(area)]
                for pair, area in zip(samples, areas, strict=True)
            ]
        )
        threshold = float(distances.mean() + DEVIATIONS * distances.std())
        self.threshold = max(threshold, LEAST_DEVIATION)

    def normalise(
        self,
        pixels: Shaped[np.ndarray, "bands height width"],
        statistics: Statistics,
        valid: Bool[np.ndarray, "height width"] | None = None,
    ) -> Float[np.ndarray, "bands height width"]:
        """In deviations from the mean of the date."""
        found = pixels.astype(np.float32) - statistics.mean.astype(np.float32)[:, None, None]
        found /= statistics.std.astype(np.float32)[:, None, None]
        found = np.nan_to_num(found, copy=False).clip(-LARGEST, LARGEST)
        return found if valid is None else np.where(valid, found, np.float32(0))

    def __call__(
        self,
        before: Float[np.ndarray, "bands height width"],
        after: Float[np.ndarray, "bands height width"],
    ) -> Float32[np.ndarray, "height width"]:
        pair = (torch.from_numpy(np.ascontiguousarray(each))[None] for each in (before, after))
        distance = self._distance(*(each.to(self.device) for each in pair))
        return (distance / (distance + self.threshold)).cpu().numpy()

    def _pair(self, dates: Dates, area: Area) -> list[Float[np.ndarray, "bands height width"]]:
        height, width = (-(-side // self.stride) * self.stride for side in area[2:])
        spare = (0, 0), (0, height - area[2]), (0, width - area[3])
        return [
            np.ascontiguousarray(np.pad(each, spare, mode="symmetric"))
            for each in dates.values(area, self) or []
        ]

    def _features(self, batch: Float[Tensor, "1 3 height width"]) -> list[Tensor]:
        found, maps = [], batch * SCALE
        with torch.inference_mode():
            for place, layer in enumerate(self._trunk, start=1):
                maps = layer(maps)
                if place in TAPS:
                    found.append(maps)
        return found

    def _standards(self, samples: list[list[Tensor]]) -> list[list[tuple[Tensor, Tensor]]]:
        """Of each date and scale, the mean and deviation of every channel over the sample."""
        found = []
        for date in (0, 1):
            sums = [0, 0.0, 0.0]
            scales: list[list[Any]] = [list(sums) for _ in TAPS]
            for pair in samples:
                for sums, maps in zip(scales, self._features(pair[date]), strict=True):
                    values = maps.double()
                    sums[0] += values.shape[2] * values.shape[3]
                    sums[1] = sums[1] + values.sum((0, 2, 3))
                    sums[2] = sums[2] + values.square().sum((0, 2, 3))
            found.append([_mean_and_deviation(*sums) for sums in scales])
        return found

    def _distance(
        self, before: Float[Tensor, "1 3 height width"], after: Float[Tensor, "1 3 height width"]
    ) -> Float[Tensor, "height width"]:
        """Geometric mean over scales of the distance per channel, at full size."""
        logarithm = torch.zeros(before.shape[2:], device=before.device)
        both = zip(self._features(before), self._features(after), *self._known, strict=True)
        with torch.inference_mode():
            for one, other, (mean, deviation), (mean_after, deviation_after) in both:
                apart = (one - mean) / deviation - (other - mean_after) / deviation_after
                distance = apart.square().mean(1, keepdim=True).sqrt()
                enlarged = F.interpolate(
                    distance, size=logarithm.shape, mode="bilinear", align_corners=False
                )
                logarithm = logarithm + enlarged.clamp(min=LEAST_DEVIATION).log().squeeze((0, 1))
        return (logarithm / len(TAPS)).exp()


def _mean_and_deviation(count: int, total: Tensor, square: Tensor) -> tuple[Tensor, Tensor]:
    mean = total / count
    deviation = (square / count - mean.square()).clamp(min=0).sqrt().clamp(min=LEAST_DEVIATION)
    shape = (1, -1, 1, 1)
    return mean.float().view(shape), deviation.float().view(shape)


def sample(dates: Dates) -> Iterator[Area]:
    """Windows on a regular grid, at most SAMPLE of them, that hold a value in most of their pixels."""
    height, width = dates.size
    side = min(SAMPLE_SIDE, height, width)
    per_side = math.isqrt(SAMPLE)
    rows, columns = (
        np.unique(np.linspace(0, length - side, min(per_side, -(-length // side))).astype(int))
        for length in (height, width)
    )
    areas = [(int(row), int(column), side, side) for row in rows for column in columns]
    shares = [float(dates.valid(area).mean()) for area in areas]
    for area, share in zip(areas, shares, strict=True):
        if 0 < share >= min(MOSTLY_VALID, max(shares)):
            yield area

"""A light tracking network on the early stages of EfficientNet-Lite0: correlation at two scales, scores and boxes."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from twofold.errors import RecipeError
from twofold.nn import efficientnet
from twofold.nn.builder import builder
from twofold.nn.correlation import (
    box_mask,
    cell_correlation,
    depthwise_correlation,
    sampled,
)
from twofold.nn.folding import merge_norms
from twofold.nn.heads import initialise

__all__ = ["TrackLite0", "track_lite0"]

TAPS = (8, 11)
"""Modules of EfficientNet-Lite0's trunk after which its maps have 1/8 and 1/16 of the sides."""

CHANNELS = (40, 80)
"""Maps at these places (Tan & Le 2019, table 1)."""

PARTS = 5
"""Points of an object on each side, corner to corner: what its parts look like, whatever its shape."""

AROUND = 1.25
"""How far the outermost of these points lie from the middle, in halves of the box: just outside."""

KERNEL = 5
"""Points on each side of the kernel of 1/16: all of the exemplar's 80 pixels."""

IN_CACHE = 2
"""Pictures that go through the trunk together: 16 at once took 1.7 times as long for each (one core, 224 pixels)."""

SMALLEST_WINDOW = 32
"""Pixels: the exemplar's crop has half of them, and one cell of 1/16."""

RARE = -4.0
"""Logit of a score at the start: one cell of 55 is near the middle of the object."""

LARGEST = 2.0
"""A side at most e^2 times what the exemplar's size says: the tracker follows changes from frame to frame."""


class TrackLite0(nn.Module):
    """Trunk, a neck at two scales, and a head on correlations.

    At 1/16: each channel's kernel of the object (what lies outside its box is muted) slides over
    the window, and 5 x 5 parts of the object are compared with every place. At 1/8: the parts
    again, and the maps themselves, weighted by the mean of the object. A box is said relative to
    the exemplar's size.
    """

    stride, multiple = 8, 16

    def __init__(self, *, width: int, search_side: int, weights: str | None) -> None:
        super().__init__()
        self.exemplar_side, self.search_side = search_side // 2, search_side
        whole = initialise(efficientnet.trunk(3))
        if weights is not None:
            efficientnet.load(whole, weights, channels=3)
        layers = list(whole.children())[: TAPS[1]]
        self.trunk = nn.ModuleDict(
            {"near": nn.Sequential(*layers[: TAPS[0]]), "far": nn.Sequential(*layers[TAPS[0] :])}
        )
        head = nn.ModuleDict()
        slim = max(1, width // 2)
        head["near"], head["far"] = (
            _convolution(CHANNELS[0], slim),
            _convolution(CHANNELS[1], width),
        )
        head["mix"] = _convolution(width + PARTS**2, width, relu=True)
        head["look_far"] = nn.Sequential(
            *_convolution(width, width, kernel=3, relu=True), *_convolution(width, slim, relu=True)
        )
        head["join"] = _convolution(2 * slim + PARTS**2, slim, relu=True)
        head["look_near"] = nn.Sequential(
            *_convolution(slim, slim, kernel=3, relu=True),
            *_convolution(slim, slim, kernel=3, relu=True),
        )
        head["score"] = nn.Conv2d(slim, 1, 1)
        head["box"] = nn.Conv2d(slim, 4, 1)
        self.head = initialise(head)
        self._held: list[nn.ModuleDict] = []  # in a list: its weights are not this module's
        for layer in (head["score"], head["box"]):
            nn.init.normal_(layer.weight, std=0.01)  # pyright: ignore[reportArgumentType]
        nn.init.constant_(head["score"].bias, RARE)  # pyright: ignore[reportArgumentType]

    def exemplar(
        self, batch: Float[Tensor, "batch 3 side side"], sizes: Float[Tensor, "batch 2"]
    ) -> list[Tensor]:
        """Parts at 1/8 and 1/16, the mean of the object, its kernel, and its size."""
        return self.template(self.features(batch), sizes)

    def template(self, maps: Sequence[Tensor], sizes: Float[Tensor, "batch 2"]) -> list[Tensor]:
        """The same of maps that are there already."""
        near, far = maps
        side = self.exemplar_side
        parts = AROUND * sizes / side
        found = [sampled(each, parts, PARTS) for each in (near, far)]
        spacing = side / far.shape[3]
        whole = torch.full_like(sizes, (KERNEL - 1) * spacing / side)
        mask = box_mask(sizes, KERNEL, spacing)
        share = mask.sum((2, 3), keepdim=True).clamp_min(1.0)
        kernel = sampled(far, whole, KERNEL) * mask / share
        inner = sampled(near, sizes / side * (1 - 1 / PARTS), PARTS).mean((2, 3), keepdim=True)
        return [*found, inner, kernel, sizes]

    def hold_trunk(self, held: bool) -> None:
        """Run a copy of the trunk whose norms are merged, which takes half of the time; while it does not learn."""
        self._held = []
        if held:
            copied = copy.deepcopy(self.trunk).eval().requires_grad_(False)
            merge_norms(copied)
            copied.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
            self._held = [copied]

    def features(self, batch: Float[Tensor, "batch 3 height width"]) -> list[Tensor]:
        """Maps at 1/8 and 1/16 of the sides."""
        return self.neck(self.trunk_maps(batch))

    def neck(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """What correlation compares of the trunk's maps."""
        head: Any = self.head
        return [head["near"](maps[0]), head["far"](maps[1])]

    def trunk_maps(self, batch: Float[Tensor, "batch 3 height width"]) -> list[Tensor]:
        """What the trunk makes of pictures; pictures of a held trunk go through it a few at a time, in the cache."""
        trunk: Any = self._held[0] if self._held else self.trunk
        if not self._held:
            near = trunk["near"](batch)
            return [near, trunk["far"](near)]
        pieces = batch.contiguous(memory_format=torch.channels_last).split(IN_CACHE)
        nears = [trunk["near"](piece) for piece in pieces]
        return [torch.cat(nears), torch.cat([trunk["far"](near) for near in nears])]

    def compare(
        self, template: Sequence[Tensor], features: Sequence[Tensor]
    ) -> tuple[Float[Tensor, "batch rows columns"], Float[Tensor, "batch 4 rows columns"]]:
        """Scores, and boxes relative to the exemplar's size."""
        head: Any = self.head
        near_parts, far_parts, inner, kernel, sizes = template
        near, far = features
        mixed = head["mix"](
            torch.cat([depthwise_correlation(kernel, far), cell_correlation(far_parts, far)], 1)
        )
        wide = F.interpolate(
            head["look_far"](mixed), scale_factor=2, mode="bilinear", align_corners=False
        )
        joined = head["join"](
            torch.cat([wide, near * inner, cell_correlation(near_parts, near)], 1)
        )
        seen = head["look_near"](joined)
        return head["score"](seen)[:, 0], self._sides(head["box"](seen), sizes)

    def _sides(
        self, raw: Float[Tensor, "batch 4 rows columns"], sizes: Float[Tensor, "batch 2"]
    ) -> Float[Tensor, "batch 4 rows columns"]:
        """Distances to the edges, from the middle (in strides) and the change of the size (its logarithm)."""
        middle = raw[:, :2] * self.stride
        half = sizes[:, :, None, None] / 2 * raw[:, 2:].clamp(-LARGEST, LARGEST).exp()
        return torch.cat([half - middle, half + middle], 1)


@builder(kinds=("tracks",))
def track_lite0(
    *, width: int = 64, search_side: int = 160, weights: str | None = None
) -> TrackLite0:
    """Tracking on EfficientNet-Lite0 down to 1/16, anchor-free, with correlation at 1/8 and 1/16 of the sides.

    Args:
        width: maps of the neck and the head at 1/16; half of them at 1/8.
        search_side: pixels of a search window, a multiple of 32; the exemplar's crop has half of
            them. The arithmetic grows with the square.
        weights: "imagenet" starts from weights trained on ImageNet (extra `weights`).

    Raises:
        RecipeError: unknown weights, or another side. MissingExtra: their package is not installed.
    """
    if search_side < SMALLEST_WINDOW or search_side % SMALLEST_WINDOW:
        raise RecipeError(
            f"encoder.search_side = {search_side}: must be a multiple of {SMALLEST_WINDOW}"
        )
    return TrackLite0(width=width, search_side=search_side, weights=weights)


def _convolution(channels: int, maps: int, *, kernel: int = 1, relu: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(channels, maps, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(maps),
    ]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))

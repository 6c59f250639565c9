"""A tracking network that needs no training: it compares colours, and knows no change of size."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from twofold import recipes
from twofold.inputs import Image
from twofold.nn.correlation import box_mask
from twofold.track_bundle import TrackBundle
from twofold.twin import TrackTwin

CELLS = 7


class ByColour(nn.Module):
    """Squared differences of mean colours, cell by cell, under the mask of the box."""

    exemplar_side, search_side, stride, multiple = 64, 128, 8, 8

    def features(self, batch: Tensor) -> list[Tensor]:
        return [F.avg_pool2d(batch, self.stride)]

    def exemplar(self, batch: Tensor, sizes: Tensor) -> list[Tensor]:
        edge = (
            self.exemplar_side - CELLS * self.stride
        ) // 2  # its middle cell lies on the object's
        inner = batch[:, :, edge : batch.shape[2] - edge, edge : batch.shape[3] - edge]
        kernel = F.avg_pool2d(inner, self.stride)
        return [kernel, box_mask(sizes * 0.8, CELLS, self.stride), sizes]

    def compare(self, template: Sequence[Tensor], features: Sequence[Tensor]):
        kernel, mask, sizes = template
        (maps,) = features
        found = []
        for k, m, f in zip(kernel, mask, maps, strict=True):
            weights = m / m.sum().clamp_min(1e-6)
            pad = CELLS // 2
            wide = F.pad(f[None], (pad, pad, pad, pad), value=9.0)
            square = F.conv2d((wide**2).sum(1, keepdim=True), weights[None])
            cross = F.conv2d(wide, (k * weights)[None])
            own = (k**2 * weights).sum()
            found.append((square - 2 * cross + own)[0, 0])
        scores = 4.0 - 25.0 * torch.stack(found)
        half = (sizes / 2)[:, :, None, None]
        sides = torch.cat([half, half], 1).expand(-1, -1, *scores.shape[1:])
        return scores, sides


def by_colour() -> TrackBundle:
    """A bundle that can be used, and not saved."""
    twin = TrackTwin(Image(size=128, mean=0.5, std=0.5), ByColour())
    return TrackBundle(twin=twin, recipe=recipes.find("generic"))


def moving(
    count: int, *, size: tuple[int, int] = (120, 160), seed: int = 0, side: int = 24, start: int = 0
):
    """Frames with a square of four colours that moves along an ellipse, and its boxes."""
    draw = np.random.default_rng(seed)
    ground = np.kron(draw.integers(60, 120, (size[0] // 8, size[1] // 8, 3)), np.ones((8, 8, 1)))
    thing = np.kron(draw.integers(0, 256, (2, 2, 3)), np.ones((side // 2, side // 2, 1)))
    frames, boxes = [], []
    for number in range(start, start + count):
        angle = 2 * np.pi * number / 60
        x = round(size[1] / 2 + np.cos(angle) * size[1] / 4 - side / 2)
        y = round(size[0] / 2 + np.sin(angle) * size[0] / 4 - side / 2)
        frame = ground.copy()
        frame[y : y + side, x : x + side] = thing
        frames.append(frame.astype(np.uint8))
        boxes.append([x, y, side, side])
    return frames, np.array(boxes, float)


def inside(box: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Which pixels of a frame lie in a box."""
    x, y, width, height = box.astype(int)
    found = np.zeros(shape[:2], bool)
    found[y : y + height, x : x + width] = True
    return found

"""What a trunk that stands still makes of pairs: made once, and shown in several epochs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float16, Int
from torch import Tensor

from twofold.nn.track_lite0 import TrackLite0
from twofold.train.motion_feed import MotionFeed
from twofold.twin import TrackTwin

__all__ = ["MotionMaps", "StillFeed"]

Maps = Sequence[Float16[Tensor, "batch channels _ _"]]


@dataclass(frozen=True, kw_only=True)
class MotionMaps:
    """The trunk's maps of objects, and of the windows in which they are looked for; half of the bytes suffice."""

    exemplars: Maps
    sizes: Float[Tensor, "batch 2"]
    windows: Maps

    def __len__(self) -> int:
        return len(self.sizes)

    def to(self, device: torch.device) -> "MotionMaps":
        """The same on another device."""
        return MotionMaps(
            exemplars=[each.to(device) for each in self.exemplars],
            sizes=self.sizes.to(device),
            windows=[each.to(device) for each in self.windows],
        )

    def compared(self, network: Any) -> tuple[Tensor, Tensor]:
        """What a network says of them: scores and sides."""
        exemplars, windows = (
            network.neck([each.float() for each in maps]) for maps in (self.exemplars, self.windows)
        )
        return network.compare(network.template(exemplars, self.sizes), windows)


class StillFeed:
    """The batches of another feed as maps, each the same in `repeats` epochs."""

    def __init__(
        self, feed: MotionFeed, twin: TrackTwin, network: TrackLite0, repeats: int
    ) -> None:
        self.feed, self.twin, self.network, self.repeats = feed, twin, network, repeats
        self.kept: dict[tuple[int, int], tuple[MotionMaps, Tensor]] = {}

    def plan(self, epoch: int, groups: None = None) -> list[Int[np.ndarray, "count"]]:
        """The batches of an epoch, in an order of its own."""
        planned = self.feed.plan(epoch, groups)
        order = np.random.default_rng((self.feed.seed, epoch, 5)).permutation(len(planned))
        return [planned[place] for place in order]

    def sizes(self, planned: Int[np.ndarray, "count"]) -> list[int]:
        """As of the other feed."""
        return self.feed.sizes(planned)

    def pairs(self, targets: Any) -> int:
        """As of the other feed."""
        return self.feed.pairs(targets)

    def batch(
        self, planned: Int[np.ndarray, "count"], epoch: int
    ) -> tuple[MotionMaps, Float[Tensor, "batch 4"]]:
        """The maps of a planned batch, and where its objects are."""
        round_, first = epoch // self.repeats, int(planned[0])
        if (round_, first) not in self.kept:
            for key in [key for key in self.kept if key[0] != round_]:
                del self.kept[key]
            self.kept[round_, first] = self._made(planned, round_)
        return self.kept[round_, first]

    def _made(
        self, planned: Int[np.ndarray, "count"], epoch: int
    ) -> tuple[MotionMaps, Float[Tensor, "batch 4"]]:
        batch, boxes = self.feed.batch(planned, epoch)
        batch = batch.to(self.twin.device)
        with torch.no_grad():
            exemplars, windows = (
                [each.half() for each in self.network.trunk_maps(self.twin.input.normalise(pixels))]
                for pixels in (batch.exemplars, batch.windows)
            )
        return MotionMaps(exemplars=exemplars, sizes=batch.sizes, windows=windows), boxes

"""One object that is followed: its example, where it was last, whether it is lost, and where to look next."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle

import numpy as np
from jaxtyping import Float
from torch import Tensor

from twofold.tracking.readings import Smoothing
from twofold.tracking.tiles import tiles
from twofold.tracking.windows import Window, around, context_side

__all__ = ["Settings", "Sighting", "Target"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a tracker decides. All of it was chosen on synthetic films.

    Attributes:
        sure: confidence from which on a box counts.
        hold: below it the box stays where it was, unless the network alone says (with a probability
            of a half) that the object is there: looks change more than the films that calibrate
            show, and what is only doubted should not be lost for that.
        again: confidence that a place needs to be taken for a lost object, elsewhere twice in a row:
            there are many places, and each may be mistaken.
        patience: frames in a row without a sure box, after which the object is lost.
        windows: of the frame that are looked at in each frame while an object is lost: with four, a
            frame of 24 windows is looked through in six frames.
        every, gate, blend: frames between two updates of the example, the confidence that all of
            them need, and the share of the newest look in the running one.
        running: share of the running look in the example; the first look has the rest.
    """

    sure: float = 0.5
    hold: float = 0.25
    again: float = 0.6
    patience: int = 3
    windows: int = 4
    every: int = 10
    gate: float = 0.8
    blend: float = 0.3
    running: float = 0.4
    smoothing: Smoothing = field(default_factory=Smoothing)


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """The best place of a window, in the frame.

    Attributes:
        box: (centre x, centre y, width, height) in pixels of the frame.
        readings: in the order of `READINGS`. confidence: what they amount to.
        score: in (0, 1), with every penalty. near: whether the window lay about the last place.
        look: what the maps hold there.
    """

    box: Float[np.ndarray, "4"]
    readings: tuple[float, ...]
    confidence: float
    score: float
    near: bool
    look: Sequence[Float[Tensor, "values"]] = ()

    @property
    def likely(self) -> bool:
        """Whether the network alone takes it for the object."""
        return self.readings[0] >= 0


@dataclass(kw_only=True)
class Target:
    """What a tracker remembers of one object; nothing of it grows.

    Attributes:
        box: (centre x, centre y, width, height) in pixels, where it was last.
        size: width and height in the first frame.
        first, running: its look in the first frame, and lately. example: what is searched for.
        looks: what the maps held at its place in the first frame, and when the example was last
            brought up to date; a place is as much like it as it is like one of them.
        last: what the maps held at the place that was taken last.
        seen: the best place of the last frame, taken or not.
    """

    box: Float[np.ndarray, "4"]
    size: Float[np.ndarray, "2"]
    first: Sequence[Tensor]
    example: Sequence[Tensor]
    looks: list[Sequence[Float[Tensor, "values"]]]
    settings: Settings
    last: Sequence[Float[Tensor, "values"]] = ()
    running: Sequence[Tensor] | None = None
    seen: Sighting | None = None
    lost: bool = False
    confidence: float = 1.0
    _unsure: int = 0
    _steady: int = 0
    _pending: Float[np.ndarray, "4"] | None = None
    _tiles: Iterator[Window] | None = None

    def windows(self, size: tuple[int, int], pixels: int, reach: float) -> list[Window]:
        """Where to look in the next frame; the first window lies about the last place.

        Args:
            size: height and width of the frame. pixels: side of each crop.
            reach: side of a window over that of the exemplar.
        """
        place = self.box if self._pending is None else self._pending
        side = context_side(place[2], place[3]) * reach
        near = around(place[0], place[1], side, pixels)
        if not self.lost:
            return [near]
        if self._tiles is None:
            self._tiles = cycle(tiles(size, side, pixels))
        return [near, *(next(self._tiles) for _ in range(self.settings.windows))]

    def take(self, sightings: Sequence[Sighting]) -> None:
        """Go on to the next frame with what its windows showed."""
        if self.lost:
            self._look_for(sightings)
        else:
            self._follow(sightings[0])

    def due(self) -> bool:
        """Whether the example should be brought up to date."""
        return not self.lost and self._steady >= self.settings.every

    def renew(self, look: Sequence[Tensor]) -> None:
        """Mix a new look into the example; the first look always stays in it."""
        known, self._steady = self.settings, 0
        before = look if self.running is None else self.running
        self.running = _mixed(before, look, known.blend)
        self.example = _mixed(self.first, self.running, known.running)
        if self.seen is not None and self.seen.look:
            self.looks = [self.looks[0], self.seen.look]

    def likeness(self, now: Sequence[Float[Tensor, "values"]]) -> float:
        """The mean cosine over levels, to the look that is more alike."""
        return max(_cosine(now, known) for known in self.looks)

    def carried(self, now: Sequence[Float[Tensor, "values"]]) -> float:
        """The last confidence, as far as this looks like what was taken last."""
        return self.confidence * _cosine(now, self.last or self.looks[0])

    def _follow(self, sighting: Sighting) -> None:
        known = self.settings
        self.seen, self.confidence = sighting, sighting.confidence
        if sighting.confidence >= known.hold or sighting.likely:
            self._move(sighting)
        self._unsure = 0 if sighting.confidence >= known.sure else self._unsure + 1
        self._steady = self._steady + 1 if sighting.confidence >= known.gate else 0
        if self._unsure >= known.patience:
            self.lost, self._pending, self._tiles = True, None, None

    def _look_for(self, sightings: Sequence[Sighting]) -> None:
        """Near the last place one sure sighting is enough; elsewhere it takes two in a row."""
        known, near = self.settings, sightings[0]
        if near.confidence >= known.again:
            self.seen, self.confidence, self.box = near, near.confidence, near.box
            self.last = near.look
            self.lost, self._pending, self._tiles = False, None, None
            self._unsure = self._steady = 0
            return
        self.seen = best = max(sightings, key=lambda each: each.confidence)
        self.confidence = min(best.confidence, known.sure / 2)
        if self._pending is None and near.likely:
            self._move(near)
        self._pending = best.box if best.confidence >= known.again else None

    def _move(self, sighting: Sighting) -> None:
        """To the place that was seen; the size follows slowly, and is pulled back to the first one."""
        rate = self.settings.smoothing.rate * sighting.score
        size = self.box[2:] + (sighting.box[2:] - self.box[2:]) * rate
        size = size * (self.size / size) ** self.settings.smoothing.pull
        self.box = np.concatenate([sighting.box[:2], size])
        self.last = sighting.look


def _cosine(
    one: Sequence[Float[Tensor, "values"]], other: Sequence[Float[Tensor, "values"]]
) -> float:
    """The mean over levels."""
    return sum(float(a @ b) for a, b in zip(one, other, strict=True)) / max(len(one), 1)


def _mixed(old: Sequence[Tensor], new: Sequence[Tensor], share: float) -> list[Tensor]:
    return [a + (b - a) * share for a, b in zip(old, new, strict=True)]

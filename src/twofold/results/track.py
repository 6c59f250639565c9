"""What a tracker says of each frame, how sure it is, and what is measured of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from twofold.results.measurements import Estimate, Standing

__all__ = [
    "READINGS",
    "ObjectTrack",
    "SequenceTrack",
    "TrackConfidence",
    "TrackEvaluation",
    "Tracked",
    "Tracks",
]

READINGS = ("logit", "margin", "likeness", "size", "spread", "carried")
"""What a confidence is computed from, in this order: the best logit, its lead over the best one elsewhere,
how much the place looks like the example, how little the size has changed, how much the boxes of
neighbouring cells differ, and what is carried over from the frame before: its confidence, times how much
the place looks like the one that was taken there."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Tracked:
    """One object in one frame.

    Attributes:
        frame: its number, from 0 on.
        seconds: when it is shown, from the first frame on.
        box: (x, y, width, height) in pixels, 0-based; NaN while the object is lost.
        confidence: estimated probability that the box is on the object.
        lost: the object is out of sight, or was mistaken; the whole frame is searched for it.
        guess: where it is most likely, whether lost or not: what benchmarks without absences score.
        object: its number, where several are followed.
    """

    frame: int
    seconds: float
    box: Box
    confidence: float
    lost: bool
    guess: Box
    object: int = 0


@dataclass(frozen=True, kw_only=True)
class TrackConfidence:
    """Readings of a frame -> probability that the box is on the object, as it was on synthetic films.

    Logistic regression on standardised readings. The films are synthetic, and pictures of them were
    in no training; the unit is the film.

    Attributes:
        weights, means, scales: one per reading, in the order of `READINGS`.
        auroc: over frames of films held out, on the object against absent or elsewhere.
        films: how many it was fitted on.
        standing: always "estimate": synthetic films certify nothing about real ones.
    """

    weights: tuple[float, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    bias: float
    auroc: float
    films: int
    standing: Standing = "estimate"

    def probability(self, readings: Sequence[float]) -> float:
        """That the box is on the object."""
        parts = zip(self.weights, readings, self.means, self.scales, strict=True)
        logit = self.bias + sum(
            weight * (value - mean) / scale for weight, value, mean, scale in parts
        )
        return 1 / (1 + math.exp(-min(max(logit, -LARGEST), LARGEST)))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> "TrackConfidence":
        """What `to_dict` told.

        Raises:
            TypeError, ValueError: it is not a confidence.
        """
        lists = {name: tuple(map(float, told[name])) for name in ("weights", "means", "scales")}
        found = cls(**{**told, **lists})
        numbers = [*found.weights, *found.means, *found.scales, found.bias]
        sizes = {len(each) for each in lists.values()}
        if sizes != {len(READINGS)} or not all(map(math.isfinite, numbers)):
            raise ValueError(f"{len(READINGS)} finite weights are needed, not {numbers}")
        if min(found.scales) <= 0 or found.standing != "estimate":
            raise ValueError(f"scales of {found.scales!r}, {found.standing!r}")
        return found


LARGEST = 30.0
"""A logit beyond which a probability no longer changes, and `exp` could overflow."""


@dataclass(frozen=True, kw_only=True)
class ObjectTrack:
    """One object over a whole film.

    Attributes:
        lost_frames: in how many frames it was lost.
        absences: when it was lost and when it was found again, in seconds; the last of them may end
            with the film.
        mean_confidence: over the frames with a box.
    """

    object: int
    lost_frames: int
    absences: tuple[tuple[float, float], ...]
    mean_confidence: float


@dataclass(frozen=True, kw_only=True)
class Tracks:
    """A film that was gone through.

    Attributes:
        frames, seconds: how long it is. width, height: of its frames.
        frames_per_second: how quickly it went, reading and writing included.
        method: the bundle.
        notes: what its reader must know.
    """

    source: str
    frames: int
    seconds: float
    width: int
    height: int
    objects: tuple[ObjectTrack, ...]
    frames_per_second: float
    method: str
    standing: Standing = "estimate"
    notes: tuple[str, ...] = ()
    paths: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SequenceTrack:
    """One sequence: shares in [0, 1].

    Attributes:
        frames: how many it has, the first one included. absent: in how many the object is not there.
        lost: share of the frames that were called lost.
    """

    sequence: str
    success_auc: float
    precision_at_20: float
    normalised_precision: float
    average_overlap: float
    success_rate_50: float
    success_rate_75: float
    frames: int
    absent: int
    lost: float


@dataclass(frozen=True, kw_only=True)
class TrackEvaluation:
    """Boxes against the truth, one pass per sequence (OPE): means over sequences, and each by itself.

    Attributes:
        estimates: every measure, with its interval; the unit is the sequence.
        lost_auroc: of the confidence, frames on the object against frames absent or off it; NaN
            where there are none of one kind.
        frames_per_cpu_second: decoding included.
        notes: what should be said with the numbers.
    """

    estimates: Mapping[str, Estimate]
    sequences: tuple[SequenceTrack, ...]
    lost_auroc: float
    frames_per_cpu_second: float
    notes: tuple[str, ...] = ()

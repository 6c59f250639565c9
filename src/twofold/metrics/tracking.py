"""How well boxes follow an object: overlap, centre error, and their curves, with intervals over sequences.

Boxes are (x, y, width, height) in pixels, 0-based. A frame in which the object is absent (its true
box is NaN) counts for nothing here. The unit is the sequence: its frames are alike, so each
sequence counts once, and intervals resample sequences.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from twofold.errors import NotEnoughData, UsageError
from twofold.metrics.intervals import estimate, identity_weights
from twofold.results import Estimate

__all__ = ["MEASURES", "Followed", "centre_errors", "lost_auroc", "overlaps", "tracking_estimates"]

Boxes = Float[np.ndarray, "frames 4"]

OVERLAP_THRESHOLDS = np.linspace(0, 1, 21)
"""Of the success plot (Wu, Lim & Yang 2013)."""

NORMALISED_THRESHOLDS = np.linspace(0, 0.5, 51)
"""Of normalised precision (Muller et al. 2018, section 4)."""

PIXELS = 20.0
"""The centre error at which precision is read (Wu, Lim & Yang 2013)."""


@dataclass(frozen=True, kw_only=True)
class Followed:
    """One sequence: what was true, and what a tracker said.

    Attributes:
        truth: NaN where the object is absent.
        boxes: of the tracker; NaN where it says that the object is lost, which overlaps nothing.

    Raises:
        UsageError: there are not as many boxes as frames.
    """

    truth: Boxes
    boxes: Float[np.ndarray, "said 4"]

    def __post_init__(self) -> None:
        if self.truth.shape != self.boxes.shape:
            raise UsageError(
                f"{len(self.boxes)} boxes for {len(self.truth)} frames: give one per frame"
            )


def overlaps(a: Boxes, b: Boxes) -> Float[np.ndarray, "frames"]:
    """Intersection over union of each pair of boxes; 0 where one of them is NaN or has no area."""
    low = np.maximum(a[:, :2], b[:, :2])
    high = np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    union = np.prod(a[:, 2:], axis=1) + np.prod(b[:, 2:], axis=1) - shared
    known = np.isfinite(shared) & np.isfinite(union) & (union > 0)
    return np.divide(shared, union, out=np.zeros(len(a)), where=known)


def centre_errors(a: Boxes, b: Boxes) -> Float[np.ndarray, "frames"]:
    """Distance of the centres in pixels; infinite where one of the boxes is NaN."""
    apart = np.linalg.norm(_centres(a) - _centres(b), axis=1)
    return np.where(np.isfinite(apart), apart, np.inf)


def success_auc(followed: Followed) -> float:
    """Mean, over 21 thresholds from 0 to 1, of the share of frames that overlap by more (OTB; Wu et al. 2013)."""
    seen, boxes = _present(followed)
    return float((overlaps(seen, boxes)[:, None] > OVERLAP_THRESHOLDS).mean())


def precision_at_20(followed: Followed) -> float:
    """Share of frames whose centre is at most 20 pixels off (OTB)."""
    seen, boxes = _present(followed)
    return float((centre_errors(seen, boxes) <= PIXELS).mean())


def normalised_precision(followed: Followed) -> float:
    """Mean, over thresholds from 0 to .5, of the share of frames whose centre is off by no more of the object's size.

    The error in x is divided by the true width, in y by the true height (Muller et al. 2018).
    """
    seen, boxes = _present(followed)
    apart = np.linalg.norm((_centres(seen) - _centres(boxes)) / seen[:, 2:], axis=1)
    apart = np.where(np.isfinite(apart), apart, np.inf)
    return float((apart[:, None] <= NORMALISED_THRESHOLDS).mean())


def average_overlap(followed: Followed) -> float:
    """Mean overlap without the first frame, whose box is given (GOT-10k's AO; Huang et al. 2019)."""
    seen, boxes = _present(followed, first=1)
    return float(overlaps(seen, boxes).mean())


def success_rate_50(followed: Followed) -> float:
    """Share of frames that overlap by more than half, without the first (GOT-10k's SR .5)."""
    seen, boxes = _present(followed, first=1)
    return float((overlaps(seen, boxes) > 0.5).mean())


def success_rate_75(followed: Followed) -> float:
    """Share of frames that overlap by more than three quarters, without the first (GOT-10k's SR .75)."""
    seen, boxes = _present(followed, first=1)
    return float((overlaps(seen, boxes) > 0.75).mean())


MEASURES = {
    measure.__name__: measure
    for measure in (
        success_auc,
        precision_at_20,
        normalised_precision,
        average_overlap,
        success_rate_50,
        success_rate_75,
    )
}
"""What is measured of each sequence, by name; larger is better."""


def tracking_estimates(
    sequences: Mapping[str, Followed] | Sequence[Followed],
    *,
    seed: int = 0,
    replicates: int = 2000,
    confidence: float = 0.95,
) -> list[Estimate]:
    """Every measure as a mean over sequences, with its interval.

    A single sequence has none: low and high are its value.

    Raises:
        NotEnoughData: no sequence.
    """
    known = list(sequences.values()) if isinstance(sequences, Mapping) else list(sequences)
    if not known:
        raise NotEnoughData("no sequence was followed: give at least one")
    found = []
    for name, measure in MEASURES.items():
        values = np.array([measure(each) for each in known])
        means = values[:1]
        if len(values) > 1:
            weights = identity_weights(len(values), replicates, seed=seed)
            means = weights @ values / len(values)
        found.append(
            estimate(
                name,
                float(values.mean()),
                replicates=means,
                resampled=len(values),
                confidence=confidence,
                unit="sequence",
            )
        )
    return found


def lost_auroc(confidences: Float[np.ndarray, "frames"], on: Bool[np.ndarray, "frames"]) -> float:
    """How often a frame on the object has a higher confidence than one that is not.

    Ties count half; NaN without frames of one kind.

    Args:
        on: whether the box lies on the object; it does not where the object is absent.
    """
    order = np.sort(confidences[~on])
    high = confidences[on]
    if not len(order) or not len(high):
        return float("nan")
    below = np.searchsorted(order, high, side="left") + np.searchsorted(order, high, side="right")
    return float(below.mean() / 2 / len(order))


def _present(followed: Followed, first: int = 0) -> tuple[Boxes, Boxes]:
    """Frames from `first` on in which the object is there.

    Raises:
        NotEnoughData: there are none.
    """
    there = np.atleast_1d(np.isfinite(followed.truth).all(axis=1))
    there[:first] = False
    if not there.any():
        raise NotEnoughData(f"the object is in none of {len(there) - first} frames")
    return followed.truth[there], followed.boxes[there]


def _centres(boxes: Boxes) -> Float[np.ndarray, "frames 2"]:
    return boxes[:, :2] + boxes[:, 2:] / 2

"""What a tracker's readings are worth: a probability that it is on the object, fitted on synthetic films."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from twofold.data.motion_films import MotionFilm
from twofold.errors import NotEnoughData
from twofold.metrics.tracking import lost_auroc, overlaps
from twofold.results.track import READINGS, TrackConfidence
from twofold.track_bundle import TrackBundle
from twofold.tracking import Tracker

__all__ = ["calibrate_track"]

ON, OFF = 0.5, 0.1
"""Overlaps from which on a box is on the object, and up to which it is not; frames between them say neither."""

SEEN = 0.6
"""Share of an object that must be seen, or it may rightly be taken for absent."""

FOLDS = 2
"""Parts of the films: each judges what was fitted on the others."""

RIDGE = 0.1
"""Weight of the squared weights, in films: it keeps a perfect separation from running away."""

FIRST = 3
"""One film of so many is followed by the logit alone; the others by what was found on those. What a tracker does
next depends on its confidence, so most films should be followed with one that is about right."""

NEWTON = 25
"""Steps of Newton's method: ten are enough."""

Watch = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Frames of films: what was read, whether the box was on the object, and of which film they are."""

    readings: Float[np.ndarray, "frames readings"]
    on: Bool[np.ndarray, "frames"]
    film: Int[np.ndarray, "frames"]


def calibrate_track(
    bundle: TrackBundle,
    films: Iterable[MotionFilm],
    *,
    device: str | None = None,
    watch: Watch | None = None,
) -> TrackConfidence:
    """Fit the confidence of a tracker on films whose pictures were in no training.

    Each film counts once, whatever its length. It is an estimate: films that were drawn certify
    nothing about real ones.

    Args:
        watch: called with the films that were followed.

    Raises:
        NotEnoughData: fewer than two films, or the object is on target (or off it) in none of them.
    """
    known, bundle = list(films), replace(bundle, confidence=None)
    if len(known) < FOLDS:
        raise NotEnoughData(f"{len(known)} films: a confidence is fitted on {FOLDS} or more")
    first = range(0, len(known), FIRST)
    parts: list[Seen] = []
    for number in [*first, *(n for n in range(len(known)) if n not in first)]:
        if len(parts) == len(first):
            bundle = replace(bundle, confidence=_first_fit(parts))
        parts.append(_followed(bundle, known[number], len(parts), device))
        if watch is not None:
            watch(len(parts))
    seen = _pooled(parts)
    return replace(_fitted(seen), auroc=_held_out(seen))


def _first_fit(parts: list[Seen]) -> TrackConfidence | None:
    """From the first films; None where they do not show both: then the logit goes on deciding."""
    seen = _pooled(parts)
    return None if seen.on.all() or not seen.on.any() else _fitted(seen)


def _followed(bundle: TrackBundle, film: MotionFilm, number: int, device: str | None) -> Seen:
    """What the tracker read in the frames of one film that say something."""
    tracker = Tracker(bundle, device=device)
    rows, on = [], []
    for place, frame in enumerate(film.frames()):
        if place == 0:
            tracker.start(frame, film.boxes[:1])
            continue
        tracker.step(frame)
        seen = tracker.targets[0].seen
        assert seen is not None
        box = np.concatenate([seen.box[:2] - seen.box[2:] / 2, seen.box[2:]])
        overlap = float(overlaps(film.boxes[place : place + 1], box[None])[0])
        if overlap >= ON or overlap <= OFF:
            if overlap >= ON and film.visible[place] < SEEN:
                continue
            rows.append(seen.readings)
            on.append(overlap >= ON)
    return Seen(
        readings=np.array(rows, np.float64).reshape(-1, len(READINGS)),
        on=np.array(on, bool),
        film=np.full(len(rows), number),
    )


def _pooled(parts: list[Seen]) -> Seen:
    return Seen(
        readings=np.concatenate([each.readings for each in parts]),
        on=np.concatenate([each.on for each in parts]),
        film=np.concatenate([each.film for each in parts]),
    )


def _fitted(seen: Seen) -> TrackConfidence:
    """Logistic regression by Newton's method; every film weighs the same."""
    if seen.on.all() or not seen.on.any():
        state = "off" if not seen.on.any() else "on"
        raise NotEnoughData(
            f"the box is {state} the object in all {len(seen.on)} frames: a confidence needs both"
        )
    means, scales = seen.readings.mean(0), seen.readings.std(0) + 1e-6
    values = np.column_stack([(seen.readings - means) / scales, np.ones(len(seen.on))])
    share = 1 / np.bincount(seen.film)[seen.film]
    ridge = np.diag([RIDGE] * len(READINGS) + [1e-6])
    weights = np.zeros(values.shape[1])
    for _ in range(NEWTON):
        likely = 1 / (1 + np.exp(-np.clip(values @ weights, -30, 30)))
        slope = values.T @ (share * (likely - seen.on)) + ridge @ weights
        bend = (values * (share * likely * (1 - likely))[:, None]).T @ values + ridge
        weights = weights - np.linalg.solve(bend, slope)
    return TrackConfidence(
        weights=tuple(weights[:-1].tolist()),
        means=tuple(means.tolist()),
        scales=tuple(scales.tolist()),
        bias=float(weights[-1]),
        auroc=float("nan"),
        films=len(np.unique(seen.film)),
    )


def _held_out(seen: Seen) -> float:
    """AUROC over frames of films that the fit has not seen."""
    scores = np.empty(len(seen.on))
    for fold in range(FOLDS):
        judged = seen.film % FOLDS == fold
        rest = Seen(readings=seen.readings[~judged], on=seen.on[~judged], film=seen.film[~judged])
        fitted = _fitted(rest)
        scores[judged] = [fitted.probability(row.tolist()) for row in seen.readings[judged]]
    return lost_auroc(scores, seen.on)

"""evaluate of a bundle of tracking: one pass over each sequence from its first box (OPE; Wu et al. 2013)."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from twofold.data.sequences import TrackedSequence, write_boxes
from twofold.errors import DataError, NotEnoughData
from twofold.files import explain_failure, write_atomically
from twofold.metrics.tracking import MEASURES, Followed, lost_auroc, overlaps, tracking_estimates
from twofold.plurals import counted
from twofold.results.track import SequenceTrack, TrackEvaluation
from twofold.track_bundle import TrackBundle
from twofold.tracking import Tracker
from twofold.tracking.frame_sources import frame_source

__all__ = ["FollowedSequence", "evaluate_track", "followed", "write_results"]

FEW = 10
"""Sequences below which an interval says little."""

ON = 0.5
"""Overlap from which on a box is on its object (the field's success rate; GOT-10k's SR .5)."""

Watch = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class FollowedSequence:
    """What a tracker said of one sequence.

    Attributes:
        guesses: (x, y, width, height) in every frame, whether lost or not; the first is the given one.
        confidences, lost: of every frame. seconds: processor time of every frame.
    """

    sequence: TrackedSequence
    guesses: Float[np.ndarray, "frames 4"]
    confidences: Float[np.ndarray, "frames"]
    lost: np.ndarray
    seconds: Float[np.ndarray, "frames"]

    @property
    def on(self) -> np.ndarray:
        """In which frames the guess lies on the object."""
        return overlaps(self.sequence.boxes, self.guesses) >= ON


def evaluate_track(
    bundle: TrackBundle,
    sequences: Sequence[TrackedSequence],
    *,
    confidence: float = 0.95,
    seed: int = 0,
    device: str | None = None,
    watch: Watch | None = None,
    results: str | Path | None = None,
) -> TrackEvaluation:
    """Follow every sequence once from its first box, and measure how well; intervals resample sequences.

    As the benchmarks do it, a frame in which the tracker says "lost" is judged by its best guess,
    and frames without a true box do not count.

    Args:
        results: a folder for result files in the formats of OTB and GOT-10k.

    Raises:
        DataError: a sequence that cannot be read, or whose first frame has no box.
    """
    found: list[FollowedSequence] = []
    for number, sequence in enumerate(sequences, start=1):
        found.append(followed(bundle, sequence, device=device))
        if watch is not None:
            watch("sequences", number, len(sequences))
    if results is not None:
        write_results(Path(results), found)
    estimates = tracking_estimates(
        {each.sequence.name: _judged(each) for each in found}, seed=seed, confidence=confidence
    )
    later = [(each.confidences[1:], each.on[1:]) for each in found]
    return TrackEvaluation(
        estimates={each.name: each for each in estimates},
        sequences=tuple(map(_told, found)),
        lost_auroc=lost_auroc(*(np.concatenate(each) for each in zip(*later, strict=True))),
        frames_per_cpu_second=_rate(found),
        notes=_few(len(found)),
    )


def followed(
    bundle: TrackBundle, sequence: TrackedSequence, *, device: str | None = None
) -> FollowedSequence:
    """One pass over a sequence from its first box.

    Raises:
        DataError: its first frame has no box, or it has more or fewer frames than boxes.
    """
    if not np.isfinite(sequence.boxes[:1]).all() or not len(sequence.boxes):
        raise DataError(f"{sequence.name}: the first frame has no box: a track begins with one")
    tracker = Tracker(bundle, device=device)
    guesses, confidences, lost, times = [], [], [], [time.process_time()]
    with frame_source(sequence.frames) as source:
        for frame in source.frames:
            first = not guesses
            told = (
                tracker.start(frame.picture, sequence.boxes[:1])
                if first
                else tracker.step(frame.picture, frame.seconds)
            )
            guesses.append(sequence.boxes[0] if first else np.array(told[0].guess))
            confidences.append(told[0].confidence)
            lost.append(told[0].lost)
            times.append(time.process_time())
    if len(guesses) != len(sequence.boxes):
        raise DataError(
            f"{sequence.name} has {counted(len(guesses), 'frame')} and "
            f"{counted(len(sequence.boxes), 'box', plural='boxes')}: one box per frame is needed"
        )
    return FollowedSequence(
        sequence=sequence,
        guesses=np.array(guesses),
        confidences=np.array(confidences),
        lost=np.array(lost),
        seconds=np.diff(times),
    )


def write_results(folder: Path, found: Sequence[FollowedSequence]) -> None:
    """Boxes as OTB's tools read them (otb/NAME.txt), and as GOT-10k's (got10k/NAME/NAME_001.txt, with times).

    Raises:
        CannotWrite: the disk takes no file there.
    """
    with explain_failure(folder):
        (folder / "otb").mkdir(parents=True, exist_ok=True)
        for each in found:
            name = each.sequence.name
            place = folder / "got10k" / name
            place.mkdir(parents=True, exist_ok=True)
            write_boxes(folder / "otb" / f"{name}.txt", each.guesses, layout="otb")
            write_boxes(place / f"{name}_001.txt", each.guesses, layout="got10k")
            times = "".join(f"{value:.6f}\n" for value in each.seconds)
            write_atomically(place / f"{name}_time.txt", times.encode())


def _judged(each: FollowedSequence) -> Followed:
    return Followed(truth=each.sequence.boxes, boxes=each.guesses)


def _told(each: FollowedSequence) -> SequenceTrack:
    judged = _judged(each)
    absent = int(np.isnan(each.sequence.boxes).any(axis=1).sum())
    return SequenceTrack(
        sequence=each.sequence.name,
        frames=len(each.guesses),
        absent=absent,
        lost=float(each.lost.mean()),
        **{name: measure(judged) for name, measure in MEASURES.items()},
    )


def _rate(found: Sequence[FollowedSequence]) -> float:
    """Frames per second of processor time; the first frame of a sequence loads the network, and is left out."""
    spent = sum(float(each.seconds[1:].sum()) for each in found)
    return sum(len(each.seconds) - 1 for each in found) / max(spent, 1e-9)


def _few(count: int) -> tuple[str, ...]:
    if not count:
        raise NotEnoughData("no sequence is there to follow")
    if count >= FEW:
        return ()
    return (
        f"{counted(count, 'sequence')} say little of others: intervals need {FEW} or more to mean "
        f"what they say",
    )

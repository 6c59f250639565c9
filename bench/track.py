"""Tracking: how well, how fast, and whether it knows when the object is lost, beside OpenCV's trackers.

    python bench/track.py --data DIR [--bundle FOLDER] [--siamfc FOLDER] [--films 200] [--only otb films ...] [--quick]

Accuracy: DIR/otb_small (sequences of OTB; Wu et al. 2013), one pass each from the first box. Nothing was
tuned on them. Peers: OpenCV contrib's KCF, CSRT and MIL, normalised cross-correlation, and NanoTrackV2 with
the two files of DIR/nanotrack_v2_onnx. Films: `twofold.data.motion_films`, seed FILMS, drawn anew; the
bundle's confidence was calibrated on others. Speed is processor time, one thread, decoding left out: the
same 640 x 360 frames for all. --quick needs no data. A part
alone is a bench of its own name: track_memory.
"""

import argparse
import resource
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from last_line import print_last_line, row
from trackers import Start, Step, ours, peers
from twofold.data.motion_films import MotionFilm, motion_films
from twofold.data.sequences import TrackedSequence, read_sequences
from twofold.metrics.intervals import identity_weights
from twofold.metrics.tracking import Followed, lost_auroc, overlaps, success_auc
from twofold.track_bundle import TrackBundle
from twofold.tracking import Tracker
from twofold.tracking.frame_sources import frame_source
from twofold.tracking.targets import Settings

FILMS = 2026
"""Seed of the films."""

PEER_FILMS = 20
"""Films that NanoTrack follows: it takes as long as we do."""

ON, SURE = 0.5, 0.5
"""Overlap from which on a box is on its object; confidence from which on it counts as sure."""

SOON = 10
"""Frames within which an object that returned should be found."""

SPEED_FRAMES, TURNS, WARM = 20, 4, 10
"""Frames of a turn, turns, and frames before the first: on a busy machine the quickest turn is the least disturbed."""

MEMORY_FRAMES, SETTLED = 10_000, 500

GOAL = 0.60
"""Of the mean success AUC."""

MEASURED = {"kcf": 0.177, "csrt": 0.479, "nanotrack": 0.692}
"""What was measured beforehand on the same sequences."""

REPLICATES = 200
"""Of an interval of the AUROC: each sorts all frames anew."""


def main() -> None:
    """Follow, measure, print."""
    parser = argparse.ArgumentParser(description="tracking")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--bundle", default="pretrained")
    parser.add_argument("--siamfc", help="a bundle of the recipe siamfc, held beside")
    parser.add_argument("--films", type=int, default=200)
    parser.add_argument("--only", nargs="+", default=["otb", "films", "speed", "memory", "objects"])
    parser.add_argument("--quick", action="store_true", help="a few frames, to see that it runs")
    options = parser.parse_args()
    started = time.monotonic()
    torch.set_num_threads(1)
    quick = options.quick
    bench = Bench(
        data=options.data,
        bundle=_bundle(options.bundle),
        siamfc=None if options.siamfc is None else _bundle(options.siamfc),
        count=4 if quick else options.films,
        memory_frames=60 if quick else MEMORY_FRAMES,
        settled=20 if quick else SETTLED,
        speed_frames=4 if quick else SPEED_FRAMES,
    )
    results: list[dict[str, Any]] = []
    for part in options.only:
        if part != "otb" or options.data is not None:
            results += getattr(bench, part)()
    name = f"track_{options.only[0]}" if len(options.only) == 1 else "track"
    for each in results:
        each["anchor"] = f"{each['anchor']}; bundle {bench.bundle.fingerprint[:12]}".strip("; ")
    print_last_line(name, started, results)


def _bundle(name: str) -> TrackBundle:
    return TrackBundle.pretrained() if name == "pretrained" else TrackBundle.load(name)


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a tracker said of one film or sequence, the first frame left out.

    Attributes:
        visible: share of the object that is seen. film: whether it is a synthetic one.
    """

    boxes: np.ndarray
    scores: np.ndarray
    truth: np.ndarray
    visible: np.ndarray
    film: bool = False

    @property
    def on(self) -> np.ndarray:
        return overlaps(self.truth, self.boxes) >= ON


@dataclass(kw_only=True)
class Bench:
    """What is measured, and how much of it."""

    data: Path | None
    bundle: TrackBundle
    siamfc: TrackBundle | None
    count: int
    memory_frames: int
    settled: int
    speed_frames: int
    said: dict[str, list[Said]] = field(default_factory=lambda: {"ours": [], "nanotrack": []})

    @cached_property
    def peers(self) -> dict[str, Start]:
        found = peers(None if self.data is None else self.data / "nanotrack_v2_onnx")
        return found if self.siamfc is None else {"siamfc": ours(self.siamfc), **found}

    def otb(self) -> list[dict[str, Any]]:
        """Success of every tracker on the sequences."""
        assert self.data is not None
        sequences = read_sequences(self.data / "otb_small")
        rows = []
        for name, start in {"ours": ours(self.bundle), **self.peers}.items():
            said = [_on_sequence(start, sequence) for sequence in sequences]
            values = [
                success_auc(Followed(truth=each.boxes, boxes=_with_first(one, each)))
                for one, each in zip(said, sequences, strict=True)
            ]
            self.said.get(name, []).extend(said)
            told = ", ".join(f"{s.name} {v:.3f}" for s, v in zip(sequences, values, strict=True))
            print(f"otb {name}: {told}", flush=True)
            rows.append(_success(name, values, told))
        return rows

    def films(self) -> list[dict[str, Any]]:
        """Found again, quiet while absent, and whether the score tells; then the AUROC over all that was followed."""
        films = list(motion_films(self.count, seed=FILMS, events=("leaves",)))
        said = [_on_film(ours(self.bundle), film) for film in films]
        again = [_found_again(one, film) for one, film in zip(said, films, strict=True)]
        quiet = [_quiet(one) for one in said]
        self.said["ours"] += said
        if (nano := self.peers.get("nanotrack")) is not None:
            self.said["nanotrack"] += [_on_film(nano, film) for film in films[:PEER_FILMS]]
        rows = [
            _mean("found_again", again, goal=0.9, anchor=f"within {SOON} frames, of films"),
            _mean("quiet_while_absent", quiet, goal=0.95, anchor="absent frames, mean over films"),
        ]
        return rows + self._auroc()

    def _auroc(self) -> list[dict[str, Any]]:
        rows = []
        for name, goal in (("ours", 0.9), ("nanotrack", None)):
            said = self.said[name]
            real = [each for each in said if not each.film]
            for kind, part in (
                ("", said),
                ("_real", real),
                ("_films", [s for s in said if s.film]),
            ):
                if part and np.isfinite(value := _lost(part)):
                    suffix = "" if name == "ours" else f"_{name}"
                    told = f"{len(part)} films and sequences; off: overlap below {ON}, or absent"
                    interval = _resampled(part) if len(part) > 1 else None
                    title = f"lost_auroc{kind}{suffix}"
                    rows.append(
                        row(title, value, interval=interval, goal=goal, anchor=told, seed=FILMS)
                    )
        return rows

    def speed(self) -> list[dict[str, Any]]:
        """Frames per second of processor time, on the same frames of 640 x 360; the quickest turn of several counts."""
        film, frames = _frames(WARM + TURNS * self.speed_frames)
        following = Settings(sure=-1.0, gate=2.0, hold=2.0)
        starts = {
            "ours": ours(self.bundle, following),
            "searching": ours(self.bundle, Settings(sure=2.0, again=2.0)),
            **self.peers,
        }
        steps = {name: start(frames[0], film.boxes[0]) for name, start in starts.items()}
        best = dict.fromkeys(steps, 0.0)
        for step in steps.values():
            _rate(step, frames[1:WARM])
        for turn in range(TURNS):
            first = WARM + turn * self.speed_frames
            for name, step in steps.items():
                rate = _rate(step, frames[first : first + self.speed_frames])
                best[name] = max(best[name], rate)
        print(f"speed: {best}", flush=True)
        told = f"the quickest of {TURNS} turns of {self.speed_frames} frames; searching: while lost"
        return [
            row(
                "frames_per_cpu_second" + ("" if name == "ours" else f"_{name}"),
                rate,
                unit="1/s",
                goal=100.0 if name == "ours" else None,
                anchor=told,
                seed=FILMS,
            )
            for name, rate in best.items()
        ]

    def memory(self) -> list[dict[str, Any]]:
        """How much the process grows after the first frames of a long film, in which the object comes and goes."""
        film = next(motion_films(1, seed=FILMS, events=("leaves",)))
        frames = list(film.frames())
        tracker = Tracker(self.bundle)
        tracker.start(frames[0], film.boxes[:1])
        settled = 0.0
        for number in range(1, self.memory_frames):
            tracker.step(frames[number % len(frames)])
            if number == self.settled:
                settled = _resident()
        growth = _resident() / settled - 1
        told = f"resident memory after {self.memory_frames:,} frames over that after {self.settled}"
        return [row("memory_growth", growth, goal=0.01, anchor=told)]

    def objects(self) -> list[dict[str, Any]]:
        """Processor time of four objects over that of one, on the same frames."""
        film, frames = _frames(TURNS * self.speed_frames + WARM)
        x, y, width, height = film.boxes[0]
        spread = [[x, y, width, height]] + [
            [40 + 150 * k, 60 + 60 * k, width, height] for k in range(3)
        ]
        spent = [_seconds(self.bundle, frames, spread[:count]) for count in (1, 4)]
        told = f"{spent[0] * 1e3:.2f} ms a frame for one, {spent[1] * 1e3:.2f} ms for four"
        return [row("four_over_one", spent[1] / spent[0], goal=2.0, anchor=told)]


def _on_sequence(start: Start, sequence: TrackedSequence) -> Said:
    with frame_source(sequence.frames) as source:
        return _followed(start, (each.picture for each in source.frames), sequence.boxes)


def _on_film(start: Start, film: MotionFilm) -> Said:
    said = _followed(start, film.frames(), film.boxes)
    return replace(said, film=True, visible=film.visible[1:])


def _followed(start: Start, frames: Iterable[np.ndarray], truth: np.ndarray) -> Said:
    boxes, scores = [], []
    step: Step | None = None
    for frame in frames:
        if step is None:
            step = start(frame, truth[0])
            continue
        box, score = step(frame)
        boxes.append(box)
        scores.append(score)
    return Said(
        boxes=np.array(boxes),
        scores=np.array(scores),
        truth=truth[1:],
        visible=np.ones(len(scores)),
    )


def _with_first(said: Said, sequence: TrackedSequence) -> np.ndarray:
    return np.concatenate([sequence.boxes[:1], said.boxes])


def _found_again(said: Said, film: MotionFilm) -> float:
    """Whether a sure box lies on the object soon after half of it is seen again."""
    gone = np.flatnonzero(np.isnan(said.truth).any(axis=1))
    back = gone[-1] + 1 + int(np.argmax(said.visible[gone[-1] + 1 :] >= 0.5))
    soon = slice(back, back + SOON)
    return float(((said.scores[soon] >= SURE) & said.on[soon]).any())


def _quiet(said: Said) -> float:
    """Share of the absent frames without a sure box."""
    absent = np.isnan(said.truth).any(axis=1)
    return float((said.scores[absent] < SURE).mean())


def _lost(said: Sequence[Said]) -> float:
    scores = np.concatenate([each.scores for each in said])
    return lost_auroc(scores, np.concatenate([each.on for each in said]))


def _resampled(said: Sequence[Said]) -> tuple[float, float]:
    """An interval that draws films and sequences anew."""
    weights = identity_weights(len(said), REPLICATES, seed=0).astype(int)
    values = [
        _lost([s for s, n in zip(said, each, strict=True) for _ in range(n)]) for each in weights
    ]
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)


def _success(name: str, values: Sequence[float], told: str) -> dict[str, Any]:
    suffix = "" if name == "ours" else f"_{name}"
    before = MEASURED.get(name)
    anchor = told if before is None else f"{told}; measured before: {before}"
    goal = GOAL if name == "ours" else None
    return _mean(f"otb_success_auc{suffix}", values, goal=goal, anchor=anchor)


def _mean(name: str, values: Sequence[float], *, goal: float | None, anchor: str) -> dict[str, Any]:
    interval = None
    if len(values) > 1:
        weights = identity_weights(len(values), 2000, seed=0)
        low, high = np.quantile(weights @ np.array(values) / len(values), [0.025, 0.975])
        interval = float(low), float(high)
    value = float(np.mean(values))
    print(f"{name}: {value:.4f}", flush=True)
    return row(name, value, interval=interval, goal=goal, anchor=anchor)


def _frames(count: int) -> tuple[MotionFilm, list[np.ndarray]]:
    """Frames of one film, again and again to and fro, in memory: they are decoded by nobody."""
    film = next(motion_films(1, seed=FILMS, events=("stays",)))
    frames = list(film.frames())
    both = frames + frames[-2:0:-1]
    return film, [both[number % len(both)] for number in range(count)]


def _rate(step: Step, frames: Sequence[np.ndarray]) -> float:
    began = time.process_time()
    for frame in frames:
        step(frame)
    return len(frames) / (time.process_time() - began)


def _seconds(bundle: TrackBundle, frames: Sequence[np.ndarray], boxes: list[list[float]]) -> float:
    """A frame of several objects, none of which is lost: the confidence decides nothing here."""
    tracker = Tracker(bundle, settings=Settings(sure=-1.0, gate=2.0, hold=2.0))
    tracker.start(frames[0], boxes)
    for frame in frames[1:WARM]:
        tracker.step(frame)
    began = time.process_time()
    for frame in frames[WARM:]:
        tracker.step(frame)
    return (time.process_time() - began) / (len(frames) - WARM)


def _resident() -> float:
    """Bytes of memory that the process holds; the greatest so far where the system does not say."""
    known = Path("/proc/self/statm")
    if known.is_file():
        return int(known.read_text().split()[1]) * resource.getpagesize()
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


if __name__ == "__main__":
    main()

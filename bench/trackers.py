"""Trackers that bench/track.py holds side by side: ours, OpenCV contrib's, NanoTrackV2, and matching by correlation.

Each is a function (first frame, box) -> step, and step(frame) -> (box, score); boxes are x, y, width, height.
"""

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from twofold.track_bundle import TrackBundle
from twofold.tracking import Tracker
from twofold.tracking.targets import Settings

__all__ = ["Start", "Step", "nanotrack", "ours", "peers"]

Picture = np.ndarray
Step = Callable[[Picture], tuple[np.ndarray, float]]
Start = Callable[[Picture, np.ndarray], Step]

REACH = 2.0
"""Of the window of correlation, in sides of the box: what the others search."""


def ours(bundle: TrackBundle, settings: Settings | None = None) -> Start:
    """The box is the best guess, whether lost or not; the score is the confidence."""

    def start(frame: Picture, box: np.ndarray) -> Step:
        tracker = Tracker(bundle, settings=settings)
        tracker.start(frame, [box])

        def step(frame: Picture) -> tuple[np.ndarray, float]:
            found = tracker.step(frame)[0]
            return np.array(found.guess), found.confidence

        return step

    return start


def peers(nano: Path | None) -> dict[str, Start]:
    """OpenCV's trackers, those that are there; NanoTrackV2 if its two files are."""
    if importlib.util.find_spec("cv2") is None:
        print("no OpenCV (pip install opencv-contrib-python-headless): no peers", flush=True)
        return {}
    import cv2  # pyright: ignore[reportMissingImports] - a peer, which nothing else needs

    cv2.setNumThreads(1)
    found: dict[str, Start] = {"ncc": _correlation}
    for name in ("KCF", "CSRT", "MIL"):
        if hasattr(cv2, f"Tracker{name}_create"):
            found[name.lower()] = _opencv(getattr(cv2, f"Tracker{name}_create"))
    if nano is not None and (nano / "nanotrack_backbone_sim.onnx").is_file():
        found["nanotrack"] = nanotrack(nano)
    return found


def nanotrack(folder: Path) -> Start:
    """NanoTrackV2 by OpenCV's TrackerNano; its score is its own."""
    cv2: Any = importlib.import_module("cv2")  # whose stubs lack trackers that some builds have

    def make() -> Any:
        settings = cv2.TrackerNano_Params()
        settings.backbone = str(folder / "nanotrack_backbone_sim.onnx")
        settings.neckhead = str(folder / "nanotrack_head_sim.onnx")
        return cv2.TrackerNano_create(settings)

    return _opencv(make)


def _opencv(make: Callable[[], Any]) -> Start:
    def start(frame: Picture, box: np.ndarray) -> Step:
        tracker = make()
        tracker.init(np.ascontiguousarray(frame[:, :, ::-1]), tuple(map(int, box.round())))
        last = box.astype(float)

        def step(frame: Picture) -> tuple[np.ndarray, float]:
            nonlocal last
            said, found = tracker.update(np.ascontiguousarray(frame[:, :, ::-1]))
            if said:
                last = np.array(found, float)
            scored = hasattr(tracker, "getTrackingScore")
            return last, float(tracker.getTrackingScore()) if scored else float(said)

        return step

    return start


def _correlation(frame: Picture, box: np.ndarray) -> Step:
    """Normalised cross-correlation of the first box in a window about the last one; the size stays."""
    import cv2  # pyright: ignore[reportMissingImports] - a peer, which nothing else needs

    x, y, width, height = map(int, box.round())
    template = np.ascontiguousarray(frame[max(y, 0) : y + height, max(x, 0) : x + width])
    last = box.astype(float)

    def step(frame: Picture) -> tuple[np.ndarray, float]:
        nonlocal last
        middle = last[:2] + last[2:] / 2
        low = np.maximum((middle - REACH * last[2:]).astype(int), 0)
        high = (middle + REACH * last[2:]).astype(int)
        window = np.ascontiguousarray(frame[low[1] : high[1], low[0] : high[0]])
        if any(a < b for a, b in zip(window.shape[:2], template.shape[:2], strict=True)):
            return last, 0.0
        scores = cv2.matchTemplate(window, template, cv2.TM_CCOEFF_NORMED)
        _, best, _, place = cv2.minMaxLoc(scores)
        last = np.array([low[0] + place[0], low[1] + place[1], last[2], last[3]], float)
        return last, float(best)

    return step

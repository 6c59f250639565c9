"""The verb track: where objects go in a film, and when they are lost."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from twofold.apps.track_files import TrackFiles, TrackWriter, writing
from twofold.errors import DataError, NotEnoughData, UsageError
from twofold.plurals import counted
from twofold.results.track import ObjectTrack, Tracked, Tracks
from twofold.track_bundle import TrackBundle
from twofold.tracking import Tracker
from twofold.tracking.frame_sources import FrameSource, frame_source

__all__ = ["TrackFiles", "Tracker", "track"]

Watch = Callable[[int, int | None, Sequence[Tracked]], None]

UNCALIBRATED = (
    "this bundle has no calibrated confidence: the numbers are scores of its network, not "
    "probabilities"
)

MOST_ABSENCES = 10_000
"""Of one object that are told: an object that comes and goes for hours must not fill the memory."""


def track(
    bundle: TrackBundle,
    source: str | Path | int,
    boxes: Sequence[Sequence[float]],
    out: str | Path | TrackFiles,
    *,
    device: str | None = None,
    watch: Watch | None = None,
) -> Tracks:
    """Follow objects through a film, and write what was found to files.

    What is done is kept: if it is interrupted, or the film breaks off, the files hold the frames up
    to there.

    Args:
        bundle: of kind track.
        source: a film, a folder of pictures, or the number of a camera.
        boxes: (x, y, width, height) of each object in the first frame, in pixels, 0-based.
        out: the table's file (CSV), or `TrackFiles` for more.
        device: as for every verb.
        watch: called after each frame with how many are done, of how many (None: nobody knows), and
            what was found.

    Raises:
        UsageError: a box that does not lie in the first frame. DataError: the film cannot be read,
            breaks off, or its frames change their size. CannotWrite, MissingExtra: as their texts
            say.
    """
    files = out if isinstance(out, TrackFiles) else TrackFiles(table=Path(out))
    files.check(source)
    if not len(boxes):
        raise UsageError("give at least one box: x,y,w,h in the first frame")
    tracker = Tracker(bundle, device=device)
    with (
        frame_source(source) as frames,
        writing(files, several=len(boxes) > 1, rate=frames.rate) as writer,
    ):
        seen = _Seen(source=frames.name, objects=len(boxes))
        try:
            _follow(tracker, frames, boxes, writer, seen=seen, watch=watch)
        except (KeyboardInterrupt, DataError) as error:
            if not seen.frames:
                raise
            writer.commit(seen.told(bundle, files))
            kept = f"{counted(seen.frames, 'frame')} of it are in {files.table}"
            raise type(error)(f"{str(error) or 'interrupted'}. {kept}") from None
        result = seen.told(bundle, files)
        writer.commit(result)
    return result


def _follow(
    tracker: Tracker,
    source: FrameSource,
    boxes: Sequence[Sequence[float]],
    writer: TrackWriter,
    *,
    seen: "_Seen",
    watch: Watch | None,
) -> None:
    for frame in source.frames:
        picture, seconds = frame.picture, frame.seconds
        found = tracker.step(picture, seconds) if seen.frames else tracker.start(picture, boxes)
        writer.add(frame.picture, found)
        seen.add(frame.picture, found)
        if watch is not None:
            watch(seen.frames, source.count, found)
    if not seen.frames:
        raise NotEnoughData(f"{source.name} holds no frame: the first one shows the object")


@dataclass(kw_only=True)
class _Seen:
    """What is counted on the way."""

    source: str
    objects: int
    frames: int = 0
    seconds: float = 0.0
    size: tuple[int, int] = (0, 0)
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.lost = np.zeros(self.objects, int)
        self.sure = np.zeros(self.objects)
        self.absences: list[list[tuple[float, float]]] = [[] for _ in range(self.objects)]
        self.since: list[float | None] = [None] * self.objects

    def add(self, frame: UInt8[np.ndarray, "height width 3"], found: Sequence[Tracked]) -> None:
        self.frames, self.seconds, self.size = self.frames + 1, found[0].seconds, frame.shape[:2]
        for each in found:
            since = self.since[each.object]
            if each.lost:
                self.lost[each.object] += 1
                self.since[each.object] = each.seconds if since is None else since
                continue
            self.sure[each.object] += each.confidence
            if since is not None and len(self.absences[each.object]) < MOST_ABSENCES:
                self.absences[each.object].append((since, each.seconds))
            self.since[each.object] = None

    def told(self, bundle: TrackBundle, files: TrackFiles) -> Tracks:
        """The result, as far as it has come."""
        objects = []
        for number, since in enumerate(self.since):
            last = [] if since is None else [(since, self.seconds)]
            there = self.frames - int(self.lost[number])
            objects.append(
                ObjectTrack(
                    object=number,
                    lost_frames=int(self.lost[number]),
                    absences=(*self.absences[number], *last),
                    mean_confidence=float(self.sure[number] / max(there, 1)),
                )
            )
        return Tracks(
            source=self.source,
            frames=self.frames,
            seconds=self.seconds,
            width=self.size[1],
            height=self.size[0],
            objects=tuple(objects),
            frames_per_second=self.frames / max(time.monotonic() - self.began, 1e-9),
            method=f"{bundle.recipe.encoder.name}, fingerprint {bundle.fingerprint[:12]}",
            notes=() if bundle.confidence is not None else (UNCALIBRATED,),
            paths=files.paths(),
        )

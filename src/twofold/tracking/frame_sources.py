"""Where frames come from: a film, a folder of pictures, a camera. One frame is in memory at a time."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from twofold.data.listing import natural
from twofold.data.sequences import PICTURES
from twofold.errors import DataError, MissingExtra, NotEnoughData, UnreadableInput
from twofold.inputs.image_decoding import decode
from twofold.inputs.image_limits import LONGEST_SIDE
from twofold.inputs.video_decoding import Film, Frame, film
from twofold.plurals import counted

__all__ = ["FrameSource", "frame_source", "is_camera"]

RATE = 25.0
"""Frames per second of a folder of pictures, whose files do not say."""

CAMERAS = {
    "linux": ("v4l2", "/dev/video{}"),
    "darwin": ("avfoundation", "{}"),
    "win32": ("dshow", "video={}"),
}
"""How FFmpeg calls cameras on each system."""


@dataclass(frozen=True, kw_only=True)
class FrameSource:
    """Frames that can be gone through once.

    Attributes:
        name: of the film, the folder, or the camera.
        frames: upright RGB, in their order.
        count: how many there are; None: nobody knows.
        rate: frames per second.
    """

    name: str
    frames: Iterator[Frame]
    count: int | None
    rate: float


def is_camera(source: str | Path | int) -> bool:
    """Whether a source is the number of a camera; a file of that name is a file."""
    return str(source).isdigit() and not Path(str(source)).exists()


@contextmanager
def frame_source(
    source: str | Path | int | tuple[Path, ...], *, rate: float | None = None
) -> Iterator[FrameSource]:
    """Frames of a film, a folder of pictures (in the natural order of their names), or a camera by its number.

    Args:
        source: or the paths of pictures, in their order.
        rate: frames per second of pictures; films and cameras know theirs.

    Raises:
        UnreadableInput: no such file or camera, or it cannot be read.
        NotEnoughData: a folder without pictures. MissingExtra: without the extra `video`.
    """
    if isinstance(source, tuple):
        yield _of_pictures("pictures", source, rate or RATE)
    elif is_camera(source):
        with _camera(int(str(source))) as found:
            yield found
    elif Path(str(source)).is_dir():
        folder = Path(str(source))
        yield _of_pictures(str(folder), _pictures(folder), rate or RATE)
    else:
        with film(source, whole=False) as opened:  # what is there is followed first
            yield _of_film(str(source), opened)


def _of_film(name: str, opened: Film) -> FrameSource:
    count = len(opened.times)
    rate = (count - 1) / opened.times[-1] if count > 1 and opened.times[-1] > 0 else RATE
    return FrameSource(name=name, frames=opened.frames(), count=count, rate=rate)


def _pictures(folder: Path) -> tuple[Path, ...]:
    """Those of the folder, or of its folder `img` (OTB)."""
    for place in (folder, folder / "img"):
        if place.is_dir():
            found = [each for each in place.iterdir() if each.suffix.lower() in PICTURES]
            if found:
                return tuple(sorted(found, key=lambda each: natural(each.name)))
    raise NotEnoughData(f"{folder} holds no pictures: give a film, or a folder of its frames")


def _of_pictures(name: str, paths: tuple[Path, ...], rate: float) -> FrameSource:
    return FrameSource(name=name, frames=_decoded(paths, rate), count=len(paths), rate=rate)


def _decoded(paths: tuple[Path, ...], rate: float) -> Iterator[Frame]:
    for number, path in enumerate(paths):
        picture = decode(path, side=LONGEST_SIDE, background=0).convert("RGB")
        yield Frame(seconds=number / rate, picture=np.asarray(picture))


@contextmanager
def _camera(number: int) -> Iterator[FrameSource]:
    """A camera, by FFmpeg; its frames end only when it is unplugged.

    Raises:
        UnreadableInput: it is not there, or gives no picture.
    """
    try:
        import av
    except ImportError:
        raise MissingExtra("cameras are read by PyAV: pip install 'twofold[video]'") from None
    if sys.platform not in CAMERAS:
        raise DataError(f"cameras of {sys.platform} are not known: give a film")
    kind, place = CAMERAS[sys.platform]
    try:
        with av.open(place.format(number), format=kind) as container:
            rate = container.streams.video[0].average_rate
            yield FrameSource(
                name=f"camera {number}",
                frames=_live(container),
                count=None,
                rate=float(rate or RATE),
            )
    except (OSError, ValueError, IndexError, av.FFmpegError) as error:
        raise UnreadableInput(_no_camera(number, error)) from None


def _no_camera(number: int, error: Exception) -> str:
    said = getattr(error, "strerror", None) or type(error).__name__
    found = sorted(Path("/dev").glob("video*")) if sys.platform == "linux" else []
    known = f"; {counted(len(found), 'camera')} found: {', '.join(each.name[5:] for each in found)}"
    return (
        f"camera {number} cannot be read ({said}){known if found else ''}: check that it is plugged "
        f"in and free, or give a film"
    )


def _live(container: Any) -> Iterator[Frame]:
    first: float | None = None
    for frame in container.decode(video=0):
        time = float(frame.time or 0.0)
        first = time if first is None else first
        yield Frame(seconds=time - first, picture=frame.to_ndarray(format="rgb24"))

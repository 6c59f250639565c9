"""Films -> upright RGB frames, by FFmpeg through PyAV (extra `video`), one frame in memory at a time."""

import io
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from twofold.errors import MissingExtra, UnreadableInput
from twofold.inputs.image_limits import pixel_limit

__all__ = ["Film", "Frame", "film"]

MOST_FRAMES = 10_000_000
"""Frames of a film at most: four days at 25 a second. Their times are kept in memory, 8 bytes each."""

MISSING = 0.1
"""Share of the length in a film's header by which all its streams may end too early: authors write tails of sound or
rounded lengths, and a download that broke off lacks more."""

MICROSECONDS = 1_000_000
"""Units of FFmpeg's AV_TIME_BASE in a second."""

TELLING = ("matroska", "mov")
"""Formats whose header says how long the film is; FFmpeg guesses that of others from their size."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A frame of a film.

    Attributes:
        seconds: when it is shown, from the film's first frame on.
        picture: HWC uint8 RGB, upright.
    """

    seconds: float
    picture: UInt8[np.ndarray, "height width 3"]


class Film:
    """An open film, whose frames are decoded when they are asked for.

    Args:
        whole: whether a film that was cut off is refused at once; else `frames` gives what is there,
            and then raises.

    Attributes:
        times: when each frame is shown, in seconds from the first one on, ascending.
    """

    def __init__(self, container: Any, name: str, *, whole: bool = True) -> None:
        self._container, self._name, self._whole = container, name, whole
        self._stream = container.streams.video[0]
        self._stamps, self._keys = self._index()
        start = self._stamps[0]
        rate = float(self._stream.time_base or 1)
        self.times = tuple((stamp - start) * rate for stamp in self._stamps)

    @property
    def seconds(self) -> float:
        """How long the film is, its last frame included; 0 for a single frame."""
        if len(self.times) < 2:
            return 0.0
        return self.times[-1] * len(self.times) / (len(self.times) - 1)

    def spread(self, count: int) -> list[Frame]:
        """`count` frames in the middles of equal parts of the film; a short film repeats frames.

        Raises:
            UnreadableInput: the film breaks off.
        """
        parts = (np.arange(count) + 0.5) * (self.seconds / count)
        places = [max(bisect_right(self.times, time) - 1, 0) for time in parts]
        return list(self.at(places))

    def frames(self) -> Iterator[Frame]:
        """All frames in their order, decoded once.

        Raises:
            UnreadableInput: the film breaks off; every frame before that was given.
        """
        decoded = self._decoded(0)
        for place in range(len(self._stamps)):
            yield self._next(decoded, place)[1]
        promised = self._stream.frames  # AVI, whose length is computed from the file's size
        if not self._cut and len(self.times) < (1 - MISSING) * promised:
            self._cut = f"{len(self.times):,} of {promised:,} frames are there"
        if self._cut:
            raise UnreadableInput(self._truncated())

    def at(self, places: Sequence[int]) -> Iterator[Frame]:
        """The frames at `places` (numbers from 0 on, ascending); frames between them are skipped where that is quicker.

        Raises:
            UnreadableInput: the film breaks off before one of them.
        """
        decoded = iter(())
        last: tuple[int, Frame] | None = None
        reached = -1
        for place in places:
            if last is None or place > last[0]:
                if reached < 0 or self._key_before(place) > reached:
                    decoded = self._decoded(self._key_before(place))
                last = self._next(decoded, place)
                reached = last[0]
            yield last[1]

    def _next(self, decoded: Iterator[Any], place: int) -> tuple[int, Frame]:
        """The frame at `place`, or the next one that the decoder gives after it."""
        try:
            for frame in decoded:
                stamp = frame.pts
                if stamp is None or stamp >= self._stamps[place]:
                    return place, Frame(seconds=self.times[place], picture=_upright(frame))
        except (_ffmpeg_error(), ValueError) as error:
            raise UnreadableInput(self._broken(place, str(error))) from None
        raise UnreadableInput(self._broken(place, "no further frame"))

    def _broken(self, place: int, said: str) -> str:
        return (
            f"{self._name} breaks off before {self.times[place]:.1f} of {self.seconds:.1f} seconds "
            f"({said}): repair it or leave it out"
        )

    def _key_before(self, place: int) -> int:
        """The place of the last frame at or before `place` that can be decoded without others."""
        return self._keys[max(bisect_right(self._keys, place) - 1, 0)]

    def _decoded(self, key: int) -> Iterator[Any]:
        self._container.seek(self._stamps[key], stream=self._stream, backward=True)
        return self._container.decode(self._stream)

    def _index(self) -> tuple[list[int], list[int]]:
        """Time stamps of all frames, and the places of those that can be decoded without others; nothing is decoded."""
        stamps: list[tuple[int, bool]] = []
        end = 0.0
        for packet in self._container.demux():
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is None or not packet.size:
                continue
            end = max(end, (stamp + (packet.duration or 0)) * float(packet.time_base or 0))
            if packet.stream_index == self._stream.index:
                stamps.append((stamp, packet.is_keyframe))
            if len(stamps) > MOST_FRAMES:
                raise UnreadableInput(f"{self._name} has more than {MOST_FRAMES:,} frames: cut it")
        if not stamps:
            raise UnreadableInput(f"{self._name} holds no frame: replace it or leave it out")
        self._cut = self._missing(end)
        if self._cut and self._whole:
            raise UnreadableInput(self._truncated())
        stamps.sort()
        keys = [place for place, (_, key) in enumerate(stamps) if key]
        return [stamp for stamp, _ in stamps], [0, *(place for place in keys if place)]

    def _missing(self, end: float) -> str:
        """What is there of a film whose streams end long before the length in its header; "" of others.

        Args:
            end: seconds at which the last packet of any stream ends.
        """
        length = (self._container.duration or 0) / MICROSECONDS
        started = (self._container.start_time or 0) / MICROSECONDS
        told = any(name in self._container.format.name for name in TELLING)
        if told and end - started < (1 - MISSING) * length:
            return f"{end - started:.1f} of {length:.1f} seconds are there"
        return ""

    def _truncated(self) -> str:
        return f"{self._name} is truncated: {self._cut}; repair it or leave it out"


@contextmanager
def film(value: object, *, max_pixels: int = 25_000_000, whole: bool = True) -> Iterator[Film]:
    """A film that is open inside.

    Args:
        value: a path, or the bytes of a file.
        whole: whether a film that was cut off is refused at once, as in `Film`.
        max_pixels: larger frames are refused before one is decoded.

    Raises:
        UnreadableInput: not a film, nothing in it, or it cannot be read.
        MissingExtra: without the extra `video`.
    """
    name = str(value) if isinstance(value, str | Path) else "the film"
    wrong = _ffmpeg_error()
    try:
        with _opened(value, name) as container:
            _check(container, name, pixel_limit(max_pixels))
            yield Film(container, name, whole=whole)
    except wrong as error:
        raise UnreadableInput(
            f"{name} is not a film that can be read ({_said(error)}): replace it or leave it out"
        ) from None


def _opened(value: object, name: str) -> Any:
    import av

    if isinstance(value, bytes | bytearray | memoryview):
        return av.open(io.BytesIO(bytes(value)))
    if not isinstance(value, str | Path):
        raise UnreadableInput(
            f"a {type(value).__name__} is not a film: give a path, the bytes of a file, or an array "
            f"(frames, height, width, 3)"
        )
    path = Path(value)
    if not path.is_file():
        raise UnreadableInput(f"there is no file {name}")
    if not path.stat().st_size:
        raise UnreadableInput(f"{name} is empty: replace it or leave it out")
    # a path, not a word that FFmpeg may take for a protocol (http:, concat:)
    return av.open(f"file:{path.resolve()}")


def _check(container: Any, name: str, limit: int) -> None:
    if not container.streams.video:
        raise UnreadableInput(f"{name} has no picture, only {len(container.streams)} other streams")
    codec = container.streams.video[0].codec_context
    if codec.width * codec.height > limit:
        raise UnreadableInput(
            f"{name} has frames of {codec.width} x {codec.height} pixels, more than {limit:,}: "
            f"make it smaller, or raise TWOFOLD_MAX_PIXELS"
        )


def _upright(frame: Any) -> UInt8[np.ndarray, "height width 3"]:
    """The pixels of a frame, turned as the film's metadata wants it (quarter turns)."""
    picture = frame.to_ndarray(format="rgb24")
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


def _ffmpeg_error() -> type[Exception]:
    """What PyAV raises.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import av
    except ImportError:
        raise MissingExtra("films are read by PyAV: pip install 'twofold[video]'") from None
    return av.FFmpegError


def _said(error: Exception) -> Any:
    return getattr(error, "strerror", None) or type(error).__name__

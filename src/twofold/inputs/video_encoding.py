"""RGB frames -> a film that browsers and players show, by FFmpeg through PyAV (extra `video`)."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from twofold.errors import CannotWrite, MissingExtra, UsageError

__all__ = ["FILM_ENDINGS", "FilmWriter", "check_film"]

CODECS = ("libx264", "libopenh264", "mpeg4")
"""Encoders, the first that is there: H.264 is shown everywhere; MPEG-4 is part of every FFmpeg."""

QUALITY = {"libx264": {"crf": "23", "preset": "veryfast"}}
"""x264's own middle between size and quality."""

BITS = 0.15
"""Bits per pixel of encoders that ask for a rate."""

FILM_ENDINGS = (".mp4", ".mkv", ".mov")

TICKS = 90_000
"""Of a second, in which times are counted: what most film formats take."""


def check_film(path: Path) -> None:
    """See that a film can be written, before the work.

    Raises:
        UsageError: an ending that is not a film's. MissingExtra: PyAV is not installed.
    """
    if path.suffix.lower() not in FILM_ENDINGS:
        raise UsageError(f"{path} is not the name of a film: end it in {', '.join(FILM_ENDINGS)}")
    try:
        import av  # noqa: F401
    except ImportError:
        raise MissingExtra("films are written by PyAV: pip install 'twofold[video]'") from None


class FilmWriter:
    """A film that grows by frames; sides are cut to even numbers, as H.264 wants them.

    Args:
        path: where it is written. kind: the ending that says the format.
        rate: frames per second, roughly; each frame has its own time.
    """

    def __init__(self, path: Path, *, kind: str = ".mp4", rate: float = 25.0) -> None:
        import av

        self._kind = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov"}[kind]
        quick = {"movflags": "faststart"} if self._kind != "matroska" else {}
        self._path = path
        self._container: Any = av.open(str(path), "w", format=self._kind, options=quick)
        self._rate, self._stream, self._last = rate, None, -1

    def add(self, frame: UInt8[np.ndarray, "height width 3"], seconds: float) -> None:
        """The next frame.

        Raises:
            CannotWrite: the disk takes no more.
        """
        import av

        height, width = (side - side % 2 for side in frame.shape[:2])
        if self._stream is None:
            self._stream = self._started(width, height)
        pixels = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(frame[:height, :width]), format="rgb24"
        )
        self._last = max(self._last + 1, round(seconds * TICKS))
        pixels.pts, pixels.time_base = self._last, Fraction(1, TICKS)
        self._mux(self._stream.encode(pixels))

    def close(self) -> None:
        """The film is whole."""
        if self._stream is not None:
            self._mux(self._stream.encode())
        self._container.close()

    def abandon(self) -> None:
        """No more is wanted of it."""
        self._container.close()

    def _started(self, width: int, height: int) -> Any:
        import av

        name = next(each for each in CODECS if each in av.codecs_available)
        rate = Fraction(self._rate).limit_denominator(1000)
        stream: Any = self._container.add_stream(name, rate=rate, options=QUALITY.get(name, {}))
        stream.width, stream.height, stream.pix_fmt = max(width, 2), max(height, 2), "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, TICKS)
        if name not in QUALITY:
            stream.bit_rate = int(width * height * self._rate * BITS)
        return stream

    def _mux(self, packets: Any) -> None:
        try:
            self._container.mux(packets)
        except OSError as error:
            raise CannotWrite(f"cannot write {self._path}: {error}") from error

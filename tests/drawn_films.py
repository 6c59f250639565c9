"""Small films that tests encode themselves."""

from fractions import Fraction
from pathlib import Path

import numpy as np


def write_film(
    path: Path,
    frames: np.ndarray,
    *,
    times: list[int] | None = None,
    codec: str = "mpeg4",
    keys: int = 5,
) -> Path:
    """Encode frames (count, height, width, 3); `times` are stamps in tenths of a second."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = keys
        stream.codec_context.bit_rate = 2_000_000
        stream.codec_context.time_base = Fraction(1, 10)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number if times is None else times[number]
            frame.time_base = Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def numbered(count: int, *, height: int = 48, width: int = 64) -> np.ndarray:
    """Frames whose grey value says which one each is: 0, 8, 16, ..."""
    values = (8 * np.arange(count)).astype(np.uint8)
    return np.broadcast_to(values[:, None, None, None], (count, height, width, 3)).copy()


def bar(count: int, *, right: bool, seed: int, side: int = 32) -> np.ndarray:
    """A bright bar that moves to the right or to the left."""
    draw = np.random.default_rng(seed)
    film = draw.integers(0, 40, (count, side, side, 3), dtype=np.uint8)
    places = (draw.integers(0, side) + 3 * np.arange(count)) % side
    for frame, place in zip(film, places if right else places[::-1], strict=True):
        frame[:, place : place + 4] = 250
    return film

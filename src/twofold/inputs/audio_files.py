"""Sound files as blocks of mono samples: WAV, FLAC, OGG, MP3 and what else libsndfile reads (extra `audio`)."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Float32

from twofold.errors import MissingExtra, UnreadableInput
from twofold.inputs.audio_resampling import resampled

__all__ = ["opened", "sound_blocks", "wav_of"]

FRAMES_AT_ONCE = 2**16
"""Samples of each channel that are decoded at once."""

HIGHEST_RATE = 768_000
"""Samples per second: no recorder makes more, so a header that says more is damaged."""

MOST_CHANNELS = 64
"""Of one file: more belong to arrays of microphones, whose mean is nobody's voice."""

UNKNOWN_LENGTH = 2**62
"""What libsndfile says of a stream that does not tell its length, or more."""

UNKNOWN_SIZES = (0, 0x7FFFFFFF, 0xFFFFFFFF)
"""Sizes of the data of a WAV file that was written to a pipe, or is larger than its header can tell."""

LAST_PAGE = 2**17
"""Bytes at the end of an OGG file that hold its last page: pages have at most 65,307 bytes."""

END_OF_STREAM = 4
"""The flag of the last page of an OGG stream (RFC 3533, section 6)."""

Wave = Float32[np.ndarray, "samples"]


@contextmanager
def opened(value: Path | bytes) -> Iterator[Any]:
    """A sound file, open for reading.

    Raises:
        UnreadableInput: not a sound, or a truncated one; inside, a stream that breaks off.
        MissingExtra: without the extra `audio`.
    """
    soundfile = library()
    name = value.name if isinstance(value, Path) else "the sound"
    try:
        with value.open("rb") if isinstance(value, Path) else io.BytesIO(value) as content:
            _refuse_truncated(content, name)
            with soundfile.SoundFile(content) as file:
                _refuse_odd(file, name)
                yield file
    except OSError as error:
        raise UnreadableInput(f"{value} cannot be read: {error.strerror or error}") from None
    except (soundfile.LibsndfileError, TypeError) as error:
        said = getattr(error, "error_string", "its format is not known").rstrip(".")
        raise UnreadableInput(
            f"{name} is not a sound that can be read (WAV, FLAC, OGG, MP3): {said}"
        ) from None


def sound_blocks(file: Any, rate: int) -> Iterator[np.ndarray]:
    """The samples of an open sound at a rate, mono: the mean of the channels.

    Raises:
        UnreadableInput: the stream ends before its time, or holds NaN or infinity.
    """
    return resampled(_mono(file), file.samplerate, rate)


def wav_of(wave: Wave, rate: int) -> bytes:
    """A sound as a WAV file of 8-bit mu-law samples, which every browser plays."""
    content = io.BytesIO()
    soundfile = library()
    soundfile.write(content, np.clip(wave, -1, 1), rate, format="WAV", subtype="ULAW")
    return content.getvalue()


def library() -> ModuleType:
    """The module soundfile.

    Raises:
        MissingExtra: it is not installed, or finds no libsndfile.
    """
    try:
        import soundfile
    except (ImportError, OSError):
        raise MissingExtra("sounds are read by soundfile: pip install 'twofold[audio]'") from None
    return soundfile


def _mono(file: Any) -> Iterator[np.ndarray]:
    count = 0
    while len(block := file.read(FRAMES_AT_ONCE, dtype="float32", always_2d=True)):
        if not np.isfinite(block).all():
            raise UnreadableInput("the sound holds NaN or infinity: it is damaged")
        count += len(block)
        yield block.mean(axis=1)
    if count < file.frames < UNKNOWN_LENGTH:
        raise UnreadableInput(
            f"the sound breaks off after {count:,} of {file.frames:,} samples: it is truncated"
        )


def _refuse_odd(file: Any, name: str) -> None:
    if not 1 <= file.samplerate <= HIGHEST_RATE or file.channels > MOST_CHANNELS:
        raise UnreadableInput(
            f"{name} says that it has {file.samplerate:,} samples per second and {file.channels} "
            f"channels: at most {HIGHEST_RATE:,} and {MOST_CHANNELS} are read"
        )


def _refuse_truncated(content: Any, name: str) -> None:
    """Refuse a file that ends before its time, where its format says so; libsndfile reads what there is."""
    size = content.seek(0, io.SEEK_END)
    content.seek(0)
    start = content.read(12)
    if not start:
        raise UnreadableInput(f"{name} is empty")
    if start[:4] == b"RIFF" and start[8:] == b"WAVE":
        _refuse_short_data(content, size, name)
    elif start[:4] == b"OggS":
        _refuse_open_end(content, size, name)
    content.seek(0)


def _refuse_short_data(content: Any, size: int, name: str) -> None:
    while len(head := content.read(8)) == 8:
        length = int.from_bytes(head[4:], "little")
        if head[:4] == b"data":
            held = size - content.tell()
            if length > held and length not in UNKNOWN_SIZES:
                raise UnreadableInput(
                    f"{name} is truncated: {held:,} of {length:,} bytes of samples are there"
                )
            return
        content.seek(length + length % 2, io.SEEK_CUR)


def _refuse_open_end(content: Any, size: int, name: str) -> None:
    content.seek(max(size - LAST_PAGE, 0))
    tail = content.read()
    page = tail[tail.rfind(b"OggS") :]
    # a header of 27 bytes, the sizes of its segments, and those
    segments = page[27 : 27 + page[26]] if len(page) > 26 else b""
    whole = len(page) >= 27 + len(segments) + sum(segments) and len(segments)
    if not whole or not page[5] & END_OF_STREAM:
        raise UnreadableInput(f"{name} is truncated: the end of its stream is missing")

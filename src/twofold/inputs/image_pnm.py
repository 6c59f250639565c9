"""PBM, PGM and PPM, plain and raw, with any largest value: read at once, where Pillow loops over the samples."""

import re

import numpy as np
import PIL.Image
from jaxtyping import Shaped

from twofold.errors import UnreadableInput
from twofold.inputs.image_limits import check_size

__all__ = ["pnm_image"]

LARGEST_PLAIN = 64 * 2**20
"""Bytes of a file that writes its samples as words; reading it takes a dozen times its size."""

_HEADER = rb"(P[1-6])(?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})"
_BITS = re.compile(_HEADER + rb"(?:#[^\n]*\n)?\s")
_LEVELS = re.compile(_HEADER + rb"(?:\s|#[^\n]*\n)+(\d{1,5})(?:#[^\n]*\n)?\s")


def pnm_image(data: bytes, *, limit: int) -> PIL.Image.Image:
    """The first picture of a file, as mode L or RGB: 0..maxval becomes 0..255 linearly, rounded.

    Raises:
        UnreadableInput: too large, cut, or a sample above the largest value.
    """
    kind = data[1:2]
    found = (_BITS if kind in b"14" else _LEVELS).match(data)
    if found is None:
        raise UnreadableInput("has a damaged header: replace it or leave it out")
    width, height = int(found[2]), int(found[3])
    check_size(width, height, limit)
    most = 1 if kind in b"14" else int(found[4])
    if not 1 <= most <= 65535:
        raise UnreadableInput(f"has a largest value of {most}, which must be 1 to 65535: replace it or leave it out")
    samples = _samples(data, found, most)
    if kind in b"14":
        samples = 1 - samples
    if samples.max() > most:
        raise UnreadableInput(f"has a sample of {samples.max()}, over its own largest value {most}: replace it")
    if most != 255:
        samples = (samples.astype(np.uint32) * 510 + most) // (2 * most)
    return PIL.Image.fromarray(np.ascontiguousarray(samples.astype(np.uint8)))


def _samples(data: bytes, header: re.Match[bytes], most: int) -> Shaped[np.ndarray, "height width *channels"]:
    kind, start, width, height = data[1:2], header.end(), int(header[2]), int(header[3])
    full = (height, width, 3) if kind in b"36" else (height, width)
    count = int(np.prod(full))
    if kind in b"123":
        return _words(kind, data, start, count).reshape(full)
    if kind == b"4":
        line = -(-width // 8)
        rows = _raw(data, start, np.dtype(np.uint8), height * line).reshape(height, line)
        return np.unpackbits(rows, axis=1)[:, :width]
    return _raw(data, start, np.dtype(">u2" if most > 255 else np.uint8), count).reshape(full)


def _raw(data: bytes, start: int, dtype: np.dtype, count: int) -> Shaped[np.ndarray, "count"]:
    if len(data) - start < count * dtype.itemsize:
        raise UnreadableInput("is cut: samples are missing; replace it or leave it out")
    return np.frombuffer(data, dtype, count, start)


def _words(kind: bytes, data: bytes, start: int, count: int) -> Shaped[np.ndarray, "count"]:
    if len(data) - start > LARGEST_PLAIN:
        raise UnreadableInput(f"has {(len(data) - start) / 1e6:,.0f} MB of text: save it as a raw PGM or PPM")
    text = re.sub(rb"#[^\n]*", b" ", data[start:])
    words = list(re.sub(rb"\s+", b"", text)) if kind == b"1" else text.split(maxsplit=count)
    if len(words) < count:
        raise UnreadableInput("is cut: samples are missing; replace it or leave it out")
    try:
        found = np.array(words[:count], np.int64) - (48 if kind == b"1" else 0)
    except (ValueError, OverflowError):
        raise UnreadableInput("has samples that are not numbers: replace it or leave it out") from None
    if found.min() < 0 or (kind == b"1" and found.max() > 1):
        raise UnreadableInput("has samples that are not possible: replace it or leave it out")
    return found

"""PBM, PGM and PPM, plain and raw, with any largest value: read at once, where Pillow loops over the samples."""

import re
from collections.abc import Iterator

import numpy as np
import PIL.Image
from jaxtyping import Bool, Shaped, UInt8, UInt32

from twofold.errors import UnreadableInput
from twofold.inputs.image_levels import levels
from twofold.inputs.image_limits import check_size
from twofold.plurals import counted

__all__ = ["pnm_image"]

LARGEST_PLAIN = 64 * 2**20
"""Bytes of a file that writes its samples as words: about a second."""

WORD_BYTES = 2**20
"""Bytes of words that are turned into numbers together: their indexes fit the cache."""

LONGEST_WORD = 9
"""Digits; 65535 has five, and some writers pad with zeros."""

_HEADER = rb"(P[1-6])(?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})"
_SPACE = re.compile(rb"\s")
_NEXT = re.compile(rb"\s*(P[1-7]\s|\Z)")
"""What may follow a picture: the next one, or nothing."""

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
        raise UnreadableInput(
            f"has a largest value of {most}, which must be 1 to 65535: replace it or leave it out"
        )
    samples = _samples(data, found, most)
    if kind in b"14":
        samples = 1 - samples
    if samples.max() > most:
        raise UnreadableInput(
            f"has a sample of {samples.max()}, over its own largest value {most}: replace it"
        )
    return PIL.Image.fromarray(levels(samples, 0, most))


def _samples(
    data: bytes, header: re.Match[bytes], most: int
) -> Shaped[np.ndarray, "height width *channels"]:
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
    end = start + count * dtype.itemsize
    if len(data) < end:
        raise UnreadableInput("is cut: samples are missing; replace it or leave it out")
    if not _NEXT.match(data, end):
        raise UnreadableInput(
            f"is damaged: {counted(len(data) - end, 'byte', 'follows')} the picture, and not "
            f"another one; replace it"
        )
    return np.frombuffer(data, dtype, count, start)


def _words(kind: bytes, data: bytes, start: int, count: int) -> Shaped[np.ndarray, "count"]:
    if len(data) - start > LARGEST_PLAIN:
        raise UnreadableInput(
            f"has {(len(data) - start) / 1e6:,.0f} MB of text: save it as a raw PGM or PPM"
        )
    text = re.sub(rb"#[^\n]*", b" ", data[start:]) if data.find(b"#", start) >= 0 else data[start:]
    parts, found = [], 0
    for block in _text_blocks(text):
        parts.append(_bits(block) if kind == b"1" else _numbers(block))
        found += len(parts[-1])
        if found >= count:
            return np.concatenate(parts)[:count]
    raise UnreadableInput("is cut: samples are missing; replace it or leave it out")


def _text_blocks(text: bytes) -> Iterator[bytes]:
    """Blocks of about `WORD_BYTES` that end between two words."""
    place = 0
    while place < len(text):
        space = _SPACE.search(text, place + WORD_BYTES)
        end = len(text) if space is None else space.end()
        yield text[place:end]
        place = end


def _signs(block: bytes) -> tuple[UInt8[np.ndarray, "n"], Bool[np.ndarray, "n"]]:
    """Each byte's value as a digit, and whether it is one; all others must be blanks."""
    signs = np.frombuffer(block, np.uint8)
    values = signs - np.uint8(ord("0"))
    digit = values < 10
    if not (digit | (signs == 32) | ((signs >= 9) & (signs <= 13))).all():
        raise UnreadableInput("has samples that are not whole numbers: replace it or leave it out")
    return values, digit


def _bits(block: bytes) -> UInt8[np.ndarray, "count"]:
    """Digits, with or without blanks between them."""
    values, digit = _signs(block)
    bits = values[digit]
    if len(bits) and bits.max() > 1:
        raise UnreadableInput("has samples that are neither 0 nor 1: replace it or leave it out")
    return bits


def _numbers(block: bytes) -> UInt32[np.ndarray, "count"]:
    values, digit = _signs(block)
    edges = np.flatnonzero(np.diff(digit, prepend=False, append=False)).astype(np.int32)
    starts, lengths = edges[::2], edges[1::2] - edges[::2]
    longest = int(lengths.max(initial=0))
    if longest > LONGEST_WORD:
        raise UnreadableInput(f"has a sample of {longest} digits: replace it or leave it out")
    numbers = np.zeros(len(starts), np.uint32)
    values = np.append(values, np.zeros(longest, np.uint8))
    for place in range(longest):
        within = place < lengths
        numbers = np.where(within, numbers * np.uint32(10) + values[starts + place], numbers)
    return numbers

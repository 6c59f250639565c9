"""How large a picture may be: what bounds the time and the memory of decoding one file."""

import os

from twofold.errors import UnreadableInput, UsageError

__all__ = ["LIMIT_VARIABLE", "LONGEST_SIDE", "check_bytes", "check_size", "pixel_limit"]

LIMIT_VARIABLE = "TWOFOLD_MAX_PIXELS"
"""Overrides `max_pixels` of every input type; `--max-pixels` sets it for one command."""

LONGEST_SIDE = 65_535
"""JPEG has no longer sides. A picture of 1 x 25,000,000 pixels took 16 seconds and 600 MB to resize."""

BYTES_PER_PIXEL = 16
"""Four samples of 32 bits: no format that is read needs more, uncompressed."""

SPARE_BYTES = 64 * 2**20
"""For profiles, previews and the film that phones append to a photograph."""


def pixel_limit(max_pixels: int) -> int:
    """The most pixels to decode: the environment's word, else the input type's."""
    asked = os.environ.get(LIMIT_VARIABLE)
    if not asked:
        return max_pixels
    if not asked.isdecimal() or int(asked) < 1:
        raise UsageError(
            f"--max-pixels (or {LIMIT_VARIABLE}) must be a positive whole number, not {asked!r}"
        )
    return int(asked)


def check_size(width: int, height: int, limit: int) -> None:
    """Raise UnreadableInput for a picture with more pixels than `limit`, or with too long a side."""
    if width < 1 or height < 1:
        raise UnreadableInput(f"has no pixels ({width} x {height}): replace it or leave it out")
    if max(width, height) > LONGEST_SIDE:
        raise UnreadableInput(
            f"is {width} x {height} pixels; sides of more than {LONGEST_SIDE:,} are not read: cut "
            f"it into parts"
        )
    pixels = width * height
    if pixels > limit:
        raise UnreadableInput(
            f"has {width} x {height} = {pixels / 1e6:.1f} million pixels, over the limit of "
            f"{limit / 1e6:.1f} million: "
            f"shrink it, or raise the limit if you trust the file (--max-pixels {pixels}; in "
            f"Python `max_pixels`)"
        )


def check_bytes(size: int, limit: int) -> None:
    """Raise UnreadableInput for a file that is larger than any picture of `limit` pixels."""
    most = BYTES_PER_PIXEL * limit + SPARE_BYTES
    if size > most:
        raise UnreadableInput(
            f"has {size / 1e6:,.0f} MB, more than any picture within the limit of "
            f"{limit / 1e6:.1f} million pixels: "
            "shrink it, or raise the limit if you trust the file (--max-pixels; in Python "
            "max_pixels of Image)"
        )

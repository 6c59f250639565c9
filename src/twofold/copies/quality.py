"""Which of several copies is the best: at equal size the one in colour, with more bits, less damaged or compressed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image

from twofold.copies.reading import MAX_PIXELS, Collection
from twofold.copies.tones import blocks_of
from twofold.errors import UnreadableInput
from twofold.inputs.image_decoding import decode

__all__ = ["Quality", "best_first", "quality_of"]

COLOURFUL = 2.0
"""Mean distance of the colour channels from grey at which a picture is in colour."""

CLEAR, SOLID = 250, 0.99
"""Opacity at which a pixel is solid; and the share of solid pixels in a picture that nothing
shines through."""


@dataclass(frozen=True, kw_only=True, order=True)
class Quality:
    """What speaks for keeping a picture, in order of weight; the smallest is the best.

    Attributes:
        transparent: something shines through it. grey: it has no colour. shallow: minus bits per
            sample.
        blocks: how much stronger edges are at every eighth pixel (JPEG), in tenths. compressed:
            mean of its JPEG steps.
        blurred: minus the logarithm of its detail, in halves.
    """

    transparent: bool = False
    grey: bool = False
    shallow: int = -8
    blocks: int = 0
    compressed: int = 0
    blurred: int = 0


def best_first(known: Collection, places: Sequence[int]) -> list[int]:
    """Places by pixels, then quality, then bytes, then order.

    Files are decoded whole only if sizes are equal.
    """
    counts: dict[int, int] = {}
    for place in places:
        counts[known.seen[place].pixels] = counts.get(known.seen[place].pixels, 0) + 1

    def key(place: int) -> tuple[int, Quality, int, int]:
        seen = known.seen[place]
        judged = seen.plane is not None and counts[seen.pixels] > 1
        return (
            -seen.pixels,
            quality_of(known.values[place]) if judged else Quality(),
            -seen.size,
            place,
        )

    return sorted(places, key=key)


def quality_of(value: Any) -> Quality:
    """The quality of one picture; the worst if it can no longer be read."""
    try:
        depth, transparent, compressed = _header(value)
        drawn = decode(value, side=1 << 15, background=255, max_pixels=MAX_PIXELS)
    except (UnreadableInput, OSError, TypeError, AttributeError, ValueError):
        return Quality(transparent=True, grey=True, shallow=0)
    small = np.asarray(drawn.convert("RGB").resize((64, 64), PIL.Image.Resampling.BOX)).astype(
        np.float32
    )
    light = np.asarray(drawn.convert("L")).astype(np.float32)
    return Quality(
        transparent=transparent,
        grey=float(np.abs(small - small.mean(axis=2, keepdims=True)).mean()) < COLOURFUL,
        shallow=-depth,
        blocks=blocks_of(light),
        compressed=compressed,
        blurred=-round(2 * math.log2(_detail(light) + 0.05)),
    )


def _header(value: Any) -> tuple[int, bool, int]:
    """(bits per sample, whether something shines through, mean step of its JPEG compression)."""
    if isinstance(value, np.ndarray):
        return 8 * value.dtype.itemsize, False, 0
    with PIL.Image.open(value) as image:
        # Pillow turns 16 bits a colour into 8 when it
        # reads the pixels; before that the header says so
        raw = str(image.tile[0][3]) if image.tile else ""
        depth = 16 if image.mode.startswith("I") or "16" in raw else 8
        tables = getattr(image, "quantization", None)
        compressed = round(float(np.mean(tables[0]))) if tables else 0
        return depth, _transparent(image), compressed


def _transparent(image: PIL.Image.Image) -> bool:
    if not image.has_transparency_data:
        return False
    counts = image.convert("RGBA").getchannel("A").histogram()
    return sum(counts[CLEAR:]) < SOLID * sum(counts)


def _detail(light: np.ndarray) -> float:
    if min(light.shape) < 3:
        return 0.0
    return float(
        np.abs(
            light[1:-1, 1:-1] * 4
            - light[:-2, 1:-1]
            - light[2:, 1:-1]
            - light[1:-1, :-2]
            - light[1:-1, 2:]
        ).mean()
    )

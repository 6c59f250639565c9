"""Boxes and confidences on frames, to be looked at."""

from collections.abc import Sequence

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from jaxtyping import UInt8

from twofold.results.track import Tracked

__all__ = ["COLOURS", "annotated"]

COLOURS = ("#ff2d95", "#21c7ff", "#ffd000", "#7dff5a", "#ff8a1f", "#b58bff")
"""Of the objects, in their order: bright ones that surroundings seldom have."""

LINE = 160
"""Pixels of the frame's longer side per pixel of a line's width."""

TEXT = 30
"""Pixels of the frame's longer side per pixel of the height of letters."""


def annotated(
    frame: UInt8[np.ndarray, "height width 3"], found: Sequence[Tracked]
) -> UInt8[np.ndarray, "height width 3"]:
    """A frame with the box and the confidence of every object; "lost" at the upper edge where one is lost."""
    picture = PIL.Image.fromarray(frame)
    pen = PIL.ImageDraw.Draw(picture)
    longest = max(frame.shape[:2])
    line, height = max(2, longest // LINE), max(10, longest // TEXT)
    for each in found:
        ink = COLOURS[each.object % len(COLOURS)]
        name = f"{each.object + 1}: " if len(found) > 1 else ""
        if each.lost:
            _label(
                pen,
                (line, line + each.object * (height + 6)),
                f"{name}lost",
                ink=ink,
                height=height,
            )
            continue
        x, y, width, tall = each.box
        pen.rectangle([x, y, x + max(width, 1), y + max(tall, 1)], outline=ink, width=line)
        above = y - height - 6 if y > height + 6 else y + tall + 2
        _label(pen, (x, above), f"{name}{each.confidence:.2f}", ink=ink, height=height)
    return np.asarray(picture)


def _label(
    pen: PIL.ImageDraw.ImageDraw, place: tuple[float, float], text: str, *, ink: str, height: int
) -> None:
    font = PIL.ImageFont.load_default(height)
    box = pen.textbbox(place, text, font=font)
    pen.rectangle([box[0] - 3, box[1] - 2, box[2] + 3, box[3] + 2], fill=ink)
    pen.text(place, text, fill="#101010", font=font)

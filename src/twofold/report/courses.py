"""The course of a series as a drawing, another one behind it: SVG that stands in a page."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

__all__ = ["Course", "course", "is_course"]

Course = Float[np.ndarray, "_ _"]
"""What is drawn of a series."""

WIDTH, HEIGHT = 160.0, 90.0
MARGIN = 4.0
COLOURS = 4
"""Channels with a colour of their own (page.css); further ones begin again."""

MOST_CHANNELS = 8
"""Channels that are drawn."""


def is_course(shown: object) -> bool:
    """Whether what can be shown of a thing is the course of a series; pictures are bytes."""
    return isinstance(shown, np.ndarray) and shown.dtype.kind == "f"


def course(values: Course, *, behind: Course | None = None, name: str = "") -> str:
    """The channels as lines over time, all on one scale; each of the two series takes the whole width.

    Args:
        behind: a series to compare with, drawn in grey.
        name: what a screen reader says.
    """
    both = [values] if behind is None else [values, behind]
    low, high = min(float(each.min()) for each in both), max(float(each.max()) for each in both)
    scale = (HEIGHT - 2 * MARGIN) / max(high - low, 1e-12)
    grey = "" if behind is None else _lines(behind, low, scale, lambda _: "behind")
    drawn = _lines(values, low, scale, lambda channel: f"c{channel % COLOURS}")
    return (
        f'<svg class="course" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" '
        f'aria-label="{name or "the course of a series"}" preserveAspectRatio="none">'
        f"{grey}{drawn}</svg>"
    )


def _lines(values: Course, low: float, scale: float, kind: Callable[[int], str]) -> str:
    x = np.linspace(0, WIDTH, len(values))
    y = HEIGHT - MARGIN - (values - low) * scale
    lines = []
    for channel in range(min(values.shape[1], MOST_CHANNELS)):
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y[:, channel], strict=True))
        lines.append(f'<polyline class="{kind(channel)}" points="{points}"/>')
    return "".join(lines)

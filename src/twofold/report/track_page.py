"""A film with the boxes that were found, and the confidence over time; no request leaves the page."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from twofold.plurals import counted
from twofold.printable import printable_lines
from twofold.report.page import document
from twofold.results.track import ObjectTrack, Tracks

__all__ = ["Shown", "track_page"]

WIDTH, HEIGHT = 1000, 160
"""Of the chart, in its own units."""

POINTS = 2000
"""Of a curve: two a pixel of a wide screen. Longer films are told by the lowest value of each part."""

LISTED = 20
"""Absences that are listed, the first ones."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What the page shows of a film.

    Attributes:
        film: a data URI.
        rows: seconds, and the confidence of each object (0 while it is lost), frame by frame.
        cut: whether the film on the page ends before the real one.
    """

    film: str
    rows: Sequence[tuple[float, ...]]
    cut: bool


def track_page(result: Tracks, shown: Shown) -> str:
    """The whole page; write it as UTF-8."""
    script = (files("twofold.report") / "track.js").read_text(encoding="utf-8")
    notes = [*result.notes]
    if shown.cut:
        notes.append(f"The film on this page ends after {counted(len(shown.rows), 'frame')}.")
    parts = [
        "<header><h1>Where it went</h1>",
        f'<p class="lead">{_text(_summary(result))}</p>',
        *(f'<p class="note">{_text(note)}</p>' for note in notes),
        "</header>",
        f'<video id="film" controls muted playsinline preload="auto" src="{shown.film}"></video>',
        _chart(result, shown),
        _absences(result),
        _facts(result),
        f"<script>{script}</script>",
    ]
    return document("Where it went", "\n".join(parts), "page.css", "track.css")


def _summary(result: Tracks) -> str:
    told = [_of_object(each, result) for each in result.objects]
    return f"{' '.join(told)} Confidences are estimates."


def _of_object(found: ObjectTrack, result: Tracks) -> str:
    name = "The object" if len(result.objects) == 1 else f"Object {found.object + 1}"
    there = result.frames - found.lost_frames
    lost = f"lost {counted(len(found.absences), 'time')}" if found.absences else "never lost"
    return f"{name} was followed in {there:,} of {counted(result.frames, 'frame')}, and {lost}."


def _chart(result: Tracks, shown: Shown) -> str:
    rows = np.array(shown.rows, np.float64)
    length = max(float(rows[-1, 0]), 1e-9)
    curves = "".join(
        f'<polyline class="o{each.object % 6}" points="{_points(rows[:, 0], rows[:, 1 + each.object], length)}"/>'
        for each in result.objects
    )
    gaps = "".join(
        f'<rect x="{start / length * WIDTH:.1f}" y="0" height="{HEIGHT}" '
        f'width="{max((min(end, length) - start) / length * WIDTH, 1):.1f}"/>'
        for each in result.objects
        for start, end in each.absences[:POINTS]
        if start <= length
    )
    key = "".join(
        f'<span class="o{each.object % 6}">object {each.object + 1}</span>'
        for each in result.objects
        if len(result.objects) > 1
    )
    return (
        f'<section class="course"><h2>Confidence over time</h2>'
        f'<svg id="chart" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" '
        f'data-seconds="{length:.3f}" role="img" aria-label="confidence over time">{gaps}'
        f'<line class="half" x1="0" x2="{WIDTH}" y1="{HEIGHT / 2}" y2="{HEIGHT / 2}"/>{curves}'
        f'<line id="now" x1="0" x2="0" y1="0" y2="{HEIGHT}"/></svg>'
        f'<p class="key">{key}</p><p class="detail"><span id="at">0.0 s</span> of {length:.1f} s. '
        f"Above: 1, middle: 0.5, below: 0. Grey: lost. Click or drag to go there; ← and → step by "
        f"a frame, the space bar plays.</p></section>"
    )


def _points(seconds: np.ndarray, values: np.ndarray, length: float) -> str:
    """A curve; of a long film the lowest value of each part, so that no short loss disappears."""
    step = max(1, -(-len(values) // POINTS))
    starts = np.arange(0, len(values), step)
    low = np.minimum.reduceat(values, starts)
    across, down = seconds[starts] / length * WIDTH, (1 - low) * (HEIGHT - 2) + 1
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))


def _absences(result: Tracks) -> str:
    rows = [
        f"<tr><th>{each.object + 1}</th><td><button type='button' class='go' "
        f'data-seconds="{start:.3f}">{start:.2f} s</button></td><td>{end:.2f} s</td>'
        f"<td>{end - start:.2f} s</td></tr>"
        for each in result.objects
        for start, end in each.absences[:LISTED]
    ]
    if not rows:
        return ""
    return (
        '<section><h2>When it was lost</h2><div class="wide"><table><thead><tr><th>object</th>'
        f"<th>lost</th><th>found again</th><th>for</th></tr></thead><tbody>{''.join(rows)}</tbody>"
        "</table></div></section>"
    )


def _facts(result: Tracks) -> str:
    facts = {
        "film": result.source,
        "frames": f"{result.frames:,} of {result.width} x {result.height} pixels, "
        f"{result.seconds:.1f} s",
        "speed": f"{result.frames_per_second:.0f} frames per second, reading and writing included",
        "model": result.method,
        "standing": f"{result.standing}: confidence was calibrated on synthetic films, and no error "
        f"rate is guaranteed for this one",
    }
    rows = "".join(
        f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in facts.items()
    )
    return (
        f'<section><h2>How it was made</h2><div class="wide"><table class="facts">{rows}</table>'
        f"</div></section>"
    )


def _text(value: str) -> str:
    return html.escape(printable_lines(value), quote=True)

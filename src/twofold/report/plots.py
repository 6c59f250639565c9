"""Figures as SVG text in the page's colours (its style sheets): axes with units, bands, signs as well as hues."""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from twofold.metrics.curves import Curve, Reliability
from twofold.metrics.intervals import normal_quantile
from twofold.printable import printable
from twofold.report.measured import Map
from twofold.report.story import Scores
from twofold.results import Estimate

__all__ = [
    "cmc",
    "det",
    "embedding_map",
    "histogram",
    "marker",
    "percent",
    "reliability_diagram",
    "roc",
]

# of a plot and of its margins, which hold the names of ticks and axes; in units of the SVG
WIDTH, HEIGHT = 440.0, 330.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 24.0, 14.0, 48.0

Values = Float[np.ndarray, "n"]

# round ticks: of shares that may be tiny, of an axis from 0 to 1
SHARES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95)
FLOORS = (0.0, 0.2, 0.6, 0.8, 0.9, 0.96)
"""Where an axis that ends at 1 may start, so that its ticks are round."""

NEAR = 0.09
"""Ticks nearer than this part of an axis would be written over each other."""

QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A label with its unit, ticks with their names, and what takes a value to [0, 1] along the axis."""

    label: str
    ticks: tuple[float, ...]
    names: tuple[str, ...]
    place: Callable[[np.ndarray], np.ndarray]


def det(curve: Curve, *, at: tuple[float, float] | None = None, eer: float | None = None) -> str:
    """Misses against false accepts on normal-deviate axes (Martin et al. 1997), with the band.

    Args:
        at: false-match and false-non-match rate at the threshold, to be marked.
        eer: equal error rate, to be marked.
    """
    lowest = _start(curve, 0.95)
    x = _deviate("false-match rate (normal deviate)", lowest, 0.6)
    floor = min(
        float(curve.false_non_match_rate[curve.false_match_rate <= 0.6].min(initial=0.4)),
        eer or 0.4,
    )
    y = _deviate("false-non-match rate (normal deviate)", max(floor / 2.0, 1e-3), 0.95)
    marks = _curve(
        x, y, curve.false_match_rate, curve.false_non_match_rate, band=(curve.low, curve.high)
    )
    marks += _special(x, y, at, None if eer is None else (eer, eer), corner=(240.0, 36.0))
    return _figure(
        "DET curve: false-non-match rate by false-match rate, with its band", x, y, marks
    )


def roc(curve: Curve, *, at: tuple[float, float] | None = None, eer: float | None = None) -> str:
    """True accepts against false accepts (logarithmic), with the band; arguments as `det`."""
    lowest = float(np.log10(_start(curve, 0.98)))
    ticks = tuple(10.0**power for power in range(int(np.ceil(lowest)), 1))
    x = Axis(
        label="false-match rate (logarithmic)",
        ticks=ticks,
        names=tuple(map(percent, ticks)),
        place=lambda value: (np.log10(np.maximum(value, 1e-12)) - lowest) / -lowest,
    )
    y = _straight("genuine pairs accepted", 0.0, 1.0)
    low, high = 1.0 - curve.high, 1.0 - curve.low
    marks = _curve(x, y, curve.false_match_rate, 1.0 - curve.false_non_match_rate, band=(low, high))
    point = None if at is None else (at[0], 1.0 - at[1])
    marks += _special(x, y, point, None if eer is None else (eer, 1.0 - eer), corner=(240.0, 228.0))
    return _figure(
        "ROC curve: genuine pairs accepted by false-match rate, with its band", x, y, marks
    )


def histogram(scores: Scores, *, thresholds: Sequence[tuple[str, float]]) -> str:
    """Scores of genuine pairs upwards and of impostor pairs downwards, and named thresholds."""
    low, high = float(scores.edges[0]), float(scores.edges[-1])
    x = _plain("score (larger is more alike)", low, high)
    top = float(max(scores.genuine.max(), scores.impostor.max()))
    steps = (-top, -top / 2.0, 0.0, top / 2.0, top)
    y = Axis(
        label="share of the pairs of a kind, per bin",
        ticks=steps,
        names=tuple(percent(round(abs(step), 3)) for step in steps),
        place=lambda value: (value / top * 0.92 + 1.0) / 2.0,
    )
    marks = []
    for kind, shares in (("genuine", scores.genuine), ("impostor", -scores.impostor)):
        corners = np.repeat(scores.edges, 2)[1:-1]
        marks.append(
            _area(kind, _x(x, corners), _y(y, np.repeat(shares, 2)), float(_y(y, np.zeros(1))[0]))
        )
    marks.append(f'<text x="{LEFT + 8:g}" y="{TOP + 16:g}" class="strong">▲ genuine (same)</text>')
    marks.append(
        f'<text x="{LEFT + 8:g}" y="{HEIGHT - BOTTOM - 8:g}" class="strong">▼ impostor '
        f"(different)</text>"
    )
    for row, (name, score) in enumerate(thresholds):
        marks.append(_upright(x, name, score, TOP + 16.0 + 16.0 * row))
    return _figure(
        "Histogram of the scores of genuine and impostor pairs about the threshold", x, y, marks
    )


def reliability_diagram(found: Reliability) -> str:
    """Share of genuine pairs by predicted probability; right on the diagonal."""
    x, y = _straight("probability given", 0.0, 1.0), _straight("share that was genuine", 0.0, 1.0)
    ends = np.array([0.0, 1.0])
    marks = [_line("guide", _x(x, ends), _y(y, ends))]
    across, up = _x(x, found.predicted), _y(y, found.observed)
    for at, low, high in zip(across, _y(y, found.low), _y(y, found.high), strict=True):
        marks.append(
            f'<path class="whisker" d="M{at:.1f} {low:.1f}V{high:.1f}'
            f'M{at - 4:.1f} {low:.1f}h8M{at - 4:.1f} {high:.1f}h8"/>'
        )
    size = 3.0 + 6.0 * np.sqrt(found.weight)
    marks += [
        f'<circle class="dot" cx="{a:.1f}" cy="{b:.1f}" r="{r:.1f}"/>'
        for a, b, r in zip(across, up, size, strict=True)
    ]
    return _figure(
        "Reliability diagram: share of genuine pairs by calibrated probability", x, y, marks
    )


def cmc(ranks: Sequence[Estimate]) -> str:
    """Rank-k identification rates with intervals; k on a logarithmic axis."""
    ks = np.array([float(each.name.removeprefix("rank_")) for each in ranks])
    reach = max(float(np.log(ks[-1])), 1e-9)
    x = Axis(
        label="rank k (logarithmic)",
        ticks=tuple(ks),
        names=tuple(f"{k:g}" for k in ks),
        place=lambda value: 0.02 + 0.96 * np.log(value) / reach,
    )
    lowest = max(low for low in FLOORS if low <= min(each.low for each in ranks))
    y = _straight("right one among the k best", float(lowest), 1.0)
    values, low, high = (
        np.array([getattr(each, name) for each in ranks]) for name in ("value", "low", "high")
    )
    marks = _curve(x, y, ks, values, band=(low, high))
    marks += [
        f'<circle class="dot" cx="{a:.1f}" cy="{b:.1f}" r="3.5"/>'
        for a, b in zip(_x(x, ks), _y(y, values), strict=True)
    ]
    return _figure("CMC curve: rank-k identification rate", x, y, marks)


def embedding_map(found: Map) -> str:
    """Each item a point; items of some classes with a sign and a colour of their own."""
    low, high = found.points.min(axis=0), found.points.max(axis=0)
    place = 0.04 + 0.92 * (found.points - low) / np.maximum(high - low, 1e-12)
    across, up = 10.0 + place[:, 0] * (WIDTH - 20.0), 10.0 + (1.0 - place[:, 1]) * (HEIGHT - 20.0)
    order = np.argsort(found.marked > 0, kind="stable")
    marks = [marker(int(found.marked[row]), float(across[row]), float(up[row])) for row in order]
    return (
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="Map of the embeddings of '
        f'unseen identities">'
        f'<rect class="frame" x="1" y="1" width="{WIDTH - 2:g}" '
        f'height="{HEIGHT - 2:g}"/>{"".join(marks)}</svg>'
    )


SIGNS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z",
    "M-3.6 -3.6H3.6V3.6H-3.6Z",
    "M0 -4.6L4.4 3.4H-4.4Z",
    "M0 -5L5 0L0 5L-5 0Z",
    "M0 4.6L4.4 -3.4H-4.4Z",
    "M-1.5 -4.5H1.5V-1.5H4.5V1.5H1.5V4.5H-1.5V1.5H-4.5V-1.5H-1.5Z",
    "M0 -5L1.5 -1.6L5 -1.6L2.2 .8L3.2 4.4L0 2.3L-3.2 4.4L-2.2 .8L-5 -1.6L-1.5 -1.6Z",
    "M-4 -4L0 -1.6L4 -4L1.6 0L4 4L0 1.6L-4 4L-1.6 0Z",
)


def marker(number: int, x: float, y: float) -> str:
    """The sign of class `number` (from 1 on), or a small grey point for 0."""
    if number == 0:
        return f'<circle class="other" cx="{x:.1f}" cy="{y:.1f}" r="1.6"/>'
    which = (number - 1) % len(SIGNS)
    return f'<path class="sign s{which + 1}" transform="translate({x:.1f} {y:.1f})" d="{SIGNS[which]}"/>'


def percent(share: float) -> str:
    """A share as a short percentage: 0.1%, 12%."""
    return f"{100.0 * share:.4g}%"


def _start(curve: Curve, missed: float) -> float:
    """The false-match rate at which a curve begins to be worth drawing: to the left nearly all is missed."""
    seen = np.flatnonzero(curve.false_non_match_rate < missed)
    first = max(int(seen[0]) - 1, 0) if len(seen) else 0
    return min(max(float(curve.false_match_rate[first]), 1e-7), 0.1)


def _deviate(label: str, low: float, high: float) -> Axis:
    ends = normal_quantile(low), normal_quantile(high)
    inside = [share for share in SHARES if low <= share <= high]

    def place(value: np.ndarray) -> np.ndarray:
        kept = np.clip(value, low, high)
        return (np.array([normal_quantile(float(each)) for each in kept]) - ends[0]) / (
            ends[1] - ends[0]
        )

    ticks: list[float] = []
    for share in reversed(inside):
        # from the right, where they are wide apart: one too near to the last is left out
        if not ticks or float((place(np.array([ticks[-1]])) - place(np.array([share])))[0]) > NEAR:
            ticks.append(share)
    return Axis(label=label, ticks=tuple(ticks), names=tuple(map(percent, ticks)), place=place)


def _straight(label: str, low: float, high: float) -> Axis:
    ticks = tuple(low + step * (high - low) for step in QUARTERS)
    return Axis(
        label=label,
        ticks=ticks,
        names=tuple(map(percent, ticks)),
        place=lambda value: (value - low) / (high - low),
    )


def _plain(label: str, low: float, high: float) -> Axis:
    """Round ticks between two scores."""
    step = 10.0 ** np.floor(np.log10((high - low) / 4.0))
    step *= next(by for by in (1.0, 2.0, 5.0, 10.0) if (high - low) / (step * by) <= 6.0)
    ticks = tuple(
        float(each) for each in np.arange(np.ceil(low / step), np.floor(high / step) + 1.0) * step
    )
    names = tuple(f"{tick + 0.0:.4g}" for tick in ticks)
    return Axis(
        label=label, ticks=ticks, names=names, place=lambda value: (value - low) / (high - low)
    )


def _x(axis: Axis, values: Values) -> Values:
    return LEFT + axis.place(np.asarray(values, np.float64)) * (WIDTH - LEFT - RIGHT)


def _y(axis: Axis, values: Values) -> Values:
    return HEIGHT - BOTTOM - axis.place(np.asarray(values, np.float64)) * (HEIGHT - TOP - BOTTOM)


def _figure(title: str, x: Axis, y: Axis, marks: Sequence[str]) -> str:
    floor, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    lines = []
    for at, name in zip(_x(x, np.array(x.ticks)), x.names, strict=True):
        if at < LEFT - 1.0:
            continue
        lines.append(f'<path class="grid" d="M{at:.1f} {TOP:g}V{floor:g}"/>')
        lines.append(f'<text x="{at:.1f}" y="{floor + 17:g}" text-anchor="middle">{name}</text>')
    for at, name in zip(_y(y, np.array(y.ticks)), y.names, strict=True):
        lines.append(f'<path class="grid" d="M{LEFT:g} {at:.1f}H{right:g}"/>')
        lines.append(f'<text x="{LEFT - 6:g}" y="{at + 4:.1f}" text-anchor="end">{name}</text>')
    middle = (LEFT + right) / 2.0, (TOP + floor) / 2.0
    return (
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" '
        f'aria-label="{html.escape(printable(title), quote=True)}">'
        f'{"".join(lines)}<rect class="frame" x="{LEFT:g}" y="{TOP:g}" width="{right - LEFT:g}" '
        f'height="{floor - TOP:g}"/>'
        f'<text class="axis" x="{middle[0]:g}" y="{HEIGHT - 10:g}" text-anchor="middle">'
        f"{html.escape(printable(x.label))}</text>"
        f'<text class="axis" x="13" y="{middle[1]:g}" text-anchor="middle" transform="rotate(-90 '
        f'13 {middle[1]:g})">'
        f"{html.escape(printable(y.label))}</text>{''.join(marks)}</svg>"
    )


def _curve(x: Axis, y: Axis, xs: Values, ys: Values, *, band: tuple[Values, Values]) -> list[str]:
    # up to the first point at the edge
    inside = (x.place(xs) > -1e-9) & (np.append(0.0, x.place(xs)[:-1]) < 1.0)
    across, ys = _x(x, xs[inside]), ys[inside]
    low, high = (_y(y, edge[inside]) for edge in band)
    outline = _points(np.append(across, across[::-1]), np.append(low, high[::-1]))
    return [f'<path class="band" d="M{outline}Z"/>', _line("curve", across, _y(y, ys))]


def _special(
    x: Axis,
    y: Axis,
    at: tuple[float, float] | None,
    eer: tuple[float, float] | None,
    *,
    corner: tuple[float, float],
) -> list[str]:
    """The threshold as a ring, the equal error rate as a diamond, and what all signs mean, in a corner."""
    left, row = corner
    marks = [
        f'<path class="band" d="M{left - 13:g} {row - 9:g}h26v10h-26Z"/><path class="curve" '
        f'd="M{left - 13:g} '
        f'{row - 4:g}h26"/><text x="{left + 20:g}" y="{row:g}">measured, with its band</text>'
    ]
    for point, name, shape in (
        (at, "at the threshold", SIGNS[0]),
        (eer, "equal error rate", SIGNS[3]),
    ):
        if point is None:
            continue
        row += 18.0
        across, up = float(_x(x, np.array(point[:1]))[0]), float(_y(y, np.array(point[1:]))[0])
        across = min(max(across, LEFT), WIDTH - RIGHT)
        marks.append(
            f'<path class="point" transform="translate({across:.1f} {up:.1f}) scale(1.3)" '
            f'd="{shape}"/>'
        )
        marks.append(
            f'<path class="point" transform="translate({left:g} {row - 4:g}) scale(1.3)" '
            f'd="{shape}"/>'
            f'<text x="{left + 20:g}" y="{row:g}">{name}</text>'
        )
    return marks


def _upright(x: Axis, name: str, score: float, height: float) -> str:
    at = float(np.clip(_x(x, np.array([score]))[0], LEFT, WIDTH - RIGHT))
    end = at > WIDTH * 0.6
    return (
        f'<path class="threshold" d="M{at:.1f} {TOP:g}V{HEIGHT - BOTTOM:g}"/><text class="strong '
        f'halo" '
        f'x="{at + (-6 if end else 6):.1f}" y="{height + 20:g}" '
        f'text-anchor="{"end" if end else "start"}">'
        f"{html.escape(printable(name))} {score:.3f}</text>"
    )


def _line(kind: str, xs: Values, ys: Values) -> str:
    return f'<path class="{kind}" d="M{_points(xs, ys)}"/>'


def _area(kind: str, xs: Values, ys: Values, floor: float) -> str:
    return f'<path class="{kind}" d="M{xs[0]:.1f} {floor:.1f}L{_points(xs, ys)}L{xs[-1]:.1f} {floor:.1f}Z"/>'


def _points(xs: Values, ys: Values) -> str:
    return "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(xs, ys, strict=True))

"""Two dates of one place behind a slider, with the map of change over them; no request leaves the page."""

import html
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from jaxtyping import Bool, UInt8

from twofold.plurals import counted
from twofold.printable import printable_lines
from twofold.report.page import data_uri, document
from twofold.results import Change, Region

__all__ = ["Closeup", "Swipe", "swipe_page"]

COLOUR = (255, 45, 149)
"""Magenta: neither fields, roofs, water nor bare soil have it."""

FILL = 110
"""Opacity in 255 of changed areas; their rims are opaque."""


@dataclass(frozen=True, kw_only=True)
class Closeup:
    """One region in both dates."""

    before: UInt8[np.ndarray, "rows columns 3"]
    after: UInt8[np.ndarray, "rows columns 3"]
    changed: Bool[np.ndarray, "rows columns"]
    region: Region


@dataclass(frozen=True, kw_only=True)
class Swipe:
    """Pictures of a page.

    Attributes:
        changed: whether a pixel of each square has changed.
        factor: pixels a side of the scene for one of `before`.
        names: of the two files.
    """

    before: UInt8[np.ndarray, "rows columns 3"]
    after: UInt8[np.ndarray, "rows columns 3"]
    changed: Bool[np.ndarray, "rows columns"]
    factor: int
    closeups: tuple[Closeup, ...]
    names: tuple[str, str]


def swipe_page(result: Change, swipe: Swipe) -> str:
    """The whole page; write it as UTF-8."""
    script = (files("twofold.report") / "swipe.js").read_text(encoding="utf-8")
    parts = [
        "<header><h1>What changed</h1>",
        f'<p class="lead">{escaped(_summary(result))}</p>',
        *(f'<p class="note">{escaped(note)}</p>' for note in result.notes),
        "</header>",
        _viewer(result, swipe),
        _table(result, swipe),
        _facts(result, swipe),
        f"<script>{script}</script>",
    ]
    return document("What changed", "\n".join(parts), "page.css", "swipe.css")


def _summary(result: Change) -> str:
    return (
        f"{result.share:.2%} of the scene changed: {counted(result.regions, 'region')}, "
        f"{amount(result.area)} {result.area_unit}. This is an estimate."
    )


def amount(area: float) -> str:
    """An area with as many digits as a person reads."""
    return f"{area:,.0f}" if area >= 100 else f"{area:.3g}"


def _viewer(result: Change, swipe: Swipe) -> str:
    rows, columns = swipe.changed.shape
    before, after = map(escaped, swipe.names)
    scale = f" One pixel here is {swipe.factor} x {swipe.factor} of the scene."
    return f"""<section class="viewer" style="--ratio: {columns / rows:.5f}">
<div class="frame" id="frame" data-width="{result.width}" data-height="{result.height}">
<div class="stage" id="stage">
<img src="{data_uri(swipe.before, photo=True)}" alt="before: {before}" draggable="false">
<img class="after" src="{data_uri(swipe.after, photo=True)}" alt="after: {after}" draggable="false">
<img class="map" id="map" src="{data_uri(_overlay(swipe.changed))}" alt="changed" draggable="false">
</div>
<span class="tag left">before</span><span class="tag right">after</span>
<div class="handle" id="handle"></div>
</div>
<div class="controls">
<input id="swipe" type="range" min="0" max="1000" value="500" aria-label="before and after">
<label><input id="show" type="checkbox" checked> map</label>
<button id="blink" type="button">blink</button>
<button id="out" type="button" aria-label="zoom out">−</button>
<button id="in" type="button" aria-label="zoom in">+</button>
<button id="whole" type="button">whole scene</button>
</div>
<p class="detail">Drag the line. Wheel or + zooms, dragging then moves the picture. Keys: ← → line, m map, b blink,
0 whole scene.{scale if swipe.factor > 1 else ""}</p>
</section>"""


def _overlay(changed: Bool[np.ndarray, "rows columns"]) -> UInt8[np.ndarray, "rows columns 4"]:
    """The map as a transparent colour with opaque rims."""
    padded = np.pad(changed, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    found = np.zeros((*changed.shape, 4), np.uint8)
    found[changed] = (*COLOUR, 255)
    found[changed & inner, 3] = FILL
    return found


def _table(result: Change, swipe: Swipe) -> str:
    if not result.largest:
        return '<section><h2>Largest changes</h2><p class="detail">No pixel changed.</p></section>'
    rows = []
    measured = result.area_unit != "pixels"
    close = {closeup.region.box: closeup for closeup in swipe.closeups}
    for number, region in enumerate(result.largest, start=1):
        pictures = _pictures(close[region.box]) if region.box in close else "<td></td><td></td>"
        top, left, bottom, right = region.box
        area = f"<td>{amount(region.area)}</td>" if measured else ""
        rows.append(
            f'<tr data-box="{top},{left},{bottom},{right}"><th><button type="button" class="go">'
            f"{number}</button></th>{area}<td>{region.pixels:,}</td>"
            f"<td>{region.probability:.2f}</td><td>{result.place_of(region).replace(', ', '<br>')}</td>{pictures}</tr>"
        )
    return (
        "<section><h2>Largest changes</h2>"
        '<div class="wide"><table class="regions"><thead><tr><th></th>'
        f"{f'<th>{escaped(result.area_unit)}</th>' if measured else ''}<th>pixels</th><th>mean<br>value</th>"
        "<th>centre<br>x, y</th><th>before</th><th>after</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _pictures(closeup: Closeup) -> str:
    cover = data_uri(_overlay(closeup.changed)[:, :] * _rims(closeup.changed)[:, :, None])
    return "".join(
        f'<td><span class="close"><img src="{data_uri(picture, photo=True)}" alt="{when}">'
        f'<img class="map" src="{cover}" alt=""></span></td>'
        for picture, when in ((closeup.before, "before"), (closeup.after, "after"))
    )


def _rims(changed: Bool[np.ndarray, "rows columns"]) -> UInt8[np.ndarray, "rows columns"]:
    """1 at the rims of changed areas, which leave what is inside to be seen."""
    return (_overlay(changed)[:, :, 3] == 255).astype(np.uint8)


def _facts(result: Change, swipe: Swipe) -> str:
    shift = "not measured"
    if result.shift is not None:
        shift = (
            f"{result.shift.columns:+.2f} to the right, {result.shift.rows:+.2f} down (pixels; "
            f"{result.shift.agreement:.0%} of {counted(result.shift.windows, 'window')} agree)"
        )
    facts = {
        "before, after": ", ".join(swipe.names),
        "scene": f"{result.width:,} x {result.height:,} pixels, {result.pixels:,} with a value in both",
        "changed": f"{result.changed:,} pixels ({result.share:.3%})",
        "threshold": f"{result.threshold:.3f}",
        "shift of the second date": shift + (", shifted back" if result.aligned else ""),
        "model": result.method,
        "standing": f"{result.standing}: no error rate is guaranteed for this scene",
    }
    rows = "".join(
        f"<tr><th>{escaped(name)}</th><td>{escaped(value)}</td></tr>"
        for name, value in facts.items()
    )
    return f'<section><h2>How it was made</h2><div class="wide"><table class="facts">{rows}</table></div></section>'


def escaped(text: str) -> str:
    """Text as it may stand in a page."""
    return html.escape(printable_lines(text), quote=True)

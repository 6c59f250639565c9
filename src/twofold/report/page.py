"""A story as one HTML file: no request leaves it, it is light or dark as the reader's device is, and fits a phone."""

import base64
import html
import io
from importlib.resources import files

import numpy as np
import PIL.Image
from jaxtyping import UInt8

from twofold.inputs.optional import Playable
from twofold.printable import printable_lines
from twofold.report.story import Row, Scores, Step, Story
from twofold.results import Estimate

__all__ = ["data_uri", "document", "page", "player"]

_MARKS = {"right": "✓", "wrong": "✗", "": ""}


def page(story: Story) -> str:
    """The whole page; write it as UTF-8."""
    steps = "\n".join(_step(number, step) for number, step in enumerate(story.steps, start=1))
    head = f"<header><h1>{_text(story.title)}</h1>\n{_paragraphs(story.lead, 'lead')}</header>\n"
    return document(story.title, head + steps, "page.css")


def document(title: str, body: str, *styles: str) -> str:
    """A body of markup as a document that needs nothing else: its style sheets, files of this package, are inside."""
    style = "".join((files("twofold.report") / name).read_text(encoding="utf-8") for name in styles)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{_text(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        f"{body}\n</main>\n</body>\n</html>\n"
    )


def _step(number: int, step: Step) -> str:
    parts = [
        f'<section>\n<h2><span class="number">{number}</span> {_text(step.title)}</h2>',
        _paragraphs(step.text),
        _numbers(step.numbers) if step.numbers else "",
        _chart(step.scores) if step.scores else "",
        '<div class="rows">' + "\n".join(map(_row, step.rows)) + "</div>" if step.rows else "",
        "<pre><code>" + _text("\n".join(step.commands)) + "</code></pre>" if step.commands else "",
        "</section>",
    ]
    return "\n".join(part for part in parts if part)


def _paragraphs(text: str, kind: str = "") -> str:
    opening = f'<p class="{kind}">' if kind else "<p>"
    return "\n".join(f"{opening}{_text(part)}</p>" for part in text.split("\n") if part)


def _row(row: Row) -> str:
    shown = "".join(
        f'<figure><img src="{data_uri(picture)}" alt="{_text(caption)}">'
        f"<figcaption>{_text(caption)}</figcaption></figure>"
        for picture, caption in zip(row.pictures, row.captions, strict=True)
    )
    said = (
        f'<p class="said {row.mark}">{_MARKS[row.mark]} {_text(row.said)}</p>' if row.said else ""
    )
    detail = f'<p class="detail">{_text(row.detail)}</p>' if row.detail else ""
    return f'<div class="row"><div class="pictures">{shown}</div><div>{said}{detail}</div></div>'


def _numbers(numbers: tuple[Estimate, ...]) -> str:
    lines = "".join(
        f"<tr><th>{_text(number.name.replace('_', ' '))}</th><td>{number.value:.2%}</td>"
        f"<td>{100 * number.low:.2f} to {number.high:.2%}</td></tr>"
        for number in numbers
    )
    first = numbers[0]
    note = f"{first.confidence:.0%} intervals; resampled is the {_text(first.unit)} ({first.resampled} of them)."
    return (
        '<div class="wide"><table><thead><tr><th></th><th>value</th><th>interval</th></tr></thead>'
        f'<tbody>{lines}</tbody></table></div>\n<p class="detail">{note}</p>'
    )


def _chart(scores: Scores) -> str:
    """Two histograms, each to its own full height, and the threshold."""
    width, height, left = 640.0, 160.0, float(scores.edges[0])
    scale = width / (float(scores.edges[-1]) - left)
    shapes = "".join(
        f'<path class="{kind}" '
        f'd="{_outline((scores.edges - left) * scale, shares / shares.max() * 140, height)}"/>'
        for kind, shares in (("impostor", scores.impostor), ("genuine", scores.genuine))
    )
    at = min(max((scores.threshold - left) * scale, 0.0), width)
    anchor = "end" if at > width / 2 else "start"
    return (
        f'<svg viewBox="0 0 640 190" role="img" aria-label="Scores of pairs about the '
        f'threshold">{shapes}'
        f'<line class="threshold" x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{height}"/>'
        f'<text x="{at + (-6 if anchor == "end" else 6):.1f}" y="14" text-anchor="{anchor}">'
        f"threshold {scores.threshold:.3f}</text>"
        f'<text x="0" y="182">{left:.2f}</text>'
        f'<text x="{width:g}" y="182" text-anchor="end">score '
        f"{float(scores.edges[-1]):.2f}</text></svg>\n"
        '<p class="key"><span class="impostor"></span> pairs that are different '
        '<span class="genuine"></span> pairs that are the same (each to its own height)</p>'
    )


def _outline(x: np.ndarray, heights: np.ndarray, floor: float) -> str:
    corners = [f"M{x[0]:.1f} {floor:.1f}"]
    for start, end, tall in zip(x[:-1], x[1:], heights, strict=True):
        corners.append(f"L{start:.1f} {floor - tall:.1f}L{end:.1f} {floor - tall:.1f}")
    return "".join(corners) + f"L{x[-1]:.1f} {floor:.1f}Z"


def data_uri(picture: UInt8[np.ndarray, "..."], *, photo: bool = False) -> str:
    """A picture as an address that holds it: grey (height, width) or colour (height, width, 3).

    Args:
        photo: JPEG, a tenth of the size for photographs; else PNG, which keeps every pixel.
    """
    stream = io.BytesIO()
    image = PIL.Image.fromarray(np.ascontiguousarray(picture))
    image.save(stream, "JPEG", quality=85) if photo else image.save(stream, "PNG", optimize=True)
    kind = "jpeg" if photo else "png"
    return f"data:image/{kind};base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def player(sound: Playable, label: str = "") -> str:
    """The picture of a sound, and what plays it below."""
    content = base64.b64encode(sound.sound).decode("ascii")
    return (
        f'<div class="sound"><img src="{data_uri(sound.picture)}" alt="{_text(label)}">'
        f'<audio controls preload="none" src="data:audio/wav;base64,{content}"></audio></div>'
    )


def _text(value: str) -> str:
    return html.escape(printable_lines(value), quote=True)

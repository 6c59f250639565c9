"""What a search found as one HTML file that opens anywhere: no script, no request, light or dark, and fits a phone."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from twofold.printable import printable_lines
from twofold.report.page import data_uri, document
from twofold.results import Found, Hit

__all__ = ["Shown", "found_page"]

SAID = {
    "same": "found",
    "unsure": "unsure",
    "different": "nothing like it",
}
UNTOLD = ("content", "source")
"""Metadata that a page need not say: a hash, and a path of the machine that it was made on."""

Picture = UInt8[np.ndarray, "..."] | None


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One query with its pictures.

    Attributes:
        picture: of the query. pictures: of its hits, in their order. None: no picture can be shown.
    """

    found: Found
    picture: Picture
    pictures: Sequence[Picture]


def found_page(shown: Sequence[Shown], *, title: str, facts: Mapping[str, str], left_out: int = 0) -> str:
    """The whole page; write it as UTF-8.

    Args:
        facts: what was searched, in what: a name and a value each.
        left_out: how many further queries the page does not show.
    """
    told = "".join(f"<li>{_text(name)} <strong>{_text(value)}</strong></li>" for name, value in facts.items())
    more = f'<p class="detail">{left_out} further queries are not on this page.</p>' if left_out else ""
    notes = _promise(shown) + _missing(shown)
    head = f'<header><h1>{_text(title)}</h1>\n<ul class="summary">{told}</ul>\n{notes}</header>\n'
    return document(title, head + "\n".join(map(_query, shown)) + more, "page.css", "found.css")


def _promise(shown: Sequence[Shown]) -> str:
    """What the threshold means, or that there is none."""
    first = shown[0].found if shown else None
    if first is None or first.threshold is None:
        said = "Scores say what is most like a query, not whether it is the same: the bundle has no threshold yet."
    else:
        said = (
            f"From a score of {first.threshold:.4f} on, two things count as the same; of pairs that are different, "
            f"{first.far:g} reach it ({first.standing}, of one comparison)."
        )
    return f'<p class="detail">{_text(said)}</p>'


def _missing(shown: Sequence[Shown]) -> str:
    """What to do where queries can be shown, and nothing that was found."""
    found = [picture for each in shown for picture in each.pictures]
    if not found or any(picture is not None for picture in found) or all(each.picture is None for each in shown):
        return ""
    return (
        '<p class="detail">The pictures of these hits are not shown, because the index does not keep their '
        "paths. Search with <code>--pictures FOLDER</code>, or index with <code>--keep-source</code>.</p>"
    )


def _query(shown: Shown) -> str:
    found = shown.found
    badge = (
        "" if found.decision is None else f'<p><span class="badge {found.decision}">{SAID[found.decision]}</span></p>'
    )
    asked = (
        f'<figure><img src="{data_uri(shown.picture, photo=True)}" alt=""></figure>'
        if shown.picture is not None
        else ""
    )
    hits = "\n".join(_hit(hit, picture, found) for hit, picture in zip(found.hits, shown.pictures, strict=True))
    none = "" if found.hits else '<p class="detail">no item passes the filter</p>'
    return (
        f'<section class="query"><div class="asked">{asked}<h2>{_text(found.query)}</h2>{badge}</div>\n'
        f'<div><ol class="hits">{hits}</ol>{none}</div></section>'
    )


def _hit(hit: Hit, picture: Picture, found: Found) -> str:
    same = found.threshold is not None and hit.score >= found.threshold
    image = (
        f'<img src="{data_uri(picture, photo=True)}" alt="">'
        if picture is not None
        else '<span class="nothing"></span>'
    )
    sure = "" if hit.probability is None else f" <span>probability {hit.probability:.2f}</span>"
    others = {key: value for key, value in (hit.metadata or {}).items() if key not in UNTOLD}
    known = "".join(f"<dt>{_text(key)}</dt><dd>{_text(str(value))}</dd>" for key, value in others.items())
    last = hit.id.rsplit("/", maxsplit=1)[-1]
    name = f'<span class="id" title="{_text(hit.id)}">{_text(last)}</span>' if hit.id != hit.label else ""
    return (
        f'<li class="hit{" same" if same else ""}">{image}<span class="score">{hit.score:.3f}{sure}</span>'
        f'<span class="name">{"✓ " if same else ""}{_text(hit.label)}</span>{name}'
        f"{f'<dl>{known}</dl>' if known else ''}</li>"
    )


def _text(value: str) -> str:
    return html.escape(printable_lines(value), quote=True)

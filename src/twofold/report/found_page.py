"""The hits of a search as one HTML file that opens anywhere: no script, no request, light or dark, fits a phone."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from twofold.inputs.optional import Playable
from twofold.printable import printable_lines
from twofold.report.courses import Course, course, is_course
from twofold.report.page import data_uri, document, player
from twofold.results import Found, Hit

__all__ = ["Shown", "found_page"]

SAID = {
    "same": "found",
    "unsure": "unsure",
    "different": "nothing like it",
}
UNTOLD = ("content", "source", "text")
"""Metadata that a page leaves out: a hash, a path on the machine that made it, and a text that it
shows."""

Look = UInt8[np.ndarray, "..."] | Course | Playable | str | None
"""A picture, the course of a series, a sound, a text, or nothing that can be shown."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One query and what it found.

    Attributes:
        asked: what the query looks like. hits: what its hits look like, in their order.
    """

    found: Found
    asked: Look
    hits: Sequence[Look]


def found_page(
    shown: Sequence[Shown], *, title: str, facts: Mapping[str, str], left_out: int = 0
) -> str:
    """The whole page; write it as UTF-8.

    Args:
        facts: names and values of what was searched, and where.
        left_out: how many further queries the page does not show.
    """
    told = "".join(
        f"<li>{_text(name)} <strong>{_text(value)}</strong></li>" for name, value in facts.items()
    )
    more = (
        f'<p class="detail">{left_out} further queries are not on this page.</p>'
        if left_out
        else ""
    )
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
            f"From a score of {first.threshold:.4f} on, two things count as the same; of pairs "
            f"that are different, {first.far:g} reach it ({first.standing}, of one comparison)."
        )
    return f'<p class="detail">{_text(said)}</p>'


def _missing(shown: Sequence[Shown]) -> str:
    """What to do if queries can be shown but none of the hits."""
    found = [look for each in shown for look in each.hits]
    if (
        not found
        or any(look is not None for look in found)
        or all(each.asked is None for each in shown)
    ):
        return ""
    if any(isinstance(each.asked, str) for each in shown):
        told = "These hits are not shown, because the index does not keep texts. Index with <code>--keep-source</code>."
    elif any(isinstance(each.asked, Playable) for each in shown):
        told = (
            "These hits cannot be heard, because the index does not keep their paths. Search with "
            "<code>--pictures FOLDER</code>, or index with <code>--keep-source</code>."
        )
    else:
        told = (
            "The pictures of these hits are not shown, because the index does not keep their "
            "paths. Search with <code>--pictures DATA</code> (what was indexed), or index with "
            "<code>--keep-source</code>."
        )
    return f'<p class="detail">{told}</p>'


def _query(shown: Shown) -> str:
    found = shown.found
    badge = (
        ""
        if found.decision is None
        else f'<p><span class="badge {found.decision}">{SAID[found.decision]}</span></p>'
    )
    told = shown.asked is None or (isinstance(shown.asked, str) and shown.asked == found.query)
    asked = "" if told else f"<figure>{_look(shown.asked)}</figure>"
    hits = "\n".join(
        _hit(hit, look, found, shown.asked)
        for hit, look in zip(found.hits, shown.hits, strict=True)
    )
    none = "" if found.hits else '<p class="detail">no item passes the filter</p>'
    return (
        f'<section class="query"><div '
        f'class="asked">{asked}<h2>{_text(found.query)}</h2>{badge}</div>\n'
        f'<div><ol class="hits">{hits}</ol>{none}</div></section>'
    )


def _look(look: Look, behind: Look = None) -> str:
    """What a thing looks like; a series in front of the one that was asked for."""
    if look is None:
        return '<span class="nothing"></span>'
    if is_course(look):
        return course(look, behind=behind if is_course(behind) else None)  # type: ignore[arg-type]
    if isinstance(look, str):
        return f'<blockquote class="words">{_text(look)}</blockquote>'
    if isinstance(look, Playable):
        return player(look)
    return f'<img src="{data_uri(look, photo=True)}" alt="">'


def _hit(hit: Hit, look: Look, found: Found, asked: Look) -> str:
    same = found.threshold is not None and hit.score >= found.threshold
    likely = found.probability_of(hit)
    sure = "" if likely is None else f" <span>probability {likely:.2f}</span>"
    others = {key: value for key, value in (hit.metadata or {}).items() if key not in UNTOLD}
    known = "".join(
        f"<dt>{_text(key)}</dt><dd>{_text(str(value))}</dd>" for key, value in others.items()
    )
    last = hit.id.rsplit("/", maxsplit=1)[-1]
    name = (
        f'<span class="id" title="{_text(hit.id)}">{_text(last)}</span>'
        if hit.id != hit.label
        else ""
    )
    return (
        f'<li class="hit{" same" if same else ""}">{_look(look, asked)}<span '
        f'class="score">{hit.score:.3f}{sure}</span>'
        f'<span class="name">{"✓ " if same else ""}{_text(hit.label)}</span>{name}'
        f"{f'<dl>{known}</dl>' if known else ''}</li>"
    )


def _text(value: str) -> str:
    return html.escape(printable_lines(value), quote=True)

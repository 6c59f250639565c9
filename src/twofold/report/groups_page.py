"""Groups of near-duplicates as one HTML file to decide on: keyboard or touch, decisions go out as CSV, no request."""

import hashlib
import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from jaxtyping import UInt8

from twofold.report.page import data_uri, document
from twofold.results import Group, Groups

__all__ = ["Face", "groups_page"]

SHOWN = 500
"""Groups on a page: about a hundred kilobytes each ten; further ones come when those are done."""

MEMBERS = 24

HELP = (
    ("j", "next"),
    ("k", "back"),
    ("d", "delete"),
    ("s", "keep"),
    ("space", "the other way"),
    ("n", "next group"),
    ("p", "group before"),
    ("e", "export"),
)


@dataclass(frozen=True, kw_only=True)
class Face:
    """What is shown of one thing: a thumbnail (None: it has none), a line of facts, and its size in bytes."""

    picture: UInt8[np.ndarray, "..."] | None
    facts: str
    bytes: int


def groups_page(found: Groups, face: Callable[[str], Face], *, title: str = "Copies", then: Sequence[str] = ()) -> str:
    """The whole page; write it as UTF-8. Of each group the kept one is proposed to stay and the others to go.

    Args:
        face: what is shown of an id; asked only for those that are on the page.
        then: the commands that carry the decisions out.
    """
    shown = found.groups[:SHOWN]
    body = "\n".join(_group(number, group, face) for number, group in enumerate(shown, start=1))
    key = hashlib.sha256(repr([(group.kept, group.copies) for group in shown]).encode()).hexdigest()[:16]
    keys = "".join(f"<span><kbd>{name}</kbd> {meaning}</span>" for name, meaning in HELP)
    bar = (
        f'<div id="bar" data-key="{key}"><span id="count"></span><span id="warn"></span>'
        '<button id="export">export decisions.csv</button></div>\n'
        f'<p class="detail keys">{keys}</p>\n'
    )
    script = (files("twofold.report") / "groups.js").read_text(encoding="utf-8")
    nothing = '<p class="said right">✓ There are no copies.</p>'
    parts = [_head(found, title, then), bar + body if shown else nothing]
    if shown:
        parts.append(f"<script>\n{script}</script>")
    return document(title, "\n".join(parts), "page.css", "groups.css")


def _head(found: Groups, title: str, then: Sequence[str]) -> str:
    facts = {
        "things": f"{found.items:,}",
        "groups": f"{len(found.groups):,}",
        "copies": f"{found.copies:,}",
        "unreadable": f"{len(found.unreadable):,}",
    }
    told = "".join(f"<li>{name} <strong>{value}</strong></li>" for name, value in facts.items() if value != "0")
    notes = list(found.notes)
    if len(found.groups) > SHOWN:
        notes.append(f"The first {SHOWN} groups are shown; decide on those, and look again for the rest.")
    if any(len(group.copies) >= MEMBERS for group in found.groups[:SHOWN]):
        notes.append(f"Of a large group {MEMBERS} are shown, the most alike; the others are not in the decisions.")
    lines = "".join(f'<p class="detail">{_text(note)}</p>' for note in notes)
    commands = f"<pre><code>{_text(chr(10).join(then))}</code></pre>" if then else ""
    return (
        f'<header><h1>{_text(title)}</h1>\n<ul class="summary">{told}</ul>\n'
        f'<p class="detail">A copy: {_text(found.rule)}. Every copy is near the one that is kept. Nothing is moved '
        f"until the exported decisions are applied, and then to a folder from which it can come back.</p>{lines}\n"
        f"{commands}</header>"
    )


def _group(number: int, group: Group, face: Callable[[str], Face]) -> str:
    members = [_copy(number, name, face(name), score) for name, score in _members(group)]
    many = len(group.copies)
    title = f"{many} {'copy' if many == 1 else 'copies'} of {group.kept}"
    known = ""
    if group.known:
        title = f"{many} like {group.kept} of the index"
        known = f'<span class="known" hidden data-group="{number}" data-known="{_text(group.kept)}"></span>'
    return (
        f'<section class="group"><h2><span class="number">{number}</span> {_text(title)}</h2>{known}\n'
        f'<div class="copies">{"".join(members)}</div></section>'
    )


def _members(group: Group) -> list[tuple[str, float | None]]:
    """(id, score); the kept one first, unless it is the index's."""
    kept: list[tuple[str, float | None]] = [] if group.known else [(group.kept, None)]
    return (kept + list(zip(group.copies, group.scores, strict=True)))[:MEMBERS]


def _copy(number: int, name: str, face: Face, score: float | None) -> str:
    shown = '<span class="nothing"></span>'
    if face.picture is not None:
        shown = f'<img src="{data_uri(face.picture, photo=True)}" alt="" loading="lazy">'
    said = '<span class="best">proposed to stay</span>' if score is None else f"alike {score:.3f}"
    gone, word = ("", "keep") if score is None else (" gone", "delete")
    return (
        f'<figure class="copy{gone}" data-group="{number}" data-path="{_text(name)}" data-bytes="{face.bytes}">{shown}'
        f"<figcaption><strong>{_text(name)}</strong>{_text(face.facts)}<br>{said}</figcaption>"
        f'<button aria-pressed="{"false" if score is None else "true"}">{word}</button></figure>'
    )


def _text(value: str) -> str:
    return html.escape(value, quote=True)

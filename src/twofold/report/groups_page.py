"""Groups of near-duplicates as one HTML file for decisions, by keyboard or touch; exports a CSV, makes no request."""

import hashlib
import html
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from jaxtyping import UInt8

from twofold.printable import printable_lines
from twofold.report.courses import Course, course
from twofold.report.page import data_uri, document
from twofold.report.words import differing
from twofold.results import CopyFile, Group, Groups

__all__ = ["Face", "groups_page"]

DRAWN = 500
"""Groups whose pictures are inside the page, a hundred kilobytes for ten; further pictures are
shown from their files."""

SHEET = 50
"""Groups that are shown at once."""

MEMBERS = 24
"""Members of a group that are shown; the others are decided on together."""

LAID = 300
"""Copies, the most doubtful ones, that are laid over the kept one inside the page; 60 kilobytes
each."""

Laid = Callable[[str, str], tuple[np.ndarray, np.ndarray, np.ndarray] | None]
"""(kept, copy) -> the kept picture, the copy in its frame, where they differ."""

HELP = (
    ("j", "next"),
    ("k", "back"),
    ("d", "delete"),
    ("s", "keep"),
    ("space", "the other way"),
    ("x", "compare"),
    ("n", "next group"),
    ("p", "group before"),
    ("→", "next sheet"),
    ("e", "export"),
)


@dataclass(frozen=True, kw_only=True)
class Face:
    """What is shown of one thing: a thumbnail (None: it has none), a line of facts, and its size in bytes.

    Attributes:
        text: of a text; in a group, the words that the kept one lacks are marked.
        address: of its picture, relative to the page, for a thing without a thumbnail.
        course: of a series; in a group, the kept one is drawn behind it.
    """

    picture: UInt8[np.ndarray, "..."] | None
    facts: str
    bytes: int
    address: str | None = None
    text: str | None = None
    course: Course | None = None


def groups_page(
    found: Groups,
    face: Callable[[str], Face],
    *,
    named: Callable[[str], Face] | None = None,
    laid: Laid | None = None,
    title: str = "Copies",
    then: Sequence[str] = (),
) -> str:
    """The whole page; write it as UTF-8. Of each group the kept one is proposed to stay and the others to go.

    The most doubtful groups come first, then possible copies, which are all proposed to stay.
    Sheets of 50 groups wait in the page as text, so that tens of thousands of groups open at once.

    Args:
        face: what is shown of an id, with a thumbnail.
        named: what is shown of those in groups after the 500th, with the address of the picture;
            None: `face`, too.
        laid: lays a copy over what is kept, to show where they differ.
        then: the commands that carry the decisions out.
    """
    if not found.groups and not found.perhaps:
        nothing = '<p class="said right">✓ There are no copies.</p>'
        return document(title, _head(found, title, then) + nothing, "page.css", "groups.css")
    table = _Table(files=[], known=[], facts=found.files, laid=laid)
    doubtful = sorted(found.groups, key=lambda group: min(group.scores))
    groups = [
        _group(
            number,
            group,
            face if number <= DRAWN or named is None else named,
            table,
            perhaps=number > len(doubtful),
        )
        for number, group in enumerate((*doubtful, *found.perhaps), start=1)
    ]
    key = repr([(group.kept, group.copies) for group in (*doubtful, *found.perhaps)])
    body = _body(groups, table, hashlib.sha256(key.encode()).hexdigest()[:16])
    script = (files("twofold.report") / "groups.js").read_text(encoding="utf-8")
    return document(
        title,
        _head(found, title, then) + body + f"<script>\n{script}</script>",
        "page.css",
        "groups.css",
    )


def _body(groups: Sequence[str], table: "_Table", key: str) -> str:
    """The bar, the sheets of groups, the view and the data of the script; decisions are kept under the key."""
    sheets = "".join(
        f'<script type="text/plain" '
        f'class="sheet">{"".join(groups[start : start + SHEET])}</script>\n'
        for start in range(0, len(groups), SHEET)
    )
    keys = "".join(f"<span><kbd>{name}</kbd> {meaning}</span>" for name, meaning in HELP)
    turn = (
        '<span class="turn" hidden><button class="before" aria-label="sheet before">←</button> '
        '<span class="where"></span> <button class="after" aria-label="next '
        'sheet">→</button></span>'
    )
    return (
        f'<div id="bar" data-key="{key}"><span id="count"></span><span id="warn"></span>{turn}'
        '<button id="export">export decisions.csv</button></div>\n'
        f'<p class="detail keys">{keys}</p>\n<div id="groups"></div>\n<p '
        f'class="last">{turn}</p>\n{sheets}{VIEW}'
        f'<script type="application/json" id="files">{_json(table.files)}</script>\n'
        f'<script type="application/json" id="known">{_json(table.known)}</script>\n'
    )


VIEW = """<dialog id="view"><div class="stage"><img class="kept" alt="kept"><img class="other" alt="copy">
<img class="red" alt="difference"></div><p><span class="shown"></span>
<button data-do="blink">blink (b)</button> <button data-do="red">difference (x)</button>
<button data-do="nearer">+</button> <button data-do="farther">−</button>
<button data-do="close">close (Esc)</button></p></dialog>
"""


@dataclass(frozen=True, kw_only=True)
class _Table:
    """What the decisions are about: (group, path, bytes, 1 if it is proposed to go, time, SHA-256); and what stays in
    an index: (group, path or id, bytes, time, SHA-256)."""

    files: list[tuple[int, str, int, int, str, str]]
    known: list[tuple[int, str, str, str, str]]
    facts: Mapping[str, CopyFile]
    laid: Laid | None

    def add(self, number: int, name: str, size: int, *, goes: bool) -> int:
        here = self.facts.get(name)
        if here is None:
            self.files.append((number, name, size, int(goes), "", ""))
        else:
            self.files.append(
                (number, here.path, here.bytes, int(goes), str(here.time), here.sha256)
            )
        return len(self.files) - 1

    def add_known(self, number: int, name: str) -> None:
        here = self.facts.get(name)
        if here is None:
            self.known.append((number, name, "", "", ""))
        else:
            self.known.append((number, here.path, str(here.bytes), str(here.time), here.sha256))


def _head(found: Groups, title: str, then: Sequence[str]) -> str:
    facts = {
        "things": f"{found.items:,}",
        "groups": f"{len(found.groups):,}",
        "copies": f"{found.copies:,}",
        "perhaps": f"{sum(len(group.copies) for group in found.perhaps):,}",
        "unreadable": f"{len(found.unreadable):,}",
    }
    told = "".join(
        f"<li>{name} <strong>{value}</strong></li>" for name, value in facts.items() if value != "0"
    )
    notes = list(found.notes)
    if len(found.groups) > DRAWN:
        notes.append(
            f"The pictures of the first {DRAWN} groups are inside this page, those of the others "
            "are shown from where they lie beside it."
        )
    lines = "".join(f'<p class="detail">{_text(note)}</p>' for note in notes)
    lines += _worth(found)
    commands = f"<pre><code>{_text(chr(10).join(then))}</code></pre>" if then else ""
    return (
        f'<header><h1>{_text(title)}</h1>\n<ul class="summary">{told}</ul>\n'
        f'<p class="detail">A copy: {_text(found.rule)}. Every copy is near the one that is kept. '
        f"Nothing is moved "
        f"until the exported decisions are applied, and then to a folder from which it can come "
        f"back.</p>{lines}\n"
        f"{commands}</header>"
    )


def _worth(found: Groups) -> str:
    """The accuracy of the rule, and what it never decides."""
    told = found.worth
    if not told:
        return ""
    never = "".join(f"<li>{_text(each)}</li>" for each in told.get("never_decides", ()))
    return (
        '<details class="detail worth"><summary>What the rule is worth, and what it never '
        "decides</summary>"
        f"<p>It never decides:</p><ul>{never}</ul>"
        f"{_changes(told.get('changes', {}))}{_different(told.get('different', {}))}"
        f"<p>Measured: {_text(str(told.get('measured', '')))}.</p></details>"
    )


def _changes(told: Mapping[str, Mapping[str, float | None]]) -> str:
    """One row per way in which copies were changed."""
    heads = (
        "copies that were changed",
        "found, copy or perhaps",
        "called copies",
        "of those called, right",
    )
    rows = [
        (
            name.replace("_", " "),
            *(_share(each[what]) for what in ("recall", "copy_recall", "copy_precision")),
        )
        for name, each in told.items()
    ]
    return _rows(heads, rows)


def _different(told: Mapping[str, Mapping[str, object]]) -> str:
    """One row per kind of different pictures."""
    heads = ("different pictures of one look", "wrongly copies", "wrongly perhaps", "of")
    rows = []
    for name, each in told.items():
        note = f"; {each['note']}" if "note" in each else ""
        rows.append(
            (
                name.replace("_", " "),
                str(each["copies"]),
                str(each["perhaps"]),
                f"{each['of']}{note}",
            )
        )
    return _rows(heads, rows)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _rows(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; nothing without rows."""
    if not rows:
        return ""
    head = "".join(f"<th>{_text(each)}</th>" for each in heads)
    lines = "".join(
        f"<tr>{''.join(f'<td>{_text(each)}</td>' for each in row)}</tr>" for row in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>{lines}</table></div>'


def _group(
    number: int, group: Group, face: Callable[[str], Face], table: _Table, *, perhaps: bool
) -> str:
    """The markup of a group; its files go into the table."""
    members: list[tuple[str, float | None]] = list(zip(group.copies, group.scores, strict=True))
    many = len(members)
    title = f"{many:,} {'copy' if many == 1 else 'copies'} of {group.kept}"
    if perhaps:
        title = f"perhaps: {title}"
    if group.known:
        title = f"{many:,} like {group.kept} of the index"
        table.add_known(number, group.kept)
    else:
        members.insert(0, (group.kept, None))
    shown = [
        _copy(number, face, table, each, kept=group.kept, perhaps=perhaps)
        for each in members[:MEMBERS]
    ]
    kind = "group perhaps" if perhaps else "group"
    rest = _rest(number, members[MEMBERS:], face, table, goes=not perhaps)
    head = f'<h2><span class="number">{number:,}</span> {_text(title)}</h2>'
    inside = f'{head}\n<div class="copies">{"".join(shown)}{rest}</div>'
    return f'<section class="{kind}" data-group="{number}">{inside}</section>'


def _copy(
    number: int,
    face: Callable[[str], Face],
    table: _Table,
    member: tuple[str, float | None],
    *,
    kept: str,
    perhaps: bool,
) -> str:
    name, score = member
    here = face(name)
    goes = score is not None and not perhaps
    place = table.add(number, name, here.bytes, goes=goes)
    shown = '<span class="nothing"></span>'
    if here.picture is not None or here.address is not None:
        address = (
            _text(here.address or "")
            if here.picture is None
            else data_uri(here.picture, photo=True)
        )
        shown = f'<img src="{address}" alt="" loading="lazy">'
    if here.text is not None:
        shown = _words(here.text, here.text if score is None else face(kept).text or "")
    if here.course is not None:
        shown = course(here.course, behind=None if score is None else face(kept).course)
    said = '<span class="best">proposed to stay</span>' if score is None else f"alike {score:.3f}"
    over = "" if score is None else _over(table, kept, name)
    caption = f"<strong>{_text(name)}</strong>{_text(here.facts)}<br>{said}"
    return _card(place, shown, caption, goes=goes, over=over)


def _words(text: str, kept: str) -> str:
    """A text, with the words marked that the kept one lacks."""
    words = (
        f"<mark>{_text(word)}</mark>" if new else _text(word) for word, new in differing(text, kept)
    )
    return f'<blockquote class="words">{" ".join(words)}</blockquote>'


def _over(table: _Table, kept: str, name: str) -> str:
    """The copy laid over the kept picture, for the view that compares them."""
    if table.laid is None or len([file for file in table.files if file[3]]) > LAID:
        return ""
    found = table.laid(kept, name)
    if found is None:
        return ""
    names = ("kept", "other", "red")
    return "".join(
        f' data-{what}="{data_uri(each, photo=True)}"'
        for what, each in zip(names, found, strict=True)
    )


def _rest(
    number: int,
    members: list[tuple[str, float | None]],
    face: Callable[[str], Face],
    table: _Table,
    *,
    goes: bool,
) -> str:
    """The members of a large group that are not shown, decided on as one."""
    if not members:
        return ""
    sizes = [face(name).bytes for name, _ in members]
    places = [
        table.add(number, name, size, goes=goes)
        for (name, _), size in zip(members, sizes, strict=True)
    ]
    lowest = min(score for _, score in members if score is not None)
    said = f"<strong>and {len(members):,} more</strong>{sum(sizes) / 1e6:,.1f} MB<br>alike {lowest:.3f} and more"
    return _card(f"{places[0]}-{places[-1]}", '<span class="nothing"></span>', said, goes=goes)


def _card(places: int | str, shown: str, said: str, *, goes: bool, over: str = "") -> str:
    gone, word = (" gone", "delete") if goes else ("", "keep")
    compare = '<button class="compare">compare</button>' if over else ""
    return (
        f'<figure class="copy{gone}" '
        f'data-files="{places}"{over}>{shown}<figcaption>{said}</figcaption>'
        f'<div class="buttons"><button class="decide" '
        f'aria-pressed="{str(goes).lower()}">{word}</button>{compare}</div>'
        "</figure>"
    )


def _json(value: object) -> str:
    """JSON that is safe inside markup."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _text(value: str) -> str:
    return html.escape(printable_lines(value), quote=True)

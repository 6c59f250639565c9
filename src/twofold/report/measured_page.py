"""A Report as one HTML file that opens anywhere: no script, no request, light or dark, and readable on a phone."""

import html
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from twofold.inputs.optional import Playable, Shown
from twofold.printable import printable_lines
from twofold.report import plots
from twofold.report.courses import course, is_course
from twofold.report.measured import Hard, Map, Part, Report
from twofold.report.page import data_uri, document, player
from twofold.report.summary import NAMES, advice, promise, tested, verdict
from twofold.results import Estimate

__all__ = ["measured_page"]

TILES = ("false_match_rate", "false_non_match_rate", "eer", "recall_at_1")

KINDS = {
    "false accept": (
        "Different, but scored high",
        "accepted though different",
        "different, and just not accepted",
    ),
    "false reject": (
        "The same, but scored low",
        "rejected though the same",
        "the same, and accepted all the same",
    ),
}


def measured_page(report: Report) -> str:
    """The whole page; write it as UTF-8."""
    sections = (
        _summary(report),
        _curves(report),
        _scores(report),
        _ranks(report),
        _parts(report),
        _hardest(report.hard),
        _map(report.map) if report.map else "",
        _cards(report),
        _commands(report),
    )
    body = (
        f"<header><h1>{_text(report.title)}</h1>\n{_paragraph(tested(report), 'lead')}</header>\n"
    )
    return document(
        report.title, body + "\n".join(filter(None, sections)), "page.css", "measured.css"
    )


def _summary(report: Report) -> str:
    named = {each.name: each for each in report.evaluation.estimates}
    tiles = "".join(_tile(named[name]) for name in TILES if name in named)
    bound = report.standing != "estimate"
    sure = bound and report.evaluation.holds is not False
    sign, kind = (f"✓ {report.standing}", "right") if sure else ("! not certified", "wrong")
    if bound and not sure:
        sign = f"✗ {report.standing}, but not on data like this"
    steps = "".join(f"<li>{_text(each)}</li>" for each in advice(report))
    return _section(
        "In short",
        f'<div class="tiles">{tiles}</div>',
        _paragraph(verdict(report)),
        f'<p><span class="badge {kind}">{sign}</span> {_text(promise(report))}</p>',
        f'<h3>What to do next</h3><ul class="next">{steps}</ul>',
    )


def _tile(found: Estimate) -> str:
    return (
        f'<div class="tile"><strong>{found.value:.2%}</strong><span>{_text(NAMES[found.name])}</span>'
        f'<span class="detail">{100 * found.low:.2f} to {found.high:.2%}</span></div>'
    )


def _curves(report: Report) -> str:
    named = {each.name: each.value for each in report.evaluation.estimates}
    at = (
        (named["false_match_rate"], named["false_non_match_rate"])
        if "false_match_rate" in named
        else None
    )
    eer, sure = named["eer"], f"{report.curve.confidence:.0%}"
    return _section(
        "How the two kinds of errors trade",
        _figures(
            (
                plots.det(report.curve, at=at, eer=eer),
                "DET: both error rates, to the lower left is better. The axes are stretched so "
                "that normal scores would give a straight line.",
            ),
            (
                plots.roc(report.curve, at=at, eer=eer),
                "ROC: genuine pairs that are accepted, to the upper left is better.",
            ),
        ),
        _paragraph(
            f"Line: measured. Band: {sure} interval at "
            "each rate by itself, leaving identities out.",
            "detail",
        ),
        _all_numbers(report),
    )


def _all_numbers(report: Report) -> str:
    far = {
        "tar_at_far": f"genuine pairs accepted at a false-match rate of {report.evaluation.far:g}"
    }
    rows = [
        (
            far.get(each.name) or NAMES.get(each.name, each.name),
            f"{each.value:.2%}",
            f"{100 * each.low:.2f} to {each.high:.2%}",
        )
        for each in report.evaluation.estimates
    ]
    notes = "".join(_paragraph(note, "detail") for note in report.evaluation.notes)
    return f"<details><summary>All numbers</summary>{_table(('', 'value', 'interval'), rows)}{notes}</details>"


def _scores(report: Report) -> str:
    known = report.calibration
    name = (
        "threshold"
        if known is not None
        else f"{plots.percent(report.evaluation.far)} of impostors pass from"
    )
    thresholds = [(name, report.threshold)]
    if known is not None and known.reject_threshold not in (None, known.threshold):
        thresholds.append(("different below", float(known.reject_threshold or 0.0)))
    shown = [
        (
            plots.histogram(report.scores, thresholds=thresholds),
            "Pairs of the same upwards, pairs of different ones "
            "downwards; right of the dashed line it says “same”.",
        )
    ]
    if report.reliability is not None and known is not None:
        shown.append(
            (
                plots.reliability_diagram(report.reliability),
                "Reliability: of pairs given a probability, how many were genuine. "
                "On the dashed diagonal it is right (mean gap "
                f"{100 * report.reliability.gap:.1f} points); larger dots hold more "
                f"pairs. Genuine pairs are weighed as {known.prior:.0%} of all.",
            )
        )
    return _section("Scores and probabilities", _figures(*shown))


def _ranks(report: Report) -> str:
    if not report.ranks:
        return ""
    first = report.ranks[0]
    rows = [
        (
            each.name.removeprefix("rank_"),
            f"{each.value:.2%}",
            f"{100 * each.low:.2f} to {each.high:.2%}",
        )
        for each in report.ranks
    ]
    return _section(
        "Who is it?",
        _paragraph(
            "With one example of each of the classes enrolled, the "
            f"right one comes first for {first.value:.1%} of the others "
            "(CMC; no threshold, everybody asked for is enrolled)."
        ),
        '<div class="figures">'
        + _figure(plots.cmc(report.ranks), f"Rank-k rates with {first.confidence:.0%} intervals.")
        + _table(("rank", "found", "interval"), rows)
        + "</div>",
    )


def _parts(report: Report) -> str:
    tables = []
    for title, parts in (("By group", report.groups), ("Hardest classes", report.classes)):
        if parts:
            note = (
                "Pairs within the group alone."
                if parts is report.groups
                else "Pairs in which the class takes part."
            )
            tables.append(
                f"<h3>{title}, worst first</h3>{_paragraph(note, 'detail')}{_part_table(parts)}"
            )
    return _section("Where it is wrong", *tables) if tables else ""


def _part_table(parts: Sequence[Part]) -> str:
    rows = [
        (
            part.name,
            _rate(part.false_non_match_rate, part.false_non_match_interval),
            _rate(part.false_match_rate, part.false_match_interval),
            f"{part.items:,}",
            f"{part.genuine_pairs:,} / {part.impostor_pairs:,}",
        )
        for part in parts
    ]
    table = _table(
        (
            "",
            "rejected though the same",
            "accepted though different",
            "items",
            "genuine / impostor pairs",
        ),
        rows,
    )
    return f'<div class="parts">{table}</div>'


def _rate(value: float | None, ends: tuple[float, float] | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2%}" + (f"\n{100 * ends[0]:.2f} to {ends[1]:.2%}" if ends else "")


def _hardest(hard: Sequence[Hard]) -> str:
    blocks = []
    for kind, (title, wrong, right) in KINDS.items():
        rows = "".join(
            _pair(each, wrong if each.wrong else right) for each in hard if each.kind == kind
        )
        if rows:
            blocks.append(f'<h3>{title}</h3><div class="rows pairs">{rows}</div>')
    if not blocks:
        return ""
    note = "One pair of each two classes, the hardest first."
    shown = [thing for each in hard for thing in each.shown]
    if any(isinstance(thing, Playable) for thing in shown):
        note += " The first seconds of the recordings: whoever has this page has them."
    elif not any(isinstance(thing, np.ndarray) for thing in shown):
        note += " The things themselves are not in this page."
    else:
        note += " As the network sees them: whoever has this page has them."
    return _section("The hardest pairs", _paragraph(note, "detail"), *blocks)


def _pair(hard: Hard, said: str) -> str:
    sure = "" if hard.probability is None else f", probability {hard.probability:.3f}"
    sign = "✗" if hard.wrong else "✓"
    named = zip(hard.shown, hard.labels, hard.ids, strict=True)
    things = "".join(_thing(*each, beside=hard.shown[0]) for each in named)
    kind = "wrong" if hard.wrong else "right"
    return (
        f'<div class="row"><div class="pictures">{things}</div><div><p class="said {kind}">'
        f'{sign} {said}</p><p class="detail">score {hard.score:.3f}{sure}</p></div></div>'
    )


def _thing(shown: Shown, label: str, id: str, *, beside: Shown) -> str:
    """One of a pair; the second of two series is drawn in front of the first."""
    file = _broken(id.rpartition("/")[2])
    name = f'<figcaption title="{_text(id)}">{_broken(label)}<br><span>{file}</span></figcaption>'
    if is_course(shown):
        behind = beside if is_course(beside) and beside is not shown else None
        drawn = course(shown, behind=behind, name=_text(label))  # type: ignore[arg-type]
        return f'<figure class="words">{drawn}{name}</figure>'
    if isinstance(shown, Playable):
        return f'<figure class="sound">{player(shown, label)}{name}</figure>'
    if isinstance(shown, np.ndarray):
        return f'<figure><img src="{data_uri(shown)}" alt="{_text(label)}">{name}</figure>'
    told = f"<blockquote>{_text(shown[:280])}</blockquote>" if shown else ""
    return f'<figure class="words">{told}{name}</figure>'


def _map(found: Map) -> str:
    keys = "".join(
        _key(plots.marker(number, 0.0, 0.0), name)
        for number, name in enumerate(found.names, start=1)
    )
    keys += _key('<circle class="other" r="2.5"/>', "others")
    note = f"{len(found.points):,} items of unseen classes, {found.method}. Near is alike; distances are only a hint."
    return _section(
        "Map of unseen identities",
        f'<div class="figures">{_figure(plots.embedding_map(found), note)}<ul '
        f'class="legend">{keys}</ul></div>',
    )


def _key(sign: str, name: str) -> str:
    return f'<li><svg viewBox="-6 -6 12 12" aria-hidden="true">{sign}</svg><span>{_broken(name)}</span></li>'


def _cards(report: Report) -> str:
    return _section(
        "Cards",
        '<div class="figures">',
        f"<div><h3>Data</h3>{_facts(report.data)}</div>",
        f"<div><h3>Model</h3>{_facts(report.model)}</div>" if report.model else "",
        "</div>",
    )


def _facts(facts: Mapping[str, str]) -> str:
    return (
        "<dl>"
        + "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in facts.items())
        + "</dl>"
    )


def _commands(report: Report) -> str:
    made = _paragraph(f"Made on {report.made} with seed {report.evaluation.seed}.", "detail")
    listed = (
        "<pre><code>" + _text("\n".join(report.commands)) + "</code></pre>"
        if report.commands
        else ""
    )
    return _section("To repeat it", listed, made)


def _section(title: str, *parts: str) -> str:
    inside = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{_text(title)}</h2>\n{inside}\n</section>"


def _figures(*shown: tuple[str, str]) -> str:
    return '<div class="figures">' + "".join(_figure(*each) for each in shown) + "</div>"


def _figure(drawn: str, caption: str) -> str:
    return f'<figure class="plot">{drawn}<figcaption>{_text(caption)}</figcaption></figure>'


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = "".join(f"<th>{_text(name)}</th>" for name in head)
    lines = "".join(
        "<tr>" + "".join(_cell(text, at == 0) for at, text in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{names}</tr></thead><tbody>{lines}</tbody></table></div>'


def _cell(text: str, first: bool) -> str:
    value, _, below = text.partition("\n")
    if first:
        return f"<th>{_broken(value)}</th>"
    return (
        f"<td>{_text(value)}"
        + (f'<br><span class="detail">{_text(below)}</span>' if below else "")
        + "</td>"
    )


def _paragraph(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{_text(text)}</p>' if kind else f"<p>{_text(text)}</p>"


def _broken(value: str) -> str:
    """A name that may be broken where its parts end."""
    return _text(value).replace("/", "/<wbr>").replace("_", "_<wbr>")


def _text(value: str) -> str:
    return html.escape(printable_lines(value), quote=True)

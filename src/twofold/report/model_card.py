"""The model card: what a bundle is, what it was measured to do, and where it should not be relied on (Markdown)."""

from collections.abc import Iterable, Mapping

from twofold.printable import printable
from twofold.report.measured import Part, Report
from twofold.report.summary import NAMES, advice, promise, tested, verdict

__all__ = ["model_card"]


def model_card(report: Report) -> str:
    """The card as Markdown, in the sections of Mitchell et al. 2019; write it as UTF-8."""
    parts = [
        "# Model card",
        f"Made by `twofold evaluate` on {report.made}. Numbers are of unseen identities, "
        "intervals by leaving identities out or resampling them.",
        "## Model",
        _facts(report.model),
        "## Intended use",
        "To tell whether two things of the kind that it was tested on are "
        "the same, with a person to look at what matters. It was not tested "
        "on other kinds of data, other sources, or attempts to deceive it.",
        "## Result",
        f"{tested(report)} {verdict(report)} {promise(report)}",
        _numbers(report),
        *_groups(report),
        "## What to do next",
        "\n".join(f"- {_cell(each)}" for each in advice(report)),
        "## Evaluation data",
        _facts(report.data),
        *(f"- {_cell(note)}" for note in report.evaluation.notes),
        "## To repeat it",
        "```sh\n" + "\n".join(report.commands) + "\n```"
        if report.commands
        else "No command was recorded.",
    ]
    return "\n\n".join(parts) + "\n"


def _facts(facts: Mapping[str, str]) -> str:
    return (
        "\n".join(f"- {_cell(name)}: {_cell(value)}" for name, value in facts.items())
        or "- nothing is known"
    )


def _numbers(report: Report) -> str:
    rows = [
        (
            NAMES.get(each.name, each.name.replace("_", " ")),
            f"{each.value:.2%}",
            f"{100 * each.low:.2f} to {each.high:.2%}",
        )
        for each in (*report.evaluation.estimates, *report.ranks)
    ]
    return _table(("number", "value", f"{report.curve.confidence:.0%} interval"), rows)


def _groups(report: Report) -> list[str]:
    if not report.groups:
        return []
    rows = [
        (
            part.name,
            f"{part.identities:,}",
            _share(part, "false_non_match"),
            _share(part, "false_match"),
        )
        for part in report.groups
    ]
    return [
        "## Groups, worst first",
        _table(
            ("group", "identities", "rejected though the same", "accepted though different"), rows
        ),
    ]


def _share(part: Part, name: str) -> str:
    value, ends = getattr(part, f"{name}_rate"), getattr(part, f"{name}_interval")
    if value is None:
        return "not measured"
    return f"{value:.2%}" + (f" ({100 * ends[0]:.2f} to {ends[1]:.2%})" if ends else "")


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    """Text that cannot become markup: names come from folders."""
    for sign in "\\`*_[]<>|":
        text = text.replace(sign, "\\" + sign)
    return printable(" ".join(text.split()))

"""Groups of near-duplicates as a table: one row per thing, for whoever merges records."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twofold.data.delimited import written_rows
from twofold.records import MARK
from twofold.report.words import marked
from twofold.results import Group, Groups

__all__ = ["groups_table"]

COLUMNS = ("cluster", "id", "role", "score", "probability")


def groups_table(
    found: Groups,
    texts: Mapping[str, Any],
    *,
    probability: Callable[[float], float] | None = None,
    fields: Sequence[str] = (),
) -> bytes:
    """A CSV with a row for each thing of each group; the kept one first.

    Columns: cluster (a number), id, role (kept, copy, or perhaps), score and probability that it is
    the same as the kept one, text, and differs: the text with the words that the kept one lacks in
    brackets. Records have a column for each field in the place of `text`, and `differs` names the
    fields: "city: [Lindau]; phone: -", where a dash is a field that the kept one alone has.

    Args:
        texts: id -> text; only of things that are texts.
        probability: of a score; None: the bundle is not calibrated.
        fields: of records.
    """
    rows: list[dict[str, object]] = []
    numbered = [(group, "copy") for group in found.groups] + [
        (group, "perhaps") for group in found.perhaps
    ]
    for number, (group, role) in enumerate(numbered, start=1):
        rows += [
            {"cluster": number, **row}
            for row in _rows(group, role, texts, probability=probability, fields=fields)
        ]
    return written_rows([*COLUMNS, *_names(fields).values(), "differs"], rows)


def _names(fields: Sequence[str]) -> dict[str, str]:
    """Field -> the name of its column, which is none of those that every table has."""
    taken = (*COLUMNS, "differs")
    return {name: f"{name} (field)" if name in taken else name for name in fields or ("text",)}


def _rows(
    group: Group,
    role: str,
    texts: Mapping[str, Any],
    *,
    probability: Callable[[float], float] | None,
    fields: Sequence[str],
) -> list[dict[str, object]]:
    def columns(text: str) -> dict[str, object]:
        values = text.split(MARK) if fields and text else [text] * len(names)
        return dict(zip(names.values(), values, strict=False))

    names = _names(fields)
    kept = _text(texts, group.kept)
    empty: dict[str, object] = dict.fromkeys((*COLUMNS[1:], *names.values(), "differs"), "")
    rows = [empty | {"id": group.kept, "role": "kept"} | columns(kept)]
    for name, score in zip(group.copies, group.scores, strict=True):
        text = _text(texts, name)
        rows.append(
            {
                "id": name,
                "role": role,
                "score": score,
                "probability": "" if probability is None else probability(score),
                **columns(text),
                "differs": _differs(text, kept, fields) if text and kept else "",
            }
        )
    return rows


def _differs(text: str, kept: str, fields: Sequence[str]) -> str:
    """What the kept one lacks: words in brackets; of a record, by the fields that differ."""
    if not fields:
        return marked(text, kept)
    values = zip(fields, text.split(MARK), kept.split(MARK), strict=False)
    return "; ".join(
        f"{name}: {marked(value, other) or '-'}"
        for name, value, other in values
        if value.casefold().split() != other.casefold().split()
    )


def _text(texts: Mapping[str, Any], name: str) -> str:
    value = texts.get(name, "")
    return value if isinstance(value, str) else ""

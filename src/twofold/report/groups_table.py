"""Groups of near-duplicates as a table: one row per thing, for whoever merges records."""

from collections.abc import Callable, Mapping
from typing import Any

from twofold.data.delimited import written_rows
from twofold.report.words import marked
from twofold.results import Group, Groups

__all__ = ["groups_table"]

COLUMNS = ("cluster", "id", "role", "score", "probability", "text", "differs")


def groups_table(
    found: Groups, texts: Mapping[str, Any], *, probability: Callable[[float], float] | None = None
) -> bytes:
    """A CSV with a row for each thing of each group; the kept one first.

    Columns: cluster (a number), id, role (kept, copy, or perhaps), score and probability that it is
    the same as the kept one, text, and differs: the text with the words that the kept one lacks in
    brackets.

    Args:
        texts: id -> text; things that are no texts have none.
        probability: of a score; None: the bundle is not calibrated.
    """
    rows: list[dict[str, object]] = []
    numbered = [(group, "copy") for group in found.groups] + [
        (group, "perhaps") for group in found.perhaps
    ]
    for number, (group, role) in enumerate(numbered, start=1):
        rows += [{"cluster": number, **row} for row in _rows(group, role, texts, probability)]
    return written_rows(list(COLUMNS), rows)


def _rows(
    group: Group, role: str, texts: Mapping[str, Any], probability: Callable[[float], float] | None
) -> list[dict[str, object]]:
    kept = _text(texts, group.kept)
    empty: dict[str, object] = dict.fromkeys(COLUMNS[1:], "")
    rows = [empty | {"id": group.kept, "role": "kept", "text": kept}]
    for name, score in zip(group.copies, group.scores, strict=True):
        text = _text(texts, name)
        rows.append(
            {
                "id": name,
                "role": role,
                "score": score,
                "probability": "" if probability is None else probability(score),
                "text": text,
                "differs": marked(text, kept) if text and kept else "",
            }
        )
    return rows


def _text(texts: Mapping[str, Any], name: str) -> str:
    value = texts.get(name, "")
    return value if isinstance(value, str) else ""

"""JSON lines: one object per line, as columns of text."""

import json
from pathlib import Path
from typing import Any

from twofold.data.delimited import MOST_COLUMNS
from twofold.errors import DataError, NotEnoughData

__all__ = ["LINES", "read_lines"]

LINES = (".jsonl", ".ndjson")
"""How the names of such files end."""


def read_lines(
    path: Path, *, example: str = '{"text": "a b c"}'
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Objects, one per line or in one JSON list, as columns of text, and where each of them stands.

    A field that an object lacks, or that is null, is empty; true is 1 and false is 0.

    Args:
        example: of an object, for errors.

    Raises:
        DataError: not UTF-8, not JSON, something other than objects, or too many fields; names the
            line.
        NotEnoughData: nothing in it.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text: {error}") from None
    if text.lstrip().startswith("["):
        rows = _parsed(text, path.name)
        places = [f"{path.name}, entry {number + 1}" for number in range(len(rows))]
    else:
        numbered = [
            (number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()
        ]
        places = [f"{path.name}, line {number}" for number, _ in numbered]
        rows = [_parsed(line, place) for (_, line), place in zip(numbered, places, strict=True)]
    if not rows:
        raise NotEnoughData(f"{path} is empty: each line is an object, such as {example}")
    for row, place in zip(rows, places, strict=True):
        if not isinstance(row, dict):
            raise DataError(f"{place}: {str(row)[:30]!r} is not an object, such as {example}")
    names = list(dict.fromkeys(name for row in rows for name in row))
    if len(names) > MOST_COLUMNS:
        raise DataError(
            f"{path.name} has {len(names):,} fields, more than {MOST_COLUMNS:,}: an object should "
            f"be an item"
        )
    return {name: tuple(_text(row.get(name)) for row in rows) for name in names}, tuple(places)


def _parsed(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: no JSON ({error})") from None


def _text(value: Any) -> str:
    if value is None:
        return ""
    return ("1" if value else "0") if isinstance(value, bool) else str(value)

"""Facts about a bundle or an index, a line each."""

from collections.abc import Mapping
from typing import Any

from twofold.printable import with_printable_data

__all__ = ["facts", "parts"]


@with_printable_data
def facts(told: dict[str, Any], indent: str = "") -> str:
    """Nested facts, a line each; long lists are counted."""
    lines: list[str] = []
    for key, value in told.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{key}:", facts(value, indent + "  ")]
        elif isinstance(value, list) and len(str(value)) > 80:
            lines.append(f"{indent}{key}: {len(value)} entries")
        elif value not in (None, {}, []):
            lines.append(f"{indent}{key}: {value}")
    return "\n".join(lines)


def parts(counts: Mapping[str, int]) -> str:
    """How many identities each part of the data had."""
    return ", ".join(f"{size} {name}" for name, size in counts.items()) or "not known"

"""What the rule for pictures is worth, as bench/dedup.py measured it; and what it never decides."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["NEVER", "worth"]

NEVER = (
    "photographs of one scene in a row, of which each may be wanted",
    "variants of a product that differ in less than the picture shows",
    "who is in a picture: two photographs of a person are two pictures",
)


@cache
def worth() -> dict[str, Any]:
    """Figure -> value: recall by kind of change, and false copies by kind among pairs of different pictures."""
    told = json.loads((files("twofold.copies") / "worth.json").read_text(encoding="utf-8"))
    return told | {"never_decides": list(NEVER)}

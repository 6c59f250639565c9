"""The doctor's findings in words, and what was found by looking at the data."""

from collections.abc import Sequence
from pathlib import Path

from twofold.data.items import Items
from twofold.plurals import counted as count
from twofold.printable import printable, with_printable_data
from twofold.results import Finding

__all__ = ["SIGNS", "cleaned", "findings", "items"]

SIGNS = {"fatal": "✗", "warning": "!", "note": "·"}


def items(found: Items) -> str:
    """What was found by looking; sizes are the doctor's to tell."""
    return (
        "\n".join(map(printable, found.notes))
        or f"{count(len(found), 'item')} of {count(len(found.identities), 'identity')}"
    )


@with_printable_data
def findings(found: Sequence[Finding]) -> str:
    """A doctor's findings, the worst first, each with its remedy."""
    if not found:
        return "no problems found: this data can be trained on"
    order = sorted(found, key=lambda finding: list(SIGNS).index(finding.level))
    return "\n".join(
        f"{SIGNS[f.level]} {f.message}\n  {f.remedy}"
        if f.remedy
        else f"{SIGNS[f.level]} {f.message}"
        for f in order
    )


@with_printable_data
def cleaned(items: int, dropped: int, out: Path, beside: Path) -> str:
    """What was written, and what was left out of it."""
    return (
        f"{items - dropped} of {count(items, 'item')} are kept in {out}; {beside} names "
        f"the others with their reasons"
    )

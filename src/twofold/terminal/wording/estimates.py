"""Numbers with their intervals, a line each, and the first line of a training."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from twofold.plurals import counted
from twofold.results import Difference, Estimate

__all__ = ["estimate_lines", "estimates_told", "said_of", "training_took"]


def estimate_lines(estimates: Iterable[Estimate]) -> list[str]:
    """A line for each number with its interval, and whether that says anything."""
    known = list(estimates)
    wide = max(len(each.name) for each in known)
    return [
        f"{each.name:{wide}}  {each.value:.4f}  [{each.low:.4f}, {each.high:.4f}]{said_of(each)}"
        for each in known
    ]


def estimates_told(estimates: Iterable[Estimate | Difference]) -> list[dict[str, Any]]:
    """The same as plain Python."""
    return [asdict(each) | {"says_nothing": each.says_nothing} for each in estimates]


def said_of(found: Estimate | Difference) -> str:
    """A word where an interval covers half of all that can be."""
    return "  (this interval says nothing)" if found.says_nothing else ""


def training_took(known: Mapping[str, Any]) -> str:
    """How long a training was, and why it ended."""
    precision = f" in {known['precision']}" if "precision" in known else ""
    return (
        f"trained {counted(known['epochs'], 'epoch')}, {counted(known['steps'], 'step')} in "
        f"{known['seconds']:.0f} s{precision} ({known['stopped']})"
    )

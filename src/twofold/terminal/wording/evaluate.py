"""Measurements in words: numbers with their intervals, what they can and cannot tell."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from twofold.plurals import counted
from twofold.printable import with_printable_data
from twofold.results import Difference, Estimate, Evaluation, NearestExample
from twofold.terminal.wording.estimates import estimate_lines, estimates_told, said_of

__all__ = [
    "agreement",
    "differences",
    "evaluation",
    "evaluation_told",
    "narrower",
    "nearest_example",
    "rate",
]

NARROW = 0.2
"""Width of an interval of a rate that is worth having."""


@with_printable_data
def evaluation(found: Evaluation) -> str:
    """One line per number with its interval, then what it was measured on and whether the promise held."""
    lines = estimate_lines(found.estimates)
    items = f"{found.items} items, " if found.items else ""
    lines.append(
        f"{found.estimates[0].confidence:.0%} intervals, resampling "
        f"{counted(found.units, found.unit)}; "
        f"{items}{_pairs(found)}"
    )
    lines += narrower(found)
    if found.threshold is not None:
        held = agreement(found)
        lines.append(
            f"threshold {found.threshold:.4f} for a false-accept rate of {found.far:g} "
            f"({found.standing}): {held}"
        )
    return "\n".join([*lines, *found.notes])


CLOSED = (
    "closed set: the classes were trained on, so this says nothing of unseen classes, and nothing is "
    "certified"
)


@with_printable_data
def nearest_example(found: NearestExample) -> str:
    """What it is worth, the numbers, what they were measured on, and which classes were taken for which."""
    lines = [CLOSED] if found.closed_set else []
    lines += estimate_lines(found.estimates)
    first = found.estimates[0]
    lines.append(
        f"nearest of {counted(found.gallery, 'example')} of {counted(found.classes, 'class')}, "
        f"{counted(found.items, 'item')}; {first.confidence:.0%} intervals, resampling "
        f"{counted(first.resampled, first.unit)}"
    )
    lines += [f"{label} taken for {other}: {count}" for label, other, count in found.confused]
    return "\n".join([*lines, *found.notes])


def _pairs(found: Evaluation) -> str:
    if not found.genuine_pairs + found.impostor_pairs:
        return "graded pairs"
    return f"{found.genuine_pairs} genuine and {found.impostor_pairs} impostor pairs"


def evaluation_told(found: Evaluation) -> dict[str, Any]:
    """An evaluation as plain Python, with what its words say beside the numbers."""
    return asdict(found) | {
        "estimates": estimates_told(found.estimates),
        "advice": narrower(found),
    }


@with_printable_data
def differences(found: Sequence[Difference], a: Path, b: Path) -> str:
    """Which of two bundles is better, number by number, in points where it is a rate."""
    lines = []
    for each in found:
        better = f"{b} is better by" if each.gain >= 0 else f"{a} is better by"
        gain, low, high = (100.0 * value for value in (each.gain, each.low, each.high))
        if each.gain < 0:
            gain, low, high = -gain, -high, -low
        if round(gain, 2) == round(low, 2) == round(high, 2) == 0:
            lines.append(f"{each.name}: {each.a:.4f} against {each.b:.4f}; no difference")
            continue
        sure = "" if low > 0 else said_of(each) or " (no clear difference)"
        lines.append(
            f"{each.name}: {each.a:.4f} against {each.b:.4f}; {better} {gain:.2f} points, "
            f"{each.confidence:.0%} interval {low:.2f} to {high:.2f}{sure}"
        )
    return "\n".join(
        [
            *lines,
            f"on the same {counted(found[0].resampled, found[0].unit)}, left out of both at once",
        ]
    )


def agreement(found: Evaluation) -> str:
    """Whether the measured rate agrees with the promised one, or whether this data cannot tell."""
    if found.crossfitted:
        return "cross-fitted scores cannot judge it: evaluate on other identities"
    if found.holds is None:
        return f"too little data to tell whether it holds: {found.units} identities; give more"
    return (
        "the measured rate agrees"
        if found.holds
        else "the measured rate is clearly larger: calibrate again"
    )


def narrower(found: Evaluation) -> list[str]:
    """What would narrow intervals that say nothing."""
    wide = [each for each in found.estimates if each.says_nothing]
    if not wide:
        return []
    # an interval narrows with the square root of what is resampled
    largest = max(each.high - each.low for each in wide)
    needed = math.ceil(found.units * (largest / NARROW) ** 2)
    return [
        f"to narrow {', '.join(each.name for each in wide)} to {NARROW:g}, give about {needed} of "
        f"the unit "
        f"{found.unit} (now {found.units})"
        + (", or ask for a larger --far" if any(each.name == "tar_at_far" for each in wide) else "")
    ]


def rate(found: Estimate) -> str:
    """A rate with its interval."""
    return f"{found.value:.2%} [{found.low:.2%}, {found.high:.2%}]{said_of(found)}"

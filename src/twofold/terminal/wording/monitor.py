"""Drift in words."""

from twofold.plurals import counted as count
from twofold.printable import with_printable_data
from twofold.results import Drift
from twofold.terminal.wording.doctor import SIGNS

__all__ = ["drift"]


@with_printable_data
def drift(found: Drift) -> str:
    """Whether scores moved, where and how far, and what to do next."""
    lines = [
        f"{found.decision}: {count(found.pairs, 'pair')}, {count(found.units, found.unit)}, false "
        f"alarms in at most "
        f"{found.false_alarms:g} of runs"
    ]
    for part in found.parts:
        name = f"{part.kind} pairs" + ("" if part.group is None else f" of group {part.group}")
        if (
            part.score is None
            or part.seen is None
            or part.expected is None
            or part.smallest is None
        ):
            lines.append(f"  {name}: too little data")
            continue
        share = ""
        if part.kind == "mixed" and part.genuine_share is not None:
            share = f"; {part.genuine_share[0]:.0%} to {part.genuine_share[1]:.0%} of them genuine"
        lines.append(
            f"  {name}: {part.decision}; {part.seen:.2%} score {part.score:.4f} or more where "
            f"{part.expected:.2%} are "
            f"expected, a difference from {part.smallest:.2%} on is drift{share}"
        )
    lines += [f"{SIGNS['note']} {note}" for note in found.notes]
    if found.decision == "drift":
        lines.append(
            "next: look at recent inputs (camera, crop, lighting, kind of people); label some "
            "recent pairs drawn by "
            "chance, `twofold evaluate` on them, and calibrate again if the rates no longer hold"
        )
    if found.decision == "too little data":
        lines.append("next: collect more pairs, of more people, and look again")
    return "\n".join(lines)

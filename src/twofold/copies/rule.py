"""What counts as a copy, which file of a group stays, and the rule in words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twofold.bundle import Bundle
from twofold.copies.comparing import STRICTNESS
from twofold.copies.quality import best_first
from twofold.copies.reading import Collection
from twofold.errors import UsageError, nearest

__all__ = ["DEFAULT", "KEEP", "Copies", "Keep", "preferred", "rule_in_words"]

DEFAULT = 0.95
"""Cosine at which vectors count as the same if no calibration gives a threshold."""

Keep = str | Callable[[Collection, int], Any]

KEEP = ("largest", "oldest", "first")
"""Which of a group stays: the one with the most pixels, then quality (`copies.quality`); the
oldest; the first."""


@dataclass(frozen=True, kw_only=True)
class Copies:
    """What counts as a copy, and which one stays.

    Attributes:
        keep: "largest", "oldest", "first", or a function (collection, position) -> sort key, the
            smallest kept.
        strictness: "exact" (equal bytes), "strict", "normal", or "loose" (doubtful ones as well).
        mirrored: mirror images count, too.
    """

    keep: Keep = "largest"
    strictness: str = "normal"
    mirrored: bool = False

    def __post_init__(self) -> None:
        if not callable(self.keep) and self.keep not in KEEP:
            raise UsageError(f"keep = {self.keep!r} is not a rule: {nearest(self.keep, KEEP)}")
        if self.strictness not in STRICTNESS:
            raise UsageError(
                f"strictness = {self.strictness!r} is not known: "
                f"{nearest(self.strictness, STRICTNESS)}"
            )


def preferred(known: Collection, places: Sequence[int], keep: Keep) -> list[int]:
    """Places of things in the order in which a rule would keep them."""
    if callable(keep):
        return sorted(places, key=lambda place: (keep(known, place), place))
    if keep == "largest":
        return best_first(known, places)
    if keep == "oldest":
        return sorted(places, key=lambda place: (known.seen[place].time, place))
    return sorted(places)


def rule_in_words(
    bundle: Bundle | None,
    limit: float | None,
    rule: Copies,
    *,
    pictures: bool,
    against: bool,
    asked: bool,
) -> str:
    """What made two things copies, for a reader of the groups."""
    if rule.strictness == "exact":
        return "equal bytes"
    if not pictures and limit is None and not against:
        return "equal contents (calibrate the bundle, or give --threshold, to find what is nearly the same)"
    pixels = "pictures that fit into each other, turned, cut or written on, and differ nowhere in detail or colour"
    more = {"strict": " (strictly)", "loose": " (doubtful ones as well)"}.get(rule.strictness, "")
    pixels += (", mirror images, too" if rule.mirrored else "") + more
    pixels = pixels if pictures else "equal contents"
    if bundle is None or (limit is None and not against):
        return pixels
    if limit is None:
        told = f"scores of at least {DEFAULT} (a default, nothing certifies it)"
        return f"{pixels}; and, of an index whose files are not known, {told}"
    calibration = bundle.calibration
    if asked or calibration is None:
        why = "as you asked"
    else:
        why = f"the bundle's threshold for a false-accept rate of {calibration.far:g}, {calibration.standing}"
    return f"{pixels}; and scores of at least {limit:.4f} ({why})"

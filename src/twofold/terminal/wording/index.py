"""What indexing and embedding did, in words."""

from collections.abc import Mapping
from pathlib import Path

from twofold.plurals import counted as count
from twofold.printable import with_printable_data
from twofold.results import Indexed, Sharded
from twofold.terminal.wording.doctor import SIGNS

__all__ = ["indexed", "sharded"]


@with_printable_data
def indexed(done: Indexed, place: str | Path, seconds: float) -> str:
    """What indexing did, and what it left out."""
    lines = [
        f"{count(done.things, 'thing')} in {seconds:.0f} s "
        f"({done.things / max(seconds, 1e-3):,.0f} per second): "
        f"{done.embedded:,} embedded, {done.known:,} known already; "
        f"{count(done.changed, 'item', 'is')} new or changed",
        *_replaced(done.replaced),
        *(
            [f"{count(done.pruned, 'item')} removed, because their files are gone"]
            if done.pruned
            else []
        ),
        *_left_out(done.unreadable),
        *(
            [f"a map of {done.map_bytes:,} bytes is kept with each item (as text, a third more)"]
            if done.map_bytes
            else []
        ),
        f"{place} holds {count(done.items, 'item')} of {count(done.labels, 'label')}",
    ]
    return "\n".join(lines)


@with_printable_data
def sharded(done: Sharded, place: Path, share: tuple[int, int]) -> str:
    """What one share of an embedding did, and what the others have still to do."""
    whose = "" if share[1] == 1 else f"share {share[0] + 1} of {share[1]}: "
    lines = [
        f"{whose}{count(done.things, 'thing')} in {count(done.parts, 'part')}, {done.written} of "
        f"them written, the "
        f"others were there; {count(done.embedded, 'thing')} embedded",
        *_left_out(done.unreadable),
        f"{count(done.missing, 'part')} of other shares not yet in {place}"
        if done.missing
        else f"{place} is complete: twofold index BUNDLE {place} INDEX",
    ]
    return "\n".join(lines)


def _replaced(number: int) -> list[str]:
    """A warning where two folders may share file names."""
    if not number:
        return []
    whose = f"{count(number, 'item')} took the place of other content under the same id"
    return [
        f"{SIGNS['warning']} {whose}: right for files that changed; for a second folder give "
        f"--prefix"
    ]


def _left_out(unreadable: Mapping[str, str], most: int = 3) -> list[str]:
    """The first few things that could not be read."""
    if not unreadable:
        return []
    lines = [
        f"{SIGNS['warning']} {count(len(unreadable), 'thing')} could not be read and "
        f"{_are(unreadable)} left out:"
    ]
    lines += [f"  {reason}" for reason in list(unreadable.values())[:most]]
    return lines + (
        [f"  and {len(unreadable) - most} more (--json names all)"]
        if len(unreadable) > most
        else []
    )


def _are(things: Mapping[str, str]) -> str:
    return "is" if len(things) == 1 else "are"

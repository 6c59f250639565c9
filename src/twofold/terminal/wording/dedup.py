"""Groups of near-duplicates, and what was moved, in words."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from twofold.plurals import counted
from twofold.printable import with_printable_data
from twofold.results import Groups

if TYPE_CHECKING:
    from twofold.copies.trash import Moved

__all__ = ["carried_out", "command", "groups"]

LISTED = 20
"""Groups that are listed; doubtful ones half as many."""


@with_printable_data
def groups(found: Groups, seconds: float) -> str:
    """The groups in a few lines."""
    lines = [
        f"{counted(found.items, 'thing')} ({found.new:,} new) in {seconds:.0f} s: "
        f"{counted(len(found.groups), 'group')}, {counted(found.copies, 'copy')}",
        f"a copy: {found.rule}",
    ]
    for group in found.groups[:LISTED]:
        alike = ", ".join(
            f"{name} {score:.3f}"
            for name, score in zip(group.copies[:4], group.scores, strict=False)
        )
        more = f" and {len(group.copies) - 4} more" if len(group.copies) > 4 else ""
        lines.append(f"  {group.kept}{' (in the index)' if group.known else ''} ~ {alike}{more}")
    if len(found.groups) > LISTED:
        lines.append(
            f"  and {counted(len(found.groups) - LISTED, 'more group')}: "
            "--report groups.html or --json shows all"
        )
    if found.perhaps:
        lines.append(
            f"perhaps copies, to be looked at "
            f"({sum(len(group.copies) for group in found.perhaps):,}):"
        )
        lines += [
            f"  {group.kept} ? {', '.join(group.copies[:4])}"
            for group in found.perhaps[: LISTED // 2]
        ]
    for what, names in (("dark", found.dark), ("blurred", found.blurred)):
        if names:
            lines.append(
                f"{len(names):,} {what}: {', '.join(names[:5])}{' ...' if names[5:] else ''}"
            )
    lines += [f"! {note}" for note in found.notes]
    lines += [f"! {reason}" for reason in list(found.unreadable.values())[:5]]
    if len(found.unreadable) > 5:
        lines.append(f"! and {len(found.unreadable) - 5:,} more cannot be read")
    if found.recall is not None:
        r = found.recall
        lines.append(
            f"of the near pairs {r.value:.2%} were found "
            f"[{r.low:.2%}, {r.high:.2%}], by exact search of some"
        )
    return "\n".join(lines)


def carried_out(moved: "Moved", data: Path) -> str:
    """What was moved to the trash, or back."""
    lines = [f"! {note}" for note in moved.notes]
    if moved.undo is not None:
        lines.append(f"{counted(len(moved.files), 'file', 'was')} moved to {moved.undo.parent}")
        if moved.linked:
            lines.append(
                f"{counted(len(moved.linked), 'hard link', 'replaces')} a file that was moved"
            )
        lines.append(f"to undo it: {command(data, moved.undo)}")
    elif moved.files:
        lines.append(f"{counted(len(moved.files), 'file', 'is')} back")
    elif not moved.left:
        lines.append("no file was moved: nothing was decided to go, or all is in its place already")
    if moved.left:
        lines.append(
            f"{counted(len(moved.left), 'file', 'stays')}: not equal, byte by byte, to what is kept"
        )
    return "\n".join(lines)


def command(data: Path, table: Path) -> str:
    """The command that carries a table of decisions out, or an undo list, quoted for a shell."""
    return shlex.join(["twofold", "dedup", str(data), "--apply", str(table)])

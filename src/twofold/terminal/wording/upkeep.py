"""Checks, erasures, the audit log and migrations of an index, in words."""

from collections.abc import Sequence

from twofold.plurals import counted as count
from twofold.printable import with_printable_data
from twofold.results import AuditEntry, Erasure, Inspection, Migration
from twofold.terminal.wording.doctor import findings
from twofold.terminal.wording.evaluate import rate

__all__ = ["audited", "forgotten", "inspection", "migrated"]


@with_printable_data
def inspection(found: Inspection) -> str:
    """What a check of an index found, and what its repair did."""
    lines = [findings(found.findings)] if found.findings else []
    lines += [f"repair: {line}" for line in found.repaired]
    if found.dropped:
        lines.append(f"dropped: {', '.join(found.dropped)}")
    lines.append(
        f"{count(found.items, 'whole item')}"
        + ("" if found.findings else ", all as it was written")
    )
    return "\n".join(lines)


@with_printable_data
def forgotten(receipt: Erasure) -> str:
    """What was erased."""
    who = ", ".join(receipt.labels) or "what was expired"
    told = f"forgot {who}: {count(len(receipt.ids), 'embedding')} erased ({', '.join(receipt.ids)})"
    if receipt.left is None:
        return f"{told}\n{receipt.note}" if receipt.note else told
    return (
        f"{told}\nlooked for {count(receipt.pieces, 'piece')} of them in "
        f"{count(receipt.files, 'file')} "
        f"({count(receipt.searched, 'byte')}): {receipt.left} left"
    )


@with_printable_data
def audited(entries: Sequence[AuditEntry]) -> str:
    """The audit log, one line per entry."""
    if not entries:
        return "nothing is in the log"
    lines = [
        f"{e.number:6}  {e.at}  {e.event:8} {e.items:6}  {e.subject[:16] or 'all'}" for e in entries
    ]
    return "\n".join(
        ["number  time                       event     items  keyed hash of the label", *lines]
    )


@with_printable_data
def migrated(done: Migration, index: str, new_index: str) -> str:
    """What was brought over, and what the bridge costs."""
    told = (
        f"{count(done.items, 'item')} of {index} are in {new_index} now: {done.embedded} embedded "
        f"again, "
        f"{done.bridged} over a bridge"
    )
    if done.toll is None:
        return told
    cost = done.toll
    return (
        f"{told}\nthe bridge was fitted to {done.pairs} things; on identities that it has not "
        f"seen, {cost.name} is "
        f"{rate(cost.bridged)} over it and {rate(cost.again)} when embedded again; the median "
        f"score of a thing with "
        f"itself over the bridge is {cost.likeness:.3f}: no threshold is certified for that"
    )

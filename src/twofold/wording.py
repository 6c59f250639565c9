"""Results in plain words, for the terminal: each function takes what a verb returned and gives text."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import Any

from twofold.bundle import Bundle
from twofold.contract import CROSSFITTED, Calibration, Contract
from twofold.data.delimited import written_rows
from twofold.data.items import Items
from twofold.data.pairs import Pairs
from twofold.measured_words import (
    differences,
    differences_told,
    evaluation,
    evaluation_told,
    planned,
    said_of,
)
from twofold.next_steps import rejects_most
from twofold.plurals import counted as count
from twofold.printable import printable, with_printable_data
from twofold.results import (
    AuditEntry,
    Drift,
    Erasure,
    Estimate,
    Finding,
    Found,
    Hit,
    Identification,
    Indexed,
    Inspection,
    Migration,
    Sharded,
    Verdict,
)
from twofold.results.measurements import SAYS_NOTHING

__all__ = [
    "audited",
    "calibrated",
    "cleaned",
    "differences",
    "differences_told",
    "drift",
    "evaluation",
    "evaluation_told",
    "facts",
    "findings",
    "forgotten",
    "found",
    "identification",
    "identified",
    "indexed",
    "inspection",
    "items",
    "migrated",
    "parts",
    "planned",
    "sharded",
    "trained",
    "verdict",
    "verdicts",
]

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
        f"{SIGNS[f.level]} {f.message}\n  {f.remedy}" if f.remedy else f"{SIGNS[f.level]} {f.message}" for f in order
    )


@with_printable_data
def cleaned(items: int, dropped: int, out: Path, beside: Path) -> str:
    """What was written, and what was left out of it."""
    return (
        f"{items - dropped} of {count(items, 'item')} are kept in {out}; {beside} names the others with their reasons"
    )


def trained(bundle: Bundle, out: Path) -> str:
    """What training came to."""
    known = bundle.training
    best = ", ".join(f"{name} {value:.4f}" for name, value in known["best"].items() if value is not None)
    aside = ", ".join(f"{count} {part}" for part, count in bundle.provenance.counts.items())
    judged = "" if bundle.crossfit is None else f", all judged by cross-fitting in {bundle.crossfit.folds} folds"
    return (
        f"trained {count(known['epochs'], 'epoch')}, {count(known['steps'], 'step')} in {known['seconds']:.0f} s"
        + (f" in {known['precision']}" if "precision" in known else "")
        + f" ({known['stopped']})"
        + (f"; best on unseen identities: {best}" if best else "")
        + "".join(f"\nnote: {printable(note)}" for note in (*known.get("notes", ()), *known.get("named", ())))
        + "".join(
            f"\nmay be one identity under two labels: {printable(a)} and {printable(b)} (similarity {score:.3f})"
            for a, b, score in known.get("look_alikes", ())
        )
        + f"\nidentities: {aside}{judged}\nwritten to {out}, fingerprint {bundle.fingerprint[:12]}"
    )


@with_printable_data
def calibrated(contract: Contract, out: Path | None) -> str:
    """The threshold and what it promises."""
    known = contract.calibration
    if known is None:
        return "not calibrated"
    promise = f"{known.standing}: the false-accept rate is at most {known.far:g} with {known.confidence:.0%} confidence"
    if not known.certified:
        promise = f"an estimate: nothing certifies that the false-accept rate is {known.far:g}{_could_be(known)}"
    whose = "unseen identities" if known.method != CROSSFITTED else "identities, judged by cross-fitting"
    return (
        f"threshold {known.threshold:.4f}, {promise}\n"
        f"{_rejection(known)}{_open_set(known)}{_variants(known)}{_alternatives(known)}{_skilled(known)}"
        f"from {f'{known.identities} {whose}' if known.identities else 'pairs without identities'}, "
        f"{known.genuine_pairs} genuine and {known.impostor_pairs} impostor "
        f"pairs; {_rate(known.false_match)} of impostors accepted, {_rate(known.false_non_match)} of genuine rejected\n"
        f"{_warned(known)}{rejects_most(known)}{f'written to {out}' if out else 'not saved; pass --out contract.json'}"
    )


def _could_be(known: Calibration) -> str:
    """How large the true rate of an estimate could be, as far as these identities tell."""
    if not known.identities or known.upper_bound >= SAYS_NOTHING:
        return ", and these pairs are too few to say how far from it the true rate may be"
    return f"; rates up to {known.upper_bound:.2g} fit these identities, too"


def _warned(known: Calibration) -> str:
    return "".join(f"{SIGNS['warning']} {each}\n" for each in known.warnings)


def _rejection(known: Calibration) -> str:
    """The lower threshold and what it promises; nothing where there is none."""
    below = known.rejection
    if below is None or known.reject_threshold is None:
        return ""
    if known.reject_threshold == known.threshold:
        zone = "no unsure zone: false rejects are rare enough at the threshold itself"
    else:
        zone = f"unsure from {known.reject_threshold:.4f} up to the threshold"
    promise = f"at most {below.frr:g}, {known.standing}" if known.certified else f"{below.frr:g}, an estimate"
    return (
        f"{zone}: false-reject rate of the answer different {promise}; {below.unsure_genuine:.2%} of genuine and "
        f"{below.unsure_impostor:.2%} of impostors are left undecided\n"
    )


def _alternatives(known: Calibration) -> str:
    """What another standing would have cost; nothing where the data carry no other."""
    own = known.false_non_match.value
    return "".join(
        f"{each.standing} instead: threshold {each.threshold:.4f}, {each.false_non_match_rate:.2%} of genuine pairs "
        f"rejected in place of {own:.2%} (--standing {each.standing})\n"
        for each in known.alternatives
    )


def _skilled(known: Calibration) -> str:
    """What skilled forgeries do at the threshold; nothing where there are none."""
    if known.skilled_false_match is None:
        return ""
    return (
        f"the rate is that of random impostors; of skilled forgeries {_rate(known.skilled_false_match)} are accepted\n"
    )


def _variants(known: Calibration) -> str:
    """The thresholds of groups and of normalised scores; nothing where there are none."""
    lines = []
    if known.normalised is not None:
        fair = known.normalised
        lines.append(
            f"verdicts go by scores normalised by a cohort of {fair.cohort} vectors: threshold "
            f"{fair.calibration.threshold:.4f} from {count(fair.calibration.identities, 'other identity')}\n"
        )
    for each in known.deciding.groups:
        lines.append(f"group {each.name}: threshold {each.calibration.threshold:.4f}\n")
    return "".join(lines)


def _open_set(known: Calibration) -> str:
    """The threshold for one of many and what it promises; nothing where there is none."""
    many = known.deciding.open_set
    if many is None:
        return ""
    return (
        f"with {many.size} enrolled: threshold {many.threshold:.4f}, strangers are taken for somebody at the rate "
        f"{many.fpir:g} at most ({many.standing}; measured {_rate(many.false_positive)}), "
        f"{_rate(many.false_negative)} of those enrolled are not found\n"
    )


@with_printable_data
def drift(found: Drift) -> str:
    """Whether scores moved, where and how far, and what to do next."""
    lines = [
        f"{found.decision}: {count(found.pairs, 'pair')}, {count(found.units, found.unit)}, false alarms in at most "
        f"{found.false_alarms:g} of runs"
    ]
    for part in found.parts:
        name = f"{part.kind} pairs" + ("" if part.group is None else f" of group {part.group}")
        if part.score is None or part.seen is None or part.expected is None or part.smallest is None:
            lines.append(f"  {name}: too little data")
            continue
        share = ""
        if part.kind == "mixed" and part.genuine_share is not None:
            share = f"; {part.genuine_share[0]:.0%} to {part.genuine_share[1]:.0%} of them genuine"
        lines.append(
            f"  {name}: {part.decision}; {part.seen:.2%} score {part.score:.4f} or more where {part.expected:.2%} are "
            f"expected, a difference from {part.smallest:.2%} on is drift{share}"
        )
    lines += [f"{SIGNS['note']} {note}" for note in found.notes]
    if found.decision == "drift":
        lines.append(
            "next: look at recent inputs (camera, crop, lighting, kind of people); label some recent pairs drawn by "
            "chance, `twofold evaluate` on them, and calibrate again if the rates no longer hold"
        )
    if found.decision == "too little data":
        lines.append("next: collect more pairs, of more people, and look again")
    return "\n".join(lines)


@with_printable_data
def verdict(found: Verdict) -> str:
    """The decision, and how sure it is."""
    zone = "" if found.reject_threshold is None else f", different below {found.reject_threshold:.4f}"
    missed = "" if found.frr is None else f", false-reject rate {found.frr:g}"
    return (
        f"{found.decision}: score {found.score:.4f}, threshold {found.threshold:.4f}{zone}, "
        f"false-accept rate {found.far:g}{missed} ({found.standing}){_chance(found)}"
    )


def _chance(found: Verdict) -> str:
    """The probability of "same" and what it depends on; nothing where it would seem to contradict the decision.

    The threshold keeps a false-accept rate, so that it need not lie where the probability is one half.
    """
    if (found.decision == "same") != (found.probability >= 0.5):
        return ""
    share = "half" if found.prior == 0.5 else f"{found.prior:.3g}"
    return f"; probability that they are the same {found.probability:.1%} (if {share} of all pairs were)"


def verdicts(pairs: Pairs, found: Sequence[Verdict], *, json: bool = False) -> str:
    """One row per pair, as CSV or JSON: the two things, and everything that a verdict holds."""
    ends = zip(pairs.index_a, pairs.index_b, found, strict=True)
    left, right = pairs.columns
    rows = [{left: pairs.ids[a], right: pairs.ids[b], **asdict(verdict)} for a, b, verdict in ends]
    if json:
        return dumps(rows, indent=1) + "\n"
    return written_rows(list(rows[0]), rows).decode()


@with_printable_data
def identification(found: Identification) -> str:
    """Who it is, or nobody, and the nearest."""
    who = found.label or ("unsure" if found.decision == "unsure" else "nobody")
    rate = f"false-accept rate {found.far:g} per comparison ({found.standing})"
    if found.fpir is not None:
        rate = f"strangers are taken for somebody at the rate {found.fpir:g} ({found.standing})"
    lines = [f"{who}: score {found.score:.4f}, threshold {found.threshold:.4f}, {rate}, {found.gallery} enrolled"]
    if found.warning is not None:
        lines.append(f"{SIGNS['warning']} {found.warning}")
    return "\n".join(lines + [f"  {hit.score:.4f}  {hit.label}" for hit in found.candidates])


@with_printable_data
def identified(query: str, found: Identification | str) -> str:
    """Who one of many queries is."""
    return f"! {found}" if isinstance(found, str) else f"{query}: {identification(found)}"


@with_printable_data
def indexed(done: Indexed, place: str | Path, seconds: float) -> str:
    """What indexing did, and what it left out."""
    lines = [
        f"{count(done.things, 'thing')} in {seconds:.0f} s ({done.things / max(seconds, 1e-3):,.0f} per second): "
        f"{done.embedded:,} embedded, {done.known:,} known already; {count(done.changed, 'item', 'is')} new or changed",
        *_replaced(done.replaced),
        *([f"{count(done.pruned, 'item')} removed, because their files are gone"] if done.pruned else []),
        *_left_out(done.unreadable),
        f"{place} holds {count(done.items, 'item')} of {count(done.labels, 'label')}",
    ]
    return "\n".join(lines)


@with_printable_data
def sharded(done: Sharded, place: Path, share: tuple[int, int]) -> str:
    """What one share of an embedding did, and what the others have still to do."""
    whose = "" if share[1] == 1 else f"share {share[0] + 1} of {share[1]}: "
    lines = [
        f"{whose}{count(done.things, 'thing')} in {count(done.parts, 'part')}, {done.written} of them written, the "
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
    return [f"{SIGNS['warning']} {whose}: right for files that changed; for a second folder give --prefix"]


def _left_out(unreadable: Mapping[str, str], most: int = 3) -> list[str]:
    """The first few things that could not be read."""
    if not unreadable:
        return []
    lines = [f"{SIGNS['warning']} {count(len(unreadable), 'thing')} could not be read and {_are(unreadable)} left out:"]
    lines += [f"  {reason}" for reason in list(unreadable.values())[:most]]
    return lines + ([f"  and {len(unreadable) - most} more (--json names all)"] if len(unreadable) > most else [])


def _are(things: Mapping[str, str]) -> str:
    return "is" if len(things) == 1 else "are"


@with_printable_data
def found(result: Found) -> str:
    """What is most like a query, and whether anything is like it at all."""
    if result.unreadable is not None:
        return f"! {result.unreadable}"
    if result.threshold is None:
        said = "what is most like it; the bundle has no threshold that would say whether it is the same"
    else:
        words = {"same": "found", "unsure": "unsure", "different": "nothing like it"}
        said = (
            f"{words[result.decision or 'different']}, threshold {result.threshold:.4f}, "
            f"false-accept rate {result.far:g} per comparison ({result.standing})"
        )
    return "\n".join([f"{result.query}: {said}", *map(_hit, result.hits)])


def _hit(hit: Hit) -> str:
    sure = "" if hit.probability is None else f"  {hit.probability:.3f}"
    return f"  {hit.score:.4f}{sure}  {hit.label}" + (f"  {hit.id}" if hit.id != hit.label else "")


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


@with_printable_data
def inspection(found: Inspection) -> str:
    """What a check of an index found, and what its repair did."""
    lines = [findings(found.findings)] if found.findings else []
    lines += [f"repair: {line}" for line in found.repaired]
    if found.dropped:
        lines.append(f"dropped: {', '.join(found.dropped)}")
    lines.append(f"{count(found.items, 'whole item')}" + ("" if found.findings else ", all as it was written"))
    return "\n".join(lines)


@with_printable_data
def forgotten(receipt: Erasure) -> str:
    """What was erased."""
    who = ", ".join(receipt.labels) or "what was expired"
    told = f"forgot {who}: {count(len(receipt.ids), 'embedding')} erased ({', '.join(receipt.ids)})"
    if receipt.left is None:
        return f"{told}\n{receipt.note}" if receipt.note else told
    return (
        f"{told}\nlooked for {count(receipt.pieces, 'piece')} of them in {count(receipt.files, 'file')} "
        f"({count(receipt.searched, 'byte')}): {receipt.left} left"
    )


@with_printable_data
def audited(entries: Sequence[AuditEntry]) -> str:
    """The audit log, one line per entry."""
    if not entries:
        return "nothing is in the log"
    lines = [f"{e.number:6}  {e.at}  {e.event:8} {e.items:6}  {e.subject[:16] or 'all'}" for e in entries]
    return "\n".join(["number  time                       event     items  keyed hash of the label", *lines])


@with_printable_data
def migrated(done: Migration, index: str, new_index: str) -> str:
    """What was brought over, and what the bridge costs."""
    told = (
        f"{count(done.items, 'item')} of {index} are in {new_index} now: {done.embedded} embedded again, "
        f"{done.bridged} over a bridge"
    )
    if done.toll is None:
        return told
    cost = done.toll
    return (
        f"{told}\nthe bridge was fitted to {done.pairs} things; on identities that it has not seen, {cost.name} is "
        f"{_rate(cost.bridged)} over it and {_rate(cost.again)} when embedded again; the median score of a thing with "
        f"itself over the bridge is {cost.likeness:.3f}: no threshold is certified for that"
    )


def _rate(found: Estimate) -> str:
    return f"{found.value:.2%} [{found.low:.2%}, {found.high:.2%}]{said_of(found)}"

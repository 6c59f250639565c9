"""Verdicts and identifications in words."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from json import dumps
from pathlib import Path

from twofold.apps.public_rates import PublicRate
from twofold.data.delimited import written_rows
from twofold.data.pairs import Pairs
from twofold.printable import with_printable_data
from twofold.results import Hit, Identification, Verdict
from twofold.terminal.wording.doctor import SIGNS

__all__ = [
    "identification",
    "identified",
    "nearest",
    "to_calibrate",
    "verdict",
    "verdicts",
    "without_threshold",
]

NO_THRESHOLD = "no threshold yet"
"""What a bundle lacks that nobody has calibrated."""


@with_printable_data
def verdict(found: Verdict) -> str:
    """The decision, and how sure it is."""
    zone = (
        "" if found.reject_threshold is None else f", different below {found.reject_threshold:.4f}"
    )
    missed = "" if found.frr is None else f", false-reject rate {found.frr:g}"
    with_all = "" if found.references == 1 else f" with {found.references} references"
    return (
        f"{found.decision}: score {found.score:.4f}{with_all}, threshold {found.threshold:.4f}{zone}, "
        f"false-accept rate {found.far:g}{missed} ({found.standing}){_chance(found)}"
    )


def without_threshold(score: float, rate: PublicRate | None) -> str:
    """How alike two things are where no threshold says whether they are the same."""
    public = (
        ""
        if rate is None
        else f". On {rate.data}, {rate.far:.0%} of pairs of different identities reach "
        f"{rate.score:.4f}; that is an estimate, and may not hold for yours"
    )
    return f"unsure: score {score:.4f}, and {NO_THRESHOLD}{public}"


@with_printable_data
def nearest(query: str | None, found: Sequence[Hit] | str) -> str:
    """The enrolled identities most like a query where no threshold says whether it is one of them."""
    before = "" if query is None else f"{query}: "
    if isinstance(found, str):
        return f"! {found}"
    hits = [f"  {hit.score:.4f}  {hit.label}" for hit in found]
    return "\n".join([f"{before}unsure: {NO_THRESHOLD}. The most alike:", *hits])


def to_calibrate(bundle: Path) -> str:
    """The command that gives a bundle its threshold; one that stands for a word is written elsewhere."""
    elsewhere = "" if bundle.is_dir() else " --out BUNDLE"
    return (
        f"next: twofold calibrate {shlex.quote(str(bundle))} DATA --far 1e-2{elsewhere} "
        f"(DATA: identities that it has not seen, a folder with one sub-folder for each)"
    )


def _chance(found: Verdict) -> str:
    """The probability of "same" and what it depends on; nothing where it would seem to contradict the decision.

    The threshold keeps a false-accept rate, so that it need not lie where the probability is one
    half.
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
    with_all = "" if found.references == 1 else f" with {found.references} references"
    lines = [
        f"{who}: score {found.score:.4f}{with_all}, threshold {found.threshold:.4f}, {rate}, "
        f"{found.gallery} enrolled"
    ]
    if found.warning is not None:
        lines.append(f"{SIGNS['warning']} {found.warning}")
    return "\n".join(lines + [f"  {hit.score:.4f}  {hit.label}" for hit in found.candidates])


@with_printable_data
def identified(query: str, found: Identification | str) -> str:
    """Who one of many queries is."""
    return f"! {found}" if isinstance(found, str) else f"{query}: {identification(found)}"

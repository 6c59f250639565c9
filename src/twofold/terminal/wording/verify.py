"""Verdicts and identifications in words."""

from collections.abc import Sequence
from dataclasses import asdict
from json import dumps
from pathlib import Path

from twofold.apps.public_rates import PublicRate
from twofold.data.delimited import written_rows
from twofold.data.pairs import Pairs
from twofold.printable import with_printable_data
from twofold.results import Identification, Verdict
from twofold.terminal.wording.doctor import SIGNS

__all__ = ["identification", "identified", "verdict", "verdicts", "without_threshold"]


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


def without_threshold(score: float, rate: PublicRate, bundle: Path) -> str:
    """How alike two things are where no threshold says whether they are the same, and how to get one."""
    return (
        f"unsure: score {score:.4f}, and no threshold yet. On {rate.data}, {rate.far:.0%} of pairs "
        f"of different identities reach {rate.score:.4f}; that is an estimate, and may not hold "
        f"for yours\n"
        f"next: twofold calibrate {bundle} DATA --far {rate.far:g} --out BUNDLE (DATA: a folder "
        f"with one sub-folder per identity)"
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

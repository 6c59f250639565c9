"""A calibration in words: the threshold and what it promises."""

from pathlib import Path

from twofold.contract import CROSSFITTED, Calibration, Contract, OfReferences
from twofold.plurals import counted as count
from twofold.printable import with_printable_data
from twofold.results.measurements import SAYS_NOTHING
from twofold.terminal.next_steps import rejects_most
from twofold.terminal.wording.doctor import SIGNS
from twofold.terminal.wording.evaluate import rate

__all__ = ["calibrated"]


@with_printable_data
def calibrated(contract: Contract, out: Path | None) -> str:
    """The threshold and what it promises."""
    known = contract.calibration
    if known is None:
        return "not calibrated"
    promise = f"{known.standing}: the false-accept rate is at most {known.far:g} with {known.confidence:.0%} confidence"
    if not known.certified:
        promise = f"an estimate: nothing certifies that the false-accept rate is {known.far:g}{_could_be(known)}"
    whose = (
        "unseen identities"
        if known.method != CROSSFITTED
        else "identities, judged by cross-fitting"
    )
    return (
        f"threshold {known.threshold:.4f}, {promise}\n"
        f"{_rejection(known)}{_open_set(known)}{_variants(known)}{_alternatives(known)}{_skilled(known)}"
        f"from {f'{known.identities} {whose}' if known.identities else 'pairs without identities'}, "
        f"{known.genuine_pairs} genuine and {known.impostor_pairs} impostor "
        f"pairs; {rate(known.false_match)} of impostors accepted, {rate(known.false_non_match)} "
        f"of genuine rejected\n"
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
    promise = (
        f"at most {below.frr:g}, {known.standing}"
        if known.certified
        else f"{below.frr:g}, an estimate"
    )
    return (
        f"{zone}: false-reject rate of the answer different {promise}; {below.unsure_genuine:.2%} "
        f"of genuine and "
        f"{below.unsure_impostor:.2%} of impostors are left undecided\n"
    )


def _alternatives(known: Calibration) -> str:
    """What another standing would have cost; nothing where the data carry no other."""
    own = known.false_non_match.value
    return "".join(
        f"{each.standing} instead: threshold {each.threshold:.4f}, "
        f"{each.false_non_match_rate:.2%} of genuine pairs "
        f"rejected in place of {own:.2%} (--standing {each.standing})\n"
        for each in known.alternatives
    )


def _skilled(known: Calibration) -> str:
    """What skilled forgeries do at the threshold; nothing where there are none."""
    if known.skilled_false_match is None:
        return ""
    return (
        f"the rate is that of random impostors; of skilled forgeries "
        f"{rate(known.skilled_false_match)} are accepted\n"
    )


def _variants(known: Calibration) -> str:
    """The thresholds of groups and of normalised scores; nothing where there are none."""
    lines = []
    if known.normalised is not None:
        fair = known.normalised
        lines.append(
            f"verdicts go by scores normalised by a cohort of {fair.cohort} vectors"
            f"{', of the weaker side' if fair.side == 'weaker' else ''}: threshold "
            f"{fair.calibration.threshold:.4f} from "
            f"{count(fair.calibration.identities, 'other identity')}\n"
        )
    for each in known.deciding.groups:
        lines.append(f"group {each.name}: threshold {each.calibration.threshold:.4f}\n")
    lines += [_of_references(each) for each in known.deciding.references]
    return "".join(lines)


def _of_references(known: OfReferences) -> str:
    """The threshold for several references: what it promises, and what was measured at it."""
    found = known.calibration
    forgeries = found.skilled_false_match
    also = "" if forgeries is None else f" and {rate(forgeries)} of skilled forgeries"
    return (
        f"{known.count} references ({known.rule.fusion}): threshold {found.threshold:.4f} "
        f"({found.standing}), {rate(found.false_match)} of impostors{also} accepted, "
        f"{rate(found.false_non_match)} of genuine rejected\n"
    )


def _open_set(known: Calibration) -> str:
    """The threshold for one of many and what it promises; nothing where there is none."""
    many = known.deciding.open_set
    if many is None:
        return ""
    return (
        f"with {many.size} enrolled: threshold {many.threshold:.4f}, strangers are taken for "
        f"somebody at the rate "
        f"{many.fpir:g} at most ({many.standing}; measured {rate(many.false_positive)}), "
        f"{rate(many.false_negative)} of those enrolled are not found\n"
    )

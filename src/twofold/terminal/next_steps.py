"""The command that a step prints as the next one: it works for this bundle on this data, or is not printed."""

import itertools
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from twofold.admission import judging_pairs
from twofold.bundle import Bundle
from twofold.contract import Calibration
from twofold.data.items import Items
from twofold.data.pairs import Pairs
from twofold.errors import CannotCertify, IdentityOverlap, UnreadableInput
from twofold.metrics.certification import fewest_identities
from twofold.metrics.crossfit import CrossFit
from twofold.metrics.probability import probability_map
from twofold.metrics.verification import tally
from twofold.plurals import counted

__all__ = [
    "after_calibrating",
    "after_calibrating_on_pairs",
    "after_checking",
    "after_evaluating",
    "after_evaluating_pairs",
    "after_training",
    "after_training_on_pairs",
    "command",
    "rejects_most",
]

RATES = (1e-2, 2e-2, 5e-2, 1e-1, 2e-1)
"""False-accept rates that are proposed, the usual one first."""

MOST_REJECTED = 0.5
"""Share of genuine pairs; a threshold that rejects more of them is of little use, and the output says so."""

FALSE_ACCEPTS = 2.0
"""Pairs of identities times the rate that is proposed, at least. At one, the threshold is the highest score of a
stranger, which says little of the next stranger's."""


def command(*words: object) -> str:
    """A command line that a shell takes as it stands."""
    return shlex.join(["twofold", *(str(word) for word in words)])


def after_checking(
    recipe: str,
    data: Path,
    *,
    levels: int,
    settings: Sequence[str],
    columns: str | None = None,
    seed: int,
) -> str:
    """After `doctor`: train on the data, as it was looked at."""
    further = [] if columns is None else ["--columns", columns]
    further += [word for setting in settings for word in ("--set", setting)]
    further += ["--seed", seed] if seed else []
    out = Path("models") / (data.stem if data.suffix else data.name or "model")
    return "next: " + command("train", recipe, data, "-o", out, *_levels(levels), *further)


def after_training(bundle: Bundle, out: Path, data: Path, items: Items, *, levels: int) -> str:
    """After `train`: calibrate, at a rate that the identities kept aside can tell."""
    where = [out, data, *_levels(levels)]
    pairs, identities = _judging(bundle, items)
    rate = _rate(pairs)
    if bundle.crossfit is not None and not _tells_apart(bundle.crossfit):
        return (
            "! cross-fitted genuine pairs do not score higher than impostor pairs, so there is no "
            "threshold yet: train "
            f"longer (--set epochs={3 * bundle.training.get('epochs', 10)}), and look at the "
            f"labels\n"
            f"next: {command('index', *where[:2], _beside(out, '-index'), *where[2:])}"
        )
    if rate is None:
        kept = (
            "no identity was"
            if not identities
            else f"only {counted(identities, 'identity', 'was')}"
        )
        return (
            f"{kept} kept aside, so that this data gives no threshold: calibrate on other people "
            f"(products, ...), or "
            "train again with more of them\n"
            "without a threshold, what is most alike can be found:\n"
            f"next: {command('index', *where[:2], _beside(out, '-index'), *where[2:])}"
        )
    certain = bundle.crossfit is None and identities >= fewest_identities(RATES[0])
    estimate = [] if certain or bundle.crossfit is not None else ["--estimate"]
    return f"next: {command('calibrate', *where, '--far', f'{rate:g}', *estimate)}"


def after_calibrating(bundle: Bundle, out: Path, data: Path, items: Items, *, levels: int) -> str:
    """After `calibrate`: evaluate on identities that are left for it, else ask for a verdict."""
    where = [out, data, *_levels(levels)]
    if _can_evaluate(bundle, items):
        return f"next: {command('evaluate', *where)}"
    left = "no identity of this data is left to evaluate on: give data of others"
    return "\n".join(filter(None, [left, _verdict(bundle, out, items)]))


def after_training_on_pairs(bundle: Bundle, out: Path, data: Path, pairs: Pairs) -> str:
    """After `train` on a table of pairs: calibrate on those kept aside, at a rate that they can tell."""
    if "calibrate" not in bundle.provenance.parts or pairs.graded:
        kept = "the answers are graded" if pairs.graded else "no pair was kept aside"
        return (
            f"{kept}, so that this table gives no threshold; scores can be had without one:\n"
            f"next: {command('verify', out, '--pairs', data, '--scores-only')}"
        )
    part, _ = judging_pairs(bundle.provenance, pairs, "calibrate")
    identities, strangers = _strangers(part)
    rate = _rate(strangers)
    if rate is None:
        return (
            f"{strangers} pairs of different things were kept aside, too few for a threshold: "
            f"train on a larger table, "
            "or calibrate on a table of other people's pairs; scores can be had without one:\n"
            f"next: {command('verify', out, '--pairs', data, '--scores-only')}"
        )
    estimate = [] if identities >= fewest_identities(rate) else ["--estimate"]
    return f"next: {command('calibrate', out, data, '--far', f'{rate:g}', *estimate)}"


def after_calibrating_on_pairs(bundle: Bundle, out: Path, data: Path, pairs: Pairs) -> str:
    """After `calibrate` on a table of pairs: evaluate on those kept aside, else ask for verdicts."""
    part = (
        judging_pairs(bundle.provenance, pairs, "test")[0]
        if "test" in bundle.provenance.parts
        else None
    )
    if part is not None and len(part) < len(pairs) and len(np.unique(part.targets)) > 1:
        return f"next: {command('evaluate', out, data)}"
    return f"next: {command('verify', out, '--pairs', data)}"


def after_evaluating_pairs(out: Path, data: Path) -> str:
    """After `evaluate` on a table of pairs: the verdicts on them."""
    return f"next: {command('verify', out, '--pairs', data)}"


def _strangers(pairs: Pairs) -> tuple[int, int]:
    """Identities that pairs of different ones tell of, 0 where nobody says whose they are; and how many such pairs."""
    rows = np.flatnonzero(pairs.targets == 0)
    if pairs.identity is None:
        return 0, len(rows)
    ends = np.sort(
        [pairs.identity[pairs.index_a[rows]], pairs.identity[pairs.index_b[rows]]], axis=0
    )
    return len(np.unique(ends)), len(np.unique(ends, axis=1).T)


def _rate(pairs: float) -> float | None:
    """The smallest of the usual rates of which so many pairs of identities can tell something."""
    return next((rate for rate in RATES if pairs * rate >= FALSE_ACCEPTS), None)


def after_evaluating(bundle: Bundle, out: Path, data: Path, items: Items, *, levels: int) -> str:
    """After `evaluate`: a verdict on two files, or the threshold that is missing for one."""
    if bundle.calibration is None:
        return after_training(bundle, out, data, items, levels=levels)
    return _verdict(bundle, out, items)


def _verdict(bundle: Bundle, out: Path, items: Items) -> str:
    """`verify` of two files of one identity; nothing where the items are not files."""
    for code in np.unique(items.labels[~items.forged]):
        files = (items.values[place] for place in np.flatnonzero(items.labels == code).tolist())
        pair = tuple(itertools.islice((file for file in files if _readable(bundle, file)), 2))
        if len(pair) == 2:
            return f"next: {command('verify', out, *pair)}"
    return ""


def _readable(bundle: Bundle, file: object) -> bool:
    """Whether it is a file that the bundle can read: a sidecar beside the pictures is none."""
    try:
        bundle.twin.input.read(file)
    except UnreadableInput:
        return False
    return isinstance(file, Path)


def _tells_apart(scores: CrossFit) -> bool:
    """Whether a score means anything: else `calibrate` would refuse these scores."""
    try:
        probability_map(scores, tally(scores), prior=0.5, seed=0)
    except CannotCertify:
        return False
    return True


def _judging(bundle: Bundle, items: Items) -> tuple[int, int]:
    """Pairs of different identities that can calibrate, and how many identities that are."""
    if bundle.crossfit is not None:
        return bundle.crossfit.impostor_identity_pairs, bundle.crossfit.units
    try:
        count = len(bundle.part(items, "calibrate").identities)
    except IdentityOverlap:
        return 0, 0
    return count * (count - 1) // 2, count


def _can_evaluate(bundle: Bundle, items: Items) -> bool:
    try:
        part = bundle.part(items, "test")
    except IdentityOverlap:
        return bundle.crossfit is not None
    return len(part.identities) > 1 and not bundle.calibrated(part)


def _levels(levels: int) -> list[Any]:
    return ["--levels", levels] if levels != 1 else []


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def rejects_most(known: Calibration) -> str:
    """A line on what a threshold costs, where it rejects most genuine pairs; else nothing."""
    missed = known.false_non_match.value
    if missed < MOST_REJECTED:
        return ""
    return (
        f"! this threshold rejects {missed:.0%} of genuine pairs: train longer or on more "
        f"identities"
        + (", ask for a larger false-accept rate (--far)" if known.far < RATES[-1] else "")
        + ", or enrol several items of each identity\n"
    )

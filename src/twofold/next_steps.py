"""The command that a step prints as the next one: it works for this bundle on this data, or is not printed."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from twofold.bundle import Bundle
from twofold.contract import Calibration
from twofold.data.items import Items
from twofold.errors import CannotCertify, IdentityOverlap
from twofold.metrics.certification import fewest_identities
from twofold.metrics.crossfit import CrossFit
from twofold.metrics.probability import probability_map
from twofold.metrics.verification import tally
from twofold.plurals import counted

__all__ = [
    "after_calibrating",
    "after_checking",
    "after_evaluating",
    "after_training",
    "command",
    "rejects_most",
]

RATES = (1e-2, 2e-2, 5e-2, 1e-1, 2e-1)
"""False-accept rates that are proposed, the usual one first."""

MOST_REJECTED = 0.5
"""Share of genuine pairs; a threshold that rejects more of them is of little use, and the output says so."""

FEWEST_PAIRS = 5
"""Pairs of identities of which at least one in five is a false accept at the largest of the rates."""


def command(*words: object) -> str:
    """A command line that a shell takes as it stands."""
    return shlex.join(["twofold", *(str(word) for word in words)])


def after_checking(recipe: str, data: Path, *, levels: int, settings: Sequence[str], seed: int) -> str:
    """After `doctor`: train on the data, as it was looked at."""
    further = [word for setting in settings for word in ("--set", setting)]
    further += ["--seed", seed] if seed else []
    out = Path("models") / (data.stem if data.suffix else data.name or "model")
    return "next: " + command("train", recipe, data, "-o", out, *_levels(levels), *further)


def after_training(bundle: Bundle, out: Path, data: Path, items: Items, *, levels: int) -> str:
    """After `train`: calibrate, at a rate that the identities kept aside can tell."""
    where = [out, data, *_levels(levels)]
    pairs, identities = _judging(bundle, items)
    rate = next((rate for rate in RATES if pairs * rate >= 1.0), None)
    if bundle.crossfit is not None and not _tells_apart(bundle.crossfit):
        return (
            "! cross-fitted genuine pairs do not score higher than impostor pairs, so there is no threshold yet: train "
            "longer (--set epochs=N), and look at the labels\n"
            f"next: {command('index', *where[:2], _beside(out, '-index'), *where[2:])}"
        )
    if rate is None or pairs < FEWEST_PAIRS:
        kept = "no identity was" if not identities else f"only {counted(identities, 'identity', 'was')}"
        return (
            f"{kept} kept aside, so that this data gives no threshold: calibrate on other people (products, ...), or "
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
    return (
        "no identity of this data is left to evaluate on: give data of others\n" + asked
        if (asked := _verdict(out, items))
        else "no identity of this data is left to evaluate on: give data of others"
    )


def after_evaluating(bundle: Bundle, out: Path, data: Path, items: Items, *, levels: int) -> str:
    """After `evaluate`: a verdict on two files, or the threshold that is missing for one."""
    if bundle.calibration is None:
        return after_training(bundle, out, data, items, levels=levels)
    return _verdict(out, items)


def _verdict(out: Path, items: Items) -> str:
    """`verify` of two files of one identity; nothing where the items are not files."""
    for code in np.unique(items.labels[~items.forged]):
        places = np.flatnonzero(items.labels == code)
        if len(places) > 1 and all(isinstance(items.values[place], Path) for place in places[:2]):
            return f"next: {command('verify', out, *(items.values[place] for place in places[:2]))}"
    return ""


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
        f"! this threshold rejects {missed:.0%} of genuine pairs: train longer or on more identities, ask for a larger "
        "false-accept rate (--far), or enrol several items of each identity\n"
    )

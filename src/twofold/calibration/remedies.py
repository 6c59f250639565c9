"""What would be granted in place of what was refused: every rate and standing is tried before it is offered (law 6)."""

import math
from collections.abc import Iterator
from itertools import product

from twofold.calibration.standings import fewest_estimated, offer
from twofold.errors import CannotCertify
from twofold.metrics.certification import fewest_identities
from twofold.metrics.pairs import PairSource
from twofold.metrics.verification import Tally
from twofold.results import Standing

__all__ = ["LADDER", "larger", "more_aside", "remedies", "share_for"]

LADDER = (1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1, 2e-1)
"""Rates that are offered. At more than one error in five a threshold is of no use."""

FEWEST = 3
"""Identities: an interval leaves each of them out in turn, and what is left must hold two to compare."""

LARGEST_ASIDE = 0.5
"""Share of the identities that may be kept aside to calibrate: the others should learn."""

FEWER: dict[Standing, tuple[Standing, ...]] = {
    "guaranteed": ("guaranteed", "certified", "estimate"),
    "certified": ("certified", "estimate"),
    "estimate": ("estimate",),
}
"""What may take the place of each standing, the strongest first."""


def larger(rate: float) -> tuple[float, ...]:
    """The usual rates above one."""
    return tuple(each for each in LADDER if each > rate * 1.001)


def remedies(
    pairs: PairSource,
    counted: Tally,
    *,
    far: float,
    frr: float | None,
    confidence: float,
    standing: Standing | None,
) -> str:
    """The end of a refusal: which options `calibrate` would grant on these pairs, one for each standing.

    Args:
        counted: the tally of `pairs`.
        far, frr, confidence, standing: what was refused.
    """
    asked = standing or "certified"
    found = []
    for instead in FEWER[asked] if pairs.units >= FEWEST else ():
        for rate, missed in _rates(far, frr):
            if (instead, rate, missed) == (asked, far, frr) or (
                instead == "certified" and pairs.units < fewest_identities(rate)
            ):
                continue
            try:
                offer(instead, pairs, counted, far=rate, frr=missed, confidence=confidence)
            except CannotCertify:
                continue
            options = [
                *([] if rate == far else [f"--far {rate:g}"]),
                *([] if missed == frr else [f"--frr {missed:g}"]),
            ]
            found.append(" ".join([*options, *_option(instead, standing)]))
            break
    if not found:
        return "; no larger rate could be shown either"
    return f"; or calibrate with {', or with '.join(found)}"


def share_for(needed: int, identities: int) -> float | None:
    """The share of the identities with which so many calibrate; None where less than half would be left to train."""
    # half an identity more, since shares are rounded to whole identities
    share = math.ceil(100.0 * (needed + 0.5) / identities) / 100.0
    return share if share <= LARGEST_ASIDE else None


def more_aside(far: float, kept: int, identities: int, *, estimate: bool) -> str:
    """Where only a part of the data was kept aside to calibrate: how many, and the share that would be enough.

    Args:
        kept, identities: identities that calibrate, and all of the data.
        estimate: an estimate was asked for, which takes fewer than a certificate.
    """
    if kept == identities:
        return ""
    said = f". Only {kept} of the {identities} identities were kept aside to calibrate"
    needed = fewest_estimated(far) if estimate else fewest_identities(far)
    share = share_for(needed, identities)
    if share is None or kept >= needed:
        return said
    return f"{said}: train with --set split.calibrate={share:g} to have {needed}"


def _rates(far: float, frr: float | None) -> Iterator[tuple[float, float | None]]:
    """What was asked for, and larger rates, the nearest first."""
    fars = (far, *larger(far))
    frrs = (None,) if frr is None else (frr, *larger(frr))
    steps = sorted(product(range(len(fars)), range(len(frrs))), key=lambda step: (sum(step), step))
    yield from ((fars[far_step], frrs[frr_step]) for far_step, frr_step in steps)


def _option(instead: Standing, standing: Standing | None) -> list[str]:
    """How the command line asks for a standing."""
    if instead == "estimate":
        return (
            ["--estimate"]
            if standing == "estimate"
            else ["--estimate (measured, without a certificate)"]
        )
    return [] if instead == (standing or "certified") else [f"--standing {instead}"]

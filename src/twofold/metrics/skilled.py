"""Verification numbers against random impostors, and against skilled forgeries under names of their own."""

from dataclasses import replace

from twofold.metrics.pairs import AllPairs, Impostors, OneKind, PairSource
from twofold.metrics.sites import BySite
from twofold.metrics.verification import estimates
from twofold.results import Estimate

__all__ = ["SKILLED", "estimates_by_kind", "may_be_skilled", "of_kind"]

SKILLED = (
    "numbers called skilled_ are those of skilled forgeries, each compared with what it imitates; "
    "all others are those of random impostors"
)

CHANGED = ("eer", "auc", "tar_at_far", "false_match_rate")
"""Numbers that skilled forgeries change; genuine pairs are the same ones."""


def may_be_skilled(pairs: PairSource) -> bool:
    """Whether there may be skilled forgeries among these pairs; False where none can be one."""
    inner = pairs.pairs if isinstance(pairs, BySite) else pairs
    return not (isinstance(inner, AllPairs) and inner.one_kind)


def of_kind(pairs: PairSource, kind: Impostors) -> PairSource:
    """The genuine pairs and the impostor pairs of one kind; by site if they were.

    Pairs that are known to be of one kind are not looked through for the other.
    """
    if kind == "random" and not may_be_skilled(pairs):
        return pairs
    if isinstance(pairs, BySite):
        return BySite(OneKind(pairs.pairs, kind), pairs.sites)
    return OneKind(pairs, kind)


def estimates_by_kind(
    pairs: PairSource,
    *,
    far: float,
    threshold: float | None = None,
    confidence: float = 0.95,
    unit: str = "identity",
    seed: int = 0,
) -> dict[str, Estimate]:
    """Every number of `estimates` against random impostors; against skilled ones, if there are any, as skilled_*.

    Args:
        unit: "pair" if the identities are unknown, so that the kinds cannot be told apart.
    """

    def numbers(some: PairSource) -> dict[str, Estimate]:
        return estimates(
            some, far=far, threshold=threshold, confidence=confidence, unit=unit, seed=seed
        )

    if unit == "pair":  # both sides of every pair have one code
        return numbers(pairs)
    found = numbers(of_kind(pairs, "random"))
    if not may_be_skilled(pairs):
        return found
    skilled = of_kind(pairs, "skilled")
    if all(block.same.all() for block in skilled):
        return found
    for name, number in numbers(skilled).items():
        if name in CHANGED:
            found[f"skilled_{name}"] = replace(number, name=f"skilled_{name}")
    return found

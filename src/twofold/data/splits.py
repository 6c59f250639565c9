"""Identities into parts: no identity stands on two sides (law 2), and the order of rows does not matter."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from twofold.data.listing import natural, some
from twofold.errors import NotEnoughData, UsageError
from twofold.plurals import counted

__all__ = [
    "PARTS",
    "Groups",
    "deal_groups",
    "deal_identities",
    "part_names",
    "share_counts",
    "shuffled_names",
]

PARTS = ("train", "valid", "calibrate", "test")
# the parts that judge are served first: their names stay when only train and valid trade shares
_SERVED = ("test", "calibrate", "valid", "train")


def shuffled_names(names: Sequence[str], seed: int) -> list[str]:
    """Names in an order that depends on the seed and each name alone: sorted by SHA-256 of both."""

    def key(name: str) -> tuple[bytes, str]:
        return hashlib.sha256(f"{seed}\0{name}".encode()).digest(), name

    return sorted(names, key=key)


def share_counts(count: int, shares: Mapping[str, float], least: int) -> dict[str, int]:
    """How many of `count` things each part gets: largest remainders, then at least `least` where the share is not 0.

    Raises:
        UsageError: a share below 0, or shares that do not add up to 1.
        NotEnoughData: fewer things than the parts need.
    """
    if min(shares.values()) < 0 or abs(sum(shares.values()) - 1) > 1e-6:
        listed = ", ".join(f"{part}={share:g}" for part, share in shares.items())
        raise UsageError(
            f"shares must be 0 or more and add up to 1: {listed} add up to {sum(shares.values()):g}"
        )
    asked = [part for part, share in shares.items() if share > 0]
    if count < least * len(asked):
        raise NotEnoughData(
            f"{len(asked)} parts of at least {least} need {least * len(asked)}, there are {count}"
        )
    counts = {part: int(share * count + 1e-9) for part, share in shares.items()}
    by_remainder = sorted(asked, key=lambda part: counts[part] - shares[part] * count)
    for part in by_remainder[: count - sum(counts.values())]:
        counts[part] += 1
    for part in asked:
        while counts[part] < least:
            counts[part] += 1
            counts[max(asked, key=lambda other: counts[other])] -= 1
    return counts


def part_names(
    names: Sequence[str], *, shares: Mapping[str, float], seed: int, least: int
) -> dict[str, list[str]]:
    """Deal names out to the parts, naturally sorted within each."""
    counts = share_counts(len(names), shares, least)
    order = shuffled_names(names, seed)
    dealt: dict[str, list[str]] = {}
    for part in _SERVED:
        dealt[part] = sorted(order[: counts[part]], key=natural)
        order = order[counts[part] :]
    return {part: dealt[part] for part in PARTS}


def deal_identities(
    names: Sequence[str],
    paired: Bool[np.ndarray, " identities"],
    *,
    shares: Mapping[str, float],
    seed: int,
) -> dict[str, list[str]]:
    """Deal identities out; those with a genuine pair and those without are dealt apart.

    Raises:
        NotEnoughData: fewer than two identities with a genuine pair for a part.
    """
    with_pair = [name for name, has in zip(names, paired, strict=True) if has]
    without = [name for name, has in zip(names, paired, strict=True) if not has]
    try:
        pairs = part_names(with_pair, shares=shares, seed=seed, least=2)
    except NotEnoughData as error:
        raise NotEnoughData(
            f"identities with two items of one class: {error}. Give "
            "more identities, or set the share of a part that you can "
            "do without to 0 (split.valid, split.calibrate, split.test)"
        ) from error
    alone = part_names(without, shares=shares, seed=seed, least=0)
    return {part: pairs[part] + alone[part] for part in PARTS}


@dataclass(frozen=True, kw_only=True)
class Groups:
    """The group of each identity, as codes into the groups' names."""

    codes: Int[np.ndarray, " identities"]
    names: Sequence[str]


def deal_groups(
    names: Sequence[str],
    paired: Bool[np.ndarray, " identities"],
    *,
    group: Groups,
    shares: Mapping[str, float],
    seed: int,
) -> dict[str, list[str]]:
    """Deal identities out by whole groups.

    Raises:
        NotEnoughData: fewer groups than parts, or a part with fewer than two identities with a
            genuine pair.
    """
    try:
        dealt = part_names(group.names, shares=shares, seed=seed, least=1)
    except NotEnoughData as error:
        raise NotEnoughData(f"groups: {error}. Split by identity, or set shares to 0") from error
    part_of = {name: part for part, chosen in dealt.items() for name in chosen}
    of_identity = np.array([part_of[name] for name in group.names])[group.codes]
    identities: dict[str, list[str]] = {}
    for part, chosen in dealt.items():
        inside = of_identity == part
        if shares[part] > 0 and (count := int((inside & paired).sum())) < 2:
            raise NotEnoughData(
                f"the part {part!r} got the groups {some(chosen)} with "
                f"{counted(count, 'identity that has', plural='identities that have')} two items: "
                "it takes 2. Try another seed, or split by identity"
            )
        identities[part] = [names[place] for place in np.flatnonzero(inside).tolist()]
    return identities

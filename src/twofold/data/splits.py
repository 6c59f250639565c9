"""Identities into parts: no identity stands on two sides (law 2), and the order of rows does not matter."""

import hashlib
from collections.abc import Mapping, Sequence

from twofold.data.listing import natural
from twofold.errors import NotEnoughData, UsageError

__all__ = ["PARTS", "part_names", "share_counts", "shuffled_names"]

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

"""Pairs of items for pair losses, half genuine and half impostor; the same for the same seed and epoch (law 11)."""

import numpy as np
from jaxtyping import Int

from twofold.data.arrangement import another, runs, scattered, unranked
from twofold.errors import NotEnoughData, UsageError

__all__ = ["balanced_pairs"]

_PAIRS = 2
"""The first word of the seed, so that the batches of one seed (`data.batches`) are drawn apart from these."""


def balanced_pairs(
    labels: Int[np.ndarray, " n"],
    *,
    count: int,
    seed: int,
    epoch: int = 0,
    identity: Int[np.ndarray, " n"] | None = None,
    group: Int[np.ndarray, " n"] | None = None,
) -> tuple[Int[np.ndarray, " count"], Int[np.ndarray, " count"], Int[np.ndarray, " count"]]:
    """Pairs of items, genuine and impostor in turn, so that any even slice is half of each.

    Genuine pairs are drawn without repeats, from one epoch to the next as well, until all have been
    used; then anew in another order. The impostor pair after each genuine pair has the same first
    item, so that no item's identity tells the answer.

    Args:
        labels: class of each item.
        count: pairs, an even number.
        seed, epoch: the same give the same pairs.
        identity: where given, an impostor is of another identity, except that an item whose
            identity has forgeries (items of another class) meets one of those in every other
            impostor pair, by chance.
        group: where given, an impostor comes from the same group, if that holds another identity.

    Returns:
        first item, second item, and 1 for genuine, 0 for impostor.

    Raises:
        UsageError: an odd count.
        NotEnoughData: no genuine or no impostor pair.
    """
    if count < 2 or count % 2:
        raise UsageError(
            f"count={count}: half of the pairs are genuine, so it must be even and at least 2"
        )
    identity = labels if identity is None else identity
    if len(labels) == 0 or int(identity.min()) == int(identity.max()):
        raise NotEnoughData(
            "all items have one identity: impostor pairs need two. Give items of more identities"
        )
    rng = np.random.default_rng([_PAIRS, seed, epoch])
    first, second = _genuine(labels, count // 2, seed=seed, epoch=epoch)
    swap = rng.random(len(first)) < 0.5
    first, second = np.where(swap, second, first), np.where(swap, first, second)
    impostor = _impostors(first, labels, identity=identity, group=group, rng=rng)
    a = np.repeat(first, 2)
    b = np.stack([second, impostor], axis=1).ravel()
    return a, b, np.tile(np.array([1, 0]), len(first))


def _genuine(
    labels: Int[np.ndarray, " n"], count: int, *, seed: int, epoch: int
) -> tuple[Int[np.ndarray, " half"], Int[np.ndarray, " half"]]:
    order = np.argsort(labels, kind="stable")
    start, sizes = runs(labels[order])
    ends = np.cumsum(sizes * (sizes - 1) // 2)
    total = int(ends[-1])
    if not total:
        raise NotEnoughData(
            f"none of {len(sizes)} classes has two items, "
            "so there is no genuine pair: give more items"
        )
    places = epoch * count + np.arange(count)
    ranks = np.empty(count, dtype=np.int64)
    for cycle in np.unique(places // total).tolist():
        now = places // total == cycle
        ranks[now] = scattered(
            places[now] % total, total, np.random.default_rng([_PAIRS, seed, cycle, 0])
        )
    code = np.searchsorted(ends, ranks, side="right")
    rank = ranks - (ends[code] - sizes[code] * (sizes[code] - 1) // 2)
    low, high = unranked(rank)
    return order[start[code] + low], order[start[code] + high]


def _impostors(
    first: Int[np.ndarray, " m"],
    labels: Int[np.ndarray, " n"],
    *,
    identity: Int[np.ndarray, " n"],
    group: Int[np.ndarray, " n"] | None,
    rng: np.random.Generator,
) -> Int[np.ndarray, " m"]:
    anywhere = np.zeros_like(labels)
    chosen = another(first, anywhere if group is None else group, identity, rng=rng)
    missing = chosen < 0
    chosen[missing] = another(first[missing], anywhere, identity, rng=rng)
    if identity is labels:
        return chosen
    forgery = another(first, identity, labels, rng=rng)
    return np.where((forgery >= 0) & (rng.random(len(first)) < 0.5), forgery, chosen)

"""Which classes are hard to tell apart, from one vector per class; decided by (seed, epoch) alone, no N x N array."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

from twofold.errors import UsageError

__all__ = ["look_alikes", "near_groups"]

ROWS_AT_ONCE = 256
"""Rows of similarities that are held at once."""

RARE = 0.1
"""At most this share of the classes is suspected: where more stand so near, it is the network that cannot tell classes
apart yet, and not the labels that are wrong."""

_NEAR = 4  # the first word of the seed, as in batches.py


def near_groups(
    prototypes: Float[np.ndarray, "classes dim"],
    *,
    size: int,
    seed: int,
    epoch: int = 0,
    within: Float[np.ndarray, "classes"] | None = None,
) -> Int[np.ndarray, "classes"]:
    """Puts each class with those that are nearest to it into a group of `size`, to be told apart in one batch.

    Classes are taken in random order; one that has no group yet opens one, and the nearest classes
    without a group join it, nearest first, until it is full. The last groups may be smaller, and
    hold what is left, near or not. Another epoch begins elsewhere, so that a class meets different
    neighbours.

    Two classes whose prototypes are nearer to each other than the items of either class are to
    their own may be one identity under two labels: such look-alikes never stand in one group, since
    to push them apart would teach the network a mistake. The bound is the positive's own
    similarity, as for hard negatives in retrieval (Moreira et al. 2024, "NV-Retriever", section 3);
    see `look_alikes`.

    Args:
        prototypes: one vector per class, of unit length; zeros for a class that is not known yet.
            Unknown classes stand in groups of their own, by chance.
        size: classes per group, at least 2.
        seed, epoch: the same give the same groups.
        within: mean similarity of each class's items to its prototype; None: no class is kept from
            another.

    Returns:
        the group of each class, numbered from 0 in the order in which they were opened.

    Raises:
        UsageError: a size below 2.
    """
    if size < 2:
        raise UsageError(f"size={size}: a group of classes to tell apart needs at least 2")
    rng = np.random.default_rng([_NEAR, seed, epoch])
    order = rng.permutation(len(prototypes))
    known = np.asarray(prototypes.any(axis=1))
    bound = _bounds(prototypes, within, known)
    groups = np.full(len(prototypes), -1)
    opened = 0
    waiting = order[known[order]]
    while len(waiting):
        similarity = prototypes[waiting[:ROWS_AT_ONCE]] @ prototypes[waiting].T
        opened = _open_groups(
            similarity,
            waiting,
            groups,
            prototypes=prototypes,
            bound=bound,
            size=size,
            opened=opened,
        )
        waiting = waiting[groups[waiting] < 0]
    unknown = order[~known[order]]
    groups[unknown] = opened + np.arange(len(unknown)) // size
    return groups


def look_alikes(
    prototypes: Float[np.ndarray, "classes dim"], within: Float[np.ndarray, "classes"]
) -> tuple[Int[np.ndarray, "pairs 2"], Float[np.ndarray, "pairs"]]:
    """Pairs of classes that may be one identity under two labels, most alike first, and how similar they are.

    Classes a and b are suspected when s(a, b) > max(w(a), w(b), r): s is the similarity of their
    prototypes, w that of a class's items to its own prototype on average, and r the similarity to
    the nearest other class that a tenth of the classes exceed (RARE).

    Args:
        prototypes: one vector per class, of unit length; zeros for a class that is not known yet.
        within: mean similarity of each class's items to its prototype.
    """
    bound = _bounds(prototypes, within, np.asarray(prototypes.any(axis=1)))
    pairs, similar = [np.zeros((0, 2), np.int64)], [np.zeros(0, prototypes.dtype)]
    for start in range(0, len(prototypes), ROWS_AT_ONCE):
        similarity = prototypes[start : start + ROWS_AT_ONCE] @ prototypes[start:].T
        found = similarity > np.maximum(bound[start : start + ROWS_AT_ONCE, None], bound[start:])
        a, b = np.nonzero(np.triu(found, 1))
        pairs.append(np.stack([a, b], axis=1) + start)
        similar.append(similarity[a, b])
    together, score = np.concatenate(pairs), np.concatenate(similar)
    order = np.argsort(-score, kind="stable")
    return together[order], score[order]


def _bounds(
    prototypes: Float[np.ndarray, "classes dim"],
    within: Float[np.ndarray, "classes"] | None,
    known: Bool[np.ndarray, "classes"],
) -> Float[np.ndarray, "classes"]:
    """The similarity above which another class is suspected; that of a pair is the larger of its two."""
    if within is None or known.sum() < 2:
        return np.full(len(prototypes), np.inf, prototypes.dtype)
    among = prototypes[known]
    # every so many classes, 2,000 at most, say where a tenth of them has its nearest neighbour
    nearest = []
    sample = np.arange(0, len(among), max(1, len(among) // 2000))
    for start in range(0, len(sample), ROWS_AT_ONCE):
        rows = sample[start : start + ROWS_AT_ONCE]
        similarity = among[rows] @ among.T
        similarity[np.arange(len(rows)), rows] = -np.inf
        nearest.append(similarity.max(axis=1))
    # an order statistic is some pair's similarity: rounding must not decide about that pair
    rare = np.quantile(np.concatenate(nearest), 1 - RARE) + 1e-6
    return np.maximum(within, rare).astype(prototypes.dtype)


def _open_groups(
    similarity: Float[np.ndarray, "block waiting"],
    waiting: Int[np.ndarray, "waiting"],
    groups: Int[np.ndarray, "classes"],
    *,
    prototypes: Float[np.ndarray, "classes dim"],
    bound: Float[np.ndarray, "classes"],
    size: int,
    opened: int,
) -> int:
    """Lets the first waiting classes open groups, in turn; writes `groups`, returns how many are open."""
    free = np.ones(len(waiting), dtype=bool)
    for row in range(len(similarity)):
        if not free[row]:
            continue
        free[row] = False
        members = [row]
        for place in _nearest_first(similarity[row], free, 4 * size):
            if len(members) == size:
                break
            joined = waiting[members]
            alike = prototypes[joined] @ prototypes[waiting[place]]
            if (alike <= np.maximum(bound[joined], bound[waiting[place]])).all():
                members.append(place)
                free[place] = False
        groups[waiting[members]] = opened
        opened += 1
    return opened


def _nearest_first(
    similarity: Float[np.ndarray, "waiting"], free: Bool[np.ndarray, "waiting"], first: int
) -> Iterator[int]:
    """Places of the free classes, nearest first: the first few are looked for alone, all of them only where asked."""
    places = np.flatnonzero(free)
    away = -similarity[places]
    if len(places) > first:
        edge = np.partition(away, first)[first]
        front = places[away < edge]
        yield from front[np.argsort(-similarity[front], kind="stable")]
        places = places[away >= edge]
    yield from places[np.argsort(-similarity[places], kind="stable")]

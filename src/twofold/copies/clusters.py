"""Groups that do not chain: every member is near the one that is kept."""

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

import numpy as np
from jaxtyping import Float, Int

__all__ = ["Alike", "Star", "star_groups"]

Alike = Callable[[int, Int[np.ndarray, "m"]], Float[np.ndarray, "m"]]
"""Scores with the one that is kept; minus infinity for what is not near it."""


@dataclass(frozen=True, kw_only=True)
class Star:
    """Positions of one group: the kept one, and the others, the most alike first, with their scores to the kept one."""

    kept: int
    others: tuple[int, ...]
    scores: tuple[float, ...]


def star_groups(
    pairs: Int[np.ndarray, "pairs 2"],
    scores: Float[np.ndarray, "pairs"],
    *,
    rank: Int[np.ndarray, "n"],
    same: Int[np.ndarray, "n"],
    alike: Alike | None = None,
) -> list[Star]:
    """The first in rank takes everything near it; the next takes what is left near it, and so on.

    What is near a copy but not near the one that is kept stands for itself: nothing is discarded
    for being like something that is discarded. The result depends on the pairs and ranks only, not
    on their order.

    Args:
        pairs: near ones. rank: the lowest is preferred; all different.
        same: the position that stands for each in `pairs`, one for all of a crowd.
        alike: scores of a crowd's members with the one that is kept; None: members are equal in
            content, and as near as what stands for them.

    Returns:
        groups of two or more, in the order of the positions that are kept.
    """
    crowds = _crowds(rank, same)
    node, near, values = _both_ways(same[pairs], scores)
    start = np.searchsorted(node, np.arange(len(same) + 1))
    free = np.ones(len(same), bool)
    waiting = [(int(rank[crowds.get(each, [each])[0]]), each) for each in {*node.tolist(), *crowds}]
    heapify(waiting)
    groups = []
    while waiting:
        first, here = heappop(waiting)
        kept = next((place for place in crowds.get(here, [here]) if free[place]), None)
        if kept is None:
            continue
        if rank[kept] != first:  # the preferred of this crowd has gone to another's group
            heappush(waiting, (int(rank[kept]), here))
            continue
        free[kept] = False
        part = slice(start[here], start[here + 1])
        beside = dict(zip([here, *near[part].tolist()], [1.0, *values[part].tolist()], strict=True))
        members = {
            place: value
            for each, value in beside.items()
            for place in crowds.get(each, [each])
            if free[place]
        }
        if alike is not None and not crowds.keys().isdisjoint(beside):
            asked = len(members)
            members = _near_enough(kept, members, alike)
            for each in crowds.keys() & beside.keys():
                # else it is not a crowd: its members stand for themselves
                if each != here or 2 * len(members) >= asked:
                    heappush(waiting, (int(rank[crowds[each][0]]), each))
        free[list(members)] = False
        if members:
            order = sorted(members, key=lambda place: (-members[place], rank[place]))
            scored = tuple(members[place] for place in order)
            groups.append(Star(kept=kept, others=tuple(order), scores=scored))
    return sorted(groups, key=lambda group: group.kept)


def _near_enough(kept: int, members: dict[int, float], alike: Alike) -> dict[int, float]:
    if not members:
        return members
    scores = alike(kept, np.fromiter(members, np.int64)).tolist()
    return {place: score for place, score in zip(members, scores, strict=True) if score > -np.inf}


def _both_ways(
    pairs: Int[np.ndarray, "pairs 2"], scores: Float[np.ndarray, "pairs"]
) -> tuple[Int[np.ndarray, "m"], Int[np.ndarray, "m"], Float[np.ndarray, "m"]]:
    """(node, other, score), each pair from either end, once, with its best score; sorted."""
    apart = pairs[:, 0] != pairs[:, 1]
    ends = np.concatenate([pairs[apart], pairs[apart][:, ::-1]])
    values = np.concatenate([scores[apart], scores[apart]])
    order = np.lexsort((-values, ends[:, 1], ends[:, 0]))
    ends, values = ends[order], values[order]
    first = np.ones(len(ends), bool)
    first[1:] = (ends[1:] != ends[:-1]).any(axis=1)
    return ends[first, 0], ends[first, 1], values[first]


def _crowds(rank: Int[np.ndarray, "n"], same: Int[np.ndarray, "n"]) -> dict[int, list[int]]:
    """What stands for several -> its members, the preferred first."""
    crowds: dict[int, list[int]] = {}
    for place in np.flatnonzero(same != np.arange(len(same))).tolist():
        node = int(same[place])
        crowds.setdefault(node, [node]).append(place)
    return {node: sorted(places, key=lambda place: rank[place]) for node, places in crowds.items()}

"""Groups that do not chain: every member is near the one that is kept."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

__all__ = ["Star", "star_groups"]


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
) -> list[Star]:
    """The first in rank keeps all that are near it and not taken yet; then the next; and so on.

    What is near a copy but not near the one that is kept stands for itself, so that nobody is thrown away for being
    like something that is thrown away. The result depends on the pairs and ranks only, not on their order.

    Args:
        pairs: near ones.
        rank: who is preferred, the lowest first; all different.
        same: of each position one that is equal to it in content, the same for all of them.

    Returns:
        groups of two and more, in the order of the positions of those kept.
    """
    best, equal = _equals(rank, same)
    node, near, alike = _both_ways(same[pairs], scores)
    start = np.searchsorted(node, np.arange(len(same) + 1))
    nodes = np.union1d(node, np.array(list(equal), np.int64))
    taken = np.zeros(len(same), bool)
    groups = []
    for here in nodes[np.argsort(rank[best[nodes]])].tolist():
        if taken[here]:
            continue
        part = slice(start[here], start[here + 1])
        free = ~taken[near[part]]
        others, values = near[part][free].tolist(), alike[part][free].tolist()
        taken[[here, *others]] = True
        kept = int(best[here])
        members = [(each, 1.0) for each in equal.get(here, [here]) if each != kept]
        members += [(each, value) for o, value in zip(others, values, strict=True) for each in equal.get(o, [o])]
        members.sort(key=lambda member: (-member[1], rank[member[0]]))
        if members:
            groups.append(Star(kept=kept, others=tuple(m[0] for m in members), scores=tuple(m[1] for m in members)))
    return sorted(groups, key=lambda group: group.kept)


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


def _equals(
    rank: Int[np.ndarray, "n"], same: Int[np.ndarray, "n"]
) -> tuple[Int[np.ndarray, "n"], dict[int, list[int]]]:
    """Of each node the preferred of its equals; and the equals of each node that has some."""
    best = np.arange(len(same))
    equal: dict[int, list[int]] = {}
    for place in np.flatnonzero(same != np.arange(len(same))).tolist():
        node = int(same[place])
        equal.setdefault(node, [node]).append(place)
        if rank[place] < rank[best[node]]:
            best[node] = place
    return best, equal

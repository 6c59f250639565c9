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
    neighbours: dict[int, dict[int, float]] = {}
    for (one, other), score in zip(same[pairs].tolist(), scores.tolist(), strict=True):
        if one == other:
            continue
        for here, there in ((one, other), (other, one)):
            near = neighbours.setdefault(here, {})
            near[there] = max(score, near.get(there, score))
    nodes = set(neighbours) | set(equal)
    taken: set[int] = set()
    groups = []
    for node in sorted(nodes, key=lambda node: rank[best[node]]):
        if node in taken:
            continue
        free = [(other, score) for other, score in neighbours.get(node, {}).items() if other not in taken]
        taken |= {node, *(other for other, _ in free)}
        members = [(each, 1.0) for each in equal.get(node, [node])]
        members += [(each, score) for other, score in free for each in equal.get(other, [other])]
        kept = int(best[node])
        others = sorted((m for m in members if m[0] != kept), key=lambda m: (-m[1], rank[m[0]]))
        if others:
            groups.append(Star(kept=kept, others=tuple(m[0] for m in others), scores=tuple(m[1] for m in others)))
    return sorted(groups, key=lambda group: group.kept)


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

"""Connected components: what is linked by pairs, directly or through others."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Int

__all__ = ["components"]


def components(
    count: int,
    first: Iterable[int] | Int[np.ndarray, " links"],
    second: Iterable[int] | Int[np.ndarray, " links"],
) -> Int[np.ndarray, " count"]:
    """The smallest number of the component of each of `count` things, of which first[i] and second[i] are linked.

    A union-find with path halving (Tarjan and van Leeuwen 1984).
    """
    root = list(range(count))

    def find(thing: int) -> int:
        while root[thing] != thing:
            root[thing] = root[root[thing]]
            thing = root[thing]
        return thing

    for one, other in zip(first, second, strict=True):
        low, high = sorted((find(int(one)), find(int(other))))
        root[high] = low
    return np.array([find(thing) for thing in range(count)], np.int64)

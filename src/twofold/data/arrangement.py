"""The counting behind the plans of batches: kinds in rows without repeats, runs, ranks, random permutations."""

import numpy as np
from jaxtyping import Int, Shaped

__all__ = ["another", "arranged", "runs", "scattered", "turns", "unranked"]


def runs(
    ordered: Shaped[np.ndarray, " n"],
) -> tuple[Int[np.ndarray, " runs"], Int[np.ndarray, " runs"]]:
    """Where each run of equal values in an ordered array begins, and how long it is."""
    begins = np.ones(len(ordered), dtype=bool)
    begins[1:] = ordered[1:] != ordered[:-1]
    start = np.flatnonzero(begins)
    return start, np.diff(start, append=len(ordered))


def arranged(
    draws: Int[np.ndarray, " kinds"], size: int, rng: np.random.Generator
) -> Int[np.ndarray, "rows size"]:
    """Rows of `size` different kinds, in which each kind stands as often as it is drawn, as far as that can be.

    There can be R rows if sum(min(draws, R)) >= size * R; the largest R is taken, kinds drawn more
    often than R are cut to R, and fewer than `size` surplus draws are left out at random. Kinds in
    random order then take the rows of one random permutation after the other; a permutation begins
    with rows that a kind that straddles two has not yet.
    """
    rows = _most_rows(draws, size)
    kinds = np.repeat(np.arange(len(draws)), np.minimum(draws, rows))
    surplus = rng.choice(len(kinds), len(kinds) - size * rows, replace=False)
    kept = np.bincount(np.delete(kinds, surplus), minlength=len(draws))
    kinds = rng.permutation(len(draws))
    sequence = np.repeat(kinds, kept[kinds]).reshape(size, rows)
    plan = np.empty((rows, size), dtype=np.int64)
    taken = np.empty(0, dtype=np.int64)
    for column in range(size):
        straddles = int((sequence[column] == sequence[column - 1, -1]).sum()) if column else 0
        before = int((sequence[column - 1] == sequence[column, 0]).sum()) if straddles else 0
        order = _order_of_rows(rows, taken[len(taken) - before :], straddles, rng=rng)
        plan[order, column] = sequence[column]
        taken = order
    return plan[rng.permutation(rows)]


def _order_of_rows(
    rows: int, used: Int[np.ndarray, " used"], first: int, *, rng: np.random.Generator
) -> Int[np.ndarray, " rows"]:
    """A random permutation of the rows whose `first` entries are none of the used ones."""
    order = rng.permutation(rows)
    if not first:
        return order
    free = ~np.isin(order, used)
    front = order[free][:first]
    return np.concatenate([front, order[~np.isin(order, front)]])


def _most_rows(draws: Int[np.ndarray, " kinds"], size: int) -> int:
    """The largest R with sum(min(draws, R)) >= size * R; the left side is concave in R, so halving finds it."""
    low, high = 1, int(draws.sum()) // size + 1
    while high - low > 1:
        middle = (low + high) // 2
        if np.minimum(draws, middle).sum() >= size * middle:
            low = middle
        else:
            high = middle
    return low


def turns(kinds: Int[np.ndarray, " m"]) -> Int[np.ndarray, " m"]:
    """How many times the same kind stood before: 0 for the first."""
    order = np.argsort(kinds, kind="stable")
    start, count = runs(kinds[order])
    turn = np.empty(len(kinds), dtype=np.int64)
    turn[order] = np.arange(len(kinds)) - np.repeat(start, count)
    return turn


def unranked(rank: Int[np.ndarray, " m"]) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]:
    """The rank-th of the pairs (0, 1), (0, 2), (1, 2), (0, 3), ...: pair (i, j) has rank j (j - 1) / 2 + i."""
    high = ((1 + np.sqrt(1 + 8 * rank.astype(np.float64))) / 2).astype(np.int64)
    high -= high * (high - 1) // 2 > rank  # the square root may round up
    high += high * (high + 1) // 2 <= rank  # or down
    return rank - high * (high - 1) // 2, high


def scattered(
    places: Int[np.ndarray, " m"], total: int, rng: np.random.Generator
) -> Int[np.ndarray, " m"]:
    """A random permutation of range(total), evaluated at some places only: memory for the places, not for `total`.

    Four Feistel rounds on the next even power of two, walked until inside the range (Black &
    Rogaway 2002, "Ciphers with arbitrary finite domains"). For shuffling, not for secrets.
    """
    half = max(1, (total - 1).bit_length() + 1 >> 1)
    mask = np.uint64((1 << half) - 1)
    keys = rng.integers(1 << 62, size=4, dtype=np.uint64)
    values = places.astype(np.uint64)
    outside = np.ones(len(values), dtype=bool)
    while outside.any():
        left, right = values[outside] >> np.uint64(half), values[outside] & mask
        for key in keys:
            mixed = (right + key) * np.uint64(0x9E3779B97F4A7C15)
            mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
            left, right = right, left ^ ((mixed >> np.uint64(32)) & mask)
        values[outside] = (left << np.uint64(half)) | right
        outside = values >= total
    return values.astype(np.int64)


def another(
    first: Int[np.ndarray, " m"],
    inside: Int[np.ndarray, " n"],
    unlike: Int[np.ndarray, " n"],
    *,
    rng: np.random.Generator,
) -> Int[np.ndarray, " m"]:
    """For each first item a random item with the same `inside` and another `unlike`; -1 where there is none.

    Sorted by (inside, unlike), the forbidden items are one block inside the allowed range: no
    rejection is needed.
    """
    if not len(first):
        return first
    order = np.lexsort((unlike, inside))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    at = place[first]
    range_first, range_count = _block(inside[order], at)
    both = inside * (int(unlike.max()) + 1) + unlike
    block_first, block_count = _block(both[order], at)
    free = range_count - block_count
    draw = range_first + (rng.random(len(first)) * free).astype(np.int64)
    draw += np.where(draw >= block_first, block_count, 0)
    return np.where(free > 0, order[np.minimum(draw, len(order) - 1)], -1)


def _block(
    ordered: Int[np.ndarray, " n"], at: Int[np.ndarray, " m"]
) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]:
    """The run of equal values that each place of an ordered array lies in: where it begins, and how long it is."""
    start, count = runs(ordered)
    run = np.repeat(np.arange(len(start)), count)[at]
    return start[run], count[run]

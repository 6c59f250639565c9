"""Crowds: many vectors that are all near each other, so that one can stand for them and their pairs need no list."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

from twofold.copies.cells import Space

__all__ = ["without_crowds"]

CROWD = 64
"""Vectors within half the threshold's distance of one; fewer are compared pair by pair."""

TRIED = 16
"""Rows tried as the centre of a crowd; the one with the most rows around it is taken."""

SAMPLE = 512
"""Rows on which the size of a crowd is estimated."""

ROWS_AT_ONCE = 1 << 14
"""Rows compared with a centre at once: 17 MB of 256 numbers in float32."""


def without_crowds(
    space: Space,
    cells: Sequence[Int[np.ndarray, "_"]],
    same: Int[np.ndarray, "n"],
    *,
    since: int,
    seed: int,
) -> Int[np.ndarray, "n"]:
    """`same`, with each new row (from `since` on) of a crowd set to the one that stands for it.

    Rows within half the distance of one row are near each other, so no pair among them is lost. A
    row near some members of a crowd, but not near the one that stands for it, is not paired with
    the crowd.

    Args:
        cells: rows that meet, ascending, in each cell. same: who stands for whom already; those
            stay.
    """
    same = same.copy()
    leads = np.zeros(len(same), bool)
    leads[same[:since][same[:since] != np.arange(since)]] = True
    generator = np.random.default_rng(seed)
    for cell in cells:
        if len(cell) < CROWD or cell[-1] < since:
            continue
        left = _alone(cell, same)
        for lead in left[leads[left]].tolist():  # of an earlier call, or met in another cell
            _join(space, lead, left, same=same, leads=leads, since=since)
            left = _alone(left, same)
        while len(left) >= CROWD:
            lead = _middle(space, left[~leads[left]], generator)
            if lead is None or not _join(space, lead, left, same=same, leads=leads, since=since):
                break
            left = _alone(left, same)
    return same[same]  # rows equal to one that was merged follow it


def _alone(cell: Int[np.ndarray, "m"], same: Int[np.ndarray, "n"]) -> Int[np.ndarray, "_"]:
    return cell[same[cell] == cell]


def _middle(space: Space, rows: Int[np.ndarray, "m"], generator: np.random.Generator) -> int | None:
    """The row with the most others around it, judged on a sample; None if they are fewer than a crowd."""
    if len(rows) < CROWD:
        return None
    tried = generator.choice(rows, min(TRIED, len(rows)), replace=False)
    sample = generator.choice(rows, min(SAMPLE, len(rows)), replace=False)
    about = _inside(space, tried, sample).sum(axis=1)
    best = int(about.argmax())
    return int(tried[best]) if about[best] * len(rows) >= CROWD * len(sample) else None


def _join(
    space: Space,
    lead: int,
    cell: Int[np.ndarray, "m"],
    *,
    same: Int[np.ndarray, "n"],
    leads: Bool[np.ndarray, "n"],
    since: int,
) -> int:
    """Merge the new rows of a cell that lie around `lead` into its crowd; how many there are."""
    others = cell[(cell >= since) & ~leads[cell] & (cell != lead)]
    about = [others[start : start + ROWS_AT_ONCE] for start in range(0, len(others), ROWS_AT_ONCE)]
    about = [part[_inside(space, np.array([lead]), part)[0]] for part in about]
    for part in about:
        same[part] = lead
    joined = sum(map(len, about))
    leads[lead] |= joined > 0
    return joined


def _inside(
    space: Space, rows: Int[np.ndarray, "m"], others: Int[np.ndarray, "k"]
) -> Bool[np.ndarray, "m k"]:
    """Whether they are half as far apart as the threshold allows, or less."""
    return space.sides(space.plain(rows))[0] @ space.sides(space.plain(others))[1].T >= space.half

"""The outline of a region of pixels as polygons, from its runs: time and memory as its outline is long."""

import numpy as np
from jaxtyping import Float, Int64

__all__ = ["outline", "signed_area", "turned"]


def outline(runs: Int64[np.ndarray, "runs 3"]) -> list[Int64[np.ndarray, "corners 2"]]:
    """The rings of one region whose pixels touch by their sides: its outside, then its holes.

    Args:
        runs: (row, first column, one more than the last), in order.

    Returns:
        Corners (x, y) = (column, row) of pixels, closed: the last is the first. Where two of its
        pixels touch only by a corner, a hole and the outside touch there: no ring crosses itself.
    """
    corners, ranks = _corners(runs)
    across = _partners(len(corners))
    order = np.lexsort((ranks, corners[:, 1], corners[:, 0]))
    down = np.empty(len(corners), np.int64)
    down[order] = order[_partners(len(corners))]
    rings = [corners[ring] for ring in _cycles(across.tolist(), down.tolist())]
    rings.sort(key=lambda ring: -abs(signed_area(ring.astype(np.float64))))
    return rings


def signed_area(ring: Float[np.ndarray, "corners 2"]) -> float:
    """Of a closed ring; positive where it runs counter-clockwise, with y upwards."""
    x, y = (ring - ring[0]).T
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)


def _corners(
    runs: Int64[np.ndarray, "runs 3"],
) -> tuple[Int64[np.ndarray, "corners 2"], Int64[np.ndarray, "corners"]]:
    """The corners, each two that follow each other the ends of a level side; and how doubles are ordered.

    A level side lies where a row and the one above it differ. A corner that two sides share, where
    pixels touch only there, stands twice; the second number of a double says which of them
    belongs to the upright side above it.
    """
    row, start, end = runs.T
    x = np.concatenate([start, end, start, end])
    y = np.concatenate([row, row, row + 1, row + 1])
    # whether it is an end of a run above the line
    closes = np.repeat([0, 0, 0, 1], len(row))
    order = np.lexsort((x, y))
    x, y, closes = x[order], y[order], closes[order]
    same = np.flatnonzero((x[:-1] == x[1:]) & (y[:-1] == y[1:]))
    # equal ends one above the other do not make a corner: they close a pair that begins with the first
    gone = same[same % 2 == 0]
    kept = np.ones(len(x), bool)
    kept[gone] = kept[gone + 1] = False
    rank = np.zeros(len(x), np.int64)
    doubles = same[same % 2 == 1]
    left_above = (closes[doubles] | closes[doubles + 1]).astype(bool)
    rank[doubles] = np.where(left_above, 1, 0)
    rank[doubles + 1] = np.where(left_above, 0, 1)
    return np.stack([x, y], axis=1)[kept], rank[kept]


def _partners(count: int) -> Int64[np.ndarray, "count"]:
    """Of each of (0, 1), (2, 3), ... the other."""
    return np.arange(count) ^ 1


def _cycles(across: list[int], down: list[int]) -> list[list[int]]:
    """Closed ways along level and upright sides in turn."""
    seen = [False] * len(across)
    found = []
    for start in range(len(across)):
        if seen[start]:
            continue
        ring, at = [], start
        while not seen[at]:
            other = across[at]
            seen[at] = seen[other] = True
            ring += [at, other]
            at = down[other]
        ring.append(start)
        found.append(ring)
    return found


def turned(
    ring: Float[np.ndarray, "corners 2"], *, counter_clockwise: bool
) -> Float[np.ndarray, "corners 2"]:
    """A closed ring in the wanted direction, as RFC 7946 asks: outsides counter-clockwise, holes clockwise."""
    return ring if (signed_area(ring) > 0) == counter_clockwise else ring[::-1]

"""What the page of a map shows: both dates in small, the map over them, and the largest changes in full."""

import numpy as np
from jaxtyping import Float, UInt8

from twofold.maps.dates import Dates
from twofold.maps.output import MapWriter
from twofold.maps.overview import overview, stretch, stretched
from twofold.maps.work import Work
from twofold.metrics.spatial import NOTHING
from twofold.report.swipe_page import Closeup, Swipe, swipe_page
from twofold.results import Change, Region

__all__ = ["LONGEST", "page_of"]

LONGEST = 1400
"""Pixels of the longer side of a picture that the page swipes: as wide as a large window, half a megabyte."""

CLOSEUPS = 12
"""Regions that are shown closely, 30 kilobytes each."""

CLOSE = 256
"""Pixels of the longer side of such a picture; larger regions are shown smaller."""

AROUND = 24
"""Pixels shown around a region, at least."""


def page_of(result: Change, dates: Dates, work: Work, writer: MapWriter) -> str:
    """The page, as HTML."""
    factor = writer.factor or 1
    small = [overview(source, factor) for source in (dates.before, dates.after)]
    bounds = [stretch(each, dates.before.dtype) for each in small]
    shown = [stretched(*each) for each in zip(small, bounds, strict=True)]
    closeups = tuple(
        _closeup(dates, work, region, threshold=writer.threshold, bounds=bounds)
        for region in result.largest[:CLOSEUPS]
    )
    names = [str(each.path.name if each.path else "") for each in (dates.before, dates.after)]
    swipe = Swipe(
        before=shown[0],
        after=shown[1],
        changed=writer.overview > 0,
        factor=factor,
        closeups=closeups,
        names=(names[0] or "before", names[1] or "after"),
    )
    return swipe_page(result, swipe)


def _closeup(
    dates: Dates,
    work: Work,
    region: Region,
    *,
    threshold: int,
    bounds: list[Float[np.ndarray, "2 colours"]],
) -> Closeup:
    box = _box(region.box, dates.size)
    factor = max(1, -(-max(box[2] - box[0], box[3] - box[1]) // CLOSE))
    pictures: list[UInt8[np.ndarray, "rows columns 3"]] = [
        stretched(overview(source, factor, box), limits)
        for source, limits in zip((dates.before, dates.after), bounds, strict=True)
    ]
    levels = work.window(box)
    changed = (levels >= threshold) & (levels != NOTHING)
    return Closeup(
        before=pictures[0], after=pictures[1], changed=_smaller(changed, factor), region=region
    )


def _smaller(changed: np.ndarray, factor: int) -> np.ndarray:
    """Whether any pixel of each square has changed."""
    steps = [np.arange(0, side, factor) for side in changed.shape]
    return np.logical_or.reduceat(np.logical_or.reduceat(changed, steps[0], 0), steps[1], 1)


def _box(box: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """A box with something around it, square where the scene allows."""
    side = max(box[2] - box[0], box[3] - box[1])
    side += 2 * max(AROUND, side // 4)
    first, last = [], []
    for axis in (0, 1):
        length = min(side, size[axis])
        start = (box[axis] + box[axis + 2] - length) // 2
        start = min(max(start, 0), size[axis] - length)
        first.append(start)
        last.append(start + length)
    return first[0], first[1], last[0], last[1]

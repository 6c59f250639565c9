"""Whether two rasters show one place on one grid: what must agree before their pixels are compared."""

import numpy as np

from twofold.errors import DataError, UsageError
from twofold.inputs.raster_source import Place, Source
from twofold.results import Shift

__all__ = ["NOTABLE_SHIFT", "check_pair", "check_shift", "told"]

SAME_PLACE = 0.01
"""Pixels by which two transforms may differ: rounding of coordinates in files."""

NOTABLE_SHIFT = 1.0
"""Pixels: from here on edges of what stands still are taken for change (Dai & Khorram 1998: a fifth of
a pixel costs a tenth of the accuracy)."""

LARGEST_SHIFT = 5.0
"""Pixels: beyond, small objects do not overlap any more, and a map tells of the shift."""

MAJORITY = 0.5
"""Share of the windows that must agree before a shift is believed."""


def check_pair(before: Source, after: Source) -> None:
    """See that sizes, bands, depth, CRS and transform agree.

    Raises:
        DataError: with what differs, and what brings it together.
    """
    one, other = (str(each.path or name) for each, name in ((before, "BEFORE"), (after, "AFTER")))
    for source, name in ((before, one), (after, other)):
        if source.transform is not None and (source.transform[1] or source.transform[3]):
            raise DataError(
                f"{name} is rotated against its CRS (transform {source.transform}): warp both dates "
                f"to one north-up grid (gdalwarp)"
            )
    if (before.height, before.width) != (after.height, after.width):
        raise DataError(
            f"{one} has {before.width} x {before.height} pixels and {other} {after.width} x "
            f"{after.height}: cut or warp them to one grid"
        )
    if before.bands != after.bands:
        raise DataError(
            f"{one} has {before.bands} bands and {other} {after.bands}: give the same bands of both "
            f"dates"
        )
    if before.dtype != after.dtype:
        raise DataError(
            f"{one} holds {before.dtype} and {other} {after.dtype}: give both dates with the same "
            f"bit depth"
        )
    _check_crs(before.crs, after.crs, one, other)
    _check_transform(before.transform, after.transform, one, other)


def _check_crs(before: str | None, after: str | None, one: str, other: str) -> None:
    if before == after:
        return
    if before is None or after is None:
        without, with_ = (one, other) if before is None else (other, one)
        raise DataError(
            f"{without} has no CRS and {with_} has one ({_short(before or after)}): give both dates "
            f"as the same kind of file"
        )
    from rasterio.crs import CRS

    if CRS.from_string(before) != CRS.from_string(after):
        raise DataError(
            f"{one} is in {_short(before)} and {other} in {_short(after)}: warp one to the grid of "
            f"the other (gdalwarp)"
        )


def _short(crs: str | None) -> str:
    return str(crs)[:60]


def _check_transform(before: Place | None, after: Place | None, one: str, other: str) -> None:
    if before is None or after is None:
        if before is not after:
            without = one if before is None else other
            raise DataError(f"{without} has no place on the map, and the other date has one")
        return
    size = np.array([before[0], before[4]])
    if (np.abs(np.array([after[0], after[4]]) - size) > SAME_PLACE * np.abs(size) / 100).any():
        raise DataError(
            f"{one} has pixels of {abs(size[0]):g} x {abs(size[1]):g} and {other} of "
            f"{abs(after[0]):g} x {abs(after[4]):g}: warp one to the grid of the other (gdalwarp)"
        )
    apart = np.array([after[2] - before[2], after[5] - before[5]]) / size
    if (np.abs(apart) > SAME_PLACE).any():
        raise DataError(
            f"{other} begins {apart[0]:g} pixels to the right of {one} and {apart[1]:g} below: cut "
            f"both to the area they share (gdalwarp -te)"
        )


def told(shift: Shift | None) -> str:
    """A shift in words."""
    if shift is None:
        return "not measured: no window of both dates shows the same edges"
    across = f"{abs(shift.columns):.1f} {'right' if shift.columns >= 0 else 'left'}"
    along = f"{abs(shift.rows):.1f} {'down' if shift.rows >= 0 else 'up'}"
    of = f"{shift.agreement:.0%} of {shift.windows}" if shift.windows > 1 else "the only"
    return f"{across}, {along} (pixels; {of} window{'s'[: shift.windows > 1]} agree{'s'[: shift.windows == 1]})"


def believed(shift: Shift | None) -> bool:
    """Whether a shift was measured, and most windows agree on it."""
    return shift is not None and shift.agreement > MAJORITY


def check_shift(shift: Shift | None, wanted: str) -> tuple[str, ...]:
    """What a shift means for the map, as notes.

    Args:
        wanted: "refuse", "align" or "ignore".

    Raises:
        DataError: it is too large for "refuse". UsageError: "align", and nobody knows by how much.
    """
    if shift is None or not believed(shift):
        if wanted == "align":
            raise UsageError(
                f"--align: the shift between the dates is {told(shift)}: register them by hand, or "
                f"leave out --align"
            )
        return (f"the shift between the dates was not measured reliably: {told(shift)}",)
    if wanted == "align" or shift.length <= NOTABLE_SHIFT:
        return ()
    said = f"AFTER is shifted by {shift.length:.1f} pixels against BEFORE: {told(shift)}"
    if shift.length > LARGEST_SHIFT and wanted == "refuse":
        raise DataError(
            f"{said}. A map would show the shift: shift it back with --align, register the dates, or "
            f"go on with --any-shift"
        )
    return (f"{said}; edges will show as change: --align shifts it back",)

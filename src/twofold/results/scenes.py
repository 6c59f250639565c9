"""What is said of two dates of one place: their shift, the changed regions, the map."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

__all__ = ["Change", "Region", "Shift"]

LARGEST_DEGREES = 360.0
"""Coordinates up to here may be degrees, and are told with six decimals."""


@dataclass(frozen=True, kw_only=True)
class Shift:
    """How far things in AFTER lie from where they are in BEFORE, in pixels.

    Attributes:
        rows: downwards. columns: to the right.
        windows: of the scene that showed a clear shift.
        agreement: share of them that lie within three quarters of a pixel of the median.
    """

    rows: float
    columns: float
    windows: int
    agreement: float

    @property
    def length(self) -> float:
        """In pixels, in whatever direction."""
        return (self.rows**2 + self.columns**2) ** 0.5


@dataclass(frozen=True, kw_only=True)
class Region:
    """Changed pixels that touch by their sides.

    Attributes:
        pixels: how many. area: in the unit of the `Change`.
        probability: mean over its pixels.
        box: first row, first column, and one more than the last of each.
        centre: x and y of its centre of mass, in the coordinates of the map; in pixels where there
            is none.
    """

    pixels: int
    area: float
    probability: float
    box: tuple[int, int, int, int]
    centre: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Change:
    """A map of what changed between two dates, as written to files.

    Attributes:
        pixels: with a value in both dates. changed: of them.
        height, width: of the scene.
        area: of the changed pixels, in `area_unit`: square units of the CRS, square metres where it
            counts in degrees, or pixels without one.
        threshold: probability (or, of pretrained features, distance) from which on a pixel counts as
            changed.
        method: how it was decided.
        standing: the rate of false changes is an estimate, always: no set of scenes is large enough
            to certify one.
        regions: how many there are. largest: of them, by area.
        shift: between the dates, before any correction; None: it could not be measured.
        aligned: whether AFTER was shifted back by it.
        notes: what the reader must know.
        paths: what was written, by its kind.
    """

    pixels: int
    changed: int
    height: int
    width: int
    area: float
    area_unit: str
    threshold: float
    method: str
    regions: int
    largest: tuple[Region, ...]
    shift: Shift | None
    aligned: bool = False
    standing: Literal["estimate"] = "estimate"
    notes: tuple[str, ...] = ()
    paths: Mapping[str, Path] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Changed pixels, of those with a value in both dates."""
        return self.changed / self.pixels if self.pixels else 0.0

    def place_of(self, region: Region) -> str:
        """The centre of a region in words: degrees to a tenth of a metre, metres and pixels to a tenth."""
        degrees = self.area_unit != "pixels" and max(map(abs, region.centre)) <= LARGEST_DEGREES
        return ", ".join(f"{each:.{6 if degrees else 1}f}" for each in region.centre)

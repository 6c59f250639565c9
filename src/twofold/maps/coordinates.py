"""Where the pixels of a scene lie: on the map, in degrees, and how large each is."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int

from twofold.errors import DataError, MissingExtra
from twofold.inputs.raster_source import Place

__all__ = ["Coordinates"]

RADIUS = 6_371_007.181
"""Metres: of the sphere with the surface of the Earth (authalic, WGS 84)."""

DEGREES = "OGC:CRS84"
"""Longitude and latitude in this order, which RFC 7946 asks for."""


@dataclass(frozen=True, kw_only=True)
class Coordinates:
    """The place of a scene; without one, coordinates are pixels, x to the right and y down."""

    transform: Place | None
    crs: str | None

    @property
    def unit(self) -> str:
        """Of areas."""
        if self.transform is None:
            return "pixels"
        if self.crs is None:
            return "square units of the file's coordinates"
        if self._counts_degrees:
            return "square metres"
        unit = {"metre": "metres", "foot": "feet", "US survey foot": "US survey feet"}
        return f"square {unit.get(self._length_unit, self._length_unit)}"

    def areas(self, rows: Int[np.ndarray, "rows"]) -> Float64[np.ndarray, "rows"]:
        """Of one pixel in each of some rows: of degrees on a sphere, where rows differ."""
        if self.transform is None:
            return np.ones(len(rows))
        a, _, _, _, e, f = self.transform
        if self.crs is None or not self._counts_degrees:
            return np.full(len(rows), abs(a * e))
        top, bottom = (np.sin(np.radians(f + e * (rows + k))) for k in (0, 1))
        return RADIUS**2 * abs(np.radians(a)) * np.abs(top - bottom)

    def on_map(
        self, corners: Float[np.ndarray, "corners 2"] | Int[np.ndarray, "corners 2"]
    ) -> Float64[np.ndarray, "corners 2"]:
        """Corners of pixels, (column, row), as x and y of the map."""
        if self.transform is None:
            return corners.astype(np.float64)
        a, b, c, d, e, f = self.transform
        column, row = corners.astype(np.float64).T
        return np.stack([a * column + b * row + c, d * column + e * row + f], axis=1)

    def in_degrees(
        self, points: Float64[np.ndarray, "points 2"]
    ) -> Float64[np.ndarray, "points 2"]:
        """x and y of the map as longitude and latitude.

        Raises:
            DataError: the CRS has no such place. MissingExtra: rasterio is not installed.
        """
        if self.crs is None:
            raise DataError("a scene without a CRS has no longitude and latitude")
        try:
            from rasterio.warp import transform
        except ImportError:
            raise MissingExtra(
                "longitude and latitude need rasterio: pip install 'twofold[raster]'"
            ) from None
        # PROJ's refusals come as an exception of a private module, or as infinite numbers
        try:
            found = np.stack(transform(self.crs, DEGREES, *points.T)[:2], axis=1)
        except Exception:
            found = np.full(points.shape, np.inf)
        if not np.isfinite(found).all():
            raise DataError(
                f"coordinates of {self.crs} have no longitude and latitude: check the CRS of the "
                f"scene, or leave out --polygons"
            )
        return found.astype(np.float64)

    @property
    def _counts_degrees(self) -> bool:
        from rasterio.crs import CRS

        return CRS.from_string(self.crs).is_geographic

    @property
    def _length_unit(self) -> str:
        from rasterio.crs import CRS

        return CRS.from_string(self.crs).linear_units

"""Changed regions as GeoJSON (RFC 7946), a feature at a time."""

import json
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Int64

from twofold.maps.coordinates import Coordinates
from twofold.maps.outlines import outline, turned
from twofold.maps.regions import Finished
from twofold.metrics.spatial import LEVELS

__all__ = ["PolygonFile"]

DECIMALS_OF_DEGREES = 7
"""A centimetre on the ground."""


class PolygonFile:
    """Polygons with area and mean probability, in longitude and latitude where the scene has a CRS.

    Without a CRS the coordinates are those of the file, or pixels (x to the right, y down), and the
    collection says so in a member `coordinates`.
    """

    def __init__(self, path: Path, spare: Path, *, coordinates: Coordinates) -> None:
        self.path, self.spare = path, spare
        self._coordinates, self._count = coordinates, 0
        self._file: IO[str] = spare.open("w", encoding="utf-8")
        opening: dict[str, Any] = {"type": "FeatureCollection"}
        if coordinates.crs is None:
            placed = coordinates.transform is not None
            opening["coordinates"] = (
                "those of the file" if placed else "pixels: x to the right, y down"
            )
        self._file.write(json.dumps(opening)[:-1] + ', "features": [')

    def add(self, finished: Finished) -> None:
        """Further regions."""
        if finished.runs is None:
            return
        for sums, runs in zip(finished.sums, finished.runs, strict=True):
            self._count += 1
            feature = {
                "type": "Feature",
                "id": self._count,
                "geometry": {"type": "Polygon", "coordinates": self._rings(runs)},
                "properties": {
                    "pixels": int(sums["pixels"]),
                    "area": round(float(sums["area"]), 6),
                    "area_unit": self._coordinates.unit,
                    "probability": round(float(sums["levels"] / sums["pixels"] / LEVELS), 4),
                },
            }
            self._file.write(("," if self._count > 1 else "") + "\n" + json.dumps(feature))

    def close(self) -> None:
        """Finish the file."""
        self._file.write("\n]}\n")
        self._file.close()

    def abandon(self) -> None:
        """Let go of a file that nobody will read."""
        self._file.close()

    def _rings(self, runs: Int64[np.ndarray, "runs 3"]) -> list[list[list[float]]]:
        found = []
        for number, corners in enumerate(outline(runs)):
            ring = self._coordinates.on_map(corners)
            if self._coordinates.crs is not None:
                ring = self._coordinates.in_degrees(ring).round(DECIMALS_OF_DEGREES)
            found.append(turned(ring, counter_clockwise=number == 0).tolist())
        return found

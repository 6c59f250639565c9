"""The files of a map: written beside their places in one pass, and put there together once all are whole."""

import contextlib
import heapq
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt16

from twofold.errors import CannotWrite, UsageError
from twofold.files import beside, explain_failure, rename_without_replacing, sync_folder
from twofold.maps.coordinates import Coordinates
from twofold.maps.geojson import PolygonFile
from twofold.maps.rasters import RasterFile, check_format
from twofold.maps.regions import Finished, Regions
from twofold.metrics.spatial import LEVELS, NOTHING
from twofold.places import check_file_place, resolved
from twofold.results import Region

__all__ = ["LARGEST", "MapFiles", "MapWriter"]

COUNTED_AT_ONCE = 2**20
"""Pixels in which regions are looked for at once, which takes some 100 bytes of each."""

LARGEST = 20
"""Regions that are named, by area."""


@dataclass(frozen=True, kw_only=True)
class MapFiles:
    """Where a map goes.

    Attributes:
        mask: 1 changed, 0 not, 255 no value (GeoTIFF); 255, 0 and 127 (PNG).
        probability: the number behind it, for each pixel.
        polygons: changed regions as GeoJSON.
        page: a page to look at both dates and the map.
        overwrite: whether files that stand there may be replaced.
    """

    mask: Path
    probability: Path | None = None
    polygons: Path | None = None
    page: Path | None = None
    overwrite: bool = False

    def paths(self) -> dict[str, Path]:
        """The files that are asked for, by what they hold."""
        named = {
            "mask": self.mask,
            "probability": self.probability,
            "polygons": self.polygons,
            "page": self.page,
        }
        return {name: Path(path) for name, path in named.items() if path is not None}

    def check(self, size: tuple[int, int], inputs: list[Path]) -> None:
        """See that all can be written, before the work.

        Raises:
            UsageError: an ending that is not a map's, or one file for two things.
            CannotWrite: a file stands there, or its folder is missing.
        """
        seen = {resolved(path): "an input" for path in inputs}
        for name, path in self.paths().items():
            if (other := seen.get(resolved(path))) is not None:
                raise UsageError(f"{path} is {other} and would hold the {name}: give another name")
            seen[resolved(path)] = f"the {name}"
            if name in ("mask", "probability"):
                check_format(path, size)
            check_file_place(path)
            if path.exists() and not self.overwrite:
                raise CannotWrite(
                    f"{path} exists already: choose another name, or replace it with --overwrite"
                )


class MapWriter:
    """Takes a map in bands of rows; a context manager that leaves nothing behind unless `commit` was called.

    Args:
        threshold: level from which on a pixel counts as changed.
        factor: pixels a side of the scene for one of `overview`; None: no overview.
    """

    def __init__(
        self,
        files: MapFiles,
        size: tuple[int, int],
        *,
        threshold: int,
        coordinates: Coordinates,
        factor: int | None = None,
    ) -> None:
        self.files, self.size, self.coordinates = files, size, coordinates
        self.threshold, self.factor = threshold, factor
        self.pixels = self.changed = self.regions = 0
        self.area = 0.0
        self.largest: list[tuple[float, int, Region]] = []
        self._seen = 0
        self._regions = Regions(coordinates.areas, outlines=files.polygons is not None)
        self._spares: dict[Path, Path] = {}
        self._rasters: list[RasterFile] = []
        self._polygons: PolygonFile | None = None
        if factor is not None:
            small = tuple(-(-side // factor) for side in size)
            self.overview = np.zeros(small, np.uint16)

    def __enter__(self) -> "MapWriter":
        more: dict[str, Any] = {"coordinates": self.coordinates}
        try:
            with explain_failure(self.files.mask):
                for kind in ("mask", "probability"):
                    if (path := self.files.paths().get(kind)) is not None:
                        raster = RasterFile(
                            path,
                            self._spare(path),
                            kind=kind,
                            size=self.size,
                            threshold=self.threshold,
                            **more,
                        )
                        self._rasters.append(raster)
                if self.files.polygons is not None:
                    path = Path(self.files.polygons)
                    self._polygons = PolygonFile(path, self._spare(path), **more)
        except BaseException:
            self._abandon()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._abandon()

    def add(self, top: int, levels: UInt16[np.ndarray, "rows columns"]) -> None:
        """The rows from `top` on.

        Raises:
            CannotWrite: the disk takes no more.
        """
        changed = (levels >= self.threshold) & (levels != NOTHING)
        self.pixels += int((levels != NOTHING).sum())
        self.changed += int(changed.sum())
        for raster in self._rasters:
            with _about(raster.path):
                raster.add(top, levels)
        step = max(1, COUNTED_AT_ONCE // levels.shape[1])
        for row in range(0, len(levels), step):
            rows = slice(row, row + step)
            self._count(self._regions.add(top + row, levels[rows], changed[rows]))
        if self.factor is not None:
            shown = np.where(changed, levels, 0)
            _enlarge(self.overview, shown, top, self.factor)

    def finish(self) -> None:
        """All rows are there: every file is whole on the disk, beside its place."""
        self._count(self._regions.end())
        for writer in (*self._rasters, *filter(None, [self._polygons])):
            with _about(writer.path):
                writer.close()

    def add_page(self, content: str) -> None:
        """The page, whole."""
        path = self.files.paths()["page"]
        with explain_failure(path):
            self._spare(path).write_text(content, encoding="utf-8")

    def commit(self) -> None:
        """Wait for the disk and put all files in their places."""
        for path, spare in self._spares.items():
            with explain_failure(path), spare.open("rb") as file:
                os.fsync(file.fileno())
        for path, spare in self._spares.items():
            with explain_failure(path):
                if self.files.overwrite:
                    spare.replace(path)
                else:
                    rename_without_replacing(spare, path)
                sync_folder(path.parent)

    def _count(self, finished: Finished) -> None:
        self.regions += len(finished.sums)
        self.area += float(finished.sums["area"].sum())
        if self._polygons is not None:
            with _about(self._polygons.path):
                self._polygons.add(finished)
        order = np.argsort(-finished.sums["area"], kind="stable")[:LARGEST]
        for sums in finished.sums[order]:
            # of equal ones the first: a heap's smallest is the one that came last
            self._seen += 1
            entry = (float(sums["area"]), -self._seen, _region(sums, self.coordinates))
            if len(self.largest) < LARGEST:
                heapq.heappush(self.largest, entry)
            elif entry[0] > self.largest[0][0]:
                heapq.heapreplace(self.largest, entry)

    def named(self) -> tuple[Region, ...]:
        """The largest regions, the largest first; of equal ones the upper one."""
        found = [region for _, _, region in self.largest]
        return tuple(sorted(found, key=lambda each: (-each.area, each.box)))

    def _spare(self, path: Path) -> Path:
        self._spares[resolved(path)] = beside(resolved(path))
        return self._spares[resolved(path)]

    def _abandon(self) -> None:
        for writer in (*self._rasters, *filter(None, [self._polygons])):
            with contextlib.suppress(Exception):
                writer.abandon()
        for spare in self._spares.values():
            with contextlib.suppress(OSError):
                spare.unlink(missing_ok=True)


@contextlib.contextmanager
def _about(path: Path) -> Iterator[None]:
    """What the system or GDAL says of a write, about the file that it is for."""
    try:
        with explain_failure(path):
            yield
    except CannotWrite:
        raise
    except Exception as error:
        if not type(error).__module__.startswith("rasterio"):
            raise
        raise CannotWrite(
            f"cannot write {path}: {error.__cause__ or error}; the disk may be full: free some space "
            f"or choose another disk"
        ) from error


def _region(sums: np.void, coordinates: Coordinates) -> Region:
    pixels = int(sums["pixels"])
    middle = np.array([[sums["columns"] / pixels, sums["rows"] / pixels]])
    x, y = coordinates.on_map(middle)[0]
    return Region(
        pixels=pixels,
        area=float(sums["area"]),
        probability=float(sums["levels"] / pixels / LEVELS),
        box=(int(sums["top"]), int(sums["left"]), int(sums["bottom"]), int(sums["right"])),
        centre=(float(x), float(y)),
    )


def _enlarge(
    overview: UInt16[np.ndarray, "small_rows small_columns"],
    levels: Shaped[np.ndarray, "rows columns"],
    top: int,
    factor: int,
) -> None:
    """The largest level of each cell: small changes stay visible."""
    columns = np.arange(0, levels.shape[1], factor)
    across = np.maximum.reduceat(levels, columns, axis=1)
    rows = (top + np.arange(len(levels))) // factor
    np.maximum.at(overview, rows, across.astype(np.uint16))

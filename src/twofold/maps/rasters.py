"""A map written as a raster, band of rows by band of rows: GeoTIFF, or PNG of a scene of ordinary size."""

import contextlib
import io
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from jaxtyping import Shaped

from twofold.errors import CannotWrite, MissingExtra, UsageError
from twofold.inputs.raster_tiff import gdal_settings, rasterio_is_there
from twofold.maps.coordinates import Coordinates
from twofold.metrics.spatial import LEVELS, NOTHING

__all__ = ["BLOCK", "RasterFile", "check_format", "mask_of", "probability_of"]

BLOCK = 256
"""Pixels a side of the tiles of a file; bands of rows begin at a multiple of it."""

MASK_NODATA = 255
PROBABILITY_NODATA = -1.0

MOST_IN_MEMORY = 25_000_000
"""Pixels of a PNG, or of a TIFF without rasterio: the limit of ordinary pictures."""

TIFF, PNG = (".tif", ".tiff"), (".png",)


def mask_of(
    levels: Shaped[np.ndarray, "rows columns"], threshold: int, *, png: bool
) -> Shaped[np.ndarray, "rows columns"]:
    """1 changed, 0 not, 255 no value; of a PNG, to be looked at, 255, 0 and 127."""
    changed, nothing = (255, 127) if png else (1, MASK_NODATA)
    found = np.where(levels >= threshold, np.uint8(changed), np.uint8(0))
    found[levels == NOTHING] = nothing
    return found


def probability_of(
    levels: Shaped[np.ndarray, "rows columns"], *, png: bool
) -> Shaped[np.ndarray, "rows columns"]:
    """float32 in [0, 1], -1 no value; of a PNG 0 to 254, 255 no value."""
    if png:
        found = np.rint(levels.astype(np.float32) * (254 / LEVELS)).astype(np.uint8)
        found[levels == NOTHING] = 255
        return found
    found = (levels / np.float32(LEVELS)).astype(np.float32)
    found[levels == NOTHING] = PROBABILITY_NODATA
    return found


def check_format(path: Path, size: tuple[int, int]) -> None:
    """See that a map of `size` can be written to a file of that name.

    Raises:
        UsageError: another ending, or too many pixels for a PNG.
        MissingExtra: too many pixels for a TIFF without rasterio.
    """
    suffix = path.suffix.lower()
    pixels = size[0] * size[1]
    if suffix not in TIFF + PNG:
        raise UsageError(f"{path}: a map is written as .tif, or as .png; give one of these endings")
    if suffix in PNG and pixels > MOST_IN_MEMORY:
        raise UsageError(
            f"{path}: a PNG takes up to {MOST_IN_MEMORY / 1e6:.0f} million pixels, and the scene has "
            f"{pixels / 1e6:.0f} million: write a .tif"
        )
    if suffix in TIFF and pixels > MOST_IN_MEMORY and not rasterio_is_there():
        raise MissingExtra(f"{path}: so large a TIFF needs rasterio: pip install 'twofold[raster]'")


class RasterFile:
    """One band of a map, written to `spare`; `close` waits for the disk and reads it again.

    Args:
        kind: "mask" or "probability".
        threshold: level from which on a pixel counts as changed.
    """

    def __init__(
        self,
        path: Path,
        spare: Path,
        *,
        kind: str,
        size: tuple[int, int],
        threshold: int,
        coordinates: Coordinates,
    ) -> None:
        self.path, self.spare = path, spare
        self._kind, self._threshold, self._size = kind, threshold, size
        self._png = path.suffix.lower() in PNG
        self._checksum = 0
        if not self._png and rasterio_is_there():
            self._file: Any = _created(spare, kind, size, coordinates)
            self._array = None
        else:
            self._file = None
            deep = kind == "probability" and not self._png
            self._array = np.zeros(size, np.float32 if deep else np.uint8)

    def add(self, top: int, levels: Shaped[np.ndarray, "rows columns"]) -> None:
        """The rows from `top` on."""
        if self._kind == "mask":
            rows = mask_of(levels, self._threshold, png=self._png)
        else:
            rows = probability_of(levels, png=self._png)
        if self._array is not None:
            self._array[top : top + len(rows)] = rows
            return
        from rasterio.windows import Window

        area = Window(0, top, rows.shape[1], len(rows))  # pyright: ignore[reportCallIssue]
        with gdal_settings():
            self._checksum = zlib.crc32(rows.tobytes(), self._checksum)
            self._file.write(rows, 1, window=area)

    def close(self) -> None:
        """Finish the file.

        Raises:
            CannotWrite: what can be read is not what was written: GDAL tells of a full disk late or
                not at all.
        """
        if self._array is None:
            with gdal_settings():
                self._file.close()
            self._read_again()
            return
        image = PIL.Image.fromarray(self._array)
        buffer = io.BytesIO()
        if self._png:
            nothing = 127 if self._kind == "mask" else 255
            image.save(buffer, "PNG", transparency=nothing)
        else:
            image.save(buffer, "TIFF", compression="tiff_adobe_deflate")
        self.spare.write_bytes(buffer.getvalue())

    def abandon(self) -> None:
        """Let go of a file that nobody will read."""
        if self._file is not None and not self._file.closed:
            self._file.close()

    def _read_again(self) -> None:
        import rasterio
        from rasterio.errors import RasterioError
        from rasterio.windows import Window

        height, width = self._size
        found = 0
        try:
            with _frugal(), rasterio.open(self.spare, driver="GTiff") as file:
                for top in range(0, height, BLOCK):
                    area = Window(0, top, width, min(BLOCK, height - top))  # pyright: ignore[reportCallIssue]
                    found = zlib.crc32(file.read(1, window=area).tobytes(), found)
        except RasterioError:
            found = -1
        if found != self._checksum:
            raise CannotWrite(
                f"cannot write {self.path}: what is on the disk is not what was written; it may be "
                f"full: free some space or choose another disk"
            )


def _created(spare: Path, kind: str, size: tuple[int, int], coordinates: Coordinates) -> Any:
    """A new tiled, compressed GeoTIFF."""
    import rasterio
    from rasterio.transform import Affine

    profile: dict[str, Any] = {"dtype": "uint8", "nodata": MASK_NODATA, "predictor": 1}
    if kind == "probability":
        profile = {"dtype": "float32", "nodata": PROBABILITY_NODATA, "predictor": 3}
    if coordinates.transform is not None:
        profile["transform"] = Affine(*coordinates.transform)
    if coordinates.crs is not None:
        profile["crs"] = coordinates.crs
    with _frugal():
        file = rasterio.open(
            spare,
            "w",
            driver="GTiff",
            count=1,
            height=size[0],
            width=size[1],
            tiled=True,
            blockxsize=BLOCK,
            blockysize=BLOCK,
            compress="deflate",
            BIGTIFF="IF_SAFER",
            **profile,
        )
    file.set_band_description(1, "change" if kind == "mask" else "probability of change")
    return file


@contextlib.contextmanager
def _frugal() -> Iterator[None]:
    """With little memory, and no warning that a scene has no place on the map: it need not have one."""
    from rasterio.errors import NotGeoreferencedWarning

    with gdal_settings(), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield

"""TIFF and GeoTIFF through rasterio (extra `raster`), a window at a time.

Only GDAL's own reader of TIFF is let near a file: other formats of GDAL name further files and
addresses to be opened.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

from twofold.errors import UnreadableInput
from twofold.inputs.image_limits import LONGEST_SIDE
from twofold.inputs.image_tiff_tags import Tags, read_tags
from twofold.inputs.raster_source import Place, checked, usual_colours

__all__ = ["TiffSource", "gdal_settings", "rasterio_is_there", "tiff_tags"]

LONGEST_SCENE = 16 * LONGEST_SIDE
"""Pixels a side: a million, ten thousand kilometres at ten metres."""

LARGEST_BLOCK = 256 * 2**20
"""Bytes of one tile or strip, which is unpacked as a whole."""

MOST_PLACES = 2_000_000
"""Tiles of a scene: 370,000 pixels a side in tiles of 256."""

CACHED = 64 * 2**20
"""Bytes of unpacked tiles that GDAL keeps; its own limit is a share of the machine's memory."""


def rasterio_is_there() -> bool:
    """Whether the extra `raster` is installed."""
    try:
        import rasterio  # noqa: F401
    except ImportError:
        return False
    return True


def tiff_tags(path: Path) -> Tags:
    """What a TIFF's directory says.

    Raises:
        UnreadableInput: the file is cut or damaged.
    """
    with path.open("rb") as file:
        try:
            return read_tags(file, most=MOST_PLACES)
        except UnreadableInput as error:
            raise UnreadableInput(f"{path} {error}") from None
        except Exception as error:
            raise UnreadableInput(
                f"{path} is damaged ({error}): replace it or leave it out"
            ) from error


class TiffSource:
    """An open TIFF; see `raster_source.Source`.

    Raises:
        UnreadableInput: not a TIFF, damaged, too large, or of a kind that is not read.
    """

    def __init__(self, path: Path) -> None:
        from rasterio.enums import ColorInterp

        self.path: Path | None = path
        # a file that is cut is refused here, in words; libtiff reads the missing tiles as zeros
        tiff_tags(path)
        self._stack = contextlib.ExitStack()
        with _named(path):
            self._file = self._stack.enter_context(_opened(path))
        file = self._file
        try:
            _check(file, path)
        except UnreadableInput:
            self._stack.close()
            raise
        shown = file.colorinterp
        self._kept = [k + 1 for k, each in enumerate(shown) if each != ColorInterp.alpha]
        self.height, self.width, self.bands = file.height, file.width, len(self._kept)
        self.dtype = str(np.dtype(file.dtypes[0]))
        self.nodata: float | None = None if file.nodata is None else float(file.nodata)
        self.crs: str | None = file.crs.to_string() if file.crs else None
        self.transform: Place | None = _place(file)
        wanted = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
        self._colours = tuple(
            self._kept.index(shown.index(each) + 1) for each in wanted if each in shown
        )

    def window(
        self, row: int, column: int, height: int, width: int
    ) -> Shaped[np.ndarray, "bands height width"]:
        checked(self, (row, column, height, width))
        with _named(self.path), gdal_settings():
            return self._file.read(self._kept, window=_window(row, column, height, width))

    def valid(
        self, row: int, column: int, height: int, width: int
    ) -> Bool[np.ndarray, "height width"]:
        checked(self, (row, column, height, width))
        area = _window(row, column, height, width)
        with _named(self.path), gdal_settings():
            found = self._file.dataset_mask(window=area) > 0
            if np.dtype(self.dtype).kind in "fc":
                found &= np.isfinite(self._file.read(self._kept, window=area)).all(axis=0)
        return found

    def colours(self) -> tuple[int, ...]:
        return self._colours if len(self._colours) == 3 else usual_colours(self.bands)

    def __enter__(self) -> "TiffSource":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def gdal_settings() -> Any:
    """A context in which GDAL keeps little in memory, and says what it cannot read.

    Outside it keeps a twentieth of the machine's memory.
    """
    import rasterio

    return rasterio.Env(GDAL_CACHEMAX=CACHED, GTIFF_IGNORE_READ_ERRORS="NO")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import warnings

    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    with gdal_settings(), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        file = rasterio.open(path, driver="GTiff")
    try:
        yield file
    finally:
        file.close()


@contextlib.contextmanager
def _named(path: Path | None) -> Iterator[None]:
    """GDAL's errors as ours."""
    from rasterio.errors import RasterioError

    try:
        yield
    except (RasterioError, MemoryError) as error:
        reason = str(error.__cause__ or error) or type(error).__name__
        raise UnreadableInput(
            f"{path} is damaged or cannot be read ({reason}): replace it or leave it out"
        ) from error


def _window(row: int, column: int, height: int, width: int) -> Any:
    from rasterio.windows import Window

    return Window(column, row, width, height)  # pyright: ignore[reportCallIssue]


def _check(file: Any, path: Path) -> None:
    from rasterio.enums import ColorInterp

    if max(file.height, file.width) > LONGEST_SCENE:
        raise UnreadableInput(
            f"{path} is {file.width} x {file.height} pixels; sides of more than "
            f"{LONGEST_SCENE:,} are not read: cut it into parts"
        )
    kinds = {np.dtype(each) for each in file.dtypes}
    if len(kinds) > 1 or any(kind.kind not in "uif" for kind in kinds):
        raise UnreadableInput(
            f"{path} has bands of {', '.join(sorted(map(str, kinds)))}: save all as one type of real "
            f"numbers"
        )
    rows, columns = file.block_shapes[0]
    samples = 1 if str(file.interleaving).lower().endswith("band") else file.count
    size = rows * columns * samples * np.dtype(file.dtypes[0]).itemsize
    if size > LARGEST_BLOCK:
        raise UnreadableInput(
            f"{path} is stored in blocks of {columns} x {rows} pixels, {size / 1e6:,.0f} MB each, "
            f"and {LARGEST_BLOCK / 1e6:,.0f} MB are read at once: save it in tiles (gdal_translate "
            f"-co TILED=YES)"
        )
    if ColorInterp.palette in file.colorinterp:
        raise UnreadableInput(
            f"{path} has a colour table: its values are numbers of colours; save it as RGB "
            f"(gdal_translate -expand rgb)"
        )
    if file.gcps[0] and file.transform.is_identity:
        raise UnreadableInput(
            f"{path} is placed by {len(file.gcps[0])} ground control points: warp it to a grid "
            f"first (gdalwarp)"
        )


def _place(file: Any) -> Place | None:
    t = file.transform
    return None if t.is_identity and not file.crs else (t.a, t.b, t.c, t.d, t.e, t.f)

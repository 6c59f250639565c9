"""Small rasters for tests: drawn, never of a real place."""

import warnings
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

UTM = "EPSG:32633"
PLACE = Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 5_400_000.0)


def drawn(height=96, width=128, bands=3, *, seed=0, dtype=np.uint8):
    """Smooth blobs with sharp blocks, which can be registered: (bands, height, width)."""
    generator = np.random.default_rng(seed)
    coarse = generator.random((bands, height // 8 + 2, width // 8 + 2))
    fine = np.kron(coarse, np.ones((1, 8, 8)))[:, :height, :width]
    noise = generator.random((bands, height, width))
    top = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1.0
    return ((0.8 * fine + 0.15 * noise) * top).astype(dtype)


def changed(array, *squares, value=None):
    """A copy with squares (row, column, side) of another value."""
    copy = array.copy()
    for row, column, side in squares:
        most = np.iinfo(array.dtype).max if array.dtype.kind in "ui" else 1.0
        copy[:, row : row + side, column : column + side] = most if value is None else value
    return copy


def write(path, array, *, transform=PLACE, crs=UTM, mask=None, **profile):
    """Write (bands, height, width) as a GeoTIFF; returns the path."""
    profile = {"driver": "GTiff", "transform": transform, "crs": crs} | profile
    if transform is None:
        del profile["transform"], profile["crs"]
    size = {"count": array.shape[0], "height": array.shape[1], "width": array.shape[2]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", dtype=array.dtype, **size, **profile) as file:
            file.write(array)
            if mask is not None:
                file.write_mask(mask)
    return Path(path)

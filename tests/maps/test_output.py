"""Files of a map: of many regions the largest are kept, however many are of one size."""

from zlib import crc32

import numpy as np
import pytest
from rasterio.env import getenv

from twofold.inputs.raster_tiff import CACHED
from twofold.maps import output, rasters
from twofold.maps.coordinates import Coordinates
from twofold.maps.output import LARGEST, MapFiles, MapWriter


def scattered(rows: int = 120) -> np.ndarray:
    """Levels in which every third row has one region, of one to four pixels, larger ones further down."""
    levels = np.zeros((rows, 8), np.uint16)
    for number, row in enumerate(range(0, rows, 3)):
        levels[row, 1 : 2 + number // 10] = 50_000
    return levels


@pytest.mark.parametrize("at_once", [1, 40, 2**20])
@pytest.mark.parametrize("band", [3, 7, 120])
def test_of_equal_regions_the_upper_ones_are_kept(tmp_path, monkeypatch, band, at_once):
    monkeypatch.setattr(output, "COUNTED_AT_ONCE", at_once)
    levels = scattered()
    files = MapFiles(mask=tmp_path / "mask.png")
    plain = Coordinates(transform=None, crs=None)
    with MapWriter(files, levels.shape, threshold=1, coordinates=plain) as writer:
        for top in range(0, len(levels), band):
            writer.add(top, levels[top : top + band])
        writer.finish()
    assert writer.regions == 40
    # ten regions of each size: all of the two largest sizes
    expected = [(4.0, 90 + 3 * n) for n in range(10)] + [(3.0, 60 + 3 * n) for n in range(10)]
    assert len(expected) == LARGEST
    assert [(each.area, each.box[0]) for each in writer.named()] == expected


def test_gdal_keeps_little_while_a_map_is_written_and_read_again(tmp_path, monkeypatch):
    limits = []

    def watched(*given):
        limits.append(getenv().get("GDAL_CACHEMAX"))
        return crc32(*given)

    monkeypatch.setattr(rasters.zlib, "crc32", watched)
    files = MapFiles(mask=tmp_path / "mask.tif", probability=tmp_path / "probability.tif")
    plain = Coordinates(transform=None, crs=None)
    levels = scattered(600)
    with MapWriter(files, levels.shape, threshold=1, coordinates=plain) as writer:
        writer.add(0, levels)
        writer.finish()
    # each file: one band of rows written, three of 256 read again
    assert limits == [CACHED] * 8


def test_equal_regions_beyond_the_number_are_left_out_from_below(tmp_path):
    levels = np.where(scattered() > 0, 50_000, 0).astype(np.uint16)
    levels[:, 2:] = 0
    plain = Coordinates(transform=None, crs=None)
    with MapWriter(
        MapFiles(mask=tmp_path / "mask.png"), levels.shape, threshold=1, coordinates=plain
    ) as writer:
        for top in range(0, len(levels), 10):
            writer.add(top, levels[top : top + 10])
        writer.finish()
    assert [each.box[0] for each in writer.named()] == [3 * n for n in range(LARGEST)]

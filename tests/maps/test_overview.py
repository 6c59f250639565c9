"""Small pictures of scenes are means of valid pixels, whatever the band of rows that is read at once."""

import numpy as np
import pytest

import rasters
from twofold.inputs.raster_source import ArraySource
from twofold.maps import overview as module
from twofold.maps.overview import overview, stretch, stretched


@pytest.mark.parametrize("factor", [1, 3, 7])
@pytest.mark.parametrize("band", [1, 10_000, 10**9])
def test_means_over_squares(monkeypatch, factor, band):
    monkeypatch.setattr(module, "BAND_VALUES", band)
    array = rasters.drawn(45, 64)
    array[:, :10, :20] = 0
    found = overview(ArraySource(array=array, nodata=0), factor)
    values = np.where((array != 0).any(axis=0), array, np.nan).astype(float)
    for row in range(found.shape[0]):
        for column in range(found.shape[1]):
            part = values[
                :,
                row * factor : (row + 1) * factor,
                column * factor : (column + 1) * factor,
            ]
            if np.isnan(part).all():
                assert np.isnan(found[row, column]).all()
            else:
                wanted = np.nanmean(part, axis=(1, 2))
                np.testing.assert_allclose(found[row, column], wanted, rtol=1e-5)
    box = overview(ArraySource(array=array, nodata=0), 1, (5, 6, 25, 36))
    np.testing.assert_array_equal(box, np.moveaxis(values, 0, -1)[5:25, 6:36].astype(np.float32))


def test_light_of_16_bits_is_stretched():
    deep = np.linspace(500, 4000, 300).reshape(10, 10, 3)
    shown = stretched(deep, stretch(deep, "uint16"))
    assert shown.dtype == np.uint8 and shown.min() == 0 and shown.max() == 255
    plain = np.full((2, 2, 1), 77.0)
    assert (stretched(plain, stretch(plain, "uint8")) == 77).all()
    nothing = np.full((2, 2, 3), np.nan)
    assert (stretched(nothing, stretch(nothing, "uint16")) == 0).all()

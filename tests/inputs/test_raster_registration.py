"""Shifts between two dates are measured to a fraction of a pixel, and taken back."""

import numpy as np
import pytest

import rasters
from twofold.inputs.raster_registration import ShiftedSource, registration
from twofold.inputs.raster_source import ArraySource


def moved(height, width, rows, columns, *, seed=0):
    """Two crops of one drawn scene; whatever is in the first lies (rows, columns) further in the second.

    The scene is drawn at four times the resolution, so that quarters of a pixel are exact.
    """
    generator = np.random.default_rng(seed)
    large = generator.random(((height + 80) // 2, (width + 80) // 2))
    large = np.kron(large, np.ones((8, 8)))

    def crop(row, column):
        part = large[row : row + 4 * height, column : column + 4 * width]
        return part.reshape(height, 4, width, 4).mean(axis=(1, 3))

    start = 4 * 36
    first, second = crop(start, start), crop(start - round(4 * rows), start - round(4 * columns))
    return [(255 * each)[None].astype(np.float32) for each in (first, second)]


@pytest.mark.parametrize(
    "shift", [(0, 0), (0.25, -0.5), (1.5, 2.25), (-3, 0.75), (30, -12), (0, 30)]
)
@pytest.mark.parametrize("size", [(128, 160), (300, 260)])
def test_a_shift_is_measured(shift, size):
    first, second = moved(*size, *shift)
    found = registration(ArraySource(array=first), ArraySource(array=second))
    assert found.rows == pytest.approx(shift[0], abs=0.15)
    assert found.columns == pytest.approx(shift[1], abs=0.15)
    assert found.agreement >= 0.75 and found.windows >= 1
    assert found.length == pytest.approx(np.hypot(*shift), abs=0.2)


def test_light_noise_and_a_reversal_of_contrast_do_not_matter():
    first, second = moved(256, 256, 2.5, -1.0)
    generator = np.random.default_rng(1)
    second = 4000 - 9 * second + generator.normal(0, 60, second.shape).astype(np.float32)
    found = registration(ArraySource(array=first), ArraySource(array=second))
    assert (found.rows, found.columns) == pytest.approx((2.5, -1.0), abs=0.2)


def test_two_different_places_do_not_agree():
    first, _ = moved(300, 300, 0, 0)
    second, _ = moved(300, 300, 0, 0, seed=5)
    found = registration(ArraySource(array=first), ArraySource(array=second))
    assert found is None or found.agreement < 0.5 or found.windows < 3


@pytest.mark.parametrize("array", [np.zeros((1, 40, 40)), np.zeros((2, 300, 300))])
def test_nothing_to_measure(array):
    assert registration(ArraySource(array=array), ArraySource(array=array)) is None


def test_nodata_is_not_an_edge():
    first, second = moved(256, 256, 1.0, 1.0)
    first, second = first.copy(), second.copy()
    first[:, :30] = second[:, :30] = -9999  # would hold both dates in place
    found = registration(*(ArraySource(array=each, nodata=-9999) for each in (first, second)))
    assert (found.rows, found.columns) == pytest.approx((1.0, 1.0), abs=0.2)


@pytest.mark.parametrize("shift", [(3, -2), (3.25, -0.5), (-1.75, 2.5)])
def test_a_shifted_source_lies_on_the_first(shift):
    first, second = moved(128, 128, *shift)
    laid = ShiftedSource(ArraySource(array=second), rows=shift[0], columns=shift[1])
    valid = laid.valid(0, 0, 128, 128)
    found = laid.window(0, 0, 128, 128)
    inner = (slice(10, -10), slice(10, -10))
    assert valid[inner].all() and not valid.all()
    error = np.abs(found - first)[0]
    apart = np.abs(second - first)[0]
    assert error[valid].mean() < 0.5 * apart.mean()
    if all(part == int(part) for part in shift):
        np.testing.assert_array_equal(found[0][valid], first[0][valid])
    part = laid.window(20, 30, 40, 50)
    np.testing.assert_array_equal(part, found[:, 20:60, 30:80])
    np.testing.assert_array_equal(laid.valid(20, 30, 40, 50), valid[20:60, 30:80])


def test_nodata_does_not_leak_into_a_shifted_source():
    array = rasters.drawn(dtype=np.float32)
    array[:, 40:44, 40:44] = -9999
    laid = ShiftedSource(ArraySource(array=array, nodata=-9999), rows=0.5, columns=0.25)
    valid, found = laid.valid(0, 0, 96, 128), laid.window(0, 0, 96, 128)
    assert found[:, valid].min() > -1 and not valid[40, 40]
    assert laid.source.window(0, 0, 96, 128).min() == -9999

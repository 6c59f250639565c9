"""Areas and places of pixels, against the definition."""

import numpy as np
import pytest

from twofold.errors import DataError
from twofold.maps.coordinates import RADIUS, Coordinates

DEGREE = (0.001, 0.0, 15.0, 0.0, -0.001, 48.0)


def test_pixels_without_a_place():
    nowhere = Coordinates(transform=None, crs=None)
    assert nowhere.unit == "pixels" and nowhere.areas(np.arange(3)).tolist() == [1, 1, 1]
    np.testing.assert_array_equal(nowhere.on_map(np.array([[3, 4]])), [[3, 4]])
    with pytest.raises(DataError, match="without a CRS"):
        nowhere.in_degrees(np.zeros((1, 2)))


@pytest.mark.parametrize(
    ("crs", "unit"),
    [
        ("EPSG:32633", "square metres"),
        ("EPSG:2263", "square US survey feet"),
        (None, "square units of the file's coordinates"),
    ],
)
def test_areas_on_a_plane(crs, unit):
    place = Coordinates(transform=(2.0, 0.0, 0.0, 0.0, -3.0, 0.0), crs=crs)
    assert place.unit == unit and place.areas(np.arange(2)).tolist() == [6, 6]


def test_areas_in_degrees_are_square_metres():
    place = Coordinates(transform=DEGREE, crs="EPSG:4326")
    rows = np.array([0, 47_999, 48_000])
    side = np.radians(0.001) * RADIUS
    middle = np.radians(48 - 0.001 * (rows + 0.5))
    assert place.unit == "square metres"
    np.testing.assert_allclose(place.areas(rows), side**2 * np.cos(middle), rtol=1e-6)
    world = Coordinates(transform=(1.0, 0.0, -180.0, 0.0, -1.0, 90.0), crs="EPSG:4326")
    whole = 360 * world.areas(np.arange(180)).sum()
    assert whole == pytest.approx(4 * np.pi * RADIUS**2)


def test_places_in_degrees():
    place = Coordinates(transform=(10.0, 0.0, 5e5, 0.0, -10.0, 5.4e6), crs="EPSG:32633")
    corner = place.on_map(np.array([[100, 200]]))
    assert corner.tolist() == [[501_000, 5_398_000]]
    longitude, latitude = place.in_degrees(corner)[0]
    assert longitude == pytest.approx(15.0136, abs=1e-3) and 48 < latitude < 49
    with pytest.raises(DataError, match="have no longitude and latitude"):
        place.in_degrees(np.array([[1e30, 1e30]]))

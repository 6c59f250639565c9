"""Regions found band by band are those of the whole map; outlines fill exactly their pixels."""

import numpy as np
import pytest
import rasterio.features

from twofold.maps.outlines import outline, signed_area, turned
from twofold.maps.regions import Regions


def flooded(changed):
    """Regions by flooding, from the definition: sets of (row, column)."""
    left = {(int(r), int(c)) for r, c in np.argwhere(changed)}
    found = []
    while left:
        seeds, region = [left.pop()], set()
        while seeds:
            row, column = seeds.pop()
            region.add((row, column))
            for near in (
                (row + 1, column),
                (row - 1, column),
                (row, column + 1),
                (row, column - 1),
            ):
                if near in left:
                    left.remove(near)
                    seeds.append(near)
        found.append(region)
    return found


def found(changed, levels, band, *, outlines=True):
    regions = Regions(lambda rows: 2.0 + rows, outlines=outlines)
    batches = [
        regions.add(top, levels[top : top + band], changed[top : top + band])
        for top in range(0, len(changed), band)
    ]
    batches.append(regions.end())
    return batches


MAPS = {
    "noise": np.random.default_rng(0).random((40, 53)) < 0.4,
    "dense noise": np.random.default_rng(1).random((40, 53)) < 0.62,
    "empty": np.zeros((9, 9), bool),
    "full": np.ones((9, 9), bool),
    "chessboard": np.indices((11, 12)).sum(axis=0) % 2 == 0,
    "comb": np.indices((30, 21))[1] % 2 == 0,
    "ring": np.pad(np.zeros((8, 8), bool), 3, constant_values=True),
}
MAPS["comb"][-1] = True


@pytest.mark.parametrize("band", [1, 2, 7, 100])
@pytest.mark.parametrize("name", MAPS)
def test_regions_are_those_of_flooding(name, band):
    changed = MAPS[name]
    levels = np.random.default_rng(2).integers(0, 50_000, changed.shape).astype(np.uint16)
    batches = found(changed, levels, band)
    sums = np.concatenate([batch.sums for batch in batches])
    wanted = flooded(changed)
    assert len(sums) == len(wanted)

    def told(region):
        rows, columns = map(np.array, zip(*region, strict=True))
        box = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
        middle = (rows + 0.5).sum(), (columns + 0.5).sum()
        return (len(region), int(levels[rows, columns].sum()), *middle, (2.0 + rows).sum(), *box)

    assert sorted(map(tuple, sums.tolist())) == sorted(
        tuple(float(x) if 2 <= k < 5 else int(x) for k, x in enumerate(told(region)))
        for region in wanted
    )
    for batch in batches:
        for each, runs in zip(batch.sums, batch.runs, strict=True):
            assert (runs[:, 2] - runs[:, 1]).sum() == each["pixels"]
            assert (np.diff(runs[:, 0]) >= 0).all()


def test_without_outlines_no_runs_are_kept():
    levels = np.zeros(MAPS["noise"].shape, np.uint16)
    assert all(batch.runs is None for batch in found(MAPS["noise"], levels, 5, outlines=False))


@pytest.mark.parametrize("name", [name for name in MAPS if name != "empty"])
def test_outlines_fill_their_pixels(name):
    changed = MAPS[name]
    levels = np.zeros(changed.shape, np.uint16)
    for batch in found(changed, levels, 6):
        for runs in batch.runs:
            rings = outline(runs)
            wanted = np.zeros(changed.shape, np.uint8)
            for row, start, end in runs:
                wanted[row, start:end] = 1
            polygon = {"type": "Polygon", "coordinates": [ring.tolist() for ring in rings]}
            drawn = rasterio.features.rasterize([polygon], out_shape=changed.shape)
            np.testing.assert_array_equal(drawn, wanted)
            areas = [abs(signed_area(ring.astype(float))) for ring in rings]
            assert areas[0] - sum(areas[1:]) == wanted.sum()
            for ring in rings:
                assert ring[0].tolist() == ring[-1].tolist()
                corners = list(map(tuple, ring[:-1].tolist()))
                assert len(corners) == len(set(corners))  # no ring passes a corner twice
                steps = np.abs(np.diff(ring, axis=0))
                assert ((steps == 0).sum(axis=1) == 1).all()


def test_rings_turn_as_geojson_wants():
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]], float)
    assert signed_area(square) == 1
    assert signed_area(turned(square, counter_clockwise=False)) == -1
    assert signed_area(turned(square[::-1], counter_clockwise=True)) == 1

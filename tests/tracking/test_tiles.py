"""Where a lost object is looked for: everywhere, and in a bounded number of windows."""

import numpy as np
import pytest

from twofold.tracking.tiles import FACTORS, MOST, tiles


@pytest.mark.parametrize("size", [(360, 640), (120, 90), (2160, 3840), (50, 2000)])
@pytest.mark.parametrize("side", [24.0, 130.0, 700.0])
def test_every_pixel_is_looked_at_in_every_pass(size, side):
    found = tiles(size, side, 224)
    assert len(found) <= len(FACTORS) * MOST
    first = [each for each in found if each.side == found[0].side]
    seen = np.zeros(size, bool)
    for each in first:
        seen[max(each.top, 0) : each.top + each.side, max(each.left, 0) : each.left + each.side] = 1
    assert seen.all()


def test_neighbours_overlap_by_a_third_of_a_side():
    lefts = sorted({each.left for each in tiles((100, 1000), 100.0, 224) if each.side == 100})
    assert np.diff(lefts).max() <= 66

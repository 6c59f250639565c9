"""The page with a slider: it makes no request, escapes names, and shows the largest changes."""

import numpy as np

from twofold.report.swipe_page import Closeup, Swipe, swipe_page
from twofold.results import Change, Region, Shift

REGION = Region(pixels=40, area=4000.0, probability=0.8, box=(2, 3, 8, 10), centre=(5e5, 5.4e6))


def page(*, regions=(REGION,), unit="square metres", name="before.tif"):
    changed = np.zeros((20, 30), bool)
    changed[2:8, 3:10] = bool(regions)
    picture = np.full((20, 30, 3), 90, np.uint8)
    closeups = tuple(
        Closeup(before=picture, after=picture, changed=changed, region=each) for each in regions
    )
    result = Change(
        pixels=600,
        changed=40,
        height=20,
        width=30,
        area=4000.0,
        area_unit=unit,
        threshold=0.5,
        method="change_unet",
        regions=len(regions),
        largest=regions,
        shift=Shift(rows=0.2, columns=-0.1, windows=4, agreement=1.0),
        notes=("AFTER is <shifted>",),
    )
    swipe = Swipe(
        before=picture,
        after=picture,
        changed=changed,
        factor=1,
        closeups=closeups,
        names=(name, "after.tif"),
    )
    return swipe_page(result, swipe)


def test_a_page_makes_no_request():
    text = page()
    assert 'src="http' not in text and "url(" not in text and "fetch(" not in text
    assert "6.67% of the scene changed: 1 region, 4,000 square metres. This is an estimate." in text
    assert text.count("data:image/") == 3 + 4
    assert "500000.0<br>5400000.0" in text and "0.80" in text


def test_names_are_text():
    text = page(name="<script>alert(1)</script>.tif")
    assert "<script>alert" not in text and "&lt;shifted&gt;" in text


def test_no_change_and_no_place():
    assert "No pixel changed." in page(regions=())
    text = page(unit="pixels")
    assert "<th>pixels</th>" in text and "<td>4,000</td>" not in text

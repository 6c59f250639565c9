"""Where two pictures differ, for the review page."""

import numpy as np
import PIL.Image

from twofold.copies import difference
from twofold.copies.difference import differing
from twofold.copies.registration import Apart


def pictures(folder):
    """A picture, and the same with a black corner."""
    y, x = np.mgrid[:168, :168]
    drawn = (128 + 90 * np.sin(x / 7) * np.cos(y / 11) + 30 * np.sin((x + 2 * y) / 3)).clip(0, 255)
    other = drawn.copy()
    other[:40, :40] = 255 - other[:40, :40]
    for name, array in (("one", drawn), ("other", other)):
        PIL.Image.fromarray(array.astype(np.uint8)).save(folder / f"{name}.png")
    return folder / "one.png", folder / "other.png"


def test_what_differs_is_red(tmp_path):
    laid = differing(*pictures(tmp_path))
    assert laid is not None
    kept, copy, red = (each.astype(int) for each in laid)
    assert kept.shape == copy.shape == red.shape
    loud = red[:, :, 0] - red[:, :, 1]
    assert loud[10:30, 10:30].mean() > 60 > 20 > loud[-60:, -60:].mean()


def test_pictures_that_cannot_be_laid_over_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr(difference, "lay_over", lambda *_: Apart(agreement=0.0))
    assert differing(*pictures(tmp_path)) is None

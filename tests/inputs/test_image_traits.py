"""Pictures whose end is missing, and those that only look so."""

import io

import numpy as np
import PIL.Image

from twofold.copies.hashing import grey_plane
from twofold.inputs.image import Image
from twofold.inputs.image_traits import flat_edges


def photograph(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    soft = PIL.Image.fromarray(coarse).resize((160, 120), PIL.Image.Resampling.BICUBIC)
    return np.asarray(soft)


def flagged(*pictures: np.ndarray) -> list[bool]:
    return flat_edges(
        np.stack([grey_plane(Image(size=112).read(each)) for each in pictures])
    ).tolist()


def test_a_lost_end_is_seen_however_the_picture_is_turned():
    lost = photograph(0).copy()
    lost[70:] = 128
    lost[62:70, 90:] = 128  # in the middle of a row of blocks
    for quarters in range(4):
        assert flagged(np.ascontiguousarray(np.rot90(lost, quarters))) == [True]


def test_a_bitmap_whose_end_was_filled_with_zeros_is_seen():
    buffer = io.BytesIO()
    PIL.Image.fromarray(photograph(1)).save(buffer, "PPM")
    data = buffer.getvalue()
    assert flat_edges(
        grey_plane(Image(size=112).read(data[:30_000] + bytes(len(data) - 30_000)))[None]
    )[0]


def test_whole_pictures_are_not_flagged():
    page = np.full((120, 160), 255, np.uint8)
    page[40:60, 30:100:3] = 0  # a drawing with margins
    wide = photograph(2).copy()
    wide[:20] = wide[-20:] = 0  # bars above and below
    assert flagged(photograph(3), page, wide, np.full((64, 64), 7, np.uint8)) == [False] * 4

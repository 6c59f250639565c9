"""Arrays that one pass over the files made are handed on to the next."""

import numpy as np
from PIL import Image as Picture

from twofold.data.decoded import DecodingOnce, decoded
from twofold.data.items import Items
from twofold.inputs.image import Image

INPUT = Image(size=8, channels=1)


def pictures(folder):
    for number in range(4):
        (folder / str(number // 2)).mkdir(exist_ok=True)
        Picture.fromarray(np.full((8, 8), 9 * number, np.uint8)).save(
            folder / str(number // 2) / f"{number}.png"
        )
    return Items.open(folder)


def test_arrays_go_with_the_items(tmp_path):
    items = pictures(tmp_path)
    once = DecodingOnce(INPUT)
    arrays = [once.read(value) for value in items.values]
    once.hand_on(items)
    part = items.where(identities=["1"])
    known = decoded(part, INPUT)
    assert all(known[value] is arrays[number + 2] for number, value in enumerate(part.values))
    assert decoded(part, Image(size=9, channels=1)) == {}
    assert decoded(Items.open(tmp_path), INPUT) == {}


def test_more_than_fits_into_memory_is_not_kept(tmp_path):
    items = pictures(tmp_path)
    once = DecodingOnce(INPUT, most=3 * 64)
    for value in items.values:
        once.read(value)
    once.hand_on(items)
    assert decoded(items, INPUT) == {} and not once.arrays

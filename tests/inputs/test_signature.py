"""Ink is taken from paper: pen, light, lines and specks do not count; what shows no ink is refused by name."""

import json

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest

from twofold.errors import RecipeError, UnreadableInput
from twofold.inputs import Input, Signature
from twofold.inputs.signature import ink

STROKES = [(60, 200), (120, 60), (170, 210), (230, 90), (280, 190), (360, 120), (520, 150)]
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def page(strokes=STROKES, *, pen=BLACK, width=6, paper=WHITE, size=(600, 280)) -> PIL.Image.Image:
    picture = PIL.Image.new("RGB", size, paper)
    PIL.ImageDraw.Draw(picture).line(strokes, fill=pen, width=width, joint="curve")
    return picture


def shaded(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Photographed: dark at the left, with the grain of a camera."""
    pixels = np.asarray(picture, np.float32)
    light = np.linspace(0.45, 1, pixels.shape[1])[None, :, None]
    grain = np.random.default_rng(0).normal(0, 3, pixels.shape)
    return PIL.Image.fromarray(np.clip(pixels * light + grain, 0, 255).astype(np.uint8))


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize(
    "other",
    [
        page(pen=(30, 60, 190)),
        page(pen=(200, 40, 40)),
        page(pen=(120, 120, 120)),
        page(paper=(235, 225, 190)),
        shaded(page(pen=(30, 60, 190))),
    ],
    ids=["blue", "red", "pencil", "yellow paper", "a photograph in shade"],
)
def test_pen_and_light_do_not_count(other):
    assert overlap(ink(page()), ink(other)) > 0.9


@pytest.mark.parametrize("colour", [(0, 0, 0), (80, 120, 220), (220, 90, 90)])
def test_printed_lines_are_taken_away_and_strokes_across_them_stay(colour):
    lined = page()
    draw = PIL.ImageDraw.Draw(lined)
    for row in (150, 250):
        draw.line([(0, row), (600, row)], fill=colour, width=2)
    drawn = ink(lined)
    assert not drawn[248:253].any()
    assert overlap(ink(page()), drawn) > 0.85


def test_a_frame_is_taken_away():
    framed = page()
    PIL.ImageDraw.Draw(framed).rectangle([4, 4, 595, 275], outline=BLACK, width=3)
    assert overlap(ink(page()), ink(framed)) > 0.95


def test_an_underline_that_belongs_to_the_name_stays():
    strokes = [*STROKES, (80, 230), (330, 222)]
    assert ink(page(strokes))[215:240, 100:300].any()


def test_specks_are_taken_away():
    dirty = np.asarray(page()).copy()
    for row, column in np.random.default_rng(1).integers(0, (278, 598), (40, 2)):
        dirty[row : row + 2, column : column + 2] = 60
    assert overlap(ink(page()), ink(dirty)) > 0.97


def test_it_is_cut_out_in_its_own_proportions():
    small, wide = Signature(size=(64, 128)), PIL.Image.new("RGB", (1500, 900), WHITE)
    wide.paste(page(), (700, 500))
    one, other = small.read(page()), small.read(wide)
    assert one.shape == (64, 128, 1)
    assert np.abs(one.astype(int) - other).mean() < 12
    rows, columns = np.nonzero(one[:, :, 0] < 128)
    assert (np.ptp(columns) + 1) / (np.ptp(rows) + 1) == pytest.approx(470 / 155, rel=0.08)
    assert np.ptp(columns) + 1 > 124


@pytest.mark.parametrize(
    "value",
    [
        PIL.Image.new("L", (300, 100), 255),
        PIL.Image.new("L", (300, 100), 90),
        page([(0, 140), (600, 140)], width=2),
    ],
    ids=["white", "grey", "a line alone"],
)
def test_a_blank_page_is_refused(value):
    with pytest.raises(UnreadableInput, match="shows no ink"):
        Signature().read(value)


def test_a_dark_picture_is_refused_by_name(tmp_path):
    dark = PIL.Image.new("L", (300, 200), 255)
    PIL.ImageDraw.Draw(dark).rectangle([0, 20, 300, 200], fill=0)
    # paper above the dark part is near enough everywhere for a small picture only
    path = tmp_path / "photograph.png"
    dark.resize((24, 16)).save(path)
    with pytest.raises(UnreadableInput, match=r"photograph\.png is dark on \d+%"):
        Signature().read(path)


def test_clean_pictures_stay_as_they_are():
    kept = Signature(clean=False, size=(280, 600)).read(page(pen=(90, 90, 90)))
    assert kept.min() == 90


def test_it_is_an_input_type_and_rebuilds_itself():
    made = Signature(size=[48, 96], std=0.5)
    assert isinstance(made, Input)
    assert Signature(**json.loads(json.dumps(made.arguments()))) == made
    assert made.normalise(made.stack([made.example()])).abs().max() == 0
    assert made.facts() == {"kind": "pictures", "channels": 1, "size": (48, 96)}
    with pytest.raises(RecipeError, match="rules"):
        Signature(rules=9)

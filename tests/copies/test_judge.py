"""What the judge calls copies, and what it does not: letters, digits, colours and frames decide."""

import io

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFilter
import PIL.ImageFont
import pytest

from twofold.copies.comparing import Judge
from twofold.copies.reading import Collection, picture_seen
from twofold.copies.tones import blocks_of
from twofold.inputs.image import Image


def judged(one, other, **how):
    values = tuple(np.asarray(each.convert("RGB")) for each in (one, other))
    seen = tuple(
        picture_seen(value, str(place), Image(size=128)) for place, value in enumerate(values)
    )
    return Judge(collection=Collection(ids=("0", "1"), values=values, seen=seen), **how)([(0, 1)])[
        0
    ]


def scene(seed, width=200, height=160):
    rng = np.random.default_rng(seed)
    grid = np.zeros((height, width, 3))
    for size in (40, 20, 10, 5):
        shape = (height // size, width // size)
        small = rng.standard_normal((*shape, 3)) + rng.standard_normal((*shape, 1))
        grid += np.kron(small * size, np.ones((size, size, 1)))
    return PIL.Image.fromarray(((grid - grid.min()) / np.ptp(grid) * 255).astype(np.uint8))


def page(seed, lines=24):
    rng = np.random.default_rng(seed)
    picture = PIL.Image.new("L", (420, 594), 255)
    draw = PIL.ImageDraw.Draw(picture)
    for line in range(lines):
        words = " ".join(
            "".join(rng.choice(list("abcdefghilmnoprstu"), rng.integers(2, 9))) for _ in range(9)
        )
        draw.text(
            (40, 40 + 21 * line), words[:46], fill=0, font=PIL.ImageFont.load_default(size=14)
        )
    return picture.convert("RGB")


def jpeg(picture, quality):
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return PIL.Image.open(stream).convert("RGB")


def lettered(picture):
    changed = picture.copy()
    draw = PIL.ImageDraw.Draw(changed)
    draw.text(
        (10, 60),
        "HOLIDAYS",
        fill=(255, 255, 255),
        stroke_width=1,
        stroke_fill=(0, 0, 0),
        font_size=26,
    )
    return changed


def framed(picture):
    frame = PIL.Image.new("RGB", (picture.width + 60, picture.height + 60), (30, 20, 20))
    frame.paste(picture, (30, 30))
    return frame


COPIES = {
    "poor": lambda p: jpeg(p, 25),
    "smaller": lambda p: p.resize((p.width * 2 // 3, p.height * 2 // 3)),
    "squeezed": lambda p: p.resize((p.width, p.height * 3 // 4)),
    "brighter": lambda p: p.point(lambda v: v * 0.8 + 40),
    "grey": lambda p: p.convert("L"),
    "part": lambda p: p.crop((20, 10, 180, 140)),
    "turned": lambda p: p.transpose(PIL.Image.Transpose.ROTATE_90),
    "askew": lambda p: p.rotate(5, PIL.Image.Resampling.BICUBIC),
    "framed": framed,
    "lettered": lettered,
}


@pytest.mark.parametrize("name", list(COPIES))
def test_changed_copies_of_a_photograph(name):
    assert judged(scene(1), COPIES[name](scene(1))).says == "copy"


@pytest.mark.parametrize("name", ["poor", "smaller", "turned"])
def test_changed_copies_of_a_page(name):
    assert judged(page(1), COPIES[name](page(1))).says == "copy"


def test_pages_of_one_layout_are_not_copies():
    assert {judged(page(1), page(seed)).says for seed in range(2, 6)} == {"different"}


def test_another_number_makes_no_sure_copy():
    def bill(total):
        changed = page(3, lines=12)
        PIL.ImageDraw.Draw(changed).text((250, 500), total, fill=(0, 0, 0), font_size=24)
        return changed

    assert judged(bill("1273.50"), jpeg(bill("1273.50"), 60)).says == "copy"
    assert judged(bill("1273.50"), bill("9648.07")).says != "copy"


def test_other_pictures_in_one_frame_are_not_copies():
    assert judged(framed(scene(1)), framed(scene(2))).says == "different"


def test_another_colour_is_another_picture():
    def shirt(colour):
        picture = PIL.Image.fromarray(np.asarray(scene(5).convert("L").convert("RGB")) // 3 + 150)
        PIL.ImageDraw.Draw(picture).rectangle((60, 40, 140, 130), fill=colour)
        return picture

    assert judged(shirt((180, 60, 60)), shirt((180, 60, 60)).resize((150, 120))).says == "copy"
    assert judged(shirt((190, 60, 60)), shirt((60, 110, 110))).says == "different"


def test_pictures_without_detail_are_never_copies():
    flat = PIL.Image.new("RGB", (120, 120), (40, 40, 40))
    assert judged(flat, PIL.Image.new("RGB", (120, 120), (42, 41, 40))).says == "different"


def test_a_tiny_or_blurred_copy_is_a_perhaps():
    assert judged(scene(1), scene(1).resize((20, 16), PIL.Image.Resampling.BOX)).says == "perhaps"
    assert judged(scene(1), scene(2).resize((20, 16), PIL.Image.Resampling.BOX)).says == "different"
    assert judged(scene(1), scene(1).filter(PIL.ImageFilter.GaussianBlur(3))).says == "perhaps"


def test_mirror_images_only_where_they_are_asked_for():
    flipped = scene(1).transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT)
    assert judged(scene(1), flipped).says == "different"
    assert judged(scene(1), flipped, mirrored=True).says == "copy"


def test_strictness():
    assert judged(scene(1), jpeg(scene(1), 60), strictness="exact").says == "different"
    blurred = scene(1).filter(PIL.ImageFilter.GaussianBlur(3))
    assert judged(scene(1), blurred, strictness="loose").says == "copy"
    assert judged(scene(1), jpeg(scene(1), 8), strictness="strict").says != "copy"


def test_a_small_copy_is_compared_with_all_the_detail_of_the_other():
    picture = scene(3, 320, 320).filter(PIL.ImageFilter.GaussianBlur(0.5))
    small = picture.resize((248, 248), PIL.Image.Resampling.BICUBIC).transpose(
        PIL.Image.Transpose.ROTATE_90
    )
    whole = judged(picture, small)
    # at 256 pixels a side the finest detail of both was lost
    assert whole.says == "copy" and whole.score > 0.995


def test_what_has_no_detail_may_be_a_copy():
    ramp = np.add.outer(np.linspace(0, 60, 128), np.linspace(0, 30, 128)) + 80 * np.hypot(
        *np.mgrid[-1:1:128j, -1:1:128j]
    )
    flat = PIL.Image.fromarray(ramp.astype(np.uint8)).convert("RGB")
    assert judged(flat, flat.resize((112, 112), PIL.Image.Resampling.BICUBIC)).says == "perhaps"


def marked(picture, opacity=110):
    mark = PIL.Image.new("L", picture.size, 0)
    PIL.ImageDraw.Draw(mark).text((10, 50), "SAMPLE", fill=opacity, font_size=44)
    changed = picture.copy()
    changed.paste((255, 255, 255), mask=mark)
    return changed


@pytest.mark.parametrize("changed", [lettered, marked])
def test_letters_and_marks_over_a_photograph_are_set_aside(changed):
    assert judged(scene(1), changed(scene(1))).says in ("copy", "perhaps")
    assert judged(scene(1), changed(scene(2))).says == "different"


def test_letters_over_a_flat_picture_do_not_make_its_light():
    field = PIL.Image.fromarray(np.asarray(scene(1)) // 3 + 100)
    assert judged(field, lettered(field)).says in ("copy", "perhaps")


def test_what_jpeg_destroyed_is_a_perhaps():
    assert judged(scene(1), jpeg(scene(1), 3)).says == "perhaps"
    assert judged(scene(1), jpeg(scene(2), 3)).says == "different"


@pytest.mark.parametrize(
    "way", [lambda p: p.filter(PIL.ImageFilter.GaussianBlur(9)), lambda p: p.resize((42, 59))]
)
def test_other_pages_that_cannot_be_read_are_never_copies(way):
    assert judged(page(1), way(page(1))).says != "different"
    assert {judged(way(page(1)), way(page(2))).says, judged(page(1), way(page(2))).says} <= {
        "perhaps",
        "different",
    }


def test_an_edge_of_a_drawing_is_no_block_of_jpeg():
    picture = PIL.Image.new("L", (256, 256), 240)
    PIL.ImageDraw.Draw(picture).rectangle((0, 0, 255, 63), fill=20)
    assert blocks_of(np.asarray(picture, np.float32)) == 0
    assert blocks_of(np.asarray(jpeg(scene(1), 5).convert("L"), np.float32)) >= 4


def test_which_of_two_pictures_comes_first_does_not_matter():
    for seed in range(3):
        stream = io.BytesIO()
        scene(seed).save(stream, "JPEG", quality=40)
        values = tuple(np.asarray(each) for each in (scene(seed), PIL.Image.open(stream)))
        seen = tuple(
            picture_seen(value, content, Image(size=128))
            for value, content in zip(values, "ab", strict=True)
        )
        known = Collection(ids=("0", "1"), values=values, seen=seen)
        assert Judge(collection=known)([(0, 1)]) == Judge(collection=known)([(1, 0)])

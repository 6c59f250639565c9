"""JPEGs that are whole, cut, closed, filled with zeros, too large, or with too many scans."""

import io

import numpy as np
import PIL.Image
import pytest

from twofold.errors import UnreadableInput
from twofold.inputs.image import Image
from twofold.inputs.image_jpeg import jpeg_image
from twofold.inputs.image_jpeg_markers import structure

LIMIT = 25_000_000
WAYS = {
    "baseline": {},
    "optimised": {"optimize": True},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 7},
    "progressive with restarts": {"progressive": True, "restart_marker_rows": 1},
    "full colour": {"subsampling": 0},
    "half colour": {"subsampling": 1},
}


def photograph(height: int, width: int, mode: str = "RGB") -> PIL.Image.Image:
    """Soft shapes and noise: every block has something in it, and the last one is not grey."""
    rng = np.random.default_rng(height)
    coarse = np.clip(rng.normal(128, 60, (height // 16 + 2, width // 16 + 2, 3)), 0, 255).astype(
        np.uint8
    )
    soft = PIL.Image.fromarray(coarse).resize((width, height), PIL.Image.Resampling.BICUBIC)
    noisy = np.asarray(soft) + rng.normal(0, 12, (height, width, 3))
    return PIL.Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).convert(mode)


def jpeg(picture: PIL.Image.Image, quality: int = 75, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("size", [(17, 9), (61, 80), (200, 311)])
def test_whole_files_give_pillow_s_own_pixels(way, mode, size):
    for quality in (30, 95):
        data = jpeg(photograph(*size, mode), quality, **WAYS[way])
        for side in (1000, 8):
            expected = PIL.Image.open(io.BytesIO(data))
            expected.draft(None, (2 * side, 2 * side))
            np.testing.assert_array_equal(jpeg_image(data, side=side, limit=LIMIT), expected)


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("way", WAYS)
def test_flat_pictures_are_whole(way, value):
    data = jpeg(PIL.Image.new("RGB", (333, 222), (value,) * 3), **WAYS[way])
    assert (np.asarray(jpeg_image(data, side=1000, limit=LIMIT)) == value).all()


def test_what_follows_the_end_does_not_count():
    data = jpeg(photograph(61, 80))
    expected = np.asarray(jpeg_image(data, side=1000, limit=LIMIT))
    for more in (bytes(5000), b"\xff\xd9" * 3, data):
        np.testing.assert_array_equal(jpeg_image(data + more, side=1000, limit=LIMIT), expected)


@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_was_cut_and_closed_is_refused(way):
    data = jpeg(photograph(200, 311), **WAYS[way])
    start = structure(data, LIMIT).scans[0].start
    for place in np.linspace(start + 10, len(data) - 40, 20).astype(int):
        with pytest.raises(UnreadableInput, match=r"is (cut|damaged)"):
            jpeg_image(data[:place] + b"\xff\xd9", side=1000, limit=LIMIT)


@pytest.mark.parametrize("way", [way for way in WAYS if "progressive" not in way])
@pytest.mark.parametrize("zeros", [512, 4096])
def test_zeros_in_place_of_data_are_refused(way, zeros):
    data = jpeg(photograph(200, 311), **WAYS[way])
    start = structure(data, LIMIT).scans[0].start
    for place in np.linspace(start + 10, len(data) - zeros - 10, 12).astype(int):
        damaged = data[:place] + bytes(zeros) + data[place + zeros :]
        with pytest.raises(UnreadableInput, match=r"is (cut|damaged)"):
            jpeg_image(damaged, side=1000, limit=LIMIT)


def test_a_drawing_with_runs_of_zero_bits_is_whole():
    page = np.full((400, 400), 255, np.uint8)
    page[180:220, 190:210] = np.arange(20, dtype=np.uint8) * 12
    data = jpeg(PIL.Image.fromarray(page), optimize=True)
    assert bytes(64) in data  # a flat area, and the code of nothing is zero
    assert np.asarray(jpeg_image(data, side=1000, limit=LIMIT))[0, 0] == 255


def test_a_lost_restart_marker_is_noticed():
    data = jpeg(photograph(61, 80), restart_marker_blocks=3)
    place = data.index(b"\xff\xd2")
    with pytest.raises(UnreadableInput, match="restart markers"):
        jpeg_image(data[:place] + b"\x12\x34" + data[place + 2 :], side=1000, limit=LIMIT)


def test_a_photograph_above_the_limit_is_decoded_smaller():
    data = jpeg(photograph(480, 640))
    read = Image(size=(48, 64), max_pixels=50_000).read(data).astype(int)
    full = Image(size=(48, 64)).read(data).astype(int)
    assert np.abs(read - full).mean() < 3
    with pytest.raises(UnreadableInput, match="has 640 x 480"):  # no smaller size has 320 columns
        Image(size=(240, 320), max_pixels=50_000).read(data)


def test_48_megapixels_are_read():
    data = jpeg(PIL.Image.new("L", (8064, 6048), 77), quality=30)
    assert (Image(size=112, channels=1).read(data) == 77).all()


def test_a_baseline_of_many_times_the_limit_is_refused():
    data = jpeg(PIL.Image.new("L", (640, 480)))
    assert Image(size=8, max_pixels=20_000).read(data).shape == (8, 8, 3)
    with pytest.raises(UnreadableInput, match="has 640 x 480"):
        Image(size=8, max_pixels=19_000).read(data)
    # its coefficients are held, whatever the size
    with pytest.raises(UnreadableInput, match="has 640 x 480"):
        Image(size=8, max_pixels=100_000).read(
            jpeg(PIL.Image.new("L", (640, 480)), progressive=True)
        )


def test_a_progressive_of_hundreds_of_scans_is_refused_before_they_are_decoded():
    data = jpeg(photograph(61, 80, "L"), progressive=True)
    found = structure(data, LIMIT)
    first, second = found.scans[0], found.scans[1]
    scan = data[first.end : second.end]
    long = data[: second.end] + scan * 500 + data[second.end :]
    with pytest.raises(UnreadableInput, match=r"has \d+ scans or more of 80 x 61 pixels"):
        Image(size=8, max_pixels=61 * 80).read(long)

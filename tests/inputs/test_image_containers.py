"""WebP, BMP, GIF, PNM, AVIF and HEIC: cut, too large, damaged, and their kinds."""

import builtins
import io
import struct

import numpy as np
import PIL.Image
import pytest

from twofold.errors import UnreadableInput
from twofold.inputs.image import Image

GREY = Image(size=(4, 6), channels=1)
COLOUR = Image(size=(4, 6))
VALUES = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)


def saved(image: PIL.Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["WEBP", "BMP", "GIF", "PPM", "AVIF"])
def test_a_cut_file_is_refused_at_every_length(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(PIL.Image.fromarray(VALUES), kind, **options)
    COLOUR.read(data)
    # without the last: padding; the mark of no next frame
    for length in range(len(data) - (kind in ("WEBP", "GIF"))):
        with pytest.raises(UnreadableInput):
            COLOUR.read(data[:length])


class TestPnm:
    @pytest.mark.parametrize("most", [1, 2, 15, 100, 255, 256, 1023, 4095, 65535])
    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize("plain", [True, False])
    def test_every_largest_value(self, most, channels, plain):
        values = np.random.default_rng(most).integers(0, most + 1, (4, 6, channels))
        expected = np.floor(values * 255 / most + 0.5)
        kind = {(1, True): 2, (3, True): 3, (1, False): 5, (3, False): 6}[channels, plain]
        head = b"P%d # a comment\n6 4\n# another\n%d\n" % (kind, most)
        words = " ".join(map(str, values.ravel())).encode()
        data = head + (
            words if plain else values.astype(">u2" if most > 255 else np.uint8).tobytes()
        )
        np.testing.assert_array_equal((GREY if channels == 1 else COLOUR).read(data), expected)

    def test_bits(self):
        values = np.random.default_rng(1).integers(0, 2, (4, 6))
        plain = b"P1\n6 4\n" + "".join(map(str, values.ravel())).encode()
        raw = b"P4\n6 4\n" + np.packbits(values.astype(np.uint8), axis=1).tobytes()
        for data in (plain, raw):
            np.testing.assert_array_equal(GREY.read(data)[:, :, 0], 255 * (1 - values))

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"P2 6 4 100 " + b"101 " * 24, "has a sample of 101, over its own largest value 100"),
            (b"P2 6 4 0 " + b"0 " * 24, "has a largest value of 0"),
            (b"P2 6 4 9 " + b"x " * 24, "has samples that are not whole numbers"),
            (b"P2 6 4 9 " + b"-1 " * 24, "has samples that are not whole numbers"),
            (b"P2 6 4 9 " + b"0000000001 " * 24, "has a sample of 10 digits"),
            (b"P1 6 4 " + b"2 " * 24, "has samples that are neither 0 nor 1"),
            (b"P5 6 4 9 " + bytes(30), "6 bytes follow the picture"),
            (b"P5 6 x", "has a damaged header"),
            (b"P5 60000 60000 255 ", "has 60000 x 60000"),
        ],
    )
    def test_what_is_not_possible(self, data, message):
        with pytest.raises(UnreadableInput, match=message):
            GREY.read(data)


class TestHeaders:
    def test_the_canvas_of_a_webp_is_read_before_it_is_allocated(self):
        frames = [PIL.Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
        data = bytearray(saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
        place = data.index(b"VP8X") + 12
        data[place : place + 6] = b"\xff\x3f\x00\xff\x3f\x00"
        with pytest.raises(UnreadableInput, match="has 16384 x 16384"):
            GREY.read(bytes(data))

    @pytest.mark.parametrize("lossless", [True, False])
    def test_a_webp_frame_too(self, lossless):
        data = saved(PIL.Image.new("RGB", (64, 50)), "WEBP", lossless=lossless)
        with pytest.raises(UnreadableInput, match="has 64 x 50"):
            Image(size=8, max_pixels=3000).read(data)

    def test_the_canvas_of_a_gif(self):
        data = bytearray(saved(PIL.Image.new("L", (64, 64)), "GIF"))
        data[6:10] = b"\xff\xff\xff\xff"
        with pytest.raises(UnreadableInput, match="has 65535 x 65535"):
            GREY.read(bytes(data))

    def test_long_sides(self):
        for width, height in ((70_000, 1), (1, 70_000)):
            data = b"P4 %d %d " % (width, height) + bytes(-(-width // 8) * height)
            with pytest.raises(UnreadableInput, match="sides of more than 65,535 are not read"):
                GREY.read(data)

    def test_a_bmp_that_is_shorter_than_it_says(self):
        data = bytearray(saved(PIL.Image.fromarray(VALUES), "BMP"))
        data[2:6] = struct.pack("<I", 0)  # as some writers leave it
        COLOUR.read(bytes(data))
        with pytest.raises(UnreadableInput, match="is cut"):
            COLOUR.read(bytes(data[:-1]))


def bmp_runs(runs: bytes, *, four: bool = False, size: tuple[int, int] = (6, 4)) -> bytes:
    """A BMP of run lengths with a palette of greys."""
    colours = 16 if four else 256
    start = 54 + 4 * colours
    header = struct.pack(
        "<2sIHHIIiiHHIIiiII", b"BM", 0, 0, 0, start, 40, *size, 1, 8 - 4 * four, 1 + four, *[0] * 5
    )
    return header + b"".join(bytes([k, k, k, 0]) for k in range(colours)) + runs


class TestRunLengths:
    def test_rows_from_the_bottom_up(self):
        rows = b"".join(bytes([6, 10 * row, 0, 0]) for row in range(4))
        found = GREY.read(bmp_runs(rows + b"\0\1"))
        np.testing.assert_array_equal(found[:, 0, 0], [30, 20, 10, 0])
        np.testing.assert_array_equal(found[0], np.full((6, 1), 30))

    def test_literals_gaps_and_two_pixels_a_byte(self):
        rows = b"\0\3\7\10\11\0" + b"\3\6\0\0" + b"\0\2\2\1" + b"\1\4\0\1"
        found = GREY.read(bmp_runs(rows))[:, :, 0]
        np.testing.assert_array_equal(found[3], [7, 8, 9, 6, 6, 6])
        np.testing.assert_array_equal(found[1], [0, 0, 4, 0, 0, 0])
        found = GREY.read(bmp_runs(b"\5\x3a\0\0\0\5\x12\x34\x50\0\0\1", four=True, size=(5, 2)))
        assert found.shape == (4, 6, 1)
        raw = Image(size=(2, 5), channels=1).read(
            bmp_runs(b"\5\x3a\0\0\0\5\x12\x34\x50\0\0\1", four=True, size=(5, 2))
        )
        np.testing.assert_array_equal(raw[:, :, 0], [[1, 2, 3, 4, 5], [3, 10, 3, 10, 3]])

    @pytest.mark.parametrize(
        ("runs", "message"),
        [
            (b"\6\1\0\0" * 4, "its run lengths have no end"),
            (b"\7\1\0\0\0\1", "do not fit its rows"),
            (b"\0\0" * 4 + b"\1\1\0\1", "do not fit its rows"),
            (b"\0\6\1\1", "its run lengths have no end"),
        ],
    )
    def test_damage(self, runs, message):
        with pytest.raises(UnreadableInput, match=message):
            GREY.read(bmp_runs(runs))

    def test_too_much_of_it(self):
        with pytest.raises(UnreadableInput, match="has 4 MB of run lengths: save it as PNG"):
            GREY.read(bmp_runs(b"\1\1" * 2**21 + b"\0\1"))


def soft(seed: int, size: tuple[int, int] = (96, 72)) -> PIL.Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return PIL.Image.fromarray(coarse).resize(size, PIL.Image.Resampling.BICUBIC)


class TestDamage:
    """Data of these formats has no checksum, but it has to end where the picture does."""

    @pytest.mark.parametrize("size", [(1, 1), (7, 5), (96, 72), (300, 200)])
    def test_whole_pictures_are_read(self, size):
        noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        for image in (soft(0, size), PIL.Image.fromarray(noise), PIL.Image.new("RGB", size, "red")):
            for options in ({"lossless": True}, {"quality": 30}, {"quality": 95, "method": 6}):
                COLOUR.read(saved(image, "WEBP", **options))
            for interlace in (0, 1):
                COLOUR.read(saved(image, "GIF", interlace=interlace))
            COLOUR.read(saved(image, "BMP"))
            COLOUR.read(saved(image.convert("RGBA"), "WEBP"))

    def test_a_gif_whose_data_goes_on(self):
        data = saved(soft(0), "GIF")
        middle = len(data) // 2
        start = data.index(b"\xff", middle)  # a block of 255 bytes
        twice = data[: start + 256] + data[start:]
        with pytest.raises(UnreadableInput):
            COLOUR.read(twice)

    def test_most_damaged_lossy_webps_are_noticed(self):
        data = saved(soft(0, (320, 240)), "WEBP", quality=90)
        refused = 0
        for place in range(500, 1500, 50):
            hurt = bytearray(data)
            hurt[place] ^= 16
            try:
                COLOUR.read(bytes(hurt))
            except UnreadableInput:
                refused += 1
        assert refused >= 15

    @pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 95}])
    def test_a_hole_in_a_webp(self, options):
        noise = np.random.default_rng(1).integers(0, 256, (90, 90, 3), dtype=np.uint8)
        data = saved(PIL.Image.fromarray(noise), "WEBP", **options)
        hurt = data[:3000] + bytes(1500) + data[4500:]
        with pytest.raises(UnreadableInput):
            COLOUR.read(hurt)

    def test_the_first_frame_of_an_animation(self):
        frames = [soft(k, (64, 64)) for k in range(2)]
        data = saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], quality=90)
        COLOUR.read(data)

    def test_a_bmp_that_is_longer_than_it_says(self):
        data = saved(PIL.Image.fromarray(VALUES), "BMP")
        COLOUR.read(data + b"\0\0")  # padded
        with pytest.raises(
            UnreadableInput, match="is damaged: it has 166 bytes, and 134 by its header"
        ):
            COLOUR.read(data[:80] + bytes(32) + data[80:])

    def test_pictures_may_follow_each_other_in_a_ppm(self):
        data = saved(PIL.Image.fromarray(VALUES), "PPM")
        COLOUR.read(data + b"\n" + data)
        with pytest.raises(
            UnreadableInput, match="5 bytes follow the picture, and not another one"
        ):
            COLOUR.read(data + b"other")


class TestIso:
    def test_avif(self):
        soft = PIL.Image.fromarray(VALUES).resize((60, 40))
        found = Image(size=(40, 60)).read(saved(soft, "AVIF", quality=95))
        assert np.abs(found.astype(int) - np.asarray(soft)).mean() < 6

    @pytest.mark.parametrize("orientation", [1, 3, 6, 8])
    def test_heic_comes_upright(self, orientation):
        pillow_heif = pytest.importorskip("pillow_heif")
        soft = PIL.Image.fromarray(VALUES).resize((96, 64))
        turned = soft.rotate({1: 0, 3: 180, 6: 90, 8: 270}[orientation], expand=True)
        exif = PIL.Image.Exif()
        exif[0x0112] = orientation
        buffer = io.BytesIO()
        pillow_heif.from_pillow(turned).save(buffer, quality=95, exif=exif.tobytes())
        found = Image(size=(64, 96)).read(buffer.getvalue())
        assert np.abs(found.astype(int) - np.asarray(soft)).mean() < 8

    def test_heic_without_its_extra_says_what_to_do(self, monkeypatch):
        real = builtins.__import__

        def without(name, *arguments, **named):
            if name.startswith("pillow_heif"):
                raise ImportError(name)
            return real(name, *arguments, **named)

        monkeypatch.setattr(builtins, "__import__", without)
        with pytest.raises(
            UnreadableInput, match=r"the extra heic: pip install 'twofold\[heic\]', or save it as"
        ):
            GREY.read(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50))

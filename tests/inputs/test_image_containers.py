"""WebP, BMP, GIF, PNM, AVIF and HEIC: cut, too large, and their kinds."""

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
    for length in range(len(data) - (kind in ("WEBP", "GIF"))):  # without the last: padding; the mark of no next frame
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
        data = head + (words if plain else values.astype(">u2" if most > 255 else np.uint8).tobytes())
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
            (b"P2 6 4 9 " + b"x " * 24, "has samples that are not numbers"),
            (b"P2 6 4 9 " + b"-1 " * 24, "has samples that are not possible"),
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

    def test_a_run_length_coded_bmp_without_an_end(self):
        header = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 0, 0, 0, 1078, 40, 6, 4, 1, 8, 1, 0, 0, 0, 0, 0)
        palette = b"".join(bytes([k, k, k, 0]) for k in range(256))
        rows = b"".join(bytes([6, 10 * row, 0, 0]) for row in range(4))
        found = GREY.read(header + palette + rows + b"\0\1")
        np.testing.assert_array_equal(found[:, 0, 0], [30, 20, 10, 0])
        with pytest.raises(UnreadableInput, match="its run lengths have no end"):
            GREY.read(header + palette + rows[:-4])


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
        with pytest.raises(UnreadableInput, match=r"the extra heic: pip install 'twofold\[heic\]', or save it as"):
            GREY.read(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50))

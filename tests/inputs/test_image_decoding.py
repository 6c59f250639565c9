"""Files of every kind that is read, and of the kinds that are refused, made on the spot."""

import io
import struct
import zlib
from typing import ClassVar

import numpy as np
import PIL.Image
import pytest

from twofold.errors import UnreadableInput
from twofold.inputs import image_levels
from twofold.inputs.image import Image
from twofold.inputs.image_levels import levels

GREY = Image(size=(6, 8), channels=1)
COLOUR = Image(size=(6, 8), channels=3)


def gradient(height: int = 6, width: int = 8) -> np.ndarray:
    """A picture in which no two corners are alike."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack(
        [rows * 255 / (height - 1), columns * 255 / (width - 1), 128 + 0 * rows], axis=2
    ).astype(np.uint8)


def saved(image: PIL.Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width: int, height: int, depth: int, colour: int, lines: bytes | None = None) -> bytes:
    """A PNG written by hand; with no lines it is blank, compressed in a stream so that any size fits in memory."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))]
    if lines is None:
        packer = zlib.compressobj(9)
        line = bytes(1 + (width * depth + 7) // 8)
        data = b"".join(packer.compress(line) for _ in range(height)) + packer.flush()
    else:
        data = zlib.compress(lines)
    chunks += [(b"IDAT", data), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


class TestFormats:
    @pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM", "TIFF", "GIF"])
    def test_lossless_files_come_back_as_they_were(self, kind, tmp_path):
        path = tmp_path / "picture"
        path.write_bytes(saved(PIL.Image.fromarray(gradient()).convert("L"), kind))
        expected = np.asarray(PIL.Image.fromarray(gradient()).convert("L"))
        np.testing.assert_array_equal(GREY.read(path)[:, :, 0], expected)
        np.testing.assert_array_equal(GREY.read(str(path)), GREY.read(path.read_bytes()))

    @pytest.mark.parametrize(
        ("kind", "options"), [("JPEG", {"quality": 98}), ("WEBP", {"quality": 100})]
    )
    def test_lossy_files_come_back_nearly(self, kind, options):
        picture = PIL.Image.fromarray(gradient(60, 80))
        read = Image(size=(60, 80)).read(saved(picture, kind, **options))
        assert np.abs(read.astype(int) - gradient(60, 80)).mean() < 6

    def test_the_name_of_a_file_counts_for_nothing(self, tmp_path):
        path = tmp_path / "picture.jpg"
        path.write_bytes(saved(PIL.Image.fromarray(gradient()), "PNG"))
        np.testing.assert_array_equal(COLOUR.read(path), gradient())

    def test_the_first_frame_stands_for_an_animation(self):
        frames = [PIL.Image.new("L", (8, 6), value) for value in (40, 200)]
        for kind in ("GIF", "PNG", "WEBP", "TIFF"):
            options = {"lossless": True} if kind == "WEBP" else {}
            data = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
            assert np.abs(GREY.read(data).astype(int) - 40).max() <= 2, kind


class TestModes:
    def test_one_bit_is_black_and_white(self):
        picture = PIL.Image.fromarray(gradient()[:, :, 0] > 100)
        assert picture.mode == "1"
        assert set(np.unique(GREY.read(saved(picture, "PNG")))) == {0, 255}

    def test_palette(self):
        picture = PIL.Image.fromarray(gradient()).quantize(colors=4)
        np.testing.assert_array_equal(
            COLOUR.read(saved(picture, "PNG")), np.asarray(picture.convert("RGB"))
        )

    def test_transparency_lies_on_white_paper(self):
        alpha = np.zeros((6, 8), np.uint8)
        alpha[:3] = 255
        picture = PIL.Image.fromarray(np.dstack([np.zeros((6, 8, 3), np.uint8), alpha]))
        read = GREY.read(saved(picture, "PNG"))
        assert (read[:3] == 0).all()
        assert (read[3:] == 255).all()
        assert (Image(size=(6, 8), background=100).read(saved(picture, "PNG"))[3:] == 100).all()

    def test_half_transparency_is_mixed(self):
        picture = PIL.Image.new("LA", (8, 6), (0, 128))
        assert np.abs(GREY.read(saved(picture, "PNG")).astype(int) - 127).max() <= 1

    def test_a_transparent_palette_entry(self):
        picture = PIL.Image.new("P", (8, 6), 1)
        picture.putpalette([255, 0, 0, 0, 0, 0])
        picture.paste(0, (0, 0, 4, 6))
        read = COLOUR.read(saved(picture, "PNG", transparency=0))
        assert (read[:, :4] == 255).all()
        assert (read[:, 4:] == 0).all()

    @pytest.mark.parametrize("mode", ["L", "RGB"])
    def test_a_transparent_colour(self, mode):
        picture = PIL.Image.new(mode, (8, 6), 0)
        picture.paste(40 if mode == "L" else (40, 40, 40), (0, 0, 4, 6))
        read = GREY.read(saved(picture, "PNG", transparency=0 if mode == "L" else (0, 0, 0)))
        assert (read[:, :4] == 40).all()
        assert (read[:, 4:] == 255).all()

    @pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
    def test_cmyk(self, kind):
        picture = PIL.Image.new("CMYK", (8, 6), (0, 255, 255, 0))
        read = COLOUR.read(saved(picture, kind)).astype(int)
        assert np.abs(read - [255, 0, 0]).max() <= 4

    def test_colour_becomes_luma(self):
        picture = PIL.Image.new("RGB", (8, 6), (200, 100, 50))
        assert (
            GREY.read(saved(picture, "PNG")) == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
        ).all()

    def test_grey_becomes_three_equal_channels(self):
        read = COLOUR.read(saved(PIL.Image.new("L", (8, 6), 77), "PNG"))
        assert (read == 77).all()


class TestSixteenBits:
    VALUES = np.array([[0, 256, 257, 32768], [40000, 65278, 65279, 65535]], np.uint16)
    EXPECTED = np.rint(VALUES / 257).astype(np.uint8)

    @pytest.fixture
    def input(self) -> Image:
        return Image(size=(2, 4), channels=1)

    def test_png(self, input):
        lines = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in self.VALUES)
        np.testing.assert_array_equal(input.read(png(4, 2, 16, 0, lines))[:, :, 0], self.EXPECTED)

    def test_pgm(self, input):
        data = b"P5 4 2 65535\n" + self.VALUES.astype(">u2").tobytes()
        np.testing.assert_array_equal(input.read(data)[:, :, 0], self.EXPECTED)

    def test_tiff(self, input):
        np.testing.assert_array_equal(
            input.read(saved(PIL.Image.fromarray(self.VALUES), "TIFF"))[:, :, 0], self.EXPECTED
        )

    def test_array_and_pillow_image(self, input):
        np.testing.assert_array_equal(input.read(self.VALUES)[:, :, 0], self.EXPECTED)
        np.testing.assert_array_equal(
            input.read(PIL.Image.fromarray(self.VALUES))[:, :, 0], self.EXPECTED
        )

    def test_colour_png_within_one_level(self):
        lines = b"".join(b"\x00" + np.repeat(row, 3).astype(">u2").tobytes() for row in self.VALUES)
        read = Image(size=(2, 4)).read(png(4, 2, 16, 2, lines)).astype(int)
        assert np.abs(read[:, :, 0] - self.EXPECTED).max() <= 1

    @pytest.mark.parametrize("dtype", [np.int32, np.float32])
    def test_32_bits_are_refused(self, dtype):
        data = saved(PIL.Image.fromarray(np.ones((6, 8), dtype)), "TIFF")
        with pytest.raises(
            UnreadableInput, match=r"has 32-bit samples .* save it with 8 or 16 bits per sample"
        ):
            GREY.read(data)


class TestOrientation:
    # EXIF orientation -> what was done to the upright picture before it was stored
    TURNED: ClassVar = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, 3),
    }

    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
    @pytest.mark.parametrize("orientation", TURNED)
    def test_exif_brings_it_upright(self, orientation, kind):
        upright = gradient(48, 64)
        exif = PIL.Image.Exif()
        exif[0x0112] = orientation
        stored = PIL.Image.fromarray(np.ascontiguousarray(self.TURNED[orientation](upright)))
        read = Image(size=(48, 64)).read(saved(stored, kind, exif=exif))
        assert np.abs(read.astype(int) - upright).mean() < 6

    def test_a_damaged_exif_block_is_no_reason_to_refuse(self):
        data = saved(PIL.Image.fromarray(gradient()), "PNG", exif=b"Exif\x00\x00nonsense")
        np.testing.assert_array_equal(COLOUR.read(data), gradient())


class TestArrays:
    def test_grey_one_channel_colour_and_alpha(self):
        array = gradient()
        np.testing.assert_array_equal(COLOUR.read(array), array)
        np.testing.assert_array_equal(GREY.read(array[:, :, 0]), GREY.read(array[:, :, :1]))
        alpha = np.full((6, 8), 255, np.uint8)
        alpha[:, 4:] = 0
        assert (COLOUR.read(np.dstack([array, alpha]))[:, 4:] == 255).all()

    def test_floats_and_bools(self):
        array = gradient()[:, :, 0]
        np.testing.assert_array_equal(GREY.read(array / 255.0)[:, :, 0], array)
        np.testing.assert_array_equal(GREY.read((array / 255.0).astype(np.float32))[:, :, 0], array)
        np.testing.assert_array_equal(GREY.read(array > 100)[:, :, 0], (array > 100) * 255)

    def test_an_array_is_not_changed(self):
        array = gradient()
        before = array.copy()
        COLOUR.read(array)[:] = 0
        np.testing.assert_array_equal(array, before)

    def test_a_pillow_image_is_read_as_its_file(self):
        picture = PIL.Image.fromarray(gradient())
        np.testing.assert_array_equal(COLOUR.read(picture), COLOUR.read(saved(picture, "PNG")))

    @pytest.mark.parametrize(
        ("array", "message"),
        [
            (
                np.zeros((3, 6, 8), np.uint8),
                r"an array of shape \(3, 6, 8\) and type uint8 is not a picture: give",
            ),
            (np.zeros((0, 8), np.uint8), r"shape \(0, 8\) .* is not a picture"),
            (np.zeros((6,), np.uint8), r"shape \(6,\) .* is not a picture"),
            (
                np.zeros((6, 8), np.int64),
                "type int64 has no declared range: give uint8, uint16, bool, or floats",
            ),
            (np.full((6, 8), 2.5), r"has values from 2.5 to 2.5: floats must lie in \[0, 1\]"),
            (np.full((6, 8), np.nan), "has values from nan to nan"),
        ],
    )
    def test_arrays_without_a_meaning_are_refused(self, array, message):
        with pytest.raises(UnreadableInput, match=message):
            GREY.read(array)


class TestRefused:
    def test_a_text_file_named_jpg(self, tmp_path):
        path = tmp_path / "notes.jpg"
        path.write_text("these are my notes")
        with pytest.raises(
            UnreadableInput,
            match=r"notes\.jpg is not a picture \(it begins with b'these are my not'\).*PNG",
        ):
            GREY.read(path)

    @pytest.mark.parametrize(
        "start", [b"%!PS-Adobe-3.0 EPSF-3.0", b"%PDF-1.7", b"<svg xmlns=", b"RIFF0000AVI LIST"]
    )
    def test_formats_that_are_not_on_the_list(self, start):
        with pytest.raises(UnreadableInput, match="is not a picture"):
            GREY.read(start + bytes(100))

    def test_an_empty_file_a_folder_and_nothing(self, tmp_path):
        (tmp_path / "empty.png").touch()
        with pytest.raises(
            UnreadableInput, match=r"empty\.png is empty: replace it or leave it out"
        ):
            GREY.read(tmp_path / "empty.png")
        with pytest.raises(UnreadableInput, match="is a folder, not a picture"):
            GREY.read(tmp_path)
        with pytest.raises(UnreadableInput, match=r"none\.png does not exist .*: check the path"):
            GREY.read(str(tmp_path / "none.png"))

    def test_a_thing_of_another_type(self):
        with pytest.raises(
            UnreadableInput, match="a value of type dict is not a picture: give a path"
        ):
            GREY.read({})

    def test_a_small_file_of_169_million_pixels(self, tmp_path):
        path = tmp_path / "bomb.png"
        path.write_bytes(png(13000, 13000, 1, 0))
        assert path.stat().st_size < 25_000
        with pytest.raises(
            UnreadableInput,
            match=r"bomb\.png has 13000 x 13000 = 169\.0 million pixels, over the limit of 25\.0 million: shrink it, "
            r"or raise the limit if you trust the file \(--max-pixels 169000000; in Python `max_pixels`\)",
        ):
            GREY.read(path)

    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "PPM", "TIFF"])
    def test_the_limit_holds_for_every_format(self, kind):
        data = saved(PIL.Image.new("L", (40, 30)), kind)
        # a JPEG is decoded smaller as long as that leaves the size asked for
        size = 16 if kind == "JPEG" else 8
        assert Image(size=8, max_pixels=1200).read(data).shape == (8, 8, 3)
        with pytest.raises(UnreadableInput, match="has 40 x 30"):
            Image(size=size, max_pixels=1199).read(data)

    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "PPM", "TIFF"])
    def test_a_cut_file_is_refused_wherever_it_is_cut(self, kind):
        rng = np.random.default_rng(0)
        data = saved(PIL.Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)), kind)
        for part in (0.02, 0.1, 0.5, 0.9):
            with pytest.raises(UnreadableInput, match=r"a picture of [\d,]+ bytes"):
                GREY.read(data[: int(part * len(data))])

    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "PPM", "TIFF"])
    def test_flipped_bytes_never_end_in_another_error(self, kind):
        rng = np.random.default_rng(1)
        data = np.frombuffer(saved(PIL.Image.fromarray(gradient(20, 30)), kind), np.uint8)
        for _ in range(100):
            damaged = data.copy()
            damaged[rng.integers(0, min(len(data), 400), 3)] = rng.integers(0, 256, 3)
            try:
                read = GREY.read(damaged.tobytes())
            except UnreadableInput:
                continue
            assert read.shape == (6, 8, 1)

    def test_a_file_that_cannot_be_decoded_says_why(self, tmp_path):
        path = tmp_path / "cut.png"
        path.write_bytes(saved(PIL.Image.fromarray(gradient(40, 50)), "PNG")[:120])
        with pytest.raises(
            UnreadableInput, match=r"cut\.png is cut: it has no end; replace it or leave it out"
        ):
            GREY.read(path)


def test_a_large_jpeg_is_decoded_small():
    picture = PIL.Image.fromarray(gradient(800, 1600))
    data = saved(picture, "JPEG", quality=95)
    fast = Image(size=(40, 80)).read(data).astype(int)
    slow = Image(size=(40, 80)).read(np.asarray(PIL.Image.open(io.BytesIO(data)))).astype(int)
    assert np.abs(fast - slow).mean() < 1.5


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 1023), (0, 65535), (-200, 300), (0, 255)])
def test_levels_are_linear_and_rounded_in_blocks_too(low, high, monkeypatch):
    samples = np.random.default_rng(0).integers(low, high + 1, (7, 9, 3))
    expected = np.floor((samples - low) * 255 / (high - low) + 0.5)
    np.testing.assert_array_equal(levels(samples, low, high), expected)
    monkeypatch.setattr(image_levels, "BLOCK", 10)
    np.testing.assert_array_equal(levels(samples, low, high), expected)

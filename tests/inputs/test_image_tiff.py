"""TIFFs written by hand, of every depth, order and arrangement, against the values that were put in."""

import io
import itertools
import struct
import zlib

import numpy as np
import PIL.Image
import pytest

from twofold.errors import UnreadableInput
from twofold.inputs.image import Image
from twofold.inputs.image_tiff import tiff_image

LIMIT = 1_000_000
HEIGHT, WIDTH = 5, 19  # a row of 1, 2, 4, 10 or 12 bits does not end on a byte
Tags = dict[int, tuple[int, list[int]]]
CODES = {1: "B", 3: "H", 4: "I", 8: "h", 16: "Q"}


def packed(rows: np.ndarray, bits: int, order: str) -> bytes:
    """Rows of samples as a TIFF stores them: 16 bits by byte order, all others from the highest bit on."""
    rows = rows.reshape(len(rows), -1)
    if bits in (8, 16):
        return rows.astype(f"{order}u{bits // 8}").tobytes()
    texts = ["".join(f"{int(value):0{bits}b}" for value in row) for row in rows]
    return b"".join(
        int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8))
        for text in texts
    )


def reversed_bits(data: bytes) -> bytes:
    return bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)


def written(
    blocks: list[bytes],
    tags: dict[int, tuple[int, list[int]]],
    order: str = "<",
    *,
    big: bool = False,
) -> bytes:
    """A file of one directory: tag -> (type, values). `blocks` are its strips, or its tiles where tags say so."""
    tiled = 322 in tags
    start = 16 if big else 8
    body, offsets = b"", []
    for block in blocks:
        offsets.append(start + len(body))
        body += block + bytes(len(block) % 2)
    tags = tags | {
        324 if tiled else 273: (4, offsets),
        325 if tiled else 279: (4, [len(each) for each in blocks]),
    }
    lists, entries = b"", b""
    wide = "Q" if big else "I"
    for tag, (kind, values) in sorted(tags.items()):
        data = struct.pack(f"{order}{len(values)}{CODES[kind]}", *values)
        if len(data) > struct.calcsize("=" + wide):
            place = start + len(body) + len(lists)
            lists += data + bytes(len(data) % 2)
            data = struct.pack(order + wide, place)
        entries += struct.pack(f"{order}HH{wide}", tag, kind, len(values)) + data.ljust(
            struct.calcsize("=" + wide), b"\0"
        )
    directory = start + len(body) + len(lists)
    mark = b"II" if order == "<" else b"MM"
    head = (
        struct.pack(f"{order}HHHQ", 43, 8, 0, directory)
        if big
        else struct.pack(f"{order}HI", 42, directory)
    )
    count = struct.pack(order + ("Q" if big else "H"), len(tags))
    return mark + head + body + lists + count + entries + bytes(8 if big else 4)


def described(bits: list[int], photometric: int, **more: list[int]) -> Tags:
    tags = {
        256: (3, [WIDTH]),
        257: (3, [HEIGHT]),
        258: (3, bits),
        262: (3, [photometric]),
        277: (3, [len(bits)]),
    }
    names = {
        "compression": 259,
        "fill": 266,
        "rows": 278,
        "planar": 284,
        "predictor": 317,
        "map": 320,
        "most": 281,
    }
    names |= {
        "width": 322,
        "length": 323,
        "extra": 338,
        "format": 339,
        "low": 340,
        "high": 341,
        "orientation": 274,
    }
    names |= {"subsampling": 530}
    return tags | {
        names[name]: (8 if name in ("low", "high") else 3, values) for name, values in more.items()
    }


def drawn(bits: int, samples: int) -> np.ndarray:
    """Random samples with the smallest and the largest value among them."""
    values = np.random.default_rng(bits).integers(0, 1 << bits, (HEIGHT, WIDTH, samples))
    values[0, 0], values[-1, -1] = 0, (1 << bits) - 1
    return values


def eight(values: np.ndarray, most: int) -> np.ndarray:
    """By the definition: value / most of 255, rounded."""
    return np.floor(values * 255 / most + 0.5).astype(np.uint8)


def read(data: bytes, channels: int = 1) -> np.ndarray:
    return Image(size=(HEIGHT, WIDTH), channels=channels).read(data)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 8, 10, 12, 14, 16])
def test_grey_of_every_depth(bits, photometric, order):
    values = drawn(bits, 1)
    expected = eight(values, (1 << bits) - 1)
    expected = 255 - expected if photometric == 0 else expected
    for fill, big in itertools.product((1, 2), (False, True)):
        data = packed(values, bits, order)
        data = reversed_bits(data) if fill == 2 else data
        file = written([data], described([bits], photometric, fill=[fill]), order, big=big)
        np.testing.assert_array_equal(
            read(file), expected, err_msg=f"fill order {fill}, BigTIFF {big}"
        )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [1, 4, 8, 12, 16])
@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("arrangement", ["strips", "tiles", "planes", "planes of tiles"])
@pytest.mark.parametrize("compression", [1, 8])
def test_strips_tiles_and_planes(arrangement, bits, order, samples, compression):
    values = drawn(bits, samples)
    planes = (
        [values[:, :, k : k + 1] for k in range(samples)] if "planes" in arrangement else [values]
    )
    more = {"planar": [2 if "planes" in arrangement else 1], "compression": [compression]}
    if "tiles" in arrangement:
        more |= {"width": [16], "length": [16]}
        padded = [np.pad(plane, ((0, 16 - HEIGHT), (0, 32 - WIDTH), (0, 0))) for plane in planes]
        parts = [plane[:, left : left + 16] for plane in padded for left in (0, 16)]
    else:
        more |= {"rows": [2]}
        parts = [plane[top : top + 2] for plane in planes for top in range(0, HEIGHT, 2)]
    blocks = [packed(part, bits, order) for part in parts]
    blocks = [zlib.compress(block) for block in blocks] if compression == 8 else blocks
    file = written(blocks, described([bits] * samples, 2 if samples == 3 else 1, **more), order)
    exact = eight(values, (1 << bits) - 1)
    if bits == 16 and samples == 3:
        exact = (values >> 8).astype(np.uint8)  # Pillow's way, which old bundles were trained with
    np.testing.assert_array_equal(read(file, samples), exact)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd"])
def test_compressions_of_samples_that_pillow_does_not_read(kind, bits):
    values = drawn(bits, 1)
    buffer = io.BytesIO()
    stored = PIL.Image.fromarray(values[:, :, 0].astype(f"u{bits // 8}"))
    stored.save(buffer, "TIFF", compression=kind)
    data = bytearray(buffer.getvalue())
    place = data.index(struct.pack("<HHI", 262, 3, 1)) + 8
    data[place : place + 2] = struct.pack("<H", 0)  # white is zero
    np.testing.assert_array_equal(read(bytes(data)), 255 - eight(values, (1 << bits) - 1))


def test_the_checksum_of_deflated_samples_is_compared():
    values = drawn(8, 3)
    # stored: nothing but the checksum can tell
    data = bytearray(zlib.compress(packed(values, 8, "<"), 0))
    data[50] ^= 1
    with pytest.raises(UnreadableInput, match=r"is damaged \(.*incorrect data check"):
        read(written([bytes(data)], described([8] * 3, 2, compression=[8])), 3)


def test_a_predictor_is_undone():
    values = drawn(16, 1)
    differences = np.diff(values[:, :, 0], axis=1, prepend=0) % 65536
    data = zlib.compress(packed(differences, 16, "<"))
    file = written([data], described([16], 0, compression=[8], predictor=[2]))
    np.testing.assert_array_equal(read(file), 255 - eight(values, 65535))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("fill", [1, 2])
def test_palettes(bits, fill):
    values = drawn(bits, 1)
    colours = np.random.default_rng(7).integers(0, 256, (3, 1 << bits))
    data = packed(values, bits, "<")
    data = reversed_bits(data) if fill == 2 else data
    table = [int(each) * 257 for each in colours.ravel()]
    file = written([data], described([bits], 3, map=table, fill=[fill]))
    np.testing.assert_array_equal(read(file, 3), colours.T[values[:, :, 0]])


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    ("extra", "meaning"), [(None, "nothing"), (0, "nothing"), (1, "premultiplied"), (2, "alpha")]
)
def test_a_fourth_sample_is_transparency_only_where_it_is_declared(extra, meaning, bits):
    values = drawn(bits, 4)
    values[:, :, 3] = 0
    values[:, 10:, 3] = (1 << bits) - 1
    more = {} if extra is None else {"extra": [extra]}
    file = written([packed(values, bits, "<")], described([bits] * 4, 2, **more))
    expected = (
        eight(values[:, :, :3], (1 << bits) - 1) if meaning == "nothing" and bits == 8 else None
    )
    found = read(file, 3)
    shown = values[:, :, :3] >> 8 if bits == 16 else values[:, :, :3]
    if meaning == "nothing":
        assert expected is None or (found == expected).all()
        assert np.abs(found.astype(int) - shown).max() <= 1
    else:
        assert (found[:, :10] == 255).all()
        assert np.abs(found[:, 10:].astype(int) - shown[:, 10:]).max() <= 1


def test_grey_with_transparency():
    values = drawn(8, 2)
    values[:, :, 1] = np.where(np.arange(WIDTH) < 9, 0, 255)
    found = read(written([packed(values, 8, "<")], described([8, 8], 1, extra=[2])))
    assert (found[:, :9] == 255).all()
    np.testing.assert_array_equal(found[:, 9:, 0], values[:, 9:, 0])


def test_cmyk_in_planes():
    values = np.zeros((HEIGHT, WIDTH, 4), int)
    values[:, :, 1:3] = 255
    blocks = [packed(values[:, :, k], 8, "<") for k in range(4)]
    assert (read(written(blocks, described([8] * 4, 5, planar=[2])), 3) == [255, 0, 0]).all()


def test_luminance_and_colour_differences():
    values = np.full((HEIGHT, WIDTH, 3), [76, 85, 255])  # red, by ITU-R 601
    found = read(written([packed(values, 8, "<")], described([8] * 3, 6, subsampling=[1, 1])), 3)
    assert np.abs(found.astype(int) - [254, 0, 0]).max() <= 1


@pytest.mark.parametrize("bits", [8, 16])
def test_signed_samples_need_a_declared_black_and_white(bits):
    half = 1 << bits - 1
    values = drawn(bits, 1)
    raw = (values - half) % (1 << bits)
    with pytest.raises(
        UnreadableInput, match=f"has signed {bits}-bit samples, and does not declare"
    ):
        read(written([packed(raw, bits, "<")], described([bits], 1, format=[2])))
    for order in "<>":
        tags = described([bits], 1, format=[2], low=[-half], high=[half - 1])
        found = read(written([packed(raw, bits, order)], tags, order))
        np.testing.assert_array_equal(found, eight(values, (1 << bits) - 1))


@pytest.mark.parametrize("used", [10, 12])
def test_fewer_bits_in_samples_of_16_where_that_is_declared(used):
    values = drawn(used, 1)
    file = written([packed(values, 16, "<")], described([16], 1, most=[(1 << used) - 1]))
    np.testing.assert_array_equal(read(file), eight(values, (1 << used) - 1))


@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_of_what_pillow_does_not_read(order):
    values = drawn(12, 1)
    file = written([packed(values, 12, order)], described([12], 1, orientation=[6]), order)
    turned = Image(size=(WIDTH, HEIGHT), channels=1).read(file)
    np.testing.assert_array_equal(turned, np.rot90(eight(values, 4095), -1))


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (
            described([32], 1),
            r"has 32-bit samples \(unsigned\) .* save it with 8 or 16 bits per sample",
        ),
        (
            described([32], 1, format=[3]),
            r"has 32-bit samples \(floating-point\) whose range is not declared",
        ),
        (described([16], 1, format=[3]), r"has 16-bit samples \(floating-point\)"),
        (described([5, 6, 5], 2), "samples of a kind that is not read"),
        (described([8], 9), "has colours of kind 9"),
        (described([8, 8], 2), "has 2 samples per pixel, 3 are needed"),
        (
            described([8], 1, width=[30000], length=[30000]),
            "has tiles of 30000 x 30000 for 19 x 5 pixels|is cut",
        ),
    ],
)
def test_kinds_without_a_meaning_are_refused(tags, message):
    with pytest.raises(UnreadableInput, match=message):
        read(written([bytes(WIDTH * HEIGHT * 4)], tags))


def test_missing_strips_and_samples_are_noticed():
    values = drawn(12, 1)
    data = packed(values, 12, "<")
    with pytest.raises(UnreadableInput, match="is cut: samples are missing"):
        read(written([data[:-3]], described([12], 1)))
    with pytest.raises(UnreadableInput, match="is cut: some of its strips or tiles are missing"):
        read(written([data], described([12], 1, rows=[2])))
    whole = written([data], described([12], 1))
    for length in range(len(whole) - 4):  # the last four say that there is no other page
        with pytest.raises(UnreadableInput):
            read(whole[:length])


def test_a_large_picture_is_refused_from_its_header():
    tags = described([1], 1) | {256: (4, [60_000]), 257: (4, [60_000])}
    with pytest.raises(UnreadableInput, match=r"has 60000 x 60000 = 3600\.0 million pixels"):
        tiff_image(io.BytesIO(written([b""], tags)), limit=LIMIT)
    with pytest.raises(UnreadableInput, match="samples of 8 bits per pixel"):
        tiff_image(
            io.BytesIO(
                written([b""], described([8] * 200, 1) | {256: (4, [1000]), 257: (4, [1000])})
            ),
            limit=LIMIT,
        )


class TestDamage:
    """What libtiff writes to standard error and passes over."""

    @staticmethod
    def spoilt(compression: str, place: float, mode: str = "RGB") -> bytes:
        values = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        PIL.Image.fromarray(values).convert(mode).save(buffer, "TIFF", compression=compression)
        data = bytearray(buffer.getvalue())
        start = int(len(data) * place)
        data[start : start + 300] = bytes(300)
        return bytes(data)

    @pytest.mark.parametrize(
        ("compression", "mode"),
        [("group4", "1"), ("tiff_adobe_deflate", "RGB"), ("tiff_lzw", "RGB")],
    )
    def test_damage_is_refused_and_nothing_is_written(self, compression, mode, capfd):
        said = []
        for place in np.linspace(0.1, 0.7, 7):
            try:
                Image(size=40).read(self.spoilt(compression, place, mode))
            except UnreadableInput as error:
                said.append(str(error))
        assert len(said) >= 4 and all("is damaged" in each or "is cut" in each for each in said), (
            said
        )
        assert capfd.readouterr() == ("", "")

    def test_too_many_samples_are_not_logged(self, capfd):
        data = written([bytes(WIDTH * HEIGHT * 3)], described([8] * 3, 2) | {277: (3, [4099])})
        with pytest.raises(UnreadableInput):
            Image(size=40).read(data)
        assert capfd.readouterr() == ("", "")

    def test_a_deflated_strip_that_goes_on_is_refused(self):
        strip = zlib.compress(bytes(WIDTH * HEIGHT * 3 + 1000))
        with pytest.raises(UnreadableInput, match="a strip does not end where it should"):
            Image(size=40).read(written([strip], described([8] * 3, 2, compression=[8])))

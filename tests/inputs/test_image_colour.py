"""Colour profiles against the definition, and what a drawing on transparency is laid on."""

import io
import struct

import numpy as np
import PIL.Image
import pytest
from PIL import ImageCms

from twofold.errors import UnreadableInput
from twofold.inputs.image import Image

P3 = np.array(
    [[0.51512, 0.2412, -0.00105], [0.29198, 0.69225, 0.04189], [0.1571, 0.06657, 0.78407]]
).T
SRGB = np.array(
    [[0.43607, 0.22249, 0.01392], [0.38515, 0.71687, 0.09708], [0.14307, 0.06061, 0.7141]]
).T
"""Primaries as columns of XYZ, adapted to D50."""

D50 = (0.9642, 1.0, 0.8249)
GAMMA = 563 / 256


def fixed(*numbers: float) -> bytes:
    return struct.pack(f">{len(numbers)}i", *(round(65536 * number) for number in numbers))


def profile(primaries: np.ndarray | None, space: bytes = b"RGB ") -> bytes:
    """A version 2 profile of three primaries and a power law, or of a grey power law (ICC.1:2001-04)."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, 563) + bytes(2)
    tags = {b"wtpt": b"XYZ \0\0\0\0" + fixed(*D50), b"cprt": b"text\0\0\0\0none\0\0\0\0"}
    tags[b"desc"] = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"wide\0" + bytes(79)
    if primaries is None:
        tags[b"kTRC"] = curve
    else:
        for name, column in zip((b"r", b"g", b"b"), primaries.T, strict=True):
            tags[name + b"XYZ"] = b"XYZ \0\0\0\0" + fixed(*column)
            tags[name + b"TRC"] = curve
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(content))
        body += content
    size = 128 + len(table) + len(body)
    head = struct.pack(
        ">I4sI4s4s4s12s4s", size, b"lcms", 0x02400000, b"mntr", space, b"XYZ ", bytes(12), b"acsp"
    )
    return head.ljust(68, b"\0") + fixed(*D50).ljust(60, b"\0") + table + body


def encoded(linear: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1."""
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def saved(image: PIL.Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def colours(height: int = 6, width: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_a_wide_gamut_is_brought_to_srgb(kind):
    values = colours()
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(PIL.Image.fromarray(values), kind, icc_profile=profile(P3), **options)
    expected = encoded((values / 255.0) ** GAMMA @ P3.T @ np.linalg.inv(SRGB).T)
    found = Image(size=(6, 8)).read(data).astype(float)
    assert np.abs(found - expected).max() < 4
    assert np.abs(found - values).max() > 20
    # as old bundles were trained
    np.testing.assert_array_equal(Image(size=(6, 8), rules=1).read(data), values)


def test_a_phone_s_jpeg_too():
    page = PIL.Image.new("RGB", (64, 48), (200, 60, 40))
    expected = encoded((np.array([200, 60, 40]) / 255) ** GAMMA @ P3.T @ np.linalg.inv(SRGB).T)
    found = Image(size=(48, 64)).read(saved(page, "JPEG", quality=98, icc_profile=profile(P3)))
    assert np.abs(found - expected).max() < 5


def test_a_grey_profile():
    values = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
    data = saved(PIL.Image.fromarray(values), icc_profile=profile(None, b"GRAY"))
    found = Image(size=(6, 8), channels=1).read(data)[:, :, 0]
    assert np.abs(found - encoded((values / 255.0) ** GAMMA)).max() < 2


def test_transparency_and_profile_together():
    values = colours()
    alpha = np.full((6, 8), 255, np.uint8)
    alpha[:, :2] = 0
    layer = PIL.Image.fromarray(np.dstack([values, alpha]))
    found = Image(size=(6, 8)).read(saved(layer, icc_profile=profile(P3)))
    plain = Image(size=(6, 8)).read(saved(PIL.Image.fromarray(values), icc_profile=profile(P3)))
    np.testing.assert_array_equal(found[:, 2:], plain[:, 2:])
    assert (found[:, :2] == 255).all()


@pytest.mark.parametrize("name", ["sRGB", "broken", "grey", "cut", "empty"])
def test_a_profile_that_says_nothing_changes_nothing(name):
    wide = profile(P3)
    made = {
        "sRGB": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        "broken": np.random.default_rng(0).bytes(500),
        "grey": profile(None, b"GRAY"),
        "cut": wide[:200],
        "empty": b"",
    }[name]
    values = colours()
    np.testing.assert_array_equal(
        Image(size=(6, 8)).read(saved(PIL.Image.fromarray(values), icc_profile=made)), values
    )


def icon(shape: str, ink: tuple[int, int, int]) -> bytes:
    alpha = np.zeros((40, 40), np.uint8)
    rows, columns = np.mgrid[0:40, 0:40]
    ring = np.hypot(rows - 20, columns - 20)
    alpha[
        {"disc": ring < 12, "ring": (ring > 9) & (ring < 15), "bar": abs(rows - 20) < 5}[shape]
    ] = 255
    return saved(PIL.Image.fromarray(np.dstack([np.full((40, 40, 3), ink, np.uint8), alpha])))


@pytest.mark.parametrize(
    "ink", [(255, 255, 255), (240, 240, 240), (0, 0, 0), (128, 128, 128), (255, 255, 0)]
)
@pytest.mark.parametrize("background", [0, 128, 255])
def test_different_drawings_stay_different_whatever_their_colour(ink, background):
    input = Image(size=40, background=background)
    found = [input.read(icon(shape, ink)).astype(int) for shape in ("disc", "ring", "bar")]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(found[one] - found[other]).max() >= 100
    visible = np.abs(np.array(ink) - background).max() >= 32
    opposite = 0 if background > 127 else 255
    assert (found[0][0, 0] == (background if visible else opposite)).all()


def test_rules_1_keep_the_white_page():
    assert (Image(size=40, rules=1).read(icon("disc", (255, 255, 255))) == 255).all()


def test_a_white_page_with_some_writing_stays_on_white():
    page = np.full((40, 40, 4), 255, np.uint8)
    page[10:13, 5:35, :3] = 0
    page[:4, :, 3] = 0
    assert (Image(size=40).read(saved(PIL.Image.fromarray(page)))[:4] == 255).all()


def test_what_is_padded_has_the_same_background():
    wide = np.full((10, 40, 4), 255, np.uint8)
    wide[:, :20, 3] = 0
    found = Image(size=40, fit="pad").read(saved(PIL.Image.fromarray(wide)))
    assert (found[:15] == 0).all() and (found[20, :18] == 0).all() and (found[20, 22:] == 255).all()


def test_a_picture_that_is_transparent_all_over_is_refused():
    with pytest.raises(
        UnreadableInput, match="is transparent all over, so that nothing can be seen"
    ):
        Image(size=8).read(np.zeros((6, 8, 4), np.uint8))
    assert (Image(size=8, rules=1).read(np.zeros((6, 8, 4), np.uint8)) == 255).all()


@pytest.mark.parametrize("dtype", [">u2", "<u2"])
def test_arrays_of_either_byte_order_and_any_strides(dtype):
    values = np.random.default_rng(1).integers(0, 65536, (12, 8, 3)).astype(dtype)
    expected = np.floor(values.astype(float) / 257 + 0.5)
    np.testing.assert_array_equal(Image(size=(12, 8)).read(values), expected)
    np.testing.assert_array_equal(Image(size=(6, 8)).read(values[::-2]), expected[::-2])
    real = (values / 65535).astype(">f4")
    np.testing.assert_array_equal(Image(size=(12, 8)).read(real), np.rint(real.astype(float) * 255))

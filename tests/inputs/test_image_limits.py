"""The limit of pixels is checked on a header: not one pixel of a picture over the limit is decoded."""

import io
from typing import Any

import PIL.Image
import PIL.ImageFile
import pytest

from twofold.errors import UnreadableInput
from twofold.inputs import image_jpeg, image_pnm, image_tiff
from twofold.inputs.image import Image

KINDS = ["PNG", "JPEG", "WEBP", "BMP", "GIF", "PPM", "TIFF", "packed TIFF", "AVIF"]


def saved(kind: str) -> bytes:
    buffer = io.BytesIO()
    packed = {"compression": "tiff_adobe_deflate"} if kind == "packed TIFF" else {}
    PIL.Image.new("RGB", (40, 30), (9, 99, 199)).save(buffer, kind.split()[-1], **packed)
    return buffer.getvalue()


@pytest.fixture
def no_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever would turn bytes into pixels says so instead."""

    def decoded(*_: Any, **__: Any) -> None:
        raise ValueError("a pixel was decoded")

    PIL.Image.preinit()
    PIL.Image.init()
    readers = [PIL.ImageFile.ImageFile, *PIL.ImageFile.ImageFile.__subclasses__()]
    for reader in readers:
        if "load" in vars(reader):
            monkeypatch.setattr(reader, "load", decoded)
    monkeypatch.setattr(image_jpeg, "_decoded", decoded)
    monkeypatch.setattr(image_pnm, "_samples", decoded)
    monkeypatch.setattr(image_tiff, "samples", decoded)


@pytest.mark.usefixtures("no_decoder")
@pytest.mark.parametrize("as_file", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_over_the_limit_is_refused_before_it_is_decoded(kind: str, as_file: bool) -> None:
    data = saved(kind)

    def read(limit: int) -> None:
        # a size at which a JPEG cannot be decoded smaller to stay within the limit
        Image(size=30, max_pixels=limit).read(PIL.Image.open(io.BytesIO(data)) if as_file else data)

    with pytest.raises(UnreadableInput, match=r"a pixel was decoded"):
        read(1200)
    with pytest.raises(UnreadableInput, match=r"has 40 x 30 = 0\.0 million pixels, over the limit"):
        read(1199)


def test_a_jpeg_is_not_decoded_below_the_size_that_was_asked() -> None:
    buffer = io.BytesIO()
    PIL.Image.new("L", (640, 480)).save(buffer, "JPEG")
    assert Image(size=240, max_pixels=80_000).read(buffer.getvalue()).shape[:2] == (240, 240)
    # a half, within the limit, has 240 rows
    with pytest.raises(UnreadableInput, match="has 640 x 480"):
        Image(size=320, max_pixels=80_000).read(buffer.getvalue())

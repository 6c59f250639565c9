"""Rasters are read by windows, values as stored; what cannot be is refused in one line."""

import struct
import zlib

import numpy as np
import PIL.Image
import pytest
import rasterio
from rasterio.enums import ColorInterp

import rasters
from twofold.errors import MissingExtra, NotEnoughData, UnreadableInput
from twofold.inputs import Input, Raster, raster
from twofold.inputs.raster import open_raster
from twofold.inputs.raster_source import SAMPLE_PIXELS, ArraySource, _sample, statistics


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("bands", [1, 3, 13])
def test_a_geotiff_keeps_its_values_and_its_place(tmp_path, dtype, bands):
    array = rasters.drawn(bands=bands, dtype=dtype)
    path = rasters.write(tmp_path / "a.tif", array, tiled=True, blockxsize=32, blockysize=32)
    with Raster(bands=bands).open(path) as source:
        assert (source.height, source.width, source.bands) == (96, 128, bands)
        assert source.dtype == str(np.dtype(dtype)) and source.crs == rasters.UTM
        assert source.transform == tuple(rasters.PLACE)[:6]
        found = source.window(10, 20, 30, 40)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, array[:, 10:40, 20:60])
        assert source.valid(0, 0, 96, 128).all()
    np.testing.assert_array_equal(Raster(bands=bands).read(path), array)


def test_it_is_an_input_type():
    assert isinstance(Raster(), Input)
    batch = Raster().stack([rasters.drawn(), rasters.drawn(seed=1)])
    normal = Raster().normalise(batch)
    assert normal.mean(dim=(2, 3)).abs().max() < 1e-4
    assert Raster(**Raster(bands=4).arguments()) == Raster(bands=4)


def test_what_is_valid(tmp_path):
    array = rasters.drawn()
    array[:, :10] = 0
    array[0, 50, 50] = 0  # in one band only: a value
    path = rasters.write(tmp_path / "nodata.tif", array, nodata=0)
    with open_raster(path) as source:
        valid = source.valid(0, 0, 96, 128)
        assert source.nodata == 0 and not valid[:10].any() and valid[10:].all()
    mask = np.ones((96, 128), bool)
    mask[:, :7] = False
    with open_raster(rasters.write(tmp_path / "mask.tif", rasters.drawn(), mask=mask)) as source:
        np.testing.assert_array_equal(source.valid(0, 0, 96, 128), mask)
    numbers = rasters.drawn(dtype=np.float32)
    numbers[1, 5, 6] = np.nan
    for source in (
        open_raster(rasters.write(tmp_path / "nan.tif", numbers)),
        open_raster(numbers),
    ):
        with source:
            assert np.argwhere(~source.valid(0, 0, 96, 128)).tolist() == [[5, 6]]


def test_alpha_is_not_a_band(tmp_path):
    array = np.concatenate([rasters.drawn(), np.full((1, 96, 128), 255, np.uint8)])
    array[3, :, 100:] = 0
    path = rasters.write(tmp_path / "a.tif", array, photometric="RGB", alpha="YES")
    PIL.Image.fromarray(array.transpose(1, 2, 0)).save(tmp_path / "a.png")
    for name in (path, tmp_path / "a.png"):
        with open_raster(name) as source:
            assert source.bands == 3 and source.colours() == (0, 1, 2)
            np.testing.assert_array_equal(source.valid(0, 0, 96, 128), array[3] > 0)
            np.testing.assert_array_equal(source.window(0, 0, 96, 128), array[:3])


def test_declared_colours_are_shown(tmp_path):
    path = rasters.write(tmp_path / "a.tif", rasters.drawn(bands=4))
    with rasterio.open(path, "r+") as file:
        file.colorinterp = [
            ColorInterp.undefined,
            ColorInterp.blue,
            ColorInterp.green,
            ColorInterp.red,
        ]
    with open_raster(path) as source:
        assert source.colours() == (3, 2, 1)


def test_a_grey_png_of_16_bits_keeps_its_values(tmp_path):
    array = rasters.drawn(bands=1, dtype=np.uint16)
    PIL.Image.fromarray(array[0]).save(tmp_path / "a.png")
    found = Raster(bands=1).read(tmp_path / "a.png")
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, array)


def test_a_coloured_png_of_16_bits_is_refused(tmp_path):
    rows = b"".join(b"\0" + bytes(range(48)) for _ in range(8))
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in (
        (b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ):
        content += struct.pack(">I", len(data)) + kind + data
        content += struct.pack(">I", zlib.crc32(kind + data))
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UnreadableInput, match=r"16 bits per sample .* save it as TIFF"):
        open_raster(tmp_path / "a.png")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
@pytest.mark.parametrize("bands", [1, 5])
def test_plain_tiff_without_rasterio(tmp_path, monkeypatch, dtype, bands):
    array = rasters.drawn(bands=bands, dtype=dtype)
    path = rasters.write(tmp_path / "a.tif", array, transform=None, compress="deflate")
    with monkeypatch.context() as patched:
        patched.setattr(raster, "rasterio_is_there", lambda: False)
        with open_raster(path) as source:
            assert source.transform is None and source.dtype == str(np.dtype(dtype))
            np.testing.assert_array_equal(source.window(0, 0, 96, 128), array)


def test_a_geotiff_without_rasterio(tmp_path, monkeypatch):
    path = rasters.write(tmp_path / "a.tif", rasters.drawn())
    real = rasters.write(tmp_path / "b.tif", rasters.drawn(dtype=np.float32), transform=None)
    monkeypatch.setattr(raster, "rasterio_is_there", lambda: False)
    with pytest.raises(MissingExtra, match=r"is a GeoTIFF .* pip install 'twofold\[raster\]'"):
        open_raster(path)
    with pytest.raises(MissingExtra, match=r"only rasterio reads: pip install 'twofold\[raster\]'"):
        open_raster(real)
    monkeypatch.setenv("TWOFOLD_MAX_PIXELS", "100")
    large = rasters.write(tmp_path / "c.tif", rasters.drawn(), transform=None)
    with pytest.raises(MissingExtra, match="only rasterio reads in parts"):
        open_raster(large)


def test_a_jpeg_that_is_called_tif(tmp_path):
    PIL.Image.fromarray(rasters.drawn().transpose(1, 2, 0)).save(tmp_path / "a.tif", "JPEG")
    with pytest.raises(UnreadableInput, match=r"is called a TIFF and is a JPEG file"):
        open_raster(tmp_path / "a.tif")


@pytest.mark.parametrize("options", [{}, {"compress": "deflate"}, {"compress": "lzw"}])
def test_a_tiff_that_is_cut(tmp_path, options):
    path = rasters.write(tmp_path / "a.tif", rasters.drawn(), **options)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(UnreadableInput, match=r"a\.tif (is cut|is damaged)") as caught:
        open_raster(path)
    assert "\n" not in str(caught.value)


def test_a_tile_that_is_damaged(tmp_path):
    path = rasters.write(tmp_path / "a.tif", rasters.drawn(), compress="deflate")
    content = bytearray(path.read_bytes())
    start, _ = raster.tiff_tags(path).places[-1]
    content[start : start + 40] = bytes(40)
    path.write_bytes(content)
    with open_raster(path) as source, pytest.raises(UnreadableInput, match="is damaged") as caught:
        source.window(0, 0, 96, 128)
    assert "\n" not in str(caught.value)


def test_other_numbers_of_bands(tmp_path):
    path = rasters.write(tmp_path / "a.tif", rasters.drawn(bands=13))
    with pytest.raises(UnreadableInput, match="has 13 bands, and this model reads 3"):
        Raster(bands=3).open(path)


def test_what_is_not_a_raster(tmp_path):
    (tmp_path / "a.vrt").write_text("<VRTDataset rasterXSize='1' rasterYSize='1'/>")
    with pytest.raises(UnreadableInput, match=r"a\.vrt is not a picture"):
        open_raster(tmp_path / "a.vrt")
    with pytest.raises(UnreadableInput, match="does not exist"):
        open_raster(tmp_path / "b.tif")
    with pytest.raises(UnreadableInput, match="give numbers"):
        open_raster(np.zeros((4, 4)))
    with pytest.raises(UnreadableInput, match="give a path or an array"):
        open_raster(3)


def test_a_colour_table_is_refused(tmp_path):
    path = rasters.write(tmp_path / "a.tif", rasters.drawn(bands=1), photometric="PALETTE")
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {0: (255, 0, 0, 255)})
    with pytest.raises(UnreadableInput, match="has a colour table"):
        open_raster(path)


def test_blocks_that_are_too_large(tmp_path, monkeypatch):
    path = rasters.write(
        tmp_path / "a.tif", rasters.drawn(), tiled=True, blockxsize=128, blockysize=96
    )
    monkeypatch.setattr("twofold.inputs.raster_tiff.LARGEST_BLOCK", 1000)
    with pytest.raises(UnreadableInput, match=r"blocks of 128 x 96 pixels.*TILED=YES"):
        open_raster(path)


def test_read_keeps_the_limit_of_pictures(tmp_path):
    path = rasters.write(tmp_path / "a.tif", rasters.drawn())
    with pytest.raises(UnreadableInput, match="over the limit"):
        Raster(max_pixels=1000).read(path)
    with Raster(max_pixels=1000).open(path) as source:
        assert source.window(0, 0, 8, 8).shape == (3, 8, 8)


def test_a_window_outside_is_refused():
    with open_raster(rasters.drawn()) as source, pytest.raises(UnreadableInput, match="a window"):
        source.window(90, 0, 16, 16)


def test_statistics_of_all_valid_pixels():
    array = rasters.drawn(bands=2, dtype=np.uint16)
    array[:, :20] = 7
    array[:, :, -1] = 7
    known = array[:, 20:, :-1].reshape(2, -1).astype(np.float64)
    found = statistics(ArraySource(array=array, nodata=7))
    np.testing.assert_allclose(found.mean, known.mean(axis=1))
    np.testing.assert_allclose(found.std, known.std(axis=1))
    assert found.valid == pytest.approx(76 * 127 / (96 * 128))
    constant = statistics(ArraySource(array=np.full((1, 9, 9), 5, np.uint8)))
    assert (constant.mean, constant.std) == (5, 1)


def test_statistics_of_nothing(tmp_path):
    path = rasters.write(tmp_path / "a.tif", np.zeros((3, 20, 20), np.uint8), nodata=0)
    with open_raster(path) as source, pytest.raises(NotEnoughData, match=r"a\.tif holds no valid"):
        statistics(source)


@pytest.mark.parametrize("size", [(20_000, 20_000), (100, 1_000_000), (300, 500), (1, 1)])
def test_the_sample_is_bounded_and_inside(size):
    height, width = size
    windows = list(_sample(height, width))
    assert windows == list(_sample(height, width)) and windows
    assert sum(h * w for _, _, h, w in windows) <= SAMPLE_PIXELS
    assert all(
        r >= 0 and c >= 0 and h > 0 and w > 0 and r + h <= height and c + w <= width
        for r, c, h, w in windows
    )

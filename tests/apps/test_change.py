"""Maps of change: files, symmetry, resuming, and what is refused in one line."""

import dataclasses
import errno
import json
import os
import re
import warnings

import numpy as np
import PIL.Image
import pytest
import rasterio
import rasterio.features
import torch
from rasterio.errors import NotGeoreferencedWarning
from rasterio.warp import transform_geom

import change_bundles
import rasters
from twofold import change, tiling
from twofold.apps.change import MapFiles
from twofold.errors import CannotWrite, DataError, MissingExtra, NotEnoughData, UsageError
from twofold.maps import work
from twofold.maps.rasters import RasterFile

READ_AGAIN = RasterFile._read_again

SQUARES = ((40, 40, 30), (150, 200, 16))
HEIGHT, WIDTH = 240, 304


@pytest.fixture
def small(monkeypatch):
    """Tiles of 64 pixels in strips of two: many parts of a small scene."""
    monkeypatch.setattr(tiling, "TILE", 72)
    monkeypatch.setattr(tiling, "TILES_PER_STRIP", 2)
    monkeypatch.setattr(tiling, "RAMP", 8)


@pytest.fixture
def scene(tmp_path):
    return written(tmp_path)


def written(folder, *, nodata=None, bands=3, dtype=np.uint8, **more):
    first = rasters.drawn(HEIGHT, WIDTH, bands, dtype=dtype)
    second = rasters.changed(first, *SQUARES)
    names = folder / "before.tif", folder / "after.tif"
    for name, array in zip(names, (first, second), strict=True):
        rasters.write(name, array, nodata=nodata, **more)
    return names


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as file:
            return file.read(1), file


def one_line(error):
    text = str(error.value)
    assert "\n" not in text and len(text) < 400
    return text


def test_all_files_of_a_map(tmp_path, scene, small):
    files = MapFiles(
        mask=tmp_path / "m.tif",
        probability=tmp_path / "p.tif",
        polygons=tmp_path / "g.geojson",
        page=tmp_path / "r.html",
    )
    found = change(change_bundles.of_differences(), *scene, files)
    mask, file = read(tmp_path / "m.tif")
    assert file.crs.to_string() == rasters.UTM and file.transform == rasters.PLACE
    assert (file.nodata, file.dtypes[0]) == (255, "uint8")
    with rasterio.open(tmp_path / "m.tif") as open_file:
        assert open_file.block_shapes == [(256, 256)]
        assert open_file.compression.value == "DEFLATE"
    probability, file = read(tmp_path / "p.tif")
    assert (file.nodata, file.dtypes[0]) == (-1, "float32") and file.transform == rasters.PLACE
    np.testing.assert_array_equal(mask, probability >= 0.5)
    wanted = np.zeros((HEIGHT, WIDTH), bool)
    for row, column, side in SQUARES:
        wanted[row : row + side, column : column + side] = True
    assert (mask.astype(bool) == wanted).mean() > 0.98
    assert found.changed == mask.sum() and found.pixels == mask.size
    assert found.share == found.changed / found.pixels
    assert found.area == 100 * found.changed and found.area_unit == "square metres"
    assert found.standing == "estimate" and found.regions == len(found.largest) >= 2
    sizes = [region.pixels for region in found.largest]
    assert sizes == sorted(sizes, reverse=True) and sizes[1] > 200 and sum(sizes) == mask.sum()
    assert not (tmp_path / "m.tif.parts").exists()
    assert {path.name for path in tmp_path.iterdir()} == {
        *("before.tif", "after.tif", "m.tif", "p.tif", "g.geojson", "r.html")
    }
    page = (tmp_path / "r.html").read_text()
    assert "This is an estimate" in page and "http" not in page.replace("http-equiv", "")


def test_polygons_hold_the_mask(tmp_path, scene):
    files = MapFiles(mask=tmp_path / "m.tif", polygons=tmp_path / "g.geojson")
    found = change(change_bundles.of_differences(), *scene, files)
    mask, _ = read(tmp_path / "m.tif")
    collection = json.loads((tmp_path / "g.geojson").read_text())
    assert collection["type"] == "FeatureCollection" and "coordinates" not in collection
    shapes = [
        transform_geom("OGC:CRS84", rasters.UTM, each["geometry"])
        for each in collection["features"]
    ]
    drawn = rasterio.features.rasterize(shapes, mask.shape, transform=rasters.PLACE)
    np.testing.assert_array_equal(drawn, mask)
    properties = [each["properties"] for each in collection["features"]]
    assert sum(each["area"] for each in properties) == pytest.approx(found.area)
    assert all(0.5 <= each["probability"] <= 1 for each in properties)
    longitude, latitude = collection["features"][0]["geometry"]["coordinates"][0][0]
    assert (longitude, latitude) == pytest.approx((15.0, 48.7), abs=0.1)


def test_pixels_without_a_value_in_one_date(tmp_path, small):
    before, after = written(tmp_path, nodata=0)
    with rasterio.open(before, "r+") as file:
        array = file.read()
        array[:, :30] = 0
        file.write(array)
    found = change(change_bundles.of_differences(), before, after, tmp_path / "m.tif")
    mask, _ = read(tmp_path / "m.tif")
    assert (mask[:30] == 255).all() and (mask[30:] != 255).all()
    assert found.pixels == (HEIGHT - 30) * WIDTH


@pytest.mark.parametrize("pretrained", [False, True])
def test_swapped_dates_give_the_same_bits(tmp_path, small, pretrained):
    bundle = "pretrained" if pretrained else change_bundles.of_network()
    before, after = written(tmp_path)
    with rasterio.open(after, "r+") as file:
        file.write((file.read() * 0.8 + 9).astype(np.uint8))
    names = ("m", "p"), ("m2", "p2")
    for pair, (mask, probability) in zip(((before, after), (after, before)), names, strict=True):
        files = MapFiles(mask=tmp_path / f"{mask}.tif", probability=tmp_path / f"{probability}.tif")
        change(bundle, *pair, files, threshold=0.5)
    for one, other in (("m", "m2"), ("p", "p2")):
        assert (tmp_path / f"{one}.tif").read_bytes() == (tmp_path / f"{other}.tif").read_bytes()


def test_without_labels_it_is_an_estimate(tmp_path, scene):
    found = change("pretrained", *scene, tmp_path / "m.tif")
    assert any("no training on change" in note for note in found.notes)
    mask, _ = read(tmp_path / "m.tif")
    inside = np.mean([mask[r : r + s, c : c + s].mean() for r, c, s in SQUARES])
    assert inside > 0.6 > 0.2 > mask.mean()


def followed(probability):
    """The threshold of a scene, from the definition."""
    known = change_bundles.RELATIVE.relative
    background = np.quantile(probability, known.quantile, method="inverted_cdf")
    logit = np.log(background / (1 - background)) + known.above
    return 1 / (1 + np.exp(-np.clip(logit, known.lowest, known.highest)))


def test_a_threshold_that_follows_the_scene(tmp_path, scene, small):
    bundle = change_bundles.of_differences(threshold=change_bundles.RELATIVE)
    files = MapFiles(mask=tmp_path / "m.tif", probability=tmp_path / "p.tif")
    found = change(bundle, *scene, files)
    probability, _ = read(tmp_path / "p.tif")
    assert found.threshold == pytest.approx(followed(probability), abs=2e-5)
    assert abs(found.threshold - bundle.threshold.probability) > 0.01
    np.testing.assert_array_equal(read(tmp_path / "m.tif")[0], probability >= found.threshold)
    asked = change(bundle, *scene, tmp_path / "asked.tif", threshold=0.7)
    assert asked.threshold == 0.7


def test_a_followed_threshold_after_a_kill_and_of_swapped_dates(tmp_path, scene, small):
    def bundle():
        return change_bundles.of_differences(threshold=change_bundles.RELATIVE)

    whole = change(bundle(), *scene, tmp_path / "whole.tif")
    swapped = change(bundle(), *scene[::-1], tmp_path / "swapped.tif")
    broken = bundle()
    counting(broken, after=12, error=Ended)
    with pytest.raises(Ended):
        change(broken, *scene, tmp_path / "rest.tif")
    rest = change(bundle(), *scene, tmp_path / "rest.tif")
    assert whole.threshold == swapped.threshold == rest.threshold
    bits = {(tmp_path / f"{name}.tif").read_bytes() for name in ("whole", "swapped", "rest")}
    assert len(bits) == 1


def test_nothing_is_marked_where_nothing_changed(tmp_path, scene, small):
    known = change_bundles.RELATIVE
    # below the background: without its lower bound it would mark all of an unchanged scene
    relative = dataclasses.replace(known.relative, above=-1.0)
    threshold = dataclasses.replace(known, relative=relative)
    before, _ = scene
    bundle = change_bundles.of_differences(threshold=threshold)
    found = change(bundle, before, before, tmp_path / "m.tif")
    assert found.changed == 0
    assert any("little of this scene stands out" in note for note in found.notes)


def test_pixels_without_a_value_do_not_move_the_threshold(tmp_path, small):
    before, after = written(tmp_path, nodata=0)
    bundle = change_bundles.of_differences(threshold=change_bundles.RELATIVE)
    with rasterio.open(before, "r+") as file:
        array = file.read()
        array[:, :, WIDTH // 2 :] = 0
        file.write(array)
    files = MapFiles(mask=tmp_path / "m.tif", probability=tmp_path / "p.tif")
    found = change(bundle, before, after, files)
    probability, _ = read(tmp_path / "p.tif")
    valid = probability[probability >= 0]
    assert valid.size < probability.size
    assert found.threshold == pytest.approx(followed(valid), abs=2e-5)


def test_evaluate_cuts_as_the_map_does(tmp_path, scene):
    from twofold.apps.evaluate_change import judged
    from twofold.data.scenes import Scenes

    bundle = change_bundles.of_differences(threshold=change_bundles.RELATIVE)
    truth = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    scenes = Scenes(
        before=scene[:1], after=scene[1:], mask=(truth,), ids=("here",), group=("here",)
    )
    said = next(judged(bundle, scenes, bundle.deciding()))
    found = change(bundle, *scene, tmp_path / "m.tif")
    assert found.threshold == said.threshold
    np.testing.assert_array_equal(read(tmp_path / "m.tif")[0], said.mask)


def test_plain_pictures(tmp_path):
    first = rasters.drawn(HEIGHT, WIDTH)
    for name, array in (("a", first), ("b", rasters.changed(first, *SQUARES))):
        PIL.Image.fromarray(array.transpose(1, 2, 0)).save(tmp_path / f"{name}.png")
    files = MapFiles(
        mask=tmp_path / "m.png", probability=tmp_path / "p.png", polygons=tmp_path / "g.json"
    )
    found = change(change_bundles.of_differences(), tmp_path / "a.png", tmp_path / "b.png", files)
    mask = np.asarray(PIL.Image.open(tmp_path / "m.png"))
    assert set(np.unique(mask)) == {0, 255} and (mask == 255).sum() == found.changed
    assert found.area_unit == "pixels" and found.area == found.changed
    collection = json.loads((tmp_path / "g.json").read_text())
    assert collection["coordinates"] == "pixels: x to the right, y down"
    change(
        change_bundles.of_differences(), first, rasters.changed(first, *SQUARES), tmp_path / "m.tif"
    )
    np.testing.assert_array_equal(read(tmp_path / "m.tif")[0] == 1, mask == 255)


def test_thirteen_bands_of_16_bits(tmp_path):
    before, after = written(tmp_path, bands=13, dtype=np.uint16)
    files = MapFiles(mask=tmp_path / "m.tif", page=tmp_path / "r.html")
    found = change(change_bundles.of_differences(13), before, after, files)
    assert found.regions == 2


class Ended(Exception):
    """The process was killed."""


def counting(bundle, *, after, error):
    """The network fails from call `after` on."""
    calls = []
    compare = bundle.twin.network.compare

    def failing(*given):
        calls.append(1)
        if len(calls) > after:
            raise error
        return compare(*given)

    bundle.twin.network.compare = failing
    return calls


def test_a_map_goes_on_after_a_kill(tmp_path, scene, small):
    whole, rest = tmp_path / "whole.tif", tmp_path / "rest.tif"
    bundle = change_bundles.of_differences()
    calls = counting(bundle, after=10**6, error=Ended)
    change(bundle, *scene, whole, threshold=0.5)
    every = len(calls)
    broken = change_bundles.of_differences()
    counting(broken, after=every // 2, error=Ended)
    with pytest.raises(Ended):
        change(broken, *scene, rest, threshold=0.5)
    assert not rest.exists() and (tmp_path / "rest.tif.parts").is_dir()
    again = change_bundles.of_differences()
    calls = counting(again, after=10**6, error=Ended)
    change(again, *scene, rest, threshold=0.5)
    assert len(calls) < every
    assert rest.read_bytes() == whole.read_bytes()
    assert not (tmp_path / "rest.tif.parts").exists()


def test_an_interruption_says_how_to_go_on(tmp_path, scene, small):
    bundle = change_bundles.of_differences()
    counting(bundle, after=12, error=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt, match=r"\d+ of \d+ parts are kept in .*m\.tif\.parts"):
        change(bundle, *scene, tmp_path / "m.tif")


def test_a_full_disk_midway(tmp_path, scene, small, monkeypatch):
    whole = tmp_path / "whole.tif"
    change(change_bundles.of_differences(), *scene, whole)
    write = work.write_atomically
    kept = []

    def full(path, content, **more):
        if path.name.startswith("part") and len(kept) > 3:
            from twofold.files import explain_failure

            with explain_failure(path):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        kept.append(path)
        write(path, content, **more)

    with monkeypatch.context() as patched, pytest.raises(CannotWrite) as caught:
        patched.setattr(work, "write_atomically", full)
        change(change_bundles.of_differences(), *scene, tmp_path / "m.tif")
    text = str(caught.value)
    assert "No space left" in text and "the same command goes on" in text and "\n" not in text
    assert not (tmp_path / "m.tif").exists()
    change(change_bundles.of_differences(), *scene, tmp_path / "m.tif")
    assert (tmp_path / "m.tif").read_bytes() == whole.read_bytes()


def test_a_disk_that_is_full_when_the_map_is_written(tmp_path, scene, small, monkeypatch):
    files = MapFiles(mask=tmp_path / "m.tif", polygons=tmp_path / "g.json")
    said = r"not what was written.*the same command goes on"
    with monkeypatch.context() as patched, pytest.raises(CannotWrite, match=said):
        patched.setattr(RasterFile, "_read_again", cut_short)
        change(change_bundles.of_differences(), *scene, files)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"before.tif", "after.tif", "m.tif.parts"}
    bundle = change_bundles.of_differences()
    calls = counting(bundle, after=0, error=Ended)
    change(bundle, *scene, files)
    assert not calls and (tmp_path / "m.tif").exists() and (tmp_path / "g.json").exists()


def cut_short(self):
    """The file loses its end before it is read again."""
    content = self.spare.read_bytes()
    self.spare.write_bytes(content[: len(content) * 2 // 3])
    READ_AGAIN(self)


def test_parts_of_another_pair_are_not_gone_on_with(tmp_path, scene, small):
    bundle = change_bundles.of_differences()
    counting(bundle, after=12, error=Ended)
    with pytest.raises(Ended):
        change(bundle, *scene, tmp_path / "m.tif")
    before, _ = scene
    found = change(change_bundles.of_differences(), before, before, tmp_path / "m.tif")
    assert found.changed == found.regions == 0 and found.largest == ()


def test_two_runs_at_once(tmp_path, scene):
    bundle = change_bundles.of_differences()
    compare = bundle.twin.network.compare

    def meanwhile(*given):
        with pytest.raises(UsageError, match="another run is at work"):
            change(change_bundles.of_differences(), *scene, tmp_path / "m.tif")
        return compare(*given)

    bundle.twin.network.compare = meanwhile
    change(bundle, *scene, tmp_path / "m.tif")


def shifted(folder, rows, columns):
    large = rasters.drawn(HEIGHT + 60, WIDTH + 60)
    first = large[:, 30 : 30 + HEIGHT, 30 : 30 + WIDTH]
    second = large[:, 30 - rows : 30 - rows + HEIGHT, 30 - columns : 30 - columns + WIDTH]
    names = folder / "before.tif", folder / "after.tif"
    for name, array in zip(names, (first, second), strict=True):
        rasters.write(name, np.ascontiguousarray(array))
    return names


def test_a_shift_of_30_pixels(tmp_path):
    pair = shifted(tmp_path, 30, 0)
    with pytest.raises(DataError, match=r"shifted by 30\.0 pixels .*--align") as caught:
        change(change_bundles.of_differences(), *pair, tmp_path / "m.tif")
    assert "down" in one_line(caught)
    found = change(change_bundles.of_differences(), *pair, tmp_path / "m.tif", shift="align")
    mask, _ = read(tmp_path / "m.tif")
    assert found.aligned and found.shift.rows == pytest.approx(30, abs=0.1)
    # what the second date does not show has no value
    assert (mask[-28:] == 255).all() and (mask[:-34] == 0).mean() > 0.99
    found = change(change_bundles.of_differences(), *pair, tmp_path / "m2.tif", shift="ignore")
    assert found.share > 0.05 and any("shifted by 30" in note for note in found.notes)


def test_a_shift_of_2_pixels_is_told(tmp_path):
    pair = shifted(tmp_path, 0, 2)
    found = change(change_bundles.of_differences(), *pair, tmp_path / "m.tif")
    assert any("shifted by 2.0 pixels" in note and "--align" in note for note in found.notes)


def test_what_cannot_be_aligned(tmp_path):
    flat = np.zeros((3, 128, 128), np.uint8)
    pair = [rasters.write(tmp_path / name, flat) for name in ("a.tif", "b.tif")]
    with pytest.raises(UsageError, match="--align: the shift between the dates is not measured"):
        change(change_bundles.of_differences(), *pair, tmp_path / "m.tif", shift="align")
    found = change(change_bundles.of_differences(), *pair, tmp_path / "m.tif")
    assert found.shift is None and found.changed == 0


def other(tmp_path, **more):
    array = more.pop("array", rasters.drawn(HEIGHT, WIDTH))
    return rasters.write(tmp_path / "other.tif", array, **more)


BAD = {
    "size": (
        lambda d: other(d, array=rasters.drawn(HEIGHT, WIDTH - 4)),
        r"has 304 x 240 pixels and .* 300 x 240: cut or warp",
    ),
    "crs": (lambda d: other(d, crs="EPSG:32634"), r"is in EPSG:32633 and .* in EPSG:32634: warp"),
    "no crs": (lambda d: other(d, transform=None), r"other\.tif has no CRS and .*has one"),
    "rotated": (
        lambda d: other(d, transform=rasters.PLACE @ rasters.PLACE.rotation(20)),
        r"other\.tif is rotated .*gdalwarp",
    ),
    "depth": (
        lambda d: other(d, array=rasters.drawn(HEIGHT, WIDTH, dtype=np.uint16)),
        r"holds uint8 and .* uint16: .*same bit depth",
    ),
    "place": (
        lambda d: other(d, transform=rasters.PLACE @ rasters.PLACE.translation(7, -2)),
        r"begins 7 pixels to the right .* and -2 below: cut both",
    ),
    "pixels": (
        lambda d: other(d, transform=rasters.PLACE @ rasters.PLACE.scale(2)),
        r"has pixels of 10 x 10 and .* of 20 x 20: warp",
    ),
    "bands": (
        lambda d: other(d, array=rasters.drawn(HEIGHT, WIDTH, 13)),
        r"has 13 bands, and this model reads 3",
    ),
    "nothing": (
        lambda d: other(d, array=np.zeros((3, HEIGHT, WIDTH), np.uint8), nodata=0),
        r"other\.tif holds no valid pixel.*nodata",
    ),
    "cut": (lambda d: cut(other(d)), r"other\.tif (is cut|is damaged)"),
    "missing": (lambda d: d / "nowhere.tif", r"nowhere\.tif does not exist"),
}


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("swapped", [False, True])
def test_what_does_not_fit_is_one_line(tmp_path, scene, name, swapped):
    make, said = BAD[name]
    pair = (scene[0], make(tmp_path))
    with pytest.raises((DataError, NotEnoughData)) as caught:
        change(change_bundles.of_differences(), *pair[:: -1 if swapped else 1], tmp_path / "m.tif")
    text = one_line(caught)
    if not swapped:
        assert re.search(said, text), text
    assert not (tmp_path / "m.tif").exists() and not (tmp_path / "m.tif.parts").exists()


def test_no_pixel_in_both(tmp_path):
    first, second = rasters.drawn(HEIGHT, WIDTH), rasters.drawn(HEIGHT, WIDTH)
    first[:, :120], second[:, 120:] = 0, 0
    pair = [
        rasters.write(tmp_path / name, array, nodata=0)
        for name, array in (("a.tif", first), ("b.tif", second))
    ]
    with pytest.raises(NotEnoughData, match=r"no pixel holds a value both in .*a\.tif and"):
        change(change_bundles.of_differences(), *pair, tmp_path / "m.tif")


def test_places_that_take_no_map(tmp_path, scene):
    bundle = change_bundles.of_differences()
    (tmp_path / "there.tif").write_bytes(b"mine")
    for place, said in (
        (tmp_path / "there.tif", r"there\.tif exists already: .*--overwrite"),
        (tmp_path / "no" / "m.tif", r"there is no folder .*no"),
        (tmp_path / "m.jpg", r"m\.jpg: a map is written as \.tif, or as \.png"),
        (scene[0], r"before\.tif is an input and would hold the mask"),
        (
            MapFiles(mask=tmp_path / "m.tif", polygons=tmp_path / "m.tif"),
            r"m\.tif is the mask and would hold the polygons",
        ),
        (MapFiles(mask=tmp_path / "m.tif", page=tmp_path), "is a folder"),
    ):
        with pytest.raises((CannotWrite, UsageError), match=said) as caught:
            change(bundle, *scene, place)
        one_line(caught)
    assert (tmp_path / "there.tif").read_bytes() == b"mine"
    change(bundle, *scene, MapFiles(mask=tmp_path / "there.tif", overwrite=True))
    assert read(tmp_path / "there.tif")[0].shape == (HEIGHT, WIDTH)


def test_a_folder_that_is_not_ours_stands_in_the_way(tmp_path, scene):
    (tmp_path / "m.tif.parts").mkdir()
    (tmp_path / "m.tif.parts" / "thesis.txt").write_text("mine")
    with pytest.raises(CannotWrite, match="is in the way"):
        change(change_bundles.of_differences(), *scene, tmp_path / "m.tif")
    assert (tmp_path / "m.tif.parts" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("threshold", [0, -1, 1.5, float("nan")])
def test_thresholds_that_are_none(tmp_path, scene, threshold):
    with pytest.raises(UsageError, match="is not a probability"):
        change(change_bundles.of_differences(), *scene, tmp_path / "m.tif", threshold=threshold)


def test_a_word_that_is_not_a_bundle(tmp_path, scene):
    with pytest.raises(UsageError, match="'pretraind' is not a bundle"):
        change("pretraind", *scene, tmp_path / "m.tif")


def test_a_large_tiff_without_rasterio(tmp_path, monkeypatch):
    from twofold.maps import rasters as written_rasters

    monkeypatch.setattr(written_rasters, "rasterio_is_there", lambda: False)
    monkeypatch.setattr(written_rasters, "MOST_IN_MEMORY", 1000)
    array = rasters.drawn(64, 64)
    with pytest.raises(MissingExtra, match=r"pip install 'twofold\[raster\]'"):
        change(change_bundles.of_differences(), array, array, tmp_path / "m.tif")
    monkeypatch.setattr(written_rasters, "MOST_IN_MEMORY", 10_000)
    change(change_bundles.of_differences(), array, array, tmp_path / "m.tif")
    assert np.asarray(PIL.Image.open(tmp_path / "m.tif")).shape == (64, 64)


def test_a_bundle_gives_what_its_twin_gives(tmp_path, scene):
    """The written probability is that of the network over the whole scene."""
    from twofold.inputs.raster_source import statistics

    bundle = change_bundles.of_network()
    files = MapFiles(mask=tmp_path / "m.tif", probability=tmp_path / "p.tif")
    change(bundle, *scene, files, threshold=0.5)
    dates = []
    for name in scene:
        with bundle.twin.input.open(name) as source:
            values = source.window(0, 0, HEIGHT, WIDTH)
            dates.append(torch.from_numpy(bundle.twin.normalise(values, statistics(source)))[None])
    with torch.inference_mode():
        whole = bundle.twin.logits(*dates)[0].sigmoid().numpy()
    np.testing.assert_allclose(read(tmp_path / "p.tif")[0], whole, atol=1e-4)

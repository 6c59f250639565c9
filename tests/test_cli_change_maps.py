"""`twofold change` on the command line: codes, one line per mistake, JSON."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import change_bundles
import rasters
import small_bundles
from twofold.cli import main


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("maps")
    change_bundles.of_network().save(folder / "model")
    small_bundles.of_pictures().save(folder / "faces")
    first = rasters.drawn(160, 192)
    rasters.write(folder / "before.tif", first)
    rasters.write(folder / "after.tif", rasters.changed(first, (40, 40, 30)))
    rasters.write(folder / "bands.tif", rasters.drawn(160, 192, 13))
    PIL.Image.fromarray(first.transpose(1, 2, 0)).save(folder / "jpeg.tif", "JPEG")
    large = rasters.drawn(220, 192)
    rasters.write(folder / "early.tif", large[:, 30:190])
    rasters.write(folder / "late.tif", large[:, :160])
    (folder / "there.tif").write_bytes(b"mine")
    return folder


def run(capsys, monkeypatch, folder, *words):
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as ended:
        main(["change", *words])
    out, err = capsys.readouterr()
    return ended.value.code, out, err


def test_a_map_and_its_words(capsys, monkeypatch, place):
    words = ("pretrained", "before.tif", "after.tif", "-o", "a.tif", "--report", "a.html")
    code, out, err = run(capsys, monkeypatch, place, *words)
    assert (code, err) == (0, "")
    assert "pixels changed (estimate)" in out and "shift of AFTER: 0.0" in out
    assert "no training on change" in out and "mask: a.tif" in out
    assert (place / "a.tif").is_file() and (place / "a.html").is_file()


def test_json(capsys, monkeypatch, place):
    words = ("model", "before.tif", "after.tif", "-o", "b.tif", "--threshold", "0.5", "--json")
    code, out, err = run(capsys, monkeypatch, place, *words)
    found = json.loads(out)
    assert (code, err) == (0, "") and found["standing"] == "estimate"
    assert found["paths"] == {"mask": "b.tif"} and found["pixels"] == 160 * 192
    assert found["shift"]["windows"] > 0 and 0 <= found["share"] <= 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model", "before.tif", "-o", "c.tif"], "parameter AFTER requires an argument"),
        (["model", "before.tif", "after.tif"], "parameter --out requires an argument"),
        (["model", "bands.tif", "bands.tif", "-o", "c.tif"], "13 bands, and this model reads 3"),
        (["model", "jpeg.tif", "after.tif", "-o", "c.tif"], "is a JPEG file"),
        (["model", "early.tif", "late.tif", "-o", "c.tif"], "shifted by 30.0 pixels"),
        (["model", "before.tif", "after.tif", "-o", "there.tif"], "exists already"),
        (["model", "before.tif", "after.tif", "-o", "no/c.tif"], "there is no folder"),
        (["model", "before.tif", "gone.tif", "-o", "c.tif"], "gone.tif does not exist"),
        (["faces", "before.tif", "after.tif", "-o", "c.tif"], "kind"),
        (["nowhere", "before.tif", "after.tif", "-o", "c.tif"], "nowhere"),
        (
            ["model", "before.tif", "after.tif", "-o", "c.tif", "--align", "--any-shift"],
            "exclude each other",
        ),
        (["model", "before.tif", "after.tif", "-o", "c.tif", "--threshold", "3"], "probability"),
    ],
)
def test_mistakes_are_one_line(capsys, monkeypatch, place, words, said):
    code, out, err = run(capsys, monkeypatch, place, *words)
    assert code == 2 and out == "" and said in err, err
    assert err.count("\n") == 1 and "Traceback" not in err
    assert not (place / "c.tif").exists() and not (place / "c.tif.parts").exists()


def test_a_shift_is_taken_back(capsys, monkeypatch, place):
    words = ("pretrained", "early.tif", "late.tif", "-o", "d.tif", "--align", "--json")
    code, out, _ = run(capsys, monkeypatch, place, *words)
    found = json.loads(out)
    assert code == 0 and found["aligned"]
    assert np.hypot(found["shift"]["rows"], found["shift"]["columns"]) == pytest.approx(30, abs=0.2)

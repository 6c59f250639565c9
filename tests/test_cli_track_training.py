"""tracking on the command line: train, doctor, info; and no verb of another kind takes such a bundle."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import track_bundles
from twofold.cli import main
from twofold.data.cutouts import drawn_texture

SMALL = {
    "encoder.width": 8,
    "windows.count": 4,
    "windows.steps": 2,
    "windows.films": 0,
    "epochs": 2,
}
SETTINGS = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, words)))
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("pictures")
    for number in range(8):
        picture = drawn_texture(np.random.default_rng(number), 160)
        PIL.Image.fromarray(picture).save(made / f"{number}.png")
    return made


def test_training_tells_what_it_did(data, tmp_path, capsys):
    out = tmp_path / "model"
    assert run("train", "track", data, "-o", out, *SETTINGS) == 0
    said = capsys.readouterr().out
    assert "best overlap on unseen pictures" in said
    assert "pictures and sequences: 2 valid, 2 calibrate, 4 train" in said
    assert f"next: twofold track {out}" in said
    assert run("train", "track", data, "-o", out, *SETTINGS) == 2
    assert "is a bundle already" in capsys.readouterr().err
    assert run("info", out) == 0
    said = capsys.readouterr().out
    assert "bundle of track" in said and "track_lite0" in said and "not calibrated" in said
    assert run("info", out, "--json") == 0
    assert json.loads(capsys.readouterr().out)["parts"] == {"train": 4, "valid": 2, "calibrate": 2}


def test_doctor_counts_pictures(data, capsys):
    assert run("doctor", data, "--recipe", "track") == 0
    said = capsys.readouterr().out
    assert "8 pictures, 0 cut-outs" in said and "8 files: 2 valid, 2 calibrate, 4 train" in said
    assert run("doctor", data, "--recipe", "track", "--fix", data / "out.csv") == 2
    assert "track has pictures and sequences: drop it" in capsys.readouterr().err


def test_options_of_items_are_refused(data, tmp_path, capsys):
    assert run("train", "track", data, "-o", tmp_path / "m", "--levels", 2) == 2
    assert "--levels is for items of identities" in capsys.readouterr().err
    assert run("plan", data, "--recipe", "track") == 2
    assert "for track, twofold doctor counts" in capsys.readouterr().err


VERBS = {
    "calibrate": ["calibrate", "BUNDLE", "DATA"],
    "verify": ["verify", "BUNDLE", "FILE", "FILE"],
    "identify": ["identify", "BUNDLE", "OUT", "FILE"],
    "enrol": ["enrol", "BUNDLE", "OUT", "anna", "FILE"],
    "embed": ["embed", "BUNDLE", "DATA", "OUT"],
    "index": ["index", "BUNDLE", "DATA", "OUT"],
    "search": ["search", "BUNDLE", "OUT", "FILE"],
    "dedup": ["dedup", "BUNDLE", "DATA"],
    "change": ["change", "BUNDLE", "FILE", "FILE", "-o", "OUT"],
    "monitor": ["monitor", "BUNDLE", "TABLE"],
    "train --from": ["train", "generic", "DATA", "-o", "OUT", "--from", "BUNDLE"],
}


@pytest.mark.parametrize("verb", VERBS)
def test_no_other_verb_takes_a_bundle_of_tracking(verb, tmp_path, capsys):
    track_bundles.of_network().save(tmp_path / "track")
    people = tmp_path / "people"
    for name in ("anna", "bert", "cleo"):
        (people / name).mkdir(parents=True)
        for number in range(3):
            drawn = drawn_texture(np.random.default_rng(number), 32)
            PIL.Image.fromarray(drawn).save(people / name / f"{number}.png")
    words = {
        "BUNDLE": tmp_path / "track",
        "DATA": people,
        "FILE": people / "anna" / "0.png",
        "OUT": tmp_path / "out.tif",
        "TABLE": tmp_path / "pairs.csv",
    }
    words["TABLE"].write_text(f"a,b,same\n{words['FILE']},{words['FILE']},1\n")
    assert run(*(words.get(word, word) for word in VERBS[verb])) == 2
    error = capsys.readouterr().err
    assert "of kind track" in error and "`twofold track`" in error and error.count("\n") == 1

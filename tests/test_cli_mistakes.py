"""Mistakes that people make on the command line: each is answered in one line that says what to do, and exit code 2."""

import sys

import numpy as np
import pytest
from PIL import Image as Picture

from exit_codes import exit_code
from small_bundles import of_pictures
from twofold import cli

FACE = ["train", "face", "people", "-o", "x"]
MISTAKES = [
    # arguments in the wrong order, and words that are not quite right
    (["train", "people", "face", "-o", "x"], "twofold train face people -o x"),
    (["verify", "a.png", "b.png", "m"], "twofold verify m a.png b.png"),
    (["identify", "gallery", "m", "a.png"], "twofold identify m gallery a.png"),
    (["calibrate", "people", "raw"], "twofold calibrate raw people"),
    (["train", "fase", "people", "-o", "x"], "did you mean 'face'?"),
    (["trian", "face", "people", "-o", "x"], "train"),
    (["train", "face", "people"], "--out"),
    (["train", "face", "", "-o", "x"], "is a variable of the shell not set?"),
    (["doctor", "people", "--recipe", "fase"], "did you mean 'face'?"),
    # options that are settings, or belong to other programs
    ([*FACE, "--epochs", "3"], "--set epochs=3"),
    ([*FACE, "--epochs=3"], "--set epochs=3"),
    ([*FACE, "--size", "64"], "--set input.size=64"),
    ([*FACE, "--encoder", "conv4"], "--set encoder.name=conv4"),
    ([*FACE, "--loss", "triplet"], "--set loss.name=triplet"),
    ([*FACE, "--lr", "0.1"], "--set optimiser.learning_rate=0.1"),
    ([*FACE, "--batch-size", "32"], "--set p=32"),
    ([*FACE, "--margin", "0.3"], "--set loss.margin=0.3"),
    ([*FACE, "--gpu"], "--device cuda"),
    ([*FACE, "--trust-code"], "--encoder MODULE:FUNCTION"),
    ([*FACE, "--encoder", "mynet:small"], "add --trust-code"),
    (["doctor", "people", "--epochs", "3"], "--set epochs=3"),
    (["calibrate", "raw", "people", "--confidence", "0.9"], "--set confidence=0.9"),
    (["evaluate", "m", "people", "--seed", "3"], "--set seed=3"),
    (["verify", "m", "a.png", "b.png", "--threshold", "0.5"], "twofold calibrate"),
    # values that do not fit
    ([*FACE, "--set", "epoch=3"], "did you mean 'epochs'?"),
    ([*FACE, "--set", "epochs"], "--set loss.margin=0.3"),
    ([*FACE, "--set", "epochs=many"], "epochs"),
    ([*FACE, "--set", "loss.name=triplett"], "did you mean 'triplet'?"),
    ([*FACE, "--set", "loss.temperatur=0.1"], "did you mean 'temperature'?"),
    ([*FACE, "--set", "encoder.dim=0"], "dim"),
    (["train", "generic", "people", "-o", "x", "--set", "p=1000"], "--set p="),
    ([*FACE, "--device", "banana"], "This machine has: cpu"),
    ([*FACE, "--seed", "-1"], "a whole number of at least 0"),
    ([*FACE, "--max-time", "0"], "a positive number of seconds"),
    ([*FACE, "--levels", "0"], "at least 1"),
    ([*FACE, "--max-pixels", "many"], "a positive whole number"),
    (["calibrate", "raw", "people", "--far", "2"], "below 1"),
    (["calibrate", "raw", "people", "--set", "confidence=2"], "between 0 and 1"),
    (["calibrate", "raw", "people", "--set", "fpir=0.1"], "--set gallery="),
    (["calibrate", "raw", "people", "--estimate", "--standing", "certified"], "give one of them"),
    (["search", "m", "gallery", "a.png", "--count", "0"], "at least 1"),
    (["search", "m", "gallery", "a.png", "--where", "colour"], "key=value"),
    (["embed", "m", "people", "out", "--shard", "9/8"], "1/8 ... 8/8"),
    (["enrol", "m", "gallery", "anna", "a.png", "--expires", "yesterday"], "2027-12-31"),
    (["enrol", "m", "gallery", "anna", "a.png", "--expires", "2001-01-01"], "past"),
    (["enrol", "m", "gallery", "anna", "a.png", "--gate", "sharpnes=3"], "sharpness=40"),
    (["index", "m", "people", "new", "--force"], "--prune"),
    # places
    (["train", "face", "nowhere", "-o", "x"], "nowhere"),
    (["train", "face", "flat", "-o", "x"], "into a sub-folder of its name"),
    (["train", "face", "nested", "-o", "x"], "--levels 2"),
    ([*FACE, "--levels", "2"], "--levels 1"),
    (["train", "face", "tables", "-o", "x"], "give the path of the table itself"),
    (["train", "face", "people", "-o", "m"], "--force"),
    (["train", "face", "people", "-o", "a.png/x"], "a.png"),
    ([*FACE, "--from", "people"], "twofold train"),
    (["verify", "nowhere", "a.png", "b.png"], "twofold train"),
    (["verify", "m", "a.png", "nowhere.png"], "nowhere.png"),
    (["verify", "m", "a.png", "broken.png"], "broken.png"),
    (["verify", "m", "a.png"], "--pairs TABLE"),
    (["verify", "m", "a.png", "b.png", "--scores-only"], "--pairs TABLE"),
    (["identify", "m", "nowhere", "a.png"], "`twofold index` or `enrol` makes one"),
    (["identify", "m", "gallery", "nowhere.png"], "nowhere.png"),
    (["enrol", "m", "gallery", "anna"], "FILES"),
    (["forget", "m", "gallery"], "BUNDLE INDEX LABELS"),
    (["forget", "m", "gallery", "nobody"], "nobody"),
    (["revoke", "people", "anna"], "index"),
    (["info", "people"], "twofold train"),
    (["dedup", "nowhere"], "nowhere"),
    (["evaluate", "m", "people", "--against", "m", "--report", "r.html"], "leave --against out"),
    # tables
    (
        ["train", "face", "missing.csv", "-o", "x"],
        "relative names are taken from the table's folder",
    ),
    (["train", "face", "unlabelled.csv", "-o", "x"], "label"),
    (["train", "face", "empty.csv", "-o", "x"], "empty.csv"),
    (["train", "generic", "same.csv", "-o", "x"], "gets 0 pairs. Train on all of them"),
    (
        ["train", "face", "graded.csv", "-o", "x", "--set", "loss.name=pair_contrastive"],
        "loss.name=pair_regression",
    ),
    (["train", "face", "pairs.csv", "-o", "x", "--from", "m"], "leave it out"),
    (["plan", "pairs.csv"], "`twofold train` takes pairs"),
    (["index", "m", "pairs.csv", "new"], "verify --pairs"),
    (["calibrate", "m", "graded.csv", "-o", "y"], "the column same"),
    (["evaluate", "m", "graded.csv"], "a correlation takes at least 3 pairs"),
    (["calibrate", "distances.csv", "--far", "0.1"], "negate"),
    (["calibrate", "owners.csv", "--far", "0.1"], "--estimate"),
    (["calibrate", "pairs.csv", "--far", "0.1"], "column score"),
    (["verify", "m", "--pairs", "unlabelled.csv"], "no column 'a'"),
    (
        ["calibrate", "m", "pairs.csv", "--set", "groups=true", "-o", "y"],
        "a table with path and label",
    ),
]
"""What is typed, and what the answer must hold."""

PYTHON = (
    "Traceback",
    "Index.",
    "Items.",
    "Pairs.",
    "from_table",
    "ids=[",
    "levels=",
    "encoder=...",
    "set p to",
)


@pytest.fixture(scope="module", autouse=True)
def desk(tmp_path_factory):
    """A folder with a bit of everything, in which all commands are given."""
    desk = tmp_path_factory.mktemp("desk")
    of_pictures().save(desk / "m")
    of_pictures().with_calibration(None).save(desk / "raw")
    pictures = np.random.default_rng(0).integers(0, 255, (30, 16, 16), dtype=np.uint8)
    places = [f"people/p{n // 4}/{n % 4}.png" for n in range(24)]
    places += ["flat/a.png", "nested/g/p/a.png", "nested/g/q/a.png", "a.png", "b.png"]
    for place, picture in zip(places, pictures, strict=False):
        (desk / place).parent.mkdir(parents=True, exist_ok=True)
        Picture.fromarray(picture).save(desk / place)
    (desk / "broken.png").write_text("no picture")
    (desk / "tables").mkdir()
    tables = {
        "tables/items.csv": "path,label\n../a.png,a\n",
        "missing.csv": "path,label\na.png,a\nnowhere.png,a\n",
        "unlabelled.csv": "path\na.png\nb.png\n",
        "empty.csv": "path,label\n",
        "pairs.csv": "a,b,same\na.png,a.png,1\na.png,b.png,0\n",
        "same.csv": "a,b,same\na.png,a.png,1\n",
        "graded.csv": "a,b,score\na.png,a.png,0.9\na.png,b.png,0.3\n",
        "owners.csv": "score,same\n0.9,1\n0.1,0\n",
        "distances.csv": "score,identity_a,identity_b\n"
        + "".join(f"{abs(a - b) + 0.1 * (a + b)},{a},{b}\n" for a in range(12) for b in range(12)),
    }
    for place, text in tables.items():
        (desk / place).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(desk)
        exit_code("enrol", "m", "gallery", "anna", "a.png")
        yield desk


def answer(words, capsys):
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    out, err = capsys.readouterr()
    return ended.value.code, out, err


def test_there_are_enough_of_them():
    assert len(MISTAKES) >= 60


@pytest.mark.parametrize(
    ("words", "remedy"),
    MISTAKES,
    ids=lambda each: " ".join(each)[:60] if type(each) is list else "",
)
def test_a_mistake_is_answered_with_what_to_do(words, remedy, capsys):
    code, out, err = answer(words, capsys)
    lines = err.splitlines()
    assert (code, out) == (2, ""), err
    # what was found by looking, or left out, may be said before
    assert [line.startswith("twofold: ") for line in lines].count(True) == 1 and lines[
        -1
    ].startswith("twofold: "), err
    assert remedy in lines[-1], err
    assert not any(word in err for word in PYTHON), err


@pytest.mark.parametrize(
    ("words", "package", "remedy"),
    [
        (["embed", "m", "people", "out"], "pyarrow", "pip install 'twofold[data]'"),
        (["evaluate", "m", "t.parquet"], "pyarrow", "pip install 'twofold[data]'"),
    ],
)
def test_a_missing_extra_is_named(words, package, remedy, capsys, monkeypatch, desk):
    (desk / "t.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, package, None)
    code, _, err = answer(words, capsys)
    assert code == 2 and err.count("\n") == 1 and remedy in err

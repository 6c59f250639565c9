"""tune on the command line: a recipe with its evidence, which trains."""

import json

import numpy as np
import PIL.Image
import pytest

from twofold import Recipe
from twofold.data.synthetic import glyphs

QUICK = ("--set", "epochs=3", "--set", "fewest_steps=0", "--set", "encoder.dim=8", "--trials", 3)


@pytest.fixture
def data(tmp_path):
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(24, 6))
    lines = ["label,vector"]
    for identity, centre in enumerate(centres):
        for _ in range(5):
            row = json.dumps([round(float(x), 4) for x in centre + 0.4 * draw.normal(size=6)])
            lines.append(f'v{identity},"{row}"')
    table = tmp_path / "vectors.csv"
    table.write_text("\n".join(lines) + "\n")
    return table


def test_the_recommended_recipe_trains(run, data, tmp_path):
    out = tmp_path / "best.toml"
    code, said, err = run("tune", "head", data, "-o", out, "--search", "learning_rate,loss", *QUICK)
    assert code == 0, err
    assert "the recipe as it is" in said and "recommended" in said
    text = out.read_text()
    assert text.startswith("# ") and "two folds that chose nothing" in text
    assert Recipe.read(out).encoder.arguments["dim"] == 8
    code, _, err = run("train", out, data, "-o", tmp_path / "model")
    assert code == 0, err


def test_trials_go_on(run, data, tmp_path):
    out = tmp_path / "best.toml"
    asked = ("tune", "head", data, "-o", out, "--search", "learning_rate", *QUICK)
    assert run(*asked, "--json")[0] == 0
    code, _, err = run(*asked)
    assert code == 2 and "--resume or --force" in err
    code, told, err = run(*asked[:-1], 4, "--resume", "--json")
    assert code == 0, err
    found = json.loads(told)
    assert found["finished"] + found["ended"] + found["failed"] == 4
    assert found["recipe"]["encoder"]["dim"] == 8 and len(found["candidates"]) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-o", "best.txt"), "give a .toml file"),
        (("-o", "best.toml", "--search", "lose"), "'lose' cannot be searched"),
        (("-o", "best.toml", "--trials", 0), "at least 1"),
        (("-o", "best.toml", "--resume"), "nothing can be resumed"),
    ],
)
def test_wrong_use_is_one_line(run, data, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    code, _, err = run("tune", "head", data, *words)
    assert code == 2 and said in err and err.count("\n") == 1


def test_files_that_cannot_be_read_are_left_out_as_in_train(run, tmp_path):
    for number, picture in enumerate(glyphs(12, 3, size=16).values):
        place = tmp_path / "data" / f"glyph {number // 3}" / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(picture[:, :, 0]).save(place)
    (tmp_path / "data" / "glyph 3" / "9.png").write_text("no picture")
    small = ("input.size=16", "input.channels=1", "encoder.width=8", "epochs=1", "fewest_steps=0")
    asked = [word for setting in small for word in ("--set", setting)]
    out = tmp_path / "best.toml"
    code, _, err = run("tune", "generic", tmp_path / "data", "-o", out, "--trials", 1, *asked)
    assert code == 0 and "9.png" in err, err


def test_pairs_are_refused(run, tmp_path):
    table = tmp_path / "pairs.csv"
    table.write_text("text_a,text_b,same\none,two,0\none,One,1\n")
    code, _, err = run("tune", "names", table, "-o", tmp_path / "best.toml")
    assert code == 2 and "is a table of pairs" in err


def test_without_the_extra_it_is_named(run, data, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "optuna", None)
    code, _, err = run("tune", "head", data, "-o", tmp_path / "best.toml")
    assert code == 2 and "pip install 'twofold[tune]'" in err

"""Films on the command line: from a folder of clips to verdicts, an index and a page."""

import json
from pathlib import Path

import numpy as np
import pytest

from drawn_films import write_film

QUICK = (
    *("--set", "encoder=clip_lstm", "--set", "encoder.dim=32", "--set", "encoder.width=32"),
    *("--set", "input.size=16", "--set", "input.frames=6", "--set", "freeze=0"),
    *("--set", "fewest_steps=60", "--set", "epochs=1", "--max-time", "60"),
)


def gesture(way: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """A bright dot that goes from place to place, before noise."""
    film = draw.integers(0, 30, (10, 32, 32, 3), dtype=np.uint8)
    steps = np.linspace(0, len(way) - 1, 10)
    for frame, step in zip(film, steps, strict=True):
        x, y = (np.interp(step, range(len(way)), way[:, axis]) for axis in (0, 1))
        row, column = int(y + draw.integers(0, 2)), int(x + draw.integers(0, 2))
        frame[row : row + 5, column : column + 5] = 250
    return film


def gestures(folder: Path, *, count: int = 24, each: int = 4) -> Path:
    """One folder per gesture, one film per performance."""
    draw = np.random.default_rng(0)
    for number in range(count):
        way = draw.integers(0, 26, (3, 2))
        place = folder / f"gesture{number:02}"
        place.mkdir(parents=True)
        for take in range(each):
            write_film(place / f"{take}.mp4", gesture(way, draw))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return gestures(tmp_path_factory.mktemp("films") / "gestures")


@pytest.fixture(scope="module")
def model(data):
    from twofold.cli import main

    place = data.parent / "model"
    for words in (
        ["train", "video", data, "-o", place, *QUICK],
        ["calibrate", place, data, "--far", "0.1", "--estimate"],
    ):
        with pytest.raises(SystemExit) as ended:
            main(list(map(str, words)))
        assert ended.value.code == 0
    return place


def test_the_doctor_and_the_plan_know_the_recipe(run, data, tmp_path):
    code, out, _ = run("doctor", data)
    assert code == 0 and "24 identities" in out and "video" in out
    code, _, err = run("train", "generic", data, "-o", tmp_path / "m")
    assert code == 2 and "the recipe video reads them" in err


def test_films_are_compared(run, data, model):
    one, other = sorted((data / "gesture00").iterdir())[:2]
    code, out, _ = run("verify", model, one, other, "--json")
    alike = json.loads(out)["score"]
    code, out, _ = run("verify", model, one, data / "gesture01" / "0.mp4", "--json")
    assert json.loads(out)["score"] < alike
    broken = data.parent / "broken.mp4"
    broken.write_bytes(one.read_bytes()[:200])
    text = data.parent / "text.txt"
    text.write_text("words")
    for wrong in (broken, text):
        code, _, err = run("verify", model, one, wrong)
        assert code == 2 and f"{wrong.name} is not a film" in err and err.count("\n") == 1


def test_clips_are_found_and_shown(run, data, model, tmp_path):
    assert run("index", model, data, tmp_path / "clips.idx")[0] == 0
    page, asked = tmp_path / "page.html", data / "gesture05" / "1.mp4"
    code, out, err = run(
        *("search", model, tmp_path / "clips.idx", asked, "--json"),
        *("--report", page, "--pictures", data),
    )
    assert code in (0, 1), err
    assert "gesture05/1.mp4" in out and page.read_text().count("data:image") >= 2


def test_clips_are_evaluated_and_grouped(run, data, model, tmp_path):
    code, _, err = run("evaluate", model, data, "--report", tmp_path / "page.html", "--json")
    assert code == 0, err
    code, _, err = run("dedup", model, data, "-o", tmp_path / "groups.csv")
    assert code in (0, 1), err

"""change on the command line: train, doctor, evaluate, info; and no verb takes a bundle of another kind."""

import json
from pathlib import Path

import PIL.Image
import pytest

import drawn_scenes
import small_bundles
from twofold.cli import main

SMALL = {
    "encoder": "fc_siam_diff",
    "tiles.size": 32,
    "tiles.count": 4,
    "epochs": 3,
    "fewest_steps": 0,
    "layer_decay": 1.0,
}
SETTINGS = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, words)))
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return drawn_scenes.write(tmp_path_factory.mktemp("scenes"), 6)


@pytest.fixture(scope="module")
def model(data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("models") / "change"
    assert run("train", "change", data, "-o", out, *SETTINGS) == 0
    return out


def test_training_tells_what_it_did(data, model, tmp_path, capsys):
    assert run("train", "change", data, "-o", tmp_path / "m", *SETTINGS, "--seed", 1) == 0
    said = capsys.readouterr().out
    assert "best F1 on validation scenes" in said
    assert "scenes: 4 train, 1 valid, 1 test" in said
    assert "estimate, 1 scene; a certificate of twice that takes" in said
    assert "next: twofold evaluate" in said
    assert run("train", "change", data, "-o", model, *SETTINGS) == 2
    assert "is a bundle already" in capsys.readouterr().err


def test_evaluate_takes_the_scenes_kept_aside(data, model, tmp_path, capsys):
    assert run("evaluate", model, data) == 0
    said = capsys.readouterr().out
    assert "the 1 scene kept aside are used" in said or "kept aside" in said
    assert "resampling 1 scene" in said and "chosen on 1 validation scene" in said
    page = tmp_path / "page.html"
    assert run("evaluate", model, data, "--report", page, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["scenes"]) == 1 and told["threshold"]["standing"] == "estimate"
    markup = page.read_text()
    assert markup.count("<img") == 4 and "changed regions found" in markup
    assert run("evaluate", model, data, "--report", page, "--set", "pictures=false") == 0
    assert "<img" not in page.read_text()


def test_other_scenes_judge_and_trained_ones_do_not(data, model, tmp_path, capsys):
    other = tmp_path / "other"
    for folder in ("A", "B", "label"):
        (other / folder).mkdir(parents=True)
    for number in range(20, 23):
        pictures = drawn_scenes.scene(number)
        for folder, picture in zip(("A", "B", "label"), pictures, strict=True):
            PIL.Image.fromarray(picture).save(other / folder / f"{number}.png")
    assert run("evaluate", model, other) == 0
    assert "resampling 3 scenes" in capsys.readouterr().out
    told = json.loads((model / "bundle.json").read_text())
    assert told["kind"] == "change"
    trained = tmp_path / "trained"
    drawn_scenes.write(trained, 6)
    assert run("evaluate", model, trained, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["scenes"]) == 1


def test_doctor_counts_scenes(data, tmp_path, capsys):
    assert run("doctor", data) == 0
    said = capsys.readouterr().out
    assert "64 x 64" in said and "6 scenes of 6 places: 4 train, 1 valid, 1 test" in said
    PIL.Image.new("L", (30, 30)).save(data / "label" / "place5.png")
    try:
        assert run("doctor", data) == 2
        assert "the mask has 30 x 30 pixels" in capsys.readouterr().err
    finally:
        PIL.Image.fromarray(drawn_scenes.scene(5)[2]).save(data / "label" / "place5.png")


def test_info_tells_the_kind(model, capsys):
    assert run("info", model) == 0
    said = capsys.readouterr().out
    assert "bundle of change" in said and "fc_siam_diff" in said and "certificate" in said
    assert run("info", model, "--json") == 0
    assert json.loads(capsys.readouterr().out)["threshold"]["scenes"] == 1


def test_scenes_are_not_identities(data, tmp_path, capsys):
    for command in (["train", "generic", data, "-o", tmp_path / "m"], ["plan", data]):
        assert run(*command) == 2
        assert "holds scenes" in capsys.readouterr().err
    assert run("plan", data, "--recipe", "change") == 2
    assert "for change, twofold doctor counts scenes" in capsys.readouterr().err
    assert run("train", "change", data, "-o", tmp_path / "m", "--levels", 2) == 2
    assert "--levels is for items of identities" in capsys.readouterr().err


VERBS = {
    "calibrate": ["calibrate", "BUNDLE", "DATA"],
    "verify": ["verify", "BUNDLE", "FILE", "FILE"],
    "verify --pairs": ["verify", "BUNDLE", "--pairs", "TABLE"],
    "identify": ["identify", "BUNDLE", "OUT", "FILE"],
    "enrol": ["enrol", "BUNDLE", "OUT", "anna", "FILE"],
    "embed": ["embed", "BUNDLE", "DATA", "OUT"],
    "index": ["index", "BUNDLE", "DATA", "OUT"],
    "search": ["search", "BUNDLE", "OUT", "FILE"],
    "dedup": ["dedup", "BUNDLE", "DATA"],
    "doctor --bundle": ["doctor", "DATA", "--bundle", "BUNDLE"],
    "train --from": ["train", "generic", "DATA", "-o", "OUT", "--from", "BUNDLE"],
    "monitor": ["monitor", "BUNDLE", "TABLE"],
    "migrate": ["migrate", "OUT", "BUNDLE", "OUT2"],
    "spot": ["spot", "BUNDLE", "FILE", "FILE"],
    "track": ["track", "BUNDLE", "FILE", "--box", "1,2,3,4", "-o", "OUT"],
    "forget --bundle": ["forget", "--bundle", "BUNDLE", "anna"],
    "evaluate --against": ["evaluate", "OTHER", "DATA", "--against", "BUNDLE"],
}


@pytest.fixture
def words(tmp_path, model):
    people = tmp_path / "people"
    for name in ("anna", "bert", "cleo"):
        (people / name).mkdir(parents=True)
        for number in range(3):
            picture = drawn_scenes.scene(len(name) * 7 + number)[0][:16, :16]
            PIL.Image.fromarray(picture).save(people / name / f"{number}.png")
    file = people / "anna" / "0.png"
    table = tmp_path / "pairs.csv"
    table.write_text(f"a,b,same\n{file},{file},1\n")
    small_bundles.of_pictures().save(tmp_path / "embedding")
    return {
        "BUNDLE": model,
        "OTHER": tmp_path / "embedding",
        "DATA": people,
        "FILE": file,
        "TABLE": table,
        "OUT": tmp_path / "out",
    }


@pytest.mark.parametrize("verb", VERBS)
def test_no_other_verb_takes_a_bundle_of_change(verb, words, capsys):
    assert run(*(words.get(word, word) for word in VERBS[verb])) == 2
    error = capsys.readouterr().err
    assert "of kind change" in error and "`twofold change`" in error
    assert error.count("\n") == 1


def test_every_command_that_takes_a_bundle_is_tried():
    import inspect

    from twofold.cli.commands import GROUPS

    takes = {
        command.__name__
        for commands in GROUPS.values()
        for command in commands
        if {"bundle", "model", "ancestor", "old"} & set(inspect.signature(command).parameters)
    }
    tried = {words[0] for words in VERBS.values()}
    assert takes <= tried | {"change", "evaluate", "info", "train", "import_"}

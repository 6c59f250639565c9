"""The first day on the command line: few identities, files that are not items, and a next command that works."""

import shlex
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from twofold.data.synthetic import glyphs
from twofold.metrics.intervals import agrees
from twofold.results import Estimate, Evaluation
from twofold.terminal import next_steps
from twofold.terminal.wording.estimates import said_of
from twofold.terminal.wording.evaluate import agreement, evaluation_told, narrower

FAST = {"epochs": 2, "input.size": 16, "input.channels": 1, "encoder.width": 8, "encoder.dim": 8}
SETTINGS = [word for name, value in FAST.items() for word in ("--set", f"{name}={value}")]


def write(folder: Path, classes: int, each: int) -> Path:
    items = glyphs(classes, each, size=16, seed=4)
    for value, code, name in zip(items.values, items.labels, items.ids, strict=True):
        path = folder / items.names[code] / f"{name.replace('/', '-')}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(np.asarray(value).squeeze()).save(path)
    return folder


def hint(printed: str) -> list[str]:
    """The words of the next command that was printed, without `twofold`."""
    (line,) = [line for line in printed.splitlines() if line.startswith("next: ")]
    return shlex.split(line.removeprefix("next: "))[1:]


def test_fourteen_people_from_doctor_to_verdict_by_the_printed_commands(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = write(tmp_path / "my people", 14, 3)
    (data / "glyph 3" / "notes.txt").write_text("no picture")
    (data / "glyph 5" / "Thumbs.db").write_bytes(b"\xd0\xcf")
    code, out, _ = run("doctor", data, *SETTINGS)
    assert code == 0 and "1 of 43 items cannot be read" in out and "Thumbs.db" not in out
    steps = []
    while True:
        words = hint(out)
        steps.append(words[0])
        code, out, told = run(*words)
        if words[0] == "verify":
            break
        assert code == 0, out + told
    assert steps == ["train", "calibrate", "evaluate", "verify"]
    assert code in (0, 1, 3) and "estimate" in out


def test_six_people_train_and_are_told_what_a_threshold_takes(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = write(tmp_path / "people", 6, 2)
    code, out, _ = run("train", "generic", data, "-o", "m", *SETTINGS)
    assert code == 0 and "no identity was kept aside" in out and "calibrate m" not in out
    for verb in ("calibrate", "evaluate"):
        code, _, told = run(verb, "m", data)
        assert code == 2 and "none was kept aside" in told and "train again on 12 or more" in told
    code, out, told = run(*hint(out))
    assert code == 0, told


def test_files_that_cannot_be_read_are_left_out_or_with_strict_refused(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = write(tmp_path / "people", 20, 3)
    others = write(tmp_path / "others", 9, 4)
    assert run("train", "generic", data, "-o", "m", *SETTINGS, "--set", "split.folds=0")[0] == 0
    renamed = [path.rename(path.with_name(f"new {path.name}")) for path in others.iterdir()]
    for path in renamed[:2]:
        (path / "card.xmp").write_text("<x/>")
    for words in (
        ("calibrate", "m", others, "--far", 0.2, "--estimate", "-o", "c", "--force"),
        ("evaluate", "m", others),
    ):
        code, _, told = run(*words)
        assert code == 0 and "2 of 38 items cannot be read and are left out" in told, told
        code, _, told = run(*words, "--strict")
        assert code == 2 and "card.xmp" in told
    (data / "glyph 1" / "card.xmp").write_text("<x/>")
    code, _, told = run("train", "generic", data, "-o", "n", *SETTINGS, "--strict")
    assert code == 2 and "twofold doctor DATA --fix clean.csv" in told


def test_what_can_be_asked_of_a_part_is_in_the_hint(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = write(tmp_path / "people", 20, 3)
    code, out, _ = run(
        "train", "generic", data, "-o", "m", *SETTINGS, "--set", "split.calibrate=0.3"
    )
    assert hint(out) == ["calibrate", "m", str(data), "--far", "0.2", "--estimate"]
    code, _, told = run("calibrate", "m", data, "--far", 0.1)
    # 6 of 20 people: no share of them certifies anything, so none is offered
    assert (
        code == 2
        and "Only 6 of the 20 identities were kept aside" in told
        and "split.calibrate=" not in told
    )
    assert "or calibrate with --estimate" in told
    assert run("calibrate", "m", data, "--far", 0.1, "--estimate")[0] == 0


def test_what_cross_fitted_scores_give_beside_a_threshold(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = write(tmp_path / "people", 14, 3)
    for name, seed, dim in (("m", 0, 8), ("n", 0, 12), ("o", 1, 8)):
        other = ("--seed", seed, "--set", f"encoder.dim={dim}")
        assert run("train", "generic", data, "-o", name, *SETTINGS, *other)[0] == 0
    code, out, told = run("evaluate", "m", data, "--report", "page.html")
    assert code == 0 and "page.html" in out, told
    assert "judged by cross-fitting in 3 folds" in (tmp_path / "page.html").read_text()
    code, out, told = run("evaluate", "m", data, "--against", "n")
    assert code == 0 and "on the same 14 identities" in out, told
    code, _, told = run("evaluate", "m", data, "--against", "o")
    assert code == 2 and "train both with the same --seed" in told
    for words in (("groups=true",), ("cohort=4",), ("fpir=0.1", "gallery=3")):
        settings = [each for word in words for each in ("--set", word)]
        code, _, told = run("calibrate", "m", data, "--far", 0.2, *settings)
        assert code == 2 and "train again with --set split.folds=0" in told


def test_a_small_folder_is_trained_for_more_epochs_unless_they_are_chosen(run, tmp_path):
    data = write(tmp_path / "people", 6, 3)
    few = SETTINGS[2:]
    code, out, _ = run("doctor", data, *few, "--set", "fewest_steps=50")
    assert code == 0 and "epochs=50 in place of 30: an epoch of this data is 1 step" in out
    code, out, _ = run("doctor", data, *SETTINGS)
    assert code == 0 and "in place of" not in out


def test_a_plan_says_what_a_promise_takes_and_how_long_training_takes(run, tmp_path):
    data = write(tmp_path / "people", 14, 3)
    code, out, _ = run("plan", data, *SETTINGS)
    assert (
        code == 0
        and "14 identities with two items; 14 will calibrate (cross-fitting in 3 folds)" in out
    )
    assert (
        "false-accept rate 0.01: an estimate takes 26 identities that calibrate, a certificate "
        "101 or more" in out
    )
    assert "training: " in out and " steps, about " in out
    assert hint(out)[:3] == ["train", "generic", str(data)]


def estimate(low: float, high: float, name: str = "false_match_rate") -> Estimate:
    value = (low + high) / 2
    return Estimate(
        name=name, value=value, low=low, high=high, confidence=0.95, unit="identity", resampled=20
    )


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.0, 0.02, True), (0.0, 0.3, None), (0.02, 0.3, False), (0.011, 0.02, False)],
)
def test_a_rate_agrees_only_where_the_data_could_have_shown_otherwise(low, high, said):
    assert agrees(estimate(low, high), 0.01) is said


def test_an_interval_that_says_nothing_is_said_to_and_what_would_narrow_it():
    found = Evaluation(
        estimates=(estimate(0.0, 0.954, "tar_at_far"), estimate(0.1, 0.3, "eer")),
        unit="identity",
        units=20,
        items=60,
        genuine_pairs=60,
        impostor_pairs=1000,
        threshold=0.5,
        far=0.01,
        standing="estimate",
        holds=None,
        seed=0,
    )
    assert "says nothing" in said_of(estimate(0.0, 0.954)) and not said_of(estimate(0.1, 0.3))
    assert [each["says_nothing"] for each in evaluation_told(found)["estimates"]] == [True, False]
    (line,) = narrower(found)
    assert (
        "tar_at_far" in line
        and "eer" not in line
        and "about 456 of the unit identity (now 20)" in line
    )
    assert agreement(found).startswith("too little data to tell")


def test_a_command_survives_blanks_and_quotes():
    assert shlex.split(next_steps.command("train", "face", "my people's"))[-1] == "my people's"

"""Sounds on the command line: from a folder of recordings to verdicts, an index and a report."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sounds import RATE, spoken, word
from twofold import sound_recipes
from twofold.errors import UsageError

SETTINGS = (
    "input.rate=8000",
    "input.bands=20",
    "input.frames=16",
    "encoder.width=8",
    "epochs=1",
)
QUICK = tuple(word for setting in SETTINGS for word in ("--set", setting))
NAMES = ("--label-from", "name", "--label-field", "1")


@pytest.fixture(scope="module", autouse=True)
def from_scratch():
    """No package with weights is installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sound_recipes, "installed", lambda package: False)
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("audio")


@pytest.fixture(scope="module")
def data(place):
    return spoken(place / "words", range(40), range(2), takes=2)


@pytest.fixture(scope="module")
def model(place, data):
    from exit_codes import exit_code

    assert exit_code("train", "speech", data, "-o", place / "model", *NAMES, *QUICK) == 0
    asked = ("--far", "0.05", "--estimate")
    assert exit_code("calibrate", place / "model", data, *NAMES, *asked) == 0
    return place / "model"


def say(folder: Path, number: int, speaker: int, take: int, **kinds: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"w{number}_s{speaker}_{take}.{kinds.pop('suffix', 'wav')}"
    soundfile.write(path, word(number, speaker, take), RATE, **kinds)
    return path


def test_a_file_that_cannot_be_read_is_named(run, model, tmp_path):
    quiet = tmp_path / "quiet.wav"
    soundfile.write(quiet, np.zeros(RATE), RATE)
    good = say(tmp_path, 1, 1, 1)
    for words in (("verify", model, good, quiet), ("spot", model, good, quiet)):
        code, _, err = run(*words)
        assert code == 2 and "quiet.wav: the sound is silence" in err
    code, out, _ = run("index", model, tmp_path, tmp_path / "i", *NAMES)
    assert code == 0 and "quiet.wav: the sound is silence" in out


def test_spot_says_first_that_it_is_for_sounds(run, tmp_path):
    code, _, err = run("spot", "vectors:4", say(tmp_path, 1, 1, 1), "[1, 2, 3, 4]")
    assert code == 2 and "spot is for bundles of sounds" in err


def test_the_doctor_reads_labels_from_names(run, data):
    code, out, _ = run("doctor", data, *NAMES)
    assert code == 0 and "40 identities" in out
    code, _, err = run("doctor", data, "--label-from", "name")
    assert code == 2 and "--label-field N: the fields of w0_s0_0 are 1 w0, 2 s0, 3 0" in err
    code, _, err = run("doctor", data, "--label-from", "header")
    assert code == 2 and "must be folder or name" in err


def test_verify_files_of_several_kinds(run, model, tmp_path):
    one = say(tmp_path, 3, 0, 7)
    again = say(tmp_path, 3, 0, 8, suffix="flac")
    other = say(tmp_path, 9, 0, 9, suffix="ogg")
    assert run("verify", model, one, again)[0] in (0, 3)
    assert run("verify", model, one, other)[0] in (1, 3)
    code, _, err = run("verify", model, one, again, say(tmp_path, 3, 1, 5), one)
    assert code == 2 and "calibrate BUNDLE DATA --set references=3" in err


def test_what_is_no_sound_is_refused_in_one_line(run, model, tmp_path):
    one = say(tmp_path, 3, 0, 7)
    picture = tmp_path / "picture.wav"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    empty = tmp_path / "empty.wav"
    empty.write_bytes(b"")
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, np.zeros(RATE), RATE)
    short = tmp_path / "short.wav"
    soundfile.write(short, np.ones(1), RATE)
    broken = tmp_path / "broken.wav"
    broken.write_bytes(one.read_bytes()[:-500])
    for probe, said in (
        (picture, "is not a sound that can be read"),
        (empty, "is empty"),
        (silent, "is silence"),
        (short, "at least 25 ms are needed"),
        (broken, "is truncated"),
        ("hello", "there is no file hello: this bundle compares sounds"),
    ):
        code, _, err = run("verify", model, one, probe)
        assert code == 2 and said in err and err.count("\n") == 1


def test_data_of_another_kind_is_refused(run, model, data, tmp_path):
    texts = tmp_path / "texts.csv"
    texts.write_text("text,label\nanna,a\nberta,b\n")
    for words, said in (
        (("train", "names", data, "-o", tmp_path / "m", *NAMES), "the recipe speech reads them"),
        (("train", "generic", data, "-o", tmp_path / "m", *NAMES), "the recipe speech reads them"),
        (("train", "speech", texts, "-o", tmp_path / "m"), "give a folder of sounds"),
        (("calibrate", model, texts), "give a folder of sounds"),
    ):
        code, _, err = run(*words)
        assert code == 2 and said in err and err.count("\n") == 1


def test_search_identify_and_dedup(run, model, data, tmp_path):
    index = tmp_path / "index"
    assert run("index", model, data, index, *NAMES)[0] == 0
    probe = say(tmp_path / "probes", 5, 1, 7)
    page = tmp_path / "page.html"
    code, out, err = run(
        "search", model, index, probe, "--json", "--report", page, "--pictures", data
    )
    assert code in (0, 3), err
    assert json.loads(out)[0]["hits"][0]["label"] == "w5"
    shown = page.read_text()
    assert "<audio" in shown and "data:audio/wav;base64," in shown
    people = tmp_path / "people"
    assert (
        run("enrol", model, people, "five", say(tmp_path, 5, 0, 0), say(tmp_path, 5, 1, 0))[0] == 0
    )
    code, out, _ = run("identify", model, people, say(tmp_path, 11, 2, 0))
    assert code in (1, 3)
    shutil.copy(probe, data.parent / "w5_s1_9.wav")
    code, _, err = run("dedup", model, data, "-o", tmp_path / "groups.csv")
    assert code in (0, 1), err


def test_evaluate_with_a_report(run, model, tmp_path):
    others = spoken(tmp_path / "others", range(40, 52), range(2), takes=2)
    page = tmp_path / "page.html"
    code, out, err = run("evaluate", model, others, *NAMES, "--report", page, "--json")
    assert code == 0, err
    assert {each["name"] for each in json.loads(out)["estimates"]} >= {"eer", "accuracy"}
    assert "<audio" in page.read_text()


def test_six_speakers_certify_nothing(run, place, tmp_path, monkeypatch):
    """A certified rate is one over identities: six people cannot show it, and calibrate says so."""
    data = spoken(place / "six", range(12), range(6), takes=1)
    people = ("--label-from", "name", "--label-field", "2")
    monkeypatch.setattr(sound_recipes, "installed", lambda package: False)  # from scratch
    settings = ("input.rate=8000", "encoder.width=16", "encoder.dim=16", "fewest_steps=4")
    small = ["--set", "epochs=1", *(word for each in settings for word in ("--set", each))]
    out = tmp_path / "speaker"
    code, _, err = run("train", "speaker", data, "-o", out, *people, *small)
    assert code == 0, err
    code, _, err = run("calibrate", out, data, "--far", "0.01", *people)
    assert code == 2 and "Traceback" not in err


def long_recording(path: Path, places: dict[float, int], seconds: float) -> Path:
    """A recording with noise, other words, and words at known places."""
    random = np.random.default_rng(5)
    sound = 0.001 * random.standard_normal(round(seconds * 16_000)).astype(np.float32)
    for start, number in places.items():
        spoken_now = word(number, 0, 30, rate=16_000)
        first = round(start * 16_000)
        sound[first : first + len(spoken_now)] += spoken_now
    soundfile.write(path, np.stack([sound, sound], axis=1), 16_000)
    return path


def test_spot_finds_where_a_word_is_heard(run, model, tmp_path):
    places = {1.0: 8, 3.0: 5, 5.5: 17, 8.0: 5, 10.0: 22}
    recording = long_recording(tmp_path / "long.flac", places, 12.0)
    example = say(tmp_path, 5, 0, 9)
    code, out, err = run("spot", model, recording, example, "-k", "2", "--json")
    assert code in (0, 1, 3), err
    found = json.loads(out)
    starts = sorted(place["start"] for place in found["places"])
    assert starts == pytest.approx([3.0, 8.0], abs=0.3)
    assert found["comparisons"] > 20 and found["far"] == 0.05
    code, out, _ = run("spot", model, recording, example, say(tmp_path, 8, 0, 9), "-k", "3")
    assert "0:00:0" in out and "w5_s0_9.wav" in out and "would reach it by chance" in out


def test_spot_refuses_what_it_cannot_do(run, model, tmp_path):
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, np.zeros(4 * RATE), RATE)
    example = say(tmp_path, 5, 0, 9)
    for words, said in (
        ((model, silent, example), "silent.wav is silence, or shorter than the examples"),
        ((model, tmp_path / "none.wav", example), "there is no file"),
    ):
        code, _, err = run("spot", *words)
        assert code == 2 and said in err and err.count("\n") == 1
    from twofold.apps.spot import spot
    from twofold.bundle import Bundle

    with pytest.raises(
        UsageError, match="spot is for bundles of sounds, and this one reads Vector"
    ):
        spot(Bundle.of_vectors(4), silent, [example])
    with pytest.raises(UsageError, match="at least one example"):
        spot(Bundle.load(model), silent, [])

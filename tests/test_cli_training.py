"""The command line of training: nothing is replaced unasked, time is kept, a bundle's records are forgotten."""

import json
import signal
from collections import Counter

import numpy as np
import pytest
from PIL import Image as Picture

from exit_codes import exit_code
from twofold.bundle import Bundle
from twofold.cli import models
from twofold.data.items import Items
from twofold.data.synthetic import glyphs
from twofold.inputs.image import Image
from twofold.terminal.bars import TrainingBar

QUICK = [
    "--set",
    "epochs=1",
    "--set",
    "p=4",
    "--set",
    "k=2",
    "--set",
    "encoder.width=4",
    "--set",
    "copies=1",
]
SPLIT = [
    "split.train=0.5",
    "split.valid=0.1",
    "split.calibrate=0.2",
    "split.test=0.2",
    "split.folds=0",
]
QUICK += [word for setting in (*SPLIT, "input.size=16") for word in ("--set", setting)]


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    items = glyphs(classes=20, each=4, size=16, seed=0)
    for number, (value, label) in enumerate(zip(items.values, items.labels, strict=True)):
        (folder / items.names[label]).mkdir(exist_ok=True)
        Picture.fromarray(value[:, :, 0]).save(folder / items.names[label] / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def model(people, tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "people"
    assert exit_code("train", "character", people, "-o", out, *QUICK) == 0
    return out


def test_nothing_is_replaced_unasked(run, people, model, tmp_path):
    before = (model / "manifest.json").read_bytes()
    code, _, err = run("train", "character", people, "-o", model, *QUICK)
    assert (code, err.count("\n")) == (2, 1) and "pass --force to replace it" in err
    other = Bundle.load(model).save(tmp_path / "other")
    code, _, err = run("calibrate", model, people, "--far", "0.2", "--estimate", "-o", other)
    assert code == 2 and "pass --force to replace it" in err
    (model.with_name("gone.training")).mkdir()
    state = next(model.with_name("people.training").glob("step-*"))
    state.rename(model.with_name("gone.training") / state.name)
    code, _, err = run("train", "character", people, "-o", model.with_name("gone"), *QUICK)
    assert code == 2 and "--resume continues it, --force starts over" in err
    assert (model / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    "setting", ["loss.temperature=inf", "loss.temperature=nan", "optimiser.learning_rate=inf"]
)
def test_numbers_that_are_not_finite_are_one_line_before_anything_is_read(run, tmp_path, setting):
    code, _, err = run(
        "train", "character", tmp_path / "no data", "-o", tmp_path / "m", "--set", setting
    )
    assert (code, err.count("\n")) == (2, 1) and "finite number" in err


def test_a_loss_that_cannot_learn_is_one_line_before_anything_is_read(run, tmp_path):
    settings = ["--set", "loss=triplet", "--set", "loss.margin=1e30"]
    code, _, err = run("train", "character", tmp_path / "no data", "-o", tmp_path / "m", *settings)
    assert (code, err.count("\n")) == (2, 1) and "loss.margin = 1e+30" in err


def test_every_file_is_decoded_once(run, people, tmp_path, monkeypatch):
    read, counts = Image.read, Counter()

    def counted(self, value):
        counts[value] += 1
        return read(self, value)

    monkeypatch.setattr(Image, "read", counted)
    assert run("train", "character", people, "-o", tmp_path / "m", *QUICK)[0] == 0
    assert set(counts) == set(Items.open(people).values) and set(counts.values()) == {1}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_training_that_is_asked_to_end_keeps_its_state_at_once(
    run, people, tmp_path, monkeypatch, number, code
):
    asked = []

    def watched(bar, progress):
        if progress.step == 2 and not asked:
            asked.append(progress.step)
            signal.raise_signal(number)

    monkeypatch.setattr(TrainingBar, "__call__", watched)
    command = ["train", "character", people, "-o", tmp_path / "m", *QUICK]
    before = signal.getsignal(number)
    ended, _, err = run(*command)
    assert (ended, signal.getsignal(number)) == (code, before)
    assert "training was asked to end at step 2; --resume continues from step 2" in err
    assert [state.name for state in (tmp_path / "m.training").glob("step-*")] == ["step-000000002"]
    assert run(*command, "--resume")[0] == 0


def test_records_are_forgotten(run, people, model, tmp_path):
    place = Bundle.load(model).save(tmp_path / "model")
    before, items = Bundle.load(place), Items.open(people)
    aside = {name for part in ("calibrate", "test") for name in before.part(items, part).identities}
    name = sorted(set(items.identities) - aside)[0]
    told = json.loads(run("forget", "--bundle", place, name, "--json")[1])
    assert told["labels"][name] in (["train"], ["valid"]) and told["contents"] == 4
    after = Bundle.load(place)
    assert after.fingerprint == before.fingerprint
    assert sum(after.provenance.counts.values()) == sum(before.provenance.counts.values()) - 1
    assert "not in the records" in run("forget", "--bundle", place, name)[1]
    code, _, err = run("forget", place, name)
    assert code == 2 and "forget takes BUNDLE INDEX LABELS" in err


def test_the_doctor_leaves_time_for_training(run, people, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "DOCTOR_TIME", 0.0)
    code, _, err = run(
        "train", "character", people, "-o", tmp_path / "m", *QUICK, "--max-time", "60"
    )
    assert (
        code == 0
        and "the doctor was stopped after 1 of 80 items, to leave time for training" in err
    )
    assert np.isfinite(Bundle.load(tmp_path / "m").training["seconds"])

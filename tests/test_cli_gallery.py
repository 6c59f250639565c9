"""The life of a gallery on the command line: dates, revocations, receipts, the audit log, keys, another model."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from small_bundles import of_pictures
from twofold.bundle import Bundle
from twofold.store.protection.protect import new_key


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    for name in ("TWOFOLD_KEY", "TWOFOLD_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return of_pictures(threshold=0.9).save(tmp_path / "model") or tmp_path / "model"


@pytest.fixture
def people(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for name in ("anna", "bert", "carl"):
        (tmp_path / "people" / name).mkdir(parents=True)
        for number in range(2):
            grey = random.integers(0, 256, (16, 16), dtype=np.uint8)
            Picture.fromarray(grey).save(tmp_path / "people" / name / f"{number}.png")
    return tmp_path / "people"


def enrol_all(run, model: Path, people: Path, index: Path, *words: str) -> None:
    for folder in sorted(people.iterdir()):
        code, _, complained = run(
            "enrol", model, index, folder.name, *sorted(folder.iterdir()), *words
        )
        assert code == 0, complained


def test_a_life(run, model, people, tmp_path):
    index = tmp_path / "index"
    enrol_all(run, model, people, index)
    asked = ("identify", model, index, people / "anna" / "0.png", "--json")
    assert json.loads(run(*asked)[1])["label"] == "anna"
    assert run("revoke", index, "anna") == (
        0,
        "anna is kept, but no longer matched: 2 items changed\n",
        "",
    )
    assert json.loads(run(*asked)[1])["candidates"][0]["label"] != "anna"
    assert run("enrol", model, index, "anna", people / "bert" / "0.png")[0] == 2
    assert json.loads(run("revoke", index, "anna", "--lift", "--json")[1]) == {
        "label": "anna",
        "revoked": False,
        "changed": 2,
    }
    assert json.loads(run(*asked)[1])["label"] == "anna"
    assert json.loads(run(*asked, "--template", "mean")[1])["standing"] == "estimate"
    assert run("expire", index, "bert", "2020-01-01") == (
        0,
        "bert is expired since 2020-01-01: 2 items changed\n",
        "",
    )
    assert json.loads(run(*asked)[1])["gallery"] == 2
    assert run("expire", index, "bert", "never")[0] == 0
    assert json.loads(run(*asked)[1])["gallery"] == 3
    run("expire", index, "bert", "2020-01-01")
    receipt = tmp_path / "receipt.json"
    assert "forgot bert: 2 embeddings erased" in run("purge", index, "-o", receipt)[1]
    assert json.loads(receipt.read_text())["left"] == 0
    assert run("purge", index) == (0, "nothing is expired\n", "")
    assert json.loads(run("purge", index, "--json")[1]) == {}
    code, _, complained = run("expire", index, "anna", "soon")
    assert (code, complained) == (
        2,
        "twofold: 'soon' is not a date: write it as 2027-12-31 or 2027-12-31T18:00:00+01:00\n",
    )
    assert run("revoke", index, "ann")[0] == 2


def test_forgetting_gives_a_receipt_and_the_log_remembers_without_names(
    run, model, people, tmp_path
):
    index, receipt = tmp_path / "index", tmp_path / "receipt.json"
    enrol_all(run, model, people, index)
    code, said, _ = run("forget", model, index, "anna", "carl", "-o", receipt)
    assert code == 0
    assert "forgot anna, carl: 4 embeddings erased" in said
    told = json.loads(receipt.read_text())
    assert (told["labels"], len(told["ids"]), told["left"]) == (["anna", "carl"], 4, 0)
    assert told["index"] == str(index)
    events = json.loads(run("audit", index, "--label", "anna", "--json")[1])
    assert [(event["event"], event["items"]) for event in events] == [
        ("enrol", 2),
        ("forget", 2),
        ("erased", 2),
    ]
    said = run("audit", index)[1]
    assert "anna" not in said
    assert len(said.splitlines()) == 8
    assert run("audit", index, "--label", "nobody") == (0, "nothing is in the log\n", "")
    assert run("check", index)[0] == 0


def test_many_are_identified_at_once(run, model, people, tmp_path):
    index, table = tmp_path / "index", tmp_path / "queries.csv"
    enrol_all(run, model, people, index)
    (people / "bert" / "notes.png").write_text("no picture")
    code, said, _ = run("identify", model, index, people, people / "anna" / "1.png", "--json")
    told = {one["query"]: one for one in json.loads(said)}
    assert (code, len(told)) == (0, 7)  # one of the files stands in the folder, too
    assert (
        told[f"{people}/anna/0.png"]["label"]
        == told[str(people / "anna" / "1.png")]["label"]
        == "anna"
    )
    assert "notes.png" in told[f"{people}/bert/notes.png"]["unreadable"]
    table.write_text("path\npeople/carl/0.png\npeople/bert/1.png\n")
    code, said, _ = run("identify", model, index, table)
    assert [line.split(": score")[0] for line in said.splitlines() if ": score" in line] == [
        "people/carl/0.png: carl",
        "people/bert/1.png: bert",
    ]
    code, _, complained = run(
        "identify", model, index, people / "bert" / "notes.png", people / "bert" / "notes.png"
    )
    assert (code, "notes.png" in complained) == (2, True)


def test_every_phone_has_an_img_0001(run, model, people, tmp_path):
    index = tmp_path / "index"
    files = []
    for name in ("anna", "bert", "carl"):
        files.append(people / name / "IMG_0001.png")
        (people / name / "0.png").rename(files[-1])
    code, said, _ = run("enrol", model, index, "dora", *files[:2], "--json")
    ids = json.loads(said)["ids"]
    assert (code, ids[0], len(set(ids))) == (0, "dora/IMG_0001.png", 2)
    assert ids[1].startswith("dora/IMG_0001-")
    # later ones, too; and what is there already stays what it is
    assert len(json.loads(run("enrol", model, index, "dora", files[2], "--json")[1])["ids"]) == 1
    assert json.loads(run("info", index, "--json")[1])["items"] == 3
    for file in files:
        assert run("enrol", model, index, "dora", file)[0] == 0
    assert json.loads(run("info", index, "--json")[1])["items"] == 3


def test_enrolling_before_calibrating_and_in_the_past(run, people, tmp_path):
    bundle = of_pictures().with_calibration(None)
    bundle.save(tmp_path / "plain")
    asked = ("enrol", tmp_path / "plain", tmp_path / "index", "anna", people / "anna" / "0.png")
    code, said, told = run(*asked)
    assert (code, "enrolled anna" in said, "run twofold calibrate" in told) == (0, True, True)
    code, _, complained = run(*asked, "--expires", "2020-01-01")
    assert (code, "2020-01-01 is in the past" in complained) == (2, True)


def test_without_a_threshold_identify_says_who_is_most_alike(run, model, people, tmp_path):
    bundle, index = tmp_path / "plain", tmp_path / "index"
    of_pictures().with_calibration(None).save(bundle)
    for name in ("anna", "bert"):
        run("enrol", bundle, index, name, people / name / "0.png")
    query = people / "anna" / "0.png"
    code, out, _ = run("identify", bundle, index, query)
    assert code == 3
    assert out.startswith("unsure: no threshold yet. The most alike:\n  1.0000  anna\n")
    assert f"next: twofold calibrate {bundle} DATA" in out
    code, out, _ = run("identify", bundle, index, query, "--json", "--template", "mean")
    told = json.loads(out)
    assert (code, told["label"], told["decision"]) == (3, None, "unsure")
    assert told["candidates"][0]["label"] == "anna" and "probability" in told["candidates"][0]

    broken = tmp_path / "broken.png"
    broken.write_bytes(b"none")
    code, out, _ = run("identify", bundle, index, query, broken)
    assert code == 3 and f"{query}: unsure" in out and "! " in out
    code, out, _ = run("identify", bundle, index, query, broken, "--json")
    assert (code, len(json.loads(out)), "unreadable" in json.loads(out)[1]) == (3, 2, True)
    code, _, err = run("identify", bundle, index, broken)
    assert code == 2 and "broken.png" in err and "none of" not in err
    code, _, err = run("identify", bundle, index, query, "--template", "learned")
    assert code == 2 and "weights of the learned rule are not known" in err


def test_nothing_is_erased_unless_the_receipt_can_be_written(run, model, people, tmp_path):
    index = tmp_path / "index"
    enrol_all(run, model, people, index)
    (tmp_path / "kept.json").write_text("an earlier receipt")
    for place, message in [
        (tmp_path / "none" / "receipt.json", "there is no folder"),
        (tmp_path / "kept.json", "exists already: choose another name"),
        (tmp_path, "is a folder"),
        (index / "receipt.json", "lies inside the index"),
    ]:
        for command in (("forget", model, index, "anna"), ("purge", index)):
            code, _, complained = run(*command, "-o", place)
            assert (code, message in complained) == (2, True), complained
    assert (tmp_path / "kept.json").read_text() == "an earlier receipt"
    assert json.loads(run("info", index, "--json")[1])["items"] == 6
    assert run("forget", model, index, "anna", "-o", tmp_path / "receipt.json")[0] == 0
    assert (tmp_path / "receipt.json").stat().st_mode & 0o777 == 0o600


def test_options_of_enrol(run, model, people, tmp_path):
    index, photo = tmp_path / "index", people / "anna" / "0.png"
    code, _, complained = run("enrol", model, index, "anna", photo, "--gate", "sharpness=1e9")
    assert code == 2
    assert "0.png: its sharpness is" in complained
    assert run("enrol", model, index, "anna", photo, "--gate", "sharp=1")[0] == 2
    assert (
        run("enrol", model, index, "anna", photo, "--gate", "brightness=[1,254]", "--keep-source")[
            0
        ]
        == 0
    )
    assert (
        run(
            "enrol",
            model,
            index,
            "anna",
            people / "bert" / "1.png",
            "--replace",
            "--expires",
            "2999-01-01",
        )[0]
        == 0
    )
    assert json.loads(run("info", index, "--json")[1])["items"] == 1
    code, _, complained = run("enrol", model, index, "anna", photo, "--protect")
    assert code == 2
    assert (
        f"{index} exists and is not protected: twofold rekey {index} --new KEYFILE protects it"
        in complained
    )


def test_keys(run, model, people, tmp_path, monkeypatch):
    index, first, second = tmp_path / "index", tmp_path / "first.key", tmp_path / "second.key"
    for file in (first, second):
        file.write_text(new_key().text)
        file.chmod(0o600)
    code, _, complained = run("enrol", model, index, "anna", people / "anna" / "0.png", "--protect")
    assert code == 2
    assert "no key is given: set TWOFOLD_KEY_FILE" in complained
    assert not index.exists()
    monkeypatch.setenv("TWOFOLD_KEY_FILE", str(first))
    enrol_all(run, model, people, index, "--protect")
    assert json.loads(run("info", index, "--json")[1])["protected"] is True
    asked = ("identify", model, index, people / "anna" / "0.png")
    assert run(*asked)[0] == 0
    assert run("rekey", index) == (
        2,
        "",
        "twofold: nothing to renew: give --new KEYFILE, or --rotate, or both\n",
    )
    assert run("rekey", index, "--new", second) == (0, f"{index} has a new key: 6 items\n", "")
    code, _, complained = run(*asked)
    assert code == 2
    assert complained.startswith("twofold: the key is not the one this index was protected with")
    assert len(complained.splitlines()) == 1
    monkeypatch.setenv("TWOFOLD_KEY_FILE", str(second))
    assert run(*asked)[0] == 0
    assert run("rekey", index, "--rotate") == (
        0,
        f"{index} has new keys and a new rotation: 6 items\n",
        "",
    )
    assert run(*asked)[0] == 0
    assert run("check", index)[0] == 0
    monkeypatch.setenv("TWOFOLD_KEY_FILE", str(tmp_path / "lost.key"))
    assert "lost.key cannot be read (No such file or directory)" in run(*asked)[2]


def test_an_open_index_is_protected_later(run, model, people, tmp_path, monkeypatch):
    index, key = tmp_path / "index", tmp_path / "my.key"
    key.write_text(new_key().text)
    key.chmod(0o600)
    enrol_all(run, model, people, index)
    assert run("rekey", index, "--new", key) == (0, f"{index} is protected now: 6 items\n", "")
    assert run("identify", model, index, people / "anna" / "0.png")[0] == 2
    monkeypatch.setenv("TWOFOLD_KEY_FILE", str(key))
    assert run("identify", model, index, people / "anna" / "0.png")[0] == 0


def test_another_model(run, model, people, tmp_path):
    index, other = tmp_path / "index", tmp_path / "other"
    of_pictures(threshold=0.9, **{"encoder.dim": 12}).save(other)
    enrol_all(run, model, people, index, "--keep-source")
    code, said, _ = run("migrate", index, other, tmp_path / "new")
    assert (code, said) == (
        0,
        f"6 items of {index} are in {tmp_path / 'new'} now: 6 embedded again, 0 over a bridge\n",
    )
    assert run("identify", other, tmp_path / "new", people / "anna" / "0.png")[0] == 0
    assert (
        json.loads(run("info", tmp_path / "new", "--json")[1])["fingerprint"]
        == Bundle.load(other).fingerprint
    )
    enrol_all(run, model, people, tmp_path / "second")
    code, _, complained = run("migrate", tmp_path / "second", other, tmp_path / "third")
    assert code == 2
    assert "6 items have no source" in complained
    assert run("migrate", index, other, tmp_path / "third", "--old", model)[2].startswith(
        "twofold: --old BUNDLE and --sample DATA go together: the sample is embedded by both models"
    )
    for name in [folder.name for folder in people.iterdir()]:
        for number in range(40):
            grey = np.random.default_rng(number).integers(0, 256, (16, 16), dtype=np.uint8)
            Picture.fromarray(grey).save(people / name / f"{name}{number}.png")
    Picture.fromarray(grey).save(people / "extra.png")
    (people / "dora").mkdir()
    for number in range(9):
        Picture.fromarray(grey[::-1] // (number + 1)).save(people / "dora" / f"{number}.png")
    words = (
        "migrate",
        tmp_path / "second",
        other,
        tmp_path / "third",
        "--old",
        model,
        "--sample",
        people,
    )
    code, said, complained = run(*words)
    assert code == 0, complained
    assert "0 embedded again, 6 over a bridge" in said
    assert "recall_at_1 is" in said
    assert "no threshold is certified for that" in said


def test_several_references_on_the_command_line(run, tmp_path):
    """People are grey levels here: pictures of one person differ by noise."""
    random = np.random.default_rng(1)
    for person in range(30):
        (tmp_path / "people" / f"p{person}").mkdir(parents=True)
        pattern = random.integers(0, 256, (16, 16))
        for number in range(4):
            grey = np.clip(pattern + random.normal(0, 25, (16, 16)), 0, 255).astype(np.uint8)
            Picture.fromarray(grey).save(tmp_path / "people" / f"p{person}" / f"{number}.png")
    people, raw, model = tmp_path / "people", tmp_path / "raw", tmp_path / "model"
    of_pictures().with_calibration(None).save(raw)
    calibrated = ("calibrate", raw, people, "--far", "0.1", "--estimate", "-o", model)
    code, out, err = run(*calibrated, "--set", "references=3")
    assert code == 0, err
    assert "2 references (mean): threshold" in out and "3 references (mean): threshold" in out
    files = [people / "p0" / f"{number}.png" for number in range(4)]
    code, out, _ = run("verify", model, *files, "--json")
    found = json.loads(out)
    known = Bundle.load(model).calibration.of_references(3).calibration
    assert code == 0 and found["references"] == 3 and found["threshold"] == known.threshold
    assert "with 3 references, threshold" in run("verify", model, *files)[1]
    code, _, err = run("verify", model, *files, people / "p1" / "0.png")
    assert code == 2 and "no threshold for 4 references" in err and "--set references=4" in err
    enrol_all(run, model, people, tmp_path / "index")
    code, out, _ = run("identify", model, tmp_path / "index", files[0])
    assert code == 0 and out.startswith("p0: score") and "with 3 references" in out
    code, out, _ = run("evaluate", raw, people)
    assert code == 0 and "(2 references)" not in out
    for words, said in (
        (["--set", "references=1"], "references is 1: give 2 to 20"),
        (["--set", "references=2", "--set", "fusion=sum"], "give mean, best, learned or relative"),
        (["--set", "references=4"], "4 references and a probe take 5 items"),
    ):
        code, _, err = run(*calibrated, "--force", *words)
        assert code == 2 and said in err and err.count("\n") == 1

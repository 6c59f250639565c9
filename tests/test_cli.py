"""The command line as a person uses it: the whole way on a folder of pictures, and what is said about mistakes."""

import dataclasses
import itertools
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

import twofold
from exit_codes import exit_code
from twofold.data.synthetic import clusters, glyphs

FAST = [
    "--set",
    "epochs=2",
    "--set",
    "p=8",
    "--set",
    "input.size=24",
    "--set",
    "encoder.width=8",
    "--set",
    "copies=1",
]


def write(folder: Path, items) -> Path:
    for value, name, id in zip(
        items.values, [items.names[code] for code in items.labels], items.ids, strict=True
    ):
        (folder / name).mkdir(parents=True, exist_ok=True)
        Picture.fromarray(np.asarray(value).squeeze()).save(
            folder / name / f"{id.replace('/', '-')}.png"
        )
    return folder


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return write(
        tmp_path_factory.mktemp("data") / "people", glyphs(classes=60, each=6, size=24, seed=0)
    )


@pytest.fixture(scope="module")
def model(people, tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "people"
    words = [
        "train",
        "character",
        people,
        "-o",
        out,
        *FAST,
        "--set",
        "split.calibrate=0.4",
        "--set",
        "split.train=0.4",
    ]
    assert exit_code(*words) == 0
    assert exit_code("calibrate", out, people, "--far", 0.2) == 0
    return out


def files(people, name):
    return sorted((people / name).iterdir())


def test_the_whole_way(run, people, model, tmp_path):
    code, out, _ = run("doctor", people, "--recipe", "character", *FAST)
    assert code == 0
    assert "360 files of 60 identities" in out
    assert f"next: twofold train character {people} -o models/people" in out

    code, out, _ = run("evaluate", model, people, "--json")
    numbers = {estimate["name"]: estimate for estimate in json.loads(out)["estimates"]}
    assert code == 0
    assert numbers["eer"]["low"] <= numbers["eer"]["value"] <= numbers["eer"]["high"] < 0.5
    code, out, _ = run("evaluate", model, people)
    assert "resampling 6 identities" in out

    code, out, _ = run("info", model, "--json")
    told = json.loads(out)
    assert told["parts"] == {"train": 24, "valid": 6, "calibrate": 24, "test": 6}
    assert told["calibration"]["standing"] != "estimate"

    unseen = twofold.Bundle.load(model).part(twofold.Items.open(people), "test").identities
    first, second = files(people, unseen[0])[:2]
    code, out, _ = run("verify", model, first, first, "--json")
    assert (code, json.loads(out)["decision"]) == (0, "same")
    stranger = files(people, unseen[1])[0]
    scores = [
        json.loads(run("verify", model, first, other, "--json")[1])["score"]
        for other in (second, stranger)
    ]
    assert all(-1 <= score <= 1 for score in scores)

    index = tmp_path / "index"
    assert run("enrol", model, index, unseen[0], first)[1].startswith(f"enrolled {unseen[0]}")
    assert run("enrol", model, index, unseen[1], stranger)[0] == 0
    code, out, _ = run("identify", model, index, first)
    assert code == 0
    assert out.startswith(unseen[0])
    assert "2 enrolled" in out
    assert run("info", index)[0] == 0
    assert "forgot" in run("forget", model, index, unseen[0])[1]
    code, out, _ = run("identify", model, index, first, "--json")
    assert json.loads(out)["gallery"] == 1
    assert all(unseen[0].encode() not in path.read_bytes() for path in index.iterdir())


def test_nobody(run, model, tmp_path, people):
    unseen = twofold.Bundle.load(model).part(twofold.Items.open(people), "test").identities
    blank = tmp_path / "blank.png"
    Picture.fromarray(np.full((24, 24), 255, np.uint8)).save(blank)
    run("enrol", model, tmp_path / "index", unseen[0], files(people, unseen[0])[0])
    code, out, _ = run("identify", model, tmp_path / "index", blank)
    assert code == 1
    assert out.startswith("nobody")


def test_pairs_get_a_verdict_each(run, model, people, tmp_path):
    unseen = twofold.Bundle.load(model).part(twofold.Items.open(people), "test").identities
    a, b, c = files(people, unseen[0])[0], files(people, unseen[0])[1], files(people, unseen[1])[0]
    table = tmp_path / "pairs.csv"
    table.write_text(f"a,b,same\n{a},{b},1\n{a},{c},0\n")
    code, out, _ = run("verify", model, "--pairs", table)
    lines = out.strip().splitlines()
    assert code == 0
    assert lines[0].startswith("a,b,decision,score")
    assert len(lines) == 3
    assert run("verify", model, "--pairs", table, "-o", tmp_path / "verdicts.csv")[0] == 0
    assert (tmp_path / "verdicts.csv").read_text().splitlines() == lines
    people_of = [files(people, name) for name in unseen[:4]]
    genuine = [f"{some[0]},{some[1]},1" for some in people_of]
    impostor = [f"{some[0]},{other[0]},0" for some, other in itertools.pairwise(people_of)]
    table.write_text("\n".join(["a,b,same", *genuine, *impostor]))
    assert "best_accuracy" in run("evaluate", model, table)[1]


def test_a_training_goes_on_where_it_stopped(run, people, tmp_path):
    words = [
        "train",
        "character",
        people,
        "-o",
        tmp_path / "m",
        *FAST,
        "--set",
        "split.folds=0",
        "--json",
    ]
    code, out, _ = run(*words, "--max-time", 0.01)
    assert code == 0
    assert "seconds are over" in json.loads(out)["stopped"]
    code, out, err = run(*words, "--resume")
    assert code == 0, err
    assert (tmp_path / "m.training" / "log.jsonl").exists()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(path):
    """A PNG of 13,000 x 13,000 in some 20 kilobytes."""
    packer, side = zlib.compressobj(9), 13_000
    lines = b"".join(packer.compress(bytes(side // 8 + 1)) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    content = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")
    )
    path.write_bytes(content)
    assert len(content) < 50_000


def said(run, *words):
    """The one line that a mistake is answered with."""
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    return err


def test_one_class_is_not_enough(run, people, tmp_path):
    folder = write(tmp_path / "one", glyphs(classes=1, each=5, size=16, seed=1))
    error = said(run, "train", "character", folder, "-o", tmp_path / "m", *FAST)
    assert "one" in error.lower()
    assert "give" in error.lower() or "add" in error.lower()
    assert not (tmp_path / "m").exists()


def test_what_stands_at_out_is_not_lost(run, people, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    assert "was not written by twofold" in said(
        run, "train", "character", people, "-o", tmp_path / "mine", *FAST
    )
    assert not (tmp_path / "mine.training").exists()


def test_singletons_only(run, tmp_path):
    folder = write(tmp_path / "single", glyphs(classes=9, each=1, size=16, seed=1))
    assert "two" in said(run, "train", "character", folder, "-o", tmp_path / "m", *FAST)


def test_a_text_named_jpg(run, people, model, tmp_path):
    text = tmp_path / "letter.jpg"
    text.write_text("Dear Sir or Madam")
    assert "letter.jpg" in said(run, "verify", model, text, text)
    folder = write(tmp_path / "data", glyphs(classes=12, each=4, size=16, seed=1))
    (next(folder.iterdir()) / "letter.jpg").write_text("Dear Sir or Madam")
    code, out, _ = run("doctor", folder)
    assert (
        "! 1 of 49 items cannot be read" in out
        and "letter.jpg" in out
        and "they are left out" in out
    )
    assert code == 0
    assert run("doctor", folder, "--strict")[0] == 2


def test_a_bomb(run, model, tmp_path):
    bomb(tmp_path / "bomb.png")
    error = said(run, "verify", model, tmp_path / "bomb.png", tmp_path / "bomb.png")
    assert "bomb.png" in error
    assert "13000" in error.replace(",", "")


def test_sixteen_bits_and_mixed_sizes_are_read(run, model, tmp_path):
    deep = tmp_path / "deep.png"
    Picture.fromarray((np.random.default_rng(0).random((31, 57)) * 65535).astype(np.uint16)).save(
        deep
    )
    shallow = tmp_path / "shallow.png"
    pixels = (np.asarray(Picture.open(deep)) // 257).astype(np.uint8)
    Picture.fromarray(pixels).save(shallow)
    code, out, _ = run("verify", model, deep, shallow, "--json")
    assert code == 0
    assert json.loads(out)["score"] > 0.99


def test_an_unknown_key_and_an_unknown_name(run, people, tmp_path):
    train = ["train", "character", people, "-o", tmp_path / "m"]
    assert "did you mean 'epochs'?" in said(run, *train, "--set", "epoch=3")
    assert "did you mean 'temperature'?" in said(run, *train, *FAST, "--set", "loss.temprature=3")
    assert "did you mean 'nt_xent'?" in said(run, *train, *FAST, "--set", "loss=ntxent")
    assert "did you mean 'resnet18'?" in said(run, *train, "--set", "encoder=resnet81")
    assert "did you mean 'rotation'?" in said(run, *train, *FAST, "--set", "augment.rotaton=3")
    assert "write it as key=value" in said(run, *train, "--set", "epochs")
    assert not (tmp_path / "m").exists()


def copied(model, tmp_path):
    import shutil

    return Path(shutil.copytree(model, tmp_path / "copy"))


def test_a_flipped_byte(run, model, people, tmp_path):
    damaged = copied(model, tmp_path)
    weights = damaged / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    picture = files(people, "0")[0] if (people / "0").exists() else next(people.rglob("*.png"))
    assert "weights.safetensors" in said(run, "verify", damaged, picture, picture)
    assert weights.read_bytes() == content


def test_a_newer_format(run, model, tmp_path, people):
    newer = copied(model, tmp_path)
    manifest = json.loads((newer / "manifest.json").read_text())
    (newer / "manifest.json").write_text(json.dumps(manifest | {"format": 99}))
    error = said(run, "info", newer)
    assert "format 99" in error
    assert "upgrade" in error


def test_identities_of_training_do_not_calibrate(run, model, people, tmp_path):
    import shutil

    known = twofold.Bundle.load(model)
    items = twofold.Items.open(people)
    aside = {name for part in ("calibrate", "test") for name in known.part(items, part).identities}
    trained = sorted(set(items.identities) - aside)
    for name in trained:
        shutil.copytree(people / name, tmp_path / "seen" / name)
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    error = said(run, "calibrate", model, tmp_path / "seen", "--far", "0.2")
    assert "were trained on" in error
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before


def test_a_rate_that_cannot_be_shown_names_the_number_needed(run, model, people):
    error = said(run, "calibrate", model, people, "--far", "1e-4")
    assert "24 identities cannot show a false-accept rate of 0.0001" in error
    assert "it takes about" in error


def test_an_uncalibrated_bundle_gives_no_verdict(run, model, people, tmp_path):
    bundle = twofold.Bundle.load(model).with_calibration(None)
    bundle.save(tmp_path / "raw")
    picture = next(people.rglob("*.png"))
    code, out, _ = run("verify", tmp_path / "raw", picture, picture)
    assert code == 3 and out.startswith("unsure: score 1.0000, and no threshold yet\nnext: ")
    assert f"twofold calibrate {tmp_path / 'raw'} DATA --far 1e-2 (DATA" in out
    code, out, _ = run("verify", tmp_path / "raw", picture, picture, picture, "--json")
    told = json.loads(out)
    assert (code, told["decision"], told["public"]) == (3, "unsure", None)
    assert told["score"] == pytest.approx(1)
    assert "no threshold yet" in said(
        run, "verify", tmp_path / "raw", picture, picture, "--group", "a"
    )


def test_wrong_use(run, model, tmp_path):
    assert "give two files (or texts) or more, or --pairs" in said(run, "verify", model)
    assert "does not exist" in said(run, "doctor", tmp_path / "none")
    assert "is not a bundle" in said(run, "info", tmp_path)
    assert run("trian")[0] == 2
    assert run("verify", model, "--far")[0] == 2


def test_debug_shows_where(run, model):
    code, _, err = run("verify", model, "--debug")
    assert code == 2
    assert "Traceback" in err and "UsageError" in err


def test_help_needs_no_torch():
    code = (
        "import sys, twofold\n"
        "from twofold import cli\n"
        "try:\n    cli.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'faiss', 'PIL', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(twofold.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "false-accept rate holds" in " ".join(done.stdout.replace("│", "").split())


def test_public_names():
    for name in twofold.__all__:
        assert getattr(twofold, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'trainer'"):
        _ = twofold.trainer


def test_an_unsure_zone_ends_with_exit_code_3(run, model, people, tmp_path):
    bundle = twofold.Bundle.load(model)
    wide = dataclasses.replace(bundle.calibration, threshold=1.1, reject_threshold=-1.1)
    bundle.with_calibration(wide).save(tmp_path / "wide")
    picture, other = files(people, bundle.part(twofold.Items.open(people), "test").identities[0])[
        :2
    ]
    code, out, _ = run("verify", tmp_path / "wide", picture, other)
    assert (code, out[:7]) == (3, "unsure:")
    run("enrol", tmp_path / "wide", tmp_path / "index", "somebody", picture)
    code, out, _ = run("identify", tmp_path / "wide", tmp_path / "index", other)
    assert (code, out[:7]) == (3, "unsure:")


def test_two_thresholds_and_settings_on_the_command_line(run, model, people, tmp_path):
    twofold.Bundle.load(model).save(tmp_path / "again")
    words = ["calibrate", tmp_path / "again", people, "--far", "0.2", "--frr", "0.2"]
    assert "24 identities with two items or more cannot show" in said(run, *words)
    code, out, _ = run(*words, "--estimate", "--set", "confidence=0.9", "--json")
    told = json.loads(out)
    assert (code, told["confidence"], told["rejection"]["frr"]) == (0, 0.9, 0.2)
    assert told["reject_threshold"] <= told["threshold"]
    assert "did you mean 'confidence'" in said(run, *words, "--set", "confidense=0.9")
    assert "--set seed=x: must be a whole number" in said(run, *words, "--set", "seed=x")


def test_scores_of_any_model_on_the_command_line(run, tmp_path):
    items = clusters(60, 3, spread=0.7)
    np.save(tmp_path / "v.npy", np.stack(items.values))
    (tmp_path / "v.csv").write_text(
        "\n".join(["label", *(items.names[label] for label in items.labels)])
    )
    code, out, _ = run(
        "calibrate", tmp_path / "v.npy", "--far", "0.1", "-o", tmp_path / "contract.json"
    )
    assert code == 0 and "from 60 unseen identities" in out
    code, out, _ = run(
        "calibrate", tmp_path / "v.npy", "--far", "0.1", "--set", "prior=0.1", "--json"
    )
    assert json.loads(out)["calibration"]["prior"] == 0.1
    others = clusters(60, 3, spread=0.7, seed=1)
    np.save(tmp_path / "w.npy", np.stack(others.values))
    (tmp_path / "w.csv").write_text((tmp_path / "v.csv").read_text())
    code, out, _ = run("evaluate", tmp_path / "contract.json", tmp_path / "w.npy")
    assert code == 0 and "for a false-accept rate of 0.1" in out
    assert "the threshold was found on" in said(
        run, "evaluate", tmp_path / "contract.json", tmp_path / "v.npy"
    )
    (tmp_path / "s.csv").write_text("score,same\n0.1,0\n0.9,1\n")
    assert "the identities of the pairs are not given" in said(
        run, "calibrate", tmp_path / "s.csv", "--far", "0.1"
    )


def test_a_threshold_for_many_on_the_command_line(run, model, people, tmp_path):
    twofold.Bundle.load(model).save(tmp_path / "many")
    words = [
        "calibrate",
        tmp_path / "many",
        people,
        "--far",
        "0.2",
        "--estimate",
        "--set",
        "fpir=0.2",
    ]
    assert "go together" in said(run, *words)
    code, out, _ = run(*words, "--set", "gallery=2")
    assert code == 0 and "with 2 enrolled: threshold" in out and "an estimate" in out
    assert twofold.Bundle.load(tmp_path / "many").calibration.open_set.size == 2
    for name in twofold.Bundle.load(model).part(twofold.Items.open(people), "test").identities[:3]:
        run("enrol", tmp_path / "many", tmp_path / "index", name, files(people, name)[0])
    out = run("identify", tmp_path / "many", tmp_path / "index", files(people, name)[0])[1]
    assert "strangers are taken for somebody at the rate 0.2" in out
    assert "! 3 identities are enrolled with 3 items" in out


def test_two_bundles_are_compared_on_the_same_identities(run, model, people, tmp_path):
    twofold.Bundle.load(model).save(tmp_path / "same")
    code, out, _ = run("evaluate", model, people, "--against", tmp_path / "same")
    assert code == 0 and "no difference" in out and "on the same 6 identities" in out
    code, out, _ = run("evaluate", model, people, "--against", tmp_path / "same", "--json")
    assert json.loads(out)[0]["gain"] == 0.0


def test_the_model_out_of_the_box_is_calibrated_into_a_folder(
    run, model, people, tmp_path, monkeypatch
):
    monkeypatch.setattr(twofold.Bundle, "pretrained", lambda name: twofold.Bundle.load(model))
    monkeypatch.chdir(tmp_path)
    code, said, _ = run("info", "pretrained")
    assert code == 0 and "in twofold track, the word pretrained means another model" in said
    code, _, said = run("calibrate", "pretrained", people, "--far", "0.2")
    assert (code, "say where with --out BUNDLE" in said) == (2, True)
    assert run("calibrate", "pretrained", people, "--far", "0.2", "--out", "mine")[0] == 0
    assert twofold.Bundle.load("mine").calibration is not None

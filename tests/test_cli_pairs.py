"""Tables of pairs on the command line: train, calibrate, evaluate and score them."""

import csv
import json
import shlex
import sys

import numpy as np
import pytest
from PIL import Image as Picture

from exit_codes import exit_code
from small_bundles import of_pictures
from twofold.bundle import Bundle
from twofold.data.pair_splits import pair_components, split_pairs
from twofold.data.pairs import Pairs
from twofold.data.synthetic import glyphs
from twofold.errors import NotEnoughData

PEOPLE = 24
QUICK = [
    word
    for setting in ("epochs=1", "p=4", "k=2", "encoder.width=4", "copies=1", "input.size=16")
    for word in ("--set", setting)
]
SHARES = [
    word
    for setting in ("split.train=0.5", "split.valid=0", "split.calibrate=0.25", "split.test=0.25")
    for word in ("--set", setting)
]


def write(folder, rows, *, answers="same", identities=True, name="pairs.csv"):
    columns = ["a", "b", answers] + ["identity_a", "identity_b"] * identities
    with (folder / name).open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(columns)
        table.writerows(row[: len(columns)] for row in rows)
    return folder / name


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    items = glyphs(classes=PEOPLE, each=2, size=16, seed=0)
    for number, value in enumerate(items.values):
        Picture.fromarray(value[:, :, 0]).save(folder / f"{items.labels[number]}-{number % 2}.png")
    return folder


def rows():
    """People in couples: two genuine and two impostor pairs of each couple, which shares nothing with others."""
    for a in range(0, PEOPLE, 2):
        b = a + 1
        for n, first, second in ((1, a, a), (1, b, b), (0, a, b), (0, b, a)):
            yield f"{first}-0.png", f"{second}-1.png", n, f"id{first}", f"id{second}"


@pytest.fixture(scope="module")
def table(folder):
    return write(folder, rows())


@pytest.fixture(scope="module")
def model(table, tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "m"
    assert exit_code("train", "character", table, "-o", out, *QUICK, *SHARES) == 0
    return out


def test_train_calibrate_and_evaluate_on_one_table(run, table, model, tmp_path):
    known = Bundle.load(model)
    assert known.recipe.loss.name == "pair_contrastive"
    assert known.provenance.counts == {"train": 12, "calibrate": 6, "test": 6}
    Bundle.load(model).save(tmp_path / "m")
    code, out, err = run("calibrate", tmp_path / "m", table, "--far", "0.3", "--estimate")
    assert code == 0 and "48 pairs of 48 files" in err and "from 6 unseen identities" in out
    code, out, err = run("evaluate", tmp_path / "m", table, "--json")
    told = json.loads(out)
    assert code == 0 and told["genuine_pairs"] + told["impostor_pairs"] == 12
    assert any("12 of 48 pairs kept aside as 'test'" in note for note in told["notes"])


def test_what_train_says_of_a_table_of_pairs(run, table, tmp_path):
    code, out, err = run("train", "character", table, "-o", tmp_path / "n", *QUICK, *SHARES)
    assert code == 0
    assert "the loss is pair_contrastive in place of" in err
    # three couples were kept aside: no rate up to .2 can be told from them
    assert "3 pairs of different things were kept aside, too few" in out and "--scores-only" in out
    assert run(*hint(out))[0] == 0


def hint(printed):
    (line,) = [line for line in printed.splitlines() if line.startswith("next: ")]
    return shlex.split(line.removeprefix("next: "))[1:]


def test_the_hints_from_the_doctor_of_a_large_table_to_its_verdicts(run, folder, tmp_path):
    # groups of four people, all pairs of whom are listed
    everybody = [
        (f"{a}-0.png", f"{b}-1.png", int(a == b), f"id{a}", f"id{b}")
        for start in range(0, PEOPLE, 4)
        for a in range(start, start + 4)
        for b in range(start, start + 4)
    ]
    table, steps = write(folder, everybody, name="everybody.csv"), []
    code, out, err = run("doctor", table, "--recipe", "character", *QUICK, *SHARES)
    while code == 0:
        words = hint(out)
        steps.append(words[0])
        words = [str(tmp_path / "m") if word == "models/everybody" else word for word in words]
        if words[0] == "verify":
            break
        code, out, err = run(*words)
    assert steps == ["train", "calibrate", "evaluate", "verify"], out + err


def test_files_that_cannot_be_read_are_named_and_their_pairs_left_out(run, folder, model, tmp_path):
    (folder / "broken.png").write_bytes(b"no picture")
    more = [("broken.png", "0-0.png", 0, "nobody", "id0"), ("1-0.png", "1-0.png", 1, "id1", "id1")]
    table = write(
        folder, [*rows(), *more, ("0-0.png", "1-1.png", 1, "id0", "id1")], name="flawed.csv"
    )
    code, out, _ = run("doctor", table, "--recipe", "character", *QUICK, *SHARES)
    assert (
        code == 0
        and "1 of 49 items cannot be read" in out
        and "1 of 51 pairs have such a file" in out
    )
    assert "1 pair is of two equal files (1-0.png and 1-0.png)" in out
    assert "2 rows say both same and different of two files" in out
    code, out, _ = run(
        "doctor", table, "--recipe", "character", *QUICK, *SHARES, "--strict", "--json"
    )
    assert code == 2 and json.loads(out)["findings"][0]["code"] == "unreadable"
    code, _, err = run("train", "character", table, "-o", tmp_path / "n", *QUICK, *SHARES)
    assert (
        code == 0
        and "broken.png" in err
        and "1 of 51 pairs have such a file and are left out" in err
    )
    code, _, err = run(
        "train", "character", table, "-o", tmp_path / "o", *QUICK, *SHARES, "--strict"
    )
    assert code == 2 and "broken.png" in err
    for words in (
        ["calibrate", model, table, "-o", tmp_path / "c", "--far", "0.3", "--estimate"],
        ["evaluate", model],
    ):
        code, _, err = run(*words, *([table] if len(words) == 2 else []))
        assert code in (0, 2) and "Traceback" not in err


def test_a_table_of_one_kind(run, folder, tmp_path):
    table = write(folder, [row for row in rows() if not row[2]], name="different.csv")
    code, out, _ = run("doctor", table, "--recipe", "character", *QUICK)
    assert code == 2 and "all 24 pairs are different" in out and "next:" not in out
    table = write(folder, [row for row in rows() if row[2]], name="same.csv")
    code, out, _ = run("doctor", table, "--recipe", "character", *QUICK, *SHARES)
    assert code == 0 and "all 24 pairs are the same" in out and "next:" in out
    code, _, err = run("train", "character", table, "-o", tmp_path / "same", *QUICK, *SHARES)
    assert code == 0 and "other things of a batch serve as different ones (loss nt_xent)" in err
    assert all(line["loss"] > 0 for line in Bundle.load(tmp_path / "same").training["history"])
    code, _, err = run(
        "train",
        "character",
        table,
        "-o",
        tmp_path / "n",
        *QUICK,
        "--set",
        "loss.name=pair_contrastive",
    )
    assert code == 2 and "--set loss.name=nt_xent" in err


def test_few_pairs_of_one_kind_and_a_file_in_half_of_the_pairs_are_told(run, folder, tmp_path):
    ends = [(a, b) for a in range(PEOPLE) for b in range(a)]
    different = [(f"{a}-0.png", f"{b}-1.png", 0, f"id{a}", f"id{b}") for a, b in ends][:57]
    three = [row for row in rows() if row[2]][:3]
    table = write(folder, [*three, *different], name="few.csv")
    whole = [
        word
        for setting in ("valid=0", "calibrate=0", "test=0")
        for word in ("--set", f"split.{setting}")
    ]
    code, out, _ = run("doctor", table, "--recipe", "character", *QUICK, *whole)
    assert code == 0 and "3 of 60 pairs are the same" in out and "is in" not in out
    crowd = [(f"{n}-1.png", "0-0.png", int(n == 0), f"id{n}", "id0") for n in range(PEOPLE)]
    table = write(folder, [*rows(), *crowd], name="crowded.csv")
    code, out, err = run("train", "character", table, "-o", tmp_path / "m", *QUICK, *whole)
    told = " ".join((out + err).split())
    assert code == 0 and "0-0.png is in 26 of 72 pairs" in told and "pairs of other files" in told
    assert "pairs are the same" not in told
    few = write(folder, list(rows())[:2] + crowd[:8], name="ten.csv")
    assert "is in" not in run("doctor", few, "--recipe", "character", *QUICK, *whole)[1]


def test_pairs_that_hang_together_cannot_be_split(run, folder, tmp_path):
    links = [(f"{n}-0.png", f"{n + 1}-0.png", 0, f"id{n}", f"id{n + 1}") for n in range(PEOPLE - 1)]
    chained = write(folder, [*rows(), *links], name="chained.csv")
    code, _, err = run("train", "character", chained, "-o", tmp_path / "m", *QUICK, *SHARES)
    assert code == 2 and err.splitlines()[-1].startswith("twofold: the pairs hang together")
    assert (
        "the largest of 1 groups" in err
        and "71 of 71 pairs" in err
        and "--set split.calibrate=0" in err
    )
    with pytest.raises(NotEnoughData, match="71 of 71"):
        split_pairs(Pairs.from_table(chained), {"train": 0.5, "test": 0.5})


def test_a_component_is_what_shares_files_contents_or_people(folder, tmp_path):
    for name, content in {"a": "1", "b": "2", "c": "1", "d": "4", "e": "5", "f": "6"}.items():
        (tmp_path / name).write_text(content)
    plain = [("a", "b", 1), ("c", "d", 0), ("e", "f", 1)]
    found = pair_components(Pairs.from_table(write(tmp_path, plain, identities=False)))
    assert found[0] == found[1] != found[2]  # a and c have one content
    owned = [("a", "b", 1, "x", "x"), ("e", "f", 0, "x", "y")]
    assert len(set(pair_components(Pairs.from_table(write(tmp_path, owned))))) == 1


def test_graded_scores_where_they_can_be_used_and_where_not(run, folder, model, tmp_path):
    graded = [(a, b, 0.1 + 0.8 * n + 0.001 * k, *who) for k, (a, b, n, *who) in enumerate(rows())]
    table = write(folder, graded, answers="score", name="graded.csv")
    code, _, err = run("train", "character", table, "-o", tmp_path / "g", *QUICK, *SHARES)
    assert code == 0 and "pair_regression" in err
    code, _, err = run(
        "train",
        "character",
        table,
        "-o",
        tmp_path / "h",
        *QUICK,
        "--set",
        "loss.name=pair_contrastive",
    )
    assert code == 2 and "--set loss.name=pair_regression" in err
    code, _, err = run("calibrate", model, table, "-o", tmp_path / "c")
    assert code == 2 and "need the column same with 0 or 1 in place of score" in err
    code, out, _ = run("evaluate", tmp_path / "g", table)
    assert code == 0 and "pearson" in out and "graded" in out and "impostor" not in out
    code, _, err = run("evaluate", tmp_path / "g", table, "--report", tmp_path / "g.html")
    assert code == 2 and "the curves of a page need the column same" in err


def test_a_loss_of_labelled_items_is_refused_with_those_of_pairs(run, table, tmp_path):
    code, _, err = run(
        "train", "character", table, "-o", tmp_path / "m", *QUICK, "--set", "loss.name=supcon"
    )
    assert code == 2 and "pair_contrastive" in err and err.count("\n") <= 2


def test_commands_for_items_refuse_pairs(run, table):
    for command in (["plan", table], ["doctor", table, "--fix", "clean.csv"]):
        code, _, err = run(*command)
        assert code == 2 and "is a table of pairs" in err


def test_scores_only_needs_no_threshold(run, table, tmp_path):
    place = of_pictures().with_calibration(None).save(tmp_path / "m")
    code, _, err = run("verify", place, "--pairs", table)
    assert code == 2 and "--scores-only" in err
    code, _, _ = run(
        "verify", place, "--pairs", table, "--scores-only", "-o", tmp_path / "scores.csv"
    )
    read = list(csv.DictReader((tmp_path / "scores.csv").read_text().splitlines()))
    assert (code, len(read)) == (0, 48) and np.isfinite([float(row["score"]) for row in read]).all()
    assert list(read[0]) == ["a", "b", "score", "same", "identity_a", "identity_b"]
    # it reads them
    assert run("calibrate", tmp_path / "scores.csv", "--far", "0.3", "--estimate")[0] in (0, 2)
    code, _, err = run("verify", place, "x.png", "y.png", "--scores-only")
    assert code == 2 and "--pairs" in err


def test_embed_looks_for_pyarrow_before_it_embeds(run, folder, tmp_path, monkeypatch):
    place = of_pictures().save(tmp_path / "m")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, _, err = run("embed", place, folder, tmp_path / "out")
    assert code == 2 and "pip install 'twofold[data]'" in err and not (tmp_path / "out").exists()

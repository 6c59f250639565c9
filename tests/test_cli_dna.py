"""DNA on the command line: from a FASTA file to verdicts, an index and groups."""

import json
from pathlib import Path

import numpy as np
import pytest

QUICK = (
    "--set",
    "input.k=5",
    "--set",
    "encoder.dim=64",
    "--set",
    "fewest_steps=40",
    "--max-time",
    "60",
)


def species(folder: Path, *, count: int = 40, each: int = 5, seed: int = 0) -> Path:
    """Species are sequences of 200 bases; a specimen differs in two of a hundred."""
    generator = np.random.default_rng(seed)
    lines = []
    for number in range(count):
        whole = generator.integers(0, 4, 200)
        for specimen in range(each):
            own = np.where(generator.random(200) < 0.02, generator.integers(0, 4, 200), whole)
            letters = "".join("ACGT"[base] for base in own)
            lines.append(f">S{number:02}{specimen}|Genus{seed} species{number}|COI\n{letters}\n")
    place = folder / f"species{seed}.fasta"
    place.write_text("".join(lines))
    return place


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("dna")


@pytest.fixture(scope="module")
def data(place):
    return species(place)


@pytest.fixture(scope="module")
def model(place, data):
    from twofold.cli import main

    for words in (
        ["train", "dna", data, "-o", place / "model", *QUICK],
        ["calibrate", place / "model", data, "--far", "0.05", "--estimate"],
    ):
        with pytest.raises(SystemExit) as ended:
            main(list(map(str, words)))
        assert ended.value.code == 0
    return place / "model"


def sequences(data: Path) -> list[str]:
    return data.read_text().splitlines()[1::2]


def test_the_doctor_and_the_plan_know_the_recipe(run, data):
    code, out, _ = run("doctor", data)
    assert code == 0 and "40 identities" in out
    assert run("plan", data)[0] == 0


def test_verify_letters_and_files(run, model, data, tmp_path):
    one, two, *_ = sequences(data)
    other = sequences(data)[-1]
    assert run("verify", model, one, two)[0] == 0
    assert run("verify", model, one, other)[0] == 1
    (tmp_path / "one.fa").write_text(f">probe\n{one}\n")
    assert run("verify", model, tmp_path / "one.fa", f"@{tmp_path / 'one.fa'}")[0] == 0
    for words, said in (
        ((model, one, "photo.png"), "there is no file photo.png"),
        ((model, one, data), "the file holds several records"),
        ((model, one, "NNNN"), "no base that is known"),
    ):
        code, _, err = run("verify", *words)
        assert code == 2 and said in err and err.count("\n") == 1


def test_search_identify_and_dedup(run, model, data, tmp_path):
    index = tmp_path / "index"
    assert run("index", model, data, index)[0] == 0
    new = species(tmp_path, count=3, each=1, seed=9)
    code, out, _ = run("search", model, index, new, "--json")
    found = json.loads(out)
    assert code in (0, 1) and len(found) == 3
    code, out, _ = run("identify", model, index, sequences(data)[2], "--json")
    assert code == 0 and json.loads(out)["label"] == "Genus0 species0"
    enrolled = tmp_path / "enrolled"
    assert run("enrol", model, enrolled, "species0", *sequences(data)[:2])[0] == 0
    assert run("identify", model, enrolled, sequences(data)[2])[0] == 0
    code, out, _ = run("identify", model, enrolled, sequences(data)[-1])
    assert code == 1 and out.startswith("nobody")
    code, _, err = run("dedup", model, data, "-o", tmp_path / "groups.csv")
    assert code in (0, 1), err
    assert "species" in (tmp_path / "groups.csv").read_text()


def test_evaluate_with_a_report(run, model, tmp_path):
    others = species(tmp_path, count=12, seed=5)
    code, out, err = run("evaluate", model, others, "--report", tmp_path / "page.html", "--json")
    assert code == 0, err
    assert {each["name"] for each in json.loads(out)["estimates"]} >= {"eer", "accuracy"}
    assert "bases)" in (tmp_path / "page.html").read_text()


def test_the_label_is_a_field_of_the_headers(run, data, place):
    code, out, _ = run("doctor", data, "--label-field", "3")
    assert code == 2 and "only one class (COI)" in out
    code, _, err = run("doctor", data, "--label-field", "9")
    assert code == 2 and "has no field 9 of labels" in err
    code, _, err = run("doctor", data, "--label-field", "species")
    assert code == 2 and "must be a positive whole number" in err


def test_other_things_are_refused_in_one_line(run, model, data, tmp_path):
    texts = tmp_path / "texts.csv"
    texts.write_text("text,label\nanna,a\nberta,b\n")
    for words, said in (
        (("train", "face", data, "-o", tmp_path / "m"), "the recipe dna reads them"),
        (("train", "names", data, "-o", tmp_path / "m"), "the recipe dna reads them"),
        (
            ("train", "dna", texts, "-o", tmp_path / "m"),
            "name the column with the letters sequence",
        ),
        (("calibrate", model, texts), "name the column with the letters sequence"),
    ):
        code, _, err = run(*words)
        assert code == 2 and said in err and err.count("\n") == 1
    table = tmp_path / "table.csv"
    rows = [f"{text},{number // 5}" for number, text in enumerate(sequences(data))]
    table.write_text("sequence,label\n" + "\n".join(rows) + "\n")
    assert run("doctor", table)[0] == 0

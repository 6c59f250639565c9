"""Tables of records on the command line: several columns, from training to clusters."""

import csv
import json

import numpy as np
import pytest

from twofold import cli, enrol, identify, verify
from twofold.bundle import Bundle
from twofold.records import joined
from twofold.store import Index

HEADER = ["id", "name", "street", "city", "label"]
FIRST = ("Anna", "Bert", "Clara", "Dora", "Emil", "Fritz", "Greta", "Hans", "Ida", "Jonas")
LAST = ("Albrecht", "Bergmann", "Castillo", "Dubois", "Eriksson", "Fischer", "Grimaldi", "Ivanova")
STREETS, CITIES = ("Hauptweg", "Ringallee", "Dorfgasse"), ("Lindau", "Ilmenau", "Talheim", "Dorf")
SMALL = ("encoder.dim=32", "input.symbols=4096", "epochs=2", "fewest_steps=0")
SPLIT = ("split.train=0.4", "split.calibrate=0.4")


def command(*words):
    """The exit code of a command."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(word) for word in words])
    return ended.value.code


@pytest.fixture
def run(capsys):
    def called(*words):
        code = command(*words)
        out, err = capsys.readouterr()
        return code, out, err

    return called


def table(path, header, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture(scope="module")
def people():
    random = np.random.default_rng(0)
    return [
        (f"{a} {b}", f"{random.choice(STREETS)} {random.integers(99)}", str(random.choice(CITIES)))
        for a in FIRST
        for b in LAST
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, people):
    folder, rows = tmp_path_factory.mktemp("records"), []
    for name, street, city in people:
        a, b = name.split()
        kinds = [(name, street, city), (f"{a[0]}. {b}", street, ""), (f"{b} {a}", "", city)]
        rows += [(f"c{len(rows) + place}", *kind, name) for place, kind in enumerate(kinds)]
    table(folder / "customers.csv", HEADER, rows)
    return folder


@pytest.fixture(scope="module")
def bundle(folder):
    place, data = folder / "model", folder / "customers.csv"
    changes = [word for change in (*SMALL, *SPLIT) for word in ("--set", change)]
    words = ["names", data, "-o", place, "--columns", "name, street,city", *changes]
    assert command("train", *words) == 0
    assert command("calibrate", place, data, "--far", "0.05", "--estimate") == 0
    return place


def test_a_bundle_reads_the_columns_that_it_was_trained_on(run, bundle, folder, tmp_path, people):
    assert Bundle.load(bundle).twin.input.fields == ("name", "street", "city")
    assert "bag on Text of name, street, city, 32 numbers per vector" in run("info", bundle)[1]
    one = " | ".join(people[0])
    code, out, _ = run("verify", bundle, one, one.upper())
    assert code == 0 and out.startswith("same: score 1.0000")
    assert run("verify", bundle, one, " | ".join(people[-1]))[0] == 1
    code, _, err = run("verify", bundle, people[0][0], one)
    assert code == 2 and "'Anna Albrecht' has 1 of the 3 fields" in err and err.count("\n") == 1
    assert run("evaluate", bundle, folder / "customers.csv")[0] == 0
    page = tmp_path / "page.html"
    assert run("evaluate", bundle, folder / "customers.csv", "--report", page)[0] == 0
    assert "\x1f" not in page.read_text()


def test_pairs_of_records(run, bundle, tmp_path, people):
    header = [f"{name}_{end}" for end in "ab" for name in ("name", "street", "city")]
    pairs = table(tmp_path / "pairs.csv", header, [people[0] * 2, people[0] + people[-1]])
    code, out, _ = run("verify", bundle, "--pairs", pairs)
    rows = list(csv.DictReader(out.splitlines()))
    assert code == 0 and [row["decision"] for row in rows] == ["same", "different"]
    assert rows[0]["text_a"] == " | ".join(people[0])


def test_an_index_of_records_keeps_no_fields(run, bundle, folder, tmp_path, people):
    code, out, _ = run("index", bundle, folder / "customers.csv", tmp_path / "index", "--json")
    assert code == 0 and json.loads(out)["items"] == 3 * len(people)
    words = ("search", bundle, tmp_path / "index", " | ".join(people[7]), "-k", "1", "--json")
    code, out, _ = run(*words)
    assert code == 0 and json.loads(out)[0]["hits"][0]["id"] == "c21"
    with Index.open(tmp_path / "index") as index:
        known = index.get(index.ids).metadata
    assert not any({"name", "street", "city", "text"} & each.keys() for each in known)


def test_a_record_by_its_names_is_the_record_of_the_table(bundle, tmp_path, people):
    known, (name, street, city) = Bundle.load(bundle), people[5]
    record = {"name": name, "street": street, "city": city}
    with Index.create(tmp_path / "gallery", known.contract) as gallery:
        ids = enrol(known, gallery, "customer 5", record, keep_source=True)
        assert enrol(known, gallery, "customer 5", [joined([name, street, city])]) == ids
        found = identify(known, gallery, {"name": name.upper(), "city": city, "street": street})
        assert found.label == "customer 5"
        other = verify(known, record, {"name": people[60][0], "city": "Nowhere"})
    assert other.decision == "different"


def test_clusters_say_what_differs_by_field(run, bundle, tmp_path, people):
    (name, street, city), rows = people[3], []
    rows += [("a", name, street, city), ("b", name, street, ""), ("c", *people[-1])]
    customers = table(tmp_path / "some.csv", HEADER[:4], rows)
    out, report = tmp_path / "clusters.csv", tmp_path / "clusters.html"
    words = ["dedup", bundle, customers, "-o", out, "--threshold", "0.6", "--report", report]
    assert run(*words)[0] == 0
    kept, copy = csv.DictReader(out.read_text(encoding="utf-8").splitlines())
    assert list(kept)[5:] == ["name", "street", "city", "differs"]
    assert (kept["name"], kept["city"], copy["street"], copy["city"]) == (name, city, street, "")
    assert copy["differs"] == "city: -" and "\x1f" not in report.read_text()
    other = table(tmp_path / "crm.csv", HEADER[:4], [("x", name.lower(), street, city + " West")])
    words = ["dedup", bundle, other, "--against", customers, "-o", out, "--threshold", "0.6"]
    assert run(*words)[0] == 0
    copies = [row for row in csv.DictReader(out.read_text().splitlines()) if row["role"] != "kept"]
    assert copies[0]["differs"] == f"city: {city} [West]"


def test_columns_that_are_not_there_and_empty_records(run, bundle, folder, tmp_path):
    data = folder / "customers.csv"
    for words in (("train", "names", data, "-o", tmp_path / "m"), ("doctor", data)):
        code, _, err = run(*words, "--columns", "name,strete,city")
        assert code == 2 and err.count("\n") == 1
        assert "has no column 'strete'" in err and "did you mean 'street'?" in err
    texts = table(tmp_path / "texts.csv", ["text", "label"], [("Anna", "a"), ("Bert", "b")])
    for command_ in ("calibrate", "evaluate"):
        code, _, err = run(command_, bundle, texts)
        assert code == 2 and "texts.csv has no column 'name', and records of name, street" in err
    rows = [("Anna", "", "", "a"), ("", "", "", "b")]
    empty = table(tmp_path / "empty.csv", ["name", "street", "city", "label"], rows)
    code, _, err = run("evaluate", bundle, empty)
    assert code == 2 and "empty.csv, line 3: the fields name, street, city are all empty" in err
    code, _, err = run("train", "names", data, "-o", tmp_path / "m")
    assert code == 2 and "--columns name,street,city" in err
    code, _, err = run("train", "character", data, "-o", tmp_path / "m", "--columns", "name,city")
    assert code == 2 and err.count("\n") == 1 and "--columns" in err


def test_the_doctor_prints_a_training_with_the_same_columns(run, folder):
    code, out, _ = run("doctor", folder / "customers.csv", "--columns", "name,street,city")
    assert code == 0 and "240 rows with records of name, street, city; and label" in out
    assert "twofold train names" in out
    assert "--columns name,street,city" in out.replace("\n", " ")

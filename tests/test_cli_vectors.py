"""Anybody's vectors on the command line: a head, thresholds, a gallery, an index, copies, and what is refused."""

import csv
import json

import numpy as np
import pytest

from twofold.bundle import Bundle
from twofold.data.items import Items

pytest.importorskip("pyarrow")

SMALL = ["--set", "epochs=2", "--set", "fewest_steps=0"]
PEOPLE, EACH, SIZE = 40, 4, 12


def clusters(seed=0, people=PEOPLE):
    """Vectors of people: a centre for each, and what differs from picture to picture."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(people, 1, SIZE))
    rows = (centres + 0.4 * random.normal(size=(people, EACH, SIZE))).reshape(-1, SIZE)
    return rows.astype(np.float32), [f"p{code:03}" for code in np.repeat(np.arange(people), EACH)]


def write(path, rows, labels):
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "label", "vector"])
        for place, (row, label) in enumerate(zip(rows, labels, strict=True)):
            table.writerow([f"{label}-{place}", label, json.dumps([float(each) for each in row])])
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A table of vectors, other people's, and a head that is calibrated on them."""
    from exit_codes import exit_code

    place = tmp_path_factory.mktemp("vectors")
    known = write(place / "known.csv", *clusters())
    other = write(place / "other.csv", *clusters(seed=1, people=60))
    assert exit_code("train", "head", known, "-o", place / "m", *SMALL) == 0
    asked = ["--far", "0.02", "--estimate"]
    assert exit_code("calibrate", place / "m", other, *asked) == 0
    return place


def test_a_head_learns_the_size_from_the_data(world):
    bundle = Bundle.load(world / "m")
    assert bundle.twin.input.arguments() == {"size": SIZE}
    assert bundle.calibration is not None and bundle.facts()["network"].startswith(
        "linear on Vector"
    )
    assert float(bundle.twin.encoder.scale) > 0


def test_checks_before_training(world, run):
    code, out, _ = run("doctor", world / "known.csv")
    assert code == 0 and "vectors of 12 numbers" in out and "twofold train head" in out
    code, out, _ = run("plan", world / "known.csv")
    assert code == 0


def test_measure_and_the_page(world, run):
    page = world / "page.html"
    more = write(world / "more.csv", *clusters(seed=2, people=30))
    code, _, err = run("evaluate", world / "m", more, "--report", page)
    assert code == 0, err
    assert "vector" in page.read_text()


def test_verdicts_by_rows_lists_and_files(world, run):
    rows, _ = clusters(seed=1, people=60)
    np.save(world / "one.npy", rows[0])
    table = world / "other.csv"
    assert run("verify", world / "m", f"{table}#1", f"{table}#p000-1")[0] == 0
    assert run("verify", world / "m", world / "one.npy", f"{table}#100")[0] == 1
    code, out, _ = run(
        "verify", world / "m", json.dumps(rows[0].tolist()), world / "one.npy", "--json"
    )
    assert code == 0 and json.loads(out)["decision"] == "same"
    pairs = world / "pairs.csv"
    with pairs.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["vector_a", "vector_b"])
        lines.writerow([rows[0].tolist(), rows[1].tolist()])
        lines.writerow([rows[0].tolist(), rows[50].tolist()])
    code, out, _ = run("verify", world / "m", "--pairs", pairs, "--json")
    assert code == 0 and [each["decision"] for each in json.loads(out)] == ["same", "different"]


def test_a_gallery_and_an_index(world, run):
    table, index = world / "other.csv", world / "index"
    code, out, _ = run("index", world / "m", table, index, "--json")
    assert code == 0 and json.loads(out)["items"] == 60 * EACH
    code, out, _ = run("search", world / "m", index, f"{table}#p003-12", "-k", "4", "--json")
    assert code == 0 and {hit["label"] for hit in json.loads(out)[0]["hits"]} == {"p003"}
    gallery = world / "gallery"
    some = write(world / "some.csv", *(each[:2] for each in clusters(seed=1, people=60)))
    assert run("enrol", world / "m", gallery, "Anna", some)[0] == 0
    code, out, _ = run("identify", world / "m", gallery, f"{table}#3", "--json")
    assert code == 0 and json.loads(out)["label"] == "Anna"


def test_what_embed_writes_is_data(world, run):
    out = world / "embedded"
    assert run("embed", world / "m", world / "other.csv", out)[0] == 0
    items = Items.open(out)
    assert len(items.identities) == 60 and len(items.values[0]) == 128
    assert items.ids[0] == "p000-0"
    assert run("train", "head", out, "-o", world / "second", *SMALL, "--json")[0] == 0
    assert run("index", world / "m", out, world / "again")[0] == 0  # its own vectors


def test_copies(world, run):
    rows, labels = clusters(seed=3, people=5)
    rows[1] = rows[0] + 1e-4
    table = write(world / "twice.csv", rows, labels)
    code, out, _ = run("dedup", "vectors", table, "--threshold", "0.9999", "--json")
    assert code == 0 and len(json.loads(out)["groups"]) == 1


def test_the_word_vectors_needs_no_training(world, run):
    code, _, err = run(
        "calibrate",
        "vectors",
        world / "other.csv",
        "--far",
        "0.02",
        "--estimate",
        "-o",
        world / "plain",
    )
    assert code == 0, err
    plain = Bundle.load(world / "plain")
    assert plain.twin.dim == SIZE and plain.fingerprint == Bundle.load("vectors:12").fingerprint
    table = world / "other.csv"
    assert run("verify", world / "plain", f"{table}#1", f"{table}#2")[0] == 0
    assert run("search", "vectors", world / "none", f"{table}#1")[0] == 2
    euclidean = ["--set", "distance=euclidean", "-o", world / "far"]
    assert run("calibrate", "vectors", table, "--far", "0.02", "--estimate", *euclidean)[0] == 0
    assert Bundle.load(world / "far").contract.distance == "euclidean"
    code, _, err = run("identify", "vectors", world / "index", "Anna")
    assert code == 2 and "write vectors:384, say" in err


def test_one_bundle_of_vectors_in_python():
    bundle = Bundle.of_vectors(3)
    assert bundle.fingerprint == Bundle.load("vectors:3:cosine").fingerprint
    assert bundle.fingerprint != Bundle.of_vectors(4).fingerprint


REFUSED = (
    (["train", "head", "PICTURES"], "holds pictures, and this recipe reads vectors"),
    (["train", "generic", "known.csv"], "holds vectors, and the recipe generic reads pictures"),
    (["train", "names", "known.csv"], "holds vectors, and the recipe names reads texts"),
    (["calibrate", "m", "PICTURES"], "holds pictures, and m reads vectors: embed them first"),
    (["index", "m", "PICTURES", "new"], "holds pictures, and m reads vectors: embed them first"),
    (["evaluate", "m", "texts.csv"], "holds texts, and m reads vectors: embed them first"),
    (["dedup", "m", "PICTURES"], "holds pictures, and m reads vectors"),
    (["train", "head", "nothing.csv"], "nothing.csv"),
    (["train", "head", "nobody.csv"], "no column 'label'"),
    (["train", "head", "mixed.csv"], "has 2 numbers, those before it have 3"),
    (["calibrate", "m", "short.csv"], "vectors of 12 numbers are wanted"),
    (["verify", "m", "PICTURES/a/1.png", "[1, 2]"], "is a file, but not a vector"),
    (["verify", "m", "known.csv#1", "[1, 2]"], "has 2 numbers, and vectors of 12"),
    (["verify", "m", "known.csv#nobody", "known.csv#1"], "name one of these, or a row from 1 to"),
)


@pytest.mark.parametrize(("words", "said"), REFUSED, ids=[" ".join(words) for words, _ in REFUSED])
def test_what_is_refused_is_one_line(world, run, monkeypatch, words, said):
    from PIL import Image

    monkeypatch.chdir(world)
    for name in ("a", "b"):
        (world / "PICTURES" / name).mkdir(parents=True, exist_ok=True)
        Image.new("L", (9, 9)).save(world / "PICTURES" / name / "1.png")
    (world / "texts.csv").write_text("text,label\none two,a\none,b\n")
    (world / "nobody.csv").write_text('vector\n"[1, 2]"\n"[3, 4]"\n')
    (world / "mixed.csv").write_text('vector,label\n"[1, 2, 3]",a\n"[3, 4]",b\n')
    write(world / "short.csv", np.ones((4, 2)), "aabb")
    more = ["-o", "new", *SMALL] if words[0] == "train" else []
    code, _, err = run(*words, *more)
    line = [each for each in err.splitlines() if each.startswith("twofold:")]
    assert code == 2 and len(line) == 1 and said in line[0], err


def test_rows_with_nan_are_left_out_or_refused(world, run):
    rows, labels = clusters(seed=4)
    rows[5, 3] = np.nan
    table = write(world / "nan.csv", rows, labels)
    code, _, err = run("train", "head", table, "-o", world / "n", *SMALL)
    assert code == 0 and "number 4 of the vector is nan" in err
    code, _, err = run("train", "head", table, "-o", world / "n2", "--strict", *SMALL)
    assert code == 2 and "number 4 of the vector is nan" in err
    code, out, _ = run("doctor", table)
    assert "number 4 of the vector is nan" in out


def test_a_cleaned_table_of_vectors(world, run):
    rows, labels = clusters(seed=5)
    rows[1] = rows[0]
    table = write(world / "double.csv", rows, labels)
    assert run("doctor", table, "--fix", world / "fixed.csv")[0] == 0
    assert len(Items.open(world / "fixed.csv")) == len(rows) - 1

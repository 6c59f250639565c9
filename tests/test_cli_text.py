"""Texts on the command line: from a table to a verdict, a gallery, an index, copies and a page."""

import csv
import json

import numpy as np
import pytest

from twofold import cli
from twofold.bundle import Bundle
from twofold.store import Index

FIRST = (
    "Anna",
    "Bert",
    "Clara",
    "Dora",
    "Emil",
    "Fritz",
    "Greta",
    "Hans",
    "Ida",
    "Jonas",
    "Klara",
    "Ludwig",
)
LAST = (
    "Albrecht",
    "Bergmann",
    "Castillo",
    "Dubois",
    "Eriksson",
    "Fischer",
    "Grimaldi",
    "Hartmann",
    "Ivanova",
    "Jensen",
)
SMALL = [
    "--set",
    "encoder.dim=32",
    "--set",
    "input.symbols=4096",
    "--set",
    "epochs=2",
    "--set",
    "fewest_steps=0",
]


def command(*words):
    """The exit code of a command."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(word) for word in words])
    return ended.value.code


def variants(name, random):
    """The name as several people write it."""
    first, last = name.split()
    place = int(random.integers(1, len(last) - 1))
    typo = last[:place] + last[place + 1] + last[place] + last[place + 2 :]
    return [name, f"{last}, {first}", f"{first[0]}. {last}", f"{first} {typo}"]


@pytest.fixture(scope="module")
def names():
    return [f"{first} {last}" for first in FIRST for last in LAST]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, names):
    folder, random = tmp_path_factory.mktemp("texts"), np.random.default_rng(0)
    rows = [(text, name) for name in names for text in variants(name, random)]
    table(folder / "names.csv", ["text", "label"], rows)
    return folder


@pytest.fixture(scope="module")
def bundle(folder):
    place = folder / "model"
    shares = [f"--set=split.{part}={share}" for part, share in (("train", 0.4), ("calibrate", 0.4))]
    assert command("train", "names", folder / "names.csv", "-o", place, *SMALL, *shares) == 0
    assert command("calibrate", place, folder / "names.csv", "--far", "0.05", "--estimate") == 0
    return place


@pytest.fixture
def run(capsys):
    def called(*words):
        code = command(*words)
        out, err = capsys.readouterr()
        return code, out, err

    return called


def rows_of(path):
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def table(path, header, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_a_verdict_on_two_texts(run, bundle):
    code, out, _ = run("verify", bundle, "Anna Albrecht", "anna  ALBRECHT")
    assert code == 0 and out.startswith("same: score 1.0000")
    assert run("verify", bundle, "Anna Albrecht", "Zygmunt Quist")[0] == 1
    code, _, err = run("verify", bundle, "Anna Albrecht", "  ")
    assert (code, err) == (2, "twofold: the text is empty: leave it out, or give some words\n")


def test_words_in_a_file_and_pictures_given_to_a_bundle_of_texts(run, bundle, tmp_path):
    (tmp_path / "a.txt").write_text("Anna Albrecht\n")
    assert run("verify", bundle, f"@{tmp_path / 'a.txt'}", "Anna Albrecht")[0] == 0
    (tmp_path / "b.txt").write_bytes("Anna Albrecht".encode("utf-16"))
    code, _, err = run("verify", bundle, f"@{tmp_path / 'b.txt'}", "Anna Albrecht")
    assert code == 2 and "is UTF-16: convert it to UTF-8" in err and err.count("\n") == 1
    code, _, err = run("verify", bundle, tmp_path / "a.txt", "Anna Albrecht")
    assert code == 2 and "is a file, and this bundle compares texts: write @" in err


def test_a_gallery_of_texts_gives_away_none(run, bundle, tmp_path):
    index = tmp_path / "gallery"
    code, out, _ = run(
        "enrol", bundle, index, "customer 7", "Anna Albrecht", "Albrecht, Anna", "--json"
    )
    ids = json.loads(out)["ids"]
    assert code == 0 and len(set(ids)) == 2 and all(name.startswith("customer 7/") for name in ids)
    code, out, _ = run("identify", bundle, index, "ANNA ALBRECHT")
    assert code == 0 and out.startswith("customer 7: score 1.0000")
    assert not any(b"lbrecht" in file.read_bytes() for file in index.rglob("*") if file.is_file())


def test_an_index_of_a_table_is_searched_by_words(run, bundle, folder, tmp_path, names):
    rows = [(f"c{place}", name, 1900 + place) for place, name in enumerate(names[:30])]
    customers = table(tmp_path / "customers.csv", ["id", "text", "born"], rows)
    code, out, _ = run("index", bundle, customers, tmp_path / "index", "--json")
    assert code == 0 and json.loads(out)["items"] == 30
    code, out, _ = run(
        "search", bundle, tmp_path / "index", names[4], "-k", "2", "--where", "born=1904", "--json"
    )
    hits = json.loads(out)[0]["hits"]
    assert hits[0]["id"] == "c4" and hits[0]["score"] == pytest.approx(1, abs=1e-5)
    with Index.open(tmp_path / "index") as index:
        assert all("text" not in known for known in index.get(index.ids).metadata)
    page = tmp_path / "page.html"
    assert run("index", bundle, customers, tmp_path / "kept", "--keep-source")[0] == 0
    assert run("search", bundle, tmp_path / "kept", names[4], "--report", page)[0] == 0
    assert f'<blockquote class="words">{names[4]}</blockquote>' in page.read_text()


def test_short_texts_are_hashed_with_a_key(run, bundle, tmp_path, names):
    import hashlib

    customers = table(tmp_path / "customers.csv", ["text"], [(name,) for name in names[:5]])
    run("index", bundle, customers, tmp_path / "index")
    with Index.open(tmp_path / "index") as index:
        kept = {known["content"] for known in index.get(index.ids).metadata}
    assert not kept & {hashlib.sha256(name.encode()).hexdigest() for name in names}
    code, out, _ = run("index", bundle, customers, tmp_path / "index", "--json")
    assert code == 0 and json.loads(out)["embedded"] == 0


def test_copies_in_a_table_of_records(run, bundle, tmp_path):
    rows = [
        ("c1", "Anna Albrecht"),
        ("c2", "Zygmunt Quist"),
        ("c3", "anna albrecht"),
        ("c4", "Albrecht, Anna"),
    ]
    customers, out = (
        table(tmp_path / "customers.csv", ["id", "text"], rows),
        tmp_path / "clusters.csv",
    )
    page = tmp_path / "page.html"
    code, said, _ = run(
        "dedup", bundle, customers, "--threshold", "0.5", "-o", out, "--report", page
    )
    assert (
        code == 0 and "a copy: equal contents; and scores of at least 0.5000 (as you asked)" in said
    )
    found = rows_of(out)
    assert [(row["id"], row["role"]) for row in found] == [
        ("c4", "kept"),
        ("c1", "copy"),
        ("c3", "copy"),
    ]
    assert [row["differs"] for row in found] == ["", "Anna [Albrecht]", "anna [albrecht]"]
    assert all(0.5 < float(row["probability"]) <= 1 for row in found[1:])
    assert "Anna <mark>Albrecht</mark></blockquote>" in page.read_text()


def test_a_rate_is_told_in_pairs_of_the_table(run, bundle, tmp_path, names):
    many = table(tmp_path / "many.csv", ["text"], [(name,) for name in names[:40]])
    code, said, _ = run("dedup", bundle, many)
    assert (
        code == 0
        and "a false-accept rate of 0.05 lets up to 39 of 780 pairs" in said
        and "--far 1e-03" in said
    )
    assert "lets up to" not in run("dedup", bundle, many, "--threshold", "0.9")[1]


def test_two_tables_are_linked(run, bundle, tmp_path):
    ours = table(
        tmp_path / "ours.csv", ["id", "text"], [("o1", "Anna Albrecht"), ("o2", "Zygmunt Quist")]
    )
    theirs = table(
        tmp_path / "theirs.csv", ["id", "text"], [("t1", "Albrecht Anna"), ("t2", "Greta Grimaldi")]
    )
    out = tmp_path / "links.csv"
    assert run("dedup", bundle, ours, "--against", theirs, "--threshold", "0.5", "-o", out)[0] == 0
    found = rows_of(out)
    assert [(row["id"], row["text"]) for row in found] == [
        ("theirs.csv: t1", "Albrecht Anna"),
        ("o1", "Anna Albrecht"),
    ]
    code, _, err = run("dedup", ours, "--against", theirs)
    assert code == 2 and "give a bundle as well" in err


def test_an_evaluation_with_its_page(run, bundle, folder, tmp_path, names):
    page = tmp_path / "page.html"
    code, out, _ = run("evaluate", bundle, folder / "names.csv", "--report", page)
    assert code == 0 and "eer" in out
    assert "How well text pairs are told apart" in page.read_text()
    hidden = tmp_path / "hidden.html"
    assert (
        run(
            "evaluate", bundle, folder / "names.csv", "--report", hidden, "--set", "pictures=false"
        )[0]
        == 0
    )
    turned = [", ".join(reversed(name.split())) for name in names]
    shown, untold = page.read_text(), hidden.read_text()
    assert any(text in shown for text in turned) and not any(text in untold for text in turned)


def test_the_doctor_reads_texts(run, tmp_path, names):
    rows = [(text, name) for name in names[:6] for text in variants(name, np.random.default_rng(1))]
    flawed = table(
        tmp_path / "flawed.csv",
        ["text", "label"],
        [*rows, ("\0\0", names[0]), (names[0], names[1])],
    )
    code, out, _ = run("doctor", flawed)
    assert "NUL characters" in out and "length of the text" in out and code in (0, 2)


def test_pairs_of_texts(run, tmp_path, names):
    random = np.random.default_rng(2)
    written = {name: variants(name, random) for name in names}
    same = [(written[name][0], written[name][n], 1) for name in names for n in (1, 2)]
    other = [
        (written[a][0], written[b][3], 0) for a, b in zip(names[::2], names[1::2], strict=True)
    ]
    ends = ["text_a", "text_b", "same"]
    pairs, model = table(tmp_path / "pairs.csv", ends, [*same, *other]), tmp_path / "model"
    code, _, err = run(
        "train", "names", pairs, "-o", model, *SMALL, "--set", "loss.name=pair_contrastive"
    )
    assert code == 0 and "300 pairs of" in err and " texts" in err
    code, out, _ = run("verify", model, "--pairs", pairs, "--scores-only")
    first = next(csv.DictReader(out.splitlines()))
    assert code == 0 and first["text_a"] == written[names[0]][0] and first["same"] == "1"
    positive = table(tmp_path / "positive.csv", ends, same)
    code, _, err = run("train", "names", positive, "-o", tmp_path / "m2", *SMALL)
    assert code == 0 and "other things of a batch serve as different ones (loss nt_xent)" in err
    marks = [(a, b, 1 + 4 * answer) for a, b, answer in same + other]
    graded = table(tmp_path / "graded.csv", ["text_a", "text_b", "score"], marks)
    with graded.open("a") as file:
        file.write("Anna X,Anna Y,3.5\n")
    code, _, err = run("train", "names", graded, "-o", tmp_path / "m3", *SMALL)
    assert code == 0 and "1 means nothing in common and 5 the same" in err
    assert Bundle.load(tmp_path / "m3").recipe.loss.arguments == {"lowest": 1.0, "highest": 5.0}
    code, out, _ = run("evaluate", tmp_path / "m3", graded)
    assert code == 0 and "spearman" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["train", "face", "names.csv", "-o", "x"],
            "names.csv holds texts, and the recipe face reads pictures",
        ),
        (
            ["index", "pretrained", "names.csv", "x"],
            "names.csv holds texts, and pretrained reads pictures",
        ),
        (["train", "names", "pictures", "-o", "x"], "is not UTF-8"),
        (
            ["train", "names", "names.csv", "-o", "x", "--set", "encoder=resnet18"],
            "(--set encoder=bag)",
        ),
        (["train", "names", "missing.csv", "-o", "x"], "missing.csv has no column 'label'"),
        (
            ["train", "names", "graded.csv", "-o", "x", "--set", "loss.name=pair_contrastive"],
            "loss.name=pair_regression",
        ),
        (["train", "names", "both.csv", "-o", "x"], "two kinds of pairs, a, b and text_a, text_b"),
    ],
)
def test_what_does_not_fit_is_one_line(run, tmp_path, monkeypatch, words, said, names):
    monkeypatch.chdir(tmp_path)
    table(
        tmp_path / "names.csv",
        ["text", "label"],
        [(text, name) for name in names[:6] for text in (name, name[::-1])],
    )
    table(tmp_path / "missing.csv", ["text"], [("a",), ("b",)])
    table(
        tmp_path / "graded.csv", ["text_a", "text_b", "score"], [("a", "b", 0.5), ("c", "d", 0.1)]
    )
    table(tmp_path / "both.csv", ["a", "b", "text_a", "text_b", "same"], [("x", "y", "x", "y", 1)])
    for person in ("1", "2"):
        (tmp_path / "pictures" / person).mkdir(parents=True)
        for number in range(2):
            (tmp_path / "pictures" / person / f"{number}.png").write_bytes(
                b"\x89PNG\r\n\x1a\n" + bytes([number, 200])
            )
    code, _, err = run(*words)
    assert code == 2 and said in err and "Traceback" not in err

"""Scores and vectors of other models: which files are read, and what is refused."""

import csv
import json

import numpy as np
import pytest

from twofold.data.scores import Scores
from twofold.data.synthetic import clusters
from twofold.errors import DataError, NotEnoughData, UnknownName
from twofold.metrics.verification import tally


def write(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows(rows)
    return path


def listed(scores):
    blocks = list(scores.pairs)
    return [
        np.concatenate([getattr(block, name) for block in blocks]) for name in ("scores", "same")
    ]


def test_a_table_of_scores(tmp_path):
    header = ["score", "identity_a", "identity_b"]
    path = write(
        tmp_path / "s.csv", [header, [0.9, "ann", "ann"], [0.2, "ann", "bob"], [-0.1, "bob", "cy"]]
    )
    found = Scores.open(path)
    assert (found.unit, found.identities, found.dim, found.distance) == ("identity", 3, 0, "score")
    values, same = listed(found)
    assert values.tolist() == [0.9, 0.2, -0.1] and same.tolist() == [True, False, False]
    # a skilled forgery: the same identity, but not genuine
    forged = write(
        tmp_path / "f.csv", [[*header, "same"], [0.9, "ann", "ann", 1], [0.8, "ann", "ann", "no"]]
    )
    assert listed(Scores.open(forged))[1].tolist() == [True, False]
    nobody = write(tmp_path / "n.tsv.csv", [["score", "same"], [0.9, 1], [0.2, 0]])
    found = Scores.open(nobody)
    assert (found.unit, found.identities, found.pairs.units) == ("pair", 0, 2)


def test_vectors_in_tables_and_arrays(tmp_path):
    items = clusters(5, 3)
    vectors = np.stack(items.values)
    names = [items.names[label] for label in items.labels]
    rows = [
        [json.dumps(vector.tolist()), name] for vector, name in zip(vectors, names, strict=True)
    ]
    table = write(tmp_path / "v.csv", [["vector", "label"], *rows])
    np.save(tmp_path / "w.npy", vectors)
    write(tmp_path / "w.csv", [["label"], *([name] for name in names)])
    expected = tally(Scores.from_vectors(vectors.astype(np.float64), items.labels).pairs)
    for path in (table, tmp_path / "w.npy"):
        found = Scores.open(path)
        assert (found.unit, found.identities, found.dim, found.distance) == (
            "identity",
            5,
            vectors.shape[1],
            "cosine",
        )
        assert tally(found.pairs).thresholds == pytest.approx(expected.thresholds)
    near = Scores.open(table, distance="euclidean")
    assert listed(near)[0].max() < 0.0
    with pytest.raises(UnknownName, match="'cosin' is not a plain distance"):
        listed(Scores.open(table, distance="cosin"))


def test_parquet(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = arrow.table({"vector": [[0.0, 1.0], [0.1, 1.0], [1.0, 0.0]], "label": ["a", "a", "b"]})
    parquet.write_table(table, tmp_path / "v.parquet")
    assert Scores.open(tmp_path / "v.parquet").identities == 2
    table = arrow.table({"score": [0.5, 0.1], "identity_a": ["a", "a"], "identity_b": ["a", "b"]})
    parquet.write_table(table, tmp_path / "s.parquet")
    assert listed(Scores.open(tmp_path / "s.parquet"))[1].tolist() == [True, False]


def test_forgeries_stay_with_their_writer(tmp_path):
    rows = [
        ["vector", "label", "forgery_of"],
        ["[0, 1]", "a", ""],
        ["[1, 1]", "a", ""],
        ["[1, 0]", "", "a"],
    ]
    found = Scores.open(write(tmp_path / "v.csv", rows))
    assert found.identities == 1
    assert listed(found)[1].sum() == 1


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([["a", "b"], [1, 2]], "has neither a column score nor a column vector"),
        ([["score"], [1]], "has no column 'same'"),
        ([["score", "identity_a"], [1, "x"]], "has no column 'identity_b'"),
        ([["score", "same"], ["high", 1]], r"bad.csv, line 2: score='high' is not a finite number"),
        ([["score", "same"], [0.1, "maybe"]], r"bad.csv, line 2: same='maybe' is neither 1 nor 0"),
        (
            [["score", "identity_a", "identity_b", "same"], [0.1, "x", "y", 1]],
            "said to be the same, but of two identi",
        ),
        (
            [["vector"], ["[1, 2]"]],
            "has no column label: without identities no pair is known to be genuine",
        ),
        (
            [["vector", "label"], ["[1, 2]", "a"], ["[1]", "a"]],
            "line 3: the vector has 1 numbers, those before it",
        ),
        ([["vector", "label"], ["1 2", "a"]], "line 2: the vector '1 2' is not a list of numbers"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, rows, text):
    with pytest.raises(DataError, match=text):
        Scores.open(write(tmp_path / "bad.csv", rows))


def test_arrays_that_cannot_be_read(tmp_path):
    np.save(tmp_path / "v.npy", np.zeros((3, 2)))
    with pytest.raises(DataError, match=r"put a table v\.csv beside it, with a column label"):
        Scores.open(tmp_path / "v.npy")
    write(tmp_path / "v.csv", [["label"], ["a"]])
    with pytest.raises(DataError, match=r"3 vectors, and 1 rows in v\.csv"):
        Scores.open(tmp_path / "v.npy")
    np.save(tmp_path / "v.npy", np.zeros(3))
    with pytest.raises(DataError, match="vectors are n x dim numbers"):
        Scores.open(tmp_path / "v.npy")
    with pytest.raises(NotEnoughData, match="1 vector makes no pair"):
        Scores.from_vectors(np.zeros((1, 2)), np.zeros(1, dtype=np.int64))


def test_sites_and_recordings_of_scores_and_vectors(tmp_path):
    (tmp_path / "s.csv").write_text(
        "score,identity_a,identity_b,site_a,site_b\n0.9,x,x,Rome,Rome\n0.1,x,y,Rome,Oslo\n0.2,y,z,Oslo,Rome\n"
    )
    found = Scores.open(tmp_path / "s.csv")
    assert found.sites.tolist() == [1, 0, 1] and found.by_site.units == 2 and found.pairs.units == 3
    (tmp_path / "s.csv").write_text(
        "score,identity_a,identity_b,site_a,site_b\n0.9,x,x,Rome,Oslo\n"
    )
    with pytest.raises(DataError, match="1 identities have several sites"):
        Scores.open(tmp_path / "s.csv")
    (tmp_path / "v.csv").write_text(
        'vector,label,source,site\n"[1, 0]",x,1,Rome\n"[1, 0]",x,1,Rome\n"[0, 1]",x,2,Rome\n"[1, '
        '1]",y,3,Oslo\n'
    )
    found = Scores.open(tmp_path / "v.csv")
    (block,) = found.pairs
    # the pair of recording 1 is none
    assert found.sites.tolist() == [1, 0] and block.same.sum() == 2

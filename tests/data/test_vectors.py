"""Vectors in files: every form is the same items; what does not fit is one line with its place."""

import json

import numpy as np
import pytest

from twofold.data.items import Items
from twofold.data.pairs import Pairs
from twofold.data.scores import Scores
from twofold.data.vectors import named_row
from twofold.errors import DataError, NotEnoughData

ROWS = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
LABELS = ["a", "a", "b", "b", "c", "c"]


def lists(path, ending):
    """A table with a column of lists."""
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    rows = [[float(each) for each in row] for row in ROWS]
    colour = ["red"] * 6
    if ending == "parquet":
        table = pyarrow.table({"label": LABELS, "Vector": rows, "colour": colour})
        parquet.write_table(table, path)
    elif ending == "jsonl":
        told = [
            {"label": label, "vector": row, "colour": "red"}
            for label, row in zip(LABELS, rows, strict=True)
        ]
        path.write_text("\n".join(map(json.dumps, told)))
    else:
        body = [f'{label},"{row}",red' for label, row in zip(LABELS, rows, strict=True)]
        path.write_text("label,vector,colour\n" + "\n".join(body))


def numbers(path, names):
    body = [
        ",".join([label, *(repr(float(each)) for each in row), "red"])
        for label, row in zip(LABELS, ROWS, strict=True)
    ]
    path.write_text(f"label,{','.join(names)},colour\n" + "\n".join(body))


def check(items):
    assert np.array_equal(np.stack(items.values), ROWS)
    assert [items.names[code] for code in items.labels] == LABELS
    assert items.metadata is not None and items.metadata[0]["colour"] == "red"
    assert "vectors of 3 numbers" in items.notes[0]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_column_of_lists(tmp_path, ending):
    path = tmp_path / f"v.{ending}"
    lists(path, ending)
    check(Items.open(path))
    assert Scores.open(path).dim == 3


def test_counted_columns_of_numbers_whatever_their_order(tmp_path):
    numbers(tmp_path / "v.csv", ["f0", "f1", "f2"])
    check(Items.open(tmp_path / "v.csv"))
    swapped = (tmp_path / "v.csv").read_text().replace("f0,f1", "f1,f0")
    (tmp_path / "w.csv").write_text(swapped)
    assert np.array_equal(np.stack(Items.open(tmp_path / "w.csv").values), ROWS[:, [1, 0, 2]])


def test_named_columns_of_numbers(tmp_path):
    (tmp_path / "v.csv").write_text("height,width,label\n1,2,a\n3,4,b\n")
    assert np.stack(Items.open(tmp_path / "v.csv").values).tolist() == [[1, 2], [3, 4]]
    (tmp_path / "v.csv").write_text("height,width,colour,label\n1,2,red,a\n3,4,blue,b\n")
    with pytest.raises(DataError, match=r"columns of numbers: v0, v1, \.\.\."):
        Items.open(tmp_path / "v.csv")


def test_an_array_beside_a_table_and_alone(tmp_path):
    np.save(tmp_path / "v.npy", ROWS)
    alone = Items.open(tmp_path / "v.npy", levels=0)
    assert len(alone) == 6 and alone.ids[0] == "row 1"
    with pytest.raises(DataError, match="no column 'label'"):
        Items.open(tmp_path / "v.npy")
    (tmp_path / "v.csv").write_text("label,colour\n" + "".join(f"{x},red\n" for x in LABELS))
    check(Items.open(tmp_path / "v.npy"))
    (tmp_path / "v.csv").write_text("label\na\n")
    with pytest.raises(DataError, match=r"has 6 vectors, and v\.csv 1 row"):
        Items.open(tmp_path / "v.npy")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('label,vector\na,"[1, 2]"\nb,"[1]"\n', "line 3: the vector has 1 numbers"),
        ('label,vector\na,"[1, x]"\n', "line 2: the vector .* is not a list"),
        ("label,vector\na,[]\n", "the vector is empty"),
        ("label,f0,f1\na,1,2\nb,,2\n", "line 3: the column 'f0' is empty"),
        ("label,f0,f1\na,1,2\nb,x,2\n", "line 3: the column 'f0' holds 'x'"),
        ('name,vector\na,"[1, 2]"\n', "no column 'label'"),
        ("label,colour\na,red\n", "needs one of the columns path, text, sequence, series, vector"),
    ],
)
def test_what_does_not_fit(tmp_path, content, said):
    (tmp_path / "v.csv").write_text(content)
    with pytest.raises(DataError, match=said) as caught:
        Items.open(tmp_path / "v.csv")
    assert "\n" not in str(caught.value)


def test_parquet_of_mixed_dimensions_or_of_texts(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    for rows, said in (
        ([[1.0], [1.0, 2.0]], "row 2: the vector has 2 numbers, those before it have 1"),
        ([["x"], ["y"]], "not numbers"),
        ([[], []], "has 0 numbers"),
    ):
        parquet.write_table(
            pyarrow.table({"label": ["a", "b"], "vector": rows}), tmp_path / "v.parquet"
        )
        with pytest.raises(DataError, match=said):
            Items.open(tmp_path / "v.parquet")
    kind = pyarrow.list_(pyarrow.float32())
    empty = {"label": pyarrow.array([], "string"), "vector": pyarrow.array([], kind)}
    parquet.write_table(pyarrow.table(empty), tmp_path / "v.parquet")
    with pytest.raises(NotEnoughData, match="no rows"):
        Items.open(tmp_path / "v.parquet")


def test_broken_and_odd_arrays(tmp_path):
    for array in (np.zeros(3), np.array([["a"]]), np.zeros((2, 0))):
        np.save(tmp_path / "v.npy", array)
        with pytest.raises(DataError, match="vectors are n x dim numbers"):
            Items.open(tmp_path / "v.npy", levels=0)
    np.save(tmp_path / "v.npy", np.zeros((0, 3)))
    with pytest.raises(NotEnoughData, match="holds no vectors"):
        Items.open(tmp_path / "v.npy", levels=0)
    (tmp_path / "v.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(DataError, match="cannot be read as a NumPy array"):
        Items.open(tmp_path / "v.npy", levels=0)


def test_rows_by_name(tmp_path):
    (tmp_path / "v.csv").write_text('id,vector\nx,"[1, 2]"\n7,"[3, 4]"\n')
    place = tmp_path / "v.csv"
    assert named_row(f"{place}#x").tolist() == [1, 2]
    assert named_row(f"{place}#7").tolist() == [3, 4]
    assert named_row(f"{place}#2").tolist() == [3, 4]
    assert named_row("nothing#1") is None and named_row("a picture.png") is None
    with pytest.raises(DataError, match="has 2 rows and ids such as x, 7"):
        named_row(f"{place}#y")


def test_pairs_of_vectors(tmp_path):
    (tmp_path / "p.csv").write_text(
        'vector_a,vector_b,same\n"[1, 2]","[3, 4]",1\n"[1, 2]","[5, 6]",0\n'
    )
    pairs = Pairs.from_table(tmp_path / "p.csv")
    assert len(pairs) == 2 and len(pairs.values) == 3 and pairs.noun == "vector"
    assert pairs.values[pairs.index_a[0]].tolist() == [1, 2]
    (tmp_path / "p.csv").write_text('vector_a,vector_b,same\n"[1, 2]","[3]",1\n')
    with pytest.raises(DataError, match="has 1 numbers"):
        Pairs.from_table(tmp_path / "p.csv")

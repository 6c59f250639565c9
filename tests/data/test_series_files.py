"""Files of series become items: UCR's text, .ts, NPY and long tables; what does not fit is named by its line."""

import numpy as np
import pytest

from twofold.data.items import Items
from twofold.data.series_files import found_in, holds_many, named_series
from twofold.errors import DataError, NotEnoughData
from twofold.series_formats import channels_of


def written(folder, name, text):
    (folder / name).write_text(text)
    return folder / name


def lengths(items):
    return [value.shape for value in items.values]


def test_ucr_text_has_the_label_first_and_nan_at_the_end_is_padding(tmp_path):
    path = written(tmp_path, "a.tsv", "1\t0.5\t1.5\t2.5\n-1\t1\tNaN\t3\n1\t4\t5\tNaN\n")
    items = Items.open(path)
    assert items.names == ("1", "-1") and items.ids == ("a.tsv#1", "a.tsv#2", "a.tsv#3")
    assert lengths(items) == [(3, 1), (3, 1), (2, 1)] and np.isnan(items.values[1][1, 0])
    assert items.notes == (
        "3 series of 2 classes, 2 to 3 values long, 1 channel; values are missing in 1",
    )
    old = written(tmp_path, "old.txt", "  1.0000000e+00  0.5  1\n  2.0000000e+00  0.5  2\n")
    assert Items.open(old).names == ("1", "2")


def test_lines_of_different_length_are_series_of_different_length(tmp_path):
    path = written(tmp_path, "a.tsv", "1\t1\t2\t3\t4\n2\t1\t2\n1\t1\t2\t3\n2\t5\t6\n")
    assert lengths(Items.open(path)) == [(4, 1), (2, 1), (3, 1), (2, 1)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1\t1\t2\n2\t1\tx\n", r"a.tsv, line 2: 'x' is not a number"),
        ("1\t1\t2\n2\tNaN\tNaN\n", "line 2: no value follows the label"),
        ("0.5\t1\t2\n0.25\t1\t3\n0.125\t1\t3\n", "a.tsv has no labels: the first number"),
    ],
)
def test_ucr_text_that_does_not_fit(tmp_path, text, said):
    with pytest.raises(DataError, match=said):
        Items.open(written(tmp_path, "a.tsv", text))


def test_without_labels_the_first_number_belongs_to_the_series(tmp_path):
    path = written(tmp_path, "a.tsv", "0.5\t1\t2\n0.25\t1\t3\n")
    items = Items.open(path, levels=0)
    assert items.values[0].ravel().tolist() == [0.5, 1, 2] and len(items.names) == 2


HEAD = "# told\n@problemName x\n@univariate false\n@equalLength false\n"


def test_ts_has_channels_between_colons(tmp_path):
    text = HEAD + "@classLabel true up down\n@data\n1,2,?:4,5,6:up\n1,2:3,4:down\n"
    items = Items.open(written(tmp_path, "a.ts", text))
    assert items.names == ("down", "up") and lengths(items) == [(3, 2), (2, 2)]
    assert np.isnan(items.values[0][2, 0]) and items.values[0][:, 1].tolist() == [4, 5, 6]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("@classLabel true a\n@data\n1,2:4,5,6:a\n", "line 3: the channels .* have 2 to 3 values"),
        ("@classLabel true a\n@data\n1,2:\n", "line 3: no label follows"),
        ("@classLabel true a\n@data\n1,b:a\n", "line 3: 'b' is not a number"),
        ("@timestamps true\n@data\n(0,1):a\n", "has time stamps"),
        ("@targetLabel true\n@data\n1,2:0.5\n", "it is for regression"),
        ("1,2,3:a\n", "line 1: '1,2,3:a' stands before @data"),
        ("@classLabel true a\n", "has no line @data"),
        ("@classLabel false\n@data\n1,2\n", "has no labels"),
    ],
)
def test_ts_that_does_not_fit(tmp_path, text, said):
    with pytest.raises(DataError, match=said):
        Items.open(written(tmp_path, "a.ts", text))


def test_an_empty_file(tmp_path):
    with pytest.raises(NotEnoughData, match="holds no series"):
        Items.open(written(tmp_path, "a.ts", "@classLabel true a\n@data\n"))
    with pytest.raises(DataError, match="is empty"):
        Items.open(written(tmp_path, "b.tsv", ""))


def test_npy_of_three_axes_with_a_table_beside_it(tmp_path):
    array = np.random.default_rng(0).normal(size=(4, 6, 2)).astype(np.float32)
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(DataError, match=r"has no labels: put a table .* beside it, x.csv"):
        Items.open(tmp_path / "x.npy")
    assert len(Items.open(tmp_path / "x.npy", levels=0)) == 4
    written(tmp_path, "x.csv", "label,group\na,g\na,g\nb,h\nb,h\n")
    items = Items.open(tmp_path / "x.npy")
    assert items.names == ("a", "b") and items.groups == ("g", "h") and items.ids[0] == "x.npy#1"
    assert np.allclose(items.values[3], array[3])
    written(tmp_path, "x.csv", "label\na\n")
    with pytest.raises(DataError, match=r"has 4 series, and x\.csv 1 row"):
        Items.open(tmp_path / "x.npy")
    np.save(tmp_path / "turned.npy", array.transpose(0, 2, 1))
    with pytest.raises(DataError, match=r"series of 2 values and 6 channels.*transpose"):
        Items.open(tmp_path / "turned.npy", levels=0)


LONG = (
    "id,time,x,y,label,where\nA,2,1,10,on,lab\nA,1,0,20,on,lab\nB,1,5,,off,lab\nB,10,6,7,off,lab\n"
)


def test_a_long_table_is_grouped_by_id_and_sorted_by_time(tmp_path):
    items = Items.open(written(tmp_path, "long.csv", LONG))
    assert items.ids == ("A", "B") and items.names == ("off", "on")
    assert items.values[0].tolist() == [[0, 20], [1, 10]]
    assert items.values[1][:, 0].tolist() == [5, 6] and np.isnan(items.values[1][0, 1])
    assert "channels: x, y; left out, as they are not numbers: where" in items.notes[1]
    dated = LONG.replace(",2,", ",2026-11-02,").replace(",1,0", ",2026-11-01,0")
    dated = dated.replace("B,1,", "B,2026-11-01,").replace("B,10,", "B,2026-11-02,")
    assert Items.open(written(tmp_path, "dated.csv", dated)).values[0].tolist() == [
        [0, 20],
        [1, 10],
    ]


def test_a_series_with_two_labels(tmp_path):
    text = LONG.replace("A,1,0,20,on", "A,1,0,20,off")
    with pytest.raises(
        DataError, match=r"long.csv, line 2: the series 'A' has the label 'on' here"
    ):
        Items.open(written(tmp_path, "long.csv", text))
    with pytest.raises(DataError, match="no column of numbers"):
        Items.open(written(tmp_path, "b.csv", "id,time,label,x\nA,1,a,up\nA,2,a,down\n"))
    with pytest.raises(DataError, match="no column 'label'"):
        Items.open(written(tmp_path, "c.csv", "id,time,x\nA,1,3\nA,2,4\n"))


def test_what_a_file_holds(tmp_path):
    table = written(tmp_path, "t.csv", 'series,label\n"[1, 2]",a\n"[3, 4]",a\n')
    assert not found_in(table) and holds_many(table, channels=1)
    assert Items.open(table).values == ("[1, 2]", "[3, 4]")
    one = written(tmp_path, "one.csv", "time,x\n0,1\n1,2\n")
    assert not found_in(one) and not holds_many(one, channels=1)
    texts = written(tmp_path, "texts.tsv", "text\tlabel\nhello\ta\n")
    assert not found_in(texts)
    np.save(tmp_path / "rows.npy", np.zeros((3, 7)))
    assert holds_many(tmp_path / "rows.npy", channels=1)
    assert not holds_many(tmp_path / "rows.npy", channels=7)


def test_a_series_of_a_file_by_its_number_or_id(tmp_path):
    path = written(tmp_path, "a.tsv", "1\t0.5\t1.5\n2\t1\t3\n")
    assert named_series(f"{path}#2").ravel().tolist() == [1, 3]
    long = written(tmp_path, "long.csv", LONG)
    assert named_series(f"{long}#B")[:, 0].tolist() == [5, 6]
    assert named_series("[1, 2]") is None and named_series(f"{tmp_path}/no.ts#1") is None
    with pytest.raises(DataError, match="holds 2 series, called"):
        named_series(f"{path}#7")


def test_channels_of_whatever_is_given(tmp_path):
    assert channels_of(np.zeros((5, 3))) == 3 and channels_of(np.zeros(5)) == 1
    assert channels_of("[[1, 2], [3, 4]]") == 2 and channels_of("no") is None
    assert channels_of(written(tmp_path, "a.csv", "1,2\n3,4\n")) == 2

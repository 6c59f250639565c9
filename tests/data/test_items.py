"""Items by folder, table and array: what is read, in which order, and what the errors say."""

import csv
import errno
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from twofold.data.folders import levels_of
from twofold.data.hashes import content_hash
from twofold.data.items import Items
from twofold.errors import (
    DataError,
    IdentityOverlap,
    LeftOut,
    NotEnoughData,
    UnreadableInput,
    UsageError,
)


def fill(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(file)
    return root


def table(path: Path, header: str, *rows: str) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_many_folders_without_files_are_one_note(tmp_path: Path) -> None:
    fill(
        tmp_path,
        "a/1.png",
        "a/2.png",
        "b/1.png",
        *(f"deep{number}/more/x.png" for number in range(5)),
    )
    last = Items.from_folder(tmp_path).notes[-1]
    assert last == "5 folders hold no file that counts: deep0/, deep1/, deep2/, ..."


def test_a_folder_is_read_in_natural_order_with_strays_named(tmp_path: Path) -> None:
    fill(
        tmp_path,
        "s10/1.png",
        "s2/10.png",
        "s2/9.png",
        "README",
        "s2/more/x.png",
        ".git/config",
        "s2/.DS_Store",
    )
    (tmp_path / "empty").mkdir()
    items = Items.from_folder(tmp_path)
    assert items.ids == ("s2/9.png", "s2/10.png", "s10/1.png")
    assert items.names == ("s2", "s10") and items.labels.tolist() == [0, 0, 1]
    assert items.values[0] == tmp_path / "s2/9.png"
    assert items.strays == ("README", "s2/more/")
    assert items.notes == (
        "3 files of 2 identities, as identity/file",
        "empty/ holds no file that counts",
    )
    assert items.group is None and not items.forged.any()


def test_two_levels_make_groups(tmp_path: Path) -> None:
    fill(tmp_path, "Greek/alpha/1.png", "Greek/beta/1.png", "Latin/alpha/1.png", "Latin/readme.txt")
    items = Items.open(tmp_path, levels=2)
    assert items.names == ("Greek/alpha", "Greek/beta", "Latin/alpha")
    assert (
        items.groups == ("Greek", "Latin")
        and items.group is not None
        and items.group.tolist() == [0, 0, 1]
    )
    assert items.strays == ("Latin/readme.txt",)


def test_suffixes_leave_files_out(tmp_path: Path) -> None:
    fill(tmp_path, "a/1.PNG", "a/notes.txt", "b/1.png")
    items = Items.from_folder(tmp_path, suffixes=frozenset({".png"}))
    assert items.ids == ("a/1.PNG", "b/1.png") and items.strays == ("a/notes.txt",)


def test_forgeries_stay_with_their_writer_and_are_nobodys_genuine(tmp_path: Path) -> None:
    fill(tmp_path, "007/1", "007/2", "007_forg/1", "007_forg/2", "lone_forg/1", "lone_forg/2")
    items = Items.from_folder(tmp_path)
    forged = np.flatnonzero(items.forged)
    assert [items.ids[i] for i in forged] == ["007_forg/1", "007_forg/2"]
    assert len(set(items.labels[forged])) == 2 and not set(items.labels[forged]) & set(
        items.labels[~items.forged]
    )
    assert [items.identities[items.identity[i]] for i in forged] == ["007", "007"]
    assert items.identities == ("007", "lone_forg")  # nobody called "lone" stands beside it
    assert (
        "2 of the files are forgeries of the identity that their folder is named after (007_forg)"
        in items.notes
    )
    assert any(
        note.startswith("lone_forg: named like forgeries, but no genuine folder of that name")
        for note in items.notes
    )


@pytest.mark.parametrize(
    ("files", "levels", "says"),
    [
        (
            ["a.png", "b.png"],
            1,
            "0 sub-folders and 2 files in it. Put the files of each identity into a sub-folder",
        ),
        (
            ["g/a/1.png"],
            1,
            r"its sub-folders hold folders: for group/identity/file give --levels 2",
        ),
        (["a/1.png"], 2, r"its sub-folders hold files: for identity/file give --levels 1"),
        (["faces.csv"], 1, r"but tables \(faces.csv\): give the path of the table itself"),
    ],
)
def test_a_folder_of_another_shape_says_what_stands_there(
    tmp_path: Path, files: list[str], levels: int, says: str
) -> None:
    fill(tmp_path, *files)
    with pytest.raises(NotEnoughData, match=says):
        Items.open(tmp_path, levels=levels)


def test_open_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match="does not exist: DATA is a folder with one sub-folder per identity or a table",
    ):
        Items.open(tmp_path / "nothing")
    with pytest.raises(
        DataError,
        match=r"movie.mp4 is neither a folder .* or a table \(.csv, .tsv, .parquet, .jsonl, .ndjson\)",
    ):
        Items.open(fill(tmp_path, "movie.mp4") / "movie.mp4")
    with pytest.raises(DataError, match="is not a folder"):
        Items.from_folder(tmp_path / "nothing")
    with pytest.raises(UsageError, match="levels is 3: it is 1"):
        Items.from_folder(tmp_path, levels=3)


def test_a_table_of_files(tmp_path: Path) -> None:
    fill(tmp_path, "x/1.png", "x/2.png", "x/f.png")
    path = table(
        tmp_path / "t.csv",
        "path,label,group,source,forgery_of",
        "x/2.png,anna,north,roll 1,",
        "x/1.png,anna,north,,",
        "x/f.png,,north,,anna",
    )
    items = Items.open(path)
    assert (
        items.ids == ("x/2.png", "x/1.png", "x/f.png") and items.values[1] == tmp_path / "x/1.png"
    )
    assert items.forged.tolist() == [False, False, True]
    assert items.names == ("anna", "forgery of anna: x/f.png") and items.identities == ("anna",)
    assert items.sources == ("", "roll 1") and items.groups == ("north",)
    assert items.notes == (
        "3 rows with path, label, group, source, forgery_of",
        "1 of the rows are forgeries",
    )


@pytest.mark.parametrize(
    ("name", "header", "row"),
    [("t.tsv", "text\tlabel", "a b\tc"), ("t.csv", "text;label", "a b;c")],
)
def test_texts_and_other_delimiters(tmp_path: Path, name: str, header: str, row: str) -> None:
    items = Items.open(table(tmp_path / name, "\ufeff" + header, row, "", row))
    assert (
        items.values == ("a b", "a b") and items.ids == ("row 1", "row 2") and items.names == ("c",)
    )


def test_a_file_in_two_rows_keeps_ids_unique(tmp_path: Path) -> None:
    fill(tmp_path, "1.png")
    items = Items.open(table(tmp_path / "t.csv", "path,label", "1.png,a", "1.png,b"))
    assert items.ids == ("1.png", "1.png#2")


def test_parquet_is_read_like_csv(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(
        pyarrow.table({"sequence": ["ACGT", "ACGA"], "label": [3, 10]}), tmp_path / "t.parquet"
    )
    items = Items.open(tmp_path / "t.parquet")
    assert items.values == ("ACGT", "ACGA") and items.names == ("3", "10")
    parquet.write_table(
        pyarrow.table({"sequence": ["ACGT", None], "label": [3, 10]}), tmp_path / "t.parquet"
    )
    with pytest.raises(DataError, match=r"t.parquet, row 2: the field 'sequence' is empty"):
        Items.open(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        Items.open(table(tmp_path / "broken.parquet", "text"))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (
            ["file,label", "1.png,a"],
            "needs one of the columns path, text, sequence, series, vector .*and the column label: .* file, label",
        ),
        (["path,who", "1.png,a"], "t.csv has no column 'label': its columns are path, who"),
        (["path,who,forgery_of", "1.png,a,"], "t.csv has no column 'label'"),
        (["path,label", "1.png,a", "1.png,"], "t.csv, line 3: the field 'label' is empty"),
        (
            ["path,label,forgery_of", "1.png,a,", "1.png,,"],
            "t.csv, line 3: the field 'label' is empty",
        ),
        (
            ["path,label,forgery_of", "1.png,a,", "1.png,,b"],
            "t.csv, line 3: a forgery of 'b', but no genuine row",
        ),
        (["path,label,group", "1.png,a,"], "t.csv, line 2: the field 'group' is empty"),
        (
            ["path,label", "1.png,a", "2.png,a"],
            r"t.csv, line 3: there is no file .*2.png \(1 of 2 files of the column",
        ),
        (["path,label", "1.png,a,b"], "t.csv, line 2: 3 fields, the header has 2"),
        (["path,path,label", "1.png,a,b"], "two columns called 'path'"),
        (["a,b,same", "1.png,2.png,1"], "is a table of pairs .* verify --pairs"),
        (["path,label", '"1.png,a'], "cannot be read as text with columns"),
    ],
)
def test_a_bad_table_names_the_line(tmp_path: Path, lines: list[str], says: str) -> None:
    fill(tmp_path, "1.png")
    with pytest.raises(DataError, match=says):
        Items.from_table(table(tmp_path / "t.csv", *lines))


def test_an_empty_table(tmp_path: Path) -> None:
    with pytest.raises(NotEnoughData, match="has no rows below its header"):
        Items.from_table(table(tmp_path / "t.csv", "path,label"))
    with pytest.raises(NotEnoughData, match="is empty: the first line names the columns"):
        Items.from_table(table(tmp_path / "t.csv", ""))
    with pytest.raises(DataError, match="there is no table"):
        Items.from_table(tmp_path / "none.csv")
    with pytest.raises(DataError, match="is not a table"):
        Items.from_table(tmp_path / "none.xlsx")


def test_arrays() -> None:
    items = Items.from_arrays(np.zeros((3, 2)), [10, 2, 10], group=["a", "b", "a"])
    assert (
        items.names == ("2", "10")
        and items.labels.tolist() == [1, 0, 1]
        and items.ids == ("0", "1", "2")
    )
    assert items.values[0].shape == (2,)
    with pytest.raises(DataError, match="2 values, 3 ids, 3 labels"):
        Items.from_arrays(np.zeros((2, 2)), [1, 2, 3])
    with pytest.raises(DataError, match="ids must be unique: a appear more than once"):
        Items.from_arrays(np.zeros((2, 2)), [1, 2], ids=["a", "a"])
    with pytest.raises(NotEnoughData, match="there are no items"):
        Items.from_arrays([], [])


def test_take_and_where_make_codes_anew() -> None:
    items = Items.from_arrays(list("abcd"), ["x", "y", "z", "y"], group=["g", "h", "h", "h"])
    some = items.take([3, 1])
    assert some.values == ("d", "b") and some.names == ("y",) and some.labels.tolist() == [0, 0]
    assert some.groups == ("h",) and some.identities == ("y",)
    assert items.where(identities=["z", "x"]).values == ("a", "c")
    assert items.where(identities=["z", "x"], groups=["h"]).values == ("c",)
    assert len(items.where(identities=[])) == 0
    with pytest.raises(
        DataError, match="1 of 2 names are not among these 3 identity names: nobody"
    ):
        items.where(identities=["x", "nobody"])
    with pytest.raises(DataError, match="the items have no groups"):
        Items.from_arrays(["a"], ["x"]).where(groups=["g"])


def test_content_hashes(tmp_path: Path) -> None:
    fill(tmp_path, "a/1", "a/2")
    (tmp_path / "a/2").write_text("a/1")
    hashes = Items.open(tmp_path).content_hashes()
    assert (
        hashes[0]
        == hashes[1]
        == hashlib.sha256(b"a/1").hexdigest()
        == content_hash("a/1")
        == content_hash(b"a/1")
    )
    zeros = np.zeros((2, 3), np.uint8)
    assert content_hash(zeros) == content_hash(zeros.copy(order="F")) != content_hash(zeros.T)
    with pytest.raises(UnreadableInput, match="gone cannot be read: No such file"):
        content_hash(tmp_path / "gone")
    with pytest.raises(UnreadableInput, match="a dict has no content to hash"):
        content_hash({})


def sizes(counts: list[int], prefix: str = "p", group: list[str] | None = None) -> Items:
    labels = np.repeat([f"{prefix}{i}" for i in range(len(counts))], counts)
    groups = None if group is None else np.repeat(group, counts)
    return Items.from_arrays(np.arange(len(labels)), labels, group=groups)


def test_a_split_is_disjoint_whole_and_in_proportion() -> None:
    items = sizes([3] * 60 + [1] * 40)
    parts = items.split(seed=3)
    names = parts.names()
    assert sorted(sum(names.values(), ())) == sorted(items.identities)
    assert {part: len(found) for part, found in names.items()} == {
        "train": 70,
        "valid": 10,
        "calibrate": 10,
        "test": 10,
    }
    assert [int((np.bincount(getattr(parts, part).labels) > 1).sum()) for part in names] == [
        42,
        6,
        6,
        6,
    ]
    assert items.where(identities=names["test"]).ids == parts.test.ids


def test_a_split_depends_on_seed_not_on_the_order_of_rows() -> None:
    items = sizes([2] * 30)
    mixed = items.take(np.random.default_rng(0).permutation(len(items)))
    assert items.split().names() == mixed.split().names() != items.split(seed=1).names()
    # the parts that judge stay as they are when only train and valid trade shares
    assert items.split(0.6, 0.2).names()["test"] == items.split(0.8, 0.0).names()["test"]


def test_a_small_set_gets_two_identities_a_part_or_an_error() -> None:
    assert [len(names) for names in sizes([2] * 8).split().names().values()] == [2, 2, 2, 2]
    assert [
        len(names) for names in sizes([2] * 4).split(0.5, 0, calibrate=0.5, test=0).names().values()
    ] == [
        2,
        0,
        2,
        0,
    ]
    says = "identities with two items of one class: 4 parts of at least 2 need 8, there are 7"
    with pytest.raises(NotEnoughData, match=says):
        sizes([2] * 7 + [1] * 50).split()
    with pytest.raises(
        UsageError, match=r"train=0.5, valid=0.1, calibrate=0.1, test=0.1 add up to 0.8"
    ):
        sizes([2] * 9).split(0.5)
    with pytest.raises(UsageError, match="'identity' or by 'group'"):
        sizes([2] * 9).split(by="row")


def test_a_split_by_group_keeps_groups_whole() -> None:
    items = sizes([2] * 40, group=[f"g{i // 4}" for i in range(40)])
    parts = items.split(by="group")
    assert [len(getattr(parts, part).groups) for part in parts.names()] == [7, 1, 1, 1]
    assert sum(len(getattr(parts, part).groups) for part in parts.names()) == len(items.groups)
    with pytest.raises(NotEnoughData, match="groups: 4 parts of at least 1 need 4, there are 3"):
        sizes([2] * 6, group=list("aabbcc")).split(by="group")
    with pytest.raises(NotEnoughData, match="with 1 identity that has two items: it takes 2"):
        sizes([2] * 4, group=list("abcd")).split(by="group")
    with pytest.raises(UsageError, match="a split by group needs groups"):
        sizes([2] * 9).split(by="group")
    torn = Items.from_arrays(["a", "b"], ["x", "x"], group=["g", "h"])
    with pytest.raises(IdentityOverlap, match="identities in more than one group: x"):
        torn.split(by="group")


def test_forgeries_stay_on_their_writers_side_of_a_split(tmp_path: Path) -> None:
    with (tmp_path / "t.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "forgery_of"])
        writer.writerows([[f"{w} {i}", f"w{w}", ""] for w in range(12) for i in range(2)])
        writer.writerows([[f"forged {w} {i}", "", f"w{w}"] for w in range(12) for i in range(3)])
    parts = Items.open(tmp_path / "t.csv").split()
    for part, names in parts.names().items():
        items = getattr(parts, part)
        assert len(items) == 5 * len(names) and items.forged.sum() == 3 * len(names)


def test_a_folder_without_labels(tmp_path: Path) -> None:
    fill(
        tmp_path,
        "b.png",
        "10.png",
        "9.png",
        "deep/er/x.png",
        "deep/1.png",
        ".hidden/y.png",
        "notes.txt",
    )
    items = Items.open(tmp_path, levels=0)
    assert items.ids == ("9.png", "10.png", "b.png", "notes.txt", "deep/1.png", "deep/er/x.png")
    assert [items.names[code] for code in items.labels] == list(items.ids), "each stands for itself"
    assert items.values[4] == tmp_path / "deep/1.png"
    assert items.notes == ("6 files without labels",) and items.strays == ()
    some = Items.from_folder(tmp_path, levels=0, suffixes=frozenset({".png"}))
    assert len(some) == 5 and some.strays == ("notes.txt",)
    assert (levels_of(tmp_path), levels_of(tmp_path / "deep" / "er")) == (1, 0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotEnoughData, match="empty and its sub-folders hold no file that counts"):
        Items.open(tmp_path / "empty", levels=0)


def test_a_table_without_labels(tmp_path: Path) -> None:
    fill(tmp_path, "1.png", "2.png")
    path = table(tmp_path / "t.csv", "path", "1.png", "2.png")
    items = Items.open(path, levels=0)
    assert [items.names[code] for code in items.labels] == ["1.png", "2.png"]
    assert items.notes == ("2 rows with path",)
    with pytest.raises(DataError, match="has no column 'label'"):
        Items.open(path)
    labelled = table(tmp_path / "l.csv", "path,label", "1.png,a", "2.png,a")
    assert Items.open(labelled, levels=0).names == ("a",)


def test_other_columns_are_metadata(tmp_path: Path) -> None:
    rows = ("a,x,red,3,2.50,007", "b,x,,4,,12")
    items = Items.open(table(tmp_path / "t.csv", "text,label,colour,pieces,price,code", *rows))
    assert items.metadata == (
        {"colour": "red", "pieces": 3, "price": 2.5, "code": "007"},
        {"pieces": 4, "code": "12"},
    )
    assert items.take([1]).metadata == ({"pieces": 4, "code": "12"},)
    assert Items.open(table(tmp_path / "u.csv", "text,label", "a,x")).metadata is None


def closing(monkeypatch, name, number=errno.EACCES):
    """Let the system refuse to list folders of this name; root itself may read everything."""
    scandir = os.scandir

    def refusing(path):
        if Path(path).name == name:
            raise OSError(number, os.strerror(number), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_a_folder_that_may_not_be_read_is_left_out_and_named(tmp_path, monkeypatch, levels):
    fill(tmp_path, "a/b/1.png", "lost+found/x/2.png") if levels != 1 else fill(
        tmp_path, "a/1.png", "lost+found/2.png"
    )
    closing(monkeypatch, "lost+found")
    with pytest.warns(
        LeftOut, match=r"1 folder or link is left out .*: lost\+found/ \(Permission denied\)$"
    ):
        items = Items.from_folder(tmp_path, levels=levels)
    assert len(items) == 1
    assert not any("lost+found" in note for note in items.notes)


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_the_data_themselves_must_be_readable(tmp_path, monkeypatch, levels):
    closing(monkeypatch, fill(tmp_path / "shut", "a/1.png").name)
    with pytest.raises(
        DataError, match=r"shut cannot be read \(Permission denied\): check its permissions"
    ):
        Items.from_folder(tmp_path / "shut", levels=levels)


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_links_never_lead_in_a_circle(tmp_path, levels):
    data = (
        fill(tmp_path / "data", "a/1.png") if levels == 1 else fill(tmp_path / "data", "a/b/1.png")
    )
    (data / "up").symlink_to(tmp_path)
    (data / "self").symlink_to(data)
    (data / "again").symlink_to(data / "a")
    (data / "one").symlink_to("two")
    (data / "two").symlink_to("one")
    with pytest.warns(LeftOut) as caught:
        items = Items.from_folder(data, levels=levels)
    said = str(caught[0].message)
    assert len(items) == 1
    assert (
        "up (a link to a folder above)" in said
        and "again (a link to a folder that is in the data already)" in said
    )
    assert (
        "5 folders and links are left out" in said and f"one ({os.strerror(errno.ELOOP)})" in said
    )


@pytest.mark.parametrize("levels", [0, 1])
def test_a_link_to_a_folder_elsewhere_is_followed_once(tmp_path, levels):
    data, other = fill(tmp_path / "data", "a/1.png"), fill(tmp_path / "other", "2.png")
    (other / "around").symlink_to(other)
    (data / "b").symlink_to(other)
    (data / "c").symlink_to(other)
    with pytest.warns(LeftOut, match=r"c \(a link to a folder that is in the data already\)"):
        items = Items.from_folder(data, levels=levels)
    assert items.ids == ("a/1.png", "b/2.png")


def test_a_link_into_a_hidden_folder_of_the_data_is_followed(tmp_path):
    data = fill(tmp_path / "data", ".objects/a/1.png")
    (data / "a").symlink_to(".objects/a")
    assert Items.from_folder(data).ids == ("a/1.png",)


def test_parquet_of_too_many_columns_is_refused_before_its_rows_are_read(tmp_path, monkeypatch):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    from twofold.data import tables

    parquet.write_table(pyarrow.table({f"c{n}": [1] for n in range(12)}), tmp_path / "wide.parquet")
    monkeypatch.setattr(tables, "MOST_COLUMNS", 10)
    monkeypatch.setattr(parquet, "read_table", lambda *_: pytest.fail("the rows were read"))
    with pytest.raises(
        DataError, match=r"wide.parquet has 12 columns, more than 10: a row should be an item"
    ):
        Items.open(tmp_path / "wide.parquet")


def test_sites_of_a_table(tmp_path):
    (tmp_path / "t.csv").write_text("text,label,site\na,x,Rome\nb,x,Rome\nc,y,Oslo\n")
    items = Items.open(tmp_path / "t.csv")
    assert items.sites == ("Oslo", "Rome") and items.site.tolist() == [1, 1, 0]
    assert items.metadata[0]["site"] == "Rome"
    assert items.take([2]).sites == ("Oslo",) and items.at_sites("none").site is None
    with pytest.raises(DataError, match="the items have no groups to be sites"):
        items.at_sites("group")
    (tmp_path / "t.csv").write_text("text,label,site,group\na,x,,g\nb,x,Rome,g\n")
    items = Items.open(tmp_path / "t.csv")
    assert items.site is None and "1 row has no site, so that sites are not used" in items.notes
    assert items.at_sites("group").sites == ("g",)


def test_json_lines_are_a_table(tmp_path):
    lines = [
        '{"text": "Anna Smith", "Label": "a", "born": 1970}',
        "",
        '{"text": " A. Smith ", "Label": "a", "born": null}',
    ]
    (tmp_path / "names.jsonl").write_text(
        "\n".join([*lines, '{"text": "Bob", "Label": "b", "born": 1980}'])
    )
    items = Items.open(tmp_path / "names.jsonl")
    assert items.values == ("Anna Smith", "A. Smith", "Bob") and items.names == ("a", "b")
    assert items.metadata == ({"born": 1970}, {}, {"born": 1980})
    (tmp_path / "names.jsonl").write_text('{"text": "x", "label": "a"}\n[1]\n')
    with pytest.raises(DataError, match=r"names.jsonl, line 2: '\[1\]' is not an object"):
        Items.open(tmp_path / "names.jsonl")


def test_the_column_id_names_texts(tmp_path):
    (tmp_path / "names.csv").write_text("id,text,label\nx,Anna,a\ny,Anne,a\nx,Bob,b\n")
    assert Items.open(tmp_path / "names.csv").ids == ("x", "y", "x#2")

"""Decisions carried out and taken back; what is refused before a file moves."""

import pytest

from twofold.data.trash import TRASH, apply_decisions
from twofold.errors import CannotWrite, DataError


@pytest.fixture
def data(tmp_path):
    root = tmp_path / "data"
    (root / "sub").mkdir(parents=True)
    for name in ("a.png", "b.png", "sub/b.png", "c.png"):
        (root / name).write_bytes(name.encode())
    return root


def decided(data, *rows, head="group,path,decision,bytes"):
    table = data.parent / "decisions.csv"
    table.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return table


def names(data):
    return sorted(path.relative_to(data).as_posix() for path in data.rglob("*.png"))


def test_files_move_and_come_back(data):
    before = names(data)
    table = decided(data, "1,a.png,keep,5", "1,b.png,delete,5", "1,sub/b.png,delete,9")
    moved = apply_decisions(data, table)
    assert moved.files == {"b.png": f"{TRASH}/b.png", "sub/b.png": f"{TRASH}/sub/b.png"}
    assert names(data) == [f"{TRASH}/b.png", f"{TRASH}/sub/b.png", "a.png", "c.png"]
    assert (data / TRASH / "sub/b.png").read_bytes() == b"sub/b.png"
    back = apply_decisions(data, moved.undo)
    assert back.undo is None and len(back.files) == 2
    assert names(data) == before


def test_what_lies_in_the_trash_stays(data):
    apply_decisions(data, decided(data, "1,a.png,keep,5", "1,b.png,delete,5"))
    (data / "b.png").write_bytes(b"again")
    moved = apply_decisions(data, decided(data, "1,a.png,keep,5", "1,b.png,delete,5"))
    assert moved.files == {"b.png": f"{TRASH}/b-1.png"}
    assert (data / TRASH / "b.png").read_bytes() == b"b.png"
    assert (data / TRASH / "b-1.png").read_bytes() == b"again"
    assert len(list((data / TRASH).glob("undo-*.csv"))) == 2


def test_nothing_decided_moves_nothing(data):
    moved = apply_decisions(data, decided(data, "1,a.png,keep,5"))
    assert not moved.files and moved.undo is None and not (data / TRASH).exists()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["1,a.png,delete,5", "1,b.png,delete,5"], "nothing would be left of group 1: keep one of each"),
        (["1,a.png,keep,5", "1,b.png,remove,5"], "line 3: decision 'remove' is neither keep nor delete"),
        (["1,a.png,keep,5", "1,z.png,delete,5"], "line 3: z.png is no file in"),
        (["1,a.png,keep,5", "1,b.png,delete,7"], "b.png has 5 bytes, and had 7 when it was looked at: look again"),
        (["1,a.png,keep,5", "1,../data/b.png,delete,5"], "lies outside"),
        (["1,a.png,keep,5", "1,/etc/hostname,delete,5"], "/etc/hostname lies outside"),
        (["1,a.png,keep,5", "1,b.png,delete,5", "1,b.png,delete,5"], "names b.png twice"),
    ],
)
def test_what_is_wrong_is_said_before_anything_moves(data, rows, said):
    before = names(data)
    with pytest.raises(DataError, match=said):
        apply_decisions(data, decided(data, *rows))
    assert names(data) == before and not (data / TRASH).exists()


def test_a_link_out_of_the_data_is_refused(data, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.png").write_bytes(b"x")
    (data / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(DataError, match=r"link/x\.png lies outside"):
        apply_decisions(data, decided(data, "1,a.png,keep,5", "1,link/x.png,delete,1"))


def test_other_tables_and_places_are_refused(data, tmp_path):
    with pytest.raises(DataError, match="has the columns path, label, where group, path, decision, bytes belong"):
        apply_decisions(data, decided(data, "a.png,x", head="path,label"))
    with pytest.raises(DataError, match="cannot be read as a table of decisions"):
        apply_decisions(data, tmp_path / "nothing.csv")
    with pytest.raises(DataError, match="is no folder"):
        apply_decisions(tmp_path / "nowhere", decided(data, "1,a.png,keep,5"))


def test_undoing_does_not_overwrite(data):
    moved = apply_decisions(data, decided(data, "1,a.png,keep,5", "1,b.png,delete,5"))
    (data / "b.png").write_bytes(b"new")
    with pytest.raises(DataError, match=r"b\.png stands there again"):
        apply_decisions(data, moved.undo)
    assert (data / "b.png").read_bytes() == b"new"


def test_a_place_that_takes_no_file(data):
    (data / TRASH).write_bytes(b"a file where the folder belongs")
    with pytest.raises(CannotWrite, match="No file was moved"):
        apply_decisions(data, decided(data, "1,a.png,keep,5", "1,b.png,delete,5"))
    assert "b.png" in names(data)

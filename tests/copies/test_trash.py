"""Decisions carried out and taken back; what is refused before a file moves."""

import os
import unicodedata
from pathlib import Path

import pytest

from twofold.copies import trash
from twofold.copies import undo as undoing
from twofold.copies.trash import TRASH, apply_decisions, unfinished
from twofold.errors import CannotWrite, DataError, NotEnoughData
from twofold.files import sha256_file


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
        (
            ["1,a.png,delete,5", "1,b.png,delete,5"],
            "nothing would be left of group 1: keep one of each",
        ),
        (
            ["1,a.png,keep,5", "1,b.png,remove,5"],
            "line 3: the decision 'remove' is neither keep nor delete",
        ),
        (["1,a.png,keep,5", "1,z.png,delete,5"], "line 3: z.png is not a file in"),
        (
            ["1,a.png,keep,5", "1,b.png,delete,7"],
            "b.png has 5 bytes, and had 7 when it was looked at: look again",
        ),
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
    with pytest.raises(
        DataError, match="has the columns path, label, where group, path, decision, bytes belong"
    ):
        apply_decisions(data, decided(data, "a.png,x", head="path,label"))
    with pytest.raises(DataError, match=r"nothing\.csv cannot be read: No such file"):
        apply_decisions(data, tmp_path / "nothing.csv")
    with pytest.raises(DataError, match="is not a folder"):
        apply_decisions(tmp_path / "nowhere", decided(data, "1,a.png,keep,5"))


def test_undoing_does_not_overwrite(data):
    moved = apply_decisions(data, decided(data, "1,a.png,keep,5", "1,b.png,delete,5"))
    (data / "b.png").write_bytes(b"new")
    with pytest.raises(DataError, match=r"b\.png exists again"):
        apply_decisions(data, moved.undo)
    assert (data / "b.png").read_bytes() == b"new"


def test_a_place_that_takes_no_file(data):
    (data / TRASH).write_bytes(b"a file where the folder belongs")
    with pytest.raises(CannotWrite, match="No file was moved"):
        apply_decisions(data, decided(data, "1,a.png,keep,5", "1,b.png,delete,5"))
    assert "b.png" in names(data)


def whole(data):
    """Every file and folder outside the trash: content and time."""
    return {
        path.relative_to(data).as_posix(): (
            path.read_bytes() if path.is_file() else None,
            path.stat().st_mtime_ns,
        )
        for path in [data, *data.rglob("*")]
        if TRASH not in path.parts
    }


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["1,gone.png,keep,5", "1,b.png,delete,5"], "gone.png is kept, but there is no such file"),
        (["1,a.png,keep,7", "1,b.png,delete,5"], "a.png has 5 bytes, and had 7"),
        (
            ["1,a.png,keep,5", "1,b.png,delete,5", "2,b.png,keep,5", "2,c.png,delete,5"],
            "both are the same file",
        ),
        (["1,a.png,keep,5", "1,./b.png,delete,5", "1,b.png,delete,5"], "are the same file"),
        (
            ["1,a.png,keep,5", "1,./a.png,delete,5"],
            "a.png is kept in group 1, and ./a.png is to go",
        ),
        (
            ["1,a.png,keep,5", "1,hard.png,delete,5"],
            "a.png is kept in group 1, and hard.png is to go",
        ),
        (
            ["1,soft.png,keep,5", "1,a.png,delete,5"],
            "soft.png is reached through the link soft.png",
        ),
        (
            ["1,a.png,keep,5", "1,latest/b.png,delete,9"],
            "latest/b.png is reached through the link latest",
        ),
        (
            ["1,old,keep,", "1,b.png,delete,5"],
            "old is kept by an index, and where its file lies is not known",
        ),
        (["1,a.png,keep,5", "1,b.png,delete"], "line 3: 3 fields, the header has 4"),
        (["1,a.png,keep,5", "1,b.png,delete,5,more"], "line 3: 5 fields, the header has 4"),
    ],
)
def test_the_last_copy_is_never_lost(data, rows, said):
    (data / "hard.png").hardlink_to(data / "a.png")
    (data / "soft.png").symlink_to(data / "a.png")
    (data / "latest").symlink_to("sub")
    before = whole(data)
    with pytest.raises(DataError, match=said):
        apply_decisions(data, decided(data, *rows))
    assert whole(data) == before and not (data / TRASH).exists()


def test_what_was_moved_by_an_earlier_list_is_not_kept(data):
    apply_decisions(data, decided(data, "1,a.png,keep,5", "1,b.png,delete,5"))
    with pytest.raises(DataError, match=r"b\.png is kept, but there is no such file"):
        apply_decisions(data, decided(data, "1,b.png,keep,5", "1,a.png,delete,5"))
    with pytest.raises(DataError, match="lies in the trash"):
        apply_decisions(data, decided(data, f"1,{TRASH}/b.png,keep,5", "1,a.png,delete,5"))
    assert (data / "a.png").exists()


def test_a_file_with_new_content_is_refused_though_size_and_time_are_the_same(data):
    head = "group,path,decision,bytes,time,sha256"
    rows = [
        f"1,{name},{decision},5,{(data / name).stat().st_mtime_ns},{sha256_file(data / name)}"
        for name, decision in (("a.png", "keep"), ("b.png", "delete"))
    ]
    time = (data / "a.png").stat().st_mtime_ns
    for name in ("a.png", "b.png"):
        old = (data / name).read_bytes()
        (data / name).write_bytes(b"other")
        os.utime(data / name, ns=(time, time))
        with pytest.raises(DataError, match=f"the content of {name} has changed"):
            apply_decisions(data, decided(data, *rows, head=head))
        (data / name).write_bytes(old)
    os.utime(data / "b.png", ns=(1, 1))  # the same content at another time is the same
    assert apply_decisions(data, decided(data, *rows, head=head)).files


def test_without_a_hash_the_time_counts(data):
    head = "group,path,decision,bytes,time"
    with pytest.raises(DataError, match=r"a\.png has changed since"):
        apply_decisions(data, decided(data, "1,a.png,keep,5,17", "1,b.png,delete,5,17", head=head))


def test_names_that_differ_in_case_or_unicode_only_are_files_of_their_own(data):
    names = [unicodedata.normalize(form, "\u00e9.png") for form in ("NFC", "NFD")] + ["B.png"]
    for name in names:
        (data / name).write_bytes(name.encode())
    rows = [f"1,{name},delete,{len(name.encode())}" for name in [*names, "b.png"]]
    before = whole(data)
    moved = apply_decisions(data, decided(data, "1,a.png,keep,5", *rows))
    targets = {unicodedata.normalize("NFC", target).casefold() for target in moved.files.values()}
    assert len(targets) == 4  # they do not meet in a trash that holds such names for one
    apply_decisions(data, moved.undo)
    assert whole(data) == before


class Killed(BaseException):
    """No handler of errors sees it: as if the process were gone."""


def stops_after(monkeypatch, count, error):
    moves = []
    rename = trash.rename_without_replacing

    def moving(path, target):
        if len(moves) == count:
            moves.append(None)
            raise error
        moves.append(path)
        rename(path, target)

    for module in (trash, undoing):
        monkeypatch.setattr(module, "rename_without_replacing", moving)


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_fails_is_taken_back_and_the_undo_list_is_named(data, monkeypatch, count, error):
    before = whole(data)
    table = decided(
        data, "1,a.png,keep,5", "1,b.png,delete,5", "1,sub/b.png,delete,9", "1,c.png,delete,5"
    )
    stops_after(monkeypatch, count, error)
    wanted = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else CannotWrite
    with pytest.raises(
        wanted, match=r"Every file is in its place; the undo list is .*undo-.*\.csv"
    ):
        apply_decisions(data, table)
    assert whole(data) == before and not unfinished(data)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_what_was_killed_is_taken_back_by_the_next_run(data, monkeypatch, count):
    before = whole(data)
    rows = ["1,a.png,keep,5", "1,b.png,delete,5", "1,sub/b.png,delete,9", "1,c.png,delete,5"]
    table = decided(data, *rows)
    with monkeypatch.context() as patch:
        stops_after(patch, count, Killed())
        patch.setattr(trash, "_taken_back", lambda root, undo: "")
        with pytest.raises(Killed):
            apply_decisions(data, table)
    assert len(unfinished(data)) == 1
    moved = apply_decisions(data, decided(data, "1,a.png,keep,5"))
    assert (
        "an earlier run was cut off" in moved.notes[0]
        and whole(data) == before
        and not unfinished(data)
    )
    again = apply_decisions(data, decided(data, *rows))
    assert len(again.files) == 3
    apply_decisions(data, again.undo)
    assert whole(data) == before


def test_an_undo_that_was_cut_off_goes_on(data, monkeypatch):
    before = whole(data)
    table = decided(
        data, "1,a.png,keep,5", "1,b.png,delete,5", "1,sub/b.png,delete,9", "1,c.png,delete,5"
    )
    undo = apply_decisions(data, table).undo
    with monkeypatch.context() as patch:
        stops_after(patch, 1, OSError(5, "Input/output error"))
        with pytest.raises(
            CannotWrite, match="1 of 3 files are back; the same command takes the others"
        ):
            apply_decisions(data, undo)
    again = apply_decisions(data, undo)
    assert (
        "2 of its files were put back" in again.notes[0]
        and whole(data) == before
        and not unfinished(data)
    )


def test_undo_restores_the_times_of_folders_unless_they_have_changed(data):
    os.utime(data / "sub", ns=(10**18, 10**18))
    before = whole(data)
    table = decided(data, "1,a.png,keep,5", "1,b.png,delete,5", "1,sub/b.png,delete,9")
    apply_decisions(data, apply_decisions(data, table).undo)
    assert whole(data) == before
    undo = apply_decisions(data, table).undo
    (data / "sub" / "new.png").write_bytes(b"new")
    os.utime(data / "sub", ns=(2 * 10**18, 2 * 10**18))
    apply_decisions(data, undo)
    assert (data / "sub").stat().st_mtime_ns != 10**18


def test_undo_says_what_is_nowhere(data):
    moved = apply_decisions(data, decided(data, "1,a.png,keep,5", "1,b.png,delete,5"))
    (data / TRASH / "b.png").unlink()
    with pytest.raises(DataError, match=r"b\.png of .* is neither in its place nor in the trash"):
        apply_decisions(data, moved.undo)


def test_sidecars_go_along_and_come_back(data):
    for name in (
        "b.png.xmp",
        "b.xmp",
        "a.xmp",
        "c.json",
        "c.raw",
        "sub/b.AAE",
        "b.png.supplemental-metadata.json",
    ):
        (data / name).write_bytes(b"of " + name.encode())
    before = whole(data)
    rows = ["1,a.png,keep,5", "1,b.png,delete,5", "1,sub/b.png,delete,9", "1,c.png,delete,5"]
    moved = apply_decisions(data, decided(data, *rows))
    along = {"b.png.xmp", "b.xmp", "sub/b.AAE", "b.png.supplemental-metadata.json"}
    # c.json may be of c.raw, too, which stays
    assert set(moved.files) == {"b.png", "sub/b.png", "c.png", *along}
    apply_decisions(data, moved.undo)
    assert whole(data) == before


def test_hard_links_stand_where_equal_files_were(data):
    (data / "b.png").write_bytes(b"a.png")
    os.utime(data / "b.png", ns=(10**18, 10**18))
    before = whole(data)
    table = decided(data, "1,a.png,keep,5", "1,b.png,delete,5", "1,sub/b.png,delete,9")
    moved = apply_decisions(data, table, link=True)
    assert moved.linked == {"b.png": "a.png"} and moved.left == ("sub/b.png",)
    assert (data / "b.png").samefile(data / "a.png")
    apply_decisions(data, moved.undo)
    assert whole(data) == before and not (data / "b.png").samefile(data / "a.png")


def test_a_disk_below_the_data_has_a_trash_of_its_own(data, monkeypatch):
    disk = trash._top_of_disk
    monkeypatch.setattr(
        trash,
        "_top_of_disk",
        lambda root, move: Path("sub") if move.path.startswith("sub/") else disk(root, move),
    )
    moved = apply_decisions(
        data, decided(data, "1,a.png,keep,5", "1,b.png,delete,5", "1,sub/b.png,delete,9")
    )
    assert moved.files == {"b.png": f"{TRASH}/b.png", "sub/b.png": f"sub/{TRASH}/b.png"}
    apply_decisions(data, moved.undo)
    assert (data / "sub" / "b.png").exists()


def test_a_trash_that_is_a_link_is_refused(data, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (data / TRASH).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CannotWrite, match="is not a folder of its own"):
        apply_decisions(data, decided(data, "1,a.png,keep,5", "1,b.png,delete,5"))


def test_two_runs_do_not_move_files_at_once(data):
    with trash._alone(data), pytest.raises(CannotWrite, match="another run is moving files"):
        apply_decisions(data, decided(data, "1,a.png,keep,5", "1,b.png,delete,5"))


@pytest.mark.parametrize("text", ["hello\n", ""])
def test_a_text_that_is_not_a_list_is_refused(data, text):
    (data.parent / "note.txt").write_text(text)
    with pytest.raises(
        (DataError, NotEnoughData),
        match=r"is neither a table of decisions nor an undo list|is empty",
    ):
        apply_decisions(data, data.parent / "note.txt")


def test_decisions_about_a_table_are_about_its_folder(data):
    (data / "table.csv").write_text("path\na.png\nb.png\n")
    moved = apply_decisions(data / "table.csv", decided(data, "1,a.png,keep,5", "1,b.png,delete,5"))
    assert moved.files == {"b.png": f"{TRASH}/b.png"}


@pytest.mark.parametrize("link", [False, True])
def test_names_that_are_not_utf8_go_and_come_back(data, link):
    r"""Tables hold them with \xNN; a file that is really called so is another one."""
    files = {
        b"x\xff.png": b"same",
        b"x\\xff.png": b"same",
        b"s\xe9b/y\xfe.png": b"same",
        b"keep\x80.png": b"same",
    }
    for name, content in files.items():
        place = Path(os.fsdecode(os.fsencode(data) + b"/" + name))
        place.parent.mkdir(exist_ok=True)
        try:
            place.write_bytes(content)
        except OSError:
            pytest.skip("this file system takes UTF-8 names only")
    (data / "x\\xff.png").unlink()
    before = sorted(os.fsencode(name) for name in names(data))
    rows = ["1,keep\\x80.png,keep,4", "1,x\\xff.png,delete,4", "1,s\\xe9b/y\\xfe.png,delete,4"]
    moved = apply_decisions(data, decided(data, *rows), link=link)
    assert moved.files["x\\xff.png"] == f"{TRASH}/x\\xff.png"
    assert set(moved.linked) == (set(moved.files) if link else set())
    assert os.path.lexists(os.fsencode(data) + b"/.twofold-trash/s\xe9b/y\xfe.png")
    (data / "x\\xff.png").write_bytes(b"another, of this very name")
    back = apply_decisions(data, moved.undo)
    assert set(back.files.values()) == {"x\\xff.png", "s\\xe9b/y\\xfe.png"}
    (data / "x\\xff.png").unlink()
    assert sorted(os.fsencode(name) for name in names(data)) == before


def test_an_undo_list_with_broken_bytes_moves_nothing(data):
    moved = apply_decisions(data, decided(data, "1,a.png,keep,5", "1,b.png,delete,5"))
    moved.undo.write_text(f"path,moved_to,linked_to,time,raw\nb.png,{TRASH}/b.png,,1,xyz\n")
    with pytest.raises(DataError, match="raw 'xyz' does not stand for three names"):
        apply_decisions(data, moved.undo)
    assert not (data / "b.png").exists()

"""Labels from file names: the field is named, and names without it are refused."""

import pytest

from twofold import Items
from twofold.errors import DataError, UsageError


@pytest.fixture
def folder(tmp_path):
    for name in ("7_anna_0.wav", "7_berta_0.wav", "3_anna_1.wav", "deeper/3_berta_0.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def test_the_same_folder_gives_words_and_speakers(folder):
    words = Items.from_file_names(folder, field=1)
    assert words.identities == ("3", "7") and len(words) == 4
    speakers = Items.from_file_names(folder, field=2)
    assert speakers.identities == ("anna", "berta")
    assert speakers.notes == ("4 files; field 2 of their names is the label: anna, berta",)


def test_the_field_must_be_named(folder):
    with pytest.raises(
        UsageError, match=r"--label-field N: the fields of 3_anna_1 are 1 3, 2 anna, 3 1"
    ):
        Items.from_file_names(folder)
    with pytest.raises(DataError, match=r"4 names in .* without a field 4 between '_'"):
        Items.from_file_names(folder, field=4)
    (folder / "7.wav").write_bytes(b"")
    with pytest.raises(DataError, match=r"1 name in .* of 5 without a field 2 .*7\.wav"):
        Items.from_file_names(folder, field=2)


def test_the_variables_of_the_command_line(folder, monkeypatch):
    monkeypatch.setenv("TWOFOLD_LABEL_FROM", "name")
    monkeypatch.setenv("TWOFOLD_LABEL_FIELD", "2")
    assert Items.open(folder).identities == ("anna", "berta")
    assert len(Items.open(folder, levels=0).identities) == 4
    monkeypatch.setenv("TWOFOLD_LABEL_FROM", "header")
    with pytest.raises(UsageError, match="is folder or name, not 'header'"):
        Items.open(folder)

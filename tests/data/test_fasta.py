"""FASTA: which field of the headers is the label, and what is not FASTA."""

import pytest

from twofold.data.items import Items
from twofold.errors import DataError, NotEnoughData, UsageError


def written(path, *records):
    path.write_text("".join(f">{header}\n{text}\n" for header, text in records))
    return path


BATS = [
    ("EF01|Artibeus amplus|ROM 1|COI", "ACGT"),
    ("EF02|Artibeus amplus|ROM 2|COI", "ACGG\nTT"),
    ("EF03|Ametrida centurio|ROM 3|COI", "ACCC"),
    ("EF04|Ametrida centurio|ROM 3|COI", "ACCT"),
    ("EF05|Ametrida centurio|ROM 5|COI", "ACCA"),
]


def test_the_label_is_the_finest_field_that_records_have_in_common(tmp_path):
    items = Items.open(written(tmp_path / "bats.fasta", *BATS))
    assert items.identities == ("Ametrida centurio", "Artibeus amplus")
    assert items.values[1] == "ACGGTT" and items.ids[0] == BATS[0][0]
    (note,) = items.notes
    assert note.startswith("5 records; field 2 of 4 of their headers is the label: Artibeus amplus")
    assert "--label-field N" in note


def test_another_field_is_named(tmp_path, monkeypatch):
    place = written(tmp_path / "bats.fa", *BATS)
    assert Items.from_fasta(place, field=3).identities == ("ROM 1", "ROM 2", "ROM 3", "ROM 5")
    monkeypatch.setenv("TWOFOLD_LABEL_FIELD", "4")
    assert Items.open(place).identities == ("COI",)
    with pytest.raises(DataError, match=r"bats\.fa has no field 5 of labels.* with 4 fields"):
        Items.from_fasta(place, field=5)
    monkeypatch.setenv("TWOFOLD_LABEL_FIELD", "two")
    with pytest.raises(UsageError, match="must be a positive whole number, not 'two'"):
        Items.open(place)


@pytest.mark.parametrize("divider", ["|", ";", "\t", " "])
def test_fields_stand_between_bars_semicolons_tabs_or_blanks(tmp_path, divider):
    records = [(divider.join([f"id{n}", f"species{n // 2}"]), "ACGT") for n in range(6)]
    items = Items.open(written(tmp_path / "a.fna", *records))
    assert items.identities == ("species0", "species1", "species2")


def test_records_without_labels_are_named_by_their_headers(tmp_path):
    records = [(name, "ACGT") for name in ("one", "one", "", "four", "five")]
    items = Items.open(written(tmp_path / "a.fas", *records), 0)
    assert items.ids == ("one", "one#2", "record 3", "four", "five")
    assert len(items.identities) == 5
    bats = Items.open(written(tmp_path / "bats.fasta", *BATS), 0)
    assert bats.identities == ("Ametrida centurio", "Artibeus amplus"), "as of tables with labels"


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        ("", NotEnoughData, "holds no records"),
        ("ACGT\n", DataError, r"line 1: a FASTA file begins with a header .* 'ACGT'"),
        (">a|x\nACGT\n>b|x\n>c|y\nA\n", DataError, r"record 'b\|x' \(number 2\) has no sequence"),
        (">a|x\nACGT\n>c|y\n", DataError, r"record 'c\|y' \(number 2\) has no sequence"),
        (">a\nAC\n>b\nAC\n", DataError, "has no field that looks like one of labels"),
        (">a|x\nAC\n>b|x\nAC\n>c|\nAC\n>d|y\nA\n>e|y\nA\n", DataError, "field 2 .* is empty"),
        (b"\xff\xfe>\x00", DataError, "cannot be read as UTF-8"),
    ],
)
def test_what_is_not_fasta(tmp_path, content, error, said):
    place = tmp_path / "a.fasta"
    place.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(error, match=said):
        Items.open(place)

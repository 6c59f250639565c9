"""One reader and one writer of delimited text: what is written is read back to the character, by us and by others."""

import csv
import io

import numpy as np
import pytest

from twofold.data.delimited import escaped, read_rows, unescaped, written_rows
from twofold.errors import DataError, NotEnoughData

FIELDS = [
    *(
        "=1+1",
        "+1-2",
        "-x",
        "@SUM(A1)",
        "-5",
        "+3.5e2",
        " blank ",
        "\t",
        "\ttab",
        "a\rb",
        "a\nb",
        "a\r\nb",
        '"',
        "'",
    ),
    *(
        "''",
        "'=1",
        "''=1",
        "' x '",
        "' x",
        "x '",
        "'tis",
        "",
        " ",
        "a,b;c",
        "\u00a0",
        "ünï",
        "'-5",
        "-",
        "=",
        "'x'",
    ),
]


def test_every_field_is_read_back_as_it_was(tmp_path):
    columns = ["path", "label"]
    rows = [{"path": field, "label": f"{n}"} for n, field in enumerate(FIELDS)]
    (tmp_path / "t.csv").write_bytes(written_rows(columns, rows))
    header, found = read_rows(tmp_path / "t.csv")
    assert header == ("path", "label")
    assert [fields[0] for _, fields in found] == FIELDS


def test_escaping_is_undone_exactly():
    generator = np.random.default_rng(0)
    for signs in generator.choice(list("'' =-+@x1\t\n"), size=(20_000, 7)):
        field = "".join(signs[: generator.integers(8)])
        assert unescaped(escaped(field)) == field


def test_no_spreadsheet_sees_a_formula():
    written = written_rows(["n", "a"], [{"n": 1, "a": field} for field in FIELDS]).decode()
    for _, field in csv.reader(io.StringIO(written, newline="")):
        assert not field or (
            field[0] not in "=@\t\r" and (field[0] not in "+-" or field in ("-5", "+3.5e2"))
        )


def table(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_rows(path)


TEXT = "path,label\nä.png,1\nb.png,2\n"
ROWS = [["ä.png", "1"], ["b.png", "2"]]


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.encode("utf-16"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.replace(",", ";").encode(),
        TEXT.replace(",", "\t").encode(),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
        TEXT.replace("\n", ",,\n").encode(),
        TEXT.replace("label\n", "label,,\n")
        .replace("1\n", "1,,\n")
        .replace("2\n", "2,,\n")
        .encode(),
        TEXT.replace("1\n", "1,,,\n").encode(),
        TEXT.replace(",", " , ").encode(),
        b"\n\n" + TEXT.replace("\n", "\n,\n").encode(),
    ],
)
def test_what_other_programs_write_is_read(tmp_path, content):
    header, rows = table(tmp_path / "t.csv", content)
    assert header == ("path", "label")
    assert [fields for _, fields in rows] == ROWS


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            TEXT.encode("latin-1"),
            "line 2: byte 0xe4 is not UTF-8. Save it as UTF-8; from Windows or Latin-1: iconv -f",
        ),
        ("path,path\na,b\n", "two columns called 'path'"),
        ("path,,label\na,x,b\n", "column 2 of 3 has no name"),
        ("path,label\na\n", "line 2: 1 fields, the header has 2"),
        ("path,label\na,b,c\n", "line 2: 3 fields, the header has 2"),
        (",".join(f"c{n}" for n in range(20_000)) + "\n", "20,000 columns"),
        ('path,label\n"never closed,1\n', "cannot be read as text with columns"),
    ],
)
def test_what_is_wrong_is_said_with_a_remedy(tmp_path, content, says):
    with pytest.raises(DataError, match=says):
        table(tmp_path / "t.csv", content)


@pytest.mark.parametrize("content", [b"", b"\n\n", b",,\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_said_to_be_empty(tmp_path, content):
    with pytest.raises(NotEnoughData, match="is empty"):
        table(tmp_path / "t.csv", content)


def test_a_long_text_is_one_field(tmp_path):
    _, rows = table(tmp_path / "t.csv", f"text,label\n{'x' * 300_000},1\n")
    assert len(rows[0][1][0]) == 300_000
    assert csv.field_size_limit() == 131_072


def test_a_name_that_is_not_utf8_is_refused_in_words():
    with pytest.raises(DataError, match=r"\\udcff.*rename it"):
        written_rows(["path"], [{"path": "x\udcff.png"}])

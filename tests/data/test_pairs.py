"""Pairs from a table: each file once, answers read, and errors with the line."""

from pathlib import Path

import numpy as np
import pytest

from twofold.data.pairs import Pairs
from twofold.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("1.png", "2.png", "10.png"):
        (tmp_path / name).write_text(name)
    return tmp_path


def table(root: Path, *lines: str) -> Path:
    (root / "pairs.csv").write_text("\n".join(lines) + "\n")
    return root / "pairs.csv"


def test_each_file_stands_once(root: Path) -> None:
    path = table(root, "a,b,same", "10.png,1.png,1", "1.png,2.png,no")
    pairs = Pairs.from_table(path)
    assert Pairs.found(path) and len(pairs) == 2
    assert pairs.ids == ("1.png", "2.png", "10.png") and pairs.values == tuple(
        root / name for name in pairs.ids
    )
    assert pairs.index_a.tolist() == [2, 0] and pairs.index_b.tolist() == [0, 1]
    assert pairs.targets.tolist() == [1.0, 0.0] and pairs.identity is None
    assert pairs.notes == ("2 pairs of 3 files, 1 the same and 1 different",)
    assert len(pairs.content_hashes()) == 3


def test_graded_scores_and_identities(root: Path) -> None:
    path = table(
        root, "a,b,score,identity_a,identity_b", "10.png,1.png,0.5,x,y", "1.png,2.png,-2,y,x"
    )
    pairs = Pairs.from_table(path)
    assert pairs.targets.tolist() == [0.5, -2.0] and pairs.notes == (
        "2 pairs of 3 files, graded from -2 to 0.5",
    )
    assert pairs.identity is not None and [pairs.identities[i] for i in pairs.identity] == [
        "y",
        "x",
        "x",
    ]


def test_pairs_without_answers_have_no_targets(root: Path) -> None:
    pairs = Pairs.from_table(table(root, "a,b", "1.png,2.png"))
    assert pairs.answers is None
    with pytest.raises(
        DataError, match=r"no answers: the table needs a column same \(0 or 1\) or score"
    ):
        _ = pairs.targets


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["a,same", "1.png,1"], "pairs.csv has no column 'b': its columns are a, same"),
        (
            ["a,b,same", "1.png,3.png,1"],
            "pairs.csv, line 2: there is no file .*3.png .*column 'b' are missing",
        ),
        (["a,b,same", "1.png,2.png,maybe"], "line 2: same='maybe' is neither 1 nor 0"),
        (["a,b,score", "1.png,2.png,nan"], "line 2: score='nan' is not a finite number"),
        (["a,b,score", "1.png,2.png,much"], "line 2: score='much' is not a finite number"),
        (["a,b,same,score", "1.png,2.png,1,1"], "has the columns same and score: leave one"),
        (["a,b,identity_a", "1.png,2.png,x"], "no column 'identity_b'"),
        (
            ["a,b,identity_a,identity_b", "1.png,2.png,x,y", "2.png,1.png,y,z"],
            "pairs.csv, line 3: 1.png is of 'z' here, elsewhere of 'x'|line 2: 1.png is of 'x' "
            "here, elsewhere of 'z'",
        ),
    ],
)
def test_a_bad_table_names_the_line(root: Path, lines: list[str], says: str) -> None:
    with pytest.raises(DataError, match=says):
        Pairs.from_table(table(root, *lines))


def test_found_knows_pairs_from_items(root: Path) -> None:
    assert not Pairs.found(table(root, "path,label", "1.png,x"))
    assert (
        not Pairs.found(root)
        and not Pairs.found(root / "1.png")
        and not Pairs.found(root / "none.csv")
    )
    assert np.isin(Pairs.from_table(table(root, "a,b,same", "1.png,2.png,1")).targets, (0, 1)).all()


def test_some_of_the_pairs_keep_their_answers_and_groups(tmp_path):
    for name in "abc":
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "p.csv").write_text("a,b,same,group\na,b,1,x\na,c,0,y\nb,c,0,z\n")
    left = Pairs.from_table(tmp_path / "p.csv").take(np.array([2, 0]))
    assert left.targets.tolist() == [0, 1]
    assert left.groups == ("z", "x")
    assert [
        (left.ids[a], left.ids[b]) for a, b in zip(left.index_a, left.index_b, strict=True)
    ] == [
        ("b", "c"),
        ("a", "b"),
    ]

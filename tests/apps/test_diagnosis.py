"""The doctor: each trouble is planted, found, named and given a remedy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twofold.apps.diagnosis import diagnosed
from twofold.config import Recipe
from twofold.data.items import Items
from twofold.errors import UnreadableInput
from twofold.results import Finding


class Text:
    """An input type that is not a picture: numbers separated by blanks."""

    def read(self, value: Path) -> np.ndarray:
        try:
            return np.array([int(word) for word in value.read_text().split()])
        except ValueError as error:
            raise UnreadableInput(f"{value.name} is not made of numbers") from error


def folder(root: Path, sizes: list[int], **files: str) -> Items:
    """`sizes[i]` different items of identity i, and more files by name (__ for the slash)."""
    number = 0
    for identity, size in enumerate(sizes):
        (root / f"p{identity}").mkdir(parents=True)
        for i in range(size):
            number += 1
            (root / f"p{identity}" / str(i)).write_text(f"{number}")
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return Items.open(root)


def found(items: Items, settings: dict | None = None, **more: Any) -> dict[str, Finding]:
    settings = settings or {}
    findings = diagnosed(
        items, Text(), recipe=Recipe().replace(settings), fixed=tuple(settings), **more
    )
    assert [f.level for f in findings] == sorted(
        (f.level for f in findings), key=["fatal", "warning", "note"].index
    )
    return {finding.code: finding for finding in findings}


def test_sound_data_has_its_sizes_told_and_nothing_else(tmp_path: Path) -> None:
    findings = found(folder(tmp_path, [4, 5, 6] * 40))
    assert list(findings) == ["class-sizes", "adapted", "split"]
    assert findings["class-sizes"].message == "120 classes of 4 to 6 items each, median 5"
    assert findings["split"].message == "identities: 66 train, 12 valid, 30 calibrate, 12 test"


def test_unreadable_items_are_named_with_the_reason_and_left_out(tmp_path: Path) -> None:
    items = folder(tmp_path, [2] * 10, p0__a="no number", p3__b="none")
    finding = found(items)["unreadable"]
    assert finding.level == "warning" and finding.files == ("p0/a", "p3/b")
    assert (
        finding.message
        == "2 of 22 items cannot be read (a is not made of numbers, b is not made of numbers)"
    )
    strict = found(items, strict=True)["unreadable"]
    assert strict.level == "fatal" and "twofold doctor DATA --fix clean.csv" in strict.remedy


def test_items_that_cannot_be_read_do_not_count(tmp_path: Path) -> None:
    items = folder(tmp_path, [3] * 3, p0__a="x", p9__a="x", p9__b="y")
    assert found(items)["class-sizes"].message == "3 classes of 3 to 3 items each, median 3"
    wrong = {f"p{i}__{name}": "no number" for i in range(3) for name in "abcd"}
    finding = found(folder(tmp_path / "most", [3] * 3, **wrong))["unreadable"]
    assert finding.level == "fatal" and "is this the right recipe" in finding.remedy
    assert "and 10 more)" in finding.message, "one fault of all of them is not told of each"


def test_equal_items_are_found_as_they_are_read(tmp_path: Path) -> None:
    findings = found(folder(tmp_path, [2] * 10, p0__x="77", p5__y=" 77 ", p1__u="88", p1__v="88"))
    across, within = findings["duplicates-across-classes"], findings["duplicates-within-classes"]
    assert across.files == ("p0/x", "p5/y") and within.files == ("p1/u", "p1/v")
    assert (
        "1 content occurs under more than one label" in across.message
        and "p0/x = p5/y" in across.message
    )
    assert across.level == within.level == "warning"


def test_one_class_and_singletons_only_are_fatal(tmp_path: Path) -> None:
    one = found(folder(tmp_path / "one", [5]))["one-class"]
    assert one.level == "fatal" and one.message == "there is only one class (p0), of 5 items"
    alone = found(folder(tmp_path / "alone", [1] * 9))["singletons-only"]
    assert alone.level == "fatal" and "each of the 9 classes has one item only" in alone.message


def test_singletons_and_small_classes_are_noted(tmp_path: Path) -> None:
    findings = found(folder(tmp_path, [1, 1, 4, *[3] * 20]))
    assert findings["singletons"].files == ("p0/0", "p1/0")
    assert findings["small-classes"].message == "22 of 23 classes have fewer than k=4 items"


@pytest.mark.parametrize(
    ("classes", "settings", "says"),
    [
        (20, {"p": 21}, "--set p=13 or less"),
        (20, {"p": 15, "split.folds": 0, "split.calibrate": 0.2}, "--set p="),
        (6, {"k": 4}, "--set k=2 or less"),
        (6, {"split.folds": 5}, "set split.folds to 3 or less"),
        (20, {"split.folds": 5, "split.calibrate": 0.2}, "leave one of the two out"),
        (20, {"split.train": 0.9, "split.calibrate": 0.4}, "add up to 1"),
        (20, {"groups_per_batch": 2}, "--levels 2 or a column group"),
        (7, {"split.calibrate": 0.4}, "need 8, there are 7"),
    ],
)
def test_settings_that_train_would_refuse_are_fatal_here(
    tmp_path: Path, classes: int, settings: dict, says: str
) -> None:
    finding = found(folder(tmp_path, [2] * classes + [1] * 5), settings)["training"]
    assert finding.level == "fatal" and says in finding.message


def test_one_class_of_two_items_and_singletons(tmp_path: Path) -> None:
    assert found(folder(tmp_path, [2, 1, 1]))["batch"].level == "fatal"


def test_few_identities_are_trained_on_as_they_are(tmp_path: Path) -> None:
    findings = diagnosed(folder(tmp_path, [2] * 7), Text())
    assert not [finding for finding in findings if finding.level != "note"]
    assert "identities: 7 train, 0 valid, 0 calibrate, 0 test" in [
        finding.message for finding in findings
    ]


def test_strays_and_forgeries(tmp_path: Path) -> None:
    findings = found(
        folder(tmp_path, [3] * 10, README="what this is", p1_forg__a="1001", p1_forg__b="1002")
    )
    assert findings["strays"].files == ("README",)
    assert findings["class-sizes"].message == "10 classes of 3 to 3 items each, median 3"
    assert "singletons" not in findings and "training" not in findings


def test_progress_counts_every_item(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    diagnosed(
        folder(tmp_path, [2, 2]), Text(), progress=lambda done, total: steps.append((done, total))
    )
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]

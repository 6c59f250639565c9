"""The doctor: each trouble is planted, found, named and given a remedy."""

from pathlib import Path

import numpy as np
import pytest

from twofold.apps.doctor import doctor
from twofold.data.items import Items
from twofold.errors import UnreadableInput
from twofold.results import Finding


class Text:
    """An input type that is no picture: numbers separated by blanks."""

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


def found(items: Items, *, p: int = 2, k: int = 2) -> dict[str, Finding]:
    findings = doctor(items, Text(), p=p, k=k)
    assert [f.level for f in findings] == sorted((f.level for f in findings), key=["fatal", "warning", "note"].index)
    return {finding.code: finding for finding in findings}


def test_sound_data_has_its_sizes_told_and_nothing_else(tmp_path: Path) -> None:
    findings = found(folder(tmp_path, [2, 3, 4] * 4))
    assert list(findings) == ["class-sizes"]
    assert findings["class-sizes"].message == "12 classes of 2 to 4 items each, median 3"


def test_unreadable_items_are_named_with_the_reason(tmp_path: Path) -> None:
    finding = found(folder(tmp_path, [2] * 10, p0__a="no number", p3__b="none"))["unreadable"]
    assert finding.level == "fatal" and finding.files == ("p0/a", "p3/b")
    assert finding.message == "2 of 22 items cannot be read (a is not made of numbers, b is not made of numbers)"


def test_equal_items_are_found_as_they_are_read(tmp_path: Path) -> None:
    findings = found(folder(tmp_path, [2] * 10, p0__x="77", p5__y=" 77 ", p1__u="88", p1__v="88"))
    across, within = findings["duplicates-across-classes"], findings["duplicates-within-classes"]
    assert across.files == ("p0/x", "p5/y") and within.files == ("p1/u", "p1/v")
    assert "1 contents stand under more than one label" in across.message and "p0/x = p5/y" in across.message
    assert across.level == within.level == "warning"


def test_one_class_and_singletons_only_are_fatal(tmp_path: Path) -> None:
    one = found(folder(tmp_path / "one", [5]))["one-class"]
    assert one.level == "fatal" and one.message == "all 5 items are of one class (p0)"
    alone = found(folder(tmp_path / "alone", [1] * 9))["singletons-only"]
    assert alone.level == "fatal" and "each of the 9 classes has one item only" in alone.message


def test_singletons_and_small_classes_are_noted(tmp_path: Path) -> None:
    findings = found(folder(tmp_path, [1, 1, *[3] * 20]), k=4)
    assert findings["singletons"].files == ("p0/0", "p1/0")
    assert findings["small-classes"].message == "22 of 22 classes have fewer than k=4 items"


@pytest.mark.parametrize(
    ("classes", "p", "level", "says"),
    [
        (20, 21, "fatal", "a batch shall hold p=21 classes, but 20 have two items or more"),
        (20, 15, "warning", "but 14 of the train part (0.7 of the identities) have two items or more"),
        (1, 2, "fatal", "but 1 have two items or more"),
    ],
)
def test_a_batch_that_cannot_be_filled(tmp_path: Path, classes: int, p: int, level: str, says: str) -> None:
    finding = found(folder(tmp_path, [2] * classes + [1] * 5), p=p)["batch"]
    assert finding.level == level and says in finding.message
    assert classes == 1 or f"set p to at most {14 if level == 'warning' else 20}" in finding.remedy


def test_too_few_identities_for_four_parts(tmp_path: Path) -> None:
    finding = found(folder(tmp_path, [2] * 7))["split"]
    assert finding.level == "warning"
    assert "no four parts (train, valid, calibrate, test) can be made: identities with two items" in finding.message
    assert "need 8, there are 7" in finding.message


def test_strays_and_forgeries(tmp_path: Path) -> None:
    findings = found(folder(tmp_path, [3] * 10, README="what this is", p1_forg__a="1001", p1_forg__b="1002"))
    assert findings["strays"].files == ("README",)
    assert findings["class-sizes"].message == "10 classes of 3 to 3 items each, median 3"
    assert "singletons" not in findings and "batch" not in findings


def test_progress_counts_every_item(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    doctor(folder(tmp_path, [2, 2]), Text(), p=2, k=2, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]

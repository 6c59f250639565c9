"""The page to decide on copies: whole, safe, and what it says."""

import json
import re

import numpy as np

from twofold.report.groups_page import DRAWN, SHEET, Face, groups_page
from twofold.results import CopyFile, Group, Groups


def face(name):
    return Face(picture=np.full((8, 8, 3), 90, np.uint8), facts="8 × 8, 1 kB", bytes=1000)


def found(*groups, **more):
    told = {"items": 10, "new": 10, "rule": "pictures that fit", "threshold": 0.9} | more
    return Groups(groups=groups, **told)


def files(page):
    return json.loads(re.search(r'id="files">(.*?)</script>', page).group(1))


def test_what_is_kept_is_proposed_to_stay_and_the_rest_to_go():
    page = groups_page(
        found(Group(kept="a.png", copies=("b.png", "c.png"), scores=(0.99, 0.95))), face
    )
    assert page.count('class="copy"') == 1 and page.count('class="copy gone"') == 2
    assert files(page) == [
        [1, "a.png", 1000, 0, "", ""],
        [1, "b.png", 1000, 1, "", ""],
        [1, "c.png", 1000, 1, "", ""],
    ]
    assert "2 copies of a.png" in page and "alike 0.990" in page and "proposed to stay" in page
    assert page.count("data:image/jpeg;base64,") == 3


def test_nothing_is_fetched():
    page = groups_page(found(Group(kept="a", copies=("b",), scores=(1.0,))), face)
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page) and "http" not in page
    assert 'name="viewport"' in page and "prefers-color-scheme: dark" in page


def test_names_are_text_never_markup():
    bad = "<img src=x onerror=alert(1)>\"'&.png"
    page = groups_page(
        found(Group(kept=bad, copies=(bad + "2",), scores=(1.0,))), face, title=bad, then=(bad,)
    )
    assert "<img src=x" not in page
    bad = "</script><script>alert(1)</script>"
    page = groups_page(found(Group(kept=bad, copies=(bad + "2",), scores=(1.0,))), face)
    assert "<script>alert" not in page and files(page)[0][1] == bad


def test_what_an_index_holds_is_named_and_not_offered():
    page = groups_page(found(Group(kept="old", copies=("new",), scores=(0.97,), known=True)), face)
    assert (
        "1 like old of the index" in page
        and '<script type="application/json" id="known">[[1,"old","","",""]]' in page
    )
    assert files(page) == [[1, "new", 1000, 1, "", ""]]


def test_what_a_file_was_goes_with_the_decisions():
    known = {"a": CopyFile(path="a", bytes=7, time=10**18 + 1, sha256="f" * 64)}
    page = groups_page(found(Group(kept="a", copies=("b",), scores=(1.0,)), files=known), face)
    assert files(page)[0] == [1, "a", 7, 0, "1000000000000000001", "f" * 64]
    assert "group,path,decision,bytes,time,sha256" in page


def test_doubtful_ones_come_first_and_perhaps_apart_proposed_to_stay():
    sure = Group(kept="a", copies=("b",), scores=(0.99,))
    doubtful = Group(kept="c", copies=("d",), scores=(0.91,))
    page = groups_page(
        found(sure, doubtful, perhaps=(Group(kept="e", copies=("f",), scores=(0.6,)),)), face
    )
    assert [file[1:4:2] for file in files(page)] == [
        ["c", 0],
        ["d", 1],
        ["a", 0],
        ["b", 1],
        ["e", 0],
        ["f", 0],
    ]
    assert page.count('class="group perhaps"') == 1 and "perhaps: 1 copy of e" in page


def test_pictures_are_laid_over_each_other():
    shown = tuple(np.full((8, 8, 3), grey, np.uint8) for grey in (1, 2, 3))
    page = groups_page(
        found(Group(kept="a", copies=("b",), scores=(1.0,))), face, laid=lambda kept, copy: shown
    )
    assert page.count("data-red=") == page.count("data-kept=") == page.count('class="compare"') == 1


def test_what_the_rule_never_decides_is_said():
    worth = {
        "measured": "by hand",
        "changes": {"small_turn": {"recall": 0.5, "copy_recall": 0.0, "copy_precision": None}},
        "different": {
            "lfw": {"copies": 1, "perhaps": 2, "of": "3 pairs", "note": "one photograph"}
        },
        "never_decides": ["who it is"],
    }
    page = groups_page(found(Group(kept="a", copies=("b",), scores=(1.0,)), worth=worth), face)
    assert "<li>who it is</li>" in page and "Measured: by hand." in page
    assert "<td>small turn</td><td>50%</td><td>0%</td><td>–</td>" in page
    assert "<td>lfw</td><td>1</td><td>2</td><td>3 pairs; one photograph</td>" in page


def test_no_copies():
    page = groups_page(found(), face)
    assert "There are no copies." in page and "<script>" not in page


def test_tens_of_thousands_are_in_sheets_and_their_pictures_where_they_lie():
    many = [Group(kept=f"{i}", copies=("x",), scores=(1.0,)) for i in range(DRAWN + SHEET + 3)]

    def lying(name):
        return Face(picture=None, facts="", bytes=7, address=f"b/{name}.png")

    page = groups_page(found(*many, notes=("a note",)), face, named=lying)
    assert page.count('<section class="group"') == len(many) and len(files(page)) == 2 * len(many)
    assert page.count('class="sheet"') == DRAWN // SHEET + 2
    assert page.count("data:image/jpeg") == 2 * DRAWN and page.count('src="b/') == 2 * (SHEET + 3)
    assert "a note" in page and "The pictures of the first 500 groups are inside this page" in page


def test_the_rest_of_a_large_group_is_decided_on_as_one():
    large = Group(
        kept="k",
        copies=tuple(f"c{i}" for i in range(50)),
        scores=tuple(1 - i / 1000 for i in range(50)),
    )
    page = groups_page(found(large), face)
    assert len(files(page)) == 51 and page.count("<figure") == 25
    assert (
        "<strong>and 27 more</strong>0.0 MB<br>alike 0.951 and more" in page
        and 'data-files="24-50"' in page
    )

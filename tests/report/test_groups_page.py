"""The page to decide on copies: whole, safe, and what it says."""

import re

import numpy as np

from twofold.report.groups_page import SHOWN, Face, groups_page
from twofold.results import Group, Groups


def face(name):
    return Face(picture=np.full((8, 8, 3), 90, np.uint8), facts="8 × 8, 1 kB", bytes=1000)


def found(*groups, **more):
    told = {"items": 10, "new": 10, "rule": "pictures that fit", "threshold": 0.9} | more
    return Groups(groups=groups, **told)


def test_what_is_kept_is_proposed_to_stay_and_the_rest_to_go():
    page = groups_page(found(Group(kept="a.png", copies=("b.png", "c.png"), scores=(0.99, 0.95))), face)
    assert page.count('class="copy"') == 1 and page.count('class="copy gone"') == 2
    assert 'data-path="b.png" data-bytes="1000"' in page
    assert "2 copies of a.png" in page and "alike 0.990" in page and "proposed to stay" in page
    assert page.count("data:image/jpeg;base64,") == 3


def test_nothing_is_fetched():
    page = groups_page(found(Group(kept="a", copies=("b",), scores=(1.0,))), face)
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page) and "http" not in page
    assert 'name="viewport"' in page and "prefers-color-scheme: dark" in page


def test_names_are_text_never_markup():
    bad = "<img src=x onerror=alert(1)>\"'&.png"
    page = groups_page(found(Group(kept=bad, copies=(bad + "2",), scores=(1.0,))), face, title=bad, then=(bad,))
    assert "<img src=x" not in page


def test_what_an_index_holds_is_named_and_not_offered():
    page = groups_page(found(Group(kept="old", copies=("new",), scores=(0.97,), known=True)), face)
    assert "1 like old of the index" in page and 'data-known="old"' in page
    assert page.count("data-path=") == 1


def test_no_copies():
    page = groups_page(found(), face)
    assert "There are no copies." in page and "<script>" not in page


def test_many_are_bounded_and_said():
    many = [Group(kept=f"{i}", copies=("x",), scores=(1.0,)) for i in range(SHOWN + 3)]
    large = Group(kept="k", copies=tuple(f"c{i}" for i in range(50)), scores=(1.0,) * 50)
    page = groups_page(found(large, *many, notes=("a note",)), lambda name: Face(picture=None, facts="", bytes=0))
    assert page.count('<section class="group">') == SHOWN
    assert "The first 500 groups are shown" in page and "a note" in page and "Of a large group 24 are shown" in page

"""Names and labels cannot steer a terminal, and are told apart all the same."""

import unicodedata
from pathlib import Path

import pytest

from twofold.printable import printable, printable_lines, utf8_name, with_printable_data
from twofold.results import Hit


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cat[copy].png", "cat[copy].png"),
        ("Zoë 北京 👩‍🚀", "Zoë 北京 👩‍🚀"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("a\nb\rc\td", "a\\nb\\rc\\td"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("x\udcff.png", "x\\xff.png"),
        ("\u2028\x9b31m\x7f", "\\u2028\\x9b31m\\x7f"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_a_terminal_acts_on_is_written_out(text, shown):
    assert printable(text) == shown
    assert printable(shown) == shown


def test_no_code_point_of_a_dangerous_category_is_left():
    every = "".join(map(chr, range(0x110000)))
    kept = {sign: unicodedata.category(sign) for sign in set(printable(every))}
    assert not set(kept.values()) & {"Cc", "Cs", "Zl", "Zp", "Co", "Cn"}
    assert {sign for sign, category in kept.items() if category == "Cf"} == {"\u200c", "\u200d"}


def test_a_text_keeps_its_own_lines():
    assert printable_lines("one\n\x1btwo") == "one\n\\x1btwo"


def test_a_name_that_is_not_utf8_becomes_text():
    assert utf8_name("x\udcff.png") == "x\\xff.png"
    assert utf8_name("é.png") == "é.png"


def test_results_are_escaped_before_they_are_put_into_words():
    @with_printable_data
    def told(hit: Hit, place: Path, *, more: dict[str, tuple[str, ...]]) -> str:
        return f"{hit.label}|{place}|{more}"

    said = told(Hit(id="i", label="x\nnobody", score=0.5), Path("a\x1b"), more={"k\r": ("v\n",)})
    assert said == "x\\nnobody|a\\x1b|{'k\\\\r': ('v\\\\n',)}"

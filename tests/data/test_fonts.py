"""The demo's characters: drawn, told apart, and the look-alikes left out."""

import importlib.util
import unicodedata

import numpy as np
import pytest

from twofold.data import fonts
from twofold.data.fonts import alphabets
from twofold.errors import DataError, MissingExtra, UnknownName


@pytest.fixture(scope="module")
def drawn() -> fonts.Alphabets:
    return alphabets(("Latin", "Greek"), most=60)


def test_an_identity_is_a_character_in_at_least_four_fonts_and_its_group_the_script(
    drawn: fonts.Alphabets,
) -> None:
    items = drawn.items
    assert items.groups == ("Greek", "Latin")
    assert np.bincount(items.labels).min() >= 4
    assert "latin capital letter a" in items.names
    assert "latin capital letter a/DejaVu Serif" in items.ids
    assert items.identities == items.names


def test_a_picture_is_black_on_white_centred_and_fills_the_square_up_to_the_margin(
    drawn: fonts.Alphabets,
) -> None:
    for page in drawn.items.values[::7]:
        assert page.dtype == np.uint8
        assert page.shape == (28, 28)
        rows, columns = np.nonzero(page < 255)
        assert max(np.ptp(rows), np.ptp(columns)) + 1 >= 23
        assert abs(rows.min() - (27 - rows.max())) <= 2
        assert abs(columns.min() - (27 - columns.max())) <= 2


def test_no_picture_stands_twice_neither_in_a_character_nor_in_two(drawn: fonts.Alphabets) -> None:
    contents = drawn.items.content_hashes()
    assert len(set(contents)) == len(contents)


def test_look_alikes_are_left_out_and_named_with_whom_they_look_like(
    drawn: fonts.Alphabets,
) -> None:
    dropped = dict(drawn.look_alikes)
    assert dropped["greek capital letter alpha"] == "latin capital letter a"
    assert not set(dropped) & set(drawn.items.names)
    assert set(dropped.values()) <= set(drawn.items.names)


def test_no_two_characters_that_are_left_are_alike_in_any_font_by_the_slow_way(
    drawn: fonts.Alphabets,
) -> None:
    items = drawn.items
    font = np.array([name.rpartition("/")[2] for name in items.ids])
    for name in ("DejaVu Sans", "STIX Italic"):
        rows = np.flatnonzero(font == name)
        for a in rows[::5]:
            for b in rows:
                if a != b:
                    ink_a, ink_b = (
                        255.0 - items.values[row].astype(float).ravel() for row in (a, b)
                    )
                    assert ink_a @ ink_b / np.sqrt((ink_a @ ink_a) * (ink_b @ ink_b)) < 0.93 + 1e-5


def test_a_box_for_a_missing_character_is_no_drawing(drawn: fonts.Alphabets) -> None:
    # Computer Modern keeps Greek at code points of its own
    greek = drawn.items.where(groups=["Greek"])
    assert not any("Computer Modern" in name for name in greek.ids)
    assert any("Computer Modern" in name for name in drawn.items.ids)


def test_the_same_again(drawn: fonts.Alphabets) -> None:
    again = alphabets(("Latin", "Greek"), most=60)
    assert again.items.ids == drawn.items.ids
    assert again.items.content_hashes() == drawn.items.content_hashes()


def test_progress_counts_fonts() -> None:
    calls: list[tuple[int, int]] = []
    alphabets(("Hebrew",), progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (len(fonts.FONTS), len(fonts.FONTS))


def test_every_script_is_in_unicode_and_no_two_overlap() -> None:
    points = [
        point
        for ranges in fonts.SCRIPTS.values()
        for first, end in ranges
        for point in range(first, end)
    ]
    assert len(points) == len(set(points))
    assert all(
        any(unicodedata.name(chr(p), "") for p in range(*r))
        for rs in fonts.SCRIPTS.values()
        for r in rs
    )


def test_an_unknown_script_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="no script is called 'Grek': did you mean 'Greek'"):
        alphabets(("Grek",))


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'twofold\[demo\]'"):
        alphabets(("Greek",))


def test_without_its_fonts_matplotlib_is_to_be_reinstalled(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.setattr(fonts, "font_folder", lambda: tmp_path)
    with pytest.raises(
        DataError, match="holds 0 of the 21 fonts to draw with: reinstall matplotlib"
    ):
        alphabets(("Greek",))

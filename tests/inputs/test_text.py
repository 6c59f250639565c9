"""Texts become symbols by rules alone; what is not a text is refused in one line."""

import io
from types import SimpleNamespace

import numpy as np
import pytest

from twofold.errors import RecipeError, UnreadableInput
from twofold.inputs import Input
from twofold.inputs.text import LARGEST_TEXT, Text


def test_it_is_an_input():
    assert isinstance(Text(), Input)
    assert Text(**Text(unit="words", symbols=9999).arguments()) == Text(unit="words", symbols=9999)


def test_characters_and_bytes_are_their_own_numbers():
    assert Text().read("Ab").tolist() == [1 + ord("a"), 1 + ord("b")]
    assert Text(unit="bytes", form="none", lower=False).read("é").tolist() == [1 + 0xC3, 1 + 0xA9]


def test_equal_words_are_equal_symbols_wherever_they_stand():
    a, b = Text(unit="words").read("red car"), Text(unit="words").read("car, a red  car")
    assert a.tolist() == [b[2], b[3]]
    assert len(set(Text(unit="words").read("one two three four").tolist())) == 4


def test_pieces_of_words_have_their_ends_and_a_blank_between():
    text = Text(unit="ngrams")
    one, two = text.read("ab"), text.read("ab cd")
    assert (
        len(one) == 6
        and two[:6].tolist() == one.tolist()
        and two[6] == 1 + ord(" ")
        and len(two) == 13
    )
    assert set(text.read("cd").tolist()) == set(two[7:].tolist())
    assert (one > 257).all() and len(set(two.tolist())) == 13
    assert len(Text(unit="ngrams", longest=5).read("abcdef")) == 5
    shared = np.isin(text.read("Katherine"), text.read("Katharine"))
    assert 0.4 < shared.mean() < 1 and not np.isin(text.read("Bob"), text.read("Eve")).any()


@pytest.mark.parametrize(
    ("same", "other", "settings"),
    [
        ("Straße  Ⅳ", "STRASSE IV", {}),
        ("ﬁne", "fine", {"form": "NFKC"}),
        ("e\u0301", "\u00e9", {"form": "NFC"}),
        (" a\tb\n", "a b", {"form": "none"}),
    ],
)
def test_ways_to_write_one_text(same, other, settings):
    assert np.array_equal(Text(**settings).read(same), Text(**settings).read(other))


def test_case_counts_where_it_should():
    assert not np.array_equal(Text(lower=False).read("A"), Text(lower=False).read("a"))


def test_longer_texts_are_cut():
    assert len(Text(longest=5).read("abcdefgh")) == 5
    assert len(Text(unit="words", longest=2).read("a b c d")) == 2


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "the text is empty"),
        (" \n\t", "the text is empty"),
        ("a\0b", "NUL characters"),
        ("abc".encode("utf-16"), "is UTF-16: convert it to UTF-8"),
        ("naïve".encode("latin-1"), "byte 2 of the text is not UTF-8"),
        ("x" * (LARGEST_TEXT + 1), "is too long: 1,000,000 is the limit"),
        (np.zeros(3), "a ndarray is not a text"),
        (7, "a int is not a text"),
    ],
)
def test_what_is_not_a_text_is_refused(value, said):
    with pytest.raises(UnreadableInput, match=said):
        Text().read(value)


def test_a_file_is_read_with_and_without_a_byte_order_mark(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffgrün".encode())
    assert np.array_equal(Text().read(tmp_path / "a.txt"), Text().read("grün"))
    with pytest.raises(UnreadableInput, match="No such file"):
        Text().read(tmp_path / "b.txt")


def test_words_of_the_command_line(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("from a file")
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"from a pipe")))
    assert Text().argument("plain words") == "plain words"
    assert Text().argument(f"@{tmp_path / 'a.txt'}") == "from a file"
    assert Text().argument("-") == "from a pipe"
    with pytest.raises(UnreadableInput, match="is a file, and this bundle compares texts: write @"):
        Text().argument(str(tmp_path / "a.txt"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"unit": "letters"}, "unit = 'letters' does not divide a text"),
        ({"form": "NFX"}, "is not a Unicode form"),
        ({"longest": 0}, "longest = 0 must be positive"),
        ({"unit": "bytes", "symbols": 100}, "symbols = 100 is too few for bytes"),
        ({"unit": "ngrams", "symbols": 300}, "symbols = 300 is too few for ngrams"),
    ],
)
def test_fields_that_do_not_fit(settings, said):
    with pytest.raises(RecipeError, match=said):
        Text(**settings)


def keys(count, seed=0):
    return np.stack(
        [np.full(count, seed), np.zeros(count), np.arange(count), np.zeros(count)], axis=1
    ).astype(int)


def test_changes_depend_on_the_key_alone():
    text = Text()
    change = text.augmentation(drop=0.2, swap=0.2, replace=0.2, double=0.2, word_dropout=0.2)
    batch = text.stack([text.read(words) for words in ("one two three", "four five", "six")])
    whole, alone = change(batch, keys(3)), change(batch[1:2], keys(3)[1:2])
    length = int(alone.lengths[0])
    assert (
        whole.values[1, :length].tolist() == alone.values[0].tolist() and whole.lengths[1] == length
    )
    assert change(batch, keys(3, seed=1)).values.tolist() != whole.values.tolist()


def test_each_change_does_what_it_says():
    text = Text(longest=1000)
    batch = text.stack([text.read("abc def ghi " * 20)] * 8)
    length = int(batch.lengths[0])
    assert (text.augmentation(drop=0.3)(batch, keys(8)).lengths < length).all()
    assert (text.augmentation(double=0.3)(batch, keys(8)).lengths > length).all()
    swapped = text.augmentation(swap=0.3)(batch, keys(8))
    assert (swapped.values.sort(dim=1).values == batch.values.sort(dim=1).values).all()
    assert (swapped.values != batch.values).any(dim=1).all()
    fewer = text.augmentation(word_dropout=0.5)(batch, keys(8))
    assert {int(each) % 4 for each in fewer.lengths} <= {0, 3} and (fewer.lengths < length).all()


def test_a_text_never_becomes_empty():
    text = Text()
    batch = text.stack([text.read("a")] * 50)
    assert (text.augmentation(drop=0.9, word_dropout=0.9)(batch, keys(50)).lengths >= 1).all()


def test_unknown_changes_are_refused():
    with pytest.raises(RecipeError, match=r"augment.flip is not a change of texts"):
        Text().augmentation(flip=True)
    with pytest.raises(RecipeError, match=r"augment.drop = 1.5: a probability"):
        Text().augmentation(drop=1.5)


def test_identifiers_are_keyed():
    text = Text()
    assert text.identifier("Anna  Smith", key="a") == text.identifier("anna smith", key="a")
    assert text.identifier("anna smith", key="a") != text.identifier("anna smith", key="b")

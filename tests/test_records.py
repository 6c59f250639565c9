"""Records: fields stay apart, a missing one shifts no other, and what is not a record is refused."""

import numpy as np
import pytest

from twofold import build
from twofold.bundle_files import description_of, fingerprint_of, weights_of
from twofold.errors import RecipeError, UnreadableInput
from twofold.inputs import optional
from twofold.inputs.text import Text
from twofold.recipes import names
from twofold.records import joined

FIELDS = ("name", "street", "city")


@pytest.mark.parametrize("unit", ["ngrams", "words"])
def test_the_same_word_in_two_fields_is_two_symbols_and_a_missing_field_shifts_none(unit):
    text = Text(unit=unit, fields=FIELDS)
    whole = text.read({"name": "Anna Berg", "street": "Lindau 4", "city": "Lindau"})
    without = text.read({"name": "Anna Berg", "city": "Lindau"})
    alone = text.read({"city": "Lindau"})
    blank = 1 + ord(" ")
    assert set(without) - {blank} <= set(whole)
    assert set(alone) <= set(without)
    street = text.read({"street": "Lindau"})
    assert not set(street) & set(alone) and set(street) <= set(whole)
    assert np.array_equal(text.read({"name": None, "city": "Lindau", "street": " "}), alone)


@pytest.mark.parametrize("unit", ["characters", "bytes"])
def test_of_characters_a_mark_stands_between_fields(unit):
    read = Text(unit=unit, fields=FIELDS).read({"name": "ab", "city": "c"}).tolist()
    assert read == [1 + ord("a"), 1 + ord("b"), 32, 32, 1 + ord("c")]


def test_a_record_as_it_is_typed_as_it_is_shown_and_as_it_is_named():
    text = Text(unit="ngrams", fields=FIELDS)
    typed = text.argument("Anna Berg | | Lindau")
    assert np.array_equal(text.read(typed), text.read({"name": "Anna Berg", "city": "Lindau"}))
    assert text.show(joined(["Anna Berg", "", "Lindau"])) == "Anna Berg |  | Lindau"
    ids = {text.identifier(each, key="k") for each in ("ANNA berg\x1f\x1flindau", typed)}
    assert len(ids) == 1 and text.identifier("annaberg\x1f\x1flindau", key="k") not in ids
    assert optional.columns(text) == FIELDS and optional.columns(Text()) == ()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("Anna Berg", "'Anna Berg' has 1 of the 3 fields: write 'name | street | city'"),
        ({"name": "Anna", "town": "Lindau"}, "'town' is not a field of these records"),
        ({"name": " ", "city": ""}, "all fields of the record are empty"),
        ("\x1f \x1f", "all fields of the record are empty"),
    ],
)
def test_what_is_not_a_record_is_refused(value, said):
    with pytest.raises(UnreadableInput, match=said):
        Text(unit="ngrams", fields=FIELDS).read(value)
    with pytest.raises(UnreadableInput, match="has 2 of the 3 fields"):
        Text(unit="ngrams", fields=FIELDS).argument("Anna | Lindau")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (("name", "name"), "name stands twice"),
        ("name,,city", "a name is empty"),
        (("name", "Label"), "Label is not a field"),
    ],
)
def test_fields_that_make_no_record(fields, said):
    with pytest.raises(RecipeError, match=said):
        Text(fields=fields)


def test_fields_are_part_of_the_fingerprint_and_texts_keep_the_one_they_had():
    def fingerprint(recipe):
        twin = build.twin(recipe)
        weights, told = weights_of(twin).hex()[:64], description_of(twin)
        return told["input"], fingerprint_of(weights, told, recipe, twin.input.version)

    small = names().replace({"encoder.dim": 8, "input.symbols": 2048})
    plain, told = fingerprint(small)
    assert "fields" not in plain
    first, one = fingerprint(small.replace({"input.fields": ["name", "city"]}))
    other = fingerprint(small.replace({"input.fields": ["name", "town"]}))[1]
    assert first["fields"] == ("name", "city") and len({told, one, other}) == 3

"""Vectors are taken as they are; what is not a vector of the right size is refused in one line."""

import numpy as np
import pytest

from twofold.errors import RecipeError, UnreadableInput
from twofold.inputs import Input
from twofold.inputs.vector import Vector


def test_it_is_an_input():
    vector = Vector(size=3)
    assert isinstance(vector, Input) and Vector(**vector.arguments()) == vector
    assert vector.facts() == {"kind": "vectors", "size": 3}
    assert vector.stack([vector.example(), vector.read([1, 2, 3])]).shape == (2, 3)


def test_arrays_lists_and_files_are_the_same_vector(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[0.5, 1.0]]))
    vector = Vector(size=2)
    for value in ([0.5, 1], np.array([0.5, 1.0]), tmp_path / "a.npy", vector.argument("[0.5, 1]")):
        found = vector.read(value)
        assert found.dtype == np.float32 and found.tolist() == [0.5, 1.0]
    assert vector.read(vector.argument(str(tmp_path / "a.npy"))).tolist() == [0.5, 1.0]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1.0, 2.0, 3.0], "has 3 numbers, and vectors of 2 numbers are wanted"),
        ([1.0, float("nan")], "number 2 of the vector is nan"),
        ([1e300, 0.0], "fit into float32"),
        (np.zeros((2, 2)), "shape (2, 2) is not one vector"),
        ("ab", "a str is not a vector"),
        (["1", "2"], "a list is not a vector"),
        ([[1.0], [1.0, 2.0]], "a vector is one list of numbers"),
        (np.array(["a", "b"]), "is not a vector"),
        (7, "a int is not a vector"),
    ],
)
def test_what_is_not_a_vector(value, said):
    with pytest.raises(UnreadableInput) as caught:
        Vector(size=2).read(value)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_words_that_are_no_vectors(tmp_path):
    picture = tmp_path / "a.png"
    picture.write_bytes(b"\x89PNG")
    for word, said in (
        (str(picture), "is a file, but not a vector"),
        ("Anna", "Anna is not a vector: write"),
        ("[1, x]", "is not a list of numbers"),
        ('{"a": 1}', "is not a vector"),
    ):
        with pytest.raises(UnreadableInput, match=said):
            Vector(size=2).argument(word)
    (tmp_path / "b.npy").write_bytes(b"no array")
    for path in (tmp_path / "b.npy", tmp_path / "none.npy", picture):
        with pytest.raises(UnreadableInput):
            Vector(size=2).read(path)


def test_a_size_is_needed_and_there_is_no_augmentation():
    with pytest.raises(RecipeError, match="must be from 1"):
        Vector(size=0)
    with pytest.raises(RecipeError, match="vectors are not augmented, and augment has noise"):
        Vector(size=2).augmentation(noise=0.1)


def test_an_identifier_says_nothing_without_the_key():
    one, other = (Vector(size=2).identifier([1.0, 2.0], key=key) for key in ("a", "b"))
    assert one != other and len(one) == 12
    assert one == Vector(size=2).identifier(np.array([1, 2]), key="a")

"""The tests' own check of shapes: it is there, for functions that name an array and for dataclasses that hold one."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import Float, TypeCheckError, config
from torch import Tensor

from twofold import distances
from twofold.errors import nearest
from twofold.results import Embeddings
from type_checking import checked, names_array


def test_a_wrong_shape_or_type_is_refused():
    x = torch.zeros(3, 4)
    assert distances.pairs("cosine", x, x).shape == (3,)
    for other in (torch.zeros(2, 4), torch.zeros(3), torch.zeros(3, 4, dtype=torch.int64)):
        with pytest.raises(BeartypeCallHintViolation):
            distances.pairs("cosine", x, other)


def test_arguments_and_result_are_one():
    @checked
    def half(x: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        return x[::2]

    assert half(torch.zeros(1)).shape == (1,)
    with pytest.raises(BeartypeCallHintViolation):
        half(torch.zeros(4))


def test_a_generator_is_checked_by_itself():
    @checked
    def rows(x: Float[Tensor, "n d"]) -> Iterator[Float[Tensor, " d"]]:
        yield from x

    @checked
    def first(x: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        return x + sum(row.sum() for row in rows(torch.ones(5, 2)))

    assert first(torch.zeros(3)).tolist() == [10.0] * 3
    with pytest.raises(TypeCheckError):
        rows(torch.zeros(3))


def test_a_dataclass_of_arrays_is_checked_when_it_is_made():
    with pytest.raises(BeartypeCallHintViolation):
        Embeddings(ids=("a",), labels=("a",), vectors=np.zeros(3, np.float32), fingerprint="1")


def test_it_can_be_switched_off():
    config.update("jaxtyping_disable", True)
    try:
        assert Embeddings(
            ids=("a",), labels=("a",), vectors=np.zeros((1, 3), np.int8), fingerprint="1"
        ).ids == ("a",)
    finally:
        config.update("jaxtyping_disable", False)


def test_what_names_no_array_is_left_as_it_is():
    assert not hasattr(nearest, "__wrapped__") and hasattr(distances.pairs, "__wrapped__")
    assert names_array(list[Float[Tensor, "n d"]] | None) and names_array(
        "Float[Tensor, 'n'] | str"
    )
    assert not names_array(dict[str, int]) and not names_array("str | None")

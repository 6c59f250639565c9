"""Every field of a recipe, taken from the models themselves: a value of the wrong kind is one line with its key."""

import inspect
from typing import get_args

import pytest

from twofold import build, inputs, losses, nn
from twofold.apps.quality import Gate
from twofold.config import Optimiser, Recipe, Schedule, Split
from twofold.errors import RecipeError, TwofoldError, UsageError
from twofold.losses import mining
from twofold.nn.builder import kinds_of

SECTIONS = {"": Recipe, "optimiser.": Optimiser, "schedule.": Schedule, "split.": Split}
FIELDS = {
    before + name: field
    for before, model in SECTIONS.items()
    for name, field in model.model_fields.items()
}
PIECES = ("input", "encoder", "comparison", "loss", "miner")

NEVER = [
    "banana\n\x1b[2J",
    [[1]],
    [None],
    {"a": 1},
    float("nan"),
    float("inf"),
    -float("inf"),
    -3,
    1.5j,
]
NO_NUMBER = [True, False, "5", ""]


def kinds(field):
    return {*get_args(field.annotation)} or {field.annotation}


def numbers(*wanted):
    return [
        key for key, field in FIELDS.items() if kinds(field) & {*wanted} and str not in kinds(field)
    ]


def refused(key, value):
    with pytest.raises(TwofoldError) as caught:
        made = Recipe().replace({key: value})
        build.check(made)
    said = str(caught.value)
    assert key.rpartition(".")[2] in said
    assert "\n" not in said.replace("banana\n", "") and "pydantic" not in said
    return said


@pytest.mark.parametrize("value", NEVER, ids=repr)
@pytest.mark.parametrize("key", [key for key in FIELDS if not {bool} & kinds(FIELDS[key])])
def test_what_no_field_takes(key, value):
    if key == "augment" and value == {"a": 1}:
        pytest.skip("the input type checks what is in it")
    refused(key, value)


@pytest.mark.parametrize("value", NO_NUMBER, ids=repr)
@pytest.mark.parametrize("key", numbers(int, float))
def test_true_and_texts_are_not_numbers(key, value):
    assert "must be a number" in refused(key, value)


@pytest.mark.parametrize("value", [10**30, 1.5, -1], ids=repr)
@pytest.mark.parametrize("key", numbers(int))
def test_counts_are_whole_and_have_an_end(key, value):
    assert str(value) in refused(key, value)


@pytest.mark.parametrize("value", [2.0, -0.5])
def test_shares_of_training_are_shares(value):
    refused("schedule.at", [0.5, value])


@pytest.mark.parametrize(
    "value", [3, [1], True, {"dim": 3}, {"name": 3}, {"name": ["conv4"]}, {"name": "banana"}]
)
@pytest.mark.parametrize("key", PIECES)
def test_pieces_of_the_wrong_kind(key, value):
    with pytest.raises(TwofoldError, match=r"name|recipe key|no .* is called"):
        build.check(Recipe().replace({key: value}))


def input_for(encoder):
    """An input that gives what an encoder takes."""
    taken = kinds_of(getattr(nn, encoder))
    if "vectors" in taken:
        return {"name": "Vector", "size": 8}
    if "clips" in taken:
        return "Video"
    return "Image" if "pictures" in taken else "Text" if "symbols" in taken else "Series"


def parameters(package, *wanted):
    for piece in package.__all__:
        made = getattr(package, piece)
        if callable(made) and not (package is inputs and piece != "Image"):
            for name, parameter in inspect.signature(made).parameters.items():
                if (
                    parameter.annotation in wanted
                    and parameter.kind is not inspect.Parameter.VAR_KEYWORD
                ):
                    yield piece, name


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "3", 10**30, [3]], ids=repr)
@pytest.mark.parametrize(("piece", "name"), list(parameters(nn, int)))
def test_sizes_of_encoders(piece, name, value):
    with pytest.raises(
        RecipeError, match=rf"encoder\.{name} = .*: must be a whole number from 1 to 65,536"
    ):
        build.twin(Recipe(input=input_for(piece), encoder={"name": piece, name: value}))


@pytest.mark.parametrize(
    ("kind", "piece", "name"),
    [
        (kind, piece, name)
        for kind, package in (
            ("encoder", nn),
            ("input", inputs),
            ("loss", losses),
            ("miner", mining),
        )
        for piece, name in parameters(package, int, float, bool, str)
        if name not in ("dim", "classes", "comparison") or kind == "encoder"
    ],
)
def test_arguments_of_pieces_are_of_the_type_that_is_written(kind, piece, name):
    make = {
        "encoder": build.twin,
        "input": build.twin,
        "loss": only_loss,
        "miner": lambda of: build.miner(of.miner),
    }
    with pytest.raises(RecipeError, match=rf"{kind}\.{name} = \[\[1\]\]: must be"):
        given = {"input": input_for(piece)} if kind == "encoder" else {}
        make[kind](Recipe(**given, **{kind: {"name": piece, name: [[1]]}}))


def only_loss(recipe):
    return build.loss(recipe.loss, dim=8, classes=2)


def test_the_dimension_of_a_comparison_is_the_encoders():
    with pytest.raises(RecipeError, match=r"comparison\.dim = 3: it follows from encoder\.dim"):
        build.twin(Recipe(comparison={"name": "WeightedL1", "dim": 3}))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, True, "sharp", [1.0], None])
@pytest.mark.parametrize("key", ["sharpness", "contrast", "norm"])
def test_gates_are_finite(key, value):
    with pytest.raises(UsageError, match=f"gate {key}="):
        Gate.of({key: value})


@pytest.mark.parametrize(
    "value", [[40, float("nan")], [220, 40], [-1, 40], [0, 256], [1], 3, [True, 3]]
)
def test_gates_of_brightness_are_a_range(value):
    with pytest.raises(UsageError, match=r"gate brightness=.*brightness=\[40,220\]"):
        Gate.of({"brightness": value})

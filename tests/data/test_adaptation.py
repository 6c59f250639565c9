"""What a recipe becomes for few identities, and what is refused with a remedy that works."""

import numpy as np
import pytest

from twofold.config import Recipe, Split
from twofold.data.adaptation import CROSSFIT_FROM, adapted, fold_count
from twofold.data.items import Items
from twofold.errors import NotEnoughData
from twofold.recipes import character


def people(identities: int, each: int = 3) -> Items:
    labels = np.repeat(np.arange(identities), each)
    return Items.from_arrays(np.arange(len(labels))[:, None], labels)


@pytest.mark.parametrize(
    ("identities", "folds", "p"),
    [
        (4, 0, 4),
        (11, 0, 11),
        (12, 3, 8),
        (16, 3, 10),
        (20, 3, 13),
        (40, 3, 16),
        (100, 3, 16),
        (101, 0, 16),
    ],
)
def test_few_identities_all_train_or_are_cross_fitted(identities, folds, p):
    found = adapted(Recipe(), people(identities)).recipe
    assert (found.split.folds, found.p, found.k) == (folds, p, 3)
    assert found.split.train == (1.0 if identities <= 100 else 0.55)


def test_what_was_changed_is_said_and_enough_identities_change_nothing():
    notes = adapted(Recipe(), people(12)).notes
    assert "cross-fitting in 3 folds" in notes[0] and "about 3 times" in notes[0]
    assert notes[1].startswith("p=8, k=3: 8 classes")
    enough = adapted(Recipe(), people(400, 4))
    assert enough.notes == () and enough.recipe.split == Split(folds=0)


def test_adapting_twice_changes_nothing_more():
    once = adapted(Recipe(), people(16)).recipe
    assert adapted(once, people(16)).recipe == once


def test_shares_that_were_chosen_stay_and_the_others_fill_up():
    split = adapted(
        Recipe().replace({"split.calibrate": 0.4}), people(40), fixed=["split.calibrate"]
    ).recipe.split
    assert (split.calibrate, split.folds) == (0.4, 0)
    assert split.train + split.valid + split.test == pytest.approx(0.6)
    assert split.train / split.test == pytest.approx(7)


def test_cross_fitting_may_keep_a_test_part():
    recipe = Recipe().replace({"split.folds": 4, "split.test": 0.2})
    split = adapted(recipe, people(40), fixed=["split.folds", "split.test"]).recipe.split
    assert (split.train, split.valid, split.calibrate, split.test, split.folds) == (
        0.8,
        0.0,
        0.0,
        0.2,
        4,
    )


def test_turned_classes_count():
    assert adapted(character(), people(8)).recipe.p == 32


def test_what_must_divide_p_divides_it_or_is_dropped():
    recipe = Recipe.model_validate({"p": 16, "hard_classes": 4})
    assert adapted(recipe, people(10)).recipe.p == 8
    small = adapted(recipe, people(3)).recipe
    assert (small.p, small.hard_classes) == (3, None)


@pytest.mark.parametrize("setting", ["p", "k"])
def test_a_chosen_size_is_refused_with_one_that_fits(setting):
    recipe = Recipe().replace({setting: 30})
    with pytest.raises(NotEnoughData, match=f"--set {setting}=(\\d+) or less") as refused:
        adapted(recipe, people(14), fixed=[setting])
    fits = int(str(refused.value).split(f"--set {setting}=")[1].split()[0])
    assert adapted(recipe.replace({setting: fits}), people(14), fixed=[setting])


def test_a_fold_holds_four_identities_where_it_can():
    assert [fold_count(count) for count in (4, 11, CROSSFIT_FROM, 20, 500)] == [2, 2, 3, 3, 3]


def test_few_items_are_trained_for_enough_steps_unless_the_epochs_are_chosen():
    recipe = Recipe().replace(
        {"epochs": 10, "fewest_steps": 40, "split.folds": 0, "split.train": 1.0}
    )
    few = adapted(recipe, people(8))
    assert few.recipe.epochs == 40 and any(
        note.startswith("epochs=40 in place of 10") for note in few.notes
    )
    assert adapted(recipe, people(8), fixed=["epochs"]).recipe.epochs == 10
    many = adapted(recipe, people(200))
    assert many.recipe.epochs == 10 and not any("epochs" in note for note in many.notes)
    assert adapted(Recipe(), people(8)).recipe.epochs == Recipe().epochs

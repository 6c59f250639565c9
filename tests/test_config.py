"""Recipes: defaults, TOML there and back, changes by key, and what is said about mistakes."""

import pytest

from twofold import recipes
from twofold.config import Recipe
from twofold.errors import RecipeError, UnknownName


@pytest.mark.parametrize("name", recipes.__all__)
def test_built_in_recipes_survive_toml(name, tmp_path):
    recipe = recipes.find(name)
    path = tmp_path / "recipe.toml"
    path.write_text(recipe.toml(), encoding="utf-8")
    assert Recipe.read(path) == recipe
    assert recipes.find(str(path)) == recipe


def test_a_name_is_short_for_a_table():
    assert Recipe(loss="triplet").loss == Recipe(loss={"name": "triplet"}).loss
    assert Recipe(loss={"name": "triplet", "margin": 0.3}).loss.arguments == {"margin": 0.3}


def test_replace_reaches_into_sections():
    recipe = Recipe(loss={"name": "triplet", "margin": 0.3})
    changed = recipe.replace({"epochs": 5, "loss.margin": 0.5, "optimiser.learning_rate": 0.1})
    assert (changed.epochs, changed.loss.arguments, changed.optimiser.learning_rate) == (
        5,
        {"margin": 0.5},
        0.1,
    )
    assert recipe.epochs == 30


def test_a_name_given_first_takes_arguments():
    recipe = Recipe().replace({"loss": "triplet", "loss.margin": 0.5})
    assert (recipe.loss.name, recipe.loss.arguments) == ("triplet", {"margin": 0.5})
    with pytest.raises(RecipeError, match="epochs is 30, not a section"):
        recipe.replace({"epochs.most": 3})


def test_a_new_name_drops_the_old_arguments():
    recipe = Recipe(loss={"name": "triplet", "margin": 0.3})
    assert recipe.replace({"loss": "supcon"}).loss.arguments == {}
    assert recipe.replace({"loss.name": "supcon"}).loss.arguments == {}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"epoch": 3}, "unknown recipe key 'epoch': did you mean 'epochs'?"),
        (
            {"optimiser": {"lerning_rate": 1}},
            "key 'optimiser.lerning_rate': did you mean 'learning_rate'?",
        ),
        ({"epochs": "many"}, "recipe key 'epochs'"),
        ({"p": 1}, "recipe key 'p'"),
        ({"optimiser": "adam"}, "recipe key 'optimiser.name'"),
    ],
)
def test_mistakes_name_the_key(table, said):
    with pytest.raises(RecipeError, match="recipe key") as caught:
        Recipe.model_validate(table)
    assert said in str(caught.value)


def test_a_file_that_is_no_toml(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text("epochs = = 3")
    with pytest.raises(RecipeError, match="is not TOML"):
        Recipe.read(path)
    with pytest.raises(RecipeError, match="cannot be read"):
        Recipe.read(tmp_path / "none.toml")


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(UnknownName, match="did you mean 'face'"):
        recipes.find("faces")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"p": 10, "hard_classes": 4},
            "hard_classes = 4 must divide p = 10: choose a p that is a multiple of it",
        ),
        (
            {"p": 8, "hard_classes": 4, "groups_per_batch": 2},
            "both say which classes meet in a batch: drop one",
        ),
    ],
)
def test_classes_meet_in_a_batch_for_one_reason(settings, text):
    with pytest.raises(RecipeError, match=text):
        Recipe.model_validate(settings)

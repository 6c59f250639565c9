"""Losses, arguments and comparisons that make no sense together are refused before any data is read."""

import pytest

from twofold import losses
from twofold.config import Recipe
from twofold.errors import RecipeError, TwofoldError
from twofold.train.objective import check


def recipe(loss, comparison="cosine", **settings):
    encoder = {"name": "conv4", "dim": 8, "width": 4} | settings.pop("encoder", {})
    table = {"input": {"name": "Image", "size": 16, "channels": 1}, "encoder": encoder}
    return Recipe.model_validate(table | {"loss": loss, "comparison": comparison} | settings)


@pytest.mark.parametrize("loss", [name for name in losses.__all__ if name != "external"])
def test_every_loss_fits_a_comparison_as_it_is(loss):
    check(recipe(loss, "WeightedL1" if "cross_entropy" in loss else "cosine"))


@pytest.mark.parametrize(
    ("loss", "comparison", "said"),
    [
        (
            {"name": "contrastive", "negative_margin": 2.5},
            "cosine",
            "loss.negative_margin = 2.5: distances by cosine",
        ),
        (
            {"name": "contrastive", "negative_margin": 1e30},
            "euclidean",
            "at most 2; no pair can be that far apart",
        ),
        (
            {"name": "contrastive", "negative_margin": 0.0},
            "cosine",
            "there would be nothing to learn",
        ),
        (
            {"name": "pair_contrastive", "positive_margin": -5},
            "cosine",
            "loss.positive_margin = -5",
        ),
        ({"name": "roadmap", "negative_margin": 9}, "squared_euclidean", "above 0 and at most 4"),
        ({"name": "triplet", "margin": 1e30}, "cosine", "loss.margin = 1e[+]30"),
        ({"name": "triplet", "margin": -5}, "cosine", "loss.margin = -5"),
        (
            {"name": "triplet", "margin": 0.0, "mining": "semi_hard"},
            "cosine",
            "above 0 and at most 2",
        ),
        (
            {"name": "triplet", "margin": "wide"},
            "cosine",
            "a margin of a loss is a number, not 'wide'",
        ),
        (
            "binary_cross_entropy",
            "cosine",
            "takes a distance for a logit, and cosine .* comparison = 'WeightedL1'",
        ),
        ("pair_cross_entropy", "euclidean", "or a loss for plain distances .pair_contrastive"),
        ("ArcFace", "WeightedL1", "the weights of WeightedL1 would learn nothing"),
    ],
)
def test_what_can_teach_nothing_is_refused_with_the_remedy(loss, comparison, said):
    with pytest.raises(RecipeError, match=said):
        check(recipe(loss, comparison))


def test_embeddings_of_any_length_have_distances_without_bound():
    free = {"unit_norm": False}
    check(recipe({"name": "contrastive", "negative_margin": 50.0}, "euclidean", encoder=free))
    with pytest.raises(RecipeError, match=r"at most 1e[+]06"):
        check(recipe({"name": "contrastive", "negative_margin": 1e30}, "euclidean", encoder=free))
    with pytest.raises(RecipeError, match=r"teaches angles only.*unit_norm = true"):
        check(recipe("ArcFace", "euclidean", encoder=free))


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize(
    "key", ["loss.temperature", "optimiser.learning_rate", "encoder.dropout", "augment.rotation"]
)
def test_numbers_that_are_not_finite_are_no_recipe(key, value):
    with pytest.raises(RecipeError, match="finite number"):
        Recipe(loss="supcon").replace({key: value})


@pytest.mark.parametrize(
    "settings", [{"miner": "batch_hard", "loss": "supcon"}, {"memory": 8, "loss": "ArcFace"}]
)
def test_pieces_that_do_not_go_together_are_seen_before_the_data(settings):
    with pytest.raises(TwofoldError):
        check(recipe(settings.pop("loss"), **settings))

"""Margins that grow from nothing to the recipe's setting, of losses with and without weights."""

import inspect

import numpy as np
import pytest
import torch

from twofold import Items, Recipe, build, losses
from twofold.errors import RecipeError
from twofold.train.fit import fit
from twofold.train.margin import growing
from twofold.train.objective import objective

HALF = {"encoder": "mlp", "input": {"name": "Vector", "size": 4}, "margin_growth": 0.5}


def grown(loss: dict, **more) -> Recipe:
    return Recipe.model_validate(HALF | {"loss": loss} | more)


@pytest.mark.parametrize(
    ("loss", "name", "first"),
    [
        ({"name": "triplet", "margin": 0.4}, "margin", 0.0004),
        ({"name": "contrastive", "negative_margin": 0.4}, "negative_margin", 0.2),
        ({"name": "ArcFace", "margin": 0.4}, "margin", 0.0004),
    ],
)
def test_it_grows_evenly_over_its_share_of_the_training(loss, name, first):
    recipe = grown(loss)
    made = build.loss(recipe.loss, dim=4, classes=3)
    at = growing(made, recipe)
    seen = []
    for progress in (0.0, 0.125, 0.25, 0.5, 1.0):
        at(progress)
        seen.append(
            getattr(made, name) if isinstance(made, torch.nn.Module) else made.keywords[name]
        )
    quarter = (0.4 - first) / 4
    assert seen == pytest.approx([first, first + quarter, first + 2 * quarter, 0.4, 0.4])


def test_what_is_minimised_changes_with_it():
    recipe = grown({"name": "triplet", "margin": 0.4})
    twin = build.twin(recipe)
    aim = objective(recipe, twin, classes=2, loss=None)
    drawn = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    rows = torch.nn.functional.normalize(drawn, dim=1)
    labels = torch.arange(8) % 2
    assert aim.margin is not None
    aim.margin(0.25)
    half = aim.loss(rows, labels, None)
    aim.margin(1.0)
    whole = aim.loss(rows, labels, None)
    for value, margin in ((half, 0.2002), (whole, 0.4)):
        alone = losses.triplet(rows, labels, comparison=twin.comparison, margin=margin)
        assert value.item() == pytest.approx(alone.item(), rel=1e-6)


def test_it_never_falls_below_the_margin_of_genuine_pairs():
    recipe = grown({"name": "roadmap"})
    made = build.loss(recipe.loss, dim=4, classes=3)
    growing(made, recipe)(0.0)
    defaults = inspect.signature(losses.roadmap).parameters
    near, far = (defaults[name].default for name in ("positive_margin", "negative_margin"))
    assert made.keywords["negative_margin"] == pytest.approx((near + far) / 2)


def test_a_training_ends_with_the_full_margin(monkeypatch):
    margins = []

    def seen(embeddings, labels, *, comparison, references=None, margin=0.2):
        margins.append(margin)
        return losses.triplet(embeddings, labels, comparison=comparison, margin=margin)

    monkeypatch.setattr(losses, "triplet_seen", seen, raising=False)
    monkeypatch.setattr(losses, "__all__", [*losses.__all__, "triplet_seen"])
    rows = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    items = Items.from_arrays(rows, [f"{place % 10}" for place in range(40)])
    recipe = grown({"name": "triplet_seen"}, p=4, k=2, epochs=4)
    fit(build.twin(recipe), items, recipe=recipe)
    assert margins[0] < 0.01
    assert margins == sorted(margins)
    assert margins[-1] == 0.2


def test_a_loss_that_grows_with_its_margin_is_no_alarm():
    draw, labels = np.random.default_rng(0), np.arange(40) % 10
    rows = 1 + 0.5 * draw.normal(size=(10, 4))[labels] + 0.01 * draw.normal(size=(40, 4))
    items = Items.from_arrays(rows.astype(np.float32), [f"{label}" for label in labels])
    still = {"optimiser": {"learning_rate": 1e-6}, "p": 10, "k": 4, "epochs": 200}
    recipe = grown({"name": "triplet", "margin": 0.5}, **still)
    bundle = fit(build.twin(recipe), items, recipe=recipe)
    first, *_, last = (line["loss"] for line in bundle.training["history"])
    assert last > 5 * first
    assert bundle.training["notes"] == []


def test_losses_without_a_margin_are_refused_before_the_training():
    recipe = grown({"name": "supcon"})
    with pytest.raises(RecipeError, match="'supcon' has no margin"):
        objective(recipe, build.twin(recipe), classes=2, loss=None)
    with pytest.raises(RecipeError, match="margin_growth is for the recipe's own losses"):
        growing(lambda embeddings, labels, *, comparison: embeddings.sum(), recipe)

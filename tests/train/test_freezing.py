"""What is frozen stays as it is to the bit; features are made once, and give what the trunk would give each time."""

import time

import numpy as np
import pytest
import torch

from twofold import build
from twofold.config import Recipe
from twofold.data.items import Items
from twofold.errors import Interrupted, RecipeError
from twofold.nn import resnet_small
from twofold.nn.blocks import blocks
from twofold.train import features
from twofold.train.checkpoint import Checkpoints
from twofold.train.fit import fit, fit_recipe
from twofold.train.freezing import rate_factors

RECIPE = Recipe.model_validate(
    {
        "input": {"name": "Image", "size": 16, "channels": 1},
        "encoder": {
            "name": "resnet_small",
            "dim": 8,
            "width": 8,
            "pool": "average",
            "dropout": 0.2,
        },
        "p": 4,
        "k": 2,
        "epochs": 3,
        "ema": 0.9,
        "freeze": "trunk",
        "optimiser": {"learning_rate": 0.01},
    }
)


def pictures(classes=8, each=4, seed=0):
    random = np.random.default_rng(seed)
    looks = random.integers(0, 256, (classes, 1, 16, 16, 1))
    arrays = (looks + random.normal(0, 40, (classes, each, 16, 16, 1))).clip(0, 255)
    labels = [f"{seed}-{code}" for code in np.repeat(np.arange(classes), each)]
    return Items.from_arrays(arrays.astype(np.uint8).reshape(-1, 16, 16, 1), labels)


def trained(recipe=RECIPE, **asked):
    twin = build.twin(recipe, seed=0)
    before = {name: tensor.clone() for name, tensor in twin.state_dict().items()}
    bundle = fit(twin, pictures(), pictures(4, seed=1), recipe=recipe, **asked)
    after = bundle.twin.state_dict()
    return bundle, {name for name in before if not torch.equal(before[name], after[name])}


def test_a_frozen_trunk_stays_to_the_bit_and_the_head_learns():
    bundle, moved = trained()
    assert moved == {"encoder.head.2.weight", "encoder.head.2.bias"}
    assert features.KEPT in bundle.training["notes"]
    assert all(weight.requires_grad for weight in bundle.twin.parameters())
    assert bundle.twin.input.name == "Image" and not bundle.twin.encoder.on_features


@pytest.mark.parametrize("pool", ["average", "generalised_mean", "flatten"])
def test_kept_features_give_the_same_weights_as_the_trunk_in_each_epoch(monkeypatch, pool):
    recipe = RECIPE.replace({"encoder.pool": pool})
    kept, _ = trained(recipe)
    monkeypatch.setattr(features, "MEMORY", 0)
    again, _ = trained(recipe)
    assert features.TOO_LARGE in again.training["notes"]
    for one, other in zip(
        kept.twin.state_dict().values(), again.twin.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    assert kept.training["history"][-1]["loss"] == pytest.approx(
        again.training["history"][-1]["loss"], rel=1e-4
    )


def test_the_trunk_runs_once_for_each_item_whatever_the_epochs_and_folds(monkeypatch):
    seen = []
    plain = features._made
    monkeypatch.setattr(
        features, "_made", lambda twin, values, *a: seen.extend(values) or plain(twin, values, *a)
    )
    items = pictures(16)
    recipe = RECIPE.replace({"split.folds": 2})
    bundle = fit_recipe(recipe, items)
    assert bundle.crossfit is not None and len(seen) == len(items)
    assert "_features" not in items.__dict__


def test_a_trunk_that_never_learns_runs_once_whatever_the_folds_and_its_time_is_told(monkeypatch):
    seen, plain, spent = [], features._made, [0.0]

    def slowly(twin, values, precision):
        seen.extend(values)
        spent[0] += 100
        return plain(twin, values, precision)

    monkeypatch.setattr(features, "_made", slowly)
    monkeypatch.setattr(time, "process_time", lambda: spent[0])
    items = pictures(16)
    recipe = RECIPE.replace({"freeze": None, "split.folds": 2, "epochs": 1}).replace(
        {"input.channels": 3, "encoder": {"name": "whitened_levels", "weights": None, "dim": 8}}
    )
    bundle = fit_recipe(recipe, items)
    # all in the first fold and before its first step; the last training found them made
    assert bundle.crossfit is not None and len(seen) == len(items)
    assert bundle.training["core_seconds"] == spent[0] > 0


def test_the_time_before_the_steps_is_told_of_a_training_that_went_on(tmp_path):
    spent, asked = [100.0], iter([False, True])
    where = Checkpoints(tmp_path, asked=lambda: next(asked))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(time, "process_time", lambda: spent[0])

        def slowly(*given):
            spent[0] += 100
            return plain(*given)

        plain = features._made
        patched.setattr(features, "_made", slowly)
        with pytest.raises(Interrupted):
            trained(checkpoints=where)
        bundle, _ = trained(checkpoints=Checkpoints(tmp_path, resume=True))
    assert bundle.training["core_seconds"] == spent[0] - 100 > 0


def test_with_augmentation_nothing_is_kept_and_it_is_said():
    recipe = RECIPE.replace({"augment": {"rotation": 10}, "epochs": 1})
    bundle, moved = trained(recipe)
    assert features.AUGMENTED in bundle.training["notes"]
    assert moved == {"encoder.head.2.weight", "encoder.head.2.bias"}  # no statistics of norms


def test_some_blocks():
    count = len(blocks(resnet_small(width=8)))
    assert count == 5  # the stem and four stages of a block
    _, moved = trained(RECIPE.replace({"freeze": 2, "epochs": 1}))
    assert not any(name.startswith(("encoder.trunk.0", "encoder.trunk.1.")) for name in moved)
    assert any(name.startswith("encoder.trunk.6") for name in moved)
    _, moved = trained(RECIPE.replace({"freeze": "trunk.0", "epochs": 1}))
    assert "encoder.trunk.0.weight" not in moved and "encoder.trunk.1.weight" in moved
    _, moved = trained(RECIPE.replace({"freeze": 0, "epochs": 1}))
    assert "encoder.trunk.0.weight" in moved


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"freeze": 9}, "has 5 blocks below its head"),
        ({"freeze": -1}, "has 5 blocks below its head"),
        ({"freeze": "trnk"}, "is not a part of this encoder"),
        ({"freeze": "trunk", "encoder": {"name": "identity"}}, "no blocks below its head"),
    ],
)
def test_what_cannot_be_frozen(settings, said):
    with pytest.raises(RecipeError, match=said):
        if "encoder" in settings:
            plain = Recipe.model_validate({"input": {"name": "Vector", "size": 3}, **settings})
            vectors = Items.from_arrays(np.eye(4, 3, dtype=np.float32), "aabb")
            fit(build.twin(plain), vectors, recipe=plain)
        else:
            trained(RECIPE.replace(settings))


def test_a_head_with_nothing_to_learn_is_refused():
    from twofold.nn import efficientnet_lite0
    from twofold.twin import Twin

    twin = Twin(build.input(RECIPE.replace({"input.size": 32})), efficientnet_lite0(channels=1))
    with pytest.raises(RecipeError, match=r"leaves nothing to learn: set encoder\.dim"):
        fit(twin, pictures(), recipe=RECIPE)


@pytest.mark.parametrize("value", [True, 1.5, [1]])
def test_no_value_for_freeze(value):
    with pytest.raises(RecipeError):
        RECIPE.replace({"freeze": value})


def test_lower_blocks_learn_more_slowly():
    twin = build.twin(RECIPE)
    factors = rate_factors(twin, 0.5)
    named = dict(twin.named_parameters())
    assert factors[id(named["encoder.trunk.0.weight"])] == 0.5**5
    assert factors[id(named["encoder.trunk.1.weight"])] == 0.5**5  # the norm of the stem
    assert id(named["encoder.head.2.weight"]) not in factors
    assert rate_factors(twin, None) == {} == rate_factors(twin, 1.0)
    bundle, _ = trained(RECIPE.replace({"freeze": None, "layer_decay": 0.5, "epochs": 1}))
    assert bundle.recipe.layer_decay == 0.5


def test_the_lowest_block_moves_by_its_share_of_the_rate():
    steps = {}
    for decay in (1.0, 0.5):
        settings = {"freeze": None, "layer_decay": decay, "epochs": 1, "ema": None}
        recipe = RECIPE.replace({**settings, "optimiser": {"name": "adamw", "weight_decay": 0.0}})
        twin = build.twin(recipe, seed=0)
        before = twin.encoder.trunk[0].weight.detach().clone()
        fit(
            twin, pictures(4, 2), recipe=recipe
        )  # one step, of Adam: the rate, whatever the gradient
        steps[decay] = float((twin.encoder.trunk[0].weight.detach() - before).abs().max())
    assert steps[0.5] == pytest.approx(steps[1.0] * 0.5**5, rel=0.01)

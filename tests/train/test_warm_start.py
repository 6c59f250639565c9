"""Training on from a bundle: its weights, its split, and its memory of what it was trained on."""

import numpy as np
import pytest
import torch

from twofold.bundle import Bundle
from twofold.config import Recipe
from twofold.data.items import Items
from twofold.errors import IdentityOverlap, RecipeError
from twofold.train.checkpoint import Checkpoints
from twofold.train.fit import fit_recipe

SPLIT = {"train": 0.6, "valid": 0.1, "calibrate": 0.2, "test": 0.1, "folds": 0}


def pictures(count, *, prefix="p", seed=0):
    arrays = np.random.default_rng(seed).integers(0, 256, (count * 4, 16, 16, 1), dtype=np.uint8)
    return Items.from_arrays(
        arrays, np.repeat([f"{prefix}{number:02}" for number in range(count)], 4)
    )


def recipe(**settings):
    table = {
        "input": {"name": "Image", "size": 16, "channels": 1},
        "encoder": {"name": "conv4", "dim": 4, "width": 4},
    }
    still = {"learning_rate": 1e-12, "weight_decay": 0.0}
    return Recipe.model_validate(
        table
        | {
            "p": 4,
            "k": 2,
            "epochs": 1,
            "split": SPLIT,
            "optimiser": still,
        }
        | settings
    )


@pytest.fixture(scope="module")
def data():
    return pictures(30)


@pytest.fixture(scope="module")
def ancestor(data):
    return fit_recipe(recipe(optimiser={"learning_rate": 1e-2}), data, seed=3, device="cpu")


def weights(bundle):
    return {
        name: tensor
        for name, tensor in bundle.twin.named_parameters()
        if name.startswith("encoder")
    }


def test_it_begins_with_the_weights_and_keeps_the_split(ancestor, data):
    child = fit_recipe(recipe(loss="triplet"), data, seed=8, device="cpu", ancestor=ancestor)
    for name, tensor in weights(ancestor).items():
        torch.testing.assert_close(weights(child)[name], tensor, rtol=0, atol=1e-6)
    for part in ("calibrate", "test"):
        assert child.part(data, part).identities == ancestor.part(data, part).identities
    assert child.training["ancestor"] == ancestor.fingerprint
    assert child.provenance.counts == ancestor.provenance.counts | {"ancestor": 21}
    assert (
        child.training["notes"][0]
        == f"began with the weights of the bundle {ancestor.fingerprint[:12]}"
    )


def test_on_other_data_the_identities_of_the_ancestor_are_still_refused(ancestor, data, tmp_path):
    other = pictures(30, prefix="q", seed=1)
    child = fit_recipe(recipe(), other, device="cpu", ancestor=ancestor)
    grandchild = fit_recipe(
        recipe(), pictures(30, prefix="r", seed=2), device="cpu", ancestor=child
    )
    for each in (child, Bundle.load(child.save(tmp_path / "child")), grandchild):
        with pytest.raises(IdentityOverlap, match="21 of 30 identities were trained on"):
            each.refuse_trained(data)
        assert each.part(data, "test").identities == ancestor.part(data, "test").identities
    with pytest.raises(IdentityOverlap, match="21 of 30 identities were trained on"):
        grandchild.refuse_trained(other)


def test_grown_data_is_dealt_beside_what_is_known(ancestor, data):
    more = pictures(20, prefix="q", seed=1)
    grown = Items.from_arrays(
        [*data.values, *more.values],
        [each.names[code] for each in (data, more) for code in each.labels],
    )
    child = fit_recipe(recipe(), grown, device="cpu", ancestor=ancestor)
    assert set(ancestor.part(data, "test").identities) < set(child.part(grown, "test").identities)
    assert child.provenance.counts["train"] == 18 + 12
    assert "of the 20 that are new to it 12 are train, 2 are valid" in child.training["notes"][1]


def test_another_head_begins_anew_and_other_encoders_are_refused(ancestor, data):
    child = fit_recipe(
        recipe(encoder={"name": "conv4", "dim": 6, "width": 4}),
        data,
        device="cpu",
        ancestor=ancestor,
    )
    assert (
        "the encoder's head starts from random weights: dim is 6, that of the bundle 4"
        in child.training["notes"]
    )
    trunk = [name for name in weights(child) if name.startswith("encoder.trunk")]
    for name in trunk:
        torch.testing.assert_close(weights(child)[name], weights(ancestor)[name], rtol=0, atol=1e-6)
    other = recipe(
        encoder={"name": "conv4", "dim": 4, "width": 8},
        input={"name": "Image", "size": 32, "channels": 1},
    )
    with pytest.raises(
        RecipeError,
        match=r"input.size is .*, in the bundle .*; encoder.width is 8, in the bundle 4",
    ):
        fit_recipe(other, data, device="cpu", ancestor=ancestor)


def test_it_goes_on_after_an_interruption_with_or_without_the_bundle(ancestor, data, tmp_path):
    fit_recipe(recipe(), data, device="cpu", ancestor=ancestor, checkpoints=Checkpoints(tmp_path))
    again = fit_recipe(recipe(), data, device="cpu", checkpoints=Checkpoints(tmp_path, resume=True))
    assert again.training["ancestor"] == ancestor.fingerprint
    assert again.provenance.counts["ancestor"] == 21
    other = fit_recipe(recipe(), data, seed=9, device="cpu")
    with pytest.raises(RecipeError, match="began with another bundle"):
        fit_recipe(
            recipe(),
            data,
            device="cpu",
            ancestor=other,
            checkpoints=Checkpoints(tmp_path, resume=True),
        )

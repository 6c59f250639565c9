"""A training that goes on keeps the split it began with, whatever has become of the data (law 2)."""

from dataclasses import replace

import numpy as np
import pytest

from twofold.config import Recipe
from twofold.data.items import Items
from twofold.errors import DataError, IdentityOverlap, RecipeError
from twofold.train import checkpoint
from twofold.train.checkpoint import Checkpoints
from twofold.train.fit import fit_recipe
from twofold.train.split import deal, deal_again

SHARES = Recipe().split
PARTS = ("train", "valid", "calibrate", "test")

SPLIT = {"train": 0.6, "valid": 0.1, "calibrate": 0.2, "test": 0.1, "folds": 0}


def pictures(names, *, each=4, seed=0):
    arrays = np.random.default_rng(seed).integers(
        0, 256, (len(names) * each, 16, 16, 1), dtype=np.uint8
    )
    return Items.from_arrays(arrays, np.repeat(names, each))


def named(count, prefix="p"):
    return [f"{prefix}{number:02}" for number in range(count)]


def joined(*several):
    values = [value for each in several for value in each.values]
    return Items.from_arrays(values, [each.names[code] for each in several for code in each.labels])


def contents(items):
    return set(items.content_hashes())


@pytest.fixture(scope="module")
def began():
    data = pictures(named(40))
    return data, deal(data, SHARES, seed=3)


def test_unchanged_data_has_the_same_split_and_nothing_is_said(began):
    data, first = began
    again = deal_again(data, first.provenance)
    assert again.parts.names() == first.parts.names() and again.notes == ()
    assert again.provenance == first.provenance


def test_added_removed_and_renamed_identities_move_nobody(began):
    data, first = began
    gone = {first.parts.train.identities[0], first.parts.test.identities[0]}
    names = tuple(
        f"{name} renamed" if place % 3 == 0 else name for place, name in enumerate(data.identities)
    )
    left = replace(data, identities=names, names=names)
    left = left.where(
        identities=[name for name in names if name.removesuffix(" renamed") not in gone]
    )
    changed = joined(left, pictures(named(9, "a new"), seed=1))
    again = deal_again(changed, first.provenance)
    assert len(deal(changed, SHARES, seed=3).parts.train) != len(again.parts.train), (
        "it would be dealt otherwise"
    )
    for part in PARTS:
        assert contents(getattr(again.parts, part)) <= contents(getattr(first.parts, part))
    assert sum(len(getattr(again.parts, part)) for part in PARTS) == 38 * 4
    said = "\n".join(again.notes)
    assert "9 identities are new since the training began" in said
    assert (
        "new since the training began: a new00, a new01" in again.named[0] and "a new" not in said
    )
    assert "another name than before" in said
    assert "identities that are gone since the training began: 1 of train, 1 of test" in said


def test_items_that_changed_are_said_and_stay_with_their_identity(began):
    data, first = began
    values = list(data.values)
    for place in (0, 1, 2, 3, 9):  # all of p00, one of p02
        values[place] = 255 - values[place]
    again = deal_again(replace(data, values=tuple(values)), first.provenance)
    assert again.parts.names() == first.parts.names()
    assert again.notes == ("5 items are new or changed since the training began",)
    assert again.named == ("new or changed items: 0, 1, 2, 3, 9",)


def test_what_is_moved_to_a_trained_identity_is_trained_on(began):
    """A file in the folder of another: the identity it came from keeps the rest."""
    data, first = began
    aside, trained = first.parts.test.identities[0], first.parts.train.identities[0]
    rows = np.flatnonzero(data.identity == data.identities.index(aside))
    labels, identity = data.labels.copy(), data.identity.copy()
    labels[rows[0]], identity[rows[0]] = data.names.index(trained), data.identities.index(trained)
    again = deal_again(replace(data, labels=labels, identity=identity), first.provenance)
    assert trained in again.parts.train.identities and aside in again.parts.test.identities
    # trained things in the folder of a kept-aside identity make that identity a trained one
    rows = np.flatnonzero(data.identity == data.identities.index(trained))
    labels, identity = data.labels.copy(), data.identity.copy()
    labels[rows[0]], identity[rows[0]] = data.names.index(aside), data.identities.index(aside)
    again = deal_again(replace(data, labels=labels, identity=identity), first.provenance)
    assert aside in again.parts.train.identities and aside not in again.parts.test.identities


def test_other_data_is_refused(began):
    _, first = began
    with pytest.raises(
        DataError, match=r"of its 160 items 0 are in DATA now.*or train without --resume"
    ):
        deal_again(pictures(named(40), seed=9), first.provenance)


def recipe(**settings):
    table = {
        "input": {"name": "Image", "size": 16, "channels": 1},
        "encoder": {"name": "conv4", "dim": 4, "width": 4},
    }
    return Recipe.model_validate(
        table
        | {
            "p": 4,
            "k": 2,
            "epochs": 1,
            "split": SPLIT,
        }
        | settings
    )


def interrupted(where, data, **settings):
    """The first epoch of two is done."""
    done = fit_recipe(
        recipe(epochs=2, **settings), data, device="cpu", checkpoints=Checkpoints(where)
    )
    for state in Checkpoints(where).states[1:]:
        checkpoint.drop([state])
    return done


def test_after_a_resume_nothing_that_was_trained_on_judges(tmp_path):
    data = pictures(named(30))
    before = interrupted(tmp_path, data, memory=16)
    trained = (
        contents(data)
        - contents(before.part(data, "calibrate"))
        - contents(before.part(data, "test"))
    )
    changed = joined(
        data.where(identities=data.identities[5:]), pictures(named(12, "a new"), seed=1)
    )
    after = fit_recipe(
        recipe(epochs=2, memory=16),
        changed,
        device="cpu",
        checkpoints=Checkpoints(tmp_path, resume=True),
    )
    for part in ("calibrate", "test"):
        judges = after.part(changed, part)
        assert contents(judges) and not contents(judges) & trained
        assert not [name for name in judges.identities if name.startswith("a new")]
    with pytest.raises(IdentityOverlap):  # those that are gone now were trained on all the same
        after.refuse_trained(
            data.take([row for row in range(20) if data.content_hashes()[row] in trained])
        )
    assert any(
        "12 identities are new since the training began" in note for note in after.training["notes"]
    )


def test_a_loss_with_weights_for_each_class_wants_the_same_classes(tmp_path):
    data = pictures(named(30))
    interrupted(tmp_path, data, loss="ArcFace")
    with pytest.raises(RecipeError, match="the loss has weights for each class: restore the data"):
        fit_recipe(
            recipe(epochs=2, loss="ArcFace"),
            data.where(identities=data.identities[:-3]),
            device="cpu",
            checkpoints=Checkpoints(tmp_path, resume=True),
        )

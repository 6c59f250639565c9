"""Losses of others: a bare one is answered with the wrapper, which works with a miner; the bundle says which it was."""

import pytest
import torch
from torch import nn

from twofold import build
from twofold.config import Recipe
from twofold.data.synthetic import glyphs
from twofold.errors import UsageError
from twofold.losses import external
from twofold.train.fit import fit

RECIPE = Recipe(
    input={"name": "Image", "size": [16, 16], "channels": 1},
    encoder={"name": "resnet_small", "dim": 8, "width": 4},
    epochs=1,
    p=4,
    k=2,
)


class Foreign(nn.Module):
    """A loss with the signature that those of pytorch-metric-learning have."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, embeddings, labels=None, indices_tuple=None, ref_emb=None, ref_labels=None):
        self.seen.append(indices_tuple)
        return embeddings.square().sum()


class Miner(nn.Module):
    def forward(self, embeddings, labels):
        first = torch.arange(len(labels))
        return first, first, first


def trained(loss, **settings):
    recipe = RECIPE.replace(settings)
    return fit(
        build.twin(recipe, seed=0),
        glyphs(classes=4, each=2, size=16, seed=0),
        recipe=recipe,
        loss=loss,
    )


def test_a_bare_one_is_answered_with_the_wrapper():
    with pytest.raises(UsageError, match=r"Foreign takes no comparison.*losses\.external\(Foreign"):
        trained(Foreign())


def test_its_own_miner_chooses_and_the_bundle_says_so():
    loss = Foreign()
    bundle = trained(external(loss, miner=Miner()))
    assert all(len(given) == 3 for given in loss.seen) and loss.seen
    name = f"{__name__}.Foreign with {__name__}.Miner"
    assert bundle.training["loss"] == bundle.recipe.loss.name == name


def test_a_miner_of_the_recipe_chooses(tmp_path):
    loss = Foreign()
    bundle = trained(external(loss), miner="batch_hard")
    assert all(len(given) == 3 for given in loss.seen) and loss.seen
    assert (
        bundle.save(tmp_path / "m")
        and type(bundle).load(tmp_path / "m").recipe.loss.name == f"{__name__}.Foreign"
    )


def test_a_loss_without_triplets_and_a_miner():
    def plain(embeddings, labels, *, comparison):
        return embeddings.square().sum()

    with pytest.raises(UsageError, match="drop the miner"):
        trained(plain, miner="batch_hard")
    assert trained(plain).training["loss"].endswith("plain")

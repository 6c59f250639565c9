"""What is drawn where, whitened by the training classes."""

import numpy as np
import pytest
import torch

from drawn_signatures import write
from twofold import Items, Pairs, build
from twofold.bundle import Bundle
from twofold.embedding import deciding, embed
from twofold.errors import RecipeError
from twofold.metrics.skilled import of_kind
from twofold.metrics.verification import eer, tally
from twofold.nn import whitened_places
from twofold.nn.whitened_places import BOX, Places, _boxed, _plane, _span
from twofold.recipes import signature
from twofold.recruitment import pairs_of
from twofold.train.fit import fit

SMALL = {
    "input.size": [48, 96],
    "encoder": {"name": "whitened_places", "network": False, "dim": 64},
    "comparison": "euclidean",
    "p": 4,
    "k": 3,
}


def trained(folder, **changes) -> Bundle:
    recipe = signature().replace(SMALL | changes)
    train = Items.open(write(folder, 12, forgeries=3, seed=1))
    return fit(build.twin(recipe, seed=0), train, recipe=recipe, seed=0)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("train"))


def test_unseen_writers_and_forgeries_are_told_apart(bundle, tmp_path):
    test = Items.open(write(tmp_path, 8, forgeries=4, seed=2))
    pairs = pairs_of(test, deciding(bundle, embed(bundle, test).vectors))
    assert eer(tally(of_kind(pairs, "skilled"))) < 0.15
    assert eer(tally(of_kind(pairs, "random"))) < 0.05


def test_the_head_is_centred_and_whitens_what_varies_within_classes():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(40).repeat_interleave(6)
    centres = torch.randn(40, 720, generator=generator)
    wide = torch.ones(720)
    wide[:5] = 20  # what varies much within classes
    features = centres[labels] + wide * torch.randn(240, 720, generator=generator)
    encoder = whitened_places(32, network=False)
    weight, bias = encoder.solved(features, labels)
    found = features @ weight.T + bias
    torch.testing.assert_close(found.mean(dim=0), torch.zeros(32), atol=1e-3, rtol=0)
    apart = found - torch.stack([found[labels == one].mean(dim=0) for one in range(40)])[labels]
    assert float(apart.std(dim=0).max() / apart.std(dim=0).min()) < 5


def test_the_bundle_is_read_back_with_the_same_vectors(bundle, tmp_path):
    test = Items.open(write(tmp_path / "test", 2, seed=3))
    bundle.save(tmp_path / "bundle")
    again = Bundle.load(tmp_path / "bundle")
    np.testing.assert_array_equal(embed(again, test).vectors, embed(bundle, test).vectors)


def test_vectors_have_the_root_of_their_length_or_length_one(bundle):
    encoder = bundle.twin.encoder
    pictures = torch.ones(3, 1, 48, 96)
    pictures[:, :, 10:30, 20:60:7] = -1
    pictures[1, :, 5:40, 30] = -1
    with torch.no_grad():
        plain = encoder.head(encoder.features(pictures))
        rooted = encoder(pictures)
        encoder.unit_norm = True
        unit = encoder(pictures)
        encoder.unit_norm = False
    lengths = torch.linalg.vector_norm(plain, dim=1)
    torch.testing.assert_close(torch.linalg.vector_norm(rooted, dim=1), lengths.sqrt())
    torch.testing.assert_close(torch.linalg.vector_norm(unit, dim=1), torch.ones(3))


def test_margins_do_not_count():
    """The box around the ink is what gradients are counted in, wherever it stands."""
    drawing = torch.ones(1, 1, 20, 40)
    drawing[..., ::3, :] = -1
    drawing[..., 0], drawing[..., -1] = -1, -1
    around = torch.ones(1, 1, 60, 100)
    around[..., 25:45, 30:70] = drawing
    assert _boxed(around).shape == (1, 1, *BOX)
    inside = (slice(None), slice(None), slice(8, -8), slice(8, -8))
    torch.testing.assert_close(_boxed(around)[inside], _boxed(drawing)[inside], atol=0.2, rtol=0)
    middle, share = _span(torch.tensor([[False, True, True, False], [False] * 4]))
    torch.testing.assert_close(middle, torch.zeros(2))
    torch.testing.assert_close(share, torch.tensor([0.5, 1.0]))  # a blank one: all of it


def test_the_plane_holds_all_of_the_values():
    values = torch.randn(6, 40, generator=torch.Generator().manual_seed(0))
    values = values - values.mean(dim=0)
    plane = _plane(values)
    assert plane.shape == (5, 40)
    torch.testing.assert_close(values @ plane.T @ plane, values, atol=1e-4, rtol=0)


def test_the_network_looks_at_four_levels():
    assert Places(network=True, weights=None).size == Places(network=False, weights=None).size + (
        (24 + 40 + 80) * 18 + 192 * 8
    )
    encoder = whitened_places(16)
    assert encoder(torch.ones(2, 1, 64, 128)).shape == (2, 16)


def test_exports_with_a_free_batch_size():
    encoder = whitened_places(16, network=False).eval()
    pictures = torch.ones(3, 1, 64, 128)
    pictures[:, :, 20:40, 30:90:4] = -1
    free = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(encoder, (pictures[:2],), dynamic_shapes=free)
    torch.testing.assert_close(program.module()(pictures), encoder(pictures), atol=1e-5, rtol=1e-4)


def test_pairs_and_colours_are_refused():
    with pytest.raises(RecipeError, match="whitened_places takes pictures of 1 channel, not 3"):
        whitened_places(channels=3)
    recipe = signature().replace(SMALL)
    drawn = np.full((48, 96), 255, np.uint8)
    drawn[10:20, 10:60] = 0
    pairs = Pairs(
        values=(drawn,) * 4,
        ids=tuple("abcd"),
        index_a=np.array([0, 1]),
        index_b=np.array([2, 3]),
        answers=np.array([1.0, 0.0]),
    )
    recipe = recipe.replace({"loss": "pair_contrastive"})
    with pytest.raises(RecipeError, match="learns from labelled items, and cannot train on pairs"):
        fit(build.twin(recipe, seed=0), pairs, recipe=recipe, seed=0)

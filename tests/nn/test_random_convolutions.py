"""Random convolutions: features by a slow loop, a discriminant that finds classes, folds that share nothing."""

import itertools

import numpy as np
import pytest
import torch

from twofold import Items, recipes
from twofold.build import twin
from twofold.inputs.padded import Padded, padded
from twofold.nn import random_convolutions
from twofold.nn.random_convolutions import discriminant
from twofold.train.features import KEPT
from twofold.train.fit import fit


def test_features_are_those_of_a_slow_loop():
    encoder = random_convolutions(scales=2, thresholds=2)
    series = np.random.default_rng(0).normal(size=20).astype(np.float32)
    encoder.prepare_features([padded([series[:, None]])])
    assert encoder.trunk.dilations.tolist() == [1, 2]
    found = encoder.features(padded([series[:, None]]))[0].numpy()
    wanted = []
    for view, scale in itertools.product((series, np.diff(series)), (0, 1)):
        responses = []
        for heavy in itertools.combinations(range(9), 3):
            weights = np.full(9, -1.0)
            weights[list(heavy)] = 2.0
            places = [-4 + n for n in range(9)]
            response = [
                sum(
                    weight * view[at]
                    for weight, place in zip(weights, places, strict=True)
                    if 0 <= (at := now + place * (scale + 1)) < len(view)
                )
                for now in range(len(view))
            ]
            responses.append(np.array(response))
        sizes = [np.sqrt((each**2).mean()) for each in responses]
        wanted += [np.log(size) for size in sizes]
        for number in range(2):
            over = [
                each / size - float(encoder.trunk.thresholds[scale, kernel, number])
                for kernel, (each, size) in enumerate(zip(responses, sizes, strict=True))
            ]
            wanted += [(each > 0).mean() for each in over]
            wanted += [each[each > 0].mean() if (each > 0).any() else 0.0 for each in over]
    assert len(found) == encoder.trunk.width == len(wanted)
    assert np.allclose(found, wanted, atol=2e-5)


def test_features_do_not_depend_on_padding_or_on_the_rest_of_the_batch():
    encoder = random_convolutions(channels=3, scales=2, thresholds=1)
    draw = np.random.default_rng(0)
    batch = padded([draw.normal(size=(n, 3)).astype(np.float32) for n in (30, 12, 2)])
    encoder.prepare_features([batch])
    together = encoder.features(batch)
    alone = torch.cat([encoder.features(batch[row : row + 1]) for row in range(3)])
    assert torch.allclose(alone, together, atol=1e-5)
    spoilt = torch.where(batch.mask[..., None], batch.values, 7.0)
    assert torch.allclose(encoder.features(Padded(spoilt, batch.lengths)), together, atol=1e-5)


def test_kernels_see_some_of_many_channels_and_are_the_same_each_time():
    one, two = (random_convolutions(channels=20, scales=2).trunk.kernels for _ in range(2))
    assert torch.equal(one, two)
    seen = one.abs().sum(dim=3).gt(0).sum(dim=2)
    assert int(seen.min()) >= 1 and int(seen.max()) <= 9
    assert torch.equal(one.sum(dim=(2, 3)), torch.zeros(2, 84)), "the level does not count"


@pytest.mark.parametrize("labelled", [True, False])
def test_a_discriminant_finds_the_direction_that_tells_classes_apart(labelled):
    draw = np.random.default_rng(0)
    labels = np.arange(60) % 3
    rows = draw.normal(size=(60, 200)).astype(np.float32)
    rows[:, 0] = 5.0 * labels + draw.normal(0, 0.1, 60)
    mean, directions = discriminant(rows, labels if labelled else None, most=8)
    inside = (rows - mean) @ directions.T
    assert inside.shape == (60, 8)
    first = inside[:, 0]
    between = np.array([first[labels == label].mean() for label in range(3)]).std()
    within = np.mean([first[labels == label].std() for label in range(3)])
    assert not labelled or between > 5 * within
    assert np.allclose(np.corrcoef(inside.T) - np.eye(8), 0, atol=1e-3), "no direction twice"


def waves(classes=4, each=6):
    draw = np.random.default_rng(0)
    rates = np.linspace(0.2, 1.0, classes)
    values = [
        np.sin(rate * np.arange(30) + draw.uniform(0, 3)) + draw.normal(0, 0.2, 30)
        for rate in rates
        for _ in range(each)
    ]
    return Items.from_arrays(values, [f"c{n // each}" for n in range(classes * each)])


def test_training_fits_the_discriminant_once_on_kept_features():
    recipe = recipes.series().replace({"p": 4, "k": 4, "epochs": 2, "encoder.dim": 16})
    items = waves()
    bundle = fit(twin(recipe, seed=0), items, None, recipe=recipe)
    head, trunk = bundle.twin.encoder.head, bundle.twin.encoder.trunk
    assert head.directions.any() and trunk.dilations.tolist()[-1] == 3
    assert KEPT in bundle.training["notes"]
    before = head.directions.clone()
    bundle.twin.encoder.prepare([padded([np.ones((9, 1), np.float32)])])
    assert torch.equal(head.directions, before)


def test_augmented_series_pass_the_kernels_in_each_epoch():
    settings = {"p": 4, "k": 4, "epochs": 1, "encoder.dim": 16, "augment.jitter": 0.1}
    recipe = recipes.series().replace(settings)
    bundle = fit(twin(recipe, seed=0), waves(), None, recipe=recipe)
    assert bundle.twin.encoder.head.directions.any()


def test_a_trunk_that_learns_from_its_things_makes_features_anew_in_each_fold():
    from twofold.train.fit import fit_recipe

    recipe = recipes.series().replace({"epochs": 1, "encoder.dim": 16, "split.folds": 2})
    bundle = fit_recipe(recipe, waves(12, 3))
    assert bundle.crossfit is not None and len(bundle.crossfit.scores)

"""Nearest examples: a closed set only by name, right answers counted by a slow loop."""

import numpy as np
import pytest

from twofold import Items, recipes
from twofold.apps.closed_set import nearest_example
from twofold.build import twin
from twofold.embedding import embed_arrays
from twofold.errors import DataError, IdentityOverlap
from twofold.metrics.intervals import share_interval
from twofold.train.fit import fit


def waves(classes, each, *, seed, first=0):
    draw = np.random.default_rng(seed)
    rates = np.linspace(0.2, 1.0, 8)[first : first + classes]
    values = [
        np.sin(rate * np.arange(30) + draw.uniform(0, 3)) + draw.normal(0, 0.6, 30)
        for rate in rates
        for _ in range(each)
    ]
    return Items.from_arrays(values, [f"c{first + n // each}" for n in range(classes * each)])


@pytest.fixture(scope="module")
def bundle():
    recipe = recipes.series().replace({"p": 4, "k": 4, "epochs": 1, "encoder.dim": 16})
    return fit(twin(recipe, seed=0), waves(4, 6, seed=0), None, recipe=recipe)


def test_classes_that_were_trained_on_need_the_word(bundle):
    train, test = waves(4, 6, seed=0), waves(4, 5, seed=1)
    with pytest.raises(IdentityOverlap, match=r"4 of 4 classes were trained on .*--closed-set"):
        nearest_example(bundle, test, train)
    found = nearest_example(bundle, test, train, closed_set=True)
    assert found.closed_set and (found.items, found.gallery, found.classes) == (20, 24, 4)
    read = bundle.twin.input.read
    ours, known = (
        embed_arrays(bundle.twin, [read(value) for value in each.values]) for each in (test, train)
    )
    nearest = train.labels[(ours @ known.T).argmax(axis=1)]
    accuracy, balanced = found.estimates
    assert accuracy.value == pytest.approx((nearest == test.labels).mean())
    assert balanced.value == pytest.approx(accuracy.value), "all classes have the same size"
    assert accuracy.unit == "item" and accuracy.low < accuracy.value <= accuracy.high
    assert sum(count for *_, count in found.confused) == (nearest != test.labels).sum()


def test_unseen_classes_need_no_word_and_resample_classes(bundle):
    gallery, test = waves(4, 3, seed=2, first=4), waves(4, 5, seed=3, first=4)
    found = nearest_example(bundle, test, gallery, closed_set=True)
    assert not found.closed_set and found.estimates[0].unit == "identity"
    assert found == nearest_example(bundle, test, gallery)


def test_a_class_without_an_example_and_items_that_find_themselves(bundle):
    gallery, test = waves(3, 3, seed=2, first=4), waves(4, 5, seed=3, first=4)
    with pytest.raises(DataError, match=r"no example of 1 class of the data \(c7\)"):
        nearest_example(bundle, test, gallery)
    found = nearest_example(bundle, test, test)
    assert found.estimates[0].value == 1.0 and found.notes[-1].startswith("20 items stand in")


def test_the_interval_of_a_share():
    assert share_interval(0, 10) == (0.0, pytest.approx(0.3085, abs=1e-3))
    assert share_interval(10, 10) == (pytest.approx(0.6915, abs=1e-3), 1.0)
    assert share_interval(5, 10) == (
        pytest.approx(0.1871, abs=1e-3),
        pytest.approx(0.8129, abs=1e-3),
    )

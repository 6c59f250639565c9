"""Scores among thresholds, counted quickly: the numbers of a binary search, to the last one."""

import numpy as np
import pytest

from twofold.calibration.pairs import calibration
from twofold.metrics import bins, certification, jackknife, probability, verification
from twofold.metrics.bins import reached
from twofold.metrics.pairs import AllPairs


def thresholds_of(kind):
    random = np.random.default_rng(0)
    if kind == "even":
        return np.append(np.linspace(-0.3, 0.9, 1 << 16), np.nextafter(0.9, np.inf))
    if kind == "crowded":
        return np.unique(np.concatenate([random.normal(0.7, 1e-4, 600), random.random(400)]))
    if kind == "from minus infinity":
        return np.append(-np.inf, np.unique(random.random(200)))
    return {"few": np.array([0.1, 0.5]), "one": np.array([0.5])}[kind]


@pytest.mark.parametrize("kind", ["even", "crowded", "from minus infinity", "few", "one"])
def test_as_many_thresholds_are_reached_as_a_binary_search_says(kind):
    thresholds, random = thresholds_of(kind), np.random.default_rng(1)
    finite = thresholds[np.isfinite(thresholds)]
    scores = np.concatenate(
        [
            random.uniform(-2, 2, 1 << 16),
            random.choice(finite, 5000),
            np.nextafter(random.choice(finite, 5000), -np.inf),
            np.nextafter(random.choice(finite, 5000), np.inf),
        ]
    )
    expected = np.searchsorted(thresholds, scores, side="right")
    assert np.array_equal(reached(thresholds, scores), expected)
    assert np.array_equal(reached(thresholds, scores[:100]), expected[:100])


@pytest.mark.parametrize("uneven", [False, True])
def test_a_calibration_is_that_of_pairs_one_by_one(monkeypatch, uneven):
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(300), random.integers(1, 4, 300) if uneven else 3)
    vectors = random.normal(size=(300, 16))[labels] + random.normal(size=(len(labels), 16))
    vectors = random.permutation(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    order = random.permutation(len(labels))
    vectors, labels = vectors[order], labels[order]

    def score(rows, cols):
        return vectors[rows] @ vectors[cols].T + 0.5 * (labels[rows][:, None] == labels[cols])

    class OneByOne(AllPairs):
        _rectangles = AllPairs._listed

    quick = calibration(AllPairs(score, labels), far=1e-2)
    monkeypatch.setattr(bins, "FEW", np.inf)
    for module in (certification, jackknife, probability, verification):
        if hasattr(module, "reached"):
            monkeypatch.setattr(module, "reached", lambda t, s: np.searchsorted(t, s, "right"))
    slow = calibration(OneByOne(score, labels), far=1e-2)
    assert (quick.threshold, quick.standing, quick.isotonic) == (
        slow.threshold,
        slow.standing,
        slow.isotonic,
    )
    assert quick.upper_bound == pytest.approx(slow.upper_bound, rel=1e-12)
    assert quick.false_match.high == pytest.approx(slow.false_match.high, rel=1e-9)
    assert quick.reference is not None and slow.reference is not None
    for name, values in vars(quick.reference).items():
        assert values == pytest.approx(getattr(slow.reference, name), rel=1e-9), name

"""Symptoms in the calibration data: by their definitions, and the sentences that follow."""

import numpy as np
import pytest
from scipy import stats

from twofold.metrics.diagnostics import symptoms
from twofold.metrics.pairs import AllPairs


def people(effect, sizes=2, seed=0):
    """All pairs of identities with these effects."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(effect)), sizes)
    items = np.asarray(effect)[labels] + 0.2 * generator.normal(size=len(labels))
    noise = 0.5 * generator.normal(size=(len(labels),) * 2)

    def score(rows, cols):
        found = items[rows][:, None] + items[cols] + noise[np.ix_(rows, cols)]
        return found + 9.0 * (labels[rows][:, None] == labels[cols])

    return AllPairs(score, labels)


def test_symptoms_are_those_of_plain_loops():
    pairs = people(
        np.random.default_rng(1).normal(size=40), np.random.default_rng(2).integers(1, 5, 40)
    )
    found = symptoms(pairs, 2.0)
    (block,) = list(pairs)
    means, share = [], []
    for unit in range(40):
        of = ~block.same & ((block.first == unit) | (block.second == unit))
        means.append(np.average(block.scores[of], weights=block.weights[of]))
        share.append(block.weights[of & (block.scores >= 2.0)].sum())
    impostor = ~block.same
    assert (found.skewness, found.kurtosis) == (
        pytest.approx(stats.skew(means)),
        pytest.approx(stats.kurtosis(means)),
    )
    reached = block.weights[impostor & (block.scores >= 2.0)].sum()
    assert found.largest == pytest.approx(max(share) / reached)
    assert found.rate == pytest.approx(reached / block.weights[impostor].sum())
    assert found.by_items == pytest.approx((block.scores[impostor] >= 2.0).mean())


def said(pairs, threshold, *, certified=True):
    return symptoms(pairs, threshold).warnings(certified=certified, needed=1196)


def test_healthy_people_are_not_warned_about():
    effect = 0.4 * stats.norm.ppf((np.arange(110) + 0.5) / 110)
    assert said(people(effect), 1.6) == ()


def test_heavy_tails_and_who_dominates_are_said():
    effect = 0.4 * stats.norm.ppf((np.arange(110) + 0.5) / 110)
    effect[-1] = 4.0
    tails, largest = said(people(effect), 2.5)
    assert (
        "identities differ more than usual" in tails
        and "with about 1,196 --standing guaranteed" in tails
    )
    assert "a single identity takes part in" in largest
    assert said(people(effect), 2.5, certified=False) == ()


def test_few_identities_tell_nothing_of_tails():
    effect = np.zeros(20)
    effect[0] = 5.0
    assert symptoms(people(effect), 9.0).shape == 0.0


def test_rates_over_items_that_differ_are_said():
    sizes = np.where(np.arange(60) < 30, 1, 8)
    effect = np.where(np.arange(60) < 30, 1.5, -1.5) + 0.1 * np.random.default_rng(0).normal(
        size=60
    )
    (told,) = said(people(effect, sizes), 2.0, certified=False)
    assert "counted by pairs of items the rate is" in told

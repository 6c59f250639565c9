"""Differences of two models on the same data: against the slow way, narrow where they share, and refusals."""

import math

import numpy as np
import pytest
from scipy import stats

from twofold.errors import DataError
from twofold.metrics.paired import differences
from twofold.metrics.pairs import AllPairs
from twofold.metrics.verification import eer, estimates, tally


def two(identities=30, items=3, *, seed=0, better=0.0):
    """Two models that share what is hard in an identity; B's genuine pairs score `better` higher."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(identities), items)
    same = labels[:, None] == labels[None, :]
    effect = 0.5 * generator.normal(size=identities)[labels]
    shared = (
        effect[:, None] + effect[None, :] + 0.7 * generator.normal(size=same.shape) + 2.0 * same
    )
    return [
        shared + 0.15 * generator.normal(size=same.shape) + gain * same for gain in (0.0, better)
    ], labels


def source(scores, labels):
    return AllPairs(lambda rows, cols: scores[np.ix_(rows, cols)], labels)


def test_the_interval_is_that_of_leaving_out_by_hand():
    (a, b), labels = two(40)
    found = differences(source(a, labels), source(b, labels))["eer"]
    gaps = []
    for identity in range(40):
        kept = np.flatnonzero(labels != identity)
        one, other = (eer(tally(source(s[np.ix_(kept, kept)], labels[kept]))) for s in (a, b))
        gaps.append(one - other)
    gaps = np.array(gaps)
    assert (found.a, found.b) == (eer(tally(source(a, labels))), eer(tally(source(b, labels))))
    assert found.gain == found.a - found.b
    moved = (gaps - gaps.mean()) ** 2
    freedom = min(80 / (40 * (moved**2).sum() / moved.sum() ** 2 - 1), 39)
    reach = stats.t.ppf(0.975, freedom) * math.sqrt(39 / 40 * moved.sum())
    assert (found.low, found.high) == pytest.approx(
        (found.gain - reach, found.gain + reach), abs=0.25 * reach
    )


def test_what_two_models_share_cancels():
    (a, b), labels = two(60, better=0.4)
    pairs = [source(scores, labels) for scores in (a, b)]
    found = differences(*pairs, far=0.05, thresholds=(2.0, 2.0))
    assert set(found) == {"eer", "auc", "tar_at_far", "false_match_rate", "false_non_match_rate"}
    alone = estimates(pairs[0])["eer"]
    assert found["eer"].low > 0 and found["eer"].high - found["eer"].low < 0.9 * (
        alone.high - alone.low
    )
    assert found["false_non_match_rate"].gain > 0 and found["tar_at_far"].gain > 0
    back = differences(*reversed(pairs), far=0.05)["eer"]
    assert (back.gain, back.low, back.high) == pytest.approx(
        (-found["eer"].gain, -found["eer"].high, -found["eer"].low)
    )


def test_a_model_is_no_better_than_itself():
    (a, _), labels = two()
    for each in differences(source(a, labels), source(3.0 * a + 1.0, labels)).values():
        assert each.gain == pytest.approx(0.0, abs=1e-12) and each.low == pytest.approx(
            0.0, abs=5e-3
        )


def test_other_data_are_refused():
    (a, b), labels = two()
    kept = np.arange(len(labels)) != 4
    with pytest.raises(
        DataError, match="the two were not scored on the same pairs: 30 and 30 identities"
    ):
        differences(source(a, labels), source(b[np.ix_(kept, kept)], labels[kept]))
    (c, _), fewer = two(20)
    with pytest.raises(DataError, match="30 and 20 identities"):
        differences(source(a, labels), source(c, fewer))


@pytest.mark.slow
def test_intervals_of_a_difference_cover_it():
    gains, truth = [], []
    for seed in range(300):
        (a, b), labels = two(50, seed=seed, better=0.2)
        found = differences(source(a, labels), source(b, labels))["eer"]
        gains.append((found.low, found.high))
        truth.append(found.gain)
    true = np.mean(truth)
    assert np.mean([low <= true <= high for low, high in gains]) > 0.91

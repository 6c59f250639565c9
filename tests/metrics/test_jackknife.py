"""Leaving identities out: counts against a slow loop, intervals against their formula and against normal theory."""

import math

import numpy as np
import pytest
from scipy import stats

from twofold.errors import NotEnoughData, UsageError
from twofold.metrics import jackknife
from twofold.metrics.jackknife import combined, difference, involved, rate_interval
from twofold.metrics.paired import differences
from twofold.metrics.pairs import AllPairs, PairList
from twofold.metrics.verification import eer, estimates, tally


def people(identities=12, items=3, seed=0):
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(identities), items)
    effect = 0.4 * generator.normal(size=identities)[labels]
    scores = effect[:, None] + effect[None, :] + generator.normal(size=(len(labels),) * 2)
    return scores + 2.0 * (labels[:, None] == labels[None, :]), labels


def source(scores, labels, **more):
    return AllPairs(lambda rows, cols: scores[np.ix_(rows, cols)], labels, **more)


def test_counts_are_those_of_the_loop():
    scores, labels = people(6, 3)
    writer = labels // 2  # two labels a unit: impostor pairs inside a unit count once
    thresholds = np.array([-9.0, 0.3, 1.5])
    found = involved(source(scores, labels, identity=writer, block=20, weigh="pairs"), thresholds)
    every = {True: np.zeros(3), False: np.zeros(3)}
    each = {True: np.zeros((3, 3)), False: np.zeros((3, 3))}
    for i in range(18):
        for j in range(i + 1, 18):
            kind, reached = bool(labels[i] == labels[j]), scores[i, j] >= thresholds
            every[kind] += reached
            for unit in {writer[i], writer[j]}:
                each[kind][unit] += reached
    assert (found.genuine == every[True]).all() and (found.impostor == every[False]).all()
    assert (found.genuine_with == each[True]).all() and (found.impostor_with == each[False]).all()


def test_left_out_is_left_out():
    scores, labels = people()
    thresholds = tally(source(scores, labels)).thresholds
    found = involved(source(scores, labels), thresholds)
    kept = labels != 4
    without = tally(source(scores[np.ix_(kept, kept)], labels[kept]))
    places = np.searchsorted(thresholds, without.thresholds[:-1])
    assert ((found.genuine - found.genuine_with[4])[places] == without.genuine[:-1]).all()
    assert ((found.impostor - found.impostor_with[4])[places] == without.impostor[:-1]).all()


def test_very_many_identities_are_left_out_in_groups(monkeypatch):
    scores, labels = people(60, 2)
    fine = estimates(source(scores, labels), far=0.1, threshold=1.0)
    monkeypatch.setattr(jackknife, "MOST", 30)
    coarse = estimates(source(scores, labels), far=0.1, threshold=1.0)
    for name, each in fine.items():
        assert coarse[name].value == each.value and coarse[name].resampled == 60
        assert 0.6 < (coarse[name].high - coarse[name].low) / (each.high - each.low) < 1.6


def test_a_rates_interval_is_its_formula():
    generator = np.random.default_rng(0)
    shares = generator.beta(1, 9, size=40)
    rate, without = shares.mean(), (shares.sum() - shares) / 39
    moved = (without - without.mean()) ** 2
    freedom = min(80 / (40 * (moved**2).sum() / moved.sum() ** 2 - 1), 39)
    trials = (
        rate
        * (1 - rate)
        / (39 / 40 * moved.sum())
        * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, freedom)) ** 2
    )
    low, high = rate_interval(rate, without)
    assert low == pytest.approx(
        stats.beta.ppf(0.025, rate * trials, (1 - rate) * trials + 1), rel=1e-3
    )
    assert high == pytest.approx(
        stats.beta.ppf(0.975, rate * trials + 1, (1 - rate) * trials), rel=1e-3
    )
    surer = rate_interval(rate, without, confidence=0.99)
    assert surer[0] < low < high < surer[1]
    twice = (shares.sum() + shares) / 41
    careful = rate_interval(rate, without, twice)
    assert careful[0] == low and careful[1] > high


def test_a_rate_of_nothing_is_not_known_to_be_nothing():
    low, high = rate_interval(0.0, np.zeros(50))
    assert low == 0.0 and high == pytest.approx(stats.beta.ppf(0.975, 1, 50), rel=1e-3)
    low, high = rate_interval(1.0, np.ones(50))
    assert high == 1.0 and low == pytest.approx(stats.beta.ppf(0.025, 50, 1), rel=1e-3)


def test_a_sum_of_two_rates():
    apart = combined(
        (0.1, 0.2), ((0.05, 0.2), (0.1, 0.4)), (0.5, 0.5), (np.array([1.0, -1, 0, 0]), np.eye(4)[3])
    )
    assert apart[1] == pytest.approx(0.15 + math.hypot(0.05, 0.1), abs=1e-9)
    along = combined(
        (0.1, 0.2), ((0.05, 0.2), (0.1, 0.4)), (0.5, 0.5), (np.arange(4.0), np.arange(4.0))
    )
    assert along == pytest.approx((0.075, 0.3))


def test_a_differences_interval_is_that_of_normal_theory():
    values = np.random.default_rng(0).normal(0.3, 1.0, size=300)
    low, high = difference(values.mean(), (values.sum() - values) / 299)
    assert (low + high) / 2 == pytest.approx(values.mean())
    assert high - low == pytest.approx(2 * 1.96 * values.std() / math.sqrt(300), rel=0.03)
    assert difference(0.0, np.zeros(5)) == (0.0, 0.0)


def test_what_has_no_interval():
    one = PairList(
        np.zeros(2),
        np.array([True, False]),
        first=np.zeros(2, dtype=int),
        second=np.zeros(2, dtype=int),
    )
    with pytest.raises(
        NotEnoughData, match="1 identities: an interval resamples identities, so give at least 2"
    ):
        involved(one, np.zeros(1))
    for interval in (rate_interval, difference):
        with pytest.raises(UsageError, match="confidence is 95"):
            interval(0.5, np.zeros(3), confidence=95.0)
        with pytest.raises(
            NotEnoughData,
            match="2 identities are too few for an interval: each is left out in turn, and only 1",
        ):
            interval(0.5, np.array([0.5, np.nan]))


@pytest.mark.slow
def test_intervals_of_the_equal_error_rate_cover_it():
    truth = eer(tally(source(*people(300, 4, seed=999))))
    inside = 0
    for seed in range(300):
        found = estimates(source(*people(50, 4, seed=seed)))["eer"]
        inside += found.low <= truth <= found.high
    assert inside / 300 > 0.90


def test_the_interval_of_a_true_accept_rate_says_something_at_a_thousand_pairs():
    widths, each = [], np.arange(1000)
    for seed in range(5):
        generator = np.random.default_rng(seed)
        scores = np.concatenate([generator.normal(1.5, 1, 500), generator.normal(0, 1, 500)])
        pairs = PairList(scores, each < 500, first=each, second=each)
        found = estimates(pairs, far=0.01, unit="pair")["tar_at_far"]
        assert 0 <= found.low <= found.value <= found.high <= 1
        widths.append(found.high - found.low)
    assert np.median(widths) < 0.4  # one pair at a time: 0.89


def test_a_difference_of_rates_stays_between_minus_one_and_one():
    generator = np.random.default_rng(0)
    each = np.arange(12)
    a, b = (
        PairList(generator.normal(size=12), each < 6, first=each, second=each) for _ in range(2)
    )
    for found in differences(a, b, far=0.2, unit="pair").values():
        assert -1 <= found.low <= found.gain <= found.high <= 1

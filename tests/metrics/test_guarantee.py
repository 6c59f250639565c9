"""A bound without assumptions: what it allows, what it refuses, and that it holds."""

import math

import numpy as np
import pytest
from scipy import stats

from twofold.errors import CannotCertify, UsageError
from twofold.metrics.guarantee import (
    fewest_guaranteed,
    guarantee,
    guarantee_rejection,
    largest_rate,
    upper_bound,
)
from twofold.metrics.pairs import AllPairs, PairList
from twofold.metrics.verification import rates_at, tally


def by_grid(rate, trials, true_rate):
    """inf over t of E(t - B)+ / (t - u), on a fine grid of t, with scipy's binomial."""
    counts = np.arange(trials + 1)
    mass = stats.binom.pmf(counts, trials, true_rate)
    best = 1.0
    for t in np.linspace(rate * trials + 1e-6, trials, 20_001):
        best = min(best, float((mass * np.maximum(t - counts, 0.0)).sum() / (t - rate * trials)))
    return best


@pytest.mark.parametrize(("rate", "trials"), [(0.0, 40), (0.03, 60), (0.1, 50), (0.013, 300)])
def test_the_bound_is_the_definitions(rate, trials):
    found = upper_bound(rate, trials, confidence=0.95)
    assert by_grid(rate, trials, found) == pytest.approx(0.05, rel=3e-3)


def test_without_an_error_the_bound_is_that_of_independent_trials():
    for trials in (30, 299, 5000):
        assert upper_bound(0.0, trials, confidence=0.95) == pytest.approx(
            1.0 - 0.05 ** (1.0 / trials)
        )
    assert fewest_guaranteed(1e-2) == 598 and fewest_guaranteed(1e-3) == 5990
    assert largest_rate(1e-2, 298) is None and largest_rate(1e-2, 299) == pytest.approx(
        0.0, abs=1e-4
    )


def test_the_bound_lies_between_clopper_and_pearson_and_hoeffding():
    for rate, trials in ((0.004, 500), (0.02, 200), (0.005, 3000)):
        exact = float(stats.beta.ppf(0.95, rate * trials + 1, trials - rate * trials))

        def relative_entropy(p, rate=rate):
            return rate * math.log(rate / p) + (1 - rate) * math.log((1 - rate) / (1 - p))

        found = upper_bound(rate, trials)
        assert exact < found
        assert trials * relative_entropy(found) < math.log(20.0)  # sharper than Hoeffding's


def test_more_trials_and_larger_rates_allow_more():
    allowed = [largest_rate(0.01, trials) for trials in (299, 600, 2400, 20_000)]
    assert allowed == sorted(allowed) and allowed[-1] < 0.01
    assert (
        largest_rate(0.02, 600) > largest_rate(0.01, 600) > largest_rate(0.01, 600, confidence=0.99)
    )
    assert upper_bound(largest_rate(0.01, 2400), 2400) == pytest.approx(0.01)


def source(identities, each=2, *, seed=0, spread=0.4):
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(identities), each)
    effect = spread * generator.normal(size=identities)[labels] + 0.3 * generator.normal(
        size=len(labels)
    )

    def score(rows, cols):
        return effect[rows][:, None] + effect[cols] + 3.0 * (labels[rows][:, None] == labels[cols])

    return AllPairs(score, labels)


def test_the_threshold_is_the_lowest_at_which_the_measured_rate_is_allowed():
    pairs = source(120)
    found = guarantee(pairs, 0.1)
    counted = tally(pairs)
    assert found.rate <= largest_rate(0.1, 60) and found.upper_bound <= 0.1
    below = counted.thresholds[np.searchsorted(counted.thresholds, found.threshold) - 1]
    assert rates_at(counted, float(below))[0] > largest_rate(0.1, 60)


def test_false_rejects_are_guaranteed_by_one_trial_for_each_identity():
    pairs = source(120, 3)
    found = guarantee_rejection(pairs, 0.1)
    assert rates_at(tally(pairs), found.threshold)[1] == pytest.approx(found.rate)
    assert found.rate <= largest_rate(0.1, 120)


def test_what_cannot_be_guaranteed_is_refused():
    with pytest.raises(
        CannotCertify,
        match=r"57 identities cannot guarantee a rate of 0\.1 .* it takes at least 58",
    ):
        guarantee(source(57), 0.1)
    with pytest.raises(
        CannotCertify,
        match=r"20 identities cannot guarantee a rate of 0\.1 .* it takes at least 29",
    ):
        guarantee_rejection(source(20), 0.1)
    (block,) = source(60)
    kept = (block.first != 0) | (block.second != 1)
    some = PairList(
        block.scores[kept], block.same[kept], first=block.first[kept], second=block.second[kept]
    )
    with pytest.raises(
        CannotCertify, match="not every two identities were compared, and a guarantee needs that"
    ):
        guarantee(some, 0.1)
    for far, confidence in ((0.0, 0.95), (1.0, 0.95), (math.nan, 0.95), (0.1, 1.0)):
        with pytest.raises(UsageError, match="both lie between 0 and 1"):
            guarantee(source(60), far, confidence=confidence)


@pytest.mark.slow
def test_the_promise_holds_where_a_few_identities_make_every_false_accept():
    """One identity in 25 is accepted as anybody: the worst population that there is for a rate over couples."""
    far, above, tries = 0.1, 0, 400
    for seed in range(tries):
        generator = np.random.default_rng(seed)
        bad = generator.random(120) < 0.06
        level = np.where(bad, 1.0, 0.0) + 1e-3 * generator.random(120)
        labels = np.repeat(np.arange(120), 2)

        def score(rows, cols, level=level[labels], labels=labels):
            same = labels[rows][:, None] == labels[cols]
            return np.maximum(level[rows][:, None], level[cols]) + 0.5 * same

        threshold = guarantee(AllPairs(score, labels), far).threshold
        # accepted above 1: couples with a bad identity, 1 - .94^2 of all
        above += (1.0 - 0.94**2 if threshold <= 1.0 else 0.0) > far
    assert stats.binomtest(above, tries, 0.05).pvalue > 1e-3 or above / tries < 0.05

"""Certified thresholds: bounds against their formula, refusals, and a small simulation of the promise."""

import math

import numpy as np
import pytest
from scipy import stats

from twofold.errors import CannotCertify, UsageError
from twofold.metrics.certification import (
    certify,
    certify_rejection,
    fewest_for_rejection,
    fewest_identities,
    upper_bounds,
)
from twofold.metrics.pairs import AllPairs, PairList
from twofold.metrics.verification import rates_at, tally


def people(identities, items=3, *, seed=0, effect=0.4):
    """Score = genuine bonus + both identities' effects + noise; `effect` is the share of an identity's variance."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(identities), items)
    effects = math.sqrt(effect) * generator.normal(size=identities)[labels]
    noise = generator.normal(size=(len(labels), len(labels)))
    scores = (
        effects[:, None] + effects[None, :] + noise + 4.0 * (labels[:, None] == labels[None, :])
    )
    return AllPairs(lambda rows, cols: scores[np.ix_(rows, cols)], labels)


def by_loop(pairs, threshold, confidence):
    """The definition, with scipy's Beta and Student distributions."""
    accepted, impostors = np.zeros(pairs.units), np.zeros(pairs.units)
    of, hit = 0, 0
    for block in pairs:
        for score, same, first, second in zip(
            block.scores, block.same, block.first, block.second, strict=True
        ):
            if same:
                continue
            of, hit = of + 1, hit + (score >= threshold)
            for unit in {int(first), int(second)}:
                impostors[unit] += 1
                accepted[unit] += score >= threshold
    worst = np.argmax(accepted - hit / of * impostors)
    of, hit = of + impostors[worst], hit + accepted[worst]
    accepted, impostors = (
        np.append(accepted, accepted[worst]),
        np.append(impostors, impostors[worst]),
    )
    rate, size = hit / of, len(accepted)
    moved = (accepted - rate * impostors) ** 2
    variance = size / (size - 1) * moved.sum() / of**2
    freedom = min(2 * size / (size * (moved**2).sum() / moved.sum() ** 2 - 1), size - 1)
    pairs_worth = min(rate * (1 - rate) / variance, of)
    pairs_worth *= (stats.norm.ppf(confidence) / stats.t.ppf(confidence, freedom)) ** 2
    return stats.beta.ppf(confidence, rate * pairs_worth + 1, pairs_worth * (1 - rate)), pairs_worth


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_bound_is_the_definition(confidence):
    pairs = people(15)
    thresholds = np.array([0.0, 1.5, 2.5])
    bounds, sizes = upper_bounds(pairs, thresholds, confidence=confidence)
    for place, threshold in enumerate(thresholds):
        assert (bounds[place], sizes[place]) == pytest.approx(
            by_loop(pairs, threshold, confidence), rel=1e-3
        )


def test_pairs_inside_a_unit_count_once():
    # forgeries: every writer's own pairs are impostors
    generator = np.random.default_rng(0)
    first = np.repeat(np.arange(30), 10)
    pairs = PairList(
        generator.normal(size=300), np.zeros(300, dtype=bool), first=first, second=first
    )
    bounds, sizes = upper_bounds(pairs, np.array([1.0]))
    assert (bounds[0], sizes[0]) == pytest.approx(by_loop(pairs, 1.0, 0.95), rel=1e-3)


def test_independent_pairs_are_worth_about_themselves():
    generator = np.random.default_rng(0)
    count = 2000
    pairs = PairList(
        generator.normal(size=count),
        np.zeros(count, dtype=bool),
        first=np.arange(count),
        second=np.arange(count, 2 * count),
    )
    bounds, sizes = upper_bounds(pairs, np.array([1.645]))
    rate = float((next(iter(pairs)).scores >= 1.645).mean())
    exact = stats.beta.ppf(0.95, rate * count + 1, count * (1 - rate))
    assert 0.4 * count < sizes[0] <= count
    assert exact <= bounds[0] < exact + 0.25 * rate


def test_a_certificate_says_what_was_measured():
    pairs = people(120)
    found = certify(pairs, 1e-2)
    counted = tally(pairs)
    assert found.rate == rates_at(counted, found.threshold)[0]
    assert 1e-3 < found.rate < found.upper_bound <= 1e-2
    assert certify(pairs, 1e-2) == found
    looser, surer = certify(pairs, 5e-2), certify(pairs, 1e-2, confidence=0.99)
    assert looser.threshold < found.threshold < surer.threshold


def test_few_identities_are_refused_with_the_number_that_would_do():
    assert [fewest_identities(far) for far in (1e-1, 1e-2, 1e-3)] == [33, 101, 317]
    for identities, far in ((10, 1e-2), (40, 1e-2), (120, 1e-3), (10, 1e-1)):
        text = (
            f"{identities} identities cannot show a false-accept rate of {far:g} with "
            f"confidence 0.95: it takes about"
        )
        with pytest.raises(CannotCertify, match=text) as refusal:
            certify(people(identities, 2), far)
        number = int(str(refusal.value).split("takes about ")[1].split()[0])
        assert number >= fewest_identities(far)


@pytest.mark.parametrize("step", [2.0, 4.0])
def test_scores_of_few_values_are_told_to_be_too_coarse(step):
    """However many identities there are, no rate lies between that at one value and 0 at the next."""
    labels = np.repeat(np.arange(150), 2)
    noise = np.random.default_rng(0).random((300, 300))
    same = labels[:, None] == labels[None, :]
    coarse = np.where(same, 2 * step, np.where((noise + noise.T) / 2 < 0.2, step, 0.0))
    pairs = AllPairs(lambda rows, cols: coarse[np.ix_(rows, cols)], labels)
    counted = tally(pairs)
    rate = counted.false_match_rate[1]
    assert rate > 0.02
    told = (
        rf"too coarse to certify a rate of 0.01: {rate:.3g} of the impostor pairs score {step:g} or more, "
        "and none of "
    )
    with pytest.raises(CannotCertify, match=told + rf"them scores {2 * step:g} or more"):
        certify(pairs, 0.01)
    assert certify(pairs, 0.2).threshold == step  # what the scores can tell is certified as ever
    low = AllPairs(
        lambda rows, cols: np.where(
            same[np.ix_(rows, cols)], step * (noise[np.ix_(rows, cols)] > 0.3), -step
        ),
        labels,
    )
    with pytest.raises(
        CannotCertify, match=r"genuine pairs score 0 or less, and none of them scores .* or less"
    ):
        certify_rejection(low, 0.05)


def test_nothing_above_the_highest_value_is_said():
    labels = np.repeat(np.arange(150), 2)
    noise = np.random.default_rng(0).random((300, 300))
    zeros_and_ones = ((noise + noise.T) / 2 < 0.2).astype(float)
    pairs = AllPairs(lambda rows, cols: zeros_and_ones[np.ix_(rows, cols)], labels)
    with pytest.raises(
        CannotCertify,
        match="of the impostor pairs score 1 or more, and nothing scores more than that",
    ):
        certify(pairs, 0.01)


def test_a_wolf_costs_certainty():
    # one of 110 identities is taken for anybody: the next 110 may hold three of that kind
    labels = np.repeat(np.arange(110), 2)
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(220, 220)) + 10.0 * (labels[:, None] == labels[None, :])
    pairs = AllPairs(lambda rows, cols: scores[np.ix_(rows, cols)], labels)
    assert certify(pairs, 1e-2).rate > 0.7e-2
    scores[labels == 7] += 6.0
    scores[:, labels == 7] += 6.0
    assert certify(pairs, 1e-2).rate < 0.4e-2


def test_rates_and_confidences_outside_their_range():
    with pytest.raises(
        UsageError, match=r"far is 0\.0 and confidence 0\.95: both lie between 0 and 1"
    ):
        certify(people(5), 0.0)
    with pytest.raises(UsageError, match="confidence 95"):
        certify(people(5), 0.1, confidence=95.0)


@pytest.mark.slow
def test_the_promise_is_kept_by_people_of_uneven_difficulty():
    # the impostor score is normal with variance 1 + 2 x 0.3, so that its true rate is known
    rates = []
    for seed in range(200):
        threshold = certify(people(110, 3, seed=seed, effect=0.3), 1e-2).threshold
        rates.append(stats.norm.sf(threshold / math.sqrt(1.6)))
    assert np.mean(np.array(rates) > 1e-2) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 200)
    assert np.median(rates) >= 0.4e-2


def test_false_rejects_are_certified_by_the_same_bound_upside_down():
    pairs = people(120, 4)
    found = certify_rejection(pairs, 0.1)
    counted = tally(pairs)
    assert found.rate == pytest.approx(rates_at(counted, found.threshold)[1])
    assert 0.02 < found.rate < found.upper_bound <= 0.1
    turned = PairList(
        np.concatenate([-block.scores for block in pairs]),
        np.concatenate([~block.same for block in pairs]),
        first=np.concatenate([block.first for block in pairs]),
        second=np.concatenate([block.second for block in pairs]),
    )
    below = np.nextafter(-found.threshold, np.inf)
    assert found.upper_bound == pytest.approx(by_loop(turned, below, 0.95)[0], rel=1e-3)
    assert (
        certify_rejection(pairs, 0.2).threshold
        > found.threshold
        > certify_rejection(pairs, 0.05).threshold
    )


def test_false_rejects_of_few_identities_are_refused():
    assert [fewest_for_rejection(frr) for frr in (0.1, 0.05, 0.01)] == [50, 100, 500]
    text = r"40 identities with two items or more cannot show a false-reject rate of 0\.05 with confidence 0\.95: it"
    with pytest.raises(CannotCertify, match=text):
        certify_rejection(people(40), 0.05)
    # a single item shows no false reject, however many identities have one
    labels = np.concatenate([np.repeat(np.arange(40), 2), np.arange(40, 400)])
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(len(labels),) * 2)
    with pytest.raises(CannotCertify, match="40 identities with two items"):
        certify_rejection(AllPairs(lambda rows, cols: scores[np.ix_(rows, cols)], labels), 0.05)
    with pytest.raises(
        UsageError, match=r"frr is 1\.0 and confidence 0\.95: both lie between 0 and 1"
    ):
        certify_rejection(people(5), 1.0)


@pytest.mark.slow
def test_the_promise_of_few_false_rejects_is_kept():
    # the genuine score is normal about 4 with variance 1 + 4 x 0.3
    rates = []
    for seed in range(200):
        threshold = certify_rejection(people(200, 3, seed=seed, effect=0.3), 0.05).threshold
        rates.append(stats.norm.cdf((threshold - 4.0) / math.sqrt(2.2)))
    assert np.mean(np.array(rates) > 0.05) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 200)
    assert np.median(rates) >= 0.4 * 0.05

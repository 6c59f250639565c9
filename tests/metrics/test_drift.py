"""Drift: the reference by definition, a rate of false alarms that holds, and shifts that are seen."""

import math

import numpy as np
import pytest

from twofold.errors import UsageError
from twofold.metrics.drift import Production, reference, reference_scores, shift
from twofold.metrics.jackknife import involved
from twofold.metrics.pairs import AllPairs
from twofold.metrics.verification import tally, threshold_at_far

EFFECT, ITEM, BONUS = 0.15, 0.3, 3.0


def calibrated(identities, seed, wolves=0.0):
    """Scores of people some of whom are near everybody; genuine pairs differ from person to person."""
    generator = np.random.default_rng((seed, 0))
    labels = np.repeat(np.arange(identities), 4)
    near, kin = people(identities, generator, wolves)
    items = near[labels] + ITEM * generator.normal(size=len(labels))
    scores = (
        math.sqrt(1 - 2 * EFFECT) * generator.normal(size=(len(labels),) * 2)
        + items[:, None]
        + items[None, :]
    )
    scores += (labels[:, None] == labels[None, :]) * (BONUS + kin[labels][:, None])
    pairs = AllPairs(lambda rows, cols: scores[np.ix_(rows, cols)], labels)
    counted = tally(pairs)
    at = reference_scores(counted, float(threshold_at_far(counted, 1e-2)))
    return pairs, reference(at, involved(pairs, np.append(-np.inf, at)))


def people(identities, generator, wolves):
    near = math.sqrt(EFFECT) * generator.normal(size=identities) + 1.5 * (
        generator.random(identities) < wolves
    )
    return near, 0.3 * generator.normal(size=identities)


def stream(identities, pairs, share, seed, *, wolves=0.0, moved=0.0, genuine_moved=0.0):
    """Production: some people come again and again; the share of genuine pairs is anything."""
    generator = np.random.default_rng((seed, 1))
    near, kin = people(identities, generator, wolves)
    a = (identities * generator.random(pairs) ** 1.5).astype(np.int64)
    same = generator.random(pairs) < share
    b = np.where(same, a, (a + generator.integers(1, identities, pairs)) % identities)
    scores = math.sqrt(1 - 2 * EFFECT) * generator.normal(size=pairs) + near[a] + near[b] + moved
    scores += ITEM * (generator.normal(size=pairs) + generator.normal(size=pairs))
    return Production(scores=scores + same * (BONUS + kin[a] + genuine_moved), first=a, second=b)


def test_the_reference_is_shares_and_the_error_of_leaving_identities_out():
    pairs, known = calibrated(30, 0)
    (block,) = list(pairs)
    for place, score in enumerate(known.scores):
        for kind, shares, variances in (
            (True, known.genuine, known.genuine_variance),
            (False, known.impostor, known.impostor_variance),
        ):
            hit, rows = block.scores[block.same == kind] >= score, block.same == kind
            ends = block.first[rows], block.second[rows]
            parts = [
                (hit[(ends[0] == i) | (ends[1] == i)] - hit.mean()).sum() / len(hit)
                for i in range(30)
            ]
            assert shares[place] == pytest.approx(hit.mean())
            assert variances[place] == pytest.approx(30 / 29 * np.square(parts).sum())
    assert list(known.scores) == sorted(set(known.scores)) and len(known.scores) <= 9


def test_a_mix_of_anything_is_no_drift_and_the_mix_is_told():
    _, known = calibrated(200, 1)
    for share in (0.0, 0.1, 0.5, 0.95, 1.0):
        found = shift(known, stream(500, 4000, share, 2), false_alarms=0.01)
        assert found.ratio <= 1.0 and found.units > 490
        low, high = found.genuine_share
        assert low <= share + 0.02 and share - 0.02 <= high


def test_what_no_mix_explains_is_drift():
    _, known = calibrated(200, 1)
    for moved in ({"moved": 0.8}, {"genuine_moved": -1.0}):
        found = shift(known, stream(500, 4000, 0.9, 2, **moved), false_alarms=0.01)
        assert found.ratio > 1.0 and found.genuine_share is None
        assert abs(found.seen - found.expected) > found.smallest
    # known to be genuine: the same change is clearer still
    pure = stream(500, 4000, 1.0, 2, genuine_moved=-0.7)
    assert shift(known, pure, false_alarms=0.01, genuine=(1.0, 1.0)).ratio > 1.0
    # of genuine pairs that score like impostors only a known share can tell
    lost = stream(500, 4000, 0.9, 2, genuine_moved=-BONUS)
    assert (
        shift(known, lost, false_alarms=0.01).ratio
        < shift(known, lost, false_alarms=0.01, genuine=(0.9, 1)).ratio
    )


def test_pairs_that_share_people_are_not_counted_as_independent():
    _, known = calibrated(200, 1)
    few = stream(40, 20_000, 0.5, 3)
    alone = Production(scores=few.scores, first=np.arange(20_000), second=np.arange(20_000))
    # (20,000 pairs of forty people know little more than forty people do)
    assert (
        shift(known, few, false_alarms=0.01).smallest
        > 1.5 * shift(known, alone, false_alarms=0.01).smallest
    )


def test_too_few_tell_nothing():
    _, known = calibrated(60, 1)
    found = shift(known, stream(20, 1000, 0.5, 2), false_alarms=0.01)
    assert (found.ratio, found.score, found.units) == (None, None, 20)
    assert shift(known, stream(60, 4, 0.0, 2), false_alarms=0.01).ratio is None


def test_rates_that_cannot_be():
    _, known = calibrated(60, 1)
    for settings in ({"false_alarms": 0.0}, {"false_alarms": 0.01, "genuine": (0.9, 0.5)}):
        with pytest.raises(UsageError, match="a rate lies between 0 and 1"):
            shift(known, stream(60, 100, 0.5, 2), **settings)


@pytest.mark.slow
@pytest.mark.parametrize("wolves", [0.0, 0.05])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.95, 1.0])
def test_false_alarms_are_as_rare_as_stated(share, wolves):
    alarms = 0
    for seed in range(200):
        _, known = calibrated(101, seed, wolves)
        alarms += (
            shift(known, stream(100, 1000, share, seed, wolves=wolves), false_alarms=0.05).ratio
            > 1.0
        )
    assert alarms <= 17  # 200 x .05 and two standard errors of it

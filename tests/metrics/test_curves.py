"""Curves with bands, reliability and rank-k rates, against slow loops written from their definitions."""

import numpy as np
import pytest

from twofold.errors import NotEnoughData
from twofold.metrics.curves import identity_rates, rank_k, reliability, trade_off
from twofold.metrics.pairs import AllPairs


def made(classes=30, each=4, seed=0):
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    vectors = generator.normal(size=(classes, 4))[labels] + 0.5 * generator.normal(
        size=(classes * each, 4)
    )
    scores = -((vectors[:, None] - vectors[None]) ** 2).sum(-1)
    return scores, labels, AllPairs(lambda rows, cols: scores[np.ix_(rows, cols)], labels)


def listed(scores, labels):
    first, second = np.triu_indices(len(labels), 1)
    return scores[first, second], labels[first] == labels[second], labels[first], labels[second]


def test_trade_off_is_the_miss_rate_at_the_lowest_threshold_within_each_rate():
    scores, labels, pairs = made()
    curve = trade_off(pairs, points=12)
    score, same, _, _ = listed(scores, labels)
    rates = {
        threshold: (score[~same] >= threshold).mean() for threshold in [*np.unique(score), np.inf]
    }
    for far, missed in zip(curve.false_match_rate, curve.false_non_match_rate, strict=True):
        allowed = [threshold for threshold, rate in rates.items() if rate <= far]
        assert missed == pytest.approx((score[same] < min(allowed)).mean())


def test_the_band_holds_the_curve_and_never_rises():
    curve = trade_off(made()[2])
    assert (curve.low <= curve.false_non_match_rate + 1e-12).all()
    assert (curve.false_non_match_rate <= curve.high + 1e-12).all()
    for edge in (curve.low, curve.false_non_match_rate, curve.high):
        assert (np.diff(edge) <= 1e-12).all()


def test_reliability_weighs_both_kinds_of_pairs_by_the_prior():
    scores, labels, pairs = made()
    score, same, _, _ = listed(scores, labels)

    def probabilities(values):
        return 1.0 / (1.0 + np.exp(-(values + 3.0)))

    found = reliability(pairs, probabilities, prior=0.3, bins=5)
    p = probabilities(score)
    weight = np.where(same, 0.3 / same.sum(), 0.7 / (~same).sum())
    bins = np.minimum((p * 5).astype(int), 4)
    full = [at for at in range(5) if weight[bins == at].sum() > 0]
    assert found.observed == pytest.approx(
        [weight[(bins == at) & same].sum() / weight[bins == at].sum() for at in full]
    )
    assert found.predicted == pytest.approx(
        [np.average(p[bins == at], weights=weight[bins == at]) for at in full]
    )
    assert found.weight.sum() == pytest.approx(1.0)
    assert (found.low <= found.observed).all()
    assert (found.observed <= found.high).all()


def test_rank_k_is_the_share_found_with_one_of_each_enrolled():
    scores, labels, _ = made(classes=8, each=2)
    found = rank_k(
        lambda rows, cols: scores[np.ix_(rows, cols)], labels, ks=(1, 3, 8), galleries=1, seed=3
    )
    order = np.random.default_rng(3).permutation(len(labels))
    enrolled = [next(row for row in order if labels[row] == label) for label in range(8)]
    ranks = [
        1 + sum(scores[probe, other] > scores[probe, enrolled[labels[probe]]] for other in enrolled)
        for probe in range(len(labels))
        if probe not in enrolled
    ]
    assert [each.name for each in found] == ["rank_1", "rank_3"]
    assert [each.value for each in found] == pytest.approx(
        [np.mean(np.array(ranks) <= k) for k in (1, 3)]
    )


def test_ties_count_by_chance():
    labels = np.repeat(np.arange(5), 2)
    found = rank_k(lambda rows, cols: np.zeros((len(rows), len(cols))), labels, ks=(1, 2))
    assert [each.value for each in found] == pytest.approx([0.2, 0.4])


def test_rank_k_needs_two_of_a_class():
    with pytest.raises(NotEnoughData, match="3 classes of 3 items"):
        rank_k(lambda rows, cols: np.zeros((len(rows), len(cols))), np.arange(3))


def test_identity_rates_count_an_impostor_pair_for_both():
    scores, labels, pairs = made(classes=6)
    score, same, first, second = listed(scores, labels)
    found = identity_rates(pairs, -3.0)
    for code in range(6):
        mine = (first == code) | (second == code)
        assert found.genuine[code] == (mine & same).sum()
        assert found.impostor[code] == (mine & ~same).sum()
        assert found.rejected[code] == (mine & same & (score < -3.0)).sum()
        assert found.accepted[code] == (mine & ~same & (score >= -3.0)).sum()

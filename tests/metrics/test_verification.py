"""Verification numbers against scikit-learn, against slow loops, and against what they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from twofold.errors import NotEnoughData, UsageError
from twofold.metrics import verification
from twofold.metrics.jackknife import involved, rate_interval
from twofold.metrics.pairs import AllPairs
from twofold.metrics.verification import (
    accuracy,
    auc,
    best_accuracy,
    best_threshold,
    det_points,
    eer,
    estimates,
    estimates_at,
    rates_at,
    tally,
    tar_at_far,
    threshold_at_far,
)


def people(identities=20, items=5, *, seed=0, spread=0.8, decimals=None):
    """Scores of items around random centres; rounded, they tie."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(identities), items)
    vectors = generator.normal(size=(identities, 8))[labels] + spread * generator.normal(
        size=(len(labels), 8)
    )
    scores = -np.linalg.norm(vectors[:, None] - vectors[None, :], axis=2)
    scores = scores if decimals is None else np.round(scores, decimals)
    return scores, labels


def source(scores, labels, **settings):
    return AllPairs(lambda rows, cols: scores[np.ix_(rows, cols)], labels, **settings)


def flat(scores, labels):
    first, second = np.triu_indices(len(labels), 1)
    return scores[first, second], labels[first] == labels[second], labels[first], labels[second]


@pytest.mark.parametrize("decimals", [None, 1])
def test_numbers_are_those_of_scikit_learn(decimals):
    scores, labels = people(decimals=decimals)
    values, same, *_ = flat(scores, labels)
    counted = tally(source(scores, labels, block=300))
    assert auc(counted) == pytest.approx(oracle.roc_auc_score(same, values), abs=1e-12)
    false_match, true_match, thresholds = oracle.roc_curve(same, values, drop_intermediate=False)
    assert tar_at_far(counted, 0.05) == pytest.approx(
        true_match[false_match <= 0.05][-1], abs=1e-12
    )
    assert threshold_at_far(counted, 0.05) == pytest.approx(
        thresholds[false_match <= 0.05][-1], abs=1e-12
    )
    crossing = np.interp(0.0, false_match - (1 - true_match), false_match)
    assert eer(counted) == pytest.approx(crossing, abs=1e-12)
    middle = float(np.median(values))
    decided = values >= middle
    assert accuracy(counted, middle) == pytest.approx(
        oracle.accuracy_score(same, decided), abs=1e-12
    )
    assert rates_at(counted, middle)[0] == pytest.approx(decided[~same].mean(), abs=1e-12)
    assert rates_at(counted, middle)[1] == pytest.approx(1 - decided[same].mean(), abs=1e-12)
    tried = [np.mean(same == (values >= each)) for each in [*np.unique(values), np.inf]]
    assert best_accuracy(counted) == pytest.approx(max(tried), abs=1e-12)
    assert best_threshold(counted) == pytest.approx(
        [*np.unique(values), np.inf][int(np.argmax(tried))]
    )


def test_the_grid_for_many_pairs_is_near_the_exact_numbers(monkeypatch):
    scores, labels = people()
    exact = tally(source(scores, labels))
    monkeypatch.setattr(verification, "EXACT", 100)
    gridded = tally(source(scores, labels))
    assert len(gridded.thresholds) == verification.BINS + 1
    for number in (eer, auc, best_accuracy):
        assert number(gridded) == pytest.approx(number(exact), abs=1e-3)
    # a rate at a threshold of the grid is exact
    threshold = float(gridded.thresholds[40_000])
    assert rates_at(gridded, threshold) == rates_at(exact, threshold)


def test_perfect_and_useless_scores():
    labels = np.repeat(np.arange(6), 3)
    perfect = tally(source((labels[:, None] == labels[None, :]).astype(float), labels))
    assert (eer(perfect), auc(perfect), best_accuracy(perfect)) == (0.0, 1.0, 1.0)
    assert tar_at_far(perfect, 1e-3) == 1.0
    useless = tally(source(np.zeros((18, 18)), labels))
    assert (eer(useless), auc(useless)) == (0.5, 0.5)
    assert tar_at_far(useless, 0.5) == 0.0


def test_estimates_hold_their_values_and_repeat():
    scores, labels = people()
    pairs = source(scores, labels)
    curve = estimates(pairs, far=0.05)
    assert set(curve) == {"eer", "auc", "best_accuracy", "tar_at_far"}
    at = estimates_at(pairs, -2.5)
    assert set(at) == {"accuracy", "false_match_rate", "false_non_match_rate"}
    counted = tally(pairs)
    assert curve["eer"].value == eer(counted)
    assert at["accuracy"].value == accuracy(counted, -2.5)
    assert (at["false_match_rate"].value, at["false_non_match_rate"].value) == rates_at(
        counted, -2.5
    )
    for name, each in {**curve, **at}.items():
        assert each.low <= each.value <= each.high
        assert (each.name, each.unit, each.resampled, each.confidence) == (
            name,
            "identity",
            20,
            0.95,
        )
        assert each.high - each.low < 0.5
    assert estimates(pairs, far=0.05, threshold=-2.5) == curve | at


def test_the_best_accuracy_is_bounded_with_care():
    """Its threshold is chosen on the same pairs, so its upper error bound expects one more of the worst identity."""
    pairs = source(*people(8, 4, spread=0.5))
    point = tally(pairs)
    counted = point.thresholds[verification.around(point, None)]
    every, without, twice = verification.deletions(involved(pairs, counted), counted)
    shift = best_accuracy(point) - best_accuracy(every)
    errors = [1.0 - (best_accuracy(each) + shift) for each in (without, twice)]
    low, high = rate_interval(1.0 - best_accuracy(point), *errors)
    assert high > rate_interval(1.0 - best_accuracy(point), errors[0])[1] + 1e-3
    found = estimates(pairs)["best_accuracy"]
    assert (found.low, found.high) == pytest.approx((1.0 - high, 1.0 - low))


@pytest.mark.parametrize("threshold", [-1e9, 1e9])
def test_estimates_at_a_threshold_beyond_all_scores(threshold):
    scores, labels = people(5, 3)
    found = estimates_at(source(scores, labels), threshold)
    accepted = float(threshold < 0)
    assert found["false_match_rate"].value == accepted
    assert found["false_non_match_rate"].value == 1 - accepted


@pytest.mark.slow
def test_intervals_of_the_equal_error_rate_cover_it():
    truth = eer(tally(source(*people(400, 5, seed=99))))
    inside = 0
    for seed in range(200):
        found = estimates(source(*people(50, 5, seed=seed)))["eer"]
        inside += found.low <= truth <= found.high
    assert inside / 200 > 0.90


def test_det_points_span_the_curve():
    thresholds, match, non_match = det_points(tally(source(*people())), points=64)
    assert len(thresholds) <= 80
    assert (match[0], non_match[0]) == (1.0, 0.0)
    assert (match[-1], non_match[-1]) == (0.0, 1.0)
    assert (np.diff(match) <= 0).all() and (np.diff(non_match) >= 0).all()


def test_what_cannot_be_answered_is_refused():
    with pytest.raises(
        NotEnoughData, match="0 genuine and 3 impostor pairs: both kinds are needed"
    ):
        tally(source(np.zeros((3, 3)), np.arange(3)))
    with pytest.raises(NotEnoughData, match="3 genuine and 0 impostor pairs"):
        tally(source(np.zeros((3, 3)), np.zeros(3, dtype=np.int64)))
    with pytest.raises(UsageError, match=r"far is 1\.5: a false-accept rate lies between 0 and 1"):
        tar_at_far(tally(source(*people(3, 2))), 1.5)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    scale=st.floats(0.1, 10),
    offset=st.floats(-5, 5),
    decimals=st.integers(0, 3),
)
def test_numbers_do_not_change_with_a_rising_map_or_the_order_of_items(
    seed, scale, offset, decimals
):
    scores, labels = people(6, 3, seed=seed, decimals=decimals)
    order = np.random.default_rng(seed).permutation(len(labels))
    one = tally(source(scores, labels))
    other = tally(source((scores * scale + offset)[np.ix_(order, order)], labels[order]))
    for number in (eer, auc, best_accuracy):
        assert number(other) == pytest.approx(number(one), abs=1e-9)
        assert 0.0 <= number(one) <= 1.0

"""Resampling identities."""

import numpy as np
import pytest
from scipy import stats

from twofold.errors import NotEnoughData, UsageError
from twofold.metrics.intervals import (
    beta_quantile,
    estimate,
    identity_weights,
    normal_quantile,
    student_quantile,
    weighted_means,
)


def test_weights_are_draws_with_replacement_and_repeat():
    weights = identity_weights(30, 500, seed=3)
    assert weights.shape == (500, 30) and (weights.sum(axis=1) == 30).all()
    assert weights.mean() == 1.0 and weights.var() == pytest.approx(1 - 1 / 30, rel=0.05)
    assert (weights == identity_weights(30, 500, seed=3)).all()
    assert (weights != identity_weights(30, 500, seed=4)).any()
    with pytest.raises(
        NotEnoughData, match="1 identities: an interval resamples identities, so give at least 2"
    ):
        identity_weights(1, 10, seed=0)


def test_weighted_means_are_the_loop():
    values, identity = np.array([1.0, 2.0, np.nan, 4.0]), np.array([0, 0, 1, 2])
    weights = np.array([[1, 1, 1], [2, 0, 1], [0, 3, 0]], dtype=np.float32)
    found = weighted_means(values, identity, weights)
    assert found[:2] == pytest.approx([7 / 3, 10 / 5])
    assert np.isnan(found[2])


def test_an_estimate_holds_its_value_and_leaves_out_nan():
    found = estimate(
        "eer", 5.0, replicates=np.array([1.0, 2.0, np.nan, 3.0]), resampled=4, confidence=0.5
    )
    assert (found.low, found.value, found.high) == (1.5, 5.0, 5.0)
    with pytest.raises(UsageError, match="confidence is 95"):
        estimate("eer", 0.5, replicates=np.array([1.0]), resampled=4, confidence=95.0)
    with pytest.raises(NotEnoughData, match="eer cannot be computed from 4 of unit 'identity'"):
        estimate("eer", 0.5, replicates=np.array([np.nan]), resampled=4)


def test_the_interval_of_a_mean_is_that_of_the_normal_theory():
    generator = np.random.default_rng(0)
    values = generator.normal(size=400)
    means = weighted_means(values, np.arange(400), identity_weights(400, 2000, seed=0))
    found = estimate("mean", float(values.mean()), replicates=means, resampled=400)
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.08)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95, 0.975])
@pytest.mark.parametrize(
    ("a", "b"), [(1.0, 1.0), (0.5, 0.5), (1.0, 1e6), (7.3, 1e4), (3e4, 1e6), (40.0, 0.5)]
)
def test_beta_quantiles_are_scipys(share, a, b):
    assert beta_quantile(share, a, b) == pytest.approx(stats.beta.ppf(share, a, b), rel=1e-4)


@pytest.mark.parametrize("freedom", [1.5, 3.0, 10.0, 300.0])
def test_student_and_normal_quantiles_are_scipys(freedom):
    for share in (0.9, 0.95, 0.995):
        assert student_quantile(share, freedom) == pytest.approx(
            stats.t.ppf(share, freedom), rel=1e-4
        )
        assert normal_quantile(share) == pytest.approx(stats.norm.ppf(share), rel=1e-9)

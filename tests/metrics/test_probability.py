"""Platt's curve, the isotonic one, and the choice between them on identities that neither has seen."""

import math

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from twofold.errors import CannotCertify, UsageError
from twofold.metrics.pairs import PairList
from twofold.metrics.probability import isotonic, platt, probability_map
from twofold.metrics.verification import Tally, tally


def two_kinds(genuine, impostor, *, identities=50, seed=0):
    """Pairs with given scores; genuine pairs of one identity, impostor pairs of two."""
    generator = np.random.default_rng(seed)
    first = generator.integers(identities, size=len(genuine) + len(impostor))
    same = np.arange(len(first)) < len(genuine)
    second = np.where(
        same, first, (first + generator.integers(1, identities, size=len(first))) % identities
    )
    return PairList(
        np.concatenate([genuine, impostor]), same, first=first, second=second, weigh="pairs"
    )


def test_platts_map_finds_the_odds_of_two_normals():
    # N(2, 1) against N(0, 1): log-odds are 2 x - 2, moved by the prior's
    generator = np.random.default_rng(0)
    scores = np.concatenate([generator.normal(2, 1, 20_000), generator.normal(0, 1, 40_000)])
    same = np.arange(60_000) < 20_000
    codes = np.zeros(60_000, dtype=np.int64)
    counted = tally(PairList(scores, same, first=codes, second=codes))
    for prior in (0.5, 0.1):
        slope, intercept = platt(counted, prior=prior, identities=10_000)
        assert slope == pytest.approx(2.0, abs=0.05)
        assert intercept == pytest.approx(-2.0 + math.log(prior / (1 - prior)), abs=0.08)


def test_platts_map_stays_finite_and_modest_on_separable_scores():
    counted = Tally(
        thresholds=np.array([0.0, 1.0, 2.0]),
        genuine=np.array([5.0, 5.0, 0.0]),
        impostor=np.array([9.0, 0.0, 0.0]),
    )
    slope, intercept = platt(counted, identities=8)
    assert 1 / (1 + math.exp(-(slope + intercept))) == pytest.approx(0.9, abs=1e-6)
    assert 1 / (1 + math.exp(-intercept)) == pytest.approx(0.1, abs=1e-6)


def test_platts_map_refuses_scores_that_run_backwards():
    counted = Tally(
        thresholds=np.array([0.0, 1.0, 2.0]),
        genuine=np.array([5.0, 0.0, 0.0]),
        impostor=np.array([9.0, 9.0, 0.0]),
    )
    with pytest.raises(
        CannotCertify, match="genuine pairs do not score higher than impostor pairs"
    ):
        platt(counted, identities=8)
    with pytest.raises(UsageError, match="prior is 0"):
        platt(counted, prior=0.0, identities=8)


def test_the_isotonic_curve_is_scikit_learns():
    generator = np.random.default_rng(0)
    pairs = two_kinds(generator.normal(1, 1, 300), generator.normal(0, 1, 500))
    scores, odds = isotonic(tally(pairs), identities=50)
    (block,) = pairs
    weights = np.where(block.same, 1 / 300, 1 / 500)
    reference = IsotonicRegression(y_min=1 / 52, y_max=51 / 52).fit(
        block.scores, block.same, sample_weight=weights
    )
    # a score of the tally stands for the step up to the next one
    found = 1 / (1 + np.exp(-np.interp(block.scores, scores, odds)))
    assert np.mean(np.abs(found - reference.predict(block.scores))) < 2e-3
    assert (np.diff(scores) > 0).all() and (np.diff(odds) >= 0).all()
    assert np.abs(odds).max() <= math.log(51)
    moved = isotonic(tally(pairs), prior=0.2, identities=50)[1]
    assert moved == pytest.approx(odds + math.log(0.2 / 0.8))


def test_the_curve_that_predicts_better_is_taken():
    generator = np.random.default_rng(1)
    normal = two_kinds(generator.normal(2, 1, 400), generator.normal(0, 1, 2000))
    found = probability_map(normal, tally(normal))
    assert found.knots is None and abs(found.platt_log_loss - found.isotonic_log_loss) < 0.01
    # genuine pairs of two kinds, so that the log-odds are far from a line
    genuine = np.concatenate([generator.normal(6, 0.1, 6000), generator.normal(1, 0.5, 6000)])
    bent = two_kinds(genuine, generator.normal(0, 1, 20_000))
    found = probability_map(bent, tally(bent), prior=0.3)
    assert found.knots is not None and found.isotonic_log_loss < found.platt_log_loss
    assert found.knots[1][-1] == pytest.approx(math.log(51) + math.log(0.3 / 0.7))
    assert (
        probability_map(bent, tally(bent), prior=0.3).isotonic_log_loss == found.isotonic_log_loss
    )


def test_too_few_identities_to_choose_take_platts_curve():
    generator = np.random.default_rng(2)
    few = two_kinds(generator.normal(2, 1, 20), generator.normal(0, 1, 20), identities=3)
    found = probability_map(few, tally(few))
    assert (found.knots, found.platt_log_loss, found.isotonic_log_loss) == (None, None, None)

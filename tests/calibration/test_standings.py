"""Thresholds of every standing: the rate that is told is the rate at the threshold, ties included."""

import numpy as np
import pytest

from twofold.calibration.standings import offers
from twofold.metrics.pairs import AllPairs
from twofold.metrics.verification import rates_at, tally


@pytest.mark.parametrize("standing", ["guaranteed", "certified", "estimate"])
def test_what_scores_as_the_last_false_reject_is_rejected_too(standing):
    """Rounded scores tie: a threshold at such a score, and not just above it, would reject fewer than was counted."""
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(150), 4)
    effect = 0.4 * generator.normal(size=150)[labels]
    same = labels[:, None] == labels[None, :]
    scores = np.round(effect[:, None] + effect + generator.normal(size=same.shape) + 5.0 * same, 1)
    pairs = AllPairs(lambda rows, cols: scores[np.ix_(rows, cols)], labels)
    counted = tally(pairs)
    (offer,) = offers(pairs, counted, far=0.1, frr=0.1, confidence=0.95, standing=standing)
    assert offer.reject is not None
    assert 0.0 < offer.reject.rate == pytest.approx(rates_at(counted, offer.reject.threshold)[1])
    last = np.nextafter(offer.reject.threshold, -np.inf)
    first, second = np.triu_indices(len(labels), 1)
    assert (scores[first, second][same[first, second]] == last).sum() > 1

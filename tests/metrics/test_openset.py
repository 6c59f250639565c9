"""One of N enrolled: trials against a slow loop, a threshold whose rate holds, and refusals."""

import math

import numpy as np
import pytest

from twofold.data.synthetic import clusters
from twofold.errors import CannotCertify, NotEnoughData, UsageError
from twofold.metrics.openset import galleries, open_set


def people(identities=120, items=3, seed=0):
    found = clusters(identities, items, spread=0.7, uneven=0.3, seed=seed)
    vectors = np.stack(found.values).astype(np.float64)
    return (lambda rows, cols: vectors[rows] @ vectors[cols].T), found.labels


def test_every_item_beside_the_enrolled_is_a_probe(monkeypatch):
    monkeypatch.setattr("twofold.metrics.openset.SCORES_AT_ONCE", 50)
    score, labels = people(20, 3)
    asked = []

    def noted(rows, cols):
        asked.append((rows, cols))
        return score(rows, cols)

    found = galleries(noted, labels, size=8, enrolled=2, repeats=3, seed=1)
    assert (found.size, found.repeats, len(found.best)) == (8, 3, 3 * (60 - 16))
    assert found.mated.sum() == 3 * 8 and (
        found.enrolled.sum(),
        found.enrolled.max() <= 3 * 36,
    ) == (3 * 36 * 8, True)
    for number, (probe, gallery) in enumerate(
        [(probe, cols) for rows, cols in asked for probe in rows],
    ):
        scores = [float(score(np.array([probe]), np.array([item]))[0, 0]) for item in gallery]
        assert found.best[number] == pytest.approx(max(scores))
        assert found.probe[number] == labels[probe]
        assert found.culprit[number] == labels[gallery[int(np.argmax(scores))]]
        assert found.mated[number] == (labels[probe] in labels[gallery])
        assert found.right[number] == (found.culprit[number] == labels[probe])
        assert sorted(np.bincount(labels[gallery]))[-8:] == [2] * 8
    again = galleries(score, labels, size=8, enrolled=2, repeats=3, seed=1)
    assert (again.best == found.best).all()


def test_a_threshold_for_strangers_and_what_was_measured_at_it():
    score, labels = people()
    found = galleries(score, labels, size=40)
    told = open_set(found, 0.1)
    strangers = found.best[~found.mated]
    rate = float((strangers >= told.threshold).mean())
    assert told.false_positive.value == rate
    # just above the first that must not be accepted
    assert np.nextafter(told.threshold, -np.inf) in strangers
    assert 0.01 < told.false_positive.low < rate < told.upper_bound <= 0.1
    missed = ~(found.right & (found.best >= told.threshold))[found.mated]
    assert told.false_negative.value == missed.mean()
    assert told.false_negative.low < missed.mean() < told.false_negative.high
    assert (told.identities, told.false_positive.unit) == (120, "identity")
    plain = open_set(found, 0.1, estimate=True)
    assert plain.threshold < told.threshold and plain.false_positive.value == pytest.approx(
        0.1, abs=2e-3
    )
    larger = open_set(galleries(score, labels, size=80), 0.1)
    assert larger.threshold > told.threshold


def test_the_rate_is_not_that_of_independent_comparisons():
    # measured, not derived: a stranger's comparisons go up and down together
    score, labels = people(150)
    found = galleries(score, labels, size=100)
    strangers = found.best[~found.mated]
    at = float(np.quantile(strangers, 0.9))
    apart = labels[:, None] != labels[None, :]
    every = score(np.arange(len(labels)), np.arange(len(labels)))[apart]
    derived = 1 - (1 - float((every >= at).mean())) ** 100
    assert abs(derived - 0.1) > 0.005


def test_what_cannot_be_shown_is_refused():
    score, labels = people(40)
    with pytest.raises(
        CannotCertify,
        match=r"40 identities cannot show a false-positive identification rate of 0\.01",
    ):
        open_set(galleries(score, labels, size=10), 0.01)
    with pytest.raises(
        NotEnoughData, match="a gallery of 40 needs 40 identities with 1 items and strangers beside"
    ):
        galleries(score, labels, size=40)
    with pytest.raises(NotEnoughData, match="40 identities, 0 of them with that many"):
        galleries(score, labels, size=5, enrolled=4)
    with pytest.raises(UsageError, match="gallery size 0"):
        galleries(score, labels, size=0)
    with pytest.raises(UsageError, match=r"fpir is 1\.0"):
        open_set(galleries(score, labels, size=10), 1.0)
    alone, labels = people(20, 1)
    with pytest.raises(NotEnoughData, match="no identity has an item beside those enrolled"):
        open_set(galleries(alone, labels, size=5), 0.3, estimate=True)


@pytest.mark.slow
def test_the_promise_to_strangers_is_kept():
    score, labels = people(1500, 2, seed=999)
    truth = galleries(score, labels, size=40, repeats=60)
    strangers = np.sort(truth.best[~truth.mated])
    rates = []
    for seed in range(100):
        told = open_set(galleries(*people(120, 2, seed=seed), size=40, seed=seed), 0.1)
        rates.append(1 - np.searchsorted(strangers, told.threshold) / len(strangers))
    assert np.mean(np.array(rates) > 0.1) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 100)
    assert np.median(rates) >= 0.04

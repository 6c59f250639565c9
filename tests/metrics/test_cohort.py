"""Cohort normalisation: against the formula, and what it is for."""

import numpy as np
import pytest

from twofold.errors import NotEnoughData, UsageError
from twofold.metrics.certification import upper_bounds
from twofold.metrics.cohort import as_norm, cohort_statistics
from twofold.metrics.pairs import AllPairs
from twofold.metrics.verification import eer, tally, threshold_at_far


def people(identities, items=3, seed=0):
    """Scores with an effect of either identity: some are near everybody."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(identities), items)
    effect = generator.normal(size=identities)[labels]
    scores = effect[:, None] + effect[None, :] + generator.normal(size=(len(labels),) * 2)
    scores += 3.0 * (labels[:, None] == labels[None, :])
    return (lambda rows, cols: scores[np.ix_(rows, cols)]), labels


def test_scores_are_those_of_the_formula(monkeypatch):
    monkeypatch.setattr("twofold.metrics.cohort.SCORES_AT_ONCE", 30)
    score, _ = people(10)
    cohort = np.arange(18, 30)
    found = cohort_statistics(score, 18, cohort, top=5)
    for item in range(18):
        best = np.sort(score(np.array([item]), cohort)[0])[-5:]
        assert found[item] == pytest.approx([best.mean(), best.std(ddof=1)])
    rows, cols = np.array([0, 3]), np.array([1, 5, 7])
    normalised, plain = as_norm(score, found)(rows, cols), score(rows, cols)
    for i, row in enumerate(rows):
        for j, col in enumerate(cols):
            sides = [(plain[i, j] - found[k, 0]) / found[k, 1] for k in (row, col)]
            assert normalised[i, j] == pytest.approx(sum(sides) / 2)
    weaker = as_norm(score, found, side="weaker")(rows, cols)
    for i, row in enumerate(rows):
        for j, col in enumerate(cols):
            expected = plain[i, j] - min(found[row, 0], found[col, 0])
            assert weaker[i, j] == pytest.approx(expected)


def test_the_weaker_side_tells_how_alike_a_noisy_thing_can_be():
    """Things with much in common, and queries of them whose noise differs: it spoils what is common, too."""
    random = np.random.default_rng(0)
    known, strangers, cohort = random.normal(size=(3, 100, 40)) + 2 * random.normal(size=40)
    noise = random.uniform(0.2, 3.0, (200, 1)) * random.normal(size=(200, 40))
    queries = np.concatenate([known, strangers]) + noise
    stack = np.concatenate([known, queries, cohort])
    stack /= np.linalg.norm(stack, axis=1, keepdims=True)

    def score(rows, cols):
        return stack[rows] @ stack[cols].T

    statistics = cohort_statistics(score, 300, np.arange(300, 400), top=10)

    def area(side):
        fair = score if side is None else as_norm(score, statistics, side=side)
        best = fair(np.arange(100, 300), np.arange(100)).max(axis=1)
        return (best[:100, None] > best[None, 100:]).mean()

    assert area("weaker") > area(None) + 0.05


def test_who_is_near_everybody_counts_for_less():
    score, labels = people(150)
    cohort, known = np.arange(300, 450), np.arange(300)
    plain = AllPairs(score, labels[known])
    fair = AllPairs(as_norm(score, cohort_statistics(score, 300, cohort, top=150)), labels[known])
    assert eer(tally(fair)) < 0.8 * eer(tally(plain))
    # a rate is known better, since no identity makes most of the false matches
    sizes = [
        upper_bounds(each, np.array([threshold_at_far(tally(each), 0.01)]))[1][0]
        for each in (plain, fair)
    ]
    assert sizes[1] > 2 * sizes[0]


def test_what_no_cohort_gives():
    score, _ = people(4)
    with pytest.raises(NotEnoughData, match="1 cohort items: give at least 2"):
        cohort_statistics(score, 5, np.array([9]))
    with pytest.raises(UsageError, match="top is 1"):
        cohort_statistics(score, 5, np.arange(9), top=1)

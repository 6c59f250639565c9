"""Recall@k and MAP@R against a loop over all orders of tied items."""

from itertools import pairwise, permutations

import numpy as np
import pytest

from twofold.errors import DataError, NotEnoughData, UsageError
from twofold.metrics import ranks
from twofold.metrics.retrieval import estimates, map_at_r, query_values, recall_at_k


def by_all_orders(scores, labels, query, number):
    """Mean of `number(hits, R)` over every order of the others that their scores allow."""
    others = [i for i in range(len(labels)) if i != query]
    found = []
    for order in permutations(others):
        if all(scores[query, a] >= scores[query, b] for a, b in pairwise(order)):
            hits = np.array([labels[i] == labels[query] for i in order])
            found.append(number(hits, hits.sum()))
    return np.mean(found)


def average_precision(hits, others):
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return (hits * precision)[:others].sum() / others


@pytest.fixture(params=["counted", "counted in small tiles", "in chunks", "sorted"])
def way(request, monkeypatch):
    """Every way in which ranks can be found, whatever the size of the data."""
    monkeypatch.setattr(ranks, "CROWDED", 10**9 if request.param == "sorted" else 0)
    if request.param != "counted":
        monkeypatch.setattr(ranks, "TILE", 3)
        monkeypatch.setattr(ranks, "SCORES", 40)
    if request.param == "in chunks":
        monkeypatch.setattr(ranks, "ENTRIES", 4)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("seed", range(2))
def test_ties_count_as_their_mean_over_all_orders(seed):
    generator = np.random.default_rng(seed)
    labels = np.array([0, 0, 0, 1, 1, 2, 2])
    scores = generator.integers(-3, 0, (7, 7)).astype(float)
    scores = np.minimum(scores, scores.T)
    values = query_values(lambda rows, cols: scores[np.ix_(rows, cols)], labels, ks=(1, 2, 4, 50))
    for query in range(7):
        wanted = by_all_orders(scores, labels, query, average_precision)
        assert values["map_at_r"][query] == pytest.approx(wanted, abs=1e-12)
        for k in (1, 2, 4):
            wanted = by_all_orders(scores, labels, query, lambda hits, _, k=k: hits[:k].any())
            assert values[f"recall_at_{k}"][query] == pytest.approx(wanted, abs=1e-12)
        assert values["recall_at_50"][query] == pytest.approx(1.0)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("items", [40, 200])
def test_without_ties_it_is_the_plain_ranking(items):
    generator = np.random.default_rng(1)
    labels = generator.integers(0, items // 6, items)
    scores = generator.normal(size=(items, items)) - 100.0  # all negative
    scores = scores + scores.T
    values = query_values(lambda rows, cols: scores[np.ix_(rows, cols)], labels, ks=(1, 5))
    for query in range(items):
        order = [i for i in np.argsort(-scores[query]) if i != query]
        hits = labels[order] == labels[query]
        if not hits.any():
            assert np.isnan(values["map_at_r"][query])
            continue
        assert values["map_at_r"][query] == pytest.approx(average_precision(hits, hits.sum()))
        assert values["recall_at_5"][query] == pytest.approx(float(hits[:5].any()))


def test_perfect_scores_and_their_intervals():
    labels = np.array([3, 3, 7, 7, 7, 9])  # the 9 is alone, and no query
    same = (labels[:, None] == labels[None, :]).astype(float)

    def score(rows, cols):
        return same[np.ix_(rows, cols)]

    assert (map_at_r(score, labels), recall_at_k(score, labels)) == (1.0, 1.0)
    found = estimates(score, labels, ks=(1, 3), replicates=50)
    assert set(found) == {"map_at_r", "recall_at_1", "recall_at_3"}
    assert (
        found["recall_at_1"].value,
        found["recall_at_1"].low,
        found["recall_at_1"].resampled,
    ) == (1.0, 1.0, 3)


def test_what_cannot_be_answered_is_refused():
    def score(rows, cols):
        return np.zeros((len(rows), len(cols)))

    with pytest.raises(NotEnoughData, match="no two of 4 items share a class"):
        map_at_r(score, np.arange(4))
    with pytest.raises(UsageError, match="k is 0"):
        recall_at_k(score, np.zeros(4, dtype=np.int64), k=0)
    with pytest.raises(DataError, match="not finite"):
        recall_at_k(lambda rows, cols: score(rows, cols) * np.nan, np.zeros(4, dtype=np.int64))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_large_data_is_counted_and_agrees_with_sorting(kind, monkeypatch):
    generator = np.random.default_rng(0)
    sizes = generator.integers(1, 12, 450)
    labels = generator.permutation(np.repeat(np.arange(450), sizes))
    centres = generator.normal(size=(450, 16))
    # whole numbers: their products are exact, so that ties do not depend on how a processor adds
    vectors = np.rint(
        8 * (centres[labels] + 0.5 * generator.normal(size=(len(labels), 16)))
    ).astype(kind)
    vectors[:40] = vectors[40:80]  # ties, across classes too
    log = []

    def score(rows, cols):
        return vectors[rows] @ vectors[cols].T

    counted = query_values(
        score, labels, ks=(1, 5), progress=lambda done, total: log.append((done, total))
    )
    monkeypatch.setattr(ranks, "CROWDED", 10**9)
    wanted = query_values(score, labels, ks=(1, 5))
    assert 12 * 100 < len(labels) < log[-1][0] == log[-1][1] < 0.7 * len(labels) ** 2
    for name, each in counted.items():
        assert each == pytest.approx(wanted[name], abs=1e-12, nan_ok=True)
        assert np.isnan(each).sum() == (sizes == 1).sum()
    assert 0.2 < np.nanmean(counted["map_at_r"]) < 0.9


@pytest.mark.usefixtures("way")
def test_a_collapsed_encoder_finds_by_chance():
    labels = np.repeat(np.arange(5), 4)
    values = query_values(lambda rows, cols: np.zeros((len(rows), len(cols))), labels, ks=(1,))
    assert values["recall_at_1"] == pytest.approx(np.full(20, 3 / 19))

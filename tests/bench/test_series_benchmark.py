"""The peers of the benchmark of time series are what they are called, and its trials hold what they say."""

import importlib
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    return importlib.import_module("signals_series")


def slow_dtw(a, b):
    cost = np.full((len(a) + 1, len(b) + 1), np.inf)
    cost[0, 0] = 0
    for i in range(len(a)):
        for j in range(len(b)):
            before = min(cost[i, j], cost[i, j + 1], cost[i + 1, j])
            cost[i + 1, j + 1] = (a[i] - b[j]) ** 2 + before
    return cost[-1, -1]


@pytest.mark.parametrize("lengths", [(7, 7), (1, 1), (5, 9), (9, 5)])
def test_dtw_is_that_of_a_slow_loop(bench, lengths):
    draw = np.random.default_rng(0)
    ours, theirs = (
        [draw.normal(size=(length, 1)).astype(np.float32) for _ in range(3)] for length in lengths
    )
    wanted = [[slow_dtw(a[:, 0], b[:, 0]) for b in theirs] for a in ours]
    assert np.allclose(bench.dtw(ours, theirs), wanted, rtol=1e-5)


def test_a_trial_shows_another_of_the_class_and_none_of_it_twice(bench):
    labels = np.repeat(np.arange(8), 3)
    for query, example, *others in bench._trials(labels)[:200]:
        assert labels[query] == labels[example] and query != example
        classes = [labels[query], *labels[others]]
        assert len(set(classes)) == len(classes) == bench.WAYS


def test_ties_are_half_right(bench):
    distances = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 2.0], [1.0, 2.0, 0.0]])
    trials = np.array([[0, 1, 2], [1, 0, 2], [2, 1, 0]])
    assert bench._judged(distances, trials).tolist() == [0.5, 1.0, 0.0]

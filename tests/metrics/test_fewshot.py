"""N-way K-shot accuracy where it is known."""

import numpy as np
import pytest

from twofold.errors import NotEnoughData, UsageError
from twofold.metrics import fewshot
from twofold.metrics.fewshot import n_way_accuracy

LABELS = np.repeat(np.arange(8), 4)


def same(rows, cols):
    return (LABELS[rows][:, None] == LABELS[cols][None, :]).astype(float) - 5.0


def nothing(rows, cols):
    return np.zeros((len(rows), len(cols)))


def test_perfect_scores_are_always_right_and_equal_scores_are_chance():
    assert n_way_accuracy(same, LABELS, n_way=5, episodes=20).value == 1.0
    chance = n_way_accuracy(nothing, LABELS, n_way=5, k_shot=2, episodes=20)
    assert chance.value == pytest.approx(0.2)
    assert (chance.name, chance.resampled) == ("accuracy_5_way_2_shot", 8)


def test_accuracy_of_known_odds(monkeypatch):
    monkeypatch.setattr(fewshot, "AT_ONCE", 0)  # each episode draws its own scores
    # every score is an independent draw, but for one class in two the genuine one is sure to win
    generator = np.random.default_rng(0)

    def half(rows, cols):
        sure = (LABELS[rows] % 2 == 0)[:, None] & (LABELS[rows][:, None] == LABELS[cols][None, :])
        return np.where(sure, 9.0, generator.normal(size=(len(rows), len(cols))))

    found = n_way_accuracy(half, LABELS, n_way=4, episodes=2000)
    assert found.value == pytest.approx(0.5 + 0.5 / 4, abs=0.02)
    assert found.low < 0.4 and found.high > 0.8  # eight classes tell little


def test_the_seed_decides():
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(32, 32))

    def score(rows, cols):
        return scores[np.ix_(rows, cols)]

    one, two, three = (
        n_way_accuracy(score, LABELS, n_way=3, episodes=30, seed=seed) for seed in (0, 0, 1)
    )
    assert one == two != three


def test_scores_of_few_items_are_asked_for_once_and_give_the_same(monkeypatch):
    scores, calls = np.random.default_rng(0).normal(size=(32, 32)), []

    def score(rows, cols):
        calls.append(len(rows))
        return scores[np.ix_(rows, cols)]

    once = n_way_accuracy(score, LABELS, n_way=3, k_shot=2, episodes=30)
    assert calls == [32]
    monkeypatch.setattr(fewshot, "AT_ONCE", 31)
    assert n_way_accuracy(score, LABELS, n_way=3, k_shot=2, episodes=30) == once
    assert len(calls) == 31


def test_what_cannot_be_answered_is_refused():
    with pytest.raises(
        NotEnoughData, match="8 classes have 2 items or more: 20-way 1-shot episodes need 20"
    ):
        n_way_accuracy(same, LABELS, n_way=20)
    with pytest.raises(UsageError, match="1000 episodes of 1 ways and 1 shots"):
        n_way_accuracy(same, LABELS, n_way=1)

"""Doubtful labels: the score from its definition, what is found, and where nothing may be said."""

import numpy as np
import pytest

from twofold.data import label_noise
from twofold.data.label_noise import doubtful_labels
from twofold.data.synthetic import clusters


def spoiled(
    identities: int, each: int, *, spread: float = 0.6
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors, labels with one in twenty swapped, and which ones those are."""
    items = clusters(identities, each, spread=spread, seed=2)
    generator = np.random.default_rng(0)
    swapped = np.sort(generator.permutation(len(items))[: len(items) // 20])
    labels = items.labels.copy()
    labels[swapped] = (
        labels[swapped] + generator.integers(1, identities, len(swapped))
    ) % identities
    return np.stack(items.values), labels, swapped


def test_swapped_labels_are_found_and_the_right_one_is_named() -> None:
    vectors, labels, swapped = spoiled(20, 10)
    doubts = doubtful_labels(vectors, labels)
    assert doubts is not None and doubts.suspects.tolist() == swapped.tolist()
    assert doubts.better.tolist() == clusters(20, 10, seed=2).labels[swapped].tolist()
    assert doubts.accuracy == pytest.approx(0.95) and doubts.recall >= 0.8


def test_scores_are_those_of_the_definition() -> None:
    vectors, labels, _ = spoiled(6, 8, spread=1.5)
    near = label_noise._nearest(vectors)
    lead, _ = label_noise._contradiction(near, labels, 3)
    for row in range(len(labels)):
        similarity = vectors @ vectors[row]
        similarity[row] = -np.inf
        order = np.argsort(-similarity)[: label_noise.NEIGHBOURS]
        above = (similarity[order] - similarity[order[-1]]) / (
            similarity[order[0]] - similarity[order[-1]]
        )
        score = {c: sum(above[labels[order] == c][:3]) / 3 for c in range(6)}
        own = score.pop(int(labels[row]))
        # a class without a neighbour cannot be the best other one, unless it is the item's own
        assert lead[row] == pytest.approx(max(score.values()) - own, abs=1e-4)


def test_weak_vectors_name_nobody() -> None:
    vectors, labels, _ = spoiled(20, 10, spread=4.0)
    doubts = doubtful_labels(vectors, labels)
    assert doubts is not None and doubts.accuracy < label_noise.ENOUGH and not len(doubts.suspects)


def test_classes_of_two_are_not_judged() -> None:
    vectors = np.stack(clusters(10, 2, seed=0).values)
    assert doubtful_labels(vectors, np.repeat(np.arange(10), 2)) is None
    assert doubtful_labels(vectors, np.zeros(20, np.int64)) is None


def test_the_same_seed_gives_the_same() -> None:
    vectors, labels, _ = spoiled(12, 6, spread=1.0)
    first, second = (doubtful_labels(vectors, labels, seed=3) for _ in range(2))
    assert first is not None and second is not None
    assert first.recall == second.recall and np.array_equal(first.suspects, second.suspects)

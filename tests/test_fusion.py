"""Several references become one score: the mean, the best, and weights that are learned."""

import numpy as np
import pytest

from twofold.errors import NotEnoughData, UsageError
from twofold.fusion import Rule, agreements, fit_weights, mean_embedding


def test_a_mean_embedding_has_length_one_for_the_cosine_alone():
    vectors = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    np.testing.assert_allclose(mean_embedding(vectors, "cosine"), [0.5**0.5, 0.5**0.5], rtol=1e-6)
    np.testing.assert_array_equal(mean_embedding(vectors, "euclidean"), [0.5, 0.5])
    opposite = np.array([[1.0, 0.0], [-1.0, 0.0]], dtype=np.float32)
    np.testing.assert_array_equal(mean_embedding(opposite, "cosine"), [0.0, 0.0])


def test_rules_do_not_depend_on_the_order_of_the_references():
    scores = np.array([[0.2, 0.9, 0.4]])
    np.testing.assert_array_equal(Rule(fusion="best").fused(scores), [0.9])
    learned = Rule(fusion="learned", weights=(0.5, 0.3, 0.2))
    np.testing.assert_allclose(learned.fused(scores), [0.5 * 0.9 + 0.3 * 0.4 + 0.2 * 0.2])
    np.testing.assert_array_equal(learned.fused(scores), learned.fused(scores[:, ::-1]))
    with pytest.raises(UsageError, match="no scores to fuse"):
        Rule(fusion="mean").fused(scores)


def test_relative_takes_away_how_well_the_references_agree():
    with_each = np.array([[0.5, 0.7], [0.5, 0.7]])
    among = np.array([[[9.0, 0.9], [0.9, 9.0]], [[9.0, 0.4], [0.6, 9.0]]])
    np.testing.assert_allclose(agreements(among), [0.9, 0.5])
    found = Rule(fusion="relative").fused(with_each, agreements(among))
    np.testing.assert_allclose(found, [-0.3, 0.1])
    with pytest.raises(UsageError, match="relative needs the scores of the references themselves"):
        Rule(fusion="relative").fused(with_each)


@pytest.mark.parametrize("telling", [0, 1, 2])
def test_weights_go_to_the_score_that_tells(telling):
    """Of three sorted scores one is a step higher for genuine pairs, and the others are noise."""
    generator = np.random.default_rng(telling)
    same = generator.random(4000) < 0.3
    scores = np.array([2.0, 1.0, 0.0]) + generator.normal(0, 0.1, (4000, 3))
    scores[:, telling] += 0.2 * same
    weights = fit_weights(scores, same)
    assert int(np.argmax(weights)) == telling and weights[telling] > 0.8
    assert sum(weights) == pytest.approx(1.0) and min(weights) >= 0.0


def test_scores_that_tell_nothing_are_averaged_and_one_kind_is_not_enough():
    same = np.array([True, False] * 50)
    assert fit_weights(np.ones((100, 2)), same) == (0.5, 0.5)
    with pytest.raises(NotEnoughData, match="one kind is missing"):
        fit_weights(np.ones((100, 2)), np.ones(100, dtype=bool))

"""Pair lists, and what contrastive margins and cross-entropy refuse."""

import pytest
import torch

from twofold import losses
from twofold.comparison import Plain, WeightedL1
from twofold.errors import BatchError, UsageError

LABELS = torch.tensor([0, 1, 0, 1, 2, 2])


def listed(embeddings, comparison):
    """All pairs of the batch as a list of distances and targets."""
    i, j = torch.triu_indices(6, 6, 1)
    return comparison.pairs(embeddings[i], embeddings[j]), (LABELS[i] == LABELS[j]).to(
        embeddings.dtype
    )


def test_a_batch_is_its_list_of_pairs(batch):
    x, head = batch(6), WeightedL1(4).double()
    distances, targets = listed(x, Plain("euclidean"))
    torch.testing.assert_close(
        losses.pair_contrastive(distances, targets, negative_margin=2.0),
        losses.contrastive(x, LABELS, comparison=Plain("euclidean"), negative_margin=2.0),
    )
    logits, targets = listed(x, head)
    for balanced in (False, True):
        torch.testing.assert_close(
            losses.pair_cross_entropy(logits, targets, balanced=balanced),
            losses.binary_cross_entropy(x, LABELS, comparison=head, balanced=balanced),
        )


def test_cross_entropy_is_torchs_of_the_probability():
    distances, targets = torch.tensor([-3.0, 0.5, 2.0]), torch.tensor([1.0, 0.3, 0.0])
    expected = torch.nn.functional.binary_cross_entropy(torch.sigmoid(-distances), targets)
    torch.testing.assert_close(losses.pair_cross_entropy(distances, targets), expected)


def test_graded_scores_meet_the_similarity():
    assert losses.pair_regression(torch.tensor([0.0, 0.25]), torch.tensor([1.0, 0.75])).item() == 0
    assert losses.pair_regression(torch.tensor([1.0]), torch.tensor([3.0]), best=5.0).item() == 1


def test_squared_hinges():
    distances, targets = torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0])
    assert losses.pair_contrastive(distances, targets, squared=True).item() == 0.5


def test_all_margins_kept_is_a_true_zero(batch):
    x = torch.eye(2, 4, dtype=torch.float64).repeat(3, 1) * 5
    labels = torch.tensor([0, 1] * 3)
    assert losses.contrastive(x, labels, comparison=Plain("euclidean")).item() == 0


@pytest.mark.parametrize("name", ["pair_contrastive", "pair_cross_entropy", "pair_regression"])
def test_lists_that_do_not_fit(name, unchecked):
    loss = getattr(losses, name)
    with pytest.raises(
        BatchError, match=r"one distance and one target each, not \(2,\) and \(3,\)"
    ):
        loss(torch.ones(2), torch.ones(3))
    with pytest.raises(BatchError, match="the distance of pair 1 is NaN"):
        loss(torch.tensor([1.0, torch.nan]), torch.ones(2))
    with pytest.raises(BatchError, match="the target of pair 0 is NaN"):
        loss(torch.ones(1), torch.tensor([torch.inf]))


def test_targets_and_margins_that_make_no_sense():
    with pytest.raises(BatchError, match=r"target 0.5 is neither 0 \(different\) nor 1 \(same\)"):
        losses.pair_contrastive(torch.ones(2), torch.tensor([0.5, 1]))
    with pytest.raises(BatchError, match=r"probabilities in \[0, 1\]"):
        losses.pair_cross_entropy(torch.ones(2), torch.tensor([2.0, 1]))
    with pytest.raises(BatchError, match="all 2 pairs have one target"):
        losses.pair_cross_entropy(torch.ones(2), torch.ones(2), balanced=True)
    with pytest.raises(UsageError, match=r"positive_margin 2.0 is beyond negative_margin 1.0"):
        losses.pair_contrastive(torch.ones(2), torch.ones(2), positive_margin=2.0)

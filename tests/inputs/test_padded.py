"""Batches of unequal length behave like tensors."""

import numpy as np
import pytest
import torch

from twofold.errors import UsageError
from twofold.inputs.padded import padded


def test_a_batch_knows_its_lengths_and_masks_its_padding():
    batch = padded([np.array([1, 2, 3], np.int32), np.array([4], np.int32)])
    assert len(batch) == 2 and batch.values.dtype == torch.int64
    assert batch.values.tolist() == [[1, 2, 3], [4, 0, 0]]
    assert batch.mask.tolist() == [[True, True, True], [True, False, False]]


def test_a_slice_is_padded_to_its_own_longest():
    batch = padded([np.ones((length, 2), np.float32) for length in (5, 2, 3)])
    part = batch[1:3]
    assert part.values.shape == (2, 3, 2) and part.lengths.tolist() == [2, 3]
    assert batch[torch.tensor([2, 0])].lengths.tolist() == [3, 5]
    assert len(batch[3:]) == 0


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ([], "at least one item"),
        ([np.ones(2), np.ones(0)], "item 1 of the batch has length 0"),
        ([np.ones((2, 3)), np.ones((2, 4))], r"shapes \(3,\) and \(4,\) do not fit"),
    ],
)
def test_what_makes_no_batch_is_refused(arrays, said):
    with pytest.raises(UsageError, match=said):
        padded(arrays)

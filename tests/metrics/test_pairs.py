"""Pairs in blocks: each unordered pair once, units as codes, bad scores refused."""

import numpy as np
import pytest

from twofold.errors import DataError
from twofold.metrics.pairs import AllPairs, PairList


def listed(source):
    return [
        (float(score), bool(same), int(first), int(second))
        for block in source
        for score, same, first, second in zip(block.scores, block.same, block.first, block.second, strict=True)
    ]


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_all_pairs_are_those_of_the_double_loop(block):
    generator = np.random.default_rng(0)
    labels, scores = generator.integers(0, 4, 13), generator.normal(size=(13, 13))
    scores = scores + scores.T
    found = listed(AllPairs(lambda rows, cols: scores[np.ix_(rows, cols)], labels, block=block))
    codes = np.unique(labels, return_inverse=True)[1]
    wanted = [
        (scores[i, j], labels[i] == labels[j], *sorted((int(codes[i]), int(codes[j]))))
        for i in range(13)
        for j in range(i + 1, 13)
    ]
    assert sorted(found) == sorted(wanted)


def test_a_forgery_is_an_impostor_of_its_writer():
    # two signatures of writer 0, a forgery of them, one of writer 1
    labels, writer = np.array([0, 0, 1, 2]), np.array([5, 5, 5, 9])
    source = AllPairs(lambda rows, cols: np.zeros((len(rows), len(cols))), labels, identity=writer)
    assert source.units == 2
    assert sorted(listed(source)) == [
        (0.0, False, 0, 0), (0.0, False, 0, 0), (0.0, False, 0, 1), (0.0, False, 0, 1), (0.0, False, 0, 1),
        (0.0, True, 0, 0),
    ]  # fmt: skip


def test_a_list_can_be_gone_through_twice():
    source = PairList(
        np.array([0.5, 0.1]), np.array([True, False]), first=np.array([30, 30]), second=np.array([30, -4])
    )
    assert source.units == 2
    assert listed(source) == listed(source) == [(0.5, True, 1, 1), (0.1, False, 1, 0)]


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(DataError, match=r"1 of 2 scores are not finite \(the first is nan\): look at the vectors"):
        PairList(np.array([0.5, np.nan]), np.array([True, False]), first=np.array([0, 0]), second=np.array([0, 1]))
    source = AllPairs(lambda rows, cols: np.full((len(rows), len(cols)), np.inf), np.array([0, 0, 1]))
    with pytest.raises(DataError, match="3 of 3 scores"):
        listed(source)

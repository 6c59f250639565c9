"""A story's parts, and the histogram of scores."""

import numpy as np
import pytest

from twofold.errors import NotEnoughData, UsageError
from twofold.metrics.pairs import PairList
from twofold.report.story import Row, score_shares


def pairs(scores: list[float], same: list[bool]) -> PairList:
    codes = np.arange(len(scores))
    return PairList(np.array(scores), np.array(same), first=codes, second=codes + len(scores))


def test_shares_of_each_kind_add_up_to_one_and_lie_where_the_scores_do() -> None:
    shares = score_shares(
        pairs([0.0, 0.1, 0.9, 1.0], [False, False, True, True]), threshold=0.5, bins=10
    )
    assert shares.edges[[0, -1]].tolist() == [0.0, 1.0]
    assert shares.genuine.sum() == shares.impostor.sum() == 1.0
    assert shares.impostor[:2].tolist() == [0.5, 0.5]
    assert shares.genuine[-1] == 1.0


def test_equal_scores_have_a_range_too() -> None:
    shares = score_shares(pairs([0.5, 0.5], [True, False]), threshold=0.5, bins=4)
    assert np.all(np.diff(shares.edges) > 0)


def test_one_kind_of_pairs_gives_no_histogram() -> None:
    with pytest.raises(NotEnoughData, match="2 genuine and 0 impostor pairs"):
        score_shares(pairs([0.5, 0.7], [True, True]), threshold=0.5)


def test_every_picture_has_a_caption() -> None:
    with pytest.raises(UsageError, match="1 pictures and 2 captions"):
        Row(pictures=(np.zeros((2, 2), np.uint8),), captions=("a", "b"))

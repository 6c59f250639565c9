"""Groups whose members are all near the kept one."""

import numpy as np

from twofold.copies.clusters import star_groups


def groups(pairs, n, *, rank=None, same=None, scores=None):
    found = star_groups(
        np.array(pairs, np.int64).reshape(-1, 2),
        np.array(scores if scores is not None else [0.9] * len(pairs), np.float32),
        rank=np.arange(n) if rank is None else np.array(rank),
        same=np.arange(n) if same is None else np.array(same),
    )
    return [(star.kept, star.others) for star in found]


def test_a_chain_is_cut():
    assert groups([(0, 1), (1, 2), (2, 3), (3, 4)], 5) == [(0, (1,)), (2, (3,))]


def test_the_preferred_is_kept_and_takes_its_neighbours():
    assert groups([(0, 1), (1, 2)], 3, rank=[1, 0, 2]) == [(1, (0, 2))]


def test_the_most_alike_stand_first():
    assert groups([(0, 1), (0, 2)], 3, scores=[0.8, 0.95]) == [(0, (2, 1))]


def test_equals_go_together_and_the_preferred_of_them_is_kept():
    assert groups([(0, 1)], 4, same=[0, 1, 1, 3], rank=[3, 2, 0, 1]) == [(2, (1, 0))]
    assert groups([], 4, same=[0, 0, 2, 0]) == [(0, (1, 3))]


def test_every_member_is_near_the_kept_one_and_nobody_is_in_two_groups():
    rng = np.random.default_rng(0)
    pairs = np.unique(np.sort(rng.integers(0, 60, (150, 2)), axis=1), axis=0)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    near = set(map(tuple, pairs.tolist()))
    found = groups(pairs, 60, rank=rng.permutation(60))
    everybody = [place for kept, others in found for place in (kept, *others)]
    assert len(everybody) == len(set(everybody))
    assert all(tuple(sorted((kept, other))) in near for kept, others in found for other in others)


def test_the_order_of_pairs_does_not_matter():
    pairs = np.array([(0, 1), (1, 2), (2, 3), (0, 3), (4, 5)])
    assert groups(pairs, 6) == groups(pairs[::-1], 6)


def test_members_of_a_crowd_are_asked_whether_they_are_near_the_kept_one():
    # near: within 1; 1, 2, 3 and 5 stand as one, 4 alone
    at = np.array([0.0, 1.0, 1.1, 1.2, 1.9, 2.05])

    def alike(kept, others):
        apart = np.abs(at[others] - at[kept])
        return np.where(apart <= 1, 1 - apart / 10, -np.inf)

    found = star_groups(
        np.array([(0, 1), (1, 4)]),
        np.array([0.9, 0.91], np.float32),
        rank=np.arange(6),
        same=np.array([0, 1, 1, 1, 4, 1]),
        alike=alike,
    )
    # 2, 3 and 5 are not near 0, which takes 1: the first of them is kept, with 4, which is near it
    assert [(star.kept, star.others) for star in found] == [(0, (1,)), (2, (3, 4, 5))]
    assert np.allclose(found[1].scores, (0.99, 0.92, 0.905))


def test_a_large_crowd_takes_no_square_of_time():
    n = 200_000
    found = star_groups(
        np.zeros((0, 2), np.int64),
        np.zeros(0, np.float32),
        rank=np.arange(n)[::-1].copy(),
        same=np.zeros(n, np.int64),
        alike=lambda kept, others: np.ones(len(others)),
    )
    assert len(found) == 1 and found[0].kept == n - 1 and len(found[0].others) == n - 1


def test_what_is_no_crowd_is_let_go():
    asked = []

    def alike(kept, others):
        asked.append(len(others))
        return np.where(others == kept + 1, 0.9, -np.inf)

    found = star_groups(
        np.zeros((0, 2), np.int64),
        np.zeros(0, np.float32),
        rank=np.arange(1000),
        same=np.zeros(1000, np.int64),
        alike=alike,
    )
    assert [(star.kept, star.others) for star in found] == [(0, (1,))] and asked == [999]

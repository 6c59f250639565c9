"""Plans of batches: properties for random class sizes, and counts against the definition."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.data.arrangement import arranged, scattered, unranked
from twofold.data.batches import balanced_pairs, episodes, hard_batches, identity_batches
from twofold.errors import DataError, NotEnoughData, UsageError

quick = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 2**31)


def labels_of(sizes: list[int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))


@quick
@given(
    st.lists(st.integers(1, 30), min_size=2, max_size=40),
    st.integers(2, 8),
    st.integers(2, 6),
    seeds,
)
def test_no_item_and_no_class_twice_in_a_batch(sizes: list[int], p: int, k: int, seed: int) -> None:
    labels = labels_of(sizes, seed)
    usable = sum(size >= 2 for size in sizes)
    if usable < p:
        with pytest.raises(NotEnoughData):
            identity_batches(labels, p=p, k=k, seed=seed)
        return
    batches = identity_batches(labels, p=p, k=k, seed=seed)
    assert batches
    for batch in batches:
        assert len(np.unique(batch)) == len(batch) <= p * k
        sizes_here = np.bincount(labels[batch], minlength=len(sizes))
        paired = np.flatnonzero(sizes_here >= 2)
        assert len(paired) == p
        assert all(sizes_here[c] == min(k, sizes[c]) for c in paired)
        assert all(sizes[c] == 1 for c in np.flatnonzero(sizes_here == 1))


@quick
@given(st.lists(st.integers(0, 12), min_size=1, max_size=30), st.integers(1, 6), seeds)
def test_rows_hold_different_kinds_and_use_all_draws_that_can_be_used(
    draws: list[int], size: int, seed: int
) -> None:
    counts = np.array(draws)
    if (counts > 0).sum() < size:
        return
    rows = arranged(counts, size, np.random.default_rng(seed))
    assert all(len(set(row)) == size for row in rows.tolist())
    used = np.bincount(rows.ravel(), minlength=len(counts))
    assert (used <= counts).all()
    # one row more is not possible: Gale's condition for rows of different kinds
    assert np.minimum(counts, len(rows) + 1).sum() < size * (len(rows) + 1)


def test_every_item_is_drawn_once_an_epoch_on_average() -> None:
    labels = labels_of([10] * 12 + [8] * 12 + [3] * 6)
    counts = np.zeros(len(labels))
    for epoch in range(60):
        for batch in identity_batches(labels, p=4, k=4, seed=0, epoch=epoch):
            counts[batch] += 1
    mean = counts / 60
    # a few draws an epoch fill no batch, so the mean is a little below 1
    assert mean.min() > 0.7 and mean.max() < 1.25 and 0.93 < mean.mean() <= 1.01


def test_with_whole_shares_each_item_is_drawn_exactly_once() -> None:
    labels = labels_of([8] * 20)
    batches = identity_batches(labels, p=10, k=4, seed=1)
    assert len(batches) == 4
    assert sorted(np.concatenate(batches).tolist()) == list(range(160))


def test_plans_depend_on_seed_and_epoch_alone() -> None:
    labels = labels_of([6] * 9)

    def plan(seed: int, epoch: int) -> list[list[int]]:
        return [
            batch.tolist() for batch in identity_batches(labels, p=3, k=2, seed=seed, epoch=epoch)
        ]

    assert plan(1, 2) == plan(1, 2)
    assert plan(1, 2) != plan(1, 3) and plan(1, 2) != plan(2, 2)


def test_one_huge_class_does_not_crowd_a_batch() -> None:
    labels = labels_of([1000, 4, 4, 4])
    batches = identity_batches(labels, p=2, k=4, seed=0)
    assert len(batches) == 3 and all((labels[batch] == 0).sum() == 4 for batch in batches)


def test_singletons_fill_free_seats_in_turn() -> None:
    labels = labels_of([2] * 8 + [1] * 100)
    batches = identity_batches(labels, p=4, k=4, seed=0)
    assert [len(batch) for batch in batches] == [16, 16]
    fillers = [item for batch in batches for item in batch if labels[item] >= 8]
    assert len(fillers) == len(set(fillers)) == 16
    assert [
        len(batch) for batch in identity_batches(labels_of([4] * 8 + [1] * 9), p=4, k=4, seed=0)
    ] == [16, 16]


def test_forgeries_come_with_their_writer() -> None:
    genuine, forged = np.repeat(np.arange(6), 4), np.arange(6, 6 + 18)
    labels = np.concatenate([genuine, forged])
    identity = np.concatenate([genuine, np.repeat(np.arange(6), 3)])
    for epoch in range(4):
        for batch in identity_batches(labels, p=2, k=2, seed=0, epoch=epoch, identity=identity):
            writers = np.unique(identity[batch])
            assert len(writers) == 2 and len(np.unique(batch)) == len(batch) == 8
            assert [((identity[batch] == w) & (labels[batch] >= 6)).sum() for w in writers] == [
                2,
                2,
            ]


@quick
@given(st.lists(st.integers(2, 9), min_size=16, max_size=30), st.sampled_from([1, 2, 4]), seeds)
def test_batches_by_group_hold_that_many_groups(sizes: list[int], groups: int, seed: int) -> None:
    labels = labels_of(sizes, seed)
    group_of = np.arange(len(sizes)) % 4
    for batch in identity_batches(
        labels, p=4, k=3, seed=seed, group=group_of[labels], groups_per_batch=groups
    ):
        classes = np.unique(labels[batch])
        shares = np.bincount(group_of[classes], minlength=4)
        assert (
            len(classes) == 4
            and set(shares.tolist()) <= {0, 4 // groups}
            and (shares > 0).sum() == groups
        )


def test_a_group_with_few_classes_gives_what_it_has() -> None:
    labels = labels_of([4] * 10)
    group_of = np.array([0] * 7 + [1] * 2 + [2])
    batches = identity_batches(labels, p=4, k=2, seed=0, group=group_of[labels], groups_per_batch=1)
    # group 2 has one class: alone it would be a batch without an impostor
    assert {frozenset(group_of[labels[batch]].tolist()) for batch in batches} == {
        frozenset({0}),
        frozenset({1}),
    }


def test_batches_that_cannot_be_made_say_why() -> None:
    labels = labels_of([2] * 5 + [1] * 9)
    group = np.zeros_like(labels)
    with pytest.raises(
        NotEnoughData,
        match="p=6 classes per batch, but 5 have two items or more: --set p=5 or less",
    ):
        identity_batches(labels, p=6, k=2, seed=0)
    with pytest.raises(
        NotEnoughData, match="1 classes have two items or more: a batch takes at least 2"
    ):
        identity_batches(labels_of([2, 1, 1]), p=2, k=2, seed=0)
    with pytest.raises(
        UsageError, match="p=1, k=2: a batch needs at least 2 classes with at least 2 items"
    ):
        identity_batches(labels, p=1, k=2, seed=0)
    with pytest.raises(UsageError, match="groups_per_batch=2, but the items have no groups"):
        identity_batches(labels, p=4, k=2, seed=0, groups_per_batch=2)
    with pytest.raises(UsageError, match="groups_per_batch=3 must divide p=4"):
        identity_batches(labels, p=4, k=2, seed=0, group=group, groups_per_batch=3)
    with pytest.raises(
        NotEnoughData, match="groups_per_batch=2, but 1 groups have 1 or more classes of two items"
    ):
        identity_batches(labels, p=4, k=2, seed=0, group=group, groups_per_batch=2)
    with pytest.raises(DataError, match="items of one class stand in more than one group"):
        identity_batches(labels, p=4, k=2, seed=0, group=np.arange(len(labels)), groups_per_batch=1)


@quick
@given(st.lists(st.integers(1, 7), min_size=2, max_size=12), st.integers(1, 60), seeds)
def test_pairs_are_balanced_and_true(sizes: list[int], half: int, seed: int) -> None:
    labels = labels_of(sizes, seed)
    if max(sizes) < 2:
        with pytest.raises(NotEnoughData, match="there is no genuine pair"):
            balanced_pairs(labels, count=2 * half, seed=seed)
        return
    a, b, target = balanced_pairs(labels, count=2 * half, seed=seed)
    assert len(a) == 2 * half and target.tolist() == [1, 0] * half
    assert ((labels[a] == labels[b]) == (target == 1)).all() and (a != b).all()
    assert (a[::2] == a[1::2]).all()


def test_each_genuine_pair_comes_before_any_comes_again_over_epochs_too() -> None:
    labels = labels_of([4, 5, 2, 1])  # 6 + 10 + 1 genuine pairs
    seen = []
    for epoch in range(6):
        a, b, target = balanced_pairs(labels, count=10, seed=3, epoch=epoch)
        seen += [
            frozenset(pair)
            for pair in zip(a[target == 1].tolist(), b[target == 1].tolist(), strict=True)
        ]
    rounds = [seen[:17]]
    every = {
        frozenset(p) for p in itertools.combinations(range(12), 2) if len(set(labels[list(p)])) == 1
    }
    assert all(set(once) == every for once in rounds) and seen[17:30] != seen[:13]


def test_impostors_prefer_the_group_and_forgeries() -> None:
    labels = np.concatenate([np.repeat(np.arange(8), 3), np.arange(8, 16)])
    identity = np.concatenate([np.repeat(np.arange(8), 3), np.repeat(np.arange(4), 2)])
    group = np.where(identity < 7, identity % 2, 2)  # identity 7 is alone in group 2
    a, b, target = balanced_pairs(labels, count=4000, seed=0, identity=identity, group=group)
    a, b = a[target == 0], b[target == 0]
    assert ((group[a] == group[b]) | (identity[a] == 7)).all()
    forged = identity[a] == identity[b]
    assert (labels[a] != labels[b]).all() and (labels[b[forged]] >= 8).all()
    assert abs(forged[identity[a] < 4].mean() - 0.5) < 0.05 and not forged[identity[a] >= 4].any()


def test_pairs_that_cannot_be_made_say_why() -> None:
    with pytest.raises(NotEnoughData, match="all items have one identity: impostor pairs need two"):
        balanced_pairs(np.zeros(5, dtype=np.int64), count=2, seed=0)
    with pytest.raises(UsageError, match="count=3: half of the pairs are genuine"):
        balanced_pairs(np.arange(5), count=3, seed=0)


@quick
@given(st.integers(1, 5000), seeds)
def test_scattered_is_a_permutation(total: int, seed: int) -> None:
    places = np.arange(total)
    assert sorted(scattered(places, total, np.random.default_rng(seed)).tolist()) == places.tolist()


def test_unranked_against_the_definition_and_at_large_ranks() -> None:
    pairs = [(i, j) for j in range(1, 40) for i in range(j)]
    low, high = unranked(np.arange(len(pairs)))
    assert list(zip(low.tolist(), high.tolist(), strict=True)) == pairs
    tops = np.array([10**6, 10**9 - 1, 2**31])
    low, high = unranked(np.concatenate([tops * (tops - 1) // 2 - 1, tops * (tops - 1) // 2]))
    assert high.tolist() == [*(tops - 1), *tops] and low.tolist() == [*(tops - 2), 0, 0, 0]


def test_episodes_learn_from_other_items_than_they_ask() -> None:
    labels = labels_of([5] * 8 + [2] * 3)
    tasks = list(episodes(labels, n_way=4, k_shot=2, queries=3, count=50, seed=0))
    assert len(tasks) == 50
    for task in tasks:
        assert task.support.shape == (4, 2) and task.query.shape == (4, 3)
        both = np.concatenate([task.support, task.query], axis=1)
        assert len(np.unique(both)) == 20 and (labels[both] == labels[both[:, :1]]).all()
        assert len(np.unique(labels[both[:, 0]])) == 4 and labels[both].max() < 8
    again = list(episodes(labels, n_way=4, k_shot=2, queries=3, count=50, seed=0))
    assert all(
        (x.support == y.support).all() and (x.query == y.query).all()
        for x, y in zip(tasks, again, strict=True)
    )


def test_episodes_within_a_group() -> None:
    labels = labels_of([3] * 9)
    group_of = np.array([0] * 4 + [1] * 3 + [2] * 2)
    tasks = list(
        episodes(labels, n_way=3, k_shot=1, queries=1, count=30, seed=0, group=group_of[labels])
    )
    assert {frozenset(group_of[labels[task.query]].ravel().tolist()) for task in tasks} == {
        frozenset({0}),
        frozenset({1}),
    }
    with pytest.raises(
        NotEnoughData,
        match=r"n_way=5, but at most 4 classes in one group have k_shot \+ queries = 2",
    ):
        episodes(labels, n_way=5, k_shot=1, queries=1, count=1, seed=0, group=group_of[labels])
    with pytest.raises(UsageError, match="n_way=1, k_shot=1, queries=1, count=1"):
        episodes(labels, n_way=1, k_shot=1, queries=1, count=1, seed=0)


@quick
@given(st.lists(st.integers(2, 30), min_size=12, max_size=40), st.integers(2, 5), seeds)
def test_batches_of_hard_classes_hold_whole_groups_and_what_is_over_comes_too(
    sizes: list[int], k: int, seed: int
) -> None:
    labels = labels_of(sizes, seed)
    groups = np.arange(len(sizes)) // 3
    batches = hard_batches(labels, groups[labels], p=6, k=k, groups_per_batch=2, seed=seed, epoch=1)
    assert all(len(np.unique(batch)) == len(batch) <= 6 * k for batch in batches)
    whole = [np.bincount(groups[np.unique(labels[batch])]) for batch in batches]
    assert sum((counts.max() == 3) | (counts[-1] == len(sizes) % 3) for counts in whole) >= 1
    again = hard_batches(labels, groups[labels], p=6, k=k, groups_per_batch=2, seed=seed, epoch=1)
    assert all((one == other).all() for one, other in zip(batches, again, strict=True))
    left = np.bincount(np.delete(labels, np.concatenate(batches)), minlength=len(sizes))
    seated = np.bincount(np.concatenate(batches), minlength=len(labels))
    assert seated.max() <= 2  # the last k items of a class that is no multiple of k
    # of fewer than p classes more is left than fills no batch
    assert (left >= k).sum() < 6 or left.sum() < len(labels) / 2


def test_large_classes_among_look_alikes_are_not_cut_to_the_smallest() -> None:
    labels = np.repeat(np.arange(24), [4, 40] * 12)
    groups = np.arange(24) // 2
    cut = identity_batches(labels, p=4, k=4, seed=0, group=groups[labels], groups_per_batch=2)
    batches = hard_batches(labels, groups[labels], p=4, k=4, groups_per_batch=2, seed=0)
    assert len(np.unique(np.concatenate(cut))) == 12 * 8
    assert len(np.unique(np.concatenate(batches))) > 0.9 * len(labels)


def drawn_of(sizes: list[int], **settings) -> np.ndarray:
    """How often items of each class were drawn, over many epochs."""
    labels = labels_of(sizes)
    counts = np.zeros(len(sizes))
    for epoch in range(60):
        for batch in identity_batches(labels, p=4, k=2, seed=0, epoch=epoch, **settings):
            counts += np.bincount(labels[batch], minlength=len(sizes))
    return counts


LONG_TAIL = [400, 200, 100, 50, 20, 20, 10, 10, 6, 4]


@pytest.mark.parametrize(
    ("balance", "expected"),
    [
        (1.0, lambda n: np.ones(len(n))),
        (0.99, lambda n: n * 0.01 / (1 - 0.99**n)),
        (0.9, lambda n: n * 0.1 / (1 - 0.9**n)),
    ],
)
def test_balance_draws_classes_by_their_effective_number_of_items(balance, expected) -> None:
    sizes = np.array(LONG_TAIL)
    found = drawn_of(LONG_TAIL, balance=balance)
    wanted = expected(sizes.astype(float))
    # a class stands once in a batch, so that none gets more than a quarter of the seats
    bound = wanted / wanted.sum() < 0.2
    ratio = (found / wanted)[bound]
    assert ratio.max() / ratio.min() < 1.25


def test_balance_changes_the_draws_and_not_the_length_of_an_epoch() -> None:
    labels = labels_of([12] * 10)
    plain = identity_batches(labels, p=4, k=2, seed=0)
    even = identity_batches(labels, p=4, k=2, seed=0, balance=1.0)
    assert len(plain) == len(even)
    tail = labels_of(LONG_TAIL)
    batches = identity_batches(tail, p=4, k=2, seed=0, balance=1.0)
    for batch in batches:
        assert len(np.unique(batch)) == len(batch)
        assert (np.bincount(tail[batch])[np.unique(tail[batch])] == 2).all()
    # every item of a small class comes again and again
    small = np.flatnonzero(tail == len(LONG_TAIL) - 1)
    assert np.isin(small, np.concatenate(batches)).all()

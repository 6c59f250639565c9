"""Groups of look-alike classes: as a slow loop makes them, the same for one seed, never two names of one identity."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold.data import hard_classes
from twofold.data.batches import identity_batches
from twofold.data.hard_classes import look_alikes, near_groups
from twofold.errors import UsageError


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def clusters(count, each, *, spread=0.3, dim=16, seed=0):
    """Classes that come in families: the members of a family are hard to tell apart."""
    rng = np.random.default_rng(seed)
    middles = rng.normal(size=(count, dim))
    return unit(np.repeat(middles, each, axis=0) + spread * rng.normal(size=(count * each, dim)))


def slow_groups(prototypes, size, seed, epoch, bound):
    """The definition, one class at a time."""
    order = np.random.default_rng([4, seed, epoch]).permutation(len(prototypes))
    groups, opened = {}, 0
    for first in order:
        if first in groups:
            continue
        members = [first]
        free = [c for c in order if c not in groups and c != first]
        for other in sorted(free, key=lambda c: -float(prototypes[first] @ prototypes[c])):
            if len(members) == size:
                break
            if all(
                prototypes[m] @ prototypes[other] <= max(bound[m], bound[other]) for m in members
            ):
                members.append(other)
        groups |= dict.fromkeys(members, opened)
        opened += 1
    return np.array([groups[c] for c in range(len(prototypes))])


@given(st.integers(2, 6), st.integers(0, 50), st.booleans(), st.integers(1, 40))
def test_groups_are_those_of_the_definition(size, seed, protected, block):
    prototypes = np.random.default_rng(seed).normal(size=(41, 5))
    prototypes /= np.linalg.norm(prototypes, axis=1, keepdims=True)
    within = np.random.default_rng(seed + 1).uniform(0.5, 1.0, 41) if protected else None
    nearest = np.sort(prototypes @ prototypes.T, axis=1)[:, -2]
    bound = (
        np.full(41, np.inf)
        if within is None
        else np.maximum(within, np.quantile(nearest, 0.9) + 1e-6)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hard_classes, "ROWS_AT_ONCE", block)
        groups = near_groups(prototypes, size=size, seed=seed, epoch=3, within=within)
    assert (groups == slow_groups(prototypes, size, seed, 3, bound)).all()


def test_families_become_groups_in_every_epoch_and_the_same_ones_for_a_seed():
    prototypes = clusters(12, 4, spread=0.1)
    groups = near_groups(prototypes, size=4, seed=1, epoch=5)
    assert (np.bincount(groups) == 4).all()
    assert len(np.unique(groups.reshape(12, 4))) == 12
    assert (groups.reshape(12, 4) == groups.reshape(12, 4)[:, :1]).all()
    assert (groups == near_groups(prototypes, size=4, seed=1, epoch=5)).all()
    assert (groups != near_groups(prototypes, size=4, seed=1, epoch=6)).any()


def test_groups_of_an_epoch_differ_from_those_of_the_next_where_there_is_a_choice():
    prototypes = clusters(1, 60, spread=5.0)
    pairs = [
        {frozenset(np.flatnonzero(g == c)) for c in g}
        for g in (near_groups(prototypes, size=3, seed=0, epoch=e) for e in (0, 1))
    ]
    assert pairs[0] != pairs[1]


def test_two_names_of_one_identity_never_meet_and_are_reported():
    prototypes = clusters(20, 5, dim=32, spread=0.5)
    twice = [(3, 100), (40, 101), (77, 102)]
    rng = np.random.default_rng(2)
    prototypes = unit(
        np.concatenate([prototypes, [prototypes[a] + 0.02 * rng.normal(size=32) for a, _ in twice]])
    )
    within = np.full(len(prototypes), 0.95, np.float32)
    for epoch in range(5):
        groups = near_groups(prototypes, size=5, seed=0, epoch=epoch, within=within)
        assert all(groups[a] != groups[b] for a, b in twice)
    unprotected = near_groups(prototypes, size=5, seed=0)
    assert any(unprotected[a] == unprotected[b] for a, b in twice)
    pairs, similarity = look_alikes(prototypes, within)
    assert sorted(map(tuple, pairs)) == twice
    assert (np.diff(similarity) <= 0).all()
    assert (similarity > 0.98).all()


def test_a_network_that_tells_nothing_apart_does_not_make_all_classes_suspects():
    collapsed = clusters(1, 300, spread=0.05)
    pairs, _ = look_alikes(collapsed, np.full(300, 0.5, np.float32))
    assert 0 < len(np.unique(pairs)) <= 2 * 0.1 * 300
    groups = near_groups(collapsed, size=4, seed=0, within=np.full(300, 0.5, np.float32))
    assert np.bincount(groups).mean() > 3.5


def test_unknown_classes_are_grouped_by_chance_and_never_with_known_ones():
    prototypes = clusters(5, 4)
    prototypes[::2] = 0
    groups = near_groups(prototypes, size=4, seed=0, within=np.ones(20, np.float32))
    known = prototypes.any(axis=1)
    assert not set(groups[known]) & set(groups[~known])
    nothing = near_groups(
        np.zeros((10, 3), np.float32), size=4, seed=0, within=np.ones(10, np.float32)
    )
    assert sorted(np.bincount(nothing)) == [2, 4, 4]
    assert near_groups(np.zeros((0, 3), np.float32), size=4, seed=0).shape == (0,)


def test_batches_hold_whole_groups():
    groups = near_groups(clusters(12, 4, spread=0.1), size=4, seed=0)
    labels = np.repeat(np.arange(48), 4)
    plan = identity_batches(labels, p=8, k=2, seed=0, group=groups[labels], groups_per_batch=2)
    for batch in plan:
        assert sorted(np.bincount(groups[np.unique(labels[batch])], minlength=12))[-2:] == [4, 4]


def test_a_group_of_one_is_refused():
    with pytest.raises(
        UsageError, match="size=1: a group of classes to tell apart needs at least 2"
    ):
        near_groups(clusters(2, 2), size=1, seed=0)

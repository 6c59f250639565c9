"""Sets of references beside probes: which pairs there are, and what each of them weighs."""

import numpy as np
import pytest

from twofold.errors import NotEnoughData, UsageError
from twofold.metrics import reference_pairs
from twofold.metrics.reference_pairs import ReferencePairs, reference_sets


def listed(source):
    found = {}
    for block in source:
        rows = zip(block.scores, block.same, block.first, block.second, block.weights, strict=True)
        for score, same, first, second, weight in rows:
            assert score not in found
            found[float(score)] = (bool(same), int(first), int(second), float(weight))
    return found


def numbered(rows, cols):
    """A score that names the set and the item."""
    return rows[:, None] * 1000.0 + cols[None]


def test_sets_are_disjoint_of_one_class_and_at_most_four_of_each():
    labels = np.repeat([3, 5, 9, 11], [2, 5, 3, 40])
    usable = np.ones(50, dtype=bool)
    usable[7:10] = False  # of class 9 nothing is left
    sets = reference_sets(labels, 2, usable=usable, seed=1)
    assert len(np.unique(sets)) == sets.size and usable[sets].all()
    assert (labels[sets] == labels[sets][:, :1]).all()
    assert np.unique(labels[sets[:, 0]], return_counts=True)[1].tolist() == [1, 2, 4]
    assert (sets == reference_sets(labels, 2, usable=usable, seed=1)).all()
    assert (sets != reference_sets(labels, 2, usable=usable, seed=2)).any()
    with pytest.raises(UsageError, match="1 references: several are at least 2"):
        reference_sets(labels, 1)
    with pytest.raises(
        NotEnoughData, match=r"5 references and a probe take 6 .* the largest has 5"
    ):
        reference_sets(labels[:10], 5)


@pytest.mark.parametrize("block", [1, 9, 1 << 20])
def test_pairs_are_those_of_the_double_loop(block, monkeypatch):
    monkeypatch.setattr(reference_pairs, "BLOCK", block)
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 2, 3])
    writer = np.array([0, 0, 0, 1, 1, 1, 1, 2, 0])  # the last is a forgery of writer 0
    forged = labels == 3
    sets = np.array([[0, 1], [3, 4], [5, 6]])
    source = ReferencePairs(numbered, sets, labels, identity=writer, forged=forged)
    found = listed(source)
    wanted = {}
    for row, members in enumerate(sets):
        for item in range(len(labels)):
            owner = writer[members[0]]
            if item in members or (forged[item] and writer[item] != owner):
                continue
            same = bool(labels[item] == labels[members[0]])
            wanted[row * 1000.0 + item] = (same, owner, writer[item])
    assert {score: each[:3] for score, each in found.items()} == wanted
    assert source.units == 3 and source.crossed == 3


def test_every_identity_and_every_two_of_them_weigh_the_same():
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), [3, 4, 5, 9, 17, 1])
    forged = np.zeros(len(labels), dtype=bool)
    identity, forged[[0, 4]], labels[[0, 4]] = labels.copy(), True, [90, 91]
    sets = reference_sets(labels, 2, usable=~forged)
    source = ReferencePairs(
        lambda rows, cols: generator.random((len(rows), len(cols))),
        sets,
        labels,
        identity=identity,
        forged=forged,
    )
    (block,) = source
    apart = ~block.same & (block.first != block.second)
    skilled = ~block.same & (block.first == block.second)
    for kind in (block.same, apart, skilled):
        ends = np.sort(np.stack([block.first[kind], block.second[kind]]), axis=0)
        couples, place = np.unique(ends, axis=1, return_inverse=True)
        sums = np.bincount(place.reshape(-1), weights=block.weights[kind])
        np.testing.assert_allclose(sums, sums[0])
        assert block.weights[kind].mean() == pytest.approx(1.0) and couples.shape[1] > 1
    assert source.crossed == 6, "one identity without a set is compared as the probe"


def test_what_is_of_one_recording_with_a_reference_is_not_compared_with_it():
    labels, source = np.zeros(5, dtype=int), np.array([0, 1, 1, 2, 3])
    found = ReferencePairs(numbered, np.array([[0, 1]]), labels, source=source)
    assert sorted(listed(found)) == [3.0, 4.0]

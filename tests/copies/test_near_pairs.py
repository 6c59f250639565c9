"""Near pairs against a loop over all pairs, and what stays bounded."""

import numpy as np
import pytest

from twofold.copies import cells as cells_module
from twofold.copies import crowds
from twofold.copies import near_pairs as module
from twofold.copies.near_pairs import near_pairs
from twofold.errors import UsageError


def planted(n=600, dim=24, seed=0):
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n, dim)).astype(np.float32)
    half = n // 3
    vectors[half : 2 * half] = vectors[:half] + 0.25 * rng.standard_normal((half, dim))
    return vectors


def by_hand(vectors, score, distance):
    vectors = np.asarray(vectors, np.float64)
    found = set()
    for j in range(len(vectors)):
        others = vectors[:j]
        if distance == "cosine":
            values = (
                others @ vectors[j] / np.linalg.norm(others, axis=1) / np.linalg.norm(vectors[j])
            )
        else:
            values = -(
                np.linalg.norm(others - vectors[j], axis=1)
                ** (2 if distance == "squared_euclidean" else 1)
            )
        found |= {(i, j) for i in np.flatnonzero(values >= score).tolist()}
    return found


def pairs_of(found):
    return set(zip(found.first.tolist(), found.second.tolist(), strict=True))


@pytest.fixture
def tiny_cells(monkeypatch):
    """Cells from a few hundred vectors on, instead of thousands."""
    monkeypatch.setattr(cells_module, "SMALL", 100)
    monkeypatch.setattr(cells_module, "PIVOTS", (8, 16, 32))
    monkeypatch.setattr(cells_module, "TRIALS", 200)


@pytest.mark.parametrize(
    ("distance", "score"), [("cosine", 0.9), ("euclidean", -1.6), ("squared_euclidean", -2.5)]
)
@pytest.mark.parametrize("kind", [np.float32, np.float16, np.float64])
def test_exact_is_the_loop_over_all_pairs(distance, score, kind):
    vectors = planted(150).astype(kind)
    found = near_pairs(vectors, score, distance=distance)
    assert pairs_of(found) == by_hand(vectors, score, distance)
    assert len(found.first) > 20 and found.recall is None
    assert (found.scores >= score).all()


@pytest.mark.parametrize(("distance", "score"), [("cosine", 0.9), ("euclidean", -1.6)])
def test_cells_find_nearly_all_and_nothing_else_each_once(tiny_cells, distance, score):
    vectors = planted(1200) + (100 if distance == "euclidean" else 0)
    found = near_pairs(vectors, score, distance=distance)
    wanted = by_hand(vectors, score, distance)
    assert len(found.cells.pivots) > 0
    assert pairs_of(found) <= wanted
    assert len(pairs_of(found)) == len(found.first)
    assert len(pairs_of(found)) >= 0.98 * len(wanted)
    assert found.recall.value > 0.97 and found.recall.unit == "pair"


def test_a_huge_cell_is_cut_into_cells_of_its_own(tiny_cells, monkeypatch):
    monkeypatch.setattr(module, "HUGE_CELL", 300)
    monkeypatch.setattr(cells_module, "TRIALS", 100)
    monkeypatch.setattr(cells_module, "SMALL", 250)
    vectors = planted(1200)
    found = near_pairs(vectors, 0.9)
    wanted = by_hand(vectors, 0.9, "cosine")
    assert pairs_of(found) <= wanted
    assert len(pairs_of(found)) == len(found.first) >= 0.95 * len(wanted)


@pytest.mark.parametrize("cells", [False, True])
def test_new_vectors_beside_known_ones(request, cells):
    if cells:
        request.getfixturevalue("tiny_cells")
    vectors = planted(900)[np.random.default_rng(1).permutation(900)]
    old = near_pairs(vectors[:700], 0.9)
    new = near_pairs(vectors, 0.9, known=old.cells)
    assert (new.second >= 700).all()
    both = pairs_of(old) | pairs_of(new)
    whole = by_hand(vectors, 0.9, "cosine")
    assert both <= whole and len(both) >= (0.97 if cells else 1) * len(whole)


def test_equal_rows_are_compared_once():
    vectors = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)
    vectors[10:40] = vectors[3]
    found = near_pairs(vectors, 0.99)
    assert found.same.tolist() == [*range(10), *[3] * 30, *range(40, 50)]
    assert not len(found.first)


def test_too_many_pairs_are_bounded_and_said(monkeypatch):
    monkeypatch.setattr(module, "PAIRS", 2000)
    monkeypatch.setattr(crowds, "CROWD", 10_000)
    rng = np.random.default_rng(0)
    vectors = (np.ones(16) + 0.01 * rng.standard_normal((400, 16))).astype(np.float32)
    found = near_pairs(vectors, 0.9)
    assert len(found.first) <= 1000 and found.capped > 300
    assert np.bincount(found.second, minlength=400).max() == found.most
    for row in (5, 300):  # the earliest partners stay
        assert found.first[found.second == row].tolist() == list(range(min(found.most, row)))


def crowded(n=900, members=400, seed=0):
    """A crowd about one vector, and pairs about it and elsewhere."""
    rng = np.random.default_rng(seed)
    vectors = planted(n, seed=seed)
    middle = rng.standard_normal(24)
    vectors[rng.permutation(n)[:members]] = middle + 0.05 * rng.standard_normal((members, 24))
    return vectors


@pytest.mark.parametrize("cells", [False, True])
@pytest.mark.parametrize(("distance", "score"), [("cosine", 0.9), ("euclidean", -1.6)])
def test_of_a_crowd_one_stands_for_all(request, cells, distance, score):
    if cells:
        request.getfixturevalue("tiny_cells")
    vectors = crowded()
    found = near_pairs(vectors, score, distance=distance)
    wanted = by_hand(vectors, score, distance)
    assert np.bincount(found.same).max() > 300 and len(found.first) < 2000 < 50_000 < len(wanted)
    # all that one stands for are near each other
    for row in np.flatnonzero(found.same != np.arange(900)):
        for other in np.flatnonzero(found.same == found.same[row])[:5]:
            assert row == other or (min(row, other), max(row, other)) in wanted
    alone = found.same == np.arange(900)
    left = {(i, j) for i, j in wanted if alone[i] and alone[j]}
    assert pairs_of(found) <= wanted and len(pairs_of(found) & left) >= 0.97 * len(left)


def test_a_crowd_may_be_closer_than_a_pair():
    vectors = crowded()
    assert np.bincount(near_pairs(vectors, 0.9, crowd=0.999).same).max() == 1
    with pytest.raises(UsageError, match=r"a threshold of 1\.5 is not possible for cosine"):
        near_pairs(vectors, 0.9, crowd=1.5)


def test_who_comes_later_joins_the_crowd(tiny_cells):
    vectors = crowded()
    old = near_pairs(vectors[:600], 0.9)
    new = near_pairs(vectors, 0.9, known=old.cells)
    assert (new.same[:600] == old.same).all() and (new.second >= 600).all()
    assert np.bincount(new.same).max() > 300 and (new.same[new.same] == new.same).all()


def test_few_and_no_vectors():
    assert not len(near_pairs(np.zeros((0, 4), np.float32), 0.9).first)
    assert not len(near_pairs(np.ones((1, 4), np.float32), 0.9).first)
    assert not len(near_pairs(np.zeros((3, 4), np.float32), 0.9).first)


def test_progress_ends_at_the_total():
    seen = []
    near_pairs(planted(300), 0.9, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] > 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"distance": "manhattan"}, "near pairs by 'manhattan' are not found in cells"),
        ({"score": 1.5}, "a threshold of 1.5 is not possible for cosine: give one below 1"),
        (
            {"score": 0.5, "distance": "euclidean"},
            "a threshold of 0.5 is not possible for euclidean: give one below 0",
        ),
        ({"vectors": np.full((4, 2), np.nan, np.float32)}, "row 0 and 3 more hold NaN or infinity"),
    ],
)
def test_what_cannot_be_is_said(change, said):
    wanted = {"vectors": planted(20), "score": 0.9} | change
    with pytest.raises(UsageError, match=said):
        near_pairs(wanted.pop("vectors"), wanted.pop("score"), **wanted)


def test_cells_of_more_vectors_are_refused():
    old = near_pairs(planted(60), 0.9)
    with pytest.raises(
        UsageError, match="cells of 60 vectors are given with 30: give all, the old ones first"
    ):
        near_pairs(planted(60)[:30], 0.9, known=old.cells)

"""Rough looks never lose a score that matters, and the numbers are those of exact scores."""

import numpy as np
import pytest
import torch
from torch import nn

from twofold import ranking as module
from twofold.errors import DataError
from twofold.inputs.image import Image
from twofold.metrics import ranks
from twofold.metrics.glances import Glances
from twofold.metrics.retrieval import query_values
from twofold.ranking import Cosines, ranking
from twofold.twin import Twin

TWIN = Twin(Image(), nn.Flatten(), "cosine")


def clustered(items: int, *, dim: int = 32) -> np.ndarray:
    """Six of each class."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(items // 6 + 1, dim))
    return (centres[np.arange(items) // 6] + 0.9 * generator.normal(size=(items, dim))).astype(
        np.float32
    )


@pytest.fixture(params=[True, False], ids=["bfloat16", "float32"])
def cosines(request):
    """Exact cosines with rough looks of either kind."""
    return lambda vectors: Cosines(vectors, half=request.param)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_a_rough_look_is_off_by_no_more_than_it_says(cosines, scale):
    generator = np.random.default_rng(1)
    vectors = (scale * generator.normal(size=(300, 24))).astype(np.float32)
    vectors[100:200] = vectors[:100] + (0.05 * scale * generator.normal(size=(100, 24))).astype(
        np.float32
    )
    score, order = cosines(vectors), generator.permutation(300)
    looks = score.arranged(order)(slice(0, 300), slice(0, 300)).ravel()
    exact = score(order, order).ravel()
    assert (looks >= score.least(exact)).all()
    assert (score.surely(looks) <= exact + 1e-6).all()
    # and it says something: most of what is clearly lower looks lower
    likely = exact > 0.3
    assert (score.least(exact[likely]) > looks[exact < 0.2].max()).mean() > 0.9
    assert np.abs(score.surely(looks[likely]) - exact[likely]).max() < 0.02


@pytest.mark.parametrize("dim", [3, 32, 513])
def test_a_pair_has_one_score_whatever_is_asked_with_it(cosines, dim):
    vectors = clustered(100, dim=dim)
    score = cosines(vectors)
    a, b = np.arange(50), np.arange(50, 100)
    whole = score.pairs(a, b)
    assert np.array_equal(whole, score.pairs(b, a))
    assert np.array_equal(whole[7:8], score.pairs(a[7:8], b[7:8]))
    # exact, so the order of the additions does not matter
    assert np.array_equal(whole, np.diag(score(a, b)))
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float64)
    assert whole == pytest.approx(np.einsum("nd,nd->n", unit[a], unit[b]), abs=1e-6)


def test_a_copy_ties_wherever_it_stands(cosines):
    vectors = clustered(300, dim=67)
    vectors[211] = 4 * vectors[4]  # exactly
    score, everything = cosines(vectors), np.arange(300)
    for cols in (
        everything,
        everything[::-1],
        np.delete(everything, [1, 2, 3]),
        np.array([4, 211]),
    ):
        block = score(everything, cols)
        assert np.array_equal(block[:, cols == 4], block[:, cols == 211])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("entries", [ranks.ENTRIES, 2000])
def test_numbers_are_those_of_exact_scores(monkeypatch, cosines, threads, entries):
    vectors = clustered(1200)
    labels = np.arange(1200) // 6
    vectors[30:60] = vectors[:30]  # ties between classes
    monkeypatch.setattr(ranks, "TILE", 64)
    monkeypatch.setattr(ranks, "ENTRIES", entries)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        rough = cosines(vectors)
        found = query_values(rough, labels, ks=(1, 5))
        monkeypatch.setattr(ranks, "CROWDED", 10**9)  # sorted, without rough looks
        exact = query_values(lambda rows, cols: rough(rows, cols), labels, ks=(1, 5))
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert isinstance(rough, Glances)
    for name, each in exact.items():
        assert np.array_equal(found[name], each), name
    assert 0.3 < exact["map_at_r"].mean() < 0.95


def test_only_many_items_get_looks_in_half_precision_and_only_where_that_is_faster(monkeypatch):
    vectors = clustered(200)

    def half() -> bool:
        score = ranking(TWIN, vectors)
        assert isinstance(score, Cosines)
        return score.half

    monkeypatch.setattr(module, "_half_is_faster", lambda dim: True)
    assert not half()
    monkeypatch.setattr(module, "HALF_FROM", 100)
    assert half()
    monkeypatch.setattr(module, "_half_is_faster", lambda dim: False)
    assert not half()


def test_a_spoilt_vector_is_said(cosines):
    vectors = clustered(200)
    vectors[3] = np.nan
    with pytest.raises(DataError, match="not finite"):
        query_values(cosines(vectors), np.arange(200) // 6)

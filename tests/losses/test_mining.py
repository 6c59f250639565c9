"""Every miner of `__all__`, against loops written from the papers, and against what triplets must be."""

import numpy as np
import pytest
import torch

from twofold.comparison import Plain, WeightedL1
from twofold.errors import BatchError, UsageError
from twofold.losses import mining, pairing

LABELS = torch.tensor([0, 0, 1, 2, 1, 0, 2, 3, 1, 2])
COSINE = Plain("cosine")


def batch(seed: int = 0, n: int = 10) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, 4)))


def mined(
    name: str, embeddings: torch.Tensor, labels: torch.Tensor = LABELS, **settings
) -> mining.Triplets:
    if name == "distance_weighted":
        settings["generator"] = torch.Generator().manual_seed(0)
    return getattr(mining, name)(embeddings, labels, **{"comparison": COSINE} | settings)


@pytest.mark.parametrize("name", mining.__all__)
def test_triplets_are_triplets(name):
    anchor, positive, negative = mined(name, batch())
    assert anchor.dtype == positive.dtype == negative.dtype == torch.int64
    assert len(anchor) and bool((anchor != positive).all())
    assert torch.equal(LABELS[anchor], LABELS[positive])
    assert not bool((LABELS[anchor] == LABELS[negative]).any())
    assert 7 not in anchor, "alone in its class"


@pytest.mark.parametrize("name", mining.__all__)
def test_blocks_change_nothing(name, monkeypatch):
    embeddings, labels = batch(n=60), torch.arange(60) % 13
    whole = mined(name, embeddings, labels)
    monkeypatch.setattr(pairing, "_block_bytes", lambda device: 1)
    for mine, theirs in zip(mined(name, embeddings, labels), whole, strict=True):
        assert len(mine) == len(theirs)
        assert name == "distance_weighted" or torch.equal(mine, theirs)


@pytest.mark.parametrize("name", ["batch_hard", "semi_hard"])
def test_labels_are_only_names_and_order_is_only_order(name):
    embeddings, order = batch(), torch.from_numpy(np.random.default_rng(1).permutation(10))
    straight = {tuple(t) for t in torch.stack(mined(name, embeddings)).T.tolist()}
    renamed = {tuple(t) for t in torch.stack(mined(name, embeddings, 7 - 3 * LABELS)).T.tolist()}
    shuffled = torch.stack(mined(name, embeddings[order], LABELS[order]))
    assert straight == renamed == {tuple(t) for t in order[shuffled].T.tolist()}


@pytest.mark.parametrize("name", mining.__all__)
def test_references_are_columns_behind_the_batch(name):
    embeddings = batch()
    anchor, positive, negative = mined(
        name, embeddings[:4], LABELS[:4], references=(embeddings[4:], LABELS[4:])
    )
    assert int(anchor.max()) < 4 <= max(int(positive.max()), int(negative.max()))
    assert torch.equal(LABELS[anchor], LABELS[positive])
    if name != "distance_weighted":
        whole = torch.stack(mined(name, embeddings))
        assert torch.equal(torch.stack((anchor, positive, negative)), whole[:, whole[0] < 4])


def test_batch_hard_is_the_farthest_positive_and_the_nearest_negative():
    embeddings = batch()
    block = COSINE.block(embeddings, embeddings)
    expected = []
    for a in range(10):
        positives = [p for p in range(10) if p != a and LABELS[p] == LABELS[a]]
        negatives = [n for n in range(10) if LABELS[n] != LABELS[a]]
        if positives:
            expected.append(
                (
                    a,
                    max(positives, key=lambda p: block[a, p]),
                    min(negatives, key=lambda n: block[a, n]),
                )
            )
    assert torch.stack(mining.batch_hard(embeddings, LABELS, comparison=COSINE)).T.tolist() == [
        list(t) for t in expected
    ]


@pytest.mark.parametrize("comparison", [COSINE, WeightedL1(4).double()])
def test_semi_hard_is_the_nearest_negative_beyond_the_positive(comparison):
    embeddings = batch()
    block = comparison.block(embeddings, embeddings)
    expected = set()
    for a in range(10):
        negatives = [n for n in range(10) if LABELS[n] != LABELS[a]]
        for p in range(10):
            if p != a and LABELS[p] == LABELS[a]:
                farther = [n for n in negatives if block[a, n] > block[a, p]]
                near = (
                    min(farther, key=lambda n: block[a, n])
                    if farther
                    else max(negatives, key=lambda n: block[a, n])
                )
                expected.add((a, p, near))
    got = torch.stack(mining.semi_hard(embeddings, LABELS, comparison=comparison)).T.tolist()
    assert {tuple(t) for t in got} == expected and len(got) == len(expected)


def test_distance_weighted_draws_by_the_inverse_density():
    """The shares of 600 draws against the weights of Wu et al. 2017, section 4, written as a loop."""
    embeddings, labels = batch(3, 8), torch.tensor([0, 0, 1, 2, 3, 4, 5, 6])
    block = COSINE.block(embeddings, embeddings)
    weight = np.zeros(8)
    for n in range(2, 8):
        d = max(0.5, float(2 * block[0, n]) ** 0.5)
        weight[n] = 0 if d >= 1.9 else 1 / (d ** (4 - 2) * (1 - d * d / 4) ** ((4 - 3) / 2))
    generator = torch.Generator().manual_seed(1)
    counts = np.zeros(8)
    for _ in range(600):
        drawn = mining.distance_weighted(
            embeddings, labels, comparison=COSINE, largest=1.9, generator=generator
        )
        counts[drawn.negative[drawn.anchor == 0].numpy()] += 1
    np.testing.assert_allclose(counts / counts.sum(), weight / weight.sum(), atol=0.06)


def test_distance_weighted_agrees_on_the_sphere_and_draws_from_all_where_all_are_far():
    unit = torch.nn.functional.normalize(batch(), dim=1)
    by_cosine = torch.stack(mined("distance_weighted", unit))
    for name in ("euclidean", "squared_euclidean"):
        assert torch.equal(
            torch.stack(mined("distance_weighted", unit, comparison=Plain(name))), by_cosine
        )
    assert len(mined("distance_weighted", unit, largest=0.0).anchor) == by_cosine.shape[1]


@pytest.mark.parametrize("name", mining.__all__)
def test_batches_without_pairs(name):
    with pytest.raises(BatchError, match="no two of 10 items share a label"):
        mined(name, batch(), torch.arange(10))
    with pytest.raises(BatchError, match="all 10 items have one label"):
        mined(name, batch(), torch.zeros(10, dtype=torch.int64))
    broken = batch()
    broken[3, 1] = torch.nan
    with pytest.raises(BatchError, match=r"row 3 of the embeddings \(label 2\) holds NaN"):
        mined(name, broken)


def test_distance_weighted_needs_the_sphere():
    with pytest.raises(UsageError, match="not 'manhattan'"):
        mined("distance_weighted", batch(), comparison=Plain("manhattan"))
    with pytest.raises(BatchError, match="needs unit vectors"):
        mined("distance_weighted", batch(), comparison=Plain("euclidean"))


def test_hardest_of_many_columns():
    """Rows long enough to be searched in strips, with a rest."""
    embeddings, labels = batch(5, 900), torch.arange(900) % 200
    block = COSINE.block(embeddings, embeddings)
    negatives = block.masked_fill(labels[:, None] == labels, torch.inf).argmin(1)
    assert torch.equal(mined("batch_hard", embeddings, labels).negative, negatives)

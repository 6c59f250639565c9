"""Exact search against brute force written from the definition."""

import faiss
import numpy as np
import pytest

from twofold.contract import Contract
from twofold.store.exact import METRICS, neighbours
from twofold.store.memory import MemoryRows

DIM = 12


def contract(distance: str) -> Contract:
    return Contract(fingerprint="f" * 64, dim=DIM, distance=distance)


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def by_hand(distance: str, one: np.ndarray, other: np.ndarray) -> float:
    one, other = one.astype(np.float64), other.astype(np.float64)
    if distance == "cosine":
        return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
    differences = np.abs(one - other)
    squares = float((differences**2).sum())
    return {
        "manhattan": -float(differences.sum()),
        "euclidean": -(squares**0.5),
        "squared_euclidean": -squares,
    }[distance]


@pytest.mark.parametrize("queries", [1, 19, 20, 50])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
@pytest.mark.parametrize("distance", sorted(METRICS))
def test_search_is_brute_force(distance: str, offset: float, queries: int) -> None:
    random = np.random.default_rng(queries)
    rows = random.normal(size=(300, DIM)).astype(np.float32) + np.float32(offset)
    asked = random.normal(size=(queries, DIM)).astype(np.float32) + np.float32(offset)
    if distance == "cosine":
        if offset:
            pytest.skip("unit vectors have no offset")
        rows, asked = unit(rows), unit(asked)
    answers = neighbours(contract(distance), asked, rows, k=7)
    assert len(answers) == queries
    for query, (places, found) in zip(asked, answers, strict=True):
        truth = np.array([by_hand(distance, query, row) for row in rows])
        order = np.argsort(-truth, kind="stable")[:7]
        np.testing.assert_array_equal(places, order)
        np.testing.assert_allclose(found, truth[order], rtol=1e-9, atol=1e-9)


def test_a_block_at_a_time_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    rows, asked = (random.normal(size=(n, DIM)).astype(np.float32) for n in (90, 25))
    whole = neighbours(contract("euclidean"), asked, rows, k=40)
    monkeypatch.setattr("twofold.store.exact.ROWS_AT_ONCE", 13)
    parts = neighbours(contract("euclidean"), asked, rows, k=40)
    for (places, scores), (others, same) in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(places, others)
        np.testing.assert_array_equal(scores, same)


def test_equal_scores_come_in_the_order_of_the_rows() -> None:
    rows = np.repeat(np.eye(2, DIM, dtype=np.float32), 5, axis=0)
    ((positions, scores),) = neighbours(contract("cosine"), rows[:1], rows, k=3)
    assert positions.tolist() == [
        0,
        1,
        2,
        3,
        4,
    ]  # all that score as the last: ids decide
    assert scores.tolist() == [1.0] * 5
    ((positions, scores),) = neighbours(contract("cosine"), rows[:1], rows, k=8)
    assert (positions.tolist(), scores.tolist()) == (list(range(10)), [1.0] * 5 + [0.0] * 5)


def test_rows_in_memory_follow_a_dictionary() -> None:
    random = np.random.default_rng(0)
    exact, truth, last = MemoryRows(DIM), {}, 0
    for step in range(60):
        if step % 4 == 3:
            before = len(exact)
            gone = random.choice(last, size=9, replace=False) + 1
            assert set(exact.drop(gone)) == {number for number in gone if number in truth}
            # what has gone is not kept in memory either
            assert not exact._vectors[len(exact) : before].any()
            truth = {number: row for number, row in truth.items() if number not in gone}
        else:
            vectors = random.normal(size=(5, DIM)).astype(np.float32)
            numbers = np.arange(last + 1, last + 6)
            hashes = random.integers(0, 256, size=(5, 32), dtype=np.uint8)
            exact.put(numbers, vectors, hashes)
            truth.update(
                dict(zip(numbers.tolist(), zip(vectors, hashes, strict=True), strict=True))
            )
            last += 5
        assert exact.numbers.tolist() == list(truth)
        assert len(exact) == len(truth)
        np.testing.assert_array_equal(exact.vectors, [vector for vector, _ in truth.values()])
        np.testing.assert_array_equal(exact.hashes, [hashed for _, hashed in truth.values()])


def test_every_plain_distance_has_a_metric() -> None:
    distances = pytest.importorskip("twofold.distances", reason="torch's side of the house")
    assert set(METRICS) == set(distances.__all__)
    assert METRICS["manhattan"] == faiss.METRIC_L1

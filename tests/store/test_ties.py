"""The same answer for the same query: alone or among others, in blocks, by any engine; ties by score, then id."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from twofold.contract import Contract
from twofold.results import Embeddings, Hit
from twofold.store import Index
from twofold.store.exact import METRICS, neighbours

DIM, FINGERPRINT = 16, "1" * 64
ROWS, QUERIES = 120, 24


def crowd(distance: str, rows: int = ROWS, seed: int = 0) -> np.ndarray:
    """Rows of which many are equal, or differ in the last bit of a number, far from the origin."""
    random = np.random.default_rng(seed)
    few = random.normal(size=(max(rows // 12, 2), DIM)) + (0 if distance == "cosine" else 50)
    if distance == "cosine":
        few /= np.linalg.norm(few, axis=1, keepdims=True)
    found = few[random.integers(len(few), size=rows)].astype(np.float32)
    nudged = random.random(rows) < 0.5
    places = random.integers(DIM, size=rows)
    found[nudged, places[nudged]] = np.nextafter(found[nudged, places[nudged]], np.float32(100))
    return found


def embeddings(vectors: np.ndarray, seed: int = 0) -> Embeddings:
    """Ids that are not in the order of writing."""
    names = tuple(
        f"item/{number:04}" for number in np.random.default_rng(seed).permutation(len(vectors))
    )
    return Embeddings(ids=names, labels=names, vectors=vectors, fingerprint=FINGERPRINT)


def by_hand(
    contract: Contract, given: Embeddings, query: np.ndarray, k: int
) -> list[tuple[str, float]]:
    """The definition: each row by itself, sorted by score, then by id."""
    each = [float(contract.each_score(query, row[None])[0]) for row in given.vectors]
    return sorted(zip(given.ids, each, strict=True), key=lambda one: (-one[1], one[0]))[:k]


def named(hits: Sequence[Hit]) -> list[tuple[str, float]]:
    return [(hit.id, hit.score) for hit in hits]


SLOW = [
    pytest.param(name, marks=pytest.mark.slow)
    for name in ("cosine", "manhattan", "squared_euclidean")
]


@pytest.mark.parametrize("distance", ["euclidean", *SLOW])
def test_every_engine_gives_the_one_answer(places: Callable[[str], str], distance: str) -> None:
    contract = Contract(fingerprint=FINGERPRINT, dim=DIM, distance=distance)
    given = embeddings(crowd(distance))
    queries = np.concatenate([given.vectors[: QUERIES // 2], crowd(distance, QUERIES // 2, seed=1)])
    with Index.create(places("one"), contract) as index:
        index.add(given)
        for k, exact in ((1, False), (5, False), (5, True)):
            true = [by_hand(contract, given, query, k) for query in queries]
            assert [named(hits) for hits in index.search(queries, k, exact=exact)] == true
            for number in (0, QUERIES - 1):
                assert (
                    named(index.search(queries[number : number + 1], k, exact=exact)[0])
                    == true[number]
                )
            assert [named(hits) for hits in index.search(queries[:9], k, exact=exact)] == true[:9]
        score = true[0][-1][1]
        together = [*map(named, index.search_range(queries[:10], score))]
        assert [named(index.search_range(queries[n : n + 1], score)[0]) for n in (0, 9)] == [
            together[0],
            together[9],
        ]


@pytest.mark.parametrize("distance", sorted(METRICS))
def test_batches_blocks_and_threads_change_nothing(
    distance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = Contract(fingerprint=FINGERPRINT, dim=DIM, distance=distance)
    rows, queries = crowd(distance, 900), crowd(distance, 30, seed=2)

    def answers(size: int) -> list[tuple[list[int], list[float]]]:
        found = [
            each
            for n in range(0, 30, size)
            for each in neighbours(contract, queries[n : n + size], rows, k=6)
        ]
        return [(places.tolist(), scores.tolist()) for places, scores in found]

    whole = answers(30)
    threads = faiss.omp_get_max_threads()
    for size in (1, 2, 7, 13):
        assert answers(size) == whole
    for keys in (1, 7000):
        monkeypatch.setattr("twofold.store.scan.KEYS", keys)
        assert answers(30) == answers(7) == whole
    faiss.omp_set_num_threads(3)
    assert answers(1) == answers(30) == whole
    faiss.omp_set_num_threads(threads)


@pytest.mark.parametrize("distance", sorted(METRICS))
def test_more_copies_than_float32_tells_apart(distance: str) -> None:
    contract = Contract(fingerprint=FINGERPRINT, dim=DIM, distance=distance)
    rows = np.repeat(crowd(distance, 2)[:1], 3000, axis=0)
    rows[::2, 3] = np.nextafter(rows[::2, 3], np.float32(100))
    true = contract.each_score(rows[0], rows)
    best = np.flatnonzero(true == true.max())
    for queries in (rows[:1], rows[:1].repeat(30, axis=0)):
        for found, scores in neighbours(contract, queries, rows, k=4):
            np.testing.assert_array_equal(found, best)
            assert set(scores.tolist()) == {true.max()}


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_a_large_index_answers_the_same_alone_and_in_a_batch(
    tmp_path: Path, distance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = Contract(fingerprint=FINGERPRINT, dim=DIM, distance=distance)
    given = embeddings(crowd(distance, 2000))
    queries = crowd(distance, 24, seed=3)
    with Index.create(tmp_path / "small", contract) as small:
        small.add(given)
        true = [*map(named, small.search(queries, 5))]
    monkeypatch.setattr("twofold.store.large.EXACT_ROWS", 500)
    with Index.create(tmp_path / "store", contract) as index:
        index.add(given)
        assert [*map(named, index.search(queries, 5, exact=True))] == true
        for exact in (True, False):
            together = [*map(named, index.search(queries, 5, exact=exact))]
            alone = [
                named(index.search(queries[n : n + 1], 5, exact=exact)[0])
                for n in range(len(queries))
            ]
            assert alone == together
        assert index.notes


def test_the_score_of_a_pair_depends_on_the_pair_alone() -> None:
    random = np.random.default_rng(0)
    for distance in METRICS:
        for dim in (1, 3, 16, 129, 513):
            contract = Contract(fingerprint=FINGERPRINT, dim=dim, distance=distance)
            rows = (random.normal(size=(300, dim)) + 10).astype(np.float32)
            whole = contract.each_score(rows[0], rows)
            few: list[Any] = [
                contract.each_score(rows[0], rows[n : n + 1])[0] for n in range(0, 300, 37)
            ]
            assert few == whole[::37].tolist()
            assert (
                whole[150:].tolist()
                == contract.each_score(rows[0], np.asfortranarray(rows[150:])).tolist()
            )
            np.testing.assert_allclose(
                whole, contract.scores(rows[:1], rows)[0], rtol=1e-9, atol=1e-6
            )
    assert replace(contract, distance="manhattan").each_score(rows[0], rows[:0]).shape == (0,)

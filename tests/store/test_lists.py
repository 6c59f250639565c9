"""The lists of a cache beside what their definitions say, and float16 that is widened."""

import faiss
import numpy as np
import pytest

from twofold.store.cache.lists import (
    COPIES,
    ELSEWHERE,
    FEWEST,
    Trained,
    codes_of,
    level,
    lists_of,
    reached,
    train,
)
from twofold.store.scan import widened

DIM = 16


def clustered(rows: int, seed: int = 0, dim: int = DIM) -> np.ndarray:
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(max(rows // 20, 1), dim))
    vectors = centres[generator.integers(len(centres), size=rows)] + 0.4 * generator.normal(
        size=(rows, dim)
    )
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_a_centre_is_never_the_vector_of_one_row() -> None:
    vectors = clustered(2000)
    vectors[7] = -vectors[:7].mean(axis=0)  # far from all
    trained = train(vectors, 200, generator=np.random.default_rng(0))
    assert len(trained.centres) <= 2000 // FEWEST
    distances = np.linalg.norm(trained.centres[:, None, :DIM] - vectors[None], axis=2)
    assert distances.min() > 1e-3


def test_the_lists_of_a_row_are_the_nearest_and_those_with_other_errors() -> None:
    vectors = clustered(300)
    trained = train(vectors, 40, generator=np.random.default_rng(0))
    centres = trained.centres[:, :DIM].astype(np.float64)
    found = lists_of(trained, vectors)
    for row, own in zip(vectors.astype(np.float64), found, strict=True):
        errors = row - centres
        cost, taken = np.square(errors).sum(axis=1), []
        for copy in own:
            assert cost[copy] < np.delete(cost, taken).min() + 1e-5
            taken.append(int(copy))
            cost += ELSEWHERE * (errors @ errors[copy] / np.linalg.norm(errors[copy])) ** 2
    assert all(len(set(own)) == COPIES for own in found.tolist())


def test_fewer_lists_than_a_row_has_copies() -> None:
    vectors = clustered(30)
    trained = train(vectors, 2, generator=np.random.default_rng(0))
    assert set(lists_of(trained, vectors).ravel().tolist()) <= {0, 1}
    at_centre = Trained(trained.centres[[0, 0]], trained.books, DIM)
    assert np.isfinite(lists_of(at_centre, trained.centres[:1, :DIM])).all()


@pytest.mark.parametrize("dim", [7, 128])
def test_codes_are_those_of_the_nearest_entries(dim: int) -> None:
    vectors = clustered(200, dim=dim)
    trained = train(vectors, 4, generator=np.random.default_rng(0))
    lists = lists_of(trained, vectors)
    codes = codes_of(trained, vectors, lists)
    wide = np.zeros((200, trained.centres.shape[1]), np.float32)
    wide[:, :dim], wide[:, dim] = vectors, np.square(vectors).sum(axis=1) / -2
    coder = faiss.ProductQuantizer(wide.shape[1], len(trained.books), 4)
    faiss.copy_array_to_vector(trained.books.ravel(), coder.centroids)
    for copy in range(COPIES):
        errors = wide - trained.centres[lists[:, copy]]
        pair = np.ascontiguousarray(codes[:, copy]), coder.compute_codes(errors)
        ours, theirs = (coder.decode(each) for each in pair)  # pyright: ignore[reportCallIssue]
        np.testing.assert_allclose(  # where two entries are equally near, either may be taken
            np.square(errors - ours).sum(axis=1), np.square(errors - theirs).sum(axis=1), atol=1e-5
        )


def test_the_lists_that_a_query_reaches() -> None:
    keys = np.array([[5.0, 1.0, 4.0, 3.0], [0.0, 0.0, 0.0, 9.0]], np.float32)
    np.testing.assert_allclose(level(keys), [4.0, 3.0])
    np.testing.assert_allclose(level(keys[:, :1]), [5.0, 0.0])
    assert [[place for place in own if place >= 0] for own in reached(keys, 1.0).tolist()] == [
        [0, 2, 3],
        [3],
    ]
    assert [[place for place in own if place >= 0] for own in reached(keys, -50.0).tolist()] == [
        [0],
        [3],
    ]


def test_float16_is_widened_bit_for_bit() -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)].reshape(-1, 2)
    assert np.array_equal(widened(finite).view(np.int32), finite.astype(np.float32).view(np.int32))

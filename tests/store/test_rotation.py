"""A secret rotation keeps what it must, is the same everywhere, and another secret gives another one."""

from hashlib import sha256

import numpy as np
import pytest

from twofold.contract import scores_block
from twofold.store.protection.rotation import ROTATABLE, Rotation, orthogonal

SECRET = bytes(range(32))


@pytest.mark.parametrize("dim", [2, 16, 512])
def test_it_is_orthogonal(dim: int) -> None:
    matrix = orthogonal(SECRET, dim)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(dim), atol=1e-12)


@pytest.mark.parametrize("distance", sorted(ROTATABLE))
def test_scores_stay_up_to_rounding(distance: str) -> None:
    random = np.random.default_rng(0)
    a, b = (random.normal(size=(n, 128)).astype(np.float32) for n in (40, 60))
    if distance == "cosine":
        a, b = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (a, b))
    turn = Rotation(SECRET, 128).turn
    before, after = scores_block(distance, a, b), scores_block(distance, turn(a), turn(b))
    np.testing.assert_allclose(after, before, rtol=2e-6, atol=2e-7)


def test_it_can_be_undone_with_the_secret() -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 64)).astype(np.float32)
    rotation = Rotation(SECRET, 64)
    turned = rotation.turn(vectors)
    assert np.abs(turned - vectors).mean() > 0.5
    np.testing.assert_allclose(rotation.back(turned), vectors, atol=2e-6)


def test_another_secret_gives_templates_that_match_nothing() -> None:
    vectors = np.random.default_rng(0).normal(size=(200, 256))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    one, other = Rotation(SECRET, 256).turn(vectors), Rotation(bytes(32), 256).turn(vectors)
    similar = np.einsum("nd,nd->n", one, other)
    assert np.abs(similar).max() < 0.35  # as strangers': standard deviation 1 / 16
    assert abs(similar.std() - 1 / 16) < 0.015


def test_it_is_the_same_for_ever() -> None:
    # a rotation that changed with a version would make every rotated index unreadable
    rounded = np.round(orthogonal(SECRET, 8), 9) + 0.0
    assert (
        sha256(rounded.tobytes()).hexdigest()
        == "0eaafbc597684b587eda8d48c8c2245ac3c04273250fe977c2361b705498c659"
    )


def test_as_many_pairs_as_numbers_recover_it() -> None:
    # why it is claimed as renewability and no more
    vectors = np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32)
    rotation = Rotation(SECRET, 32)
    recovered = np.linalg.solve(
        vectors.astype(np.float64), rotation.turn(vectors).astype(np.float64)
    )
    np.testing.assert_allclose(recovered.T, rotation.matrix, atol=1e-4)

"""Synthetic embeddings: no model is needed to test what keeps vectors."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from twofold.contract import Contract
from twofold.results import Embeddings

DIM = 16
FINGERPRINT = "1" * 64

Make = Callable[..., Embeddings]


@pytest.fixture
def contract() -> Contract:
    return Contract(fingerprint=FINGERPRINT, dim=DIM, distance="cosine")


@pytest.fixture
def make() -> Make:
    """`make(ids, labels=None, seed=0)`: random unit vectors with these ids."""

    def embeddings(ids: Sequence[str], labels: Sequence[str] | None = None, seed: int = 0) -> Embeddings:
        vectors = np.random.default_rng(seed).normal(size=(len(ids), DIM))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return Embeddings(
            ids=tuple(ids),
            labels=tuple(labels or [name.split("/")[0] for name in ids]),
            vectors=vectors.astype(np.float32),
            fingerprint=FINGERPRINT,
        )

    return embeddings

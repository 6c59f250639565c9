"""What all tests of losses share."""

import numpy as np
import pytest
import torch
from jaxtyping import config


@pytest.fixture
def unchecked():
    """Without the shape checks that only tests have: what a user's mistake really meets."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.fixture
def batch():
    """Seeded float64 vectors: batch(n, dim=4, seed=0)."""

    def made(n: int, dim: int = 4, seed: int = 0) -> torch.Tensor:
        return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, dim)))

    return made

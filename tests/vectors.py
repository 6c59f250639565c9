"""A modality for tests: vectors that are their own embeddings, so that every score is known."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from twofold.bundle import Bundle
from twofold.config import Recipe
from twofold.errors import RecipeError
from twofold.provenance import Provenance
from twofold.twin import Twin


@dataclass(frozen=True)
class Vector:
    """An input that is its own embedding."""

    name: ClassVar[str] = "Vector"
    version: ClassVar[int] = 1
    dim: int = 32

    def read(self, value):
        return np.load(value) if isinstance(value, Path) else value

    def stack(self, arrays):
        return torch.from_numpy(np.stack(arrays))

    def normalise(self, batch):
        return batch

    def example(self):
        return np.zeros(self.dim, dtype=np.float32)

    def facts(self):
        return {}

    def arguments(self):
        return {"dim": self.dim}

    def augmentation(self, **settings):
        raise RecipeError(f"vectors have no augmentation, but {settings} was asked for")


def bundle(**parts):
    return Bundle(
        twin=Twin(Vector(), nn.Identity(), "cosine"),
        recipe=Recipe(),
        provenance=Provenance.of_format_1(parts, ()),
    )


def renamed(items):
    """The same things of other people: names that nobody has met."""
    names, identities = (
        tuple(f"other {name}" for name in each) for each in (items.names, items.identities)
    )
    return replace(items, names=names, identities=identities)


def clustered(rows: int, seed: int = 0, dim: int = 16) -> np.ndarray:
    """Unit vectors, twenty about a centre."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(max(rows // 20, 1), dim))
    vectors = centres[generator.integers(len(centres), size=rows)] + 0.4 * generator.normal(
        size=(rows, dim)
    )
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

"""Made-up data: the same for the same seed, and learnable: the nearest neighbour is mostly of the same class."""

import numpy as np
import pytest

from twofold.data.items import Items
from twofold.data.synthetic import clusters, glyphs
from twofold.errors import UsageError


def recall_at_1(items: Items) -> float:
    flat = np.stack([np.asarray(value, dtype=np.float64).ravel() for value in items.values])
    distances = ((flat[:, None] - flat[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    return float((items.labels[distances.argmin(axis=1)] == items.labels).mean())


def test_glyphs_are_pictures_of_classes() -> None:
    items = glyphs(10, 6, size=20, seed=1)
    assert len(items) == 60 and len(items.names) == 10 and items.names[2] == "glyph 2"
    assert items.values[0].shape == (20, 20, 1) and items.values[0].dtype == np.uint8
    assert (
        min(value.min() for value in items.values) < 60
        and max(value.max() for value in items.values) == 255
    )
    assert recall_at_1(items) > 0.5
    assert items.content_hashes() == glyphs(10, 6, size=20, seed=1).content_hashes()
    assert set(items.content_hashes()).isdisjoint(glyphs(10, 6, size=20, seed=2).content_hashes())


def test_clusters_are_unit_vectors_whose_spread_is_known() -> None:
    items = clusters(200, 4, dim=64, spread=0.5, seed=0)
    vectors = np.stack(items.values)
    assert vectors.dtype == np.float32 and np.allclose(
        np.linalg.norm(vectors, axis=1), 1, atol=1e-6
    )
    cosine = vectors @ vectors.T
    same = items.labels[:, None] == items.labels[None]
    genuine = cosine[same & ~np.eye(len(items), dtype=bool)].mean()
    # |centre|^2 / (|centre|^2 + spread^2) = 1 / 1.25
    assert abs(genuine - 0.8) < 0.02 and abs(cosine[~same].mean()) < 0.01
    vectors = np.stack(clusters(200, 4, dim=64, spread=0.0, kin=0.3).values)
    assert abs((vectors @ vectors.T)[~same].mean() - 0.3) < 0.03


@pytest.mark.parametrize(
    "draw", [lambda: glyphs(0, 3), lambda: glyphs(3, 3, size=4), lambda: clusters(3, 3, kin=1.0)]
)
def test_nothing_to_draw_is_an_error(draw) -> None:
    with pytest.raises(UsageError, match="="):
        draw()

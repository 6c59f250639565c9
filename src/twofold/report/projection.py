"""Maps of vectors in the plane: distances on them are a hint, never a measurement."""

from importlib.util import find_spec

import numpy as np
from jaxtyping import Float

__all__ = ["pca", "projection"]


def projection(
    vectors: Float[np.ndarray, "n dim"], *, seed: int = 0
) -> tuple[Float[np.ndarray, "n 2"], str]:
    """Two coordinates for each vector and how they were found: t-SNE where scikit-learn is there, else PCA."""
    flat, share = pca(vectors)
    if find_spec("sklearn") is None or len(vectors) < 30:
        return flat, f"PCA: the two directions shown hold {share:.0%} of the variance"
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(vectors) - 1) / 3.0)
    # started from the PCA, so that what is far apart there tends to stay so; one seed, one map
    start = flat / max(float(flat[:, 0].std()), 1e-12) * 1e-4
    tsne = TSNE(perplexity=perplexity, init=start, random_state=seed, n_jobs=1)  # pyright: ignore[reportArgumentType]
    return np.asarray(
        tsne.fit_transform(vectors.astype(np.float64)), np.float64
    ), f"t-SNE, perplexity {perplexity:g}"


def pca(vectors: Float[np.ndarray, "n dim"]) -> tuple[Float[np.ndarray, "n 2"], float]:
    """The two directions of largest variance, and the share of the variance that they hold."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    values, axes = np.linalg.eigh(centred.T @ centred)
    flat = np.zeros((len(vectors), 2))
    best = axes[:, ::-1][:, :2]
    # the sign of an eigenvector is free: the largest entry is made positive
    best = best * np.sign(best[np.abs(best).argmax(axis=0), np.arange(best.shape[1])])
    flat[:, : best.shape[1]] = centred @ best
    total = float(values.sum())
    return flat, float(values[::-1][:2].sum()) / total if total > 0 else 1.0

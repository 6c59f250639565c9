"""A secret rotation of vectors: renewability, and no more.

Templates that have leaked from an index match nothing in it after `rekey --rotate`, nor in another
index of the same model. But they are not irreversible: as many pairs of rotated and plain vectors
as the vectors have numbers reveal the rotation, and the secret undoes it. Lengths, angles and
distances within one index do not change, so who resembles whom can be seen without the secret.
"""

from hashlib import shake_256

import numpy as np
from jaxtyping import Float

__all__ = ["ROTATABLE", "Rotation"]

ROTATABLE = frozenset({"cosine", "euclidean", "squared_euclidean"})
"""Distances that a rotation does not change."""


class Rotation:
    """`v -> Q v` with Q orthogonal, uniform over all such maps, the same for the same secret on every machine.

    Args:
        secret: random bytes. dim: length of the vectors.
    """

    def __init__(self, secret: bytes, dim: int) -> None:
        self.matrix = orthogonal(secret, dim)

    def turn(self, vectors: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n dim"]:
        """Rotated vectors, float32; computed in float64, so distances keep to float32's own rounding."""
        return np.ascontiguousarray(vectors.astype(np.float64) @ self.matrix.T, dtype=np.float32)

    def back(self, vectors: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n dim"]:
        """The vectors before `turn`, up to float32's rounding."""
        return np.ascontiguousarray(vectors.astype(np.float64) @ self.matrix, dtype=np.float32)


def orthogonal(secret: bytes, dim: int) -> Float[np.ndarray, "dim dim"]:
    """Q of the QR decomposition of a Gaussian matrix, signs fixed: uniform over orthogonal maps (Mezzadri 2007).

    The numbers come from SHAKE-256 and not from a NumPy generator, whose streams may change with
    its version.
    """
    drawn = np.frombuffer(shake_256(b"twofold rotation 1" + secret).digest(16 * dim * dim), "<u8")
    uniform = (drawn >> np.uint64(11)).astype(np.float64).reshape(2, dim, dim) * 2.0**-53
    # Box and Muller
    gaussian = np.sqrt(-2 * np.log1p(-uniform[0])) * np.cos(2 * np.pi * uniform[1])
    q, r = np.linalg.qr(gaussian)
    return q * np.where(np.diag(r) < 0, -1.0, 1.0)

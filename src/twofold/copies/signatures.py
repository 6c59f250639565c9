"""Vectors that are alike for copies: of whole pictures, of parts of them, and of turned ones."""

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from twofold.copies.alignment import SIDE, TURNS, pooled, turned
from twofold.copies.hashing import SIDE as HASHED

__all__ = ["cut_signatures", "signatures", "turned_signatures", "views"]

KEPT = (0.9, 0.8)
"""Shares of the sides that the cut-outs of `views` keep."""


CUT = (0.9, 0.8, 0.7, 0.6, 0.5)
"""Shares of the sides that many cut-outs keep."""


STARTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Where these begin, as shares of what is cut away."""


WAVES = 10
"""Cosine waves per direction: 99 numbers in a signature."""


FLAT = 50.0
"""Length of a signature, before it is normalised, below which the picture is a single grey."""


MIDDLE = 0.7
"""Share of the sides that stays inside a picture turned by up to 16 degrees, except for its
corners."""


@cache
def _waves() -> Float[np.ndarray, "waves pixels"]:
    place = (np.arange(HASHED) + 0.5) / HASHED
    return np.cos(np.pi * np.arange(WAVES)[:, None] * place).astype(np.float32)


def signatures(planes: UInt8[np.ndarray, "n side side"]) -> Float[np.ndarray, "n dim"]:
    """One unit vector per picture, alike for copies: its 10 x 10 lowest cosine coefficients without the constant.

    A picture of one grey gets zeros.

    Each is weighted by its frequency, since natural pictures have spectra that fall like 1 / f:
    then all count the same, and unrelated pictures are nearly orthogonal. It is the perceptual
    hash before its bits are taken.
    """
    grey = pooled(planes, HASHED)
    return _weighted(_waves() @ grey @ _waves().T)


def _weighted(found: Float[np.ndarray, "n waves waves"]) -> Float[np.ndarray, "n dim"]:
    found = found.reshape(len(found), WAVES**2)
    row, column = np.divmod(np.arange(WAVES**2), WAVES)
    weighted = (found * np.hypot(row, column).astype(np.float32))[:, 1:]
    length = np.linalg.norm(weighted, axis=1, keepdims=True)
    return np.where(length > FLAT, weighted / np.maximum(length, FLAT), 0).astype(np.float32)


def cut_signatures(
    planes: UInt8[np.ndarray, "n 64 64"], shares: Sequence[float] = CUT
) -> Iterator[Float[np.ndarray, "n dim"]]:
    """Signatures of many cut-outs of each picture, none of which is drawn.

    Args:
        shares: of the sides that they keep; by default down to a quarter of the area.
    """
    for kept in shares:
        waves = [_waves() @ _halved() @ _cut(start * (1 - kept), kept) for start in STARTS]
        rows = [each @ planes.astype(np.float32) for each in waves]
        for across in rows:
            for column in waves:
                yield _weighted(across @ column.T)


def turned_signatures(
    planes: UInt8[np.ndarray, "n 64 64"],
) -> tuple[Float[np.ndarray, "n dim"], Iterator[Float[np.ndarray, "n dim"]]]:
    """Signatures of the middle of each picture, as it is and after some small turns."""
    waves = _waves() @ _halved() @ _cut((1 - MIDDLE) / 2, MIDDLE)

    def middle(planes: Shaped[np.ndarray, "n 64 64"]) -> Float[np.ndarray, "n dim"]:
        return _weighted(waves @ planes.astype(np.float32) @ waves.T)

    return middle(planes), (middle(turned(planes, degrees)) for degrees in TURNS if degrees % 90)


@cache
def _halved() -> Float[np.ndarray, "32 64"]:
    return np.kron(np.eye(HASHED), np.full((1, SIDE // HASHED), HASHED / SIDE)).astype(np.float32)


def views(planes: UInt8[np.ndarray, "n 64 64"]) -> Iterator[UInt8[np.ndarray, "n 64 64"]]:
    """Each picture as a copy may show it: turned by a quarter, a half or three quarters, or cut to a part."""
    for quarters in (1, 2, 3):
        yield np.rot90(planes, quarters, axes=(1, 2))
    for kept in KEPT:
        for top, left in ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5)):
            rows, columns = (_cut(start * (1 - kept), kept) for start in (top, left))
            yield np.rint(rows @ planes.astype(np.float32) @ columns.T).astype(np.uint8)


@cache
def _cut(start: float, kept: float) -> Float[np.ndarray, "64 64"]:
    """A matrix that cuts a part out of 64 pixels and resizes it to 64."""
    edges = SIDE * (start + kept * np.linspace(0, 1, SIDE + 1))
    place = np.arange(SIDE)
    shared = np.minimum(edges[1:, None], place + 1) - np.maximum(edges[:-1, None], place)
    return np.clip(shared, 0, None).astype(np.float32) / np.float32(kept)

"""Small made-up data of known truth, for tests, demos and pages: nothing is read from anywhere."""

import numpy as np
from jaxtyping import Float, UInt8

from twofold.data.items import Items
from twofold.errors import UsageError

__all__ = ["clusters", "glyphs"]


def glyphs(
    classes: int,
    each: int,
    *,
    size: int = 28,
    strokes: int = 3,
    jitter: float = 0.04,
    seed: int = 0,
) -> Items:
    """Pictures of invented characters: a class is a few curved strokes, its items are drawings by unsteady hands.

    A stroke is a quadratic Bezier curve with three random control points in the unit square. A
    drawing moves every control point by normal noise of standard deviation `jitter` and the whole
    by a shift of up to a twentieth.

    Args:
        classes, each: number of characters, and of drawings of each.
        size: pixels a side.
        strokes: strokes a character.
        jitter: unsteadiness, as a share of the side.
        seed: another seed, other characters.

    Returns:
        items whose values are (size, size, 1) uint8 arrays, dark strokes (0) on white (255),
        labelled "glyph 0", ...

    Raises:
        UsageError: a number below 1, or a size below 8.
    """
    if min(classes, each, strokes) < 1 or size < 8 or jitter < 0:
        raise UsageError(
            f"classes={classes}, each={each}, strokes={strokes}, size={size}, jitter={jitter} "
            f"draw nothing"
        )
    rng = np.random.default_rng(seed)
    points = rng.uniform(0.12, 0.88, (classes, 1, strokes, 3, 2))
    moved = points + rng.normal(0, jitter, (classes, each, strokes, 3, 2))
    moved = moved + rng.uniform(-0.05, 0.05, (classes, each, 1, 1, 2))
    drawn = [_drawn(drawing, size) for drawing in moved.reshape(-1, strokes, 3, 2)]
    return Items.from_arrays(
        drawn, [f"glyph {number}" for number in np.repeat(np.arange(classes), each)]
    )


def _drawn(points: Float[np.ndarray, "strokes 3 2"], size: int) -> UInt8[np.ndarray, "size size 1"]:
    """Bezier curves as ink: white minus a soft pen of about a pixel and a half around the curve's points."""
    t = np.linspace(0, 1, 2 * size)[:, None, None]
    curve = (1 - t) ** 2 * points[:, 0] + 2 * t * (1 - t) * points[:, 1] + t**2 * points[:, 2]
    dots = curve.reshape(-1, 2) * (size - 1)
    axis = np.arange(size)
    # the pen is a product of two bells, so the sum over dots is one product of two thin matrices
    bells = np.exp(-((axis[:, None, None] - dots[None]) ** 2) / 0.8)
    ink = np.clip(bells[..., 1] @ bells[..., 0].T, 0, 1)
    return np.rint(255 * (1 - ink)).astype(np.uint8)[..., None]


def clusters(
    identities: int,
    each: int,
    *,
    dim: int = 32,
    spread: float = 0.5,
    uneven: float = 0.0,
    kin: float = 0.0,
    seed: int = 0,
) -> Items:
    """Unit vectors as an encoder might give them, of which the truth is known: for trying calibration.

    Vector = centre of its identity + spread x noise, scaled to length 1; noise has expected length
    1. An identity's own spread is spread x exp(uneven x normal): some people are hard, so pairs
    that share a person are not independent.

    Args:
        identities, each: number of identities, and of vectors of each.
        dim: length of a vector.
        spread: noise beside a centre of length 1.
        uneven: how much the spread differs between identities (0: not at all).
        kin: share of a direction that all centres have in common, 0 to below 1: the larger, the
            more alike impostors.
        seed: another seed, other vectors.

    Returns:
        items whose values are (dim,) float32 arrays of length 1, labelled "identity 0", ...

    Raises:
        UsageError: a number below 1, a negative spread, or kin outside [0, 1).
    """
    if min(identities, each, dim) < 1 or min(spread, uneven) < 0 or not 0 <= kin < 1:
        raise UsageError(
            f"identities={identities}, each={each}, dim={dim}, spread={spread}, uneven={uneven}, "
            f"kin={kin}"
        )
    rng = np.random.default_rng(seed)
    common = _unit(rng.normal(size=(1, dim)))
    centres = _unit(
        np.sqrt(1 - kin) * _unit(rng.normal(size=(identities, dim))) + np.sqrt(kin) * common
    )
    own = spread * np.exp(uneven * rng.normal(size=(identities, 1, 1)))
    noise = rng.normal(size=(identities, each, dim)) / np.sqrt(dim)
    vectors = _unit((centres[:, None] + own * noise).reshape(-1, dim)).astype(np.float32)
    return Items.from_arrays(
        vectors, [f"identity {number}" for number in np.repeat(np.arange(identities), each)]
    )


def _unit(vectors: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n dim"]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

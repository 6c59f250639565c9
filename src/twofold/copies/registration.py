"""One picture laid over another to a fraction of a pixel, by what most of its squares say."""

from dataclasses import dataclass

import numpy as np
import PIL.Image
from jaxtyping import Bool, Float

__all__ = ["Laid", "as_given", "inside_of", "lay_over", "same_resolution", "shrunk", "warped"]

Matrix = np.ndarray
"""2 x 3: from pixels (x, y, 1) of one picture to those of another; the middle of the first pixel is (0.5, 0.5)."""

LEVELS = (40, 80, 160)
"""Longer sides, in pixels, at which the matrix is found; the last is followed by the full size."""

ROUNDS = (12, 8, 6, 6)
SQUARE = 8
EVEN = 6.0
"""Grey values of local contrast below which nothing is told by a square: the noise of a poor JPEG."""

EDGE = 2
"""Pixels along the sides that say nothing."""

STILL = 0.04
"""Pixels: a step that moves no corner further is the last of its level."""

STRANGERS = 0.02
"""Share of the detail that must agree after a level: pictures of strangers have less than a hundredth."""

DISAGREE = 1.2
"""Share of its own energy that a square may differ by and still pull: 0 for equal ones, 1 and more for strangers."""


@dataclass(frozen=True, kw_only=True)
class Laid:
    """Two pictures in one frame.

    Attributes:
        one: colours of the first, at the lower resolution of the two. other: of the second, where it falls.
        inside: where both are. matrix: from pixels of `one` to those of the second picture as it was given.
    """

    one: Float[np.ndarray, "height width channels"]
    other: Float[np.ndarray, "height width channels"]
    inside: Bool[np.ndarray, "height width"]
    matrix: Matrix


def lay_over(one: np.ndarray, other: np.ndarray, matrix: Matrix) -> Laid | None:
    """The second picture in the frame of the first, starting from a rough matrix; None where nearly nothing agrees.

    Args:
        one, other: (height, width, channels) float32; the first channel is light.
        matrix: from pixels of the first to pixels of the second, right to a twentieth of the side.
    """
    one, other, matrix = same_resolution(one, other, matrix)
    longest = max(one.shape[:2])
    sides = [side for side in LEVELS if side < 0.8 * longest]
    for side, rounds in zip([*sides, longest], ROUNDS[-len(sides) - 1 :], strict=True):
        share = side / longest
        small = [_contrast(_resized(each[:, :, 0], share)) for each in (one, other)]
        scale = np.array([small[0].shape[1] / one.shape[1], small[0].shape[0] / one.shape[0]])
        onto = np.array([small[1].shape[1] / other.shape[1], small[1].shape[0] / other.shape[0]])
        here = _rescaled(matrix, scale, onto)
        agreeing = 0.0
        for _ in range(rounds):
            here, moved, agreeing = _stepped(small[0], small[1], here)
            if moved < STILL:
                break
        if agreeing < STRANGERS:
            return None
        matrix = _rescaled(here, 1 / scale, 1 / onto)
    return _laid(one, other, matrix)


def as_given(one: np.ndarray, other: np.ndarray, matrix: Matrix) -> Laid:
    """The second picture in the frame of the first, where the matrix says."""
    return _laid(*same_resolution(one, other, matrix))


def _laid(one: np.ndarray, other: np.ndarray, matrix: Matrix) -> Laid:
    laid = np.stack([warped(other[:, :, c], matrix, one.shape[:2]) for c in range(other.shape[2])], axis=2)
    inside = inside_of(matrix, one.shape[:2], other.shape[:2])
    for edge in (inside, inside.T):  # what lies beside the picture in the other one begins within a pixel or two
        edge[:EDGE] = edge[-EDGE:] = False
    return Laid(one=one, other=laid, inside=inside, matrix=matrix)


def warped(image: Float[np.ndarray, "h w"], matrix: Matrix, shape: tuple[int, int]) -> np.ndarray:
    """A picture in another frame, linearly between its pixels."""
    drawn = PIL.Image.fromarray(np.ascontiguousarray(image, np.float32))
    size, data = (shape[1], shape[0]), tuple(matrix.ravel().tolist())
    return np.asarray(drawn.transform(size, PIL.Image.Transform.AFFINE, data, PIL.Image.Resampling.BILINEAR))


def same_resolution(one: np.ndarray, other: np.ndarray, matrix: Matrix) -> tuple[np.ndarray, np.ndarray, Matrix]:
    """The finer of the two made as coarse as the other."""
    finer = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))  # pixels of the second to one of the first
    if finer > 1.05:
        small = shrunk(other, 1 / finer)
        return one, small, _rescaled(matrix, np.ones(2), np.array(small.shape[1::-1]) / other.shape[1::-1])
    if finer < 0.95:
        small = shrunk(one, finer)
        return small, other, _rescaled(matrix, np.array(small.shape[1::-1]) / one.shape[1::-1], np.ones(2))
    return one, other, matrix


def shrunk(image: np.ndarray, share: float) -> np.ndarray:
    return np.stack([_resized(image[:, :, c], share) for c in range(image.shape[2])], axis=2)


def _resized(image: Float[np.ndarray, "h w"], share: float) -> Float[np.ndarray, "small narrow"]:
    size = (max(round(image.shape[1] * share), 8), max(round(image.shape[0] * share), 8))
    if size == image.shape[::-1]:
        return image
    drawn = PIL.Image.fromarray(np.ascontiguousarray(image, np.float32))
    return np.asarray(drawn.resize(size, PIL.Image.Resampling.BILINEAR))


def _rescaled(matrix: Matrix, scale: np.ndarray, onto: np.ndarray) -> Matrix:
    """The matrix between the same pictures at other sizes."""
    moved = matrix.copy()
    moved[:, :2] = onto[:, None] * matrix[:, :2] / scale[None, :]
    moved[:, 2] = onto * matrix[:, 2]
    return moved


def _contrast(image: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Detail relative to how much there is around it: light and contrast set aside."""
    size = image.shape[::-1]
    coarse = (max(size[0] // 8, 2), max(size[1] // 8, 2))

    def around(values: np.ndarray) -> np.ndarray:
        drawn = PIL.Image.fromarray(np.ascontiguousarray(values, np.float32))
        small = drawn.resize(coarse, PIL.Image.Resampling.BOX)
        return np.asarray(small.resize(size, PIL.Image.Resampling.BILINEAR))

    detail = image - around(image)
    return detail / (np.sqrt(np.maximum(around(detail * detail), 0)) + EVEN)


def inside_of(matrix: Matrix, shape: tuple[int, int], other: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    x, y = np.arange(shape[1]) + 0.5, np.arange(shape[0])[:, None] + 0.5
    right, down = (row[0] * x + row[1] * y + row[2] for row in matrix)
    return (right > 0.5) & (right < other[1] - 0.5) & (down > 0.5) & (down < other[0] - 0.5)


def _stepped(one: np.ndarray, other: np.ndarray, matrix: Matrix) -> tuple[Matrix, float, float]:
    """A step of Gauss and Newton over all squares, those that disagree left out by degrees (Lucas and Kanade 1981).

    Returns:
        the better matrix, by how many pixels it moves a corner, and the share of the detail that agreed before.
    """
    laid = warped(other, matrix, one.shape)
    inside = inside_of(matrix, one.shape, other.shape)
    differ = np.where(inside, laid - one, 0)
    middle = (laid + one) / 2
    right, down = np.zeros_like(one), np.zeros_like(one)
    right[:, 1:-1] = (middle[:, 2:] - middle[:, :-2]) / 2
    down[1:-1] = (middle[2:] - middle[:-2]) / 2
    right, down = right * inside, down * inside
    products = (right * right, right * down, down * down, right * differ, down * differ)
    rr, rd, dd, rx, dx = (_squares(each) for each in products)
    energy = _squares(np.where(inside, one * one + laid * laid, 0)) + 1e-3
    weight = np.clip(1 - _squares(differ * differ) / energy / DISAGREE, 0, 1) ** 2
    agreeing = float((weight * energy).sum() / energy.sum())
    rows, columns = weight.shape
    y, x = np.meshgrid((np.arange(rows) + 0.5) / rows - 0.5, (np.arange(columns) + 0.5) / columns - 0.5, indexing="ij")
    place = np.stack([np.ones_like(x), x, y], axis=-1)
    cross = np.einsum("ijp,ijq->ijpq", place, place)
    normal = np.block([[np.einsum("ij,ijpq->pq", weight * a, cross) for a in row] for row in ((rr, rd), (rd, dd))])
    pull = np.concatenate([np.einsum("ij,ijp->p", weight * each, place) for each in (rx, dx)])
    normal += np.diag(np.full(6, 1e-3 * np.trace(normal) / 6 + 1e-6))
    moved = -np.linalg.solve(normal, pull).reshape(2, 3)
    moved *= min(1.0, 3.0 / max(float(np.abs(moved).max()), 1e-9))  # three pixels at once, at most
    # from squares about the middle to pixels
    width, height = columns * SQUARE, rows * SQUARE
    step = np.stack(
        [moved[:, 1] / width, moved[:, 2] / height, moved[:, 0] - moved[:, 1] / 2 - moved[:, 2] / 2], axis=1
    )
    turn = np.eye(3)
    turn[:2] += step
    return matrix @ turn, float(np.abs(moved).sum(axis=1).max()), agreeing


def _squares(values: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "rows columns"]:
    """Sums over squares of eight pixels; what is left over at the far ends counts for nothing."""
    rows, columns = values.shape[0] // SQUARE, values.shape[1] // SQUARE
    cut = values[: rows * SQUARE, : columns * SQUARE]
    return cut.reshape(rows, SQUARE, columns, SQUARE).sum(axis=(1, 3))

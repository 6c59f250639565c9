"""One picture laid over another to a fraction of a pixel, by the majority of its squares."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import PIL.Image
from jaxtyping import Bool, Float

__all__ = [
    "LENIENT",
    "STERN",
    "USUAL",
    "Apart",
    "Demand",
    "Laid",
    "as_given",
    "inside_of",
    "lay_over",
    "rescaled",
    "same_resolution",
    "shrunk",
    "warped",
]

Matrix = np.ndarray
"""2 x 3: from pixels (x, y, 1) of one picture to those of another; the middle of the first pixel is
(0.5, 0.5)."""

LEVELS = (40, 80, 160)
"""Longer sides, in pixels, at which the matrix is found; the last is followed by the full size."""

ROUNDS = (12, 8, 6, 6)
"""Steps of Gauss and Newton per level, at most; most levels end earlier (`STILL`)."""

SQUARE = 8
"""Pixels per side of the squares that vote on the matrix."""

EVEN = 6.0
"""Local contrast, in grey values, below which a square tells nothing: the noise of a poor JPEG."""

EDGE = 2
"""Pixels along the sides that do not count."""

STILL, TRIED = 0.04, 3
"""A step that moves no corner by more pixels ends its level; so does step number TRIED if not even
half of what must agree does."""

STRANGERS = 0.02
"""Share of the detail that must agree after each level: a border may hide what agrees at the
coarsest one."""

UNLIKE = 0.4
"""Share of the detail that must agree at one of the levels: copies under letters have .45 and more,
blurred ones .5; pictures of strangers .35, if both are smooth."""

DISAGREE = 1.2
"""Difference, as a share of its energy, up to which a square counts: 0 for equal ones, 1 or more
for strangers."""


@dataclass(frozen=True, kw_only=True)
class Demand:
    """Share of the detail that must agree at the coarsest level; and at one of the levels."""

    first: float
    best: float


LENIENT = Demand(first=STRANGERS, best=STRANGERS)
USUAL = Demand(first=STRANGERS, best=UNLIKE)
STERN = Demand(first=UNLIKE, best=UNLIKE)


@dataclass(frozen=True, kw_only=True)
class Laid:
    """Two pictures in one frame.

    Attributes:
        one: colours of the first, at the lower resolution of the two. other: of the second, where
            it falls.
        inside: where both are. matrix: from pixels of `one` to those of the second picture as it
            was given.
        agreement: the largest share of the detail that agreed at one of the levels.
    """

    one: Float[np.ndarray, "height width channels"]
    other: Float[np.ndarray, "height width channels"]
    inside: Bool[np.ndarray, "height width"]
    matrix: Matrix
    agreement: float


@dataclass(frozen=True, kw_only=True)
class Apart:
    """Raised if two pictures cannot be laid over each other, with the largest share of the detail that agreed."""

    agreement: float


def lay_over(
    one: np.ndarray, other: np.ndarray, matrix: Matrix, *, demand: Demand = LENIENT
) -> Laid | Apart:
    """The second picture in the frame of the first, starting from a rough matrix.

    Args:
        one, other: (height, width, channels) float32; the first channel is light.
        matrix: from pixels of the first to pixels of the second, right to a twentieth of the side.
    """
    one, other, matrix = same_resolution(one, other, matrix)
    longest = max(one.shape[:2])
    sides = [side for side in LEVELS if side < 0.8 * longest]
    agreement, least = 0.0, demand.first
    for side, rounds in zip([*sides, longest], ROUNDS[-len(sides) - 1 :], strict=True):
        share = side / longest
        small = [_contrast(_resized(each[:, :, 0], share)) for each in (one, other)]
        scale = np.array([small[0].shape[1] / one.shape[1], small[0].shape[0] / one.shape[0]])
        onto = np.array([small[1].shape[1] / other.shape[1], small[1].shape[0] / other.shape[0]])
        here = rescaled(matrix, scale, onto)
        below = PIL.Image.fromarray(np.ascontiguousarray(small[1], np.float32))
        agreeing = 0.0
        for done in range(rounds):
            here, moved, agreeing = _stepped(small[0], below, here)
            if moved < STILL or (done >= TRIED and agreeing < least / 2):
                break
        agreement = max(agreement, agreeing)
        if agreeing < least:
            return Apart(agreement=agreement)
        least = STRANGERS
        matrix = rescaled(here, 1 / scale, 1 / onto)
    return (
        _laid(one, other, matrix, agreement)
        if agreement >= demand.best
        else Apart(agreement=agreement)
    )


def as_given(one: np.ndarray, other: np.ndarray, matrix: Matrix) -> Laid:
    """The second picture in the frame of the first, where the matrix says."""
    return _laid(*same_resolution(one, other, matrix), agreement=1.0)


def _laid(one: np.ndarray, other: np.ndarray, matrix: Matrix, agreement: float) -> Laid:
    laid = np.stack(
        [warped(other[:, :, c], matrix, one.shape[:2]) for c in range(other.shape[2])], axis=2
    )
    inside = inside_of(matrix, one.shape[:2], other.shape[:2])
    # what lies beside the picture in the other one begins within a pixel or two
    for edge in (inside, inside.T):
        edge[:EDGE] = edge[-EDGE:] = False
    return Laid(one=one, other=laid, inside=inside, matrix=matrix, agreement=agreement)


def warped(image: Float[np.ndarray, "h w"], matrix: Matrix, shape: tuple[int, int]) -> np.ndarray:
    """A picture in another frame, by linear interpolation."""
    return _drawn(PIL.Image.fromarray(np.ascontiguousarray(image, np.float32)), matrix, shape)


def _drawn(
    image: PIL.Image.Image, matrix: Matrix, shape: tuple[int, int]
) -> Float[np.ndarray, "h w"]:
    size, data = (shape[1], shape[0]), tuple(matrix.ravel().tolist())
    return np.asarray(
        image.transform(size, PIL.Image.Transform.AFFINE, data, PIL.Image.Resampling.BILINEAR)
    )


def same_resolution(
    one: np.ndarray, other: np.ndarray, matrix: Matrix
) -> tuple[np.ndarray, np.ndarray, Matrix]:
    """The finer of the two made as coarse as the other."""
    # pixels of the second to one of the first
    finer = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if finer > 1.05:
        small = shrunk(other, 1 / finer)
        return (
            one,
            small,
            rescaled(matrix, np.ones(2), np.array(small.shape[1::-1]) / other.shape[1::-1]),
        )
    if finer < 0.95:
        small = shrunk(one, finer)
        return (
            small,
            other,
            rescaled(matrix, np.array(small.shape[1::-1]) / one.shape[1::-1], np.ones(2)),
        )
    return one, other, matrix


def shrunk(image: np.ndarray, share: float) -> np.ndarray:
    return np.stack([_resized(image[:, :, c], share) for c in range(image.shape[2])], axis=2)


def _resized(image: Float[np.ndarray, "h w"], share: float) -> Float[np.ndarray, "small narrow"]:
    size = (max(round(image.shape[1] * share), 8), max(round(image.shape[0] * share), 8))
    if size == image.shape[::-1]:
        return image
    drawn = PIL.Image.fromarray(np.ascontiguousarray(image, np.float32))
    return np.asarray(drawn.resize(size, PIL.Image.Resampling.BILINEAR))


def rescaled(matrix: Matrix, scale: np.ndarray, onto: np.ndarray) -> Matrix:
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


def inside_of(
    matrix: Matrix, shape: tuple[int, int], other: tuple[int, int]
) -> Bool[np.ndarray, "h w"]:
    x, y = np.arange(shape[1]) + 0.5, np.arange(shape[0])[:, None] + 0.5
    right, down = (row[0] * x + row[1] * y + row[2] for row in matrix)
    return (right > 0.5) & (right < other[1] - 0.5) & (down > 0.5) & (down < other[0] - 0.5)


def _stepped(
    one: np.ndarray, other: PIL.Image.Image, matrix: Matrix
) -> tuple[Matrix, float, float]:
    """A Gauss-Newton step over all squares, weighted down the more they disagree (Lucas and Kanade 1981).

    Returns:
        the better matrix, by how many pixels it moves a corner, and the share of the detail that
            agreed before.
    """
    laid = _drawn(other, matrix, one.shape)
    inside = inside_of(matrix, one.shape, (other.height, other.width))
    differ = np.where(inside, laid - one, 0)
    right, down = _slopes(((laid + one) / 2), inside)
    energy = np.where(inside, one * one + laid * laid, 0)
    products = (
        right * right,
        right * down,
        down * down,
        right * differ,
        down * differ,
        differ * differ,
        energy,
    )
    *pulls, left, energy = _squares(np.stack(products))
    energy = energy + 1e-3
    weight = np.clip(1 - left / energy / DISAGREE, 0, 1) ** 2
    moved = _moved(np.stack(pulls) * weight)
    # from squares about the middle to pixels
    height, width = (SQUARE * count for count in weight.shape)
    step = np.stack(
        [
            moved[:, 1] / width,
            moved[:, 2] / height,
            moved[:, 0] - moved[:, 1] / 2 - moved[:, 2] / 2,
        ],
        axis=1,
    )
    turn = np.eye(3)
    turn[:2] += step
    agreeing = float((weight * energy).sum() / energy.sum())
    return matrix @ turn, float(np.abs(moved).sum(axis=1).max()), agreeing


def _slopes(
    image: Float[np.ndarray, "h w"], inside: Bool[np.ndarray, "h w"]
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """How light changes to the right and downwards, 0 along the rim."""
    right, down = np.zeros_like(image), np.zeros_like(image)
    right[:, 1:-1] = (image[:, 2:] - image[:, :-2]) / 2
    down[1:-1] = (image[2:] - image[:-2]) / 2
    return right * inside, down * inside


def _moved(pulls: Float[np.ndarray, "5 rows columns"]) -> Float[np.ndarray, "2 3"]:
    """By how much the middle moves, and how that changes across and down; three pixels at once, at most."""
    place, cross = _geometry(*pulls.shape[1:])
    flat = pulls.reshape(5, -1)
    rr, rd, dd = (flat[:3] @ cross).reshape(3, 3, 3)
    normal = np.vstack([np.hstack([rr, rd]), np.hstack([rd, dd])])
    normal += np.diag(np.full(6, 1e-3 * np.trace(normal) / 6 + 1e-6))
    moved = -np.linalg.solve(normal, (flat[3:] @ place).ravel()).reshape(2, 3)
    return moved * min(1.0, 3.0 / max(float(np.abs(moved).max()), 1e-9))


@cache
def _geometry(
    rows: int, columns: int
) -> tuple[Float[np.ndarray, "squares 3"], Float[np.ndarray, "squares 9"]]:
    """(1, x, y) of each square about the middle, and the products of these with each other."""
    y, x = np.meshgrid(
        (np.arange(rows) + 0.5) / rows - 0.5,
        (np.arange(columns) + 0.5) / columns - 0.5,
        indexing="ij",
    )
    place = np.stack([np.ones(x.size), x.ravel(), y.ravel()], axis=1)
    return place, (place[:, :, None] * place[:, None]).reshape(-1, 9)


def _squares(values: Float[np.ndarray, "planes h w"]) -> Float[np.ndarray, "planes rows columns"]:
    """Sums over squares of eight pixels; the remainder at the far ends is dropped."""
    rows, columns = values.shape[1] // SQUARE, values.shape[2] // SQUARE
    cut = values[:, : rows * SQUARE, : columns * SQUARE]
    down = cut.reshape(-1, rows, SQUARE, columns * SQUARE).sum(axis=2)
    return down.reshape(-1, rows, columns, SQUARE).sum(axis=3)

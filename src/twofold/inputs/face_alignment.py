"""Five landmarks of a face -> the face upright, centred and of one size, by a similarity (Umeyama 1991)."""

from collections.abc import Sequence

import numpy as np
import PIL.Image

__all__ = ["TEMPLATE", "aligned"]

TEMPLATE = (
    (48.0, 46.1),
    (102.0, 46.1),
    (75.0, 78.3),
    (51.2, 105.1),
    (98.8, 105.1),
)
"""Where the eyes, the nose and the corners of the mouth come to lie, in pixels of a face of 150 x 150.

Medians of where the detector finds them in 2,090 faces that were aligned as dlib does it, left and
right made even, so that the network sees what it was trained on (docs/decisions/068-faces.md)."""

TEMPLATE_SIDE = 150
"""Pixels of a side to which `TEMPLATE` belongs."""


def aligned(
    picture: PIL.Image.Image, landmarks: Sequence[Sequence[float]], *, size: int
) -> PIL.Image.Image:
    """The face at five landmarks, turned, moved and scaled so that they lie as in `TEMPLATE`; black beyond the picture.

    Args:
        picture: RGB, upright.
        landmarks: x, y in pixels: left eye, right eye, nose, left and right corner of the mouth.
        size: height and width of the result in pixels.
    """
    turn, shift = _similarity(
        np.array(TEMPLATE) * (size / TEMPLATE_SIDE), np.asarray(landmarks, dtype=np.float64)
    )
    # pixels are averaged before they are left out: a face may be many times as large as the result
    reduced = max(int(abs(turn)), 1)
    if reduced > 1:
        picture, turn, shift = picture.reduce(reduced), turn / reduced, shift / reduced
    coefficients = (turn.real, -turn.imag, shift.real, turn.imag, turn.real, shift.imag)
    return picture.transform(
        (size, size),
        PIL.Image.Transform.AFFINE,
        coefficients,
        resample=PIL.Image.Resampling.BICUBIC,
    )


def _similarity(source: np.ndarray, target: np.ndarray) -> tuple[complex, complex]:
    """The turn and scale `a` and the shift `b` with the least squares of `a z + b - w`, points as complex numbers."""
    z, w = (points[:, 0] + 1j * points[:, 1] for points in (source, target))
    centred = z - z.mean()
    turn = complex((centred.conj() * (w - w.mean())).sum() / (np.abs(centred) ** 2).sum())
    return turn, complex(w.mean() - turn * z.mean())

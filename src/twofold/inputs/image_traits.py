"""What a picture shows at a glance, without any training: coarse pixels and gradients, and the traits of its file."""

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8

from twofold.inputs.image_decoding import header_size

__all__ = ["coarse_features", "flat_edges", "traits"]

CELLS = 6
PIXELS = 12
DIRECTIONS = 8
BLOCK = 2048
FLAT_ROWS = 2
"""Of 32: a sixteenth of the picture."""

MIXED_ROWS = 4
"""Of 32, before the flat area: a row of blocks of a small picture that is lost in part."""

FLAT_CONTRAST = 16
"""Levels by which a pixel differs from the flat area before which it stands."""


def coarse_features(planes: UInt8[np.ndarray, "n 32 32"]) -> Float[np.ndarray, "n dim"]:
    """A vector of unit length a picture, float32: its 12 x 12 pixels, and its gradients by direction in 6 x 6 cells.

    Pixels are centred and scaled, so brightness and contrast change nothing. A cell's histogram is
    the sum of the gradients' magnitudes over 8 directions (Dalal and Triggs 2005, without their
    overlapping blocks), square-rooted. Both halves count the same.
    """
    features = np.empty((len(planes), PIXELS**2 + DIRECTIONS * CELLS**2), np.float32)
    for start in range(0, len(planes), BLOCK):
        features[start : start + BLOCK] = _block_features(planes[start : start + BLOCK])
    return features


def _block_features(planes: UInt8[np.ndarray, "n 32 32"]) -> Float[np.ndarray, "n dim"]:
    grey = planes.astype(np.float32)
    rows = _means(planes.shape[1], PIXELS)
    pixels = (rows @ grey @ rows.T).reshape(len(planes), PIXELS**2)
    pixels = pixels - pixels.mean(axis=1, keepdims=True)
    down, right = np.gradient(grey, axis=(1, 2))
    magnitude = np.hypot(down, right)
    direction = (
        np.floor(np.arctan2(down, right) / (2 * np.pi) * DIRECTIONS + 0.5).astype(np.int64)
        % DIRECTIONS
    )
    cells = _means(planes.shape[1], CELLS)
    histogram = [
        cells @ np.where(direction == each, magnitude, 0) @ cells.T for each in range(DIRECTIONS)
    ]
    gradients = np.sqrt(np.stack(histogram, axis=1).reshape(len(planes), -1))
    return (np.concatenate([_unit(pixels), _unit(gradients)], axis=1) / np.sqrt(2)).astype(
        np.float32
    )


def _unit(vectors: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n dim"]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)


@cache
def _means(pixels: int, cells: int) -> Float[np.ndarray, "cells pixels"]:
    """Rows that average `pixels` into `cells`, each with soft edges, so that half a pixel of shift changes little."""
    centre = (np.arange(cells) + 0.5) * pixels / cells
    weight = np.clip(
        1 - np.abs(centre[:, None] - np.arange(pixels) - 0.5) * cells / pixels / 1.5, 0, None
    )
    return (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)


def flat_edges(planes: UInt8[np.ndarray, "n side side"]) -> Bool[np.ndarray, "n"]:
    """Which pictures end in a flat area that begins in the middle of something, as those do whose end is missing.

    At one of the four sides (a photograph may have been turned) two rows or more have a single
    value; half of a row shortly before them differs from it; and the side across does not end in
    it, too.
    """
    found = np.zeros(len(planes), dtype=bool)
    for quarters in range(4):
        turned = np.rot90(planes, quarters, axes=(1, 2)).astype(np.int16)
        last = turned[:, -1, 0]
        flat = (turned == last[:, None, None]).all(axis=2)
        count = np.where(flat.all(axis=1), 0, np.argmin(flat[:, ::-1], axis=1))
        begins = turned.shape[1] - count[:, None] - 1 - np.arange(1, 1 + MIXED_ROWS)
        before = turned[np.arange(len(planes))[:, None], np.clip(begins, 0, None)]
        differs = (np.abs(before - last[:, None, None]) > FLAT_CONTRAST).mean(axis=2).max(axis=1)
        found |= (count >= FLAT_ROWS) & (differs > 0.5) & ~flat[:, 0]
    return found


def traits(
    value: Any, picture: UInt8[np.ndarray, "height width channels"]
) -> dict[str, tuple[float, ...]]:
    """What should not tell who is who: brightness, mean colour, and of a file its size, picture size and aspect ratio.

    Args:
        value: the raw thing: a path, or anything else, of which no file is known.
        picture: as read, HWC uint8.

    Returns:
        name -> numbers; sizes and ratios as natural logarithms, colours as what they differ from
        grey, in [0, 255].
    """
    colour = picture.mean(axis=(0, 1), dtype=np.float64)
    found: dict[str, tuple[float, ...]] = {"brightness": (float(colour.mean()),)}
    if picture.shape[2] == 3:
        found["mean colour"] = (float(colour[0] - colour[1]), float(colour[2] - colour[1]))
    if isinstance(value, Path):
        found["file size"] = (math.log(max(value.stat().st_size, 1)),)
        width, height = header_size(value)
        found["picture size"] = (math.log(width * height),)
        found["aspect ratio"] = (math.log(width / height),)
    return found

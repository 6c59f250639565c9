"""What a picture shows at a glance, without any training: coarse pixels and gradients, and the traits of its file."""

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from twofold.inputs.image_decoding import header_size

__all__ = ["coarse_features", "traits"]

CELLS = 6
PIXELS = 12
DIRECTIONS = 8
BLOCK = 2048


def coarse_features(planes: UInt8[np.ndarray, "n 32 32"]) -> Float[np.ndarray, "n dim"]:
    """A vector of unit length a picture, float32: its 12 x 12 pixels, and its gradients by direction in 6 x 6 cells.

    Pixels are centred and scaled, so brightness and contrast change nothing. A cell's histogram is the sum of the
    gradients' magnitudes over 8 directions (Dalal and Triggs 2005, without their overlapping blocks), square-rooted.
    Both halves count the same.
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
    direction = np.floor(np.arctan2(down, right) / (2 * np.pi) * DIRECTIONS + 0.5).astype(np.int64) % DIRECTIONS
    cells = _means(planes.shape[1], CELLS)
    histogram = [cells @ np.where(direction == each, magnitude, 0) @ cells.T for each in range(DIRECTIONS)]
    gradients = np.sqrt(np.stack(histogram, axis=1).reshape(len(planes), -1))
    return (np.concatenate([_unit(pixels), _unit(gradients)], axis=1) / np.sqrt(2)).astype(np.float32)


def _unit(vectors: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n dim"]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)


@cache
def _means(pixels: int, cells: int) -> Float[np.ndarray, "cells pixels"]:
    """Rows that average `pixels` into `cells`, each with soft edges, so that half a pixel of shift changes little."""
    centre = (np.arange(cells) + 0.5) * pixels / cells
    weight = np.clip(1 - np.abs(centre[:, None] - np.arange(pixels) - 0.5) * cells / pixels / 1.5, 0, None)
    return (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)


def traits(value: Any, picture: UInt8[np.ndarray, "height width channels"]) -> dict[str, tuple[float, ...]]:
    """What should not tell who is who: brightness, mean colour, and of a file its size, picture size and aspect ratio.

    Args:
        value: the raw thing: a path, or anything else, of which no file is known.
        picture: as read, HWC uint8.

    Returns:
        name -> numbers; sizes and ratios as natural logarithms, colours as what they differ from grey, in [0, 255].
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

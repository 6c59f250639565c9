"""What a camera does to what it sees: light, colour, detail, movement, noise."""

import math

import numpy as np
import PIL.Image
from jaxtyping import UInt8

__all__ = ["lit", "moved", "noisy", "with_less_detail"]

Picture = UInt8[np.ndarray, "_ _ 3"]

LARGEST_NOISE = 10.0
"""Standard deviation of the noise of a dim film, in grey values of 255."""


def lit(picture: Picture, rng: np.random.Generator, strength: float) -> Picture:
    """Another brightness, contrast, gamma and balance of colours; a table per channel."""
    values = np.arange(256) / 255
    contrast = math.exp(rng.normal() * strength)
    bright = rng.normal() * strength / 2
    tables = []
    for tint in rng.normal(size=3) * strength / 3:
        curve = values ** math.exp(rng.normal() * strength / 4 + tint / 2)
        tables.append((curve - 0.5) * contrast * math.exp(tint) + 0.5 + bright)
    table = (np.stack(tables).clip(0, 1) * 255).round().astype(int)
    return np.asarray(PIL.Image.fromarray(picture).point(table.ravel().tolist()))


def with_less_detail(picture: Picture, factor: float) -> Picture:
    """As if it had been shown `factor` times as large as it was seen."""
    height, width = picture.shape[:2]
    small = (max(2, round(width / factor)), max(2, round(height / factor)))
    kind = PIL.Image.Resampling.BILINEAR
    seen = PIL.Image.fromarray(picture).resize(small, kind)
    return np.asarray(seen.resize((width, height), kind))


def moved(picture: Picture, rng: np.random.Generator, pixels: float) -> Picture:
    """Smeared over `pixels` in one direction: the mean of copies along it."""
    angle = rng.uniform(0, math.pi)
    step = np.array([math.cos(angle), math.sin(angle)])
    count = max(2, math.ceil(pixels / 2))
    total = np.zeros(picture.shape, np.uint16)
    for place in np.linspace(-pixels / 2, pixels / 2, count):
        across, down = (step * place).round().astype(int)
        total += np.roll(picture, (int(down), int(across)), axis=(0, 1))
    return (total // count).astype(np.uint8)


def noisy(picture: Picture, rng: np.random.Generator) -> Picture:
    """With noise that is the same in all colours."""
    height, width = picture.shape[:2]
    noise = rng.standard_normal((height, width, 1), np.float32)
    noise *= np.float32(rng.uniform(0, LARGEST_NOISE))
    return (picture + noise).clip(0, 255).astype(np.uint8)

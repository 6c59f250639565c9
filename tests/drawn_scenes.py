"""Scenes for tests: smooth ground in two lights, with bright squares that stand in the second date alone."""

from pathlib import Path

import numpy as np
import PIL.Image

SIDE = 64


def scene(seed: int, *, side: int = SIDE, bands: int = 3, change: bool = True):
    """Both dates, uint8 (height, width, bands), and the mask, 0 and 255."""
    rng = np.random.default_rng(seed)
    ground = rng.normal(size=(side // 8, side // 8, bands)).repeat(8, 0).repeat(8, 1) * 20 + 90
    dates = [ground + rng.normal(size=ground.shape) * 4 for _ in range(2)]
    dates[1] = dates[1] * 1.2 + 15
    mask = np.zeros((side, side), np.uint8)
    for _ in range(3 if change else 0):
        row, column = rng.integers(0, side - 12, 2)
        mask[row : row + 12, column : column + 12] = 255
    dates[1][mask > 0] += 90
    return *(date.clip(0, 255).astype(np.uint8) for date in dates), mask


def write(folder: Path, count: int = 6, **settings: int) -> Path:
    """Scenes as A, B and label."""
    for name in ("A", "B", "label"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        for name, picture in zip(("A", "B", "label"), scene(number, **settings), strict=True):
            PIL.Image.fromarray(picture).save(folder / name / f"place{number}.png")
    return folder

"""Signatures as chains of strokes, each writer's own; forgers trace them with a hand that shakes."""

from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw

INK, PAPER = (20, 20, 30), (255, 255, 255)


def signed(points: np.ndarray, *, ink: tuple[int, int, int] = INK) -> PIL.Image.Image:
    """A page of 240 x 120 pixels with strokes between points in [0, 1]."""
    page = PIL.Image.new("RGB", (240, 120), PAPER)
    ends = [(20 + 200 * x, 15 + 90 * y) for x, y in points]
    PIL.ImageDraw.Draw(page).line(ends, fill=ink, width=3)
    return page


def write(
    root: Path,
    writers: int,
    *,
    each: int = 6,
    forgeries: int = 0,
    seed: int = 0,
    forger_ink: tuple[int, int, int] = INK,
) -> Path:
    """Folders `wNN` of genuine signatures and `wNN_forg` of forgeries."""
    generator = np.random.default_rng(seed)
    for number in range(writers):
        path = generator.uniform(0, 1, (7, 2))
        kinds = (("", each, 0.015, INK), ("_forg", forgeries, 0.12, forger_ink))
        for suffix, count, shake, ink in kinds:
            folder = root / f"w{seed}{number:02}{suffix}"
            for item in range(count):
                folder.mkdir(parents=True, exist_ok=True)
                points = path + generator.normal(0, shake, path.shape)
                signed(points, ink=ink).save(folder / f"{item}.png")
    return root

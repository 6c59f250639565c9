"""The scenes of change's benchmark as published, and the floor beside the networks: the difference of the pictures."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from twofold.data.scenes import Scenes
from twofold.inputs import Raster
from twofold.inputs.raster import open_raster
from twofold.metrics import scene_threshold, spatial
from twofold.metrics.spatial import Counts
from twofold.nn.dense import fc_siam_diff
from twofold.results import ChangeThreshold
from twofold.scene import Scene, opened
from twofold.twin import ChangeTwin

__all__ = ["counted", "cropped", "difference", "in_memory", "labelled", "left_out", "read"]

CROP = (448, 784)
"""Height and width of the upper left part of SZTAKI's test scenes that is published."""

BLURS = 2.0
"""Pixels of deviation of the blur of the difference: single pixels that differ are noise."""


def read(scenes: Scenes) -> Iterator[Scene]:
    """Scenes, normalised as for a network of three bands."""
    return opened(scenes, _plain())


def _plain() -> ChangeTwin:
    """A twin that is there for its normalisation."""
    return ChangeTwin(Raster(), fc_siam_diff())


def difference(scene: Scene) -> np.ndarray:
    """Length of the blurred difference of both dates, brought to [0, 1): d / (1 + d)."""
    apart = np.sqrt(((scene.before - scene.after) ** 2).sum(0))
    places = np.arange(-8, 9)
    line = np.exp(-(places**2) / (2 * BLURS**2))
    line /= line.sum()
    padded = np.pad(apart, 8, mode="symmetric")
    width = apart.shape[1]
    rows = np.stack([padded[k : k + len(apart)] for k in range(len(line))], axis=-1) @ line
    found = np.stack([rows[:, k : k + width] for k in range(len(line))], axis=-1) @ line
    return (found / (1 + found)).astype(np.float32)


def counted(known: ChangeThreshold, said: np.ndarray, scene: Scene) -> Counts:
    """The counts of a scene, cut by a threshold that others chose."""
    _, mask = scene_threshold.cut(known, said, scene.valid)
    return spatial.counted(mask, scene.truth, scene.valid)


def left_out(scenes: Scenes) -> tuple[float, list[Counts]]:
    """F1 of the difference, each scene with the threshold of the others; the counts of each."""
    every = list(read(scenes))
    said = [difference(each) for each in every]
    tables = [
        spatial.histogram(one, each.truth, each.valid)
        for one, each in zip(said, every, strict=True)
    ]
    parts = []
    for place, (one, each) in enumerate(zip(said, every, strict=True)):
        known = scene_threshold.best(tables[:place] + tables[place + 1 :])
        parts.append(counted(known, one, each))
    return spatial.scores(spatial.pooled(parts))["f1"], parts


def in_memory(scenes: Scenes) -> Scenes:
    """Scenes with their masks cut at half: three of SZTAKI's have values in between."""
    masks = []
    for value in scenes.mask:
        with open_raster(value) as source:
            mask = source.window(0, 0, source.height, source.width)[:1]
        masks.append(np.where(mask >= 128, 255, 0).astype(np.uint8))
    return replace(scenes, mask=tuple(masks))


def cropped(scenes: Scenes) -> Scenes:
    """The upper left part of the test scenes, as published."""
    height, width = CROP

    def cut(value: Any) -> np.ndarray:
        with open_raster(value) as source:
            return np.ascontiguousarray(source.window(0, 0, height, width))

    parts = {name: tuple(map(cut, getattr(scenes, name))) for name in ("before", "after", "mask")}
    return replace(scenes, **parts)


def labelled(folder: Path) -> Scenes:
    """Scenes of A, B and label that have a label."""
    names = sorted(
        path.name for path in (folder / "label").iterdir() if (folder / "A" / path.name).exists()
    )
    files = {part: tuple(folder / part / name for name in names) for part in ("A", "B", "label")}
    ids = tuple(names)
    return Scenes(before=files["A"], after=files["B"], mask=files["label"], ids=ids, group=ids)

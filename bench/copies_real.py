"""Kinds of real pictures that look alike and are different: people, signatures, characters, shelves, turned things."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image

__all__ = ["REAL", "Shown", "real_kinds"]


VIEWS = 72
"""Of each thing in COIL-20; of so many things that there are twelve times as many as pictures of other kinds."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Pictures, and what each is of: copies among those of one label are not counted, where that is said.

    Attributes:
        apart: only pairs of different labels are wrong: two photographs of one person in a row may
            be equal.
    """

    pictures: list[PIL.Image.Image]
    labels: list[str]
    apart: bool = False


def real_kinds(data: Path, count: int) -> dict[str, Shown]:
    """The kinds of which the pack lies in `data`; at most `count` pictures of each but people and turned things."""
    found = {name: make(data, count) for name, make in REAL.items()}
    return {name: shown for name, shown in found.items() if shown.pictures}


def orl_one_each(data: Path, count: int) -> Shown:
    """The first photograph of each of 40 people."""
    return _read([data / "orl_faces" / f"s{person}" / "1.pgm" for person in range(1, 41)], _folder)


def orl_all(data: Path, count: int) -> Shown:
    """All 400: copies of another person."""
    return _read(sorted((data / "orl_faces").glob("s*/*.pgm")), _folder, apart=True)


def lfw_one_each(data: Path, count: int) -> Shown:
    """One photograph of each of 250 people."""
    people = {
        path.name.rsplit("_", 1)[0]: path
        for path in sorted((data / "lfw_view1_112").rglob("*.jpg"))
    }
    return _read(list(people.values())[:250], lambda path: path.stem)


def signatures(data: Path, count: int) -> Shown:
    """Of few writers all, so that most pairs that look alike are of one writer."""
    return _read(
        sorted((data / "sigcomp2011_dutch_1bit").rglob("*.png"))[:count], lambda path: path.stem
    )


def characters(data: Path, count: int) -> Shown:
    """Drawings of letters, all of one person after the other's."""
    return _read(
        sorted((data / "omniglot" / "images_background").rglob("*.png"))[:count],
        lambda path: path.stem,
    )


def shelf_variants(data: Path, count: int) -> Shown:
    """Packets on shelves: copies of another product; of one product there are photographs in a row."""
    paths = sorted((data / "grocery_store_160" / "train" / "Packages").rglob("*.jpg"))
    order = np.random.default_rng(6).permutation(len(paths))[:count]
    return _read([paths[place] for place in order], _folder, apart=True)


def coil_objects(data: Path, count: int) -> Shown:
    """Things on a turntable, every five degrees: copies of another thing."""
    return _coil(data, count, apart=True)


def coil_views(data: Path, count: int) -> Shown:
    """The same: copies at all. Of a thing that is round, two views do not differ."""
    return _coil(data, count, apart=False)


def _coil(data: Path, count: int, *, apart: bool) -> Shown:
    file = data / "coil20" / "COIL20.mat"
    if not file.exists():
        return Shown(pictures=[], labels=[])
    from scipy.io import loadmat

    table = loadmat(file)
    pixels = np.asarray(table["X"], np.float64).T.reshape(-1, 32, 32).transpose(0, 2, 1)
    shown = min(len(pixels), VIEWS * -(-12 * count // VIEWS))
    drawn = [
        PIL.Image.fromarray(np.rint(each * 255).astype(np.uint8)).convert("RGB")
        for each in pixels[:shown]
    ]
    labels = [str(label) for label in np.ravel(table["gnd"])[:shown]]
    return Shown(pictures=drawn, labels=labels, apart=apart)


def _folder(path: Path) -> str:
    return path.parent.name


def _read(paths: list[Path], label: Callable[[Path], str], *, apart: bool = False) -> Shown:
    there = [path for path in paths if path.exists()]
    drawn = [PIL.Image.open(path).convert("RGB") for path in there]
    return Shown(pictures=drawn, labels=[label(path) for path in there], apart=apart)


REAL: dict[str, Callable[[Path, int], Shown]] = {
    "orl_one_each": orl_one_each,
    "orl_all": orl_all,
    "lfw_one_each": lfw_one_each,
    "signatures": signatures,
    "characters": characters,
    "shelf_variants": shelf_variants,
    "coil_objects": coil_objects,
    "coil_views": coil_views,
}
